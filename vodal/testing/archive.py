"""An HTTP server of files that can be told to misbehave, for tests of remote storage."""

from __future__ import annotations

import hashlib
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import formatdate, parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, unquote, urlsplit

from typing_extensions import override

__all__ = ["Archive", "Seen", "nginx_listing", "serve_archive"]

Fault = Literal[
    "ignores-range", "cut-short", "too-short", "other-range", "drop", "garbage", "silent", "packed",
    "busy", "broken", "forbidden", "close",
]  # fmt: skip
"""``cut-short`` ends before the length it told, ``too-short`` tells a length that is too short,
``packed`` claims a Content-Encoding, ``busy`` is 503 with Retry-After, ``broken`` is 500, ``close``
ends the connection after a whole answer without having said so."""


Several = Literal["parts", "shuffled", "merged", "first", "whole", "garbled", "refused"]


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    """Names in lower case."""
    status: int
    body_bytes: int
    connection: int
    """Tells connections apart."""


@dataclass
class Archive:
    """What the server does and has seen."""

    folder: Path
    url: str = ""
    etag: Literal["strong", "weak", "none"] = "strong"
    last_modified: bool = True
    heeds_conditions: bool = True
    several: Several = "parts"
    """What is given for several ranges: each (in order or not), all that lies between their ends,
    the first, the whole file with status 200, nonsense, or an error."""
    faults: deque[Fault | None] = field(default_factory=deque)
    """What goes wrong with the next requests, one each; then all is well."""
    redirects: dict[str, str] = field(default_factory=dict)
    """From paths to where they lead."""
    listing: Callable[[Path, str], str] | None = None
    """Makes the page for a folder, of it and its path on the server; by default there is none."""
    together: threading.Barrier | None = None
    """Answers wait here for one another, so that requests must come side by side."""
    seen: list[Seen] = field(default_factory=list)
    before: deque[object] = field(default_factory=deque)
    """Functions called before the next requests are answered, one each."""

    @property
    def host(self) -> str:
        """Host and port, as settings have them."""
        return urlsplit(self.url).netloc

    def bytes_sent(self) -> int:
        """Give the number of bytes of files that were sent."""
        return sum(item.body_bytes for item in self.seen)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = 5.0
    server: _Server

    @override
    def log_message(self, format: str, *args: object) -> None:
        del format, args

    def do_GET(self) -> None:
        archive = self.server.archive
        with self.server.lock:
            fault = archive.faults.popleft() if archive.faults else None
            before = archive.before.popleft() if archive.before else None
        if callable(before):
            before()
        if archive.together is not None:
            archive.together.wait(10)
        with suppress(ConnectionError):
            self._answer(archive, fault)

    def _say(
        self, status: int, headers: dict[str, str], body: bytes, cut: int | None = None
    ) -> None:
        sent = body if cut is None else body[:cut]
        seen = Seen(
            self.path,
            {name.lower(): value for name, value in self.headers.items()},
            status,
            len(sent) if status in {200, 206} else 0,
            self.client_address[1],
        )
        with self.server.lock:
            self.server.archive.seen.append(seen)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(sent)
        self.wfile.flush()
        if cut is not None:
            self.close_connection = True

    def _answer(self, archive: Archive, fault: Fault | None) -> None:
        path = urlsplit(self.path).path
        if path in archive.redirects:
            self._say(302, {"Location": archive.redirects[path]}, b"")
            return
        match fault:
            case "drop":
                self._say(206, {}, b"x" * 100, cut=0)
                return
            case "garbage":
                self.wfile.write(b"what?\r\n\r\n")
                self.close_connection = True
                return
            case "silent":
                time.sleep(1.0)
                self.close_connection = True
                return
            case "busy":
                self._say(503, {"Retry-After": "1"}, b"busy")
                return
            case "broken":
                self._say(500, {}, b"broken")
                return
            case "forbidden":
                self._say(403, {}, b"<Error><Code>AccessDenied</Code></Error>")
                return
            case _:
                self._file_or_folder(archive, path, fault)

    def _file_or_folder(self, archive: Archive, path: str, fault: Fault | None) -> None:
        folder = archive.folder / unquote(path).lstrip("/")
        if archive.listing is None or not path.endswith("/") or not folder.is_dir():
            self._file(archive, path, fault)
            return
        page = archive.listing(folder, unquote(path)).encode()
        self._say(200, {"Content-Type": "text/html"}, page)

    def _file(self, archive: Archive, path: str, fault: Fault | None) -> None:
        file = archive.folder / unquote(path).lstrip("/")
        if not file.is_file():
            self._say(404, {}, b"no such file")
            return
        data = file.read_bytes()
        modified = file.stat().st_mtime
        tag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
        headers = self._marks(archive, tag, modified)
        if archive.heeds_conditions and self._fails(archive, tag, modified):
            self._say(412, {}, b"")
            return
        asked = self.headers.get("Range", "")
        if "," in asked and archive.several not in {"first", "whole"}:
            self._ranges(archive, asked, data, headers, fault)
            return
        pattern = r"bytes=(\d+)-(\d+)" + ("(,.*)?" if archive.several == "first" else "")
        wanted = re.fullmatch(pattern, asked)
        if wanted is None or fault == "ignores-range":
            self._say(200, headers, data)
            return
        start, stop = int(wanted[1]), min(int(wanted[2]) + 1, len(data))
        if start >= len(data):
            self._say(416, {"Content-Range": f"bytes */{len(data)}"}, b"")
            return
        body = data[start:stop]
        if fault == "other-range":
            start, stop = start + 1, stop + 1
        if fault == "too-short":
            body = body[:-1]
        if fault == "packed":
            headers["Content-Encoding"] = "gzip"
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
        self._say(206, headers, body, cut=len(body) // 2 if fault == "cut-short" else None)
        if fault == "close":
            self.close_connection = True

    def _ranges(
        self,
        archive: Archive,
        asked: str,
        data: bytes,
        headers: dict[str, str],
        fault: Fault | None,
    ) -> None:
        """Answer a request for several ranges."""
        spans = [(int(a), int(b) + 1) for a, b in re.findall(r"(\d+)-(\d+)", asked)]
        if archive.several == "refused":
            self._say(400, {}, b"too many ranges")
            return
        if archive.several == "merged":
            start, stop = min(a for a, _ in spans), max(b for _, b in spans)
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
            self._say(206, headers, data[start:stop])
            return
        if archive.several == "shuffled":
            spans.reverse()
        parts = []
        for start, stop in spans:
            told = f"Content-Range: bytes {start}-{stop - 1}/{len(data)}"
            head = f"\r\n--limit\r\nContent-Type: image/fits\r\n{told}\r\n\r\n".encode()
            parts += [head, data[start:stop]]
        if archive.several == "garbled":
            del parts[-2]
        headers["Content-Type"] = "multipart/byteranges; boundary=limit"
        body = b"".join([*parts, b"\r\n--limit--\r\n"])
        self._say(206, headers, body, cut=len(body) // 2 if fault == "cut-short" else None)

    def _marks(self, archive: Archive, tag: str, modified: float) -> dict[str, str]:
        """Give the headers that tell the file's version."""
        headers = {}
        if archive.etag != "none":
            headers["ETag"] = tag if archive.etag == "strong" else f"W/{tag}"
        if archive.last_modified:
            headers["Last-Modified"] = formatdate(modified, usegmt=True)
        return headers

    def _fails(self, archive: Archive, tag: str, modified: float) -> bool:
        """Tell whether a condition of the request does not hold (RFC 9110 section 13.2.2)."""
        wanted = self.headers.get("If-Match")
        if wanted is not None:
            return archive.etag != "strong" or wanted != tag
        since = self.headers.get("If-Unmodified-Since")
        return since is not None and int(modified) > parsedate_to_datetime(since).timestamp()


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    archive: Archive
    lock: threading.Lock

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Let clients that go away go; other faults are told."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def nginx_listing(folder: Path, path: str) -> str:
    """Write a folder's page as nginx does (``autoindex on``)."""
    lines = []
    for entry in sorted(folder.iterdir()):
        name = f"{entry.name}/" if entry.is_dir() else entry.name
        about = entry.stat()
        when = time.strftime("%d-%b-%Y %H:%M", time.gmtime(about.st_mtime))
        size = "-" if entry.is_dir() else str(about.st_size)
        lines.append(f'<a href="{quote(name)}">{name}</a>  {when}  {size:>19}\n')
    head = f"<html>\n<head><title>Index of {path}</title></head>\n<body>\n<h1>Index of {path}</h1>"
    return f'{head}<hr><pre><a href="../">../</a>\n{"".join(lines)}</pre><hr></body>\n</html>\n'


@contextmanager
def serve_archive(folder: Path) -> Iterator[Archive]:
    """Serve the files of a folder on a free port of the loopback, until the block ends."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.archive = Archive(folder, f"http://127.0.0.1:{server.server_address[1]}")
    server.lock = threading.Lock()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.archive
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
