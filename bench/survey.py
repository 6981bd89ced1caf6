"""A synthetic survey of the whole sky: rows of ObsCore for measurements, made as fast as they load.

Positions lie evenly over the sphere; each image is a square of 0.15 to 0.5 degrees, turned anyhow,
of one of four cameras and six bands, within ten years. Of a million rows about ten lie within
0.36 degrees of any place. Instead they may lie in so many fields next to each other, 0.3 degrees
apart, each of which was taken again and again, a little aside each time. The same count, seed and
fields give the same rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from obscore.observation import CataloguedFile, Observation
from obscore.store.base import Store
from vodal.fits.index import FileIndex
from vodal.regions import Polygon, shape_text

__all__ = ["COLLECTIONS", "FIRST_MJD", "LAST_MJD", "catalogue", "fill"]

_CAMERAS = (
    # name, facility, side in degrees, pixels of a side, resolution in arcsec
    ("WFCam", "Bench 2.5m", 0.25, 4096, 1.1),
    ("SkyMap", "Bench 1m", 0.50, 4096, 2.2),
    ("DeepCam", "Bench 4m", 0.15, 2048, 0.8),
    ("CCD62", "Survey 4m", 0.22, 4176, 0.9),
)
_BANDS = (
    ("u", 3.24e-7, 3.95e-7),
    ("g", 4.0e-7, 5.5e-7),
    ("r", 5.52e-7, 6.91e-7),
    ("i", 6.9e-7, 8.2e-7),
    ("z", 8.2e-7, 9.2e-7),
    ("Y", 9.5e-7, 1.07e-6),
)
_EXPOSURES_S = (15.0, 30.0, 90.0, 300.0, 1200.0)

FIRST_MJD, LAST_MJD = 57023.0, 57023.0 + 3652.0
COLLECTIONS = tuple(f"{camera[0]}_DR1" for camera in _CAMERAS)

_FIELDS_DEG = 0.3
_ASIDE_DEG = 0.01

_CHUNK = 5_000


@dataclass(frozen=True, slots=True)
class _Draws:
    """The random numbers of all rows."""

    ra_deg: NDArray[np.float64]
    dec_deg: NDArray[np.float64]
    corners: NDArray[np.float64]
    """Rows x 4 x (ra, dec), in degrees with seven decimals."""
    camera: NDArray[np.int64]
    band: NDArray[np.int64]
    mjd: NDArray[np.float64]
    exposure_s: NDArray[np.float64]
    level: NDArray[np.int64]


def _draw(rows: int, seed: int, fields: int | None) -> _Draws:
    rng = np.random.default_rng(seed)
    ra_deg = rng.uniform(0.0, 360.0, rows)
    dec_deg = np.degrees(np.arcsin(rng.uniform(-1.0, 1.0, rows)))
    if fields is not None:
        across = math.isqrt(fields)
        field = rng.integers(0, fields, rows)
        ra_deg = 150.0 + _FIELDS_DEG * (field % across) + rng.normal(0.0, _ASIDE_DEG, rows)
        dec_deg = _FIELDS_DEG * (field // across) + rng.normal(0.0, _ASIDE_DEG, rows)
    camera = rng.integers(0, len(_CAMERAS), rows)
    band = rng.integers(0, len(_BANDS), rows)
    mjd = np.sort(rng.uniform(FIRST_MJD, LAST_MJD, rows))
    exposure_s = rng.choice(_EXPOSURES_S, rows)
    turn = rng.uniform(0.0, 2.0 * np.pi, rows)
    sides = np.array([item[2] for item in _CAMERAS])[camera]
    corners = _corners(ra_deg, dec_deg, np.radians(sides * np.sqrt(0.5)), turn)
    level = rng.integers(1, 4, rows)
    return _Draws(ra_deg, dec_deg, corners, camera, band, mjd, exposure_s, level)


def _corners(
    ra_deg: NDArray[np.float64],
    dec_deg: NDArray[np.float64],
    reach: NDArray[np.float64],
    turn: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Give the corners of squares whose diagonal is twice ``reach`` radians."""
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    zero = np.zeros_like(ra)
    centre = np.array([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    east = np.array([-np.sin(ra), np.cos(ra), zero])
    north = np.array([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)])
    places = []
    for corner in range(4):
        angle = turn + corner * np.pi / 2
        x, y, z = np.cos(reach) * centre + np.sin(reach) * (
            np.cos(angle) * north + np.sin(angle) * east
        )
        places.append(np.stack([np.degrees(np.arctan2(y, x)) % 360.0,
                                np.degrees(np.arcsin(np.clip(z, -1.0, 1.0)))], axis=1))  # fmt: skip
    return np.round(np.stack(places, axis=1), 7)


def _observation(
    number: int, draws: _Draws, corners: list[list[float]], survey: str
) -> Observation:
    camera, facility, side, pixels, resolution = _CAMERAS[draws.camera[number]]
    band, em_min, em_max = _BANDS[draws.band[number]]
    obs_id = f"{camera}-{number:08d}"
    mjd, exposure_s = float(draws.mjd[number]), float(draws.exposure_s[number])
    region = Polygon(tuple((ra, dec) for ra, dec in corners))
    row: dict[str, Any] = {
        "dataproduct_type": "image",
        "calib_level": int(draws.level[number]),
        "obs_collection": f"{camera}_DR1",
        "obs_id": obs_id,
        "obs_publisher_did": f"ivo://example.org/{survey}?{camera}/{band}/{obs_id}.fits",
        "access_format": "image/fits",
        "access_estsize": pixels * pixels * 2 // 1024,
        "target_name": f"Field {number % 40_000}",
        "s_ra": round(float(draws.ra_deg[number]), 7),
        "s_dec": round(float(draws.dec_deg[number]), 7),
        "s_fov": side,
        "s_region": shape_text(region),
        "s_resolution": resolution,
        "s_xel1": pixels,
        "s_xel2": pixels,
        "t_min": mjd,
        "t_max": mjd + exposure_s / 86_400.0,
        "t_exptime": exposure_s,
        "t_resolution": exposure_s,
        "t_xel": 1,
        "em_min": em_min,
        "em_max": em_max,
        "em_res_power": round((em_min + em_max) / 2 / (em_max - em_min), 3),
        "em_xel": 1,
        "o_ucd": "phot.count",
        "pol_xel": 0,
        "facility_name": facility,
        "instrument_name": camera,
        "filter": band,
        "s_pixel_scale": round(side * 3600.0 / pixels, 4),
    }
    return Observation(row, region, (0,))


def catalogue(
    rows: int, *, seed: int = 20261123, first: int = 0, fields: int | None = None
) -> Iterator[CataloguedFile]:
    """Make files of one image each.

    Parameters
    ----------
    rows
        Of the whole survey, which the places in the sky depend on.
    seed
        Of the random numbers.
    first
        Number of the first file to give.
    fields
        In how many they lie; by default they lie anywhere.
    """
    draws = _draw(rows, seed, fields)
    for start in range(first, rows, _CHUNK):
        corners = draws.corners[start : start + _CHUNK].tolist()
        for number, places in enumerate(corners, start):
            observation = _observation(number, draws, places, f"s{seed}")
            name = f"{observation.row['obs_id']}.fits"
            yield CataloguedFile(
                uri=f"file:///bench/s{seed}/{name}",
                file_name=name,
                collection=str(observation.row["obs_collection"]),
                content_type="image/fits",
                modified_unix_s=1.7e9,
                index=FileIndex(33_560_640, "v1", "", ()),
                observations=(observation,),
            )


def fill(
    store: Store,
    rows: int,
    *,
    seed: int = 20261123,
    first: int = 0,
    fields: int | None = None,
) -> None:
    """Write the survey to a store in batches."""
    batch: list[CataloguedFile] = []
    for file in catalogue(rows, seed=seed, first=first, fields=fields):
        batch.append(file)
        if len(batch) == _CHUNK:
            store.write(batch)
            batch = []
    store.write(batch)
