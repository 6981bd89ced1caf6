"""What the spatial functions and the index of PostgreSQL read of products."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from obscore.adql.postgres.polygons import polygon_values
from obscore.adql.postgres.shapes import row_cap, shape_array
from obscore.observation import Observation
from vodal.regions import Polygon

__all__ = ["sphere_values", "sphere_values_of"]

_NAMES = ("s_region_array", "s_cap")


def sphere_values(observation: Observation) -> dict[str, str | None]:
    """Give columns as COPY takes them."""
    region = observation.region
    ra, dec = observation.row.get("s_ra"), observation.row.get("s_dec")
    position = None if ra is None or dec is None else (float(ra), float(dec))
    numbers = None if region is None else ",".join(map(repr, shape_array(region)))
    array = None if numbers is None else f"{{{numbers}}}"
    return dict(zip(_NAMES, (array, row_cap(region, position)), strict=True))


def sphere_values_of(observations: Sequence[Observation]) -> list[dict[str, str | None]]:
    """Give what `sphere_values` gives for each, in less time where footprints are polygons."""
    found: dict[int, dict[str, str | None]] = {}
    by_length: dict[int, list[tuple[int, Polygon, float, float]]] = {}
    for at, one in enumerate(observations):
        region, ra, dec = one.region, one.row.get("s_ra"), one.row.get("s_dec")
        if isinstance(region, Polygon) and isinstance(ra, float) and isinstance(dec, float):
            by_length.setdefault(len(region.vertices), []).append((at, region, ra, dec))
    for some in by_length.values():
        vertices = np.array([polygon.vertices for _, polygon, _, _ in some])
        position = np.array([one[2:] for one in some])
        made = polygon_values(vertices, position[:, 0], position[:, 1])
        for (at, *_), values in zip(some, made, strict=True):
            if values is not None:
                found[at] = dict(zip(_NAMES, values, strict=True))
    return [found.get(at) or sphere_values(one) for at, one in enumerate(observations)]
