"""Words looked for in texts."""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["has_item", "has_words"]

_WORD = re.compile(r"[^\W_]+")


@lru_cache(maxsize=64)
def _wanted(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.lower()))


def has_words(haystack: str, needle: str) -> int:
    """Tell whether all words of one text are words of another: 1 or 0.

    Words are runs of letters and digits, compared without regard to case; no endings are cut off.
    """
    return int(_wanted(needle).issubset(_WORD.findall(haystack.lower())))


def has_item(hashlist: str, item: str) -> int:
    """Tell whether an item is in a list with ``#`` between its items, in any case: 1 or 0."""
    if "#" in item:
        return 0
    return int(item.lower() in hashlist.lower().split("#"))
