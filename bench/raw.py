"""The limit below the service: the same questions as hand-written SQL, in one process."""

from __future__ import annotations

import math
import random
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw
import psycopg
from survey import FIRST_MJD, LAST_MJD

from skylane.settings import load_settings
from vodal.sphere import cap_box
from vodal.vectors import vector

if TYPE_CHECKING:
    from tap import Page

__all__ = ["raw_times"]

_BOX = """id IN (SELECT id FROM obscore_rtree WHERE xmin <= :xmax AND xmax >= :xmin
    AND ymin <= :ymax AND ymax >= :ymin AND zmin <= :zmax AND zmax >= :zmin)"""
_NEAR = """pow(sin(radians(s_dec - :dec) / 2), 2) + cos(radians(s_dec)) * cos(radians(:dec))
    * pow(sin(radians(s_ra - :ra) / 2), 2) <= pow(sin(radians(:radius) / 2), 2)"""
_NIGHT = "SELECT obs_id, s_ra, s_dec, t_min FROM obscore WHERE t_min BETWEEN :mjd AND :mjd + 1"
_KINDS = "SELECT instrument_name, count(*) FROM obscore GROUP BY 1"
_NAMED = re.compile(":([a-z]+)")
_CAP = "s_cap && scircle(spoint(radians(:ra), radians(:dec)), radians(:radius))"
_POSTGRES = {
    name: (_NAMED.sub(r"%(\1)s", sql), radius_deg)
    for name, sql, radius_deg in (
        ("cone of ~10 rows", f"SELECT * FROM obscore WHERE {_CAP} AND {_NEAR}", 0.36),
        ("one night", _NIGHT, 0.0),
        ("kinds of rows", _KINDS, 0.0),
    )
}
_SQLITE = {
    "cone of ~10 rows": (f"SELECT * FROM obscore WHERE {_BOX} AND {_NEAR}", 0.36),
    "boxes at a point": (f"SELECT * FROM obscore WHERE {_BOX}", 0.0),
    "one night": (_NIGHT, 0.0),
    "kinds of rows": (_KINDS, 0.0),
}


def _values(draw: random.Random, radius_deg: float) -> dict[str, float]:
    ra, dec = draw.uniform(0.0, 360.0), math.degrees(math.asin(draw.uniform(-1.0, 1.0)))
    box = cap_box(vector(ra, dec), radius_deg)
    names = ("xmin", "xmax", "ymin", "ymax", "zmin", "zmax")
    mjd = draw.uniform(FIRST_MJD, LAST_MJD - 2)
    return {
        "ra": ra,
        "dec": dec,
        "radius": radius_deg,
        "mjd": mjd,
        **dict(zip(names, box, strict=True)),
    }


def raw_times(page: Page, path: Path, store: str, seconds: float) -> None:
    """Time hand-written SQL; the cone without the exact treatment of boundaries."""
    page.line("\nHand-written SQL in one process, rows as Python values:")
    page.table("query", "median / 99th percentile", "rows")
    if store == "sqlite":
        _sqlite(page, path, seconds)
    else:
        _postgres(page, path, seconds)


def _sqlite(page: Page, path: Path, seconds: float) -> None:
    connection = apsw.Connection(str(path / "skylane.db"), apsw.SQLITE_OPEN_READONLY)
    connection.pragma("cache_size", -64_000)
    for name, (sql, radius_deg) in _SQLITE.items():
        _row(page, name, lambda v, sql=sql: connection.execute(sql, v).fetchall(), radius_deg,
             seconds)  # fmt: skip
    _whole(page, connection.execute("SELECT * FROM obscore LIMIT 100000"))
    connection.close()


def _postgres(page: Page, path: Path, seconds: float) -> None:
    store = load_settings(path).store
    with psycopg.connect(store.url, options=f"-c search_path={store.schema_name},public") as link:
        for name, (sql, radius_deg) in _POSTGRES.items():
            _row(page, name, lambda v, sql=sql: link.execute(sql, v).fetchall(), radius_deg,
                 seconds)  # fmt: skip
        with link.cursor("rows") as cursor:
            cursor.itersize = 4000
            cursor.execute("SELECT * FROM obscore LIMIT 100000")
            _whole(page, cursor)


def _whole(page: Page, rows: Iterable[Any]) -> None:
    began = time.perf_counter()
    count = sum(1 for _ in rows)
    rate = count / (time.perf_counter() - began)
    page.row(f"SELECT * of {count:,} rows", f"{rate:,.0f} rows/s", str(count))


def _row(
    page: Page, name: str, run: Callable[[dict[str, float]], list[Any]], radius_deg: float,
    seconds: float,
) -> None:  # fmt: skip
    draw = random.Random(7)
    times, rows = [], 0
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        values = _values(draw, radius_deg)
        began = time.perf_counter()
        rows += len(run(values))
        times.append(time.perf_counter() - began)
    times.sort()
    middle, late = times[len(times) // 2], times[int(0.99 * len(times))]
    page.row(name, f"{1e3 * middle:.3f} / {1e3 * late:.3f} ms", f"{rows / len(times):.1f}")
