"""What ``skylane ingest --watch`` does: the assembly line kept running until it is told to stop."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from obscore.assembly.live import LiveLine
from obscore.assembly.recording import RecordedRun, counted
from obscore.assembly.report import Summary, json_lines, refused_source
from obscore.assembly.rulebook import RuleBook
from obscore.settings import ObsCoreSettings
from obscore.sources.absent import Absent
from obscore.sources.base import Source
from obscore.sources.choice import with_folders
from obscore.sources.fits import FolderSource
from obscore.sources.polling import PollingWatch
from obscore.sources.watch import Watch, is_remote
from obscore.store.base import Backend
from skylane.folder import SiteFolder
from skylane.runs import command_line
from skylane.settings import load_settings
from vodal.errors import UsageError
from vodal.storage import Storage

__all__ = ["watch_sources"]


def watch_sources(
    console: Console,
    site: SiteFolder,
    backend: Backend,
    sources: Sequence[Source],
    absent: Sequence[Absent],
    settings: ObsCoreSettings,
    report_path: Path,
    *,
    storage: Storage,
    workers: int | None,
    prune: bool,
    poll_seconds: float | None,
) -> None:
    """Catalogue what sources hold, and then what lands in them, until SIGTERM or Ctrl-C.

    Those that could not be made are told of, and stay out.

    Raises
    ------
    UsageError
        If a source is a single file, there is no other, or another process watches for the site.
    """
    if not sources:
        raise UsageError("; ".join(one.message for one in absent))
    for source in sources:
        if isinstance(source, FolderSource) and source.start.is_file():
            raise UsageError(f"--watch takes folders, and {source.start} is none")
    if poll_seconds is not None:
        limits = settings.ingest.model_copy(update={"poll_seconds": poll_seconds})
        settings = settings.model_copy(update={"ingest": limits})

    def notice(message: str) -> None:
        console.print(f"{_now()}  {message}", style="yellow", soft_wrap=True, markup=False)

    def told(summary: Summary, waiting: int) -> None:
        console.print(f"{_now()}  {_line(summary, waiting)}", soft_wrap=True)

    book = RuleBook(
        settings, storage, lambda: with_folders(load_settings(site.path).obscore, sources)
    )
    with _only_one(site.path), json_lines(report_path) as report:
        store = RecordedRun(backend.writer(), book, "watch", command_line())
        try:
            line = LiveLine(
                sources, _watches(sources, settings, notice, poll=poll_seconds is not None),
                store, settings, workers=workers, prune=prune, report=counted(report, store),
                told=told, notice=notice, storage=storage, book=book,
            )  # fmt: skip
            console.print(
                f"Watching {', '.join(source.place for source in sources)}; stop with Ctrl-C.",
                soft_wrap=True,
                markup=False,
            )
            for one in absent:
                counted(report, store)(refused_source(one))
                notice(f"{one.collection} is left out until the watch starts anew: {one.message}")
            summary = asyncio.run(_run(line))
            store.end()
        finally:
            store.close()
    console.print(f"{_now()}  stopped; in all {_line(summary, 0)}", soft_wrap=True)


async def _run(line: LiveLine) -> Summary:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return await line.run(stop)


def _watches(
    sources: Sequence[Source],
    settings: ObsCoreSettings,
    notice: Callable[[str], None],
    *,
    poll: bool,
) -> list[tuple[Watch, Sequence[Source]]]:
    """Have the kernel tell of changes where it can; look through the other sources."""
    seconds = settings.ingest.poll_seconds
    folders = [source for source in sources if isinstance(source, FolderSource)]
    local = (
        []
        if poll or sys.platform != "linux"
        else [folder for folder in folders if not is_remote(folder.start)]
    )
    watches: list[tuple[Watch, Sequence[Source]]] = []
    if local:
        from obscore.sources.inotify import InotifyWatch  # noqa: PLC0415 - of Linux alone

        watches.append((InotifyWatch(local), local))
    far = [folder for folder in folders if folder not in local]
    if far and not poll:
        names = ", ".join(folder.place for folder in far)
        notice(f"looked through every {seconds:g} s, as on a network file system: {names}")
    # One that takes long, or does not answer, holds up no other.
    watches += [
        (PollingWatch([source], seconds), [source]) for source in sources if source not in local
    ]
    return watches


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Keep other watchers of the site out; the lock goes with the process.

    Raises
    ------
    UsageError
        If there is one.
    """
    path = folder / "watch.lock"
    with path.open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            number = file.read().strip()
            raise UsageError(
                f"another 'skylane ingest --watch' (process {number or 'unknown'}) runs for the"
                f" site {folder}"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _line(summary: Summary, waiting: int) -> str:
    """Write what became of a batch as one line."""
    count = summary.statuses.total()
    parts = [f"{number} {status}" for status, number in summary.statuses.most_common()]
    line = f"{count} file{'' if count == 1 else 's'}"
    if parts:
        line += f": {', '.join(parts)}"
    if summary.products:
        line += f"; {summary.products} row{'' if summary.products == 1 else 's'} written"
    if summary.reasons:
        line += f"; refused as {', '.join(sorted(summary.reasons))}"
    if waiting:
        line += f"; {waiting} more wait"
    return line
