"""Files that changed under the catalogue, taken into it anew while the site is served.

Services tell of a file that is not of the version that the catalogue has. Its rows and its byte
index are made by the assembly line as it was set when the file was catalogued, in a process of its
own, and written if the store still has the old version: several servers may be told of one file.

What only the whole assembly line can decide is left to it: files whose rules have changed since,
that would lose products, or that it would refuse.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

from typing_extensions import override

from obscore.assembly.opening import opened
from obscore.assembly.outcome import Outcome
from obscore.assembly.readers import read_elsewhere, reading_pool
from obscore.assembly.recording import RecordedRun
from obscore.assembly.rulebook import RuleBook
from obscore.assembly.rules import Rules, is_told
from obscore.settings import ObsCoreSettings
from obscore.sources.base import Candidate
from obscore.store.base import Backend, KnownFile, Store
from vodal.errors import DataError, SkylaneError
from vodal.pool import WarmPool
from vodal.products import Refresher
from vodal.storage import LOCAL, Storage

__all__ = ["Renewal", "relative_of"]

_LOG = logging.getLogger(__name__)

_PAUSE_S = 30.0
"""A file that was asked for is not looked at again for so long, however that ended."""
_MOST = 1000
"""Files that wait, and that are remembered; of more than that some are told of again later."""


class Renewal(Refresher):
    """Brings files up to date in the catalogue, one after the other; runs as a context.

    Parameters
    ----------
    backend
        The store.
    settings
        Of the catalogue.
    storage
        Opens the files.
    """

    def __init__(
        self, backend: Backend, settings: ObsCoreSettings, storage: Storage = LOCAL
    ) -> None:
        self._backend, self._settings, self._storage = backend, settings, storage
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queue: asyncio.Queue[tuple[str, str]] = asyncio.Queue(_MOST)
        self._asked: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._task: asyncio.Task[None] | None = None
        self._at_work = False

    @property
    def busy(self) -> bool:
        """Whether a file is being read, or waits for that."""
        return self._at_work or not self._queue.empty()

    async def __aenter__(self) -> Self:
        if self._settings.ingest.renew_changed:
            self._loop = asyncio.get_running_loop()
            self._task = asyncio.create_task(self._work())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    @override
    def refresh(self, uri: str, version: str) -> None:
        loop = self._loop
        if loop is not None:
            try:
                loop.call_soon_threadsafe(self._ask, uri, version)
            except RuntimeError:
                _LOG.debug("%s changed while the server stops", uri)

    def _ask(self, uri: str, version: str) -> None:
        """Put a file in line, unless it was lately."""
        key, now = (uri, version), asyncio.get_running_loop().time()
        if now - self._asked.get(key, -_PAUSE_S) < _PAUSE_S or self._queue.full():
            return
        self._asked[key] = now
        self._asked.move_to_end(key)
        if len(self._asked) > _MOST:
            self._asked.popitem(last=False)
        self._queue.put_nowait(key)

    async def _work(self) -> None:
        """Renew files as they come; process and connection last as long as some wait."""
        while True:
            one: tuple[str, str] | None = await self._queue.get()
            self._at_work = True
            try:
                store = await asyncio.to_thread(self._backend.writer)
                book = RuleBook(self._settings, self._storage)
                try:
                    async with reading_pool(1, self._settings.ingest) as pool:
                        while one is not None:
                            await self._renew(store, book, pool, *one)
                            one = None if self._queue.empty() else self._queue.get_nowait()
                finally:
                    await asyncio.to_thread(store.close)
            except SkylaneError as error:
                _LOG.warning("files that changed cannot be catalogued anew now: %s", error)
            except Exception:  # noqa: BLE001 - one bad file must not end this for all
                _LOG.exception("cataloguing a file that changed failed")
            self._at_work = False

    async def _renew(
        self, store: Store, book: RuleBook, pool: WarmPool, uri: str, version: str
    ) -> None:
        """Read one file and write what it is now."""
        try:
            known = (await asyncio.to_thread(store.known_among, [uri])).get(uri)
            if known is None or known.version != version:
                return
            if is_told(known.mapping_digest):
                await asyncio.to_thread(self._open_anew, store, known)
                return
            candidate, rules = await asyncio.to_thread(self._look, known, book)
            outcome = await read_elsewhere(
                pool, candidate, rules, self._settings.ingest.file_seconds, self._storage
            )
            why = await asyncio.to_thread(self._write, store, book, known, candidate, outcome)
        except SkylaneError as error:
            why = error.message
        if why:
            _LOG.warning("%s changed since it was catalogued; run 'skylane ingest': %s", uri, why)

    def _write(
        self, store: Store, book: RuleBook, known: KnownFile, candidate: Candidate, outcome: Outcome
    ) -> str:
        """Write a file if nothing is lost by it; gives why it was not written."""
        file = outcome.file
        if file is None:
            assert outcome.refusal is not None
            return outcome.refusal.message
        if file.version != candidate.stat.version:
            return "it changed again"
        if file.version == known.version:
            return ""
        if len(file.observations) < known.products:
            return f"it has {len(file.observations)} products now, and had {known.products}"
        run = RecordedRun(store, book, "renewal", f"a cutout found {known.uri} changed")
        if run.renew(file, known.version):
            run.count("updated")
            _LOG.info("%s changed, and was catalogued anew", candidate.uri)
        run.end()
        return ""

    def _open_anew(self, store: Store, known: KnownFile) -> None:
        """Index a file whose rows are what its source tells, and stay so.

        Raises
        ------
        SkylaneError
            If the file cannot be opened, or does not hold its products any more.
        """
        told = store.file_at(known.uri)
        if told is not None and told.version == known.version:
            file = opened(told, self._storage)
            if store.complete(file, known.version):
                _LOG.info("%s changed, and was indexed anew", known.uri)

    def _look(self, known: KnownFile, book: RuleBook) -> tuple[Candidate, Rules]:
        """Find what the assembly line needs to read a file.

        Raises
        ------
        SkylaneError
            If the file cannot be looked at, or the line would not make the same of it.
        """
        uri = known.uri
        rules = book.of(known.collection)
        relative = relative_of(uri, rules, known.mapping_digest)
        if relative is None:
            raise DataError("the settings that make its rows changed too")
        return Candidate(uri, relative, known.collection, self._storage.stat(uri)), rules


def relative_of(uri: str, rules: Rules, digest: str) -> str | None:
    """Find the path below its collection's folder by which a file was catalogued.

    Parameters
    ----------
    uri
        Of the file; the path is an end of its path.
    rules
        Of the collection, as they are now.
    digest
        Of the rules and the path by which it was catalogued.

    Returns
    -------
    str or None
        None if the rules were others then.
    """
    parts = _parts(uri)
    ends = ("/".join(parts[first:]) for first in range(len(parts) - 1, -1, -1))
    return next((end for end in ends if rules.digest_for(end) == digest), None)


def _parts(uri: str) -> list[str]:
    """Give the parts of a file's path, below its host or bucket; keys of S3 are as they stand."""
    if uri.startswith("s3:"):
        return uri.partition("://")[2].split("/")
    place = urlsplit(uri)
    return [place.netloc, *unquote(place.path).split("/")[1:]]
