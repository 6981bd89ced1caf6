"""Which images a HiPS shows: those that it was made of, or whose place it covers.

What its folder holds is read once, and again when it changed.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cdshealpix.nested as healpix
import numpy as np
from astropy import units as u
from astropy.coordinates import Latitude, Longitude
from numpy.typing import NDArray

from hips.behind import IMAGES_FILE
from hips.frames import Frame, from_icrs
from hips.properties import parse_properties
from vodal.errors import DataError
from vodal.products import Product
from vodal.regions import Polygon

__all__ = ["ShownHips"]

_DEEPEST: Final = 29
"""HEALPix order in which ranges of cells are kept."""


@dataclass(frozen=True, slots=True)
class _Cover:
    """A MOC: ranges of cells in order, apart from each other, in a frame."""

    frame: Frame
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    """Behind the last."""

    def holds(self, places: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell of places, rows of right ascension and declination, which are covered."""
        lon, lat = from_icrs(self.frame, places[:, 0], places[:, 1])
        cells = healpix.lonlat_to_healpix(
            Longitude(lon, u.deg), Latitude(lat, u.deg), _DEEPEST
        ).astype(np.int64)
        before = np.searchsorted(self.starts, cells, side="right") - 1
        held: NDArray[np.bool_] = (before >= 0) & (cells < self.ends[before])
        return held


@dataclass(frozen=True, slots=True)
class _Known:
    state: tuple[int, int]
    values: Mapping[str, str]
    cover: _Cover | None


class ShownHips:
    """Tells which images the HiPS of a folder show. Safe to use from several threads.

    Parameters
    ----------
    root
        Holds one folder a HiPS.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[str, _Known] = {}

    def folder(self, name: str) -> Path:
        """Give where a HiPS lies, or would."""
        return self._root / name

    def names(self, start: str) -> Iterator[str]:
        """Give the HiPS whose names begin so."""
        return (path.name for path in self._root.glob(f"{start}*"))

    def values(self, name: str) -> Mapping[str, str] | None:
        """Give the properties of a HiPS; None if there is none."""
        known = self._find(name)
        return None if known is None else known.values

    def of(self, name: str, products: Sequence[Product]) -> set[str]:
        """Give the identifiers of those products that a HiPS shows.

        One that notes its images shows these. Of another, such as one in colour, its MOC decides;
        without that it shows nothing that is known.
        """
        known = self._find(name)
        if known is None or not products:
            return set()
        path = self._root / name / IMAGES_FILE
        if path.is_file():
            return _made_of(path, [one.did for one in products])
        if known.cover is None:
            return set()
        places = [_places(one) for one in products]
        held = known.cover.holds(np.concatenate(places)) if places else np.zeros(0, bool)
        ends = np.cumsum([len(some) for some in places])[:-1]
        parts = np.split(held, ends)
        return {one.did for one, part in zip(products, parts, strict=True) if part.any()}

    def _find(self, name: str) -> _Known | None:
        folder = self._root / name
        try:
            stat = (folder / "properties").stat()
            state = stat.st_mtime_ns, stat.st_ino
            known = self._known.get(name)
            if known is None or known.state != state:
                values = parse_properties((folder / "properties").read_text("utf-8"))
                known = self._known[name] = _Known(state, values, _read_cover(folder))
        except (OSError, UnicodeDecodeError, DataError):
            self._known.pop(name, None)
            return None
        return known


def _made_of(path: Path, dids: Sequence[str]) -> set[str]:
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
            rows = db.execute(
                "SELECT did FROM image WHERE lost IS NULL"
                " AND did IN (SELECT value FROM json_each(?))",
                (json.dumps(list(dids)),),
            )
            return {did for (did,) in rows}
    except sqlite3.Error:
        return set()


def _read_cover(folder: Path) -> _Cover | None:
    """Read ``Moc.fits``; None if there is none that can be read."""
    # In servers only where links are asked for.
    from hips.moc import read_coverage  # noqa: PLC0415

    try:
        found = read_coverage((folder / "Moc.fits").read_bytes())
    except OSError:
        return None
    if isinstance(found, str):
        return None
    ranges = np.asarray(found.moc.to_depth29_ranges, np.int64)
    frame: Frame = "galactic" if found.system == "G" else "equatorial"
    return _Cover(frame, ranges[:, 0], ranges[:, 1]) if len(ranges) else None


def _places(product: Product) -> NDArray[np.float64]:
    """Give places of an image: its centre and, a little within, the corners of its footprint."""
    ra, dec = product.obscore.get("s_ra"), product.obscore.get("s_dec")
    found = [(ra, dec)] if isinstance(ra, float) and isinstance(dec, float) else []
    if isinstance(product.region, Polygon):
        found += product.region.vertices
    return np.array(found, np.float64).reshape(-1, 2)
