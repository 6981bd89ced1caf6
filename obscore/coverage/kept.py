"""Maps of blocks of rows, kept on disk, made anew where a writer touched the block.

A map of 10^6 footprints cannot be made for each request, and no map tells what an image that goes
has covered alone. So there is a map for each collection in each block of 4096 rows, and a
collection's map joins those: what is written, changed or removed costs its block alone, and is
exact. Writers raise the revisions of blocks in their transactions
(`obscore.store.schema.footprint_blocks`); asking for those is all that a request costs as long as
nothing changes. Blocks are kept by their revision in a folder that server processes share.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from obscore.coverage.extents import Extent, extent_of
from obscore.coverage.ranges import NOTHING, Ranges, coarsened, joined
from obscore.coverage.settings import CoverageSettings
from obscore.store.base import Footprints
from obscore.store.blocks import Placed
from vodal.access.rules import is_released
from vodal.diskcache import DiskCache
from vodal.regions import region_from_bytes

__all__ = ["Block", "KeptBlocks"]

_FORM = 2
"""Raised when other maps are made of the same footprints."""
_EXTENSION = "moc"


@dataclass(frozen=True)
class Block:
    """The maps of a block."""

    maps: Mapping[str, Ranges]
    """By collection, of all rows."""
    released: Mapping[str, Ranges] = field(default_factory=dict)
    """By collection, of the rows whose release date was over when it was made, where others are
    not."""
    until: str | None = None
    """The next release date, with which ``released`` is out of date; None for never."""
    extents: Mapping[str, Extent] = field(default_factory=dict)
    """By collection, of all rows, also of those without a footprint."""
    released_extents: Mapping[str, Extent | None] = field(default_factory=dict)
    """Of the rows of ``released``; None where there are none."""

    def to_bytes(self) -> bytes:
        """Give the block's bytes for a file."""
        arrays: list[Ranges] = []
        head: dict[str, Any] = {"until": self.until, "maps": [], "released": []}
        for name, maps in (("maps", self.maps), ("released", self.released)):
            for collection, ranges in maps.items():
                head[name].append((collection, len(ranges)))
                arrays.append(ranges)
        for name, extents in (("extents", self.extents), ("shown", self.released_extents)):
            head[name] = {
                collection: None if one is None else one.to_json()
                for collection, one in extents.items()
            }
        return b"\n".join(
            [json.dumps(head).encode(), b"".join(part.astype("<u8").tobytes() for part in arrays)]
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Block:
        """Give the block of its bytes.

        Raises
        ------
        ValueError, KeyError, TypeError
            If they are no block.
        """
        text, _, packed = data.partition(b"\n")
        head = json.loads(text)
        numbers = np.frombuffer(packed, "<u8").astype(np.uint64).reshape(-1, 2)
        found: list[dict[str, Ranges]] = []
        at = 0
        for name in ("maps", "released"):
            maps = {}
            for collection, count in head[name]:
                maps[collection] = numbers[at : at + count]
                at += count
            found.append(maps)
        if at != len(numbers):
            raise ValueError("not a block")
        extents = {name: Extent.from_json(value) for name, value in head["extents"].items()}
        shown = {
            name: None if value is None else Extent.from_json(value)
            for name, value in head["shown"].items()
        }
        return cls(found[0], found[1], head["until"], extents, shown)


class KeptBlocks:
    """Gives the maps of blocks. Safe to use from several threads.

    Parameters
    ----------
    footprints
        Of the catalogue.
    settings
        How fine maps are.
    orders
        The order for some collections, by name.
    cache
        Where blocks are kept.
    """

    def __init__(
        self,
        footprints: Footprints,
        settings: CoverageSettings,
        orders: Mapping[str, int],
        cache: DiskCache,
    ) -> None:
        self._footprints, self._settings, self._cache = footprints, settings, cache
        self._orders = dict(orders)
        told = [
            _FORM,
            settings.order,
            settings.max_order,
            settings.max_ranges,
            sorted(orders.items()),
        ]
        self._digest = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]

    def block(self, number: int, revision: int, now: str) -> Block:
        """Give a block as it is, or was at a revision or after it.

        Parameters
        ----------
        number, revision
            As `Footprints.changed` gives them.
        now
            The moment, as `vodal.access.rules.now_text` gives it.
        """
        told = f"{self._digest} {number} {revision}"
        key = hashlib.sha256(told.encode()).hexdigest()[:40]
        data = self._cache.get(key, _EXTENSION)
        if data is not None:
            try:
                found = Block.from_bytes(data)
            except (ValueError, KeyError, TypeError):
                found = None
            if found is not None and (found.until is None or now < found.until):
                return found
        made = self._made(self._footprints.of_block(number), now)
        self._cache.put(key, _EXTENSION, made.to_bytes())
        return made

    def _made(self, rows: Sequence[Placed], now: str) -> Block:
        every: dict[str, list[tuple[Placed, Ranges]]] = {}
        until: list[str] = []
        for row in rows:
            every.setdefault(row.collection, []).append((row, self._cells(row)))
            date = row.release_date
            if date is not None and date > now and not is_released(date, now):
                until.append(date)
        shown = {
            name: [pair for pair in pairs if is_released(pair[0].release_date, now)]
            for name, pairs in every.items()
        }
        later = [name for name, pairs in every.items() if len(shown[name]) < len(pairs)]
        return Block(
            {name: made for name, pairs in every.items() if len(made := self._map(pairs))},
            {name: self._map(shown[name]) for name in later},
            min(until, default=None),
            {name: extent_of(row for row, _ in pairs) for name, pairs in every.items()},
            {
                name: extent_of(row for row, _ in shown[name]) if shown[name] else None
                for name in later
            },
        )

    def _cells(self, row: Placed) -> Ranges:
        """Give the cells that a row's footprint touches; none of a position alone."""
        # Compiled code, which a server loads where it is first needed.
        from obscore.coverage.touched import fitting_order, touched  # noqa: PLC0415

        region = region_from_bytes(row.shape)
        if region is None:
            return NOTHING
        order = self._orders.get(row.collection, self._settings.order)
        return touched(
            region, fitting_order(region, self._settings.max_order) if order is None else order
        )

    def _map(self, pairs: Sequence[tuple[Placed, Ranges]]) -> Ranges:
        return coarsened(joined([cells for _, cells in pairs]), self._settings.max_ranges)
