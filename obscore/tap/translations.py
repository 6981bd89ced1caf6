"""The translations of the last queries: clients and pages send the same ones again and again."""

from __future__ import annotations

import threading
from collections import OrderedDict

from obscore.adql import Translated
from obscore.adql.schema import Schema

__all__ = ["Translations"]

_MOST = 256
_LONGEST = 20_000
"""Characters of a query that is kept: an upper bound of the memory."""


class Translations:
    """Keeps translations as long as what can be named stays the same. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, int | None], tuple[Schema, Translated]] = OrderedDict()

    def get(self, query: str, schema: Schema, limit: int | None) -> Translated | None:
        """Give the translation of a query; None if it is not there, or of another schema."""
        key = query, limit
        with self._lock:
            found = self._kept.get(key)
            if found is None or found[0] is not schema:
                return None
            self._kept.move_to_end(key)
            return found[1]

    def put(self, query: str, schema: Schema, limit: int | None, translated: Translated) -> None:
        """Keep a translation, which nobody may change."""
        if len(query) <= _LONGEST:
            with self._lock:
                self._kept[query, limit] = schema, translated
                if len(self._kept) > _MOST:
                    self._kept.popitem(last=False)
