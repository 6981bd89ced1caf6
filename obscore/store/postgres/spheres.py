"""What the spatial functions and the index of PostgreSQL read of products."""

from __future__ import annotations

from collections.abc import Sequence

from obscore.adql.postgres.polygons import polygon_values
from obscore.adql.postgres.shapes import row_cap, shape_array
from obscore.store.shapes import polygons
from vodal.regions import Region, region_from_bytes

__all__ = ["sphere_values", "sphere_values_of"]


def sphere_values(
    region: Region | None, ra: float | None, dec: float | None
) -> tuple[str | None, str | None]:
    """Give the columns ``s_region_array`` and ``s_cap`` of a row as COPY takes them."""
    position = None if ra is None or dec is None else (float(ra), float(dec))
    numbers = None if region is None else ",".join(map(repr, shape_array(region)))
    return None if numbers is None else f"{{{numbers}}}", row_cap(region, position)


def sphere_values_of(
    shapes: Sequence[bytes | None],
    s_ra: Sequence[float | None],
    s_dec: Sequence[float | None],
) -> list[tuple[str | None, str | None]]:
    """Give what `sphere_values` gives for each, in less time where footprints are polygons.

    Parameters
    ----------
    shapes
        Packed footprints (`vodal.regions.shape_to_bytes`).
    s_ra, s_dec
        Positions, in degrees.
    """
    found: dict[int, tuple[str | None, str | None]] = {}
    for some in polygons(shapes, s_ra, s_dec):
        made = polygon_values(some.vertices, some.ra, some.dec)
        for at, values in zip(some.places, made, strict=True):
            if values is not None:
                found[at] = values[0], values[1]
    return [
        found.get(at) or sphere_values(region_from_bytes(shape), s_ra[at], s_dec[at])
        for at, shape in enumerate(shapes)
    ]
