"""Tables that come with jobs: kept in the job's folder until it runs.

Each request that brings files gets a folder of its own below ``inputs``, with a list of them in
it, so that a job finds its files after a restart and parameters can be sent one by one.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotDoneError
from contextlib import contextmanager
from pathlib import Path

from anyio.to_thread import run_sync
from starlette.requests import Request
from typing_extensions import override

from vodal.errors import ServiceUnavailable
from vodal.params import Params
from vodal.tables.uploads import UploadedTable
from vodal.uploads.tables import TableUploads, Taken
from vodal.uws.intake import FormIntake
from vodal.uws.loop import ServiceLoop
from vodal.uws.results import JobFolder
from vodal.uws.tasks import Task
from vodal.web.multipart import FilePart
from vodal.web.requests import read_form

__all__ = ["JobUploads"]

_LIST = "files.json"
_POLL_S = 0.1


class JobUploads(FormIntake):
    """Takes what is uploaded with jobs, and reads it when they run.

    Parameters
    ----------
    uploads
        Reads tables.
    """

    def __init__(self, uploads: TableUploads) -> None:
        self._uploads = uploads
        self._loop = ServiceLoop()

    def start(self) -> None:
        """Remember the event loop in which tables are read; jobs have threads of their own."""
        self._loop.start()

    @override
    async def read(self, request: Request, folder: JobFolder) -> Params:
        own = folder.inputs / f"{time.time_ns():020d}"
        params, files = await read_form(request, self._uploads.target(own))
        if files:
            await run_sync(_list_files, own, files)
        return params

    @override
    def merge(
        self, before: Sequence[tuple[str, str]], now: Sequence[tuple[str, str]]
    ) -> list[tuple[str, str]]:
        # Each UPLOAD adds tables (TAP 1.1 section 2.7.6); the same one sent again is one.
        replaced = {name for name, _ in now} - {"UPLOAD"}
        kept = [pair for pair in before if pair[0] not in replaced and pair not in now]
        return [*kept, *now]

    def load(self, task: Task) -> Sequence[UploadedTable]:
        """Read the tables of a job; for the thread of the job.

        Raises
        ------
        UsageError, TooLargeError
            If a table cannot be read.
        ServiceUnavailable
            If the job was told to stop, or nothing reads.
        """
        params = Params(task.job.params)
        if not params.all("UPLOAD"):
            return ()
        future = self._reading(params, task.folder.inputs, f"tables{task.job.claim}")
        while True:
            try:
                return future.result(_POLL_S)
            except NotDoneError:
                if task.cancelled.is_set():
                    future.cancel()
                    raise ServiceUnavailable("the job was stopped") from None

    @contextmanager
    def looked_at(self, params: Params, folder: JobFolder) -> Iterator[Sequence[UploadedTable]]:
        """Read the tables of a job before it runs; they are gone after the block.

        Raises
        ------
        UsageError, TooLargeError
            If a table cannot be read.
        ServiceUnavailable
            If one comes from elsewhere, which is fetched once the job runs.
        """
        if not all(one.uri.lower().startswith("param:") for one in self._uploads.named(params)):
            raise ServiceUnavailable("the table is fetched when the job runs")
        place = f"looked{time.time_ns()}"
        try:
            yield self._reading(params, folder.inputs, place).result()
        finally:
            shutil.rmtree(folder.inputs / place, ignore_errors=True)

    def _reading(
        self, params: Params, inputs: Path, place: str
    ) -> Future[tuple[UploadedTable, ...]]:
        taken = Taken(params, tuple(_listed_files(inputs)), inputs / place)
        taken.folder.mkdir(parents=True, exist_ok=True)
        return asyncio.run_coroutine_threadsafe(self._uploads.tables(taken), self._loop.get())


def _list_files(folder: Path, files: Sequence[FilePart]) -> None:
    listed = [
        {
            "name": part.name,
            "file_name": part.file_name,
            "media_type": part.media_type,
            "path": part.path.name,
            "size_bytes": part.size_bytes,
        }
        for part in files
    ]
    (folder / _LIST).write_text(json.dumps(listed), "utf-8")


def _listed_files(inputs: Path) -> list[FilePart]:
    """Give the files of a job, those that came last first."""
    return [
        FilePart(**{**item, "path": path.parent / item["path"]})
        for path in sorted(inputs.glob(f"*/{_LIST}"), reverse=True)
        for item in json.loads(path.read_text("utf-8"))
    ]
