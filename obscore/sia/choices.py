"""The values that a few parameters may have, as far as who asks may know of them."""

from __future__ import annotations

import threading
import time

from obscore.sia.parameters import PARAMETERS, TYPES
from obscore.tap.query import QueryRunner
from vodal.access.rules import Rights
from vodal.errors import SkylaneError

__all__ = ["Choices"]

_KEPT_S = 10.0
_MOST_KEPT = 64
_LIMIT_S = 0.5
_MOST_ROWS = 2000
_MOST_OPTIONS = 100
"""Values of a parameter that are listed; of more than that none is."""


class Choices:
    """Looks now and then what the catalogue holds. Safe to call from several threads."""

    def __init__(self, runner: QueryRunner) -> None:
        self._runner = runner
        self._lock = threading.Lock()
        self._kept: dict[Rights, tuple[float, dict[str, tuple[str, ...]]]] = {}

    def of(self, rights: Rights) -> dict[str, tuple[str, ...]]:
        """Give the values by parameter; without a parameter if they are many or not known now."""
        now = time.monotonic()
        with self._lock:
            kept = self._kept.get(rights)
        if kept is not None and now < kept[0]:
            return kept[1]
        try:
            found = self._look(rights)
        except SkylaneError:
            # An answer is no worse for lacking them.
            return {} if kept is None else kept[1]
        with self._lock:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[rights] = (now + _KEPT_S, found)
        return found

    def _look(self, rights: Rights) -> dict[str, tuple[str, ...]]:
        columns = {item.name: item.columns[0] for item in PARAMETERS if item.chosen}
        listed = ", ".join(columns.values())
        kinds = ", ".join(f"'{kind}'" for kind in TYPES)
        query = (
            f"SELECT {listed}, COUNT(*) AS n FROM ivoa.obscore"  # noqa: S608 - ADQL
            f" WHERE dataproduct_type IN ({kinds}) GROUP BY {listed}"
        )
        rows = self._runner.rows(query, _MOST_ROWS + 1, limit_s=_LIMIT_S, rights=rights)
        if len(rows) > _MOST_ROWS:
            return {}
        values = {
            name: sorted({str(row[column]) for row in rows if row[column] is not None})
            for name, column in columns.items()
        }
        return {
            name: tuple(some) for name, some in values.items() if 0 < len(some) <= _MOST_OPTIONS
        }
