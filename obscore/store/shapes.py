"""Packed footprints of many rows, those that are polygons as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Polygons", "polygons"]


@dataclass(frozen=True, slots=True)
class Polygons:
    """Rows with a position whose footprints are polygons of one number of vertices."""

    places: list[int]
    """Of each among the rows."""
    vertices: NDArray[np.float64]
    """(polygon, vertex, ra and dec) in degrees."""
    ra: NDArray[np.float64]
    dec: NDArray[np.float64]
    """Positions of the rows, in degrees."""


def polygons(
    shapes: Sequence[bytes | None],
    s_ra: Sequence[float | None],
    s_dec: Sequence[float | None],
) -> Iterator[Polygons]:
    """Give the rows with a position whose footprints are polygons, by number of vertices.

    Parameters
    ----------
    shapes
        As `vodal.regions.shape_to_bytes` packs them.
    s_ra, s_dec
        Positions, in degrees.
    """
    for places in _by_length(shapes, s_ra, s_dec):
        packed = b"".join([shapes[at] or b"" for at in places])
        # Each is a letter and its numbers.
        numbers = np.frombuffer(packed, np.uint8).reshape(len(places), -1)[:, 1:]
        vertices = np.ascontiguousarray(numbers).view("<f8").reshape(len(places), -1, 2)
        yield Polygons(
            places,
            vertices.astype(np.float64, copy=False),
            np.array([s_ra[at] for at in places], np.float64),
            np.array([s_dec[at] for at in places], np.float64),
        )


def _by_length(
    shapes: Sequence[bytes | None],
    s_ra: Sequence[float | None],
    s_dec: Sequence[float | None],
) -> Iterable[list[int]]:
    """Give the places of polygons that have a position, those of one length together."""
    if None not in s_ra and None not in s_dec:
        kinds = {None if shape is None else (len(shape), shape[:1]) for shape in shapes}
        if len(kinds) == 1 and (kind := kinds.pop()) is not None and kind[1] == b"y":
            return [list(range(len(shapes)))]
    found: dict[int, list[int]] = {}
    for at, (shape, ra, dec) in enumerate(zip(shapes, s_ra, s_dec, strict=True)):
        if shape is not None and shape[:1] == b"y" and ra is not None and dec is not None:
            found.setdefault(len(shape), []).append(at)
    return found.values()
