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

__all__ = ["Box", "box_of", "boxes_of"]

Box = tuple[float, ...]
"""``xmin, xmax, ymin, ymax, zmin, zmax`` of unit vectors."""


def boxes_of(
    shapes: Sequence[bytes | None],
    s_ra: Sequence[float | None],
    s_dec: Sequence[float | None],
) -> list[Box | None]:
    """Give what `box_of` gives for each product, in less time where footprints are polygons.

    Parameters
    ----------
    shapes
        Packed footprints (`vodal.regions.shape_to_bytes`).
    s_ra, s_dec
        Positions, in degrees.
    """
    found: list[Box | None] = [None] * len(shapes)
    is_done = [False] * len(shapes)
    for some in polygons(shapes, s_ra, s_dec):
        for at, box in zip(some.places, _boxes(some.vertices, some.ra, some.dec), strict=True):
            found[at], is_done[at] = box, box is not None
    for at, done in enumerate(is_done):
        if not done:
            shape = shapes[at]
            region = None if shape is None else shape_from_bytes(shape)
            found[at] = box_of(region, s_ra[at], s_dec[at])
    return found


def _boxes(
    vertices: NDArray[np.float64], ra: NDArray[np.float64], dec: NDArray[np.float64]
) -> list[Box | None]:
    """Give the boxes of polygons of one number of vertices; None for large ones."""
    centres, radius_deg, is_small = polygon_caps(vertices)
    low, high = cap_boxes(centres, radius_deg)
    position = vectors(ra, dec)
    position = position / np.sqrt(dots(position, position))
    low, high = np.minimum(low, position - 1e-7), np.maximum(high, position + 1e-7)
    is_placed = (ra >= 0.0) & (ra < 360.0) & (np.abs(dec) <= 90.0)
    bounds = np.stack([low, high], axis=1).reshape(6, -1).T.tolist()
    return [
        tuple(box) if small else None
        for box, small in zip(bounds, (is_small & is_placed).tolist(), strict=True)
    ]


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
