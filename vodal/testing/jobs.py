"""A runner of asynchronous jobs in a folder of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vodal.uws.results import ResultFolders
from vodal.uws.runner import Runner
from vodal.uws.settings import JobSettings
from vodal.uws.sqlite import SqliteJobs
from vodal.uws.store import JobStore

__all__ = ["make_runner"]


def make_runner(folder: Path, store: JobStore | None = None, **settings: Any) -> Runner:
    """Make a runner whose queue and results lie in a folder; several may share one.

    Parameters
    ----------
    folder
        Made if it is not there.
    store
        The queue, where it does not lie in the folder.
    settings
        Fields of `JobSettings`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return Runner(
        store or SqliteJobs(folder / "jobs.db"),
        ResultFolders(folder / "results"),
        JobSettings.model_validate(settings),
    )
