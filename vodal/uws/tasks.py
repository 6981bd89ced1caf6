"""A job at work, and what a service does for its jobs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum, auto
from typing import Protocol

from vodal.access.rules import EVERYTHING, Rights
from vodal.params import Params
from vodal.uws.jobs import Job, JobResult
from vodal.uws.results import JobFolder, Sink
from vodal.uws.store import Claim

__all__ = ["JobRights", "Stop", "Task", "Work", "all_rights"]


class Stop(Enum):
    """Why a job is told to stop while it works."""

    TAKEN = auto()
    """It is not ours any more: aborted, deleted, or taken by another server process."""
    LOST = auto()
    """The store could not be reached for so long that another server process may have taken it."""
    OVERTIME = auto()
    """Its execution duration is used up."""
    SHUTDOWN = auto()
    """The server process stops."""


class Task:
    """One run of a job.

    Parameters
    ----------
    job
        As it was taken from the queue.
    folder
        Its files.
    max_result_bytes
        Largest result.
    """

    def __init__(self, job: Job, folder: JobFolder, max_result_bytes: int) -> None:
        self.job = job
        self.folder = folder
        self.claim = Claim(job.id, job.claim)
        self.cancelled = threading.Event()
        """Set when the run has to end at once, whatever the reason."""
        self.stop: Stop | None = None
        self.results: list[JobResult] = []
        self.began = time.monotonic()
        self.duration_s = job.duration_s
        """Seconds it may run, which the client may change meanwhile; 0 for no limit."""
        self.why_long: str | None = None
        """What the work says of a run that used up its time, as the end of a sentence."""
        self.max_result_bytes = max_result_bytes
        self._lock = threading.Lock()
        self._info: dict[str, str] = {}
        self._told: dict[str, str] = {}

    def cancel(self, reason: Stop) -> None:
        """Tell the run to end; the first reason counts."""
        with self._lock:
            if self.stop is None:
                self.stop = reason
        self.cancelled.set()

    def report(self, **counts: int | str) -> None:
        """Tell of the progress: names and values, seen by clients within about a second."""
        with self._lock:
            self._info.update({name: str(value) for name, value in counts.items()})

    def info(self) -> tuple[tuple[str, str], ...]:
        """Give what was told of the progress."""
        with self._lock:
            return tuple(self._info.items())

    def news(self) -> tuple[tuple[str, str], ...] | None:
        """Give what was told of the progress, None if nothing new since this was last asked."""
        with self._lock:
            if self._info == self._told:
                return None
            self._told = dict(self._info)
            return tuple(self._info.items())

    @contextmanager
    def result(self, name: str, media_type: str, extension: str) -> Iterator[Sink]:
        """Write one result; it is there only if the block ends well, and so does the job.

        Parameters
        ----------
        name
            Of the result, as in ``/results/NAME``.
        media_type
            Content-Type that it is served with.
        extension
            Of the file, without dot.

        Raises
        ------
        StorageFullError
            If the disk is full.
        StoppedError
            If the run has to end.
        TooLargeError
            If it grows over the limit.
        """
        file_name = f"{name}.{extension}"
        with self.folder.write(
            self.job.claim,
            file_name,
            self.max_result_bytes,
            self.cancelled,
            lambda size: self.report(bytes=size),
        ) as sink:
            yield sink
        self.add_result(name, file_name, media_type)

    def add_result(self, name: str, file_name: str, media_type: str) -> None:
        """Take a file of the run as a result, which the work has written by itself.

        Parameters
        ----------
        name, media_type
            As for `result`.
        file_name
            Within the run's folder.
        """
        size_bytes = (self.folder.run(self.job.claim) / file_name).stat().st_size
        path = f"{self.job.claim}/{file_name}"
        self.results.append(JobResult(name, path, media_type, size_bytes))


JobRights = Callable[[JobFolder], Rights]
"""Gives the rights that a job runs with, by its folder; reads a file."""


def all_rights(_: JobFolder) -> Rights:
    """Give every right, as where all is public."""
    return EVERYTHING


class Work(Protocol):
    """What a service does for its jobs; an extension point."""

    resumes: bool = False
    """Whether a run goes on with what an earlier one made. Then the files of earlier runs are there
    when it begins, and it removes them itself (`JobFolder.begin`)."""

    def check(self, params: Params, folder: JobFolder) -> None:  # noqa: ARG002 - of the seam
        """Look at a job that is told to run, so that what is wrong for certain is refused at once.

        Called in a thread, while a client waits. By default nothing is looked at.

        Parameters
        ----------
        params
            Of the job.
        folder
            With what was uploaded.

        Raises
        ------
        UsageError
            If the job could only end in this error.
        """
        return

    def run(self, task: Task) -> None:
        """Do a job, in a thread of its own: write its results, or raise why there are none.

        It should look at ``task.cancelled`` several times a second, also while a database works,
        and end by any exception when it is set.
        """
        ...
