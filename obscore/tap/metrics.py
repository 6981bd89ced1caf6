"""What is counted of the queries, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pyarrow as pa
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from vodal.errors import SkylaneError
from vodal.outcomes import outcome_of
from vodal.tables.columns import ResultStream

__all__ = ["OUTCOMES", "QueryMetrics", "stream_outcome"]

OUTCOMES = ("ok", "overflow", "refused", "busy", "deadline", "gone", "failed")
"""How a query can end: whole; cut at MAXREC; wrong or too large; sent away because too many ran;
out of time; its client went away; the archive's fault."""

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)


class QueryMetrics:
    """Counts queries. Safe to use from several threads.

    Parameters
    ----------
    registry
        Where the metrics are asked for.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._queries = Counter(
            "skylane_tap_queries", "Queries that ended", ["mode", "outcome"], registry=registry
        )
        self._seconds = Histogram(
            "skylane_tap_query_seconds",
            "From the request's arrival to the end of the answer; of jobs, without waiting in the"
            " queue",
            ["mode"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self._rows = Counter("skylane_tap_rows", "Rows given", ["mode"], registry=registry)
        self._running = Gauge(
            "skylane_tap_queries_running", "Queries that run now", registry=registry
        )
        self._waiting = Gauge(
            "skylane_tap_queries_waiting", "Queries that wait for a place", registry=registry
        )

    def watch(self, running: Callable[[], int], waiting: Callable[[], int]) -> None:
        """Take the numbers of running and of waiting queries from these functions."""
        self._running.set_function(running)
        self._waiting.set_function(waiting)

    def ended(self, outcome: str, seconds: float, mode: str = "sync") -> None:
        """Count a query that has ended.

        Parameters
        ----------
        outcome
            One of `OUTCOMES`.
        seconds
            From the request's arrival to the end of the answer; of a job, for which it ran.
        mode
            ``sync`` or ``async``.
        """
        self._queries.labels(mode, outcome).inc()
        self._seconds.labels(mode).observe(seconds)

    def counted(
        self, batches: Iterator[pa.RecordBatch], mode: str = "sync"
    ) -> Iterator[pa.RecordBatch]:
        """Pass batches on and count their rows."""
        rows = self._rows.labels(mode)
        try:
            for batch in batches:
                rows.inc(batch.num_rows)
                yield batch
        finally:
            close = getattr(batches, "close", None)
            if close is not None:
                close()


def stream_outcome(stream: ResultStream, *, gone: bool) -> str:
    """Give the outcome of a query whose answer has been sent, as far as it was."""
    if isinstance(stream.failure, SkylaneError) and not gone:
        return outcome_of(stream.failure)
    if gone:
        return "gone"
    return "overflow" if stream.overflow else "ok"
