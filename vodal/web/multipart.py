"""Bodies of the type ``multipart/form-data``: parameters, and files that go straight to disk.

The body is never in memory as a whole, whatever it holds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from anyio.to_thread import run_sync
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from vodal.errors import TooLargeError, UsageError

__all__ = ["MAX_FIELDS", "MAX_FORM_BYTES", "FilePart", "FileTarget", "read_multipart"]

MAX_FIELDS = 20_000
"""Most parameters taken in one request; a long list of IDs is the only use for many."""

MAX_FORM_BYTES = 16 * 1024 * 1024
"""Of all parameters of a body together, files apart."""

_MAX_HEADER_BYTES = 16 * 1024
_FLUSH_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file that came with a form."""

    name: str
    """Of the part."""
    file_name: str
    """As the client calls it; never used as a path."""
    media_type: str
    path: Path
    size_bytes: int


@dataclass(frozen=True, slots=True)
class FileTarget:
    """Where the files of a form go."""

    folder: Path
    """Made if a file comes."""
    max_files: int
    max_bytes: int
    """Of all files together."""
    section: str = ""
    """Of the settings in which `max_tables` and `max_bytes` are, for errors: ``tap.uploads``."""

    def setting(self, name: str) -> str:
        """Give the whole name of a setting."""
        return f"{self.section}.{name}" if self.section else name


@dataclass(slots=True)
class _Part:
    """The part that is being read."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    header_name: bytes = b""
    header_value: bytes = b""
    header_bytes: int = 0
    name: str = ""
    file_name: str | None = None
    media_type: str = ""
    data: bytearray = field(default_factory=bytearray)
    """Of a parameter, or what of a file has not been written."""
    file: IO[bytes] | None = None
    path: Path | None = None
    size: int = 0
    done: bool = False


class _Reader:
    """Takes what the parser finds."""

    def __init__(self, target: FileTarget | None) -> None:
        self.pairs: list[tuple[str, str]] = []
        self.files: list[FilePart] = []
        self.ended = False
        self._target = target
        self._part = _Part()
        self._open: list[_Part] = []
        """Files with something to write."""
        self._count = 0
        self._form_bytes = 0
        self._file_bytes = 0
        self.pending = 0
        """Bytes of files that wait in memory."""

    def callbacks(self) -> dict[str, object]:
        """Give the parser's callbacks."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_end,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _finish(self) -> None:
        self.ended = True

    def _begin(self) -> None:
        self._part = _Part()

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._part.header_name += self._header(data[start:end])

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._part.header_value += self._header(data[start:end])

    def _header(self, piece: bytes) -> bytes:
        self._part.header_bytes += len(piece)
        if self._part.header_bytes > _MAX_HEADER_BYTES:
            raise TooLargeError(f"a part of the body has more than {_MAX_HEADER_BYTES} of headers")
        return piece

    def _header_end(self) -> None:
        part = self._part
        part.headers[part.header_name.lower()] = part.header_value
        part.header_name = part.header_value = b""

    def _headers_end(self) -> None:
        part = self._part
        _, options = parse_options_header(part.headers.get(b"content-disposition"))
        if b"name" not in options:
            raise UsageError("the multipart body cannot be read: a part has no name")
        part.name = options[b"name"].decode("utf-8")
        media_type, _ = parse_options_header(part.headers.get(b"content-type"))
        part.media_type = media_type.decode("latin-1")
        if b"filename" in options:
            part.file_name = options[b"filename"].decode("utf-8", "replace")
        elif part.media_type not in {"", "text/plain"}:
            part.file_name = ""
        self._count += 1
        if self._count > MAX_FIELDS:
            raise TooLargeError(f"the body may hold at most {MAX_FIELDS} parameters")
        if part.file_name is not None and self._target is not None:
            if len(self.files) + len(self._open) >= self._target.max_files:
                raise TooLargeError(
                    f"the request has more files than this service takes"
                    f" ({self._target.setting('max_tables')} is {self._target.max_files})"
                )
            part.path = self._target.folder / f"part{self._count}"
            self._open.append(part)

    def _data(self, data: bytes, start: int, end: int) -> None:
        part, size = self._part, end - start
        if part.file_name is None:
            self._form_bytes += size
            if self._form_bytes > MAX_FORM_BYTES:
                raise TooLargeError(f"the parameters of the body are over {MAX_FORM_BYTES} bytes")
            part.data += data[start:end]
        elif self._target is not None:
            self._file_bytes += size
            if self._file_bytes > self._target.max_bytes:
                raise TooLargeError(
                    "the uploaded files have more bytes than this service takes"
                    f" ({self._target.setting('max_bytes')} is {self._target.max_bytes})"
                )
            part.data += data[start:end]
            part.size += size
            self.pending += size

    def _end(self) -> None:
        part = self._part
        part.done = True
        if part.file_name is None:
            self.pairs.append((part.name, part.data.decode("utf-8")))

    def flush(self) -> None:
        """Write what waits; runs in a thread."""
        for part in self._open:
            assert part.path is not None
            if part.file is None:
                part.path.parent.mkdir(parents=True, exist_ok=True)
                part.file = part.path.open("xb")
            part.file.write(part.data)
            part.data.clear()
            if part.done:
                part.file.close()
                self.files.append(
                    FilePart(part.name, part.file_name or "", part.media_type, part.path, part.size)
                )
        self._open = [part for part in self._open if not part.done]
        self.pending = 0

    def close(self) -> None:
        """Leave no file open."""
        for part in self._open:
            if part.file is not None:
                part.file.close()


async def read_multipart(
    request: Request, target: FileTarget | None = None
) -> tuple[list[tuple[str, str]], list[FilePart]]:
    """Read a body.

    Parts with a file name, or of another type than text, are files; the others are parameters.

    Parameters
    ----------
    request
        Of the type ``multipart/form-data``.
    target
        Where files go; without it they are passed over.

    Raises
    ------
    UsageError
        If the body is malformed or its parameters are not UTF-8.
    TooLargeError
        If it has too many parts or bytes.
    """
    _, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary")
    if not boundary:
        raise UsageError("the multipart body cannot be read: its Content-Type names no boundary")
    reader = _Reader(target)
    try:
        parser = MultipartParser(boundary, reader.callbacks())  # type: ignore[arg-type]
        async for chunk in request.stream():
            parser.write(chunk)
            if reader.pending >= _FLUSH_BYTES:
                await run_sync(reader.flush)
        parser.finalize()
        if not reader.ended:
            raise UsageError("the multipart body cannot be read: it ends before its last boundary")
        await run_sync(reader.flush)
    except (FormParserError, UnicodeDecodeError) as error:
        reason = str(error).rstrip(".")[:200]
        raise UsageError(f"the multipart body cannot be read: {reason}") from None
    finally:
        reader.close()
    return reader.pairs, reader.files
