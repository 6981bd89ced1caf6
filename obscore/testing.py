"""Synthetic catalogues whose rows are known, for tests and measurements."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from obscore.observation import CataloguedFile, Observation
from vodal.fits.index import FileIndex, HduIndex
from vodal.regions import Circle, Polygon, Region, shape_text

__all__ = ["make_catalogue", "make_file", "make_observation", "unstamped"]

_BANDS = (("g", 4.0e-7, 5.5e-7), ("r", 5.5e-7, 7.0e-7), ("i", 7.0e-7, 8.5e-7))


def make_observation(
    did: str,
    region: Region | None,
    *,
    position: tuple[float, float] | None = None,
    band: int = 1,
    hdus: tuple[int, ...] = (1, 2),
    **row: str | float | None,
) -> Observation:
    """Make a product; ``row`` overrides any column."""
    name, em_min, em_max = _BANDS[band % len(_BANDS)]
    values: dict[str, str | int | float | None] = {
        "dataproduct_type": "image",
        "calib_level": 2,
        "obs_collection": "synthetic",
        "obs_id": did.rpartition("?")[2],
        "obs_publisher_did": did,
        "access_format": "image/fits",
        "access_estsize": 4096,
        "s_fov": 0.5,
        "s_region": None if region is None else shape_text(region),
        "t_min": 60000.0 + band,
        "t_max": 60000.01 + band,
        "t_exptime": 864.0,
        "em_min": em_min,
        "em_max": em_max,
        "o_ucd": "phot.count",
        "facility_name": "Skylane",
        "instrument_name": "Synthcam",
        "filter": name,
    }
    if position is not None:
        values["s_ra"], values["s_dec"] = position
    return Observation({**values, **row}, region, hdus)


def unstamped(observation: Observation) -> Observation:
    """Give a product as the assembly line made it, without what the store adds to its row."""
    row = {name: value for name, value in observation.row.items() if name != "last_modified"}
    return replace(observation, row=row)


def make_file(uri: str, *observations: Observation, version: str = "v1") -> CataloguedFile:
    """Make a file with a plausible byte index."""
    header = "".join(card.ljust(80) for card in ("SIMPLE  =                    T", "COMMENT test"))
    hdus = tuple(
        HduIndex(number, "image", "", 1, 2880 * number, 2880, 2880 * (number + 1), 0, -32, (64, 64),
                 header)
        for number in range(3)
    )  # fmt: skip
    return CataloguedFile(
        uri=uri,
        file_name=uri.rpartition("/")[2],
        collection="synthetic",
        content_type="image/fits",
        modified_unix_s=1.7e9,
        index=FileIndex(123_456, version, "", hdus),
        observations=observations,
        mapping_digest="digest",
    )


def _square(ra_deg: float, dec_deg: float, half_width_deg: float, turn: float) -> Region:
    """Give a square around a position anywhere on the sphere, or a circle now and then."""
    if turn > 0.9:
        return Circle(ra_deg, dec_deg, half_width_deg)
    ra, dec = math.radians(ra_deg), math.radians(dec_deg)
    centre = np.array([math.cos(dec) * math.cos(ra), math.cos(dec) * math.sin(ra), math.sin(dec)])
    east = np.array([-math.sin(ra), math.cos(ra), 0.0])
    north = np.cross(centre, east)
    size = math.tan(math.radians(half_width_deg))
    vertices = []
    for corner in range(4):
        angle = turn * math.pi / 2 + corner * math.pi / 2
        x, y, z = centre + math.sqrt(2) * size * (math.cos(angle) * east + math.sin(angle) * north)
        vertices.append(
            (math.degrees(math.atan2(y, x)), math.degrees(math.atan2(z, math.hypot(x, y))))
        )
    return Polygon(tuple(vertices))


def make_catalogue(
    count: int, *, seed: int = 1, half_width_deg: float = 0.3, products_per_file: int = 1
) -> Iterator[CataloguedFile]:
    """Make ``count`` files scattered evenly over the sphere, poles and RA 0 included.

    The same arguments give the same catalogue.
    """
    rng = np.random.default_rng(seed)
    for number in range(count):
        observations = []
        for part in range(products_per_file):
            ra = float(rng.uniform(0.0, 360.0))
            dec = math.degrees(math.asin(float(rng.uniform(-1.0, 1.0))))
            if number % 50 == 0:
                dec = math.copysign(90.0 - half_width_deg / 3, dec)
            turn = float(rng.random())
            did = f"ivo://skylane.test/synthetic?night 1/exp&{number:07d}.fits:SCI,{part}"
            observations.append(
                make_observation(
                    did, _square(ra, dec, half_width_deg, turn), position=(ra, dec), band=number
                )
            )
        yield make_file(f"file:///survey/exp{number:07d}.fits", *observations)
