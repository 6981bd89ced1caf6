"""Tiles and points as regions of the sky."""

from __future__ import annotations

import cdshealpix.nested as healpix
import numpy as np
from astropy.coordinates import Latitude, Longitude

from hips.frames import Frame, from_icrs, to_icrs
from vodal.regions import Circle, Polygon, Region
from vodal.sphere import distance_deg, intersects

__all__ = ["MAX_DEPTH", "meets", "tile_at", "tile_circle", "tile_outline"]

MAX_DEPTH = 29
"""Of HEALPix cells."""
_STEPS = 8
"""Points along a side of a tile."""
_MARGIN = 1.02
"""Outlines of images in the catalogue may be off by a part of a pixel, and tiles bulge."""


def tile_circle(order: int, npix: int, frame: Frame = "equatorial") -> Circle:
    """Give a circle (ICRS) that holds a tile of a frame, a little larger."""
    cell = np.array([npix], np.uint64)
    lon, lat = healpix.healpix_to_lonlat(cell, order)
    corners = healpix.vertices(cell, order)
    # Angles between places do not depend on the frame.
    radius = max(
        distance_deg(float(lon.deg[0]), float(lat.deg[0]), float(x), float(y))
        for x, y in zip(corners[0].deg[0], corners[1].deg[0], strict=True)
    )
    ra, dec = (float(value[0]) for value in to_icrs(frame, lon.deg, lat.deg))
    return Circle(ra, dec, min(180.0, radius * _MARGIN))


def tile_outline(order: int, npix: int, frame: Frame = "equatorial") -> Polygon:
    """Give a tile of a frame as a polygon (ICRS) whose sides follow the curves of its own."""
    sides = healpix.vertices(np.array([npix], np.uint64), order, step=_STEPS)
    ra, dec = to_icrs(frame, sides[0].deg[0], sides[1].deg[0])
    return Polygon(tuple(zip(ra.tolist(), dec.tolist(), strict=True)))


def meets(region: Region, outline: Polygon) -> bool:
    """Tell whether a footprint meets a tile."""
    return intersects(region, outline)


def tile_at(order: int, ra_deg: float, dec_deg: float, frame: Frame = "equatorial") -> int:
    """Give the number of the tile of a frame that holds a place (ICRS)."""
    lon, lat = from_icrs(frame, np.array([ra_deg]), np.array([dec_deg]))
    found = healpix.lonlat_to_healpix(Longitude(lon, "deg"), Latitude(lat, "deg"), order)
    return int(found[0])
