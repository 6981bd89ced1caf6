"""Polygons as PostgreSQL keeps them, many at once: what `obscore.adql.postgres.shapes` gives."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from obscore.adql.postgres.shapes import EVERYWHERE, LIMIT, PAD, clean
from vodal.caps import polygon_caps
from vodal.trig import Numbers, dots, each, vectors

__all__ = ["polygon_values"]

_MOST = 12
_APART = 1e-12


def polygon_values(
    vertices: Numbers, ra_deg: Numbers, dec_deg: Numbers
) -> list[tuple[str, str] | None]:
    """Give array and cap, as texts, of rows whose footprints are polygons.

    Parameters
    ----------
    vertices
        (row, vertex, ra and dec) in degrees.
    ra_deg, dec_deg
        Positions of the rows.

    Returns
    -------
    list
        None for what is not clearly small and convex.
    """
    centres, radius_deg, is_plain = polygon_caps(vertices)
    if vertices.shape[1] > _MOST:
        return [None] * len(vertices)
    sides, is_sound = _sides(vectors(vertices[..., 0], vertices[..., 1]))
    radius = np.radians(radius_deg)
    count = np.full(len(vertices), float(vertices.shape[1]))
    head = np.stack([np.full(len(vertices), 2.0), *clean(centres), radius, count], axis=1)
    arrays = np.concatenate(
        [head, clean(sides).reshape(len(vertices), -1), vertices.reshape(len(vertices), -1)], axis=1
    )
    position = vectors(ra_deg, dec_deg)
    apart, both = centres - position, centres + position
    away = 2.0 * each(math.atan2, np.sqrt(dots(apart, apart)), np.sqrt(dots(both, both)))
    values = zip(_array_texts(arrays), _cap_texts(centres, np.maximum(radius, away)), strict=True)
    is_one = (is_plain & is_sound).tolist()
    return [value if one else None for value, one in zip(values, is_one, strict=True)]


def _texts(numbers: Numbers) -> pa.Array:
    """Write numbers, in the fewest digits that tell each from all others."""
    return pa.array(numbers.ravel()).cast(pa.string())


def _array_texts(rows: Numbers) -> list[str]:
    """Write rows of numbers as arrays."""
    ends = pa.array(np.arange(0, rows.size + 1, rows.shape[1], dtype=np.int32))
    joined = pc.binary_join(pa.ListArray.from_arrays(ends, _texts(rows)), ",")
    written: list[str] = pc.binary_join_element_wise("{", joined, "}", "").to_pylist()
    return written


def _cap_texts(centres: Numbers, radius: Numbers) -> list[str]:
    """Write caps (radii in radians) as `obscore.adql.postgres.shapes.cap_text` does."""
    x, y, z = centres
    radius = radius + PAD
    dec = np.radians(np.degrees(each(math.atan2, z, np.sqrt(x * x + y * y))))
    ra_deg = np.degrees(each(math.atan2, y, x))
    ra_deg = np.where(ra_deg < 0.0, ra_deg + 360.0, ra_deg)
    ra = np.radians(np.where(ra_deg >= 360.0, 0.0, ra_deg))
    caps = pc.binary_join_element_wise(
        "<(", _texts(ra), ",", _texts(dec), "),", _texts(radius), ">", ""
    )
    written: list[str] = pc.if_else(pa.array(radius > LIMIT), EVERYWHERE, caps).to_pylist()
    return written


def _sides(corners: Numbers) -> tuple[Numbers, NDArray[np.bool_]]:
    """Give starts and normals of sides (row, side, 6), and which polygons lie within all theirs.

    These are those of `vodal.outlines.ring_of`.
    """
    ahead = np.roll(corners, -1, axis=2)
    b = ahead - corners
    is_sound = (np.abs(b[..., :-1]).max(axis=0) > _APART).all(axis=1)
    normals = np.stack([corners[k] * b[m] - corners[m] * b[k] for k, m in ((1, 2), (2, 0), (0, 1))])
    with np.errstate(invalid="ignore", divide="ignore"):
        normals = normals / np.sqrt(dots(normals, normals))
    heights = dots(normals[..., None], corners[:, :, None, :])
    low, high = heights.min(axis=2), heights.max(axis=2)
    is_left = (high[:, 0] > -low[:, 0])[:, None]
    low, high = np.where(is_left, low, -high), np.where(is_left, high, -low)
    is_sound &= ((low >= -1e-15) & (high >= 1e-10)).all(axis=1)
    turned = -np.concatenate([normals[..., -2::-1], normals[..., -1:]], axis=2)
    starts = np.where(is_left, corners, corners[..., ::-1])
    sides = np.concatenate([starts, np.where(is_left, normals, turned)])
    return np.moveaxis(sides, 0, 2), np.asarray(is_sound)
