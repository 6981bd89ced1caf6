"""The outline of an image on the sky.

The outer edges of the pixel array (0-based pixels -0.5 to n - 0.5) are followed through the full
coordinates with distortion. Vertices are added until the great circles between them leave the
edges by less than a quarter of a pixel, so that no pixel's centre is left out.

Vertices run counter-clockwise as seen from the centre of the sphere, north up and east to the
left (DALI 1.1 section 3.3.7; ObsCore 1.1 section 4.12 by reference). An image that no simple
polygon within a hemisphere can outline (all-sky maps, caps around a pole in cylindrical
projections, arrays with corners off the projection) gets a circle around its valid pixels.

Another outline than the array's, such as that of the pixels that have a value (`vodal.fits.valid`),
is followed in the same way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from vodal.errors import DataError
from vodal.fits.wcs import pixel_scale_arcsec, pixel_to_icrs, sky_wcs
from vodal.regions import Circle, Polygon

__all__ = ["TOLERANCE_PIXELS", "Footprint", "footprint"]

Floats = NDArray[np.float64]

TOLERANCE_PIXELS = 0.25
"""How far sides may be from the edges, in sides of the smallest pixel."""
_MAX_VERTICES = 1024
"""A lookup-table distortion may wiggle at every pixel; an outline of more helps nobody."""
_MAX_ROUNDS = 12
_PARTS = np.array([0.25, 0.5, 0.75])
"""Where along a side between two vertices it is held to the edge."""
_WIDE_DEG = 85.0
"""Pixels further than this from the centre make the outline a circle: over a hemisphere a polygon
has no inside, and near it the two sides are hard to tell apart."""
_STEP = 0.01
"""Part of a pixel by which the coordinates are told to turn one way or the other."""
_PROBES = 8
"""Places that are probed for each cell of a table of distortions, on all four sides together."""
_MOST_CELLS = 128
_CIRCLE_SAMPLES = 257
_SAMPLES = 33
"""Places along each side of the array where folding and reach are probed."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """Where an image lies, in ICRS degrees."""

    region: Polygon | Circle
    """A polygon counter-clockwise as seen from inside the sphere, or a circle."""
    ra_deg: float
    dec_deg: float
    """Position of the array's centre; of the circle's where the region is a circle."""
    fov_deg: float
    """Diameter of the circle around the centre that holds the region."""
    pixel_scale_arcsec: float
    """Side of the square that has a pixel's area, at the centre."""


def footprint(wcs: WCS, nx: int, ny: int, outline: Floats | None = None) -> Footprint:
    """Outline the pixel array of an image, or a convex part of it.

    Parameters
    ----------
    wcs
        As `vodal.fits.wcs.load_wcs` or `sky_wcs` gives it.
    nx, ny
        Pixels along the two celestial axes, in the order of the file.
    outline
        Corners of a convex polygon in the array, anticlockwise in pixels, as 0-based places of
        shape (n, 2), x first; by default the array's own.

    Raises
    ------
    DataError
        If no pixel has a position, or the distortion folds the image over itself.
    """
    if nx < 1 or ny < 1:
        raise DataError("the image has no pixels")
    if outline is None:
        right, top = nx - 0.5, ny - 0.5
        outline = np.array([(-0.5, -0.5), (right, -0.5), (right, top), (-0.5, top)])
    frame = _Frame(sky_wcs(wcs), outline)
    x, y = frame.middle
    centre = frame.vectors(np.array([x]), np.array([y]))[0]
    grid = frame.grid(_SAMPLES)
    inside = grid[np.isfinite(grid[..., 0])]
    if not len(inside):
        raise DataError("no pixel of the image has a position on the sky")
    scale = pixel_scale_arcsec(frame.wcs, x, y)
    if not math.isfinite(scale) or scale <= 0.0:
        scale = pixel_scale_arcsec(frame.wcs)
    has_centre = bool(np.isfinite(centre).all())
    polygon = None
    if has_centre and len(inside) == grid.size // 3 and _angles(inside, centre).max() < _WIDE_DEG:
        polygon = _polygon(frame, grid, centre)
    if polygon is None:
        return _circle(frame.grid(_CIRCLE_SAMPLES), scale)
    ra_deg, dec_deg = _position(centre)
    fov_deg = 2.0 * float(_angles(polygon, centre).max())
    region = Polygon(tuple(_position(vertex) for vertex in polygon))
    return Footprint(region, ra_deg, dec_deg, fov_deg, scale)


@dataclass(frozen=True)
class _Frame:
    """An outline in pixels and its coordinates, in unit vectors."""

    wcs: WCS
    corners: Floats

    @property
    def middle(self) -> tuple[float, float]:
        """The centre of the outline's area."""
        x, y = (self.corners - self.corners[0]).T
        cross = x * np.roll(y, -1) - np.roll(x, -1) * y
        area = float(cross.sum())
        if area == 0.0:
            return float(self.corners[0, 0]), float(self.corners[0, 1])
        away = [float(np.sum((v + np.roll(v, -1)) * cross)) / (3.0 * area) for v in (x, y)]
        return float(self.corners[0, 0]) + away[0], float(self.corners[0, 1]) + away[1]

    @property
    def bounds(self) -> tuple[Floats, Floats]:
        """The lowest and the highest place along x and y."""
        return self.corners.min(axis=0), self.corners.max(axis=0)

    def vectors(self, x: Floats, y: Floats) -> Floats:
        """Give unit vectors (last axis) of pixels, NaN where there is no position."""
        ra, dec = (np.deg2rad(value) for value in pixel_to_icrs(self.wcs, x, y))
        out = np.empty((*ra.shape, 3))
        cos_dec = np.cos(dec)
        out[..., 0], out[..., 1] = cos_dec * np.cos(ra), cos_dec * np.sin(ra)
        out[..., 2] = np.sin(dec)
        return out

    def edge(self, t: Floats) -> Floats:
        """Give unit vectors along the outline; each side takes one unit of ``t`` in [0, n]."""
        side = np.minimum(t.astype(int), len(self.corners) - 1)
        along = (t - side)[:, None]
        ends = np.roll(self.corners, -1, axis=0)
        x, y = ((1.0 - along) * self.corners[side] + along * ends[side]).T
        return self.vectors(x, y)

    def turning(self) -> Floats:
        """Give the handedness of the coordinates at places of a grid, by small steps.

        Cells of a grid that straddle a kink of a projection (XPH at its pole) may look turned over;
        at a place the coordinates are so only where the image folds.
        """
        low, high = self.bounds
        x, y = (
            axis.ravel()
            for axis in np.meshgrid(
                *(
                    np.linspace(a, b - _STEP, _SAMPLES) + _STEP / 3.0
                    for a, b in zip(low, high, strict=True)
                )
            )
        )
        here, east, north = self.vectors(
            np.concatenate([x, x + _STEP, x]), np.concatenate([y, y, y + _STEP])
        ).reshape(3, -1, 3)
        turns: Floats = np.sign(_dot(_cross(east - here, north - here), here))
        return np.nan_to_num(turns)

    def grid(self, samples: int) -> Floats:
        """Give unit vectors of a grid around the outline, edges included, rows along y."""
        x, y = (
            np.linspace(low, high, min(samples, 2 * round(float(high - low)) + 1))
            for low, high in zip(*self.bounds, strict=True)
        )
        return self.vectors(*np.meshgrid(x, y))


def _cross(a: Floats, b: Floats) -> Floats:
    """Give vector products as `numpy.cross` does, which takes longer than this for few vectors."""
    ax, ay, az = a[..., 0], a[..., 1], a[..., 2]
    bx, by, bz = b[..., 0], b[..., 1], b[..., 2]
    return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)


def _norms(a: Floats) -> Floats:
    """Give the lengths of vectors, to the bit those of `numpy.linalg.norm`."""
    lengths: Floats = np.sqrt(_dot(a, a))
    return lengths


def _dot(a: Floats, b: Floats) -> Floats:
    """Give scalar products, to the bit as numpy sums them, which takes longer for three terms."""
    product: Floats = a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1] + a[..., 2] * b[..., 2]
    return product


def _angles(a: Floats, b: Floats) -> Floats:
    """Give angles between unit vectors in degrees; exact for small and large ones."""
    cross = _norms(_cross(a, b))
    angles: Floats = np.rad2deg(np.arctan2(cross, _dot(a, b)))
    return angles


def _position(vector: Floats) -> tuple[float, float]:
    ra = math.degrees(math.atan2(vector[1], vector[0])) % 360.0
    return ra, math.degrees(math.atan2(vector[2], math.hypot(vector[0], vector[1])))


def _middle(vectors: Floats) -> Floats:
    """Give the direction of the middle of some places on the sky."""
    mean: Floats = vectors.mean(axis=0)
    length = float(np.linalg.norm(mean))
    # Places all over the sky have no middle; any will do, as the circle will hold all of it.
    middle: Floats = mean / length if length > 1e-3 else vectors[len(vectors) // 2]
    return middle


def _circle(grid: Floats, scale: float) -> Footprint:
    """Draw a circle around the valid places of a grid, with a margin for what lies between."""
    inside = grid[np.isfinite(grid[..., 0])]
    steps = np.concatenate(
        [_angles(grid[1:], grid[:-1]).ravel(), _angles(grid[:, 1:], grid[:, :-1]).ravel()]
    )
    steps = steps[np.isfinite(steps)]
    # The few largest steps are the gaps of an interrupted projection. Towards a limb steps grow,
    # and so three of them are taken.
    margin = 3.0 * float(np.quantile(steps, 0.995)) if len(steps) else 0.0
    centre = _middle(inside)
    reach = float(_angles(inside, centre).max()) + margin
    radius = 180.0 if reach > 170.0 else reach
    ra_deg, dec_deg = _position(centre)
    return Footprint(Circle(ra_deg, dec_deg, radius), ra_deg, dec_deg, 2.0 * radius, scale)


def _polygon(frame: _Frame, grid: Floats, centre: Floats) -> Floats | None:
    """Give the outline's vertices, or None where a polygon cannot outline the image.

    Raises
    ------
    DataError
        If the distortion folds the image.
    """
    if _is_mixed(_handedness(grid)) and _is_mixed(frame.turning()):
        raise DataError("the distortion of the world coordinates folds the image over itself")
    outline = _follow(frame)
    if outline is None or float(_angles(outline, centre).max()) >= _WIDE_DEG:
        return None
    plane = _gnomonic(outline, centre)
    area = _signed_area(plane)
    if area == 0.0 or _crosses_itself(plane) or _touches_itself(plane) or not _winds_around(plane):
        # Not folded, and yet no simple outline: the image meets itself around a pole.
        return None
    return outline if area < 0.0 else outline[::-1]


def _is_mixed(handedness: Floats) -> bool:
    """Tell whether some places are turned over beside others."""
    return bool(handedness.min() < 0.0 < handedness.max())


def _handedness(grid: Floats) -> Floats:
    """Give the sign of each grid cell's triangles; all are the same unless the image folds.

    Cells that shrink to nothing, as at the pole of a cylindrical projection, count as 0.
    """
    a, b, c, d = grid[:-1, :-1], grid[:-1, 1:], grid[1:, :-1], grid[1:, 1:]
    signs = []
    for corner, one, two in ((a, b, c), (d, c, b)):
        cross = _cross(one - corner, two - corner)
        size = _norms(cross)
        turn = _dot(cross, corner)
        signs.append(np.where(np.abs(turn) > 1e-3 * size, np.sign(turn), 0.0))
    tiny = np.finfo(np.float64).eps
    shape = _norms(b - a) * _norms(c - a)
    return np.where(shape > tiny * 1e-6, np.stack(signs), 0.0)


def _follow(frame: _Frame) -> Floats | None:
    """Add vertices between the corners until the sides keep to the true edges."""
    nodes = np.arange(len(frame.corners) + 1.0)
    vectors = frame.edge(nodes)
    tolerance = _tolerance(frame)
    fine = _PROBES * _table_cells(frame.wcs)
    for _ in range(_MAX_ROUNDS):
        start, end = nodes[:-1], nodes[1:]
        # Close enough at first for the cells of a table of distortions; all at once, as each look
        # at the coordinates has its price.
        count = max(len(_PARTS), fine // len(start))
        parts = np.arange(1, count + 1) / (count + 1)
        between = frame.edge((start + parts[:, None] * (end - start)).ravel())
        off = _off_side(vectors[:-1], vectors[1:], between.reshape(count, -1, 3)).max(axis=0)
        if not np.isfinite(off).all():
            return None
        split = off > tolerance
        if not split.any() or len(nodes) + int(split.sum()) > _MAX_VERTICES:
            break
        nodes = np.sort(np.concatenate([nodes, 0.5 * (start + end)[split]]))
        vectors = frame.edge(nodes)
    # Corners that fall together, as on a pole, are one vertex.
    apart = np.linalg.norm(np.roll(vectors[:-1], -1, axis=0) - vectors[:-1], axis=1) > 1e-12
    vertices: Floats = vectors[:-1][apart]
    return vertices if len(vertices) >= 3 else None


def _table_cells(wcs: WCS) -> int:
    """Give the cells of the finest table of distortions along a side; 0 if there is none."""
    tables = (wcs.cpdis1, wcs.cpdis2, wcs.det2im1, wcs.det2im2)
    sizes = [max(table.data.shape) for table in tables if table is not None]
    return min(_MOST_CELLS, max(sizes, default=0))


def _tolerance(frame: _Frame) -> float:
    """Give the deviation that is allowed, as a chord: a part of the smallest pixel's short side."""
    (x0, y0), (x1, y1) = (
        ends + inward for ends, inward in zip(frame.bounds, (0.5, -0.5), strict=True)
    )
    x = np.array([x0, x1, x1, x0, (x0 + x1) / 2.0])
    y = np.array([y0, y0, y1, y1, (y0 + y1) / 2.0])
    right, left, above, below = frame.vectors(
        np.concatenate([x + 0.5, x - 0.5, x, x]), np.concatenate([y, y, y + 0.5, y - 0.5])
    ).reshape(4, -1, 3)
    sides = np.concatenate([_norms(right - left), _norms(above - below)])
    # Sides of no length (at a pole of a cylindrical projection) say nothing.
    sides = sides[np.isfinite(sides) & (sides > 1e-3 * np.nanmedian(sides))]
    return TOLERANCE_PIXELS * float(sides.min(initial=np.inf))


def _off_side(start: Floats, end: Floats, between: Floats) -> Floats:
    """Give how far places are from the great circle of their side, as a chord; several of each."""
    normal = _cross(start, end)
    length = _norms(normal)
    degenerate = length < 1e-12
    normal = normal / np.where(degenerate, 1.0, length)[:, None]
    off = np.abs(np.sum(between * normal, axis=-1))
    # A side whose ends fall together may still go around (a parallel of 360 degrees).
    result: Floats = np.where(degenerate, _norms(between - start), off)
    return result


def _gnomonic(vectors: Floats, centre: Floats) -> Floats:
    """Project around ``centre``, where great circles are straight: columns east and north."""
    ra = math.atan2(centre[1], centre[0])
    east = np.array([-math.sin(ra), math.cos(ra), 0.0])
    north = np.cross(centre, east)
    plane: Floats = np.stack([vectors @ east, vectors @ north], axis=1)
    return plane / (vectors @ centre)[:, None]


def _signed_area(plane: Floats) -> float:
    x, y = plane[:, 0], plane[:, 1]
    return float(0.5 * np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))


def _winds_around(plane: Floats) -> bool:
    """Tell whether the polygon goes around the origin, the image's centre, once."""
    angle = np.arctan2(plane[:, 1], plane[:, 0])
    turns = (np.roll(angle, -1) - angle + np.pi) % (2.0 * np.pi) - np.pi
    return abs(abs(float(turns.sum())) - 2.0 * np.pi) < 1e-6


def _touches_itself(plane: Floats) -> bool:
    """Tell whether a vertex is met twice, as on the seam of a map that goes all around."""
    close = 1e-9 * float(np.abs(plane).max())
    rounded = np.round(plane / close).astype(np.int64)
    return len(np.unique(rounded, axis=0)) < len(plane)


def _crosses_itself(plane: Floats) -> bool:
    """Tell whether two sides that are no neighbours meet."""
    size = float(np.abs(plane).max())
    a, b = plane / size, np.roll(plane, -1, axis=0) / size
    along = b - a

    def side_of(points: Floats) -> Floats:
        """Tell on which side of each polygon side (rows) the points (columns) are."""
        to = points[None, :, :] - a[:, None, :]
        area = along[:, None, 0] * to[..., 1] - along[:, None, 1] * to[..., 0]
        reach = np.linalg.norm(along, axis=1)[:, None] * np.linalg.norm(to, axis=-1)
        signs: Floats = np.where(np.abs(area) > 1e-11 * reach, np.sign(area), 0.0)
        return signs

    straddles = side_of(a) * side_of(b) < 0.0
    i, j = np.indices(straddles.shape)
    count = len(a)
    apart = (np.abs(i - j) > 1) & (np.abs(i - j) < count - 1)
    return bool((straddles & straddles.T & apart).any())
