"""What processes of their own do in the tests of published tables."""

from __future__ import annotations

import sys
from pathlib import Path

from test_published_tables import Site, backend_at, rows_of, star_data, stars


def load(where: str, folder: str, count: str) -> None:
    """Load many stars, say when some are there, and go on when told to."""
    site = Site(backend_at(where), where)
    schema = stars()
    rows = rows_of(Path(folder), schema.tables[0], star_data(int(count)))
    said = False

    def progress(_done: int, _total: int) -> None:
        nonlocal said
        if not said:
            print("loading", flush=True)
            said = True
            sys.stdin.readline()

    site.tables.publish(schema, {"stars": rows}, progress=progress)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
