"""Several server processes of one site: none outlives the first, and each tells what all count."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from anyio.to_thread import run_sync
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from typing_extensions import override

from vodal.parent import end_with_parent

__all__ = ["METRICS_VARIABLE", "SharedMetrics", "end_with_supervisor"]

METRICS_VARIABLE = "SKYLANE_METRICS"
"""Names the folder in which server processes find each other, where there are several."""

_PATIENCE_S = 2.0
"""A server process that does not answer is left out; who asks for metrics will not wait long."""


def end_with_supervisor() -> None:
    """Have this server process end in good order when the one that started it is gone.

    Otherwise it would go on serving, and keep the port, with nobody to stop it.
    """
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None:
        end_with_parent(parent.pid, signal.SIGTERM)


class _Merged(Collector):
    """The pages of several processes as one, each sample with the process that counted it."""

    def __init__(self, pages: Iterable[tuple[str, str]]) -> None:
        self._pages = pages

    @override
    def collect(self) -> Iterator[Metric]:
        found: dict[str, Metric] = {}
        for server, page in self._pages:
            for family in text_string_to_metric_families(page):
                metric = Metric(family.name, family.documentation, family.type)
                whole = found.setdefault(family.name, metric)
                for name, labels, value, *_ in family.samples:
                    whole.add_sample(name, {**labels, "server": server}, value)
        yield from found.values()


def _remove(place: Path) -> None:
    place.unlink(missing_ok=True)


class SharedMetrics:
    """Metrics in Prometheus's text format, of this server process and of those beside it.

    A request reaches any of the processes. Where there are several, each sample has the label
    ``server``, a process id, as if each were asked by itself: a sum is taken by whoever looks at
    it, and a process that starts anew begins to count at zero.

    Parameters
    ----------
    own
        Gives the metrics of this process; is called in a thread.
    folder
        Where the processes find each other; None for one that is alone.
    """

    def __init__(self, own: Callable[[], bytes], folder: Path | None) -> None:
        self._own, self._folder = own, folder
        self._name = str(os.getpid())

    @asynccontextmanager
    async def told(self) -> AsyncIterator[None]:
        """Answer the processes beside this one, within the block."""
        if self._folder is None:
            yield
            return
        place = self._folder / self._name
        server = await asyncio.start_unix_server(self._answer, place)
        async with server:
            yield
        _remove(place)

    async def _answer(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(await run_sync(self._own))
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def page(self) -> bytes:
        """Give the metrics of all."""
        own = await run_sync(self._own)
        if self._folder is None:
            return own
        others = sorted(one.name for one in self._folder.iterdir() if one.name != self._name)
        pages = await asyncio.gather(*(self._ask(self._folder / name) for name in others))
        named = zip((self._name, *others), (own, *pages), strict=True)
        registry = CollectorRegistry()
        registry.register(_Merged([(name, page.decode()) for name, page in named]))
        return await run_sync(generate_latest, registry)

    async def _ask(self, place: Path) -> bytes:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                reader, writer = await asyncio.open_unix_connection(place)
                try:
                    return await reader.read()
                finally:
                    writer.close()
        except ConnectionRefusedError:
            # That process was killed.
            _remove(place)
        except (OSError, TimeoutError):
            pass
        return b""
