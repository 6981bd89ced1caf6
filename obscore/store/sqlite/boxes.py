"""Boxes of the R*Tree: around the footprint and the position of each product."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from obscore.observation import Observation
from vodal.caps import cap_boxes, polygon_caps
from vodal.regions import Point, Polygon
from vodal.sphere import bounding_cap, cap_box
from vodal.trig import dots, vectors

__all__ = ["Box", "box_of", "boxes_of"]

Box = tuple[float, ...]
"""``xmin, xmax, ymin, ymax, zmin, zmax`` of unit vectors."""


def boxes_of(observations: Sequence[Observation]) -> list[Box | None]:
    """Give what `box_of` gives for each, in less time where footprints are polygons."""
    found: list[Box | None] = [None] * len(observations)
    by_length: dict[int, list[int]] = {}
    for at, one in enumerate(observations):
        region, ra, dec = one.region, one.row.get("s_ra"), one.row.get("s_dec")
        is_placed = type(ra) is type(dec) is float and 0.0 <= ra < 360.0 and -90.0 <= dec <= 90.0
        if is_placed and isinstance(region, Polygon):
            by_length.setdefault(len(region.vertices), []).append(at)
        else:
            found[at] = box_of(one)
    for places in by_length.values():
        for at, box in zip(places, _boxes([observations[at] for at in places]), strict=True):
            found[at] = box or box_of(observations[at])
    return found


def _boxes(observations: Sequence[Observation]) -> list[Box | None]:
    """Give the boxes of polygons of one number of vertices; None for large ones."""
    vertices = np.array(
        [one.region.vertices for one in observations if isinstance(one.region, Polygon)]
    )
    centres, radius_deg, is_small = polygon_caps(vertices)
    low, high = cap_boxes(centres, radius_deg)
    ra, dec = (
        np.array([one.row[name] for one in observations], np.float64) for name in ("s_ra", "s_dec")
    )
    position = vectors(ra, dec)
    position = position / np.sqrt(dots(position, position))
    low, high = np.minimum(low, position - 1e-7), np.maximum(high, position + 1e-7)
    bounds = np.stack([low, high], axis=1).reshape(6, -1).T.tolist()
    return [
        tuple(box) if small else None for box, small in zip(bounds, is_small.tolist(), strict=True)
    ]


def box_of(observation: Observation) -> Box | None:
    """Give the box around the footprint and the position; None if there is neither."""
    boxes = []
    if observation.region is not None:
        boxes.append(cap_box(*bounding_cap(observation.region)))
    ra, dec = observation.row.get("s_ra"), observation.row.get("s_dec")
    if ra is not None and dec is not None:
        boxes.append(cap_box(*bounding_cap(Point(float(ra), float(dec)))))
    if not boxes:
        return None
    return tuple(
        (min, max)[place % 2](bounds) for place, bounds in enumerate(zip(*boxes, strict=True))
    )
