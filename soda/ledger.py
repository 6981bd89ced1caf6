"""What a job has made so far, in the folder of its run: files or an archive, and a log of outcomes.

The log has a line for each cutout that is done, written after its file. Lines and the archive are
written a batch at a time. A run that begins after
another was cut short takes over what that one made, as far as log and files agree. It never writes
to a file that the other has open: an archive is copied, for a process that lost its job may wake
once more and write.
"""

from __future__ import annotations

import os
import shutil
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Self

from soda.outcomes import Outcome, Status
from soda.worklist import Worklist
from vodal.archives import Archive, Entry
from vodal.errors import TooLargeError
from vodal.uws.results import StoppedError, disk_errors
from vodal.uws.tasks import Task

__all__ = ["FILES", "LOG", "WORKLIST", "Ledger", "logged", "pending"]

WORKLIST, LOG, FILES = "worklist.arrow", "outcomes.jsonl", "files"
"""Names in the folder of a run."""
ARCHIVE_STEM = "cutouts"

_COPY_BYTES = 1 << 22
_BUFFER_BYTES = 1 << 20
_BATCH, _BATCH_S = 64, 0.5
"""Lines that wait to be written, and for how long while others come."""


def logged(path: Path) -> Iterator[Outcome]:
    """Read a log, up to a line that is not whole."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        for line in file:
            try:
                yield Outcome.read(line)
            except (ValueError, TypeError, KeyError):
                return


class Ledger:
    """Takes outcomes and files in the order of the worklist; use it as a context.

    Parameters
    ----------
    task
        The run.
    archive
        Where files go; None for a file each.
    """

    def __init__(self, task: Task, archive: Archive | None) -> None:
        self._task = task
        self._archive = archive
        self.run = task.folder.run(task.job.claim)
        self.done = self.files_bytes = 0
        self.counts = dict.fromkeys(Status, 0)
        self._size = 0
        """Of the archive."""
        self._lines: list[bytes] = []
        """Of the log, still to be written."""
        self._flushed_s = time.monotonic()
        self._stack = ExitStack()
        self._log: IO[bytes] | None = None
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # What is still in buffers cannot be written where the disk is full.
        with suppress(OSError):
            self._flush()
        with suppress(OSError):
            self._stack.close()

    @property
    def archive_path(self) -> Path:
        """The archive while it is written."""
        assert self._archive is not None
        return self.run / f"{ARCHIVE_STEM}.{self._archive.extension}.part"

    # Beginning

    def begin(self) -> bool:
        """Open the files, and take over what an earlier run made; False if there is no worklist."""
        with disk_errors():
            self.run.mkdir(parents=True, exist_ok=True)
            (self.run / FILES).mkdir(exist_ok=True)
            self._log = self._stack.enter_context((self.run / LOG).open("wb", buffering=0))
            if self._archive is not None:
                self._file = self._stack.enter_context(self.archive_path.open("wb", _BUFFER_BYTES))
        earlier = [run for run in self._task.folder.runs() if run != self.run]
        before = next((run for run in earlier if (run / WORKLIST).is_file()), None)
        if before is not None:
            with disk_errors():
                self._take_over(before, earlier)
                # Last: until then the earlier run is the one to go on with.
                (before / WORKLIST).rename(self.run / WORKLIST)
        self._task.folder.begin(self._task.job.claim)
        return before is not None

    def _take_over(self, before: Path, earlier: list[Path]) -> None:
        with ExitStack() as stack:
            archive = None
            if self._archive is not None:
                path = before / self.archive_path.name
                if not path.is_file():
                    return
                archive = stack.enter_context(path.open("rb"))
            for outcome in logged(before / LOG):
                if outcome.status is Status.OK:
                    if archive is not None:
                        taken = self._copied(archive, outcome)
                    else:
                        taken = self._moved(outcome, earlier)
                    if not taken:
                        return
                self._note(outcome)

    def _copied(self, archive: IO[bytes], outcome: Outcome) -> bool:
        """Copy an entry, if it is whole; what is written of one that is not is overwritten."""
        assert self._archive is not None
        assert self._file is not None
        head = self._archive.head(outcome.file_name, outcome.size_bytes, outcome.crc32)
        tail = self._archive.tail(outcome.size_bytes)
        archive.seek(outcome.offset_bytes)
        if archive.read(len(head)) != head:
            return False
        self._write(head)
        crc, left = 0, outcome.size_bytes
        while left:
            piece = archive.read(min(left, _COPY_BYTES))
            if not piece:
                break
            crc, left = zlib.crc32(piece, crc), left - len(piece)
            self._write(piece)
        whole = not left and crc == outcome.crc32 and archive.read(len(tail)) == tail
        if whole:
            self._write(tail)
        else:
            self._size = outcome.offset_bytes
            self._file.truncate(self._size)
            self._file.seek(self._size)
        return whole

    def _moved(self, outcome: Outcome, earlier: list[Path]) -> bool:
        for run in earlier:
            path = run / FILES / outcome.file_name
            with suppress(FileNotFoundError), path.open("rb") as file:
                crc = 0
                while piece := file.read(_COPY_BYTES):
                    self._check()
                    crc = zlib.crc32(piece, crc)
                if crc == outcome.crc32:
                    path.rename(self.run / FILES / outcome.file_name)
                    return True
        return False

    # Going on

    def _check(self) -> None:
        if self._task.cancelled.is_set():
            raise StoppedError("the job was stopped")

    def _write(self, data: bytes | bytearray) -> None:
        """Append to the archive."""
        assert self._file is not None
        self._check()
        self._file.write(data)
        self._size += len(data)

    def _flush(self) -> None:
        """Write what waits: a line only once its file is there."""
        self._flushed_s = time.monotonic()
        if self._log is not None and self._lines:
            if self._file is not None:
                self._file.flush()
            view = memoryview(b"".join(self._lines))
            while view:
                view = view[self._log.write(view) :]
            self._lines.clear()

    def _note(self, outcome: Outcome) -> None:
        self._lines.append(outcome.line())
        if len(self._lines) >= _BATCH or time.monotonic() - self._flushed_s >= _BATCH_S:
            self._flush()
        self.done += 1
        self.counts[outcome.status] += 1
        self.files_bytes += outcome.size_bytes

    def add(self, outcome: Outcome, body: bytearray | None = None) -> None:
        """Take the next outcome of the worklist, with its file.

        Raises
        ------
        TooLargeError
            If all files together grow over the limit.
        StorageFullError
            If the disk is full.
        StoppedError
            If the run has to end.
        """
        if body is None:
            with disk_errors():
                self._note(outcome)
            return
        limit = self._task.max_result_bytes
        if self.files_bytes + len(body) > limit:
            raise TooLargeError(
                f"the cutouts together take more than {limit} bytes, the limit of one job"
                " (max_result_bytes); ask for fewer or smaller ones"
            )
        with disk_errors():
            if self._archive is None:
                self._check()
                path = self.run / FILES / outcome.file_name
                part = path.with_name(f"{path.name}.part")
                part.write_bytes(body)
                part.rename(path)
            else:
                # noted with its place, so that it can be found again
                outcome = replace(outcome, offset_bytes=self._size)
                self._write(self._archive.head(outcome.file_name, len(body), outcome.crc32))
                self._write(body)
                self._write(self._archive.tail(len(body)))
            self._note(outcome)

    def outcomes(self) -> Iterator[Outcome]:
        """Give what is done."""
        with disk_errors():
            self._flush()
        return logged(self.run / LOG)

    def finish(self, index: Path) -> str:
        """End the archive, with one more file; gives its name."""
        assert self._archive is not None
        assert self._file is not None
        with disk_errors(), index.open("rb") as file:
            crc = 0
            while piece := file.read(_COPY_BYTES):
                crc = zlib.crc32(piece, crc)
            last = Entry(index.name, file.tell(), crc, self._size)
            file.seek(0)
            self._write(self._archive.head(last.name, last.size_bytes, crc))
            while piece := file.read(_COPY_BYTES):
                self._write(piece)
            self._write(self._archive.tail(last.size_bytes))
            for piece in self._archive.end(self._entries(last), self._size):
                self._write(piece)
            name = self.archive_path.name.removesuffix(".part")
            self._file.flush()
            os.fsync(self._file.fileno())
            self.archive_path.rename(self.run / name)
        return name

    def _entries(self, last: Entry) -> Iterator[Entry]:
        for one in self.outcomes():
            if one.status is Status.OK:
                yield Entry(one.file_name, one.size_bytes, one.crc32, one.offset_bytes)
        yield last

    def drop_files(self) -> None:
        """Remove the files that went into another one."""
        shutil.rmtree(self.run / FILES, ignore_errors=True)


def pending(worklist: Worklist, done: int) -> Iterator[Outcome]:
    """Give what has not been done yet."""
    for item in worklist.items(done):
        yield Outcome(item.number, item.row, item.did, item.region, Status.PENDING)
