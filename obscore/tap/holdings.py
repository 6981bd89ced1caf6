"""What a site holds, as far as its examples need it: a few small queries, asked now and then."""

# ruff: noqa: S608 - ADQL, which is resolved before anything runs

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from obscore.adql.wording import text_literal
from obscore.tap.query import QueryRunner, Row
from vodal.access.rules import EVERYTHING, Rights
from vodal.errors import SkylaneError

__all__ = ["Holdings", "Place", "answers", "look"]

_LIMIT_S = 1.0
"""Seconds for each query; what takes longer is left out of the examples."""

_PLACES = 3

_CELL_ORDER = 6
"""Of the HEALPix cell around each place: about a degree."""

_KINDS = """SELECT obs_collection, instrument_name, filter, dataproduct_type, COUNT(*) AS n
FROM ivoa.obscore GROUP BY obs_collection, instrument_name, filter, dataproduct_type
ORDER BY n DESC, obs_collection, instrument_name, filter, dataproduct_type"""

_EXTENT = "SELECT COUNT(*) AS n, MIN(t_min) AS t_min, MAX(t_max) AS t_max FROM ivoa.obscore"

_ROWS = f"""SELECT TOP {_PLACES} obs_publisher_did, obs_id, target_name, s_ra, s_dec, s_fov,
  t_min, em_min, em_max, ivo_healpix_index({_CELL_ORDER}, s_ra, s_dec) AS cell
FROM ivoa.obscore WHERE obs_collection = {{collection}}"""

_PREFERRED = (
    " AND s_ra IS NOT NULL AND s_dec IS NOT NULL AND t_min IS NOT NULL AND filter = {filter}",
    " AND s_ra IS NOT NULL AND s_dec IS NOT NULL",
    "",
)
"""What the rows should have; the first of these of which there are any."""


@dataclass(frozen=True, slots=True)
class Place:
    """A position that observations show. ICRS degrees."""

    ra_deg: float
    dec_deg: float
    cell: int
    """Index of its HEALPix cell of order 6."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """Values that are there. None, or empty, where no row has one."""

    count: int
    collection: str | None
    instrument: str | None
    filter: str | None
    kind: str | None
    """The dataproduct_type."""
    obs_id: str | None
    places: tuple[Place, ...]
    fov_deg: float | None
    night_mjd: float | None
    """Begin of a day, of UTC, on which something was observed."""
    wavelength_m: float | None
    """Within the band of an observation that is named first here."""
    seen: tuple[tuple[object, ...], ...]
    """All that was read, to tell whether it has changed."""


def _text(value: object) -> str | None:
    """Give a text that can stand in a query and on a page, None of any other."""
    return value if isinstance(value, str) and value.isprintable() and len(value) < 200 else None


def answers(runner: QueryRunner, query: str, rights: Rights = EVERYTHING) -> bool:
    """Tell whether a query gives a row within a moment."""
    try:
        return bool(runner.rows(query, 1, limit_s=_LIMIT_S, rights=rights))
    except SkylaneError:
        return False


def look(runner: QueryRunner, rights: Rights = EVERYTHING) -> Holdings | None:
    """Read what a site holds for who has some rights; None if it holds nothing.

    Raises
    ------
    SkylaneError
        If the store does not answer.
    """
    kinds = runner.rows(_KINDS, 50, limit_s=_LIMIT_S, rights=rights)
    if not kinds:
        return None
    extent = runner.rows(_EXTENT, 1, limit_s=_LIMIT_S, rights=rights)[0]
    most = next((row for row in kinds if _text(row["filter"]) is not None), kinds[0])
    collection = _text(most["obs_collection"])
    band = _text(most["filter"])
    rows = [] if collection is None else _examined(runner, collection, band, rights)
    places = tuple(
        Place(row["s_ra"], row["s_dec"], row["cell"]) for row in rows if row["cell"] is not None
    )
    first: Row = rows[0] if rows else {}
    return Holdings(
        count=extent["n"],
        collection=collection,
        instrument=_text(most["instrument_name"]),
        filter=band,
        kind=_text(most["dataproduct_type"]),
        obs_id=_text(first.get("obs_id")),
        places=places,
        fov_deg=first.get("s_fov"),
        night_mjd=None if first.get("t_min") is None else float(int(first["t_min"])),
        wavelength_m=_middle(first.get("em_min"), first.get("em_max")),
        seen=tuple(tuple(row.values()) for row in (*kinds, extent, *rows)),
    )


def _examined(runner: QueryRunner, collection: str, band: str | None, rights: Rights) -> list[Row]:
    for preferred in _PREFERRED:
        if "{filter}" in preferred and band is None:
            continue
        query = (_ROWS + preferred).format(
            collection=text_literal(collection), filter=text_literal(band or "")
        )
        with contextlib.suppress(SkylaneError):
            rows = runner.rows(query, _PLACES, limit_s=_LIMIT_S, rights=rights)
            if rows:
                return rows
    return []


def _middle(low: float | None, high: float | None) -> float | None:
    if low is None or high is None:
        return None
    return float(f"{(low + high) / 2:.4g}")
