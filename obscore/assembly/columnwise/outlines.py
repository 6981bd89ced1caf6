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

    shapes: list[bytes | None]
    """As `vodal.regions.shape_to_bytes` packs them."""
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
    as_they_are: dict[int, list[int]] = {}
    others: dict[int, list[tuple[int, Polygon]]] = {}
    for at, text in enumerate(given):
        if isinstance(text, str) and _CANONICAL.fullmatch(text):
            as_they_are.setdefault(text.count(" "), []).append(at)
        else:
            _sort(block, at, text, others)
    for places in as_they_are.values():
        texts = [str(given[at]) for at in places]
        vertices = _vertices(texts)
        # What the pattern lets pass is a number each, but it may be no place, or close the outline.
        is_odd = (np.abs(vertices[..., 1]) > 90.0).any(axis=1)
        is_odd |= (vertices[:, 0] == vertices[:, -1]).all(axis=1)
        for number in np.flatnonzero(is_odd).tolist():
            _sort(block, places[number], texts[number], others)
        sound = np.flatnonzero(~is_odd)
        chosen = [texts[number] for number in sound.tolist()]
        _fill(block, found, np.array(places)[sound], vertices[sound], chosen)
    for some in others.values():
        vertices = np.array([one.vertices for _, one in some])
        _fill(block, found, np.array([at for at, _ in some]), vertices, [None] * len(some))
    return found


def _vertices(texts: Sequence[str]) -> NDArray[np.float64]:
    """Read the vertices (polygon, vertex, ra and dec) of texts of one number of them each."""
    numbers = " ".join([text[len("POLYGON ICRS ") :] for text in texts]).split()
    return np.fromiter(map(float, numbers), np.float64, len(numbers)).reshape(len(texts), -1, 2)


def _sort(
    block: Block, at: int, text: object, others: dict[int, list[tuple[int, Polygon]]]
) -> None:
    """Put the polygon of a row beside those of as many vertices; leave what is none."""
    if text is not None:
        try:
            region = plain_polygon(str(text))
        except ValueError:
            region = None
    elif block.regions[at] is None:
        return
    else:
        given = block.regions[at]
        region = given if isinstance(given, Polygon) else None
    if region is None or len(region.vertices) > _MOST:
        block.is_plain[at] = False
    else:
        others.setdefault(len(region.vertices), []).append((at, region))


def _fill(
    block: Block,
    found: Outlines,
    places: NDArray[np.int64],
    vertices: NDArray[np.float64],
    texts: Sequence[str | None],
) -> None:
    """Tell of the polygons of some rows, which have as many vertices each.

    Parameters
    ----------
    texts
        Those that are as `shape_text` writes them.
    """
    if not len(places):
        return
    many = convex_many(vertices)
    ra, dec = block.number("s_ra")[places], block.number("s_dec")[places]
    found.is_there[places], found.is_reversed[places] = True, many.is_reversed
    found.holds[places] = many.hold(ra, dec)
    found.s_fov[places] = 2.0 * farthest_deg(ra, dec, many.places)
    # Without a position, or far from it, more is to be decided than what is quick.
    block.is_plain[places] &= many.is_convex & found.holds[places] & ~np.isnan(found.s_fov[places])
    is_same = (many.places == vertices).all(axis=(1, 2)) & ~many.is_reversed
    kept = np.where(many.is_reversed[:, None, None], many.places[:, ::-1], many.places)
    packed, size = kept.astype("<f8").tobytes(), 16 * vertices.shape[1]
    is_plain = block.is_plain[places].tolist()
    for number, (at, same) in enumerate(zip(places.tolist(), is_same.tolist(), strict=True)):
        if not is_plain[number]:
            continue
        text = texts[number]
        if text is None or not same:
            text = shape_text(Polygon(tuple(map(tuple, kept[number].tolist()))))
        found.texts[at] = text
        found.shapes[at] = b"y" + packed[number * size : (number + 1) * size]
