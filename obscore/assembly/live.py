"""The assembly line kept running: files are catalogued as they land.

    watch.changes, now and then surveys -> landing -> read_file, in warm processes -> delivery
                                        -> wholesale, of tables

While a batch is written the next one gathers, so that batches grow with the backlog. What has just
landed is read before what a survey has found. All that this process knows may be lost at any time:
the catalogue says what is done, and the survey at the start finds the rest.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

from obscore.assembly.ahead import FAR_PORTION
from obscore.assembly.delivery import Delivered, Delivery, Lost, Read
from obscore.assembly.landing import Expired, Landing, lacks
from obscore.assembly.line import SKIPPED, worker_count
from obscore.assembly.outbox import Outbox
from obscore.assembly.outcome import Outcome
from obscore.assembly.readers import read_portion, reading_pool
from obscore.assembly.refusal import Refusal
from obscore.assembly.report import FileReport, Reporter, Status, Summary
from obscore.assembly.rulebook import RuleBook
from obscore.assembly.rulewatch import RuleWatch
from obscore.assembly.settled import Settled
from obscore.assembly.surveys import Surveys
from obscore.assembly.wholesale import Wholesale
from obscore.settings import ObsCoreSettings
from obscore.sources.base import Candidate, Problem, Source
from obscore.sources.polling import PollingWatch
from obscore.sources.watch import Change, ExhaustedError, Watch
from obscore.store.base import Store
from vodal.pool import WarmPool
from vodal.storage import LOCAL, Storage

__all__ = ["LiveLine", "Told"]

T = TypeVar("T")
Told = Callable[[Summary, int], None]
"""Told of each batch, and how many files wait."""

_TURN_S = 0.1
"""How often waiting files are looked at, and how long a watch waits for changes at most twice."""
_GRACE_S = 1.0
"""A file that is gone for so long is not about to be replaced."""
_LANDED, _FOUND, _END = 1, 2, 0
"""In which order files are read."""
_CHANGED = Refusal("changed", "the file changed since it was read")


@dataclass(frozen=True, slots=True)
class _Ready:
    """A file that may be read."""

    source: Source
    uri: str
    found: Candidate | None
    """Of one on a server, as it was met; others are looked at when it is their turn."""


class LiveLine:
    """Keeps the catalogue at what sources hold.

    Parameters
    ----------
    sources
        What there is to catalogue. Of several that hold a file the deepest counts.
    watches
        Tell of changes in them, each for some of the sources.
    store
        Where rows are written; used by one thread at a time.
    settings
        Of the catalogue.
    workers
        Processes that read headers; None for the setting's number, one at least.
    prune
        Whether files that vanish are removed from the catalogue; they are reported else.
    report
        Told of each file, but not of those that have not changed.
    told
        Told of each batch.
    notice
        Told what an operator should know.
    storage
        Opens files on servers.
    book
        Has the rules by the same settings; None for one of the line's own.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        watches: Sequence[tuple[Watch, Sequence[Source]]],
        store: Store,
        settings: ObsCoreSettings,
        *,
        workers: int | None = None,
        prune: bool = False,
        report: Reporter = lambda _: None,
        told: Told = lambda _summary, _waiting: None,
        notice: Callable[[str], None] = lambda _: None,
        storage: Storage = LOCAL,
        book: RuleBook | None = None,
    ) -> None:
        self._sources = sorted(sources, key=lambda one: -len(one.under_uri))
        self._watches, self._store = watches, store
        self._limits = settings.ingest
        self._workers = max(1, worker_count(workers, settings))
        self._told, self._notice, self._storage = told, notice, storage
        self._landing = Landing(self._limits)
        self._book = book or RuleBook(settings, storage)
        self._numbers = itertools.count()
        self._line: asyncio.PriorityQueue[tuple[int, int, _Ready | None]]
        self._line = asyncio.PriorityQueue()
        self._busy: dict[str, Change | None] = {}
        """URIs of what is being read or written, and what happened to it meanwhile."""
        self._gone: dict[str, tuple[float, Lost]] = {}
        self._settled = Settled()
        self._outbox = Outbox(
            Delivery(store, report, self._skips, prune=prune), self._limits, notice,
            backlog=lambda: len(self._busy), done=self._written,
        )  # fmt: skip
        self._wholesale = Wholesale(
            store, settings, self._book, storage, report, workers=self._workers, prune=prune
        )
        self._surveys = Surveys(
            store, self._book, self._wholesale, notice, found=self._take_found,
            vanished=self._take_vanished, brought=self._tell,
        )  # fmt: skip
        self._stopping = False
        # Walks over servers that are slow must not keep the store's writer from a thread.
        self._threads = ThreadPoolExecutor(len(watches) + 1, "watch")
        self.summary = Summary()

    async def run(self, stop: asyncio.Event) -> Summary:
        """Run until told to stop; files in hand are written first.

        Raises
        ------
        ArchiveError
            If the store cannot be written; what was written before stays.
        """
        async with reading_pool(self._workers, self._limits) as pool:
            try:
                async with asyncio.TaskGroup() as group:
                    readers = [group.create_task(self._read(pool)) for _ in range(self._workers)]
                    group.create_task(self._outbox.run())
                    rules = RuleWatch(self._book, self._notice)
                    looks = rules.run(self._limits.poll_seconds, self._follow)
                    chores = [group.create_task(self._keep_time()), group.create_task(looks)]
                    watching = [
                        group.create_task(self._watch(watch, sources))
                        for watch, sources in self._watches
                    ]
                    surveying = group.create_task(self._surveys.run())
                    await stop.wait()
                    self._stopping = self._outbox.stopping = True
                    for watch, _ in self._watches:
                        watch.interrupt()
                    for chore in chores:
                        chore.cancel()
                    self._surveys.stop()
                    await asyncio.wait([*watching, surveying])
                    for _ in readers:
                        self._line.put_nowait((_END, next(self._numbers), None))
                    await asyncio.wait(readers)
                    self._outbox.close()
            except BaseExceptionGroup as faults:
                raise faults.exceptions[0] from None
            finally:
                self._threads.shutdown(wait=False)
        return self.summary

    # What happens

    async def _watch(self, watch: Watch, sources: Sequence[Source]) -> None:
        """Hear of changes in some sources; by polling, if the system tells of no more."""
        try:
            await self._in_thread(watch.begin)
            for source in sources:
                self._surveys.ask(source)
            while not self._stopping:
                for change in await self._in_thread(watch.changes, 2 * _TURN_S):
                    self._change(change, sources)
        except ExhaustedError as error:
            seconds = self._limits.poll_seconds
            self._notice(f"{error.message}; until then all is looked through every {seconds:g} s")
            await self._watch(PollingWatch(sources, seconds), sources)
        finally:
            await self._in_thread(watch.close)

    async def _in_thread(self, do: Callable[..., T], *given: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, do, *given)

    def _change(self, change: Change, sources: Sequence[Source]) -> None:
        if change.kind == "missed":
            for below in sources:
                if below.under_uri.startswith(change.uri):
                    self._surveys.ask(below)
            return
        # Of one whose files lie anywhere only its own watch tells, and what has gone from a list is
        # not held by it any more.
        scattered = next((one for one in sources if one.is_scattered), None)
        alone = sources[0] if len(sources) == 1 else None
        source = scattered or self._home(change.uri) or alone
        if source is None:
            return
        if source.collection not in self._book or self._wholesale.takes(source):
            # A survey reads the mapping, of servers in a thread, and tells what is wrong with it.
            self._surveys.ask(source)
            return
        if change.kind == "gone":
            self._gone[change.uri] = (time.monotonic() + _GRACE_S, Lost(source, change.uri))
            self._settled.forget(change.uri)
        else:
            self._gone.pop(change.uri, None)
            self._arrive(source, change)

    def _home(self, uri: str) -> Source | None:
        """Give the source whose file this is."""
        return next((one for one in self._sources if one.holds(uri)), None)

    def _arrive(self, source: Source, change: Change) -> None:
        """Take a file that may have changed."""
        uri = change.uri
        if uri in self._busy:
            before = self._busy[uri]
            was_whole = before is not None and before.kind == "whole"
            self._busy[uri] = replace(change, kind="whole") if was_whole else change
            return
        whole, opened = change.kind == "whole", change.kind == "opened"
        found = self._landing.arrive(source, uri, whole=whole, opened=opened, found=change.found)
        if found is not None:
            self._offer(source, found, _LANDED)

    def _offer(self, source: Source, found: Candidate | Problem, rank: int) -> None:
        """Put a file in line to be read, unless that was done."""
        uri = found.uri
        if isinstance(found, Problem):
            if self._settled.is_news(uri, found.reason):
                self._outbox.put(_problem_report(source, found))
        elif uri in self._busy:
            self._busy[uri] = self._busy[uri] or Change("begun", uri, found)
        elif self._skips(found) or self._settled.has(uri, _mark(found, self._digest(found))):
            self._landing.forget(uri)
        else:
            self._busy[uri] = None
            ready = _Ready(source, uri, found if source.is_remote else None)
            self._line.put_nowait((rank, next(self._numbers), ready))

    def _skips(self, candidate: Candidate) -> bool:
        return self._book.of(candidate.collection).skips(candidate.relative)

    def _digest(self, candidate: Candidate) -> str:
        return self._book.of(candidate.collection).digest_of(candidate)

    def _follow(self, collection: str) -> None:
        """Have files read anew that other rules concern from now on: a survey finds them."""
        for source in self._sources:
            if source.collection == collection:
                self._surveys.ask(source)

    # What time brings

    async def _keep_time(self) -> None:
        """Look at what waits, and ask for surveys."""
        loop = asyncio.get_running_loop()
        due_s = loop.time() + self._limits.rescan_seconds
        while True:
            await asyncio.sleep(_TURN_S)
            for source, _, found in self._landing.due():
                if isinstance(found, Expired) and found.refusal.reason == "unfilled":
                    self._offer(source, found.candidate, _LANDED)
                elif isinstance(found, Expired):
                    refused = Outcome(refusal=found.refusal)
                    digest = self._digest(found.candidate)
                    self._outbox.put(Read(source, found.candidate, refused, digest))
                else:
                    self._offer(source, found, _LANDED)
            self._lose()
            if loop.time() >= due_s:
                due_s = loop.time() + self._limits.rescan_seconds
                for source in self._sources:
                    self._surveys.ask(source)

    def _lose(self) -> None:
        """Pass on what is gone for good."""
        now_s = time.monotonic()
        for uri, (due_s, lost) in list(self._gone.items()):
            if now_s >= due_s:
                del self._gone[uri]
                sure = lost.source.is_remote or uri.endswith("/")
                if sure or lost.source.look(uri) is None:
                    self._outbox.put(lost)

    def _take_found(self, source: Source, item: Candidate | Problem) -> None:
        """Take what a survey has found new."""
        if isinstance(item, Problem) or (
            (source.is_scattered or self._home(item.uri) is source)
            and self._landing.resume(source, item) is not None
        ):
            self._offer(source, item, _FOUND)

    def _take_vanished(self, source: Source, uri: str) -> None:
        if self._settled.is_news(uri, "vanished"):
            self._outbox.put(Lost(source, uri))

    def _tell(self, summary: Summary) -> None:
        """Tell of what was written."""
        if summary.statuses:
            self.summary.merge(summary)
            self._told(summary, len(self._busy))

    # From files to rows

    async def _read(self, pool: WarmPool) -> None:
        """Have files read, one after the other, or some of a server at a time."""
        while True:
            taken = await self._take()
            if not taken:
                return
            await self._outbox.room()
            wanted = [(one, found) for one in taken if (found := self._look(one)) is not None]
            portion = [(found, self._book.of(found.collection)) for _, found in wanted]
            outcomes = await read_portion(pool, portion, self._limits.file_seconds, self._storage)
            for (one, found), (_, rules), outcome in zip(wanted, portion, outcomes, strict=True):
                lack = lacks(outcome)
                is_done = outcome.file is not None and self._landing.is_lasting(one.source, found)
                if lack is not None and not is_done:
                    self._landing.short(one.source, found, lack)
                    self._release(one.source, one.uri)
                else:
                    self._outbox.put(Read(one.source, found, outcome, rules.digest_of(found)))

    async def _take(self) -> list[_Ready]:
        """Give the next file in line; if it is on a server, with others there; none at the end."""
        taken: list[_Ready] = []
        while not taken or (taken[0].found is not None and len(taken) < FAR_PORTION):
            if taken and self._line.empty():
                break
            place = await self._line.get()
            ready = place[2]
            if ready is None or (taken and ready.found is None):
                if taken:
                    self._line.put_nowait(place)
                break
            taken.append(ready)
        return taken

    def _look(self, ready: _Ready) -> Candidate | None:
        """Give a file as it is now, if it is there to be read."""
        source, uri = ready.source, ready.uri
        found = source.look(uri) if ready.found is None else ready.found
        if isinstance(found, Candidate):
            return found
        self._landing.forget(uri)
        self._release(source, uri)
        if found is not None:
            self._offer(source, found, _LANDED)
        return None

    def _release(self, source: Source, uri: str) -> None:
        """Be done with a file, unless something happened to it meanwhile."""
        meanwhile = self._busy.pop(uri, None)
        if meanwhile is not None:
            self._arrive(source, meanwhile)

    def _written(self, items: Sequence[Read | Lost | FileReport], delivered: Delivered) -> None:
        stale = {read.uri: read for read in delivered.stale}
        for item in items:
            if not isinstance(item, Read):
                continue
            newer = stale.get(item.uri)
            if newer is not None:
                self._landing.short(item.source, newer.candidate, _CHANGED)
            else:
                made = None if item.source.is_remote else item.outcome.file
                version = None if made is None else made.version
                self._settled.is_news(item.uri, _mark(item.candidate, item.digest, version))
                self._landing.forget(item.uri)
            self._release(item.source, item.uri)
        self._tell(delivered.summary)


def _mark(candidate: Candidate, digest: str, version: str | None = None) -> str:
    """Give what changes when a file, what is told of it, or the rules that it is read by do."""
    return f"{candidate.mark(version)} {digest}"


def _problem_report(source: Source, problem: Problem) -> FileReport:
    status: Status = "skipped" if problem.reason in SKIPPED else "refused"
    return FileReport(problem.uri, "", source.collection, status, problem.reason, problem.message)
