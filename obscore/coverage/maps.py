"""The map of a collection, or of all, for who asks."""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as WaitTimeoutError
from dataclasses import dataclass

from obscore.coverage.extents import Extent, united
from obscore.coverage.kept import Block, KeptBlocks
from obscore.coverage.ranges import Ranges, coarsened, joined
from obscore.coverage.settings import CoverageSettings
from obscore.store.base import Footprints
from vodal.access.rules import Reach, Rights, now_text
from vodal.errors import NotFoundError, ServiceUnavailable

__all__ = ["CollectionMaps"]

_MAPS = 64
"""Joined maps that are kept in memory, and lists of collections."""
_RETRY_S = 10


@dataclass
class _State:
    """What is known of the catalogue at a moment."""

    number: int
    """Of those that this process has known."""
    revisions: dict[int, int]
    blocks: dict[int, Block]


class CollectionMaps:
    """Gives maps, up to date at each request. Safe to use from several threads.

    Parameters
    ----------
    footprints
        Of the catalogue.
    blocks
        Maps of its blocks.
    settings
        How fine maps are, and how long requests wait.
    """

    def __init__(
        self, footprints: Footprints, blocks: KeptBlocks, settings: CoverageSettings
    ) -> None:
        self._footprints, self._blocks, self._settings = footprints, blocks, settings
        self._state = _State(0, {}, {})
        self._lock = threading.Lock()
        self._worker = ThreadPoolExecutor(1, "coverage maps")
        self._joined: OrderedDict[tuple[object, ...], Ranges] = OrderedDict()
        self._names: OrderedDict[tuple[int, Rights], list[str]] = OrderedDict()
        self._closed = False

    def collections(self, rights: Rights) -> list[str]:
        """Give the names of the collections that have a footprint somebody may know of."""
        return list(self._known(self._current(), rights))

    def find(self, collection: str | None, rights: Rights) -> Ranges:
        """Give the map of a collection, or of all.

        Parameters
        ----------
        collection
            Its name; None for all.
        rights
            Of who asks: images that one may not know of are left out.

        Returns
        -------
        array
            Ranges of cells of order 29: see `obscore.coverage.ranges`.

        Raises
        ------
        NotFoundError
            If there is no such collection, as far as somebody may know.
        ServiceUnavailable
            If the map takes longer to make than a request waits.
        """
        state = self._current()
        names = self._known(state, rights)
        if collection is not None:
            if collection not in names:
                raise NotFoundError(f"there is no collection '{collection[:80]}' with footprints")
            names = [collection]
        reaches = tuple((name, rights.known(name)) for name in names)
        key = (state.number, reaches)
        with self._lock:
            kept = self._joined.get(key)
        if kept is None:
            parts = [
                part
                for block in state.blocks.values()
                for name, reach in reaches
                if (part := _part(block, name, reach)) is not None
            ]
            kept = coarsened(joined(parts), self._settings.max_ranges)
            with self._lock:
                self._joined[key] = kept
                while len(self._joined) > _MAPS:
                    self._joined.popitem(last=False)
        return kept

    def extents(self, rights: Rights) -> dict[str, Extent]:
        """Give what each collection covers, by name, as far as somebody may know.

        A collection of which somebody may know no image is not there; one without footprints is.

        Raises
        ------
        ServiceUnavailable
            As of `find`.
        """
        found: dict[str, list[Extent]] = {}
        for block in self._current().blocks.values():
            for name in block.extents:
                part = _extent(block, name, rights.known(name))
                if part is not None:
                    found.setdefault(name, []).append(part)
        return {name: united(parts) for name, parts in sorted(found.items())}

    def _known(self, state: _State, rights: Rights) -> list[str]:
        """Give the names of the collections with footprints that somebody may know of."""
        key = state.number, rights
        with self._lock:
            names = self._names.get(key)
        if names is None:
            names = _known(state, rights)
            with self._lock:
                self._names[key] = names
                while len(self._names) > _MAPS:
                    self._names.popitem(last=False)
        return names

    def close(self) -> None:
        """Stop what is being made, and release the connections."""
        self._closed = True
        self._worker.shutdown(cancel_futures=True)
        self._footprints.close()

    def _current(self) -> _State:
        """Give the state as it is now.

        Raises
        ------
        ServiceUnavailable
            If that takes too long; it goes on meanwhile.
        """
        making: Future[_State] = self._worker.submit(self._renewed)
        try:
            return making.result(self._settings.wait_limit_s)
        except WaitTimeoutError:
            raise ServiceUnavailable(
                f"the coverage map is being made; try again in {_RETRY_S} s",
                _RETRY_S,
            ) from None

    def _renewed(self) -> _State:
        """Bring the state up to date; in the one thread that does so."""
        state, now = self._state, now_text()
        changed = dict(self._footprints.changed())
        stale = [
            number
            for number, revision in changed.items()
            if state.revisions.get(number) != revision or _is_over(state.blocks.get(number), now)
        ]
        if not stale and changed.keys() == state.revisions.keys():
            return state
        blocks = {n: block for n, block in state.blocks.items() if n in changed}
        for number in stale:
            if self._closed:
                raise ServiceUnavailable("the server is stopping")
            blocks[number] = self._blocks.block(number, changed[number], now)
        self._state = _State(state.number + 1, changed, blocks)
        return self._state


def _known(state: _State, rights: Rights) -> list[str]:
    """Give the names of the collections with footprints that somebody may know of."""
    found = []
    for name in sorted({name for block in state.blocks.values() for name in block.maps}):
        parts = (_part(block, name, rights.known(name)) for block in state.blocks.values())
        if any(part is not None and len(part) for part in parts):
            found.append(name)
    return found


def _is_over(block: Block | None, now: str) -> bool:
    return block is not None and block.until is not None and block.until <= now


def _part(block: Block, name: str, reach: Reach) -> Ranges | None:
    """Give what a block has of a collection for who may know of some of it."""
    if reach is Reach.RELEASED:
        return block.released.get(name, block.maps.get(name))
    return block.maps.get(name) if reach is Reach.ALL else None


def _extent(block: Block, name: str, reach: Reach) -> Extent | None:
    """Give what a block has of a collection, as `_part`; None if that is nothing."""
    if reach is Reach.RELEASED and name in block.released_extents:
        return block.released_extents[name]
    return None if reach is Reach.NONE else block.extents.get(name)
