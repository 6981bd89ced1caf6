"""The gate of footprints: regions from anywhere become canonical ones, or are refused by name.

A canonical region is what its own text says: `vodal.regions.parse_shape` of `shape_text` gives the
very same value, so that the text, the databases' geometries, index boxes and coverage maps are of
one footprint. Beyond that, a canonical polygon

- has vertices that are all different, three or more, no two neighbours of them opposite places;
- meets itself nowhere;
- lies within a hemisphere, and encloses an area;
- runs counter-clockwise as seen from the centre of the sphere (DALI 1.1 section 3.3.7).

Faults that leave no doubt of what was meant are mended, with a note. All others are refused.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from vodal.errors import DataError, UsageError
from vodal.outlines import ring_of
from vodal.planar import gnomonic, hull, meets_itself, signed_area
from vodal.regions import Circle, Point, Polygon, Range, Region, Shape, parse_numbers, parse_shape
from vodal.sphere import bounding_cap, box_polygon
from vodal.starlike import turn_around_middle
from vodal.vectors import point_of

__all__ = ["FAULTS", "REVERSED", "Canonical", "RegionFaultError", "canonical", "canonical_text"]

Floats = NDArray[np.float64]

FAULTS: Final = {
    "text": "the text is no region that can be read",
    "not-finite": "a coordinate is NaN or infinite",
    "no-area": "the region has no area: a point, a line, fewer than three different vertices",
    "opposite": "two vertices that follow each other are opposite places, so that any great circle"
    " could join them",
    "half-sky": "the sides go around the sky, so that neither part is the smaller one",
    "crossing": "the sides of a polygon wider than a hemisphere cross, which has no convex hull",
    "vertices": "a polygon has more vertices than 2048",
}
"""Names of the faults for which a region is refused, with what they mean."""

REVERSED: Final = "the polygon's vertices ran clockwise and were reversed"
"""The most frequent note."""

_MOST_VERTICES: Final = 2048
_DIGITS: Final = 10
"""Decimal places of degrees that the text has (0.4 micro-arcseconds)."""
_SAME: Final = 5e-12
"""Chord between vertices that are taken for one (1 micro-arcsecond): sides as short as the digits
of the text have no direction."""
_THIN: Final = 1e-11
"""A polygon that lies so close to a great circle, in radians, is a line."""
_OPPOSITE: Final = 1e-7
"""Distance in radians from the antipode within which a vertex makes a side without direction."""
_UNDECIDED: Final = 1e-6
"""Part of a hemisphere's area by which a polygon's must be smaller."""


class RegionFaultError(DataError):
    """A region that cannot be a footprint.

    Parameters
    ----------
    fault
        One of `FAULTS`.
    message
        A sentence.
    """

    def __init__(self, fault: str, message: str) -> None:
        super().__init__(message)
        self.fault = fault

    @override
    def __reduce__(self) -> tuple[type[RegionFaultError], tuple[str, str]]:
        return type(self), (self.fault, self.message)


@dataclass(frozen=True, slots=True)
class Canonical:
    """A region that passed."""

    region: Region
    notes: tuple[str, ...] = ()
    """What was mended; nothing for what came as it should."""


def canonical_text(text: str, name: str = "s_region") -> Canonical:
    """Read a region's text and bring it to the canonical form.

    Parameters
    ----------
    text
        As DALI 1.1 and 1.2 or STC-S write it: ``CIRCLE``, ``POLYGON``, ``RANGE``, ``BOX``, with an
        optional frame; also several of them one after the other, or as ``UNION ( ... )``, of which
        the convex hull is taken.
    name
        Of the column, for messages.

    Raises
    ------
    RegionFaultError
        If it cannot be read, or is none that can be a footprint.
    """
    parts = _parts(text)
    try:
        shapes = [_read(part, name) for part in parts]
    except UsageError as error:
        raise RegionFaultError(_fault_of(text, error.message), error.message) from None
    if len(shapes) == 1:
        return canonical(shapes[0])
    whole = canonical(_hull_of(shapes))
    note = f"the region of {len(shapes)} parts was replaced by the convex hull of them"
    return Canonical(whole.region, (note, *whole.notes))


_NOT_FINITE: Final = re.compile(r"(?i)(?<![a-z])(nan|inf)")
_SHAPES: Final = ("CIRCLE", "POLYGON", "RANGE", "BOX", "POSITION", "POINT")


def _fault_of(text: str, message: str) -> str:
    if _NOT_FINITE.search(text):
        return "not-finite"
    few = "needs three" in message or "takes three or more pairs" in message
    return "no-area" if few else "text"


def _parts(text: str) -> list[str]:
    """Split a text of several shapes into those of each."""
    words = text.replace("(", " ").replace(")", " ").split()
    if words and words[0].upper() == "UNION":
        words.pop(0)
        while words and words[0].upper() not in _SHAPES:
            words.pop(0)  # the frame of all of them
    starts = [at for at, word in enumerate(words) if word.upper() in _SHAPES]
    if len(starts) < 2 or starts[0] != 0:
        return [" ".join(words)]
    ends = [*starts[1:], len(words)]
    return [" ".join(words[a:b]) for a, b in zip(starts, ends, strict=True)]


def _read(text: str, name: str) -> Shape:
    """Read one shape; STC-S's BOX as ADQL has it, a cross of great circles."""
    if text[:3].upper() != "BOX":
        return parse_shape(text, name)
    words = text.split()[1:]
    numbers = parse_numbers(" ".join(word for word in words if not word[0].isalpha()), name)
    if len(numbers) != 4:
        raise UsageError(f"{name}: BOX takes four numbers 'ra dec width height' in degrees")
    parse_shape(" ".join(["CIRCLE", *words[:-1]]), name)  # refuses frames
    return box_polygon(*numbers)


def canonical(region: Shape) -> Canonical:
    """Bring a region to the canonical form.

    Mended, each with a note: vertices that repeat, spikes without area, clockwise vertices, sides
    that cross or touch (the convex hull is taken, which holds every part that may have been meant),
    polygons wider than a hemisphere (a circle around them is taken).

    Parameters
    ----------
    region
        ICRS degrees.

    Raises
    ------
    RegionFaultError
        If it is none that can be a footprint.
    """
    match region:
        case Point():
            raise RegionFaultError("no-area", "the region is a point, without an area")
        case Circle(ra, dec, radius):
            radius = round(radius, _DIGITS)
            if radius == 0.0:
                raise RegionFaultError("no-area", "the circle has no radius")
            return Canonical(Circle(round(ra, _DIGITS), round(dec, _DIGITS), radius))
        case Range():
            return Canonical(_range(region))
        case Polygon():
            return _polygon(region)


def _range(region: Range) -> Range:
    west, east, south, north = (
        round(value, _DIGITS)
        for value in (
            region.ra_min_deg, region.ra_max_deg, region.dec_min_deg, region.dec_max_deg,
        )
    )  # fmt: skip
    rounded = Range(west, east, south, north)
    if south == north or rounded.ra_width_deg == 0.0:
        raise RegionFaultError("no-area", "the range of coordinates has no area")
    return rounded


def _polygon(polygon: Polygon) -> Canonical:
    given = np.round(np.array(polygon.vertices), _DIGITS)
    given[given[:, 0] >= 360.0, 0] = 0.0
    if len(given) > _MOST_VERTICES:
        message = f"the polygon has {len(given)} vertices, more than {_MOST_VERTICES}"
        raise RegionFaultError("vertices", message)
    turn = turn_around_middle(given.tolist())
    if turn:
        notes = (REVERSED,) if turn > 0 else ()
        return Canonical(_polygon_of(given[::-turn]), notes)
    return _general(given)


def _general(given: Floats) -> Canonical:
    """Bring any polygon to the canonical form, of vertices with the digits of the text."""
    notes: list[str] = []
    kept = _distinct(given)
    if len(kept) < len(given):
        count = len(given) - len(kept)
        what = "vertex that repeats or turns" if count == 1 else "vertices that repeat or turn"
        notes.append(f"{count} {what} back left out of the polygon")
    vectors = _vectors(kept)
    _check_sides(vectors)
    thickness, middle = _flatness(vectors)
    if middle is None:
        if thickness < _THIN:
            raise RegionFaultError("half-sky", "the polygon's vertices lie on one great circle")
        return _wide(kept, vectors, notes)
    if thickness < _THIN:
        raise RegionFaultError("no-area", "the polygon's vertices lie on one line")
    plane = gnomonic(vectors, middle)
    # Seen from inside, east is left: what is positive in the plane runs clockwise.
    if meets_itself(plane, _SAME):
        notes.append("the polygon's sides crossed or touched; its convex hull was taken")
        corners = hull(plane)
        if len(corners) < 3:
            raise RegionFaultError("no-area", "the polygon's vertices lie on one line")
        kept = kept[corners][::-1]
    elif signed_area(plane) > 0.0:
        notes.append(REVERSED)
        kept = kept[::-1]
    return Canonical(_polygon_of(kept), tuple(notes))


def _polygon_of(vertices: Floats) -> Polygon:
    return Polygon(tuple((ra, dec) for ra, dec in vertices.tolist()))


def _vectors(positions: Floats) -> Floats:
    ra, dec = np.radians(positions).T
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)


def _distinct(positions: Floats) -> Floats:
    """Leave out vertices that repeat their predecessor, and spikes that go forth and back."""
    vectors = _vectors(positions)
    kept: list[int] = []
    for at in range(len(positions)):
        kept.append(at)
        while len(kept) > 1 and _are_same(vectors, kept[-1], kept[-2]):
            kept.pop()
        while len(kept) > 2 and _are_same(vectors, kept[-1], kept[-3]):
            del kept[-2:]
    while len(kept) > 2:
        if _are_same(vectors, kept[0], kept[-1]):
            kept.pop()
        elif _are_same(vectors, kept[0], kept[-2]):
            del kept[-2:]
        elif _are_same(vectors, kept[1], kept[-1]):
            del kept[0], kept[-1]
        else:
            break
    if len(kept) < 3:
        raise RegionFaultError("no-area", "the polygon has fewer than three different vertices")
    return positions[kept]


def _are_same(vectors: Floats, a: int, b: int) -> bool:
    return float(np.abs(vectors[a] - vectors[b]).max()) < _SAME


def _check_sides(vectors: Floats) -> None:
    following = np.roll(vectors, -1, axis=0)
    away = np.linalg.norm(vectors + following, axis=1)
    if float(away.min()) < _OPPOSITE:
        raise RegionFaultError("opposite", "two vertices that follow each other are opposite")


def _flatness(vectors: Floats) -> tuple[float, Floats | None]:
    """Tell how far vertices are from one great circle, and the middle of a hemisphere with all.

    The middle is None if the polygon does not lie clear within a hemisphere about its vertices'
    mean.
    """
    middle = vectors.mean(axis=0)
    length = float(np.linalg.norm(middle))
    middle = middle / length if length > 1e-9 else vectors[0]
    # The normal of the plane through the centre that the vertices are nearest to, of differences
    # from the middle so that small polygons keep their digits.
    apart = vectors - middle
    lengths = np.linalg.norm(apart, axis=1)
    far = apart[int(lengths.argmax())]
    normal = np.cross(middle, far)
    size = float(np.linalg.norm(normal))
    off = np.abs(apart @ normal) / size if size > 0.0 else np.zeros(1)
    thickness = float(off.max())
    if length <= 1e-9 or float((vectors @ middle).min()) < 0.01:
        _, _, axes = np.linalg.svd(vectors)
        return float(np.abs(vectors @ axes[-1]).max()), None
    return thickness, middle


def _wide(positions: Floats, vectors: Floats, notes: list[str]) -> Canonical:
    """Give a circle around a polygon that does not lie within a hemisphere."""
    if _crosses_on_sphere(vectors):
        raise RegionFaultError("crossing", "the sides of a polygon of more than a hemisphere cross")
    polygon = _polygon_of(positions)
    if ring_of(polygon).area_sr() > 2.0 * math.pi * (1.0 - _UNDECIDED):
        raise RegionFaultError("half-sky", "the polygon's sides halve the sky")
    centre, radius_deg = bounding_cap(polygon)
    point = point_of(centre)
    notes.append("the polygon is wider than a hemisphere; a circle around it was taken")
    circle = Circle(point.ra_deg, point.dec_deg, min(180.0, radius_deg + 10.0**-8))
    return Canonical(canonical(circle).region, tuple(notes))


def _crosses_on_sphere(vectors: Floats) -> bool:
    """Tell whether two sides cross, wherever on the sphere they lie."""
    ends = np.roll(vectors, -1, axis=0)
    normals = np.cross(vectors, ends)
    heights = normals @ vectors.T
    heights[np.abs(heights) < 1e-14] = 0.0
    straddles = heights * np.roll(heights, -1, axis=1) < 0.0
    first, second = np.nonzero(straddles & straddles.T)
    # Their circles meet in two opposite places: is it the same one on both?
    place = np.cross(normals[first], normals[second])
    on_first = np.sum(place * (vectors + ends)[first], axis=1)
    on_second = np.sum(place * (vectors + ends)[second], axis=1)
    return bool((on_first * on_second > 0.0).any())


def _hull_of(shapes: list[Shape]) -> Polygon:
    """Give the convex hull of several shapes that lie within a hemisphere."""
    places: list[tuple[float, float]] = []
    for shape in shapes:
        if not isinstance(shape, Polygon):
            message = "of several regions in one only polygons can be joined"
            raise RegionFaultError("text", message)
        places += shape.vertices
    positions = np.round(np.array(places), _DIGITS)
    vectors = _vectors(positions)
    middle = vectors.mean(axis=0)
    middle /= max(float(np.linalg.norm(middle)), 1e-9)
    if float((vectors @ middle).min()) < 0.01:
        raise RegionFaultError("half-sky", "the parts of the region do not fit into a hemisphere")
    return _polygon_of(positions[hull(gnomonic(vectors, middle))][::-1])
