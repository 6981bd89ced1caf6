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

from obscore.coverage.ranges import Ranges, coarsened, joined
from obscore.coverage.settings import CoverageSettings
from obscore.store.base import Footprints
from obscore.store.blocks import Placed
from vodal.access.rules import is_released
from vodal.diskcache import DiskCache
from vodal.regions import Point, shape_from_bytes

__all__ = ["Block", "KeptBlocks"]

_FORM = 1
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

    def to_bytes(self) -> bytes:
        """Give the block's bytes for a file."""
        arrays: list[Ranges] = []
        head: dict[str, Any] = {"until": self.until, "maps": [], "released": []}
        for name, maps in (("maps", self.maps), ("released", self.released)):
            for collection, ranges in maps.items():
                head[name].append((collection, len(ranges)))
                arrays.append(ranges)
        return b"\n".join(
            [json.dumps(head).encode(), b"".join(part.astype("<u8").tobytes() for part in arrays)]
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Block:
        """Give the block of its bytes.

        Raises
        ------
        ValueError, KeyError
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
        return cls(found[0], found[1], head["until"])


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
            except (ValueError, KeyError):
                found = None
            if found is not None and (found.until is None or now < found.until):
                return found
        made = self._made(self._footprints.of_block(number), now)
        self._cache.put(key, _EXTENSION, made.to_bytes())
        return made

    def _made(self, rows: Sequence[Placed], now: str) -> Block:
        # Compiled code, which a server loads where it is first needed.
        from obscore.coverage.touched import fitting_order, touched  # noqa: PLC0415

        every: dict[str, list[Ranges]] = {}
        released: dict[str, list[Ranges]] = {}
        later: set[str] = set()
        until: list[str] = []
        for row in rows:
            region = shape_from_bytes(row.shape)
            if isinstance(region, Point):
                continue
            order = self._orders.get(row.collection, self._settings.order)
            if order is None:
                order = fitting_order(region, self._settings.max_order)
            cells = touched(region, order)
            every.setdefault(row.collection, []).append(cells)
            if is_released(row.release_date, now):
                released.setdefault(row.collection, []).append(cells)
            else:
                later.add(row.collection)
                if row.release_date is not None and row.release_date > now:
                    until.append(row.release_date)
        most = self._settings.max_ranges
        return Block(
            {name: coarsened(joined(parts), most) for name, parts in every.items()},
            {name: coarsened(joined(released.get(name, [])), most) for name in later},
            min(until, default=None),
        )
