"""Words looked for in texts.

Letters of ASCII are compared without regard to their case, all other characters as they are, so
that every database does the same whatever its locale.
"""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["has_item", "has_words"]

_BETWEEN = re.compile(r"[\x00-/:-@\[-`{-\x7f]+")


def _lower(text: str) -> str:
    return text.lower() if text.isascii() else text.encode().lower().decode()


@lru_cache(maxsize=64)
def _wanted(text: str) -> frozenset[str]:
    return frozenset(_BETWEEN.split(_lower(text))) - {""}


def has_words(haystack: str, needle: str) -> int:
    """Tell whether all words of one text are words of another: 1 or 0.

    Words lie between signs and blanks of ASCII; no endings are cut off.
    """
    return int(_wanted(needle).issubset(_BETWEEN.split(_lower(haystack))))


def has_item(hashlist: str, item: str) -> int:
    """Tell whether an item is in a list with ``#`` between its items, in any case: 1 or 0."""
    if "#" in item:
        return 0
    return int(_lower(item) in _lower(hashlist).split("#"))
