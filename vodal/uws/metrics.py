"""What is told of the queue to Prometheus and to the page of health."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from vodal.errors import SkylaneError
from vodal.uws.jobs import Phase
from vodal.uws.store import JobStore

__all__ = ["QueueMetrics", "QueueState", "queue_state"]


@dataclass(frozen=True, slots=True)
class QueueState:
    """The queue at one moment, of all server processes together."""

    queued: int
    executing: int
    oldest_wait_s: float
    """For how long the job has waited that was queued first; 0 if none waits."""


def queue_state(store: JobStore) -> QueueState:
    """Look at the queue.

    Raises
    ------
    ServiceUnavailable, ArchiveError
        If it cannot be read.
    """
    counts = store.counts()
    return QueueState(
        counts.get(Phase.QUEUED, 0), counts.get(Phase.EXECUTING, 0), store.oldest_wait_s()
    )


class QueueMetrics(Collector):
    """Reads the queue whenever it is asked for.

    Where several server processes share a queue, each tells the same of it: take the maximum, not
    the sum.

    Parameters
    ----------
    store
        The queue.
    """

    def __init__(self, store: JobStore) -> None:
        self._store = store

    @override
    def collect(self) -> Iterator[Metric]:
        reachable = GaugeMetricFamily("skylane_jobs_reachable", "1 if the queue can be read")
        jobs = GaugeMetricFamily("skylane_jobs", "Jobs in each phase", labels=["phase"])
        wait = GaugeMetricFamily(
            "skylane_jobs_oldest_wait_seconds", "How long the first of the waiting jobs has waited"
        )
        try:
            counts, wait_s = self._store.counts(), self._store.oldest_wait_s()
        except SkylaneError:
            reachable.add_metric([], 0)
            yield reachable
            return
        reachable.add_metric([], 1)
        for phase in Phase:
            jobs.add_metric([str(phase)], counts.get(phase, 0))
        wait.add_metric([], wait_s)
        yield from (reachable, jobs, wait)

    def describe(self) -> list[Metric]:
        """Give no names beforehand, which would need the queue when the site is composed."""
        return []
