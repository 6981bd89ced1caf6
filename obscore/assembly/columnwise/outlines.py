"""Footprints of many rows, where they are polygons that are clearly convex."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from obscore.assembly.columnwise.block import Block
from obscore.assembly.told import plain_polygon
from vodal.convex import convex_many, farthest_deg
from vodal.regions import Polygon, shape_text

__all__ = ["Outlines", "outlines"]

_MOST = 16
_PART = r"(?:\.\d{0,9}[1-9])?"
_RA = rf"(?:0|[1-9]\d?|[12]\d\d|3[0-5]\d){_PART}"
_DEC = rf"(?!-0(?: |$))-?(?:0|[1-9]\d?){_PART}"
_CANONICAL = re.compile(rf"POLYGON ICRS(?: {_RA} {_DEC}){{3,{_MOST}}}", re.ASCII)
"""What `shape_text` writes of a polygon: its text stays as it is."""


@dataclass(frozen=True, slots=True)
class Outlines:
    """Canonical footprints, by row; None where there is none, or the row is left."""

    regions: list[Polygon | None]
    texts: list[str | None]
    is_there: NDArray[np.bool_]
    is_reversed: NDArray[np.bool_]
    """Whose vertices ran the other way."""
    holds: NDArray[np.bool_]
    """Which hold the row's position, clearly."""
    s_fov: NDArray[np.float64]
    """Degrees."""


def outlines(block: Block) -> Outlines:
    """Give the footprints of rows; rows with others, or whose position is missing, are left."""
    count = len(block)
    found = Outlines(
        [None] * count, [None] * count, np.zeros(count, np.bool_), np.zeros(count, np.bool_),
        np.zeros(count, np.bool_), np.full(count, np.nan),
    )  # fmt: skip
    given = block.column("s_region")
    by_length: dict[int, list[tuple[int, Polygon]]] = {}
    for at, text in enumerate(given):
        if text is not None:
            polygon = _polygon(str(text))
        else:
            region = block.parts[at].region
            if region is None:
                continue
            polygon = region if isinstance(region, Polygon) else None
        if polygon is None or len(polygon.vertices) > _MOST:
            block.is_plain[at] = False
            continue
        by_length.setdefault(len(polygon.vertices), []).append((at, polygon))
    for some in by_length.values():
        _fill(block, found, np.array([at for at, _ in some]), [one for _, one in some])
    return found


def _polygon(text: str) -> Polygon | None:
    if _CANONICAL.fullmatch(text):
        numbers = list(map(float, text.split()[2:]))
        vertices = tuple(zip(numbers[::2], numbers[1::2], strict=True))
        if max(map(abs, numbers[1::2])) <= 90.0 and vertices[0] != vertices[-1]:
            return Polygon.of_sound(vertices)
    try:
        return plain_polygon(text)
    except ValueError:
        return None


def _fill(
    block: Block, found: Outlines, places: NDArray[np.int64], polygons: Sequence[Polygon]
) -> None:
    """Tell of the polygons of some rows, which have as many vertices each."""
    vertices = np.array([one.vertices for one in polygons])
    many = convex_many(vertices)
    ra, dec = block.number("s_ra")[places], block.number("s_dec")[places]
    found.is_there[places], found.is_reversed[places] = True, many.is_reversed
    found.holds[places] = many.hold(ra, dec)
    found.s_fov[places] = 2.0 * farthest_deg(ra, dec, many.places)
    # Without a position, or far from it, more is to be decided than what is quick.
    block.is_plain[places] &= many.is_convex & found.holds[places] & ~np.isnan(found.s_fov[places])
    given = block.column("s_region")
    is_same = (many.places == vertices).all(axis=(1, 2)) & ~many.is_reversed
    blanks = 2 * vertices.shape[1] + 1
    for number, at in enumerate(places.tolist()):
        if not block.is_plain[at]:
            continue
        polygon, text = polygons[number], given[at]
        if not is_same[number]:
            kept = many.places[number].tolist()
            polygon = Polygon(tuple(map(tuple, kept[::-1] if many.is_reversed[number] else kept)))
            text = None
        found.regions[at] = polygon
        if not (isinstance(text, str) and text.count(" ") == blanks and _CANONICAL.fullmatch(text)):
            text = shape_text(polygon)
        found.texts[at] = text
