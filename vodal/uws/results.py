"""Files of jobs: a folder for each, with what was uploaded and what came out.

    ROOT/JOB/inputs/...     uploaded with the job; removed when it ends
    ROOT/JOB/CLAIM/...      results of one run
    ROOT/JOB/owner.json     who made it, with the groups of that moment; not of an unknown one

A result is written under another name, synchronised and renamed; it is a result only once the
store says so. Each run has a folder of its own, so that a server process which lost the job to
another, and does not know yet, cannot touch the files of the other.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from vodal.access.identity import ANONYMOUS, Identity
from vodal.errors import ArchiveError, NotFoundError, ServiceUnavailable, TooLargeError
from vodal.uws.jobs import Job, JobResult, is_job_id

__all__ = [
    "JobFolder",
    "ResultFolders",
    "Sink",
    "StoppedError",
    "StorageFullError",
    "disk_errors",
]

_INPUTS = "inputs"
_OWNER = "owner.json"
_PART = ".part"
_BUFFER_BYTES = 1 << 20
_ORPHAN_S = 3600
"""A folder younger than this may belong to a job that is just being made."""

_FULL = {errno.ENOSPC, errno.EDQUOT}


class StorageFullError(ServiceUnavailable):
    """There is no room for a result."""


class StoppedError(ServiceUnavailable):
    """The job was told to stop while it wrote."""


@contextmanager
def disk_errors() -> Iterator[None]:
    """Turn errors of the disk into ours.

    Raises
    ------
    StorageFullError
        If the disk is full.
    ArchiveError
        For all else.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFullError(
                "the service's disk for results is full; try again later, or ask for less",
                retry_after_s=600,
            ) from error
        raise ArchiveError(f"the result cannot be written: {error.strerror}") from error


class Sink:
    """Takes the bytes of one result.

    Parameters
    ----------
    file
        Where they go.
    limit_bytes
        How many there may be.
    cancelled
        Set from outside to stop.
    count
        Called with the number of bytes written so far.
    """

    def __init__(
        self,
        file: BinaryIO,
        limit_bytes: int,
        cancelled: threading.Event,
        count: Callable[[int], None],
    ) -> None:
        self._file = file
        self._limit_bytes = limit_bytes
        self._cancelled = cancelled
        self._count = count
        self.size_bytes = 0

    def write(self, data: bytes) -> None:
        """Write a piece.

        Raises
        ------
        StoppedError
            If the job was told to stop.
        TooLargeError
            If the result grew over its limit.
        StorageFullError
            If the disk is full.
        """
        if self._cancelled.is_set():
            raise StoppedError("the job was stopped")
        self.size_bytes += len(data)
        if self.size_bytes > self._limit_bytes:
            raise TooLargeError(
                f"the result is larger than {self._limit_bytes} bytes, the limit of this service;"
                " ask for less"
            )
        with disk_errors():
            self._file.write(data)
        self._count(self.size_bytes)


class JobFolder:
    """The files of one job.

    Parameters
    ----------
    path
        The folder, made when something is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def inputs(self) -> Path:
        """Where uploads lie until the job ends; whoever writes there makes it."""
        return self.path / _INPUTS

    def drop_inputs(self) -> None:
        """Remove the uploads."""
        shutil.rmtree(self.inputs, ignore_errors=True)

    def keep_owner(self, owner: Identity) -> None:
        """Remember who made the job: it runs with the rights of that moment.

        Raises
        ------
        StorageFullError, ArchiveError
            If that cannot be written.
        """
        told = {"name": owner.name, "groups": sorted(owner.groups)}
        with disk_errors():
            self.path.mkdir(parents=True, exist_ok=True)
            (self.path / _OWNER).write_text(json.dumps(told), "utf-8")

    def owner(self) -> Identity:
        """Give who made the job.

        Raises
        ------
        ArchiveError
            If that was remembered and cannot be read.
        """
        try:
            told = json.loads((self.path / _OWNER).read_text("utf-8"))
            return Identity(told["name"], frozenset(told["groups"]))
        except FileNotFoundError:
            return ANONYMOUS
        except (OSError, ValueError, KeyError) as error:
            raise ArchiveError("whose job it is cannot be read") from error

    def run(self, claim: int) -> Path:
        """Give the folder of a run, which need not be there."""
        return self.path / str(claim)

    def runs(self) -> list[Path]:
        """Give the folders of all runs that there are, the latest first."""
        found = [run for run in self.path.glob("*") if run.name.isdecimal()]
        return sorted(found, key=lambda run: int(run.name), reverse=True)

    def drop_runs(self) -> None:
        """Remove the files of all runs."""
        for run in self.runs():
            shutil.rmtree(run, ignore_errors=True)

    def begin(self, claim: int) -> None:
        """Remove what earlier runs left."""
        for run in self.runs():
            if int(run.name) < claim:
                shutil.rmtree(run, ignore_errors=True)

    def drop(self, claim: int) -> None:
        """Remove the results of a run."""
        shutil.rmtree(self.run(claim), ignore_errors=True)

    @contextmanager
    def write(
        self,
        claim: int,
        file_name: str,
        limit_bytes: int,
        cancelled: threading.Event,
        count: Callable[[int], None],
    ) -> Iterator[Sink]:
        """Write a file of a run, whole or not at all.

        Parameters
        ----------
        claim
            The run.
        file_name
            Within the run's folder; no path.
        limit_bytes, cancelled, count
            As for `Sink`.

        Raises
        ------
        StorageFullError
            If the disk is full.
        ArchiveError
            If the file cannot be written.
        """
        folder = self.run(claim)
        part = folder / f"{file_name}{_PART}"
        with disk_errors():
            folder.mkdir(parents=True, exist_ok=True)
            file = part.open("wb", buffering=_BUFFER_BYTES)
        try:
            yield Sink(file, limit_bytes, cancelled, count)
            with disk_errors():
                file.flush()
                os.fsync(file.fileno())
                file.close()
                part.rename(folder / file_name)
        except BaseException:
            # Closing flushes, which fails once more where the disk is full.
            _close_quietly(file)
            part.unlink(missing_ok=True)
            raise

    def result(self, result: JobResult) -> Path:
        """Give the file of a result.

        Raises
        ------
        NotFoundError
            If it is not there any more.
        """
        path = self.path / result.path
        if not path.is_file():
            raise NotFoundError(f"the result '{result.name}' is not kept any more")
        return path


def _close_quietly(file: BinaryIO) -> None:
    # The descriptor is closed all the same; the first error is the one to tell.
    with suppress(OSError):
        file.close()


class ResultFolders:
    """The folders of all jobs.

    Parameters
    ----------
    root
        Where they lie; made if it is not there.

    Raises
    ------
    ArchiveError
        If it cannot be made.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ArchiveError(f"the folder of results {root}: {error.strerror}") from error

    def of(self, job: Job | str) -> JobFolder:
        """Give the folder of a job or of its id."""
        job_id = job if isinstance(job, str) else job.id
        assert is_job_id(job_id), "becomes a part of a path"
        return JobFolder(self.root / job_id)

    def remove(self, job_id: str) -> None:
        """Remove all files of a job."""
        shutil.rmtree(self.of(job_id).path, ignore_errors=True)

    def sweep(self, known: Callable[[Collection[str]], Collection[str]]) -> int:
        """Remove folders that belong to no job: their server process died between two steps.

        Parameters
        ----------
        known
            Gives those of some ids that are jobs.

        Returns
        -------
        count
            Folders removed.
        """
        oldest = time.time() - _ORPHAN_S
        with os.scandir(self.root) as entries:
            found = [
                entry.name
                for entry in entries
                if is_job_id(entry.name) and entry.stat().st_mtime < oldest
            ]
        count = 0
        for start in range(0, len(found), 500):
            part = found[start : start + 500]
            for job_id in set(part) - set(known(part)):
                self.remove(job_id)
                count += 1
        return count
