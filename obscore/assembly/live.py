"""The assembly line kept running: files are catalogued as they land.

    watch.changes, now and then survey -> landing -> read_file, in warm processes -> delivery

While a batch is written the next one gathers, so that batches grow with the backlog. What has just
landed is read before what a survey has found. All that this process knows may be lost at any time:
the catalogue says what is done, and the survey at the start finds the rest.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

from obscore.assembly.delivery import Delivered, Delivery, Lost, Read
from obscore.assembly.landing import INCOMPLETE, Expired, Landing
from obscore.assembly.line import SKIPPED, read_elsewhere, reading_pool, worker_count
from obscore.assembly.outbox import Outbox
from obscore.assembly.read import Outcome
from obscore.assembly.refusal import Refusal
from obscore.assembly.report import FileReport, Reporter, Status, Summary
from obscore.assembly.rules import Rules, rules_for
from obscore.assembly.survey import Survey
from obscore.settings import ObsCoreSettings
from obscore.sources.base import Candidate, Problem
from obscore.sources.fits import FolderSource
from obscore.sources.watch import Change, ExhaustedError, PollingWatch, Watch
from obscore.store.base import Store
from vodal.errors import ServiceUnavailable, UsageError
from vodal.pool import WarmPool
from vodal.storage import local_path

__all__ = ["LiveLine", "Told"]

Told = Callable[[Summary, int], None]
"""Told of each batch, and how many files wait."""

_TURN_S = 0.1
"""How often waiting files are looked at, and how long a watch waits for changes at most twice."""
_GRACE_S = 1.0
"""A file that is gone for so long is not about to be replaced."""
_REMEMBERED = 10_000
_LANDED, _FOUND, _END = 1, 2, 0
"""In which order files are read."""
_CHANGED = Refusal("changed", "the file changed since it was read")
_PATIENCE_S = 30.0
"""A store that does not answer is left alone for so long before a survey."""


class LiveLine:
    """Keeps the catalogue at what folders hold.

    Parameters
    ----------
    sources
        The folders. Of several that hold a file the deepest counts.
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
    """

    def __init__(
        self,
        sources: Sequence[FolderSource],
        watches: Sequence[tuple[Watch, Sequence[FolderSource]]],
        store: Store,
        settings: ObsCoreSettings,
        *,
        workers: int | None = None,
        prune: bool = False,
        report: Reporter = lambda _: None,
        told: Told = lambda _summary, _waiting: None,
        notice: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._sources = sorted(sources, key=lambda one: -len(one.start.parts))
        self._watches, self._store, self._settings = watches, store, settings
        self._limits = settings.ingest
        self._workers = max(1, worker_count(workers, settings))
        self._told, self._notice = told, notice
        self._landing = Landing(self._limits)
        self._rules: dict[str, Rules] = {}
        self._numbers = itertools.count()
        self._line: asyncio.PriorityQueue[tuple[int, int, FolderSource | None, str]]
        self._line = asyncio.PriorityQueue()
        self._busy: dict[str, str] = {}
        """Paths that are being read or written, and what happened to them meanwhile."""
        self._gone: dict[str, tuple[float, Lost]] = {}
        self._settled: OrderedDict[str, str] = OrderedDict()
        """Versions of files whose outcome was told lately, by path."""
        self._outbox = Outbox(
            Delivery(store, report, self._skips, prune=prune), self._limits, notice,
            backlog=lambda: len(self._busy), done=self._written,
        )  # fmt: skip
        self._surveys: asyncio.Queue[FolderSource | None] = asyncio.Queue()
        self._to_survey: set[FolderSource] = set()
        self._away: set[FolderSource] = set()
        self._stopping = False
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
                    chores = [group.create_task(self._keep_time())]
                    watching = [
                        group.create_task(self._watch(watch, sources))
                        for watch, sources in self._watches
                    ]
                    surveying = group.create_task(self._survey())
                    await stop.wait()
                    self._stopping = self._outbox.stopping = True
                    for chore in chores:
                        chore.cancel()
                    self._surveys.put_nowait(None)
                    await asyncio.wait([*watching, surveying])
                    for _ in readers:
                        self._line.put_nowait((_END, next(self._numbers), None, ""))
                    await asyncio.wait(readers)
                    self._outbox.close()
            except BaseExceptionGroup as faults:
                raise faults.exceptions[0] from None
        return self.summary

    # What happens

    async def _watch(self, watch: Watch, sources: Sequence[FolderSource]) -> None:
        """Hear of changes in some folders; by polling, if the system tells of no more."""
        try:
            await asyncio.to_thread(watch.begin)
            for source in sources:
                self._ask_survey(source)
            while not self._stopping:
                for change in await asyncio.to_thread(watch.changes, 2 * _TURN_S):
                    self._change(change, sources)
        except ExhaustedError as error:
            seconds = self._limits.poll_seconds
            self._notice(f"{error.message}; until then all is looked through every {seconds:g} s")
            await self._watch(PollingWatch(sources, seconds), sources)
        finally:
            await asyncio.to_thread(watch.close)

    def _change(self, change: Change, sources: Sequence[FolderSource]) -> None:
        if change.kind == "missed":
            for below in sources:
                if below.start.is_relative_to(change.path):
                    self._ask_survey(below)
            return
        source = self._home(change.path)
        if source is None:
            return
        if change.kind in {"gone", "folder-gone"}:
            lost = Lost(source, change.path, is_folder=change.kind == "folder-gone")
            self._gone[change.path] = (time.monotonic() + _GRACE_S, lost)
            self._forget_below(change.path, is_folder=lost.is_folder)
        else:
            self._arrive(source, change.path, whole=change.kind == "whole")

    def _home(self, path: str) -> FolderSource | None:
        """Give the source whose file this is."""
        fitting = (one for one in self._sources if Path(path).is_relative_to(one.start))
        return next(fitting, None)

    def _forget_below(self, path: str, *, is_folder: bool) -> None:
        self._settled.pop(path, None)
        if is_folder:
            for inner in [one for one in self._settled if one.startswith(path + "/")]:
                del self._settled[inner]

    def _arrive(self, source: FolderSource, path: str, *, whole: bool) -> None:
        """Take a file that may have changed."""
        if path in self._busy:
            self._busy[path] = "whole" if whole else self._busy[path] or "begun"
            return
        found = self._landing.arrive(source, path, whole=whole)
        if found is not None:
            self._offer(source, path, found, _LANDED)

    def _offer(
        self, source: FolderSource, path: str, found: Candidate | Problem, rank: int
    ) -> None:
        """Put a file in line to be read, unless that was done."""
        if isinstance(found, Problem):
            if self._is_news(path, found.reason):
                self._outbox.put(_problem_report(source, found))
        elif path in self._busy:
            self._busy[path] = self._busy[path] or "begun"
        elif self._skips(found) or self._settled.get(path) == found.stat.version:
            self._landing.forget(path)
        else:
            self._busy[path] = ""
            self._line.put_nowait((rank, next(self._numbers), source, path))

    def _skips(self, candidate: Candidate) -> bool:
        return self._rules_of(candidate.collection).skips(candidate.relative)

    def _rules_of(self, collection: str) -> Rules:
        if collection not in self._rules:
            self._rules[collection] = rules_for(self._settings, collection)
        return self._rules[collection]

    def _is_news(self, path: str, what: str) -> bool:
        """Remember what is told of a file; tells whether it was not told lately."""
        if self._settled.get(path) == what:
            return False
        self._settled[path] = what
        self._settled.move_to_end(path)
        if len(self._settled) > _REMEMBERED:
            self._settled.popitem(last=False)
        return True

    # What time brings

    async def _keep_time(self) -> None:
        """Look at what waits, and ask for surveys."""
        loop = asyncio.get_running_loop()
        due_s = loop.time() + self._limits.rescan_seconds
        while True:
            await asyncio.sleep(_TURN_S)
            for source, path, found in self._landing.due():
                if isinstance(found, Expired):
                    refused = Outcome(refusal=found.refusal)
                    self._outbox.put(Read(source, path, found.candidate, refused))
                else:
                    self._offer(source, path, found, _LANDED)
            self._lose()
            if loop.time() >= due_s:
                due_s = loop.time() + self._limits.rescan_seconds
                for source in self._sources:
                    self._ask_survey(source)

    def _lose(self) -> None:
        """Pass on what is gone for good."""
        now_s = time.monotonic()
        for path, (due_s, lost) in list(self._gone.items()):
            if now_s >= due_s:
                del self._gone[path]
                if not os.path.lexists(path):
                    self._outbox.put(lost)

    def _ask_survey(self, source: FolderSource) -> None:
        if source not in self._to_survey:
            self._to_survey.add(source)
            self._surveys.put_nowait(source)

    async def _survey(self) -> None:
        """Compare folders with the catalogue, one after the other, as it is asked for."""
        while True:
            source = await self._surveys.get()
            if source is None or self._stopping:
                return
            self._to_survey.discard(source)
            try:
                await self._survey_one(source)
            except UsageError as error:
                if source not in self._away:
                    self._notice(f"{error.message}; it is looked for again")
                    self._away.add(source)
            except ServiceUnavailable as error:
                self._notice(f"{error.message}; the folders are compared with it later")
                asyncio.get_running_loop().call_later(_PATIENCE_S, self._ask_survey, source)

    async def _survey_one(self, source: FolderSource) -> None:
        found, vanished = await asyncio.to_thread(self._compare, source)
        self._away.discard(source)
        for number, item in enumerate(found):
            path = str(local_path(item.uri))
            if isinstance(item, Problem) or (
                self._home(path) is source and self._landing.resume(source, item) is not None
            ):
                self._offer(source, path, item, _FOUND)
            if number % 1000 == 0:
                await asyncio.sleep(0)
        for uri in vanished:
            path = str(local_path(uri))
            if self._is_news(path, "vanished"):
                self._outbox.put(Lost(source, path))

    def _compare(self, source: FolderSource) -> tuple[list[Candidate | Problem], list[str]]:
        """Walk over a folder; in a thread."""
        survey = Survey(source, self._store, self._rules_of)
        found: list[Candidate | Problem] = []
        for item, verdict, _ in survey.walk():
            if verdict in {"new", "problem"}:
                found.append(item)
            if self._stopping:
                return [], []
        return found, list(survey.vanished())

    # From files to rows

    async def _read(self, pool: WarmPool) -> None:
        """Have files read, one after the other."""
        while True:
            _, _, source, path = await self._line.get()
            if source is None:
                return
            await self._outbox.room()
            found = source.look(path)
            if not isinstance(found, Candidate):
                self._landing.forget(path)
                self._release(source, path)
                if found is not None:
                    self._offer(source, path, found, _LANDED)
                continue
            rules = self._rules_of(found.collection)
            outcome = await read_elsewhere(pool, found, rules, self._limits.file_seconds)
            if outcome.refusal is not None and outcome.refusal.reason in INCOMPLETE:
                self._landing.short(source, found, outcome.refusal)
                self._release(source, path)
            else:
                self._outbox.put(Read(source, path, found, outcome))

    def _release(self, source: FolderSource, path: str) -> None:
        """Be done with a file, unless something happened to it meanwhile."""
        meanwhile = self._busy.pop(path, "")
        if meanwhile:
            self._arrive(source, path, whole=meanwhile == "whole")

    def _written(self, items: Sequence[Read | Lost | FileReport], delivered: Delivered) -> None:
        stale = {read.path for read in delivered.stale}
        for item in items:
            if not isinstance(item, Read):
                continue
            if item.path in stale:
                found = item.source.look(item.path)
                if isinstance(found, Candidate):
                    self._landing.short(item.source, found, _CHANGED)
            else:
                made = item.outcome.file
                version = item.candidate.stat.version if made is None else made.index.version
                self._is_news(item.path, version)
                self._landing.forget(item.path)
            self._release(item.source, item.path)
        if delivered.summary.statuses:
            self.summary.merge(delivered.summary)
            self._told(delivered.summary, len(self._busy))


def _problem_report(source: FolderSource, problem: Problem) -> FileReport:
    status: Status = "skipped" if problem.reason in SKIPPED else "refused"
    return FileReport(problem.uri, "", source.collection, status, problem.reason, problem.message)
