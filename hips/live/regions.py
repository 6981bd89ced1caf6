"""Tiles and points as regions of the sky."""

from __future__ import annotations

import cdshealpix.nested as healpix
import numpy as np
from astropy.coordinates import Latitude, Longitude

from vodal.regions import Circle, Polygon, Region
from vodal.sphere import distance_deg, intersects

__all__ = ["MAX_DEPTH", "meets", "tile_at", "tile_circle", "tile_outline"]

MAX_DEPTH = 29
"""Of HEALPix cells."""
_STEPS = 8
"""Points along a side of a tile."""
_MARGIN = 1.02
"""Outlines of images in the catalogue may be off by a part of a pixel, and tiles bulge."""


def tile_circle(order: int, npix: int) -> Circle:
    """Give a circle that holds a tile, a little larger."""
    cell = np.array([npix], np.uint64)
    lon, lat = healpix.healpix_to_lonlat(cell, order)
    ra, dec = float(lon.deg[0]), float(lat.deg[0])
    corners = healpix.vertices(cell, order)
    radius = max(
        distance_deg(ra, dec, float(x), float(y))
        for x, y in zip(corners[0].deg[0], corners[1].deg[0], strict=True)
    )
    return Circle(ra, dec, min(180.0, radius * _MARGIN))


def tile_outline(order: int, npix: int) -> Polygon:
    """Give a tile as a polygon whose sides follow the curves of its own."""
    sides = healpix.vertices(np.array([npix], np.uint64), order, step=_STEPS)
    return Polygon(tuple(zip(sides[0].deg[0].tolist(), sides[1].deg[0].tolist(), strict=True)))


def meets(region: Region, outline: Polygon) -> bool:
    """Tell whether a footprint meets a tile."""
    return intersects(region, outline)


def tile_at(order: int, ra_deg: float, dec_deg: float) -> int:
    """Give the number of the tile that holds a place."""
    found = healpix.lonlat_to_healpix(Longitude([ra_deg], "deg"), Latitude([dec_deg], "deg"), order)
    return int(found[0])
