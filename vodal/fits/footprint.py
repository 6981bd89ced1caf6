"""The outline of an image on the sky.

The outer edges of the pixel array are followed through the full coordinates with distortion:
vertices are added until the great-circle sides leave the true edge by less than a quarter of a
pixel. The polygon is counter-clockwise as seen from inside the sphere, north up and east left
(DALI 1.1 section 3.3.7). An image that spans too much of the sky for a polygon is outlined by a
circle around all its valid pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vodal.errors import DataError
from vodal.fits.wcs import ImageWcs
from vodal.regions import Circle, Polygon

__all__ = ["Footprint", "footprint"]

Floats = NDArray[np.float64]

_TOLERANCE_PIXELS = 0.25
_MAX_VERTICES = 1024
_MAX_ROUNDS = 12
_WIDE_DEG = 75.0
"""Images that reach further than this from their centre get a circle."""
_SAMPLES = 65


@dataclass(frozen=True, slots=True)
class Footprint:
    """Where an image lies. Degrees, ICRS."""

    region: Polygon | Circle
    ra_deg: float
    dec_deg: float
    """Centre of the pixel array, or of the valid pixels where the array's centre has no place."""
    fov_deg: float
    """Diameter of the circle around the centre that holds the footprint."""
    pixel_scale_arcsec: float | None
    """At the centre."""


def _unit(ra: Floats, dec: Floats) -> Floats:
    """Give unit vectors, one a row."""
    a, d = np.deg2rad(ra), np.deg2rad(dec)
    return np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], axis=-1)


def _angle(a: Floats, b: Floats) -> Floats:
    """Give angles between unit vectors in degrees, accurate at any size."""
    cross = np.linalg.norm(np.cross(a, b), axis=-1)
    return np.rad2deg(np.arctan2(cross, np.sum(a * b, axis=-1)))


def footprint(wcs: ImageWcs, nx: int, ny: int) -> Footprint:
    """Outline an array of ``nx`` by ``ny`` pixels.

    Raises
    ------
    DataError
        If no pixel has a place on the sky, or the outline crosses itself (a distortion that
        folds over).
    """
    if nx < 1 or ny < 1:
        raise DataError("the image has no pixels")
    centre_x, centre_y = (nx - 1) / 2.0, (ny - 1) / 2.0
    ra, dec = wcs.to_icrs([centre_x], [centre_y])
    centred = bool(np.isfinite(ra[0]) and np.isfinite(dec[0]))
    scale = wcs.pixel_scale_arcsec(centre_x, centre_y) if centred else math.nan
    grid = _grid(wcs, nx, ny)
    if not grid.size:
        raise DataError("no pixel of the image has a place on the sky")
    centre = _unit(ra, dec)[0] if centred else _mean(grid)
    corners = _edge(wcs, nx, ny, np.arange(4.0))
    wide = (
        not centred
        or not np.isfinite(corners).all()
        or not np.isfinite(_edge(wcs, nx, ny, np.linspace(0, 4, 129))).all()
        or float(_angle(grid, centre).max()) > _WIDE_DEG
    )
    ra_deg, dec_deg = _position(centre)
    if wide:
        # Half the distance between samples is added, so that no pixel between them is left out.
        spacing = _spacing(grid, nx, ny, scale)
        radius = min(180.0, float(_angle(grid, centre).max()) + spacing)
        region: Polygon | Circle = Circle(ra_deg, dec_deg, radius)
        return Footprint(region, ra_deg, dec_deg, 2 * radius if radius < 180 else 360.0,
                         scale if math.isfinite(scale) else None)  # fmt: skip
    outline = _follow(wcs, nx, ny, scale / 3600.0)
    flat = _project(outline, centre)
    if _crosses_itself(flat):
        raise DataError("the outline of the image crosses itself: its distortion folds over")
    if _signed_area(flat) > 0.0:
        outline = outline[::-1]
    fov = 2.0 * float(_angle(outline, centre).max())
    vertices = tuple(_position(vector) for vector in outline)
    return Footprint(Polygon(vertices), ra_deg, dec_deg, fov, scale)


def _position(vector: Floats) -> tuple[float, float]:
    x, y, z = (float(v) for v in vector)
    return math.degrees(math.atan2(y, x)) % 360.0, math.degrees(math.atan2(z, math.hypot(x, y)))


def _mean(vectors: Floats) -> Floats:
    mean = vectors.mean(axis=0)
    norm = float(np.linalg.norm(mean))
    # The mean of a whole sky has no direction; any of its pixels may stand for its centre.
    return mean / norm if norm > 1e-3 else vectors[len(vectors) // 2]


def _grid(wcs: ImageWcs, nx: int, ny: int) -> Floats:
    """Give unit vectors of a grid of pixels, edges included, of those that have a place."""
    xs = np.linspace(-0.5, nx - 0.5, min(_SAMPLES, nx + 2))
    ys = np.linspace(-0.5, ny - 0.5, min(_SAMPLES, ny + 2))
    ra, dec = wcs.to_icrs(*np.meshgrid(xs, ys))
    vectors = _unit(ra.ravel(), dec.ravel())
    return vectors[np.isfinite(vectors).all(axis=1)]


def _spacing(grid: Floats, nx: int, ny: int, scale: float) -> float:
    pixel = scale / 3600.0 if math.isfinite(scale) else 360.0 / max(nx, ny)
    return pixel * max(nx, ny) / (_SAMPLES - 1)


def _edge(wcs: ImageWcs, nx: int, ny: int, at: Floats) -> Floats:
    """Give unit vectors along the array's edge; ``at`` runs from 0 to 4, one a side."""
    side = np.floor(at).astype(int) % 4
    part = at - np.floor(at)
    x = np.select([side == 0, side == 1, side == 2], [part, np.ones_like(part), 1 - part], 0.0)
    y = np.select([side == 0, side == 1, side == 2], [np.zeros_like(part), part,
                                                      np.ones_like(part)], 1 - part)  # fmt: skip
    return _unit(*wcs.to_icrs(x * nx - 0.5, y * ny - 0.5))


def _follow(wcs: ImageWcs, nx: int, ny: int, pixel_deg: float) -> Floats:
    """Add vertices to the four corners until the sides keep to the true edges."""
    nodes = np.arange(5.0)
    vectors = _edge(wcs, nx, ny, nodes)
    tolerance = _TOLERANCE_PIXELS * pixel_deg
    for _ in range(_MAX_ROUNDS):
        start, end = nodes[:-1], nodes[1:]
        worst = np.zeros(len(start))
        normal = np.cross(vectors[:-1], vectors[1:])
        length = np.linalg.norm(normal, axis=1)
        normal = normal / np.where(length > 0, length, 1.0)[:, None]
        for part in (0.25, 0.5, 0.75):
            between = _edge(wcs, nx, ny, start + part * (end - start))
            off = np.rad2deg(np.abs(np.arcsin(np.clip(np.sum(between * normal, axis=1), -1, 1))))
            worst = np.maximum(worst, np.where(length > 0, off, 0.0))
        split = worst > tolerance
        if not split.any() or len(nodes) + int(split.sum()) > _MAX_VERTICES:
            break
        middles = 0.5 * (start + end)[split]
        nodes = np.sort(np.concatenate([nodes, middles]))
        vectors = _edge(wcs, nx, ny, nodes)
    return vectors[:-1]


def _project(vectors: Floats, centre: Floats) -> Floats:
    """Project gnomonically around ``centre``: columns east and north."""
    ra, dec = np.deg2rad(_position(centre))
    east = np.array([-math.sin(ra), math.cos(ra), 0.0])
    north = np.cross(centre, east)
    depth = vectors @ centre
    return np.stack([vectors @ east, vectors @ north], axis=1) / depth[:, None]


def _signed_area(flat: Floats) -> float:
    x, y = flat[:, 0], flat[:, 1]
    return float(0.5 * np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))


def _crosses_itself(flat: Floats) -> bool:
    """Tell whether two sides that are no neighbours cross properly."""
    a, b = flat, np.roll(flat, -1, axis=0)
    n = len(a)

    def side(p: Floats, q: Floats, r: Floats) -> Floats:
        d, e = q[:, None] - p[:, None], r[None] - p[:, None]
        area: Floats = d[..., 0] * e[..., 1] - d[..., 1] * e[..., 0]
        return area

    one, two = side(a, b, a), side(a, b, b)
    crossing = (one * two < 0) & (one * two < 0).T
    i, j = np.indices((n, n))
    apart = (np.abs(i - j) > 1) & (np.abs(i - j) < n - 1)
    return bool((crossing & apart).any())
