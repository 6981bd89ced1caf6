"""What is told of a pool to Prometheus. For the server's process alone."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from vodal.pool.warm import WarmPool

__all__ = ["PoolMetrics"]


class PoolMetrics(Collector):
    """Looks at a pool whenever it is asked for.

    Parameters
    ----------
    pool
        Of one server process.
    prefix
        Of the names: ``<prefix>_workers`` and so on.
    """

    def __init__(self, pool: WarmPool, prefix: str) -> None:
        self._pool, self._prefix = pool, prefix

    @override
    def collect(self) -> Iterator[Metric]:
        stats, prefix = self._pool.stats, self._prefix
        workers = GaugeMetricFamily(
            f"{prefix}_workers", "Worker processes by what they are at", labels=["state"]
        )
        workers.add_metric(["idle"], stats.idle)
        workers.add_metric(["bulk"], stats.bulk_at_work)
        workers.add_metric(["busy"], stats.workers - stats.idle - stats.bulk_at_work)
        yield workers
        waiting = GaugeMetricFamily(
            f"{prefix}_waiting", "Work that waits for a worker", labels=["lane"]
        )
        waiting.add_metric(["now"], stats.waiting)
        waiting.add_metric(["bulk"], stats.bulk_waiting)
        yield waiting
        ended = CounterMetricFamily(
            f"{prefix}_workers_ended", "Worker processes that were replaced", labels=["reason"]
        )
        ended.add_metric(["lost"], stats.lost)
        ended.add_metric(["recycled"], stats.recycled)
        yield ended
        yield GaugeMetricFamily(
            f"{prefix}_buffers_free", "Shared buffers without a result", stats.buffers_free
        )
