"""When the time axes of products are; only coordinates tell, which the pool's workers read."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

from anyio import from_thread

from soda.finding import Finder
from soda.selection import Interval
from soda.worker import middle_time
from vodal.errors import ServiceUnavailable, SkylaneError
from vodal.pool import WarmPool
from vodal.products import Product

__all__ = ["TimeAxes"]

_KNOWN = 256


class TimeAxes:
    """Asks the pool, and remembers what it said.

    Parameters
    ----------
    finder
        Finds what the pool needs.
    pool
        Of the loop that runs the calling threads.
    """

    def __init__(self, finder: Finder, pool: WarmPool) -> None:
        self._finder, self._pool = finder, pool
        self._known: OrderedDict[tuple[str, str], Interval | None] = OrderedDict()

    def middle(self, product: Product) -> Interval | None:
        """Give a time in the middle of a product's time axis, MJD in UTC.

        Called in a thread of the loop. None if there is no such axis, or it cannot be told now.
        """
        key = (product.did, product.version)
        if key not in self._known:
            found = None
            try:
                ask = partial(self._pool.run, middle_time, self._finder.source(product))
                found = from_thread.run(ask)
            except ServiceUnavailable:
                return None
            except SkylaneError:
                pass
            self._known[key] = found
            if len(self._known) > _KNOWN:
                self._known.popitem(last=False)
        return self._known[key]
