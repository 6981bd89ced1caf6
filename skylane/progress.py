"""What long work shows: a bar on a terminal, a line a step in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text
from typing_extensions import override

__all__ = ["Report", "step"]

Report = Callable[[int, int], None]
"""Told the number done and the total; a total of 0 is not known yet."""

_LOG_EVERY_S = 10.0


class _Rate(ProgressColumn):
    """Items a second."""

    @override
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if not speed else f"{speed:.0f}/s" if speed >= 10 else f"{speed:.1f}/s")


@contextmanager
def step(console: Console, title: str) -> Iterator[Report]:
    """Show one step of long work; gives what to call as it goes on."""
    started = time.monotonic()
    if console.is_terminal:
        with Progress(
            TextColumn("{task.description:<30}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            _Rate(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
        ) as bar:
            task = bar.add_task(title, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total or None)
        return
    said = started
    console.print(f"{title} ...")

    def report(done: int, total: int) -> None:
        nonlocal said
        if time.monotonic() - said >= _LOG_EVERY_S:
            said = time.monotonic()
            console.print(f"{title}: {done} of {total or '?'}")

    yield report
    console.print(f"{title}: done in {time.monotonic() - started:.1f} s")
