"""Files on servers, opened by URI; one of these serves a process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from urllib.parse import unquote, urlsplit

from vodal.errors import DataError, NotFoundError
from vodal.storage.base import FileStat, Page, RangeReader
from vodal.storage.connections import Connections, Patience, host_of
from vodal.storage.hosts import on_list
from vodal.storage.http import HEAD_BYTES, HttpReader, Manners, Team
from vodal.storage.objects import listed
from vodal.storage.s3 import Buckets, split_s3
from vodal.storage.settings import StorageSettings

__all__ = ["Remote"]


class Remote:
    """Opens files of HTTP servers and objects of S3. Safe to use from several threads.

    Parameters
    ----------
    settings
        Which servers are read, and how patiently.
    """

    def __init__(self, settings: StorageSettings) -> None:
        self._settings = settings
        patience = Patience(settings.timeout_s, settings.deadline_s, settings.attempts)
        self._buckets = Buckets(settings.s3)
        self._files = Connections(self._may_ask, patience)
        self._objects = Connections(self._buckets.serves, patience)
        self._manners = Manners(several=settings.several_ranges)
        self._single = Manners(several=False)
        self._lock = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None

    def _crew(self) -> Executor:
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(self._settings.parallel, "storage")
            return self._threads

    def close(self) -> None:
        """Close the connections that are kept, and let the threads end."""
        with self._lock:
            threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown()
        self._files.close()
        self._objects.close()

    def _may_ask(self, scheme: str, host: str, port: int) -> bool:
        return on_list(host, port, scheme, self._settings.http_hosts)

    def open(self, uri: str, version: str | None, *, head_bytes: int = HEAD_BYTES) -> RangeReader:
        """Open a file of ``http:``, ``https:`` or ``s3:``; else as `vodal.storage.Storage.open`."""
        if uri.lower().startswith("s3:"):
            name = split_s3(uri)[1].rpartition("/")[2]
            return HttpReader(
                name,
                self._buckets.address(uri),
                self._objects,
                self._team(self._single),
                version,
                head_bytes,
            )
        self._allowed(uri)
        address = uri.partition("#")[0]
        team = self._team(self._manners)
        return HttpReader(_name(uri), lambda: address, self._files, team, version, head_bytes)

    def lent_url(self, uri: str, method: str, life_s: int, *, for_all: bool) -> str | None:
        """Give a URL for a client, as `vodal.storage.Storage.lent_url`."""
        if uri.lower().startswith("s3:"):
            return self._buckets.lent(uri, method, life_s, for_all=for_all)
        self._allowed(uri)
        return uri.partition("#")[0] if for_all else None

    def stat(self, uri: str) -> FileStat:
        """Give size, version and time of change of a file, by a request for its first byte."""
        with self.open(uri, None, head_bytes=1) as reader:
            return reader.stat()

    def objects(self, uri: str) -> Iterator[tuple[str, FileStat]]:
        """Give the objects below a prefix, as `vodal.storage.objects.listed`."""
        return listed(self._buckets, uri)

    def page(self, url: str, most_bytes: int) -> Page:
        """Fetch a page of text; else as `vodal.storage.Storage.page`."""
        host = self._allowed(url)
        address = url.partition("#")[0]
        answer = self._files.get(lambda: address, {}, most_bytes, whole=True)
        if answer.status in {404, 410}:
            raise NotFoundError(f"there is nothing at {address} any more")
        if answer.status in {401, 403}:
            raise DataError(f"{host} does not let this site read {address} ({answer.status})")
        if answer.status != 200:
            raise DataError(f"{host} says {answer.status} to a request for {address}")
        if len(answer.body) >= most_bytes:
            raise DataError(f"{address} is larger than the {most_bytes >> 20} MB that are read")
        return Page(bytes(answer.body), answer.headers.get_content_type(),
                    _moment(answer.headers.get("Date", "")))  # fmt: skip

    def _allowed(self, url: str) -> str:
        where = host_of(url)
        if not self._may_ask(*where):
            raise DataError(f"files of {where[1]} are not read by this site (storage.http_hosts)")
        return where[1]

    def _team(self, manners: Manners) -> Team:
        return Team(self._crew, self._settings.parallel, manners)


def _moment(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except ValueError:
        return None


def _name(uri: str) -> str:
    """Give the name of a file in a URI, for errors."""
    return unquote(urlsplit(uri).path.rpartition("/")[2]) or "of the server"
