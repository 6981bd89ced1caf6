"""How many products there are of each combination of the columns with few values.

The table ``facets`` of `obscore.store.schema` is kept by differences: a writer counts the rows it
takes away and those it puts in, and adds the difference of each combination.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from obscore.observation import Value
from obscore.store.schema import FACET_COLUMNS

__all__ = ["FACET_NAMES", "Combination", "changes", "facet_key"]

FACET_NAMES: tuple[str, ...] = tuple(item.name for item in FACET_COLUMNS)
"""Names of the counted columns, in the order of a combination's values."""

Combination = tuple[Value, ...]


def facet_key(combination: Sequence[Value]) -> str:
    """Give the primary key of a combination; a digest, since NULLs and long texts make no key."""
    return hashlib.sha256(json.dumps(list(combination)).encode()).hexdigest()[:32]


def changes(
    removed: Mapping[Combination, int], added: Mapping[Combination, int]
) -> list[dict[str, Any]]:
    """Give what is to be added to the table: its rows, with differences for ``products``.

    Ordered by key, so that writers that run at once lock the rows in one order.
    """
    differences = Counter(added)
    differences.subtract(removed)
    rows = [
        {
            "key": facet_key(combination),
            **dict(zip(FACET_NAMES, combination, strict=True)),
            "products": difference,
        }
        for combination, difference in differences.items()
        if difference
    ]
    return sorted(rows, key=lambda row: str(row["key"]))
