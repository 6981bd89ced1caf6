"""What an asynchronous query does: from a job's parameters to its result (TAP 1.1 section 2.2)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa
from prometheus_client import CollectorRegistry
from typing_extensions import override

from obscore.tap.answer import write_answer
from obscore.tap.explained import explanation_answer, limits_of
from obscore.tap.metrics import QueryMetrics, stream_outcome
from obscore.tap.query import QueryRunner
from obscore.tap.request import QueryRequest, read_request
from obscore.tap.settings import TapSettings
from vodal.access.rules import Rights
from vodal.errors import SkylaneError
from vodal.links import Annotator
from vodal.params import Params
from vodal.tables.columns import ResultStream
from vodal.tables.uploads import UploadedTable
from vodal.uws.outcomes import stopped_outcome
from vodal.uws.tasks import JobRights, Stop, Task, Work, all_rights

__all__ = ["LoadUploads", "TapJobs", "no_uploads"]

LoadUploads = Callable[[Task], Sequence[UploadedTable]]
"""Gives the tables that were uploaded with a job, from the files in its folder."""

_RESULT = "result"
"""Name of the one result that TAP 1.1 section 2.2 wants."""

_MARGIN_S = 60.0


def no_uploads(_: Task) -> Sequence[UploadedTable]:
    """Give no tables."""
    return ()


def _counted(batches: Iterator[pa.RecordBatch], task: Task) -> Iterator[pa.RecordBatch]:
    """Pass batches on and tell how many rows have come."""
    rows = 0
    try:
        for batch in batches:
            rows += batch.num_rows
            task.report(rows=rows)
            yield batch
    finally:
        _close(batches)


def _close(iterator: Iterator[object]) -> None:
    close = getattr(iterator, "close", None)
    if close is not None:
        close()


class TapJobs(Work):
    """Runs the queries of jobs.

    Parameters
    ----------
    queries
        Runs queries; not shared with synchronous ones, so that neither waits for the other.
    settings
        Limits.
    annotators
        Make the service descriptors that go with a result.
    uploads
        Loads what was uploaded with a job.
    metrics
        Where queries are counted; not if they are begun again by another server process.
    rights_of
        Gives the rights of a job.
    """

    def __init__(
        self,
        queries: QueryRunner,
        settings: TapSettings,
        annotators: Sequence[Annotator] = (),
        uploads: LoadUploads = no_uploads,
        metrics: QueryMetrics | None = None,
        rights_of: JobRights = all_rights,
    ) -> None:
        self._rights_of = rights_of
        self._queries = queries
        self._settings = settings
        self._annotators = tuple(annotators)
        self._uploads = uploads
        self._metrics = metrics or QueryMetrics(CollectorRegistry())

    @override
    def run(self, task: Task) -> None:
        try:
            outcome = stream_outcome(self._run(task), gone=False)
        except BaseException as error:
            told = stopped_outcome(task, error)
            if told is not None:
                self._ended(task, told)
            raise
        self._ended(task, outcome)

    def _ended(self, task: Task, outcome: str) -> None:
        self._metrics.ended(outcome, time.monotonic() - task.began, "async")

    def _run(self, task: Task) -> ResultStream:
        job = task.job
        asked = read_request(Params(job.params), self._settings)
        uploads = self._uploads(task)
        rights = self._rights_of(task.folder)
        try:
            return self._answer(task, asked, uploads, rights)
        except SkylaneError:
            if task.stop is Stop.OVERTIME:
                task.why_long = self._queries.why(asked.query, uploads, rights)
            raise

    def _answer(
        self, task: Task, asked: QueryRequest, uploads: Sequence[UploadedTable], rights: Rights
    ) -> ResultStream:
        if asked.explain:
            explanation = self._queries.explain(
                asked.query, asked.max_rows, uploads=uploads, rights=rights
            )
            limits = limits_of(asked, self._settings, jobs=True)
            result, pieces = explanation_answer(explanation, asked, limits)
            self._write(task, asked, result, pieces)
            return result
        job = task.job
        result = self._queries.run(
            asked.query,
            asked.max_rows,
            job.site_url,
            task.cancelled,
            uploads=uploads,
            # The job's own limit can be changed while it runs, and is kept by who runs it; this one
            # is for a server process that stopped looking.
            limit_s=self._settings.async_max_limit_s + _MARGIN_S,
            rights=rights,
        )
        task.report(rows=0)
        result.batches = _counted(self._metrics.counted(result.batches, "async"), task)
        pieces = write_answer(result, asked, self._annotators, job.site_url)
        self._write(task, asked, result, pieces)
        return result

    def _write(
        self, task: Task, asked: QueryRequest, result: ResultStream, pieces: Iterator[bytes]
    ) -> None:
        with task.result(_RESULT, asked.format.media_type, asked.format.extension) as sink:
            try:
                for piece in pieces:
                    sink.write(piece)
            finally:
                _close(pieces)
            if result.failure is not None:
                # Told within the document, as suits one that is on its way already. A job can do
                # better: its result is whole or not there.
                raise result.failure
        if result.overflow:
            # Some formats have no place for it.
            task.report(QUERY_STATUS="OVERFLOW")
