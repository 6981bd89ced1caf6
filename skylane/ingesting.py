"""What ``skylane ingest`` does: the assembly line over sources, each told of by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from rich.console import Console

from obscore.assembly.extra import declared_columns
from obscore.assembly.line import ingest
from obscore.assembly.recording import RecordedRun, counted
from obscore.assembly.report import Reporter, Summary, json_lines, refused_source
from obscore.assembly.rulebook import RuleBook
from obscore.settings import ObsCoreSettings
from obscore.sources.absent import Absent
from obscore.sources.base import Source, notes_of
from obscore.sources.choice import configured_sources, source_of, with_folders
from obscore.store.base import Backend, Store
from skylane.columns import declare_columns
from skylane.folder import SiteFolder
from skylane.progress import step
from skylane.runs import command_line
from skylane.settings import SiteSettings, load_settings
from skylane.watching import watch_sources
from vodal.errors import ServiceUnavailable, SettingsError, UsageError
from vodal.storage import Storage

__all__ = ["ingest_places"]


def ingest_places(
    console: Console,
    site_path: Path,
    places: Sequence[Path | str],
    collection: str | None,
    *,
    workers: int | None = None,
    dry_run: bool = False,
    prune: bool = False,
    report_path: Path | None = None,
    watch: bool = False,
    poll_seconds: float | None = None,
    scheduler: str | None = None,
) -> tuple[Absent, ...]:
    """Run the assembly line over sources and tell what it did; with ``watch`` keep it running.

    Returns
    -------
    tuple
        The sources that could not be read, where others could.

    Raises
    ------
    UsageError
        If none could be read, or what is asked for makes no sense.
    """
    if watch and dry_run:
        raise UsageError("--watch writes what lands; it cannot be had with --dry-run")
    if poll_seconds is not None and not watch:
        raise UsageError("--poll says how to watch; give --watch too")
    if scheduler is not None and watch:
        raise UsageError("--watch reads in processes of this machine; it takes no --scheduler")
    settings = load_settings(site_path)
    site = SiteFolder(site_path)
    with closing(Storage(settings.storage)) as storage:
        found = _sources(places, collection, settings.obscore, storage)
        sources = [one for one in found if not isinstance(one, Absent)]
        catalogue = with_folders(settings.obscore, sources)
        backend, faults = _store(console, site, settings, catalogue, dry_run=dry_run)
        sources, absent = _sorted_out(found, faults)
        report_path = report_path or _report_path(site)
        if watch:
            watch_sources(
                console, site, backend, sources, absent, catalogue, report_path,
                storage=storage, workers=workers, prune=prune, poll_seconds=poll_seconds,
            )  # fmt: skip
        else:
            book = RuleBook(catalogue, storage)
            bring = partial(
                ingest, settings=catalogue, workers=workers, dry_run=dry_run, prune=prune,
                storage=storage, scheduler=scheduler, book=book,
            )  # fmt: skip
            with closing(backend.writer()) as store, json_lines(report_path) as report:
                run = None if dry_run else RecordedRun(store, book, "ingest", command_line())
                told = report if run is None else counted(report, run)
                line = _Line(console, run or store, book, told, bring)
                absent = line.run(sources, absent)
                if run is not None:
                    run.end()
        console.print(f"  Report: {report_path}", soft_wrap=True)
        if len(absent) == len(found):
            raise UsageError(absent[0].message if len(absent) == 1 else _none_of(absent))
    return tuple(absent)


def _store(
    console: Console,
    site: SiteFolder,
    settings: SiteSettings,
    catalogue: ObsCoreSettings,
    *,
    dry_run: bool,
) -> tuple[Backend, Mapping[str, str]]:
    """Prepare the store; gives it, and why columns of some collections are not known."""
    backend = site.prepare(settings.store)
    if dry_run:
        return backend, declared_columns(catalogue).faults
    return backend, declare_columns(console, backend, catalogue)


def _report_path(site: SiteFolder) -> Path:
    site.reports.mkdir(exist_ok=True)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
    return site.reports / f"ingest-{stamp}.jsonl"


def _sorted_out(
    found: Sequence[Source | Absent], faults: Mapping[str, str]
) -> tuple[list[Source], list[Absent]]:
    """Set those apart whose configuration is wrong."""
    sources, absent = list[Source](), list[Absent]()
    for one in found:
        fault = faults.get(one.collection)
        if isinstance(one, Absent):
            absent.append(one)
        elif fault is not None:
            absent.append(Absent(one.collection, one.place, fault))
        else:
            sources.append(one)
    return sources, absent


def _none_of(absent: Sequence[Absent]) -> str:
    names = ", ".join(one.collection for one in absent)
    return f"none of the sources could be read: {names}; the report says why"


@dataclass(frozen=True)
class _Line:
    """One run over several sources."""

    console: Console
    store: Store
    book: RuleBook
    report: Reporter
    bring: Callable[..., Summary]
    """Brings the catalogue to what a source holds."""

    def run(self, sources: Sequence[Source], absent: Sequence[Absent]) -> list[Absent]:
        """Bring the catalogue to what sources hold; gives those that could not be read, too."""
        failed = list(absent)
        for one in absent:
            self._fail(one)
        for source in sources:
            try:
                self._one(source)
            except (UsageError, SettingsError) as error:
                failed.append(Absent(source.collection, source.place, error.message))
                self._fail(failed[-1])
        return failed

    def _one(self, source: Source) -> None:
        for note in notes_of(source):
            self._note(f"note: {source.collection}: {note}", "yellow")
        with step(self.console, f"Ingesting {source.collection}") as progress:
            try:
                self.book.of(source.collection)
            except ServiceUnavailable as error:  # the server with the mapping, not the store
                raise UsageError(error.message) from None
            summary = self.bring(source, self.store, report=self.report, progress=progress)
        for line in summary.lines():
            self.console.print(f"  {line}")

    def _fail(self, one: Absent) -> None:
        """Tell of a source that could not be read; the others are none the worse."""
        self.report(refused_source(one))
        self._note(f"{one.collection} is left out: {one.message}", "red")

    def _note(self, text: str, style: str) -> None:
        self.console.print(f"  {text}", style=style, soft_wrap=True, markup=False)


def _sources(
    places: Sequence[Path | str],
    collection: str | None,
    settings: ObsCoreSettings,
    storage: Storage,
) -> Sequence[Source | Absent]:
    """Give what to catalogue: the places named, else the sources of the settings."""
    if places:
        return [source_of(place, settings, storage, collection) for place in places]
    if collection is not None:
        own = settings.collections.get(collection)
        if own is None:
            raise UsageError(f"skylane.toml has no collection '{collection}'")
        settings = settings.model_copy(update={"collections": {collection: own}})
    sources = configured_sources(settings, storage)
    if not sources:
        raise UsageError(
            "name a folder of FITS files, or give collections a folder in skylane.toml"
        )
    return sources
