"""How much faster circles and distances are in plain SQL than as functions in Python.

    python bench/sphere.py [ROWS]

Prints the time of a row of each, in one process and one run.
"""

from __future__ import annotations

import sys
import time

import apsw

from obscore.adql.sqlite.functions import register
from obscore.adql.sqlite.haversine import circle_bounds, circle_test, distance_value
from vodal.regions import Circle, shape_to_bytes

_CIRCLE = Circle(10.0, 20.0, 1.0)
_HOLDS, _APART = "sky_holds(:circle, ra, dec)", "sky_distance(:ra0, :dec0, ra, dec)"
_PAIRS = {
    "point in a circle": (
        circle_test(("ra", "dec"), (":ra0", ":dec0"), (":low", ":high"), _HOLDS),
        _HOLDS,
    ),
    "distance": (distance_value((":ra0", ":dec0"), ("ra", "dec"), _APART), _APART),
}


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
        times = []
        for expression in expressions:
            used = {key: value for key, value in values.items() if f":{key}" in expression}
            best = float("inf")
            for _ in range(5):
                began = time.perf_counter()
                connection.execute(f"SELECT count({expression}) FROM places", used).fetchall()
                best = min(best, time.perf_counter() - began)
            times.append(1e6 * best / rows)
        print(f"{name}: {times[0]:.2f} us in SQL, {times[1]:.2f} us in Python, "
              f"{times[1] / times[0]:.1f} times")  # fmt: skip


if __name__ == "__main__":
    main()
