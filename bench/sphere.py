"""How much faster circles, distances and regions are than by the exact functions in Python.

    python bench/sphere.py [ROWS]

Prints the time of a row of each, in one process and one run: circles and distances in plain SQL,
regions of a column by a glance that decides most of them.
"""

from __future__ import annotations

import math
import random
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import apsw

from obscore.adql.sqlite import functions
from obscore.adql.sqlite.functions import register
from obscore.adql.sqlite.haversine import circle_bounds, circle_test, distance_value
from vodal.regions import Circle, Polygon, shape_to_bytes

_CIRCLE = Circle(10.0, 20.0, 1.0)
_HOLDS, _APART = "sky_holds(:circle, ra, dec)", "sky_distance(:ra0, :dec0, ra, dec)"
_PAIRS = {
    "point in a circle": (
        circle_test(("ra", "dec"), (":ra0", ":dec0"), (":low", ":high"), _HOLDS),
        _HOLDS,
    ),
    "distance": (distance_value((":ra0", ":dec0"), ("ra", "dec"), _APART), _APART),
}


_REGIONS = {
    "region holds a position": "sky_holds(shape, :ra, :dec)",
    "region meets a circle": "sky_intersects(shape, :circle)",
    "region meets a polygon": "sky_intersects(shape, :polygon)",
    "circle holds a region": "sky_contains(:circle, shape)",
}


def _footprints(rows: int) -> Iterator[bytes]:
    """Give squares of 0.2 degrees around a circle of a degree."""
    draw = random.Random(3)
    for _ in range(rows):
        ra, dec, turn = draw.uniform(8.7, 11.3), draw.uniform(18.8, 21.2), draw.uniform(0.0, 7.0)
        corners = ((ra + 0.14 * math.cos(turn + k * math.pi / 2) / math.cos(math.radians(dec)),
                    dec + 0.14 * math.sin(turn + k * math.pi / 2)) for k in range(4))  # fmt: skip
        yield shape_to_bytes(Polygon(tuple(corners)))


def _best(connection: apsw.Connection, sql: str, values: Mapping[str, Any], rows: int) -> float:
    """Give the microseconds of a row, the least of some runs."""
    used = {key: value for key, value in values.items() if f":{key}" in sql}
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        connection.execute(sql, used).fetchall()
        best = min(best, time.perf_counter() - began)
    return 1e6 * best / rows


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    connection = apsw.Connection(":memory:")
    register(connection)
    connection.execute("CREATE TABLE places (ra REAL, dec REAL)")
    places = ((place * 0.37 % 20, place * 0.61 % 40) for place in range(rows))
    connection.executemany("INSERT INTO places VALUES (?, ?)", places)
    low, high = circle_bounds(_CIRCLE.radius_deg)
    values = {"circle": shape_to_bytes(_CIRCLE), "ra0": _CIRCLE.ra_deg, "dec0": _CIRCLE.dec_deg,
              "low": low, "high": high}  # fmt: skip
    for name, expressions in _PAIRS.items():
        in_sql, in_python = (
            _best(connection, f"SELECT count({expression}) FROM places", values, rows)
            for expression in expressions
        )
        print(f"{name}: {in_sql:.2f} us in SQL, {in_python:.2f} us in Python, "
              f"{in_python / in_sql:.1f} times")  # fmt: skip
    connection.execute("CREATE TABLE regions (shape BLOB)")
    few = min(rows, 5_000)
    connection.executemany("INSERT INTO regions VALUES (?)", ((item,) for item in _footprints(few)))
    polygon = Polygon(((9.0, 19.0), (11.0, 19.0), (11.0, 21.0), (9.0, 21.0)))
    values |= {"ra": 10.0, "dec": 20.0, "polygon": shape_to_bytes(polygon)}
    exact = {
        name: _best(connection, f"SELECT count({sql}) FROM regions", values, few)
        for name, sql in _REGIONS.items()
    }
    functions.glance.wait()
    for name, sql in _REGIONS.items():
        seen = _best(connection, f"SELECT count({sql}) FROM regions", values, few)
        print(f"{name}: {seen:.2f} us with a glance, {exact[name]:.2f} us exactly, "
              f"{exact[name] / seen:.1f} times")  # fmt: skip


if __name__ == "__main__":
    main()
