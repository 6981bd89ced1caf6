"""What a build notes of the tiles it has made, so that they are not made again.

A record is written after the tiles it tells of: a build that is killed leaves whole tiles with a
record, or tiles without one that are made anew.
"""

from __future__ import annotations

import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hips.names import TILE_WIDTH
from hips.recipe import BUILD_FOLDER

__all__ = ["Record", "Records", "contents"]

Pixels = NDArray[np.float32]

_LEVEL: Final = 1


@dataclass(frozen=True, slots=True)
class Record:
    """A tile, and what of a shard lies below it."""

    order: int
    npix: int
    inputs: str
    """Digest of all that goes into the tile and those below it."""
    size_bytes: int
    """Of the tiles in all formats."""
    leaves: Mapping[int, str] = field(default_factory=dict)
    """Of a shard: digest of what goes into each deepest tile that holds something, by number."""
    blank: Mapping[int, str] = field(default_factory=dict)
    """The same of those that hold nothing."""
    formats: Mapping[str, str] = field(default_factory=dict)
    """Of the tiles: by extension, what tells apart those of the same pixels that differ."""
    valid: bytes = b""
    """Valid fraction of the tile's pixels, packed; empty where it is not needed."""

    @staticmethod
    def pack(valid: Pixels) -> bytes:
        """Pack the valid fractions of a tile."""
        return zlib.compress(valid.tobytes(), _LEVEL)

    def valid_fractions(self) -> Pixels:
        """Unpack them."""
        values = np.frombuffer(zlib.decompress(self.valid), np.float32)
        return values.reshape(TILE_WIDTH, TILE_WIDTH)

    def tiles(self, deepest: int) -> dict[int, set[int]]:
        """Give the numbers of the tiles it tells of, by order."""
        if not self.leaves and not self.blank:
            return {self.order: {self.npix}}
        found: dict[int, set[int]] = {}
        numbers = set(self.leaves)
        for order in range(deepest, self.order - 1, -1):
            if numbers:
                found[order] = numbers
            numbers = {npix >> 2 for npix in numbers}
        return found

    def kept(self, leaves: Mapping[int, str], deepest: int) -> Callable[[int, int], bool]:
        """Tell which tiles of a shard stay as they are when its deepest tiles are others.

        Parameters
        ----------
        leaves
            Digest of what now goes into each deepest tile that holds something.
        deepest
            Their order.

        Returns
        -------
        callable
            Takes order and number of a tile that there will be.
        """
        numbers = {*leaves, *self.leaves}
        differ = {npix for npix in numbers if leaves.get(npix) != self.leaves.get(npix)}
        changed = {
            (order, npix >> 2 * (deepest - order))
            for npix in differ
            for order in range(self.order, deepest + 1)
        }
        return lambda order, npix: (order, npix) not in changed

    def to_json(self) -> str:
        """Write as JSON."""
        return json.dumps(
            {
                "order": self.order,
                "npix": self.npix,
                "inputs": self.inputs,
                "size_bytes": self.size_bytes,
                "leaves": self.leaves,
                "blank": self.blank,
                "formats": self.formats,
                "valid": b64encode(self.valid).decode(),
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Record:
        """Read what `to_json` wrote.

        Raises
        ------
        ValueError
            If it is something else.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            leaves, blank = (
                {int(npix): str(inputs) for npix, inputs in values[key].items()}
                for key in ("leaves", "blank")
            )
            formats = {str(key): str(mark) for key, mark in values["formats"].items()}
            return cls(
                int(values["order"]), int(values["npix"]), str(values["inputs"]),
                int(values["size_bytes"]), leaves, blank, formats, b64decode(values["valid"]),
            )  # fmt: skip
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no record of tiles: {error}") from None


def contents(records: Iterable[Record]) -> dict[tuple[int, int], tuple[str, Mapping[str, str]]]:
    """Give inputs and formats of tiles by order and number."""
    return {(r.order, r.npix): (r.inputs, r.formats) for r in records}


@dataclass(frozen=True, slots=True)
class Records:
    """The records of a HiPS, one file each."""

    folder: Path
    """Of the HiPS."""

    def path(self, order: int, npix: int) -> Path:
        """Give where a record is, or would be."""
        return self.folder / BUILD_FOLDER / "records" / f"{order}-{npix}.json"

    def get(self, order: int, npix: int) -> Record | None:
        """Read a record; None if there is none that can be read."""
        try:
            record = Record.from_json(self.path(order, npix).read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return record if (record.order, record.npix) == (order, npix) else None

    def put(self, record: Record) -> None:
        """Write a record, whole or not at all."""
        path = self.path(record.order, record.npix)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        partial.write_text(record.to_json(), "utf-8")
        partial.replace(path)

    def all(self) -> Iterator[Record]:
        """Give all records that can be read."""
        base = self.folder / BUILD_FOLDER / "records"
        for path in sorted(base.glob("*.json")):
            with suppress(OSError, ValueError):
                yield Record.from_json(path.read_text("utf-8"))

    def leaves(self) -> dict[int, str]:
        """Give the digest of the inputs of each deepest tile, by number."""
        return {npix: inputs for record in self.all() for npix, inputs in record.leaves.items()}

    def prune(self, wanted: set[tuple[int, int]]) -> None:
        """Remove the records of tiles (order, number) that are not wanted."""
        keep = {self.path(*key).name for key in wanted}
        base = self.folder / BUILD_FOLDER / "records"
        for path in base.iterdir() if base.is_dir() else ():
            if path.name not in keep:
                path.unlink()
