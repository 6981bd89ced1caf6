"""A maker that may take so long and no longer.

What others have written may wait for a server that does not answer. A thread cannot be ended from
outside, so it is left behind: the answer goes out without its rows. Only so many are left behind at
a time; until one of them is done the maker is not asked again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Final

from typing_extensions import override

from datalink.faults import fault, guarded_links
from vodal.errors import ServiceUnavailable
from vodal.links import Asked, BatchLinkMaker, Link, LinkMaker

__all__ = ["TimedMaker"]

_MOST_AT_ONCE: Final = 16
"""Threads of one maker."""


class TimedMaker(BatchLinkMaker):
    """Asks another maker in a thread of its own. Safe to call from several threads.

    Parameters
    ----------
    maker
        The other one.
    seconds
        For all products of a request together.
    """

    def __init__(self, maker: LinkMaker | BatchLinkMaker, seconds: float) -> None:
        self._maker, self._seconds = maker, seconds
        self._free = threading.BoundedSemaphore(_MOST_AT_ONCE)

    @override
    def links_of(self, asked: Asked) -> Mapping[str, Sequence[Link]]:
        """Give the rows that are made in time, and of the other products one that says so."""
        until = time.monotonic() + self._seconds
        if not self._free.acquire(timeout=self._seconds):
            return self._late(asked, {})
        made: dict[str, Sequence[Link]] = {}
        done, given_up = threading.Event(), threading.Event()

        def work() -> None:
            try:
                for did, links in guarded_links(self._maker, asked):
                    made[did] = links
                    if given_up.is_set():
                        return
            finally:
                self._free.release()
                done.set()

        # Not to be waited for when the server stops.
        threading.Thread(target=work, name="links", daemon=True).start()
        if done.wait(max(0.0, until - time.monotonic())):
            return made
        given_up.set()
        return self._late(asked, dict(made))

    def _late(
        self, asked: Asked, made: Mapping[str, Sequence[Link]]
    ) -> Mapping[str, Sequence[Link]]:
        error = ServiceUnavailable(
            f"some links could not be made within {self._seconds:g} s; try again later"
        )
        return {one.did: made.get(one.did) or [fault(one.did, error)] for one in asked.products}
