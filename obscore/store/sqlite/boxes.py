"""Boxes of the R*Tree: around the footprint and the position of each product."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from obscore.store.shapes import polygons
from vodal.caps import cap_boxes, polygon_caps
from vodal.regions import Point, Shape, shape_from_bytes
from vodal.sphere import bounding_cap, cap_box
from vodal.trig import dots, vectors

__all__ = ["Box", "Numbers", "box_of", "boxes_of"]

Box = tuple[float, ...]
"""``xmin, xmax, ymin, ymax, zmin, zmax`` of unit vectors."""

Numbers = NDArray[np.float64]


def boxes_of(
    shapes: Sequence[bytes | None],
    s_ra: Sequence[float | None],
    s_dec: Sequence[float | None],
) -> Numbers:
    """Give what `box_of` gives for each product, in less time where footprints are polygons.

    Parameters
    ----------
    shapes
        Packed footprints (`vodal.regions.shape_to_bytes`).
    s_ra, s_dec
        Positions, in degrees.

    Returns
    -------
    Numbers
        (product, bound); NaN where there is neither footprint nor position.
    """
    found = np.full((len(shapes), 6), np.nan)
    for some in polygons(shapes, s_ra, s_dec):
        found[some.places] = _boxes(some.vertices, some.ra, some.dec)
    for at in np.flatnonzero(np.isnan(found[:, 0])).tolist():
        shape = shapes[at]
        box = box_of(None if shape is None else shape_from_bytes(shape), s_ra[at], s_dec[at])
        if box is not None:
            found[at] = box
    return found


def _boxes(vertices: Numbers, ra: Numbers, dec: Numbers) -> Numbers:
    """Give the boxes of polygons of one number of vertices; NaN for large ones."""
    centres, radius_deg, is_small = polygon_caps(vertices)
    low, high = cap_boxes(centres, radius_deg)
    position = vectors(ra, dec)
    position = position / np.sqrt(dots(position, position))
    low, high = np.minimum(low, position - 1e-7), np.maximum(high, position + 1e-7)
    is_placed = (ra >= 0.0) & (ra < 360.0) & (np.abs(dec) <= 90.0)
    bounds = np.stack([low, high], axis=1).reshape(6, -1).T
    return np.where((is_small & is_placed)[:, None], bounds, np.nan)


def box_of(region: Shape | None, ra: float | None, dec: float | None) -> Box | None:
    """Give the box around the footprint and the position; None if there is neither."""
    boxes = []
    if region is not None:
        boxes.append(cap_box(*bounding_cap(region)))
    if ra is not None and dec is not None:
        boxes.append(cap_box(*bounding_cap(Point(float(ra), float(dec)))))
    if not boxes:
        return None
    return tuple(
        (min, max)[place % 2](bounds) for place, bounds in enumerate(zip(*boxes, strict=True))
    )
