"""From nothing to a running site: a synthetic survey (or a folder of one's own), ingest, HiPS."""

from __future__ import annotations

import shutil
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from vodal.testing.skies import make_survey

__all__ = ["survey_folder"]

_SIGN = "complete"
"""Written last into a made survey, so that one cut short is made anew."""


def progress_bar(console: Console) -> Progress:
    """Make the bar that every long step of the command line shows."""
    return Progress(
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        console=console,
        transient=False,
        disable=not console.is_terminal,
    )


def survey_folder(site: Path, console: Console) -> Path:
    """Give the folder of the synthetic survey, made if it is not there yet.

    The same survey is made each time: 40 exposures of 1024 x 1024 pixels in three bands.
    """
    folder = site / "data" / "demo"
    if (folder / f".{_SIGN}").is_file():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    with progress_bar(console) as bar:
        task = bar.add_task("Making a synthetic survey", total=None, note="")
        make_survey(folder, progress=lambda done, total: bar.update(task, completed=done, total=total))
    (folder / f".{_SIGN}").touch()
    return folder
