"""Circles and boxes around many footprints at once: what `vodal.sphere` gives for each.

To the last bit, but where Python sums floats with more than their digits (from 3.12 on).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from vodal.outlines import TOLERANCE
from vodal.trig import Numbers, dots, each, vectors

__all__ = ["cap_boxes", "polygon_caps"]


def polygon_caps(vertices: Numbers) -> tuple[Numbers, Numbers, NDArray[np.bool_]]:
    """Give circles around polygons with one number of vertices.

    Parameters
    ----------
    vertices
        (polygon, vertex, ra and dec) in degrees.

    Returns
    -------
    tuple
        Unit vectors of the centres (component, polygon), radii in degrees, and which of them are
        those of `vodal.sphere.bounding_cap`; the others, of large polygons, are of no use.
    """
    corners = vectors(vertices[..., 0], vertices[..., 1])
    total = corners[..., 0]
    for at in range(1, corners.shape[2]):
        total = total + corners[..., at]
    norm = np.sqrt(dots(total, total))
    with np.errstate(invalid="ignore", divide="ignore"):
        centres = total / norm
    is_small = np.asarray((dots(centres[..., None], corners) > 0.1).all(axis=1))
    apart = centres[..., None] - corners
    at = np.argmax(dots(apart, apart), axis=1)[None, :, None]
    farthest = np.take_along_axis(corners, at, axis=2)[..., 0]
    difference, both = centres - farthest, centres + farthest
    reach = 2.0 * each(math.atan2, np.sqrt(dots(difference, difference)), np.sqrt(dots(both, both)))
    return centres, np.degrees(reach + TOLERANCE), is_small


def cap_boxes(centres: Numbers, radius_deg: Numbers) -> tuple[Numbers, Numbers]:
    """Give the lower and upper bounds (component, cap) of the boxes around caps.

    Parameters
    ----------
    centres
        Vectors (component, cap).
    radius_deg
        Above 0.
    """
    radius = np.radians(radius_deg)
    away = each(math.acos, np.clip(centres / np.sqrt(dots(centres, centres)), -1.0, 1.0))
    low = np.where(away + radius >= math.pi, -1.0, each(math.cos, away + radius))
    high = np.where(away <= radius, 1.0, each(math.cos, away - radius))
    return low - 1e-7, high + 1e-7
