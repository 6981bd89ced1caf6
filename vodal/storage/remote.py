"""Files on servers, opened by URI; one of these serves a process."""

from __future__ import annotations

import threading
from concurrent.futures import Executor, ThreadPoolExecutor
from urllib.parse import unquote, urlsplit

from vodal.errors import DataError
from vodal.storage.base import RangeReader
from vodal.storage.connections import Connections, Patience, host_of
from vodal.storage.hosts import on_list
from vodal.storage.http import HttpReader, Manners, Team
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

    def open(self, uri: str, version: str | None) -> RangeReader:
        """Open a file of ``http:``, ``https:`` or ``s3:``; else as `vodal.storage.Storage.open`."""
        if uri.lower().startswith("s3:"):
            name = split_s3(uri)[1].rpartition("/")[2]
            return HttpReader(
                name, self._buckets.address(uri), self._objects, self._team(self._single), version
            )
        where = host_of(uri)
        if not self._may_ask(*where):
            raise DataError(f"files of {where[1]} are not read by this site (storage.http_hosts)")
        address = uri.partition("#")[0]
        team = self._team(self._manners)
        return HttpReader(_name(uri), lambda: address, self._files, team, version)

    def _team(self, manners: Manners) -> Team:
        return Team(self._crew, self._settings.parallel, manners)


def _name(uri: str) -> str:
    """Give the name of a file in a URI, for errors."""
    return unquote(urlsplit(uri).path.rpartition("/")[2]) or "of the server"
