"""The grid that images are stitched onto: projection, scale, orientation and size."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from soda.distance import signed_distance
from soda.stitch.request import StitchRequest
from vodal.errors import TooLargeError, UsageError
from vodal.fits.frames import unit_vectors
from vodal.fits.projected import projected
from vodal.fits.wcs import icrs_to_pixel, pixel_to_icrs
from vodal.outlines import arcs_of
from vodal.projections import ZENITHAL
from vodal.regions import Circle, Range, Region
from vodal.resample.block import Window, windows
from vodal.resample.mapping import ImageMapping
from vodal.sphere import bounding_cap

__all__ = ["Target", "make_target", "outline"]

Floats = NDArray[np.float64]

_SLACK_PIXELS: Final = 0.01
"""By which a region may stick out of the image; no pixel's centre is lost by that."""
_ON_A_CIRCLE: Final = 720
_LATTICE_DEG: Final = 5.0
_MOST_PIXELS: Final = 1 << 40


@dataclass(frozen=True, slots=True)
class Target:
    """A grid of pixels on the sky."""

    wcs: WCS
    """Of two celestial axes."""
    width: int
    height: int

    def blocks(self, side: int) -> Iterator[Window]:
        """Divide it into blocks, row by row."""
        return windows(ImageMapping(self.wcs), self.width, self.height, side)


def outline(wcs: WCS, shape: tuple[int, int]) -> tuple[Floats, Floats]:
    """Give positions along the edge of an image and in it, as far as they are on the sky."""
    y, x = np.meshgrid(*(np.linspace(-0.5, size - 0.5, 65) for size in shape), indexing="ij")
    edge = np.ones(x.shape, np.bool_)
    edge[1:-1, 1:-1] = False
    edge[::8, ::8] = True
    ra, dec = pixel_to_icrs(wcs, x[edge], y[edge])
    seen = np.isfinite(ra) & np.isfinite(dec)
    return ra[seen], dec[seen]


def make_target(
    asked: StitchRequest, scale_arcsec: float, covered: tuple[Floats, Floats]
) -> Target:
    """Make the grid of a request.

    Parameters
    ----------
    asked
        The request.
    scale_arcsec
        Side of a pixel where the request does not tell it.
    covered
        Right ascension and declination of places around all images, for requests without a
        stencil.

    Raises
    ------
    UsageError
        If the projection does not reach all of the region.
    TooLargeError
        If it has more pixels than can be counted.
    """
    if asked.stencil is None:
        ra, dec = covered
        middle = _middle_of(ra, dec)
    else:
        middle = _middle(asked.stencil, zenithal=asked.projection in ZENITHAL)
        ra, dec = _places(asked.stencil, middle)
    step_deg = (asked.scale_arcsec or scale_arcsec) / 3600.0
    wcs = projected(asked.projection, asked.frame, middle, step_deg, asked.rotation_deg)
    x, y = icrs_to_pixel(wcs, ra, dec)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise UsageError(
            f"PROJ={asked.projection} does not reach all of the region; ask for a smaller one, or"
            " for ZEA, ARC, CAR or AIT"
        )
    sizes, moves = [], []
    for k, places in enumerate((x, y)):
        low, high = float(places.min()), float(places.max())
        if asked.npix is not None:
            size = asked.npix[k]
        elif high - low > _MOST_PIXELS:
            raise TooLargeError(
                f"the image would be {high - low:.3g} pixels wide or high; ask for a smaller "
                "region, or for larger pixels by PIXSCALE"
            )
        else:
            size = max(1, math.ceil(high - low - _SLACK_PIXELS))
        sizes.append(size)
        moves.append((size - 1) / 2.0 - (low + high) / 2.0)
    # A millionth of a pixel is less than headers of other software keep.
    wcs.wcs.crpix = np.round(np.array(wcs.wcs.crpix) + moves, 6)
    wcs.wcs.set()
    return Target(wcs, sizes[0], sizes[1])


def _middle(region: Region, *, zenithal: bool) -> tuple[float, float]:
    match region:
        case Circle(ra, dec, _):
            return ra, dec
        case Range(ra_min, _, dec_min, dec_max) if not zenithal or region.ra_width_deg < 180.0:
            return (ra_min + region.ra_width_deg / 2.0) % 360.0, (dec_min + dec_max) / 2.0
        case _:
            (x, y, z), _ = bounding_cap(region)
            return _angles(x, y, z)


def _middle_of(ra: Floats, dec: Floats) -> tuple[float, float]:
    vectors = unit_vectors(ra, dec)
    x, y, z = (vectors.min(axis=0) + vectors.max(axis=0)) / 2.0
    return _angles(float(x), float(y), float(z))


def _angles(x: float, y: float, z: float) -> tuple[float, float]:
    return math.degrees(math.atan2(y, x)) % 360.0, math.degrees(math.atan2(z, math.hypot(x, y)))


def _places(region: Region, middle: tuple[float, float]) -> tuple[Floats, Floats]:
    """Give places all along the boundary of a region and in it."""
    vectors = []
    for arc in arcs_of(region):
        count = max(17, math.ceil(arc.sweep / (2.0 * math.pi) * _ON_A_CIRCLE) + 1)
        turns = np.linspace(0.0, arc.sweep, count)[:, None]
        points = arc.height * np.array(arc.axis)
        points = points + arc.radius * (
            np.cos(turns) * np.array(arc.u) + np.sin(turns) * np.array(arc.v)
        )
        vectors.append(points)
    boundary = np.concatenate([np.empty((0, 3)), *vectors])
    ra = np.rad2deg(np.arctan2(boundary[:, 1], boundary[:, 0])) % 360.0
    dec = np.rad2deg(np.arctan2(boundary[:, 2], np.hypot(boundary[:, 0], boundary[:, 1])))
    # Poles, and the other side of the sky, where projections are torn open.
    turns = np.arange(0.0, 180.0, _LATTICE_DEG)
    lattice = np.meshgrid(
        middle[0] + np.concatenate([-turns, turns, [-180.0 + 1e-9, 180.0 - 1e-9]]),
        np.arange(-90.0, 90.0 + _LATTICE_DEG, _LATTICE_DEG),
    )
    lon, lat = (part.ravel() for part in lattice)
    inside = signed_distance(region)(unit_vectors(lon, lat)) <= 0.0
    return (
        np.concatenate([ra, lon[inside] % 360.0, [middle[0]]]),
        np.concatenate([dec, lat[inside], [middle[1]]]),
    )
