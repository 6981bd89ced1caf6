"""The rows of images, also of gone ones, that there are for who asks: a filter in their tables."""

from __future__ import annotations

from dataclasses import replace

from obscore.adql.schema import RowFilter
from obscore.store.schema import obscore
from vodal.access.rules import Reach, Rights, now_text

__all__ = ["row_filter"]

_WORDS = {Reach.ALL: "whole", Reach.RELEASED: "dated", Reach.NONE: "hidden"}


def row_filter(rights: Rights, *, had: bool = False) -> RowFilter | None:
    """Give the filter of rows that somebody may know of; None if these are all.

    Parameters
    ----------
    rights
        Of who asks.
    had
        Whether to leave out images that somebody may know of but not have, too.
    """
    if rights.all_had or (rights.all_known and not had):
        return None
    index = 1 if had else 0
    kinds: dict[str, list[str]] = {word: [] for word in _WORDS.values()}
    for name, pair in rights.collections:
        kinds[_WORDS[pair[index]]].append(name)
    # A release is seen within a minute, and translations of the same query can be kept as long.
    now = f"{now_text()[:-2]}00"
    whole, dated, hidden = (tuple(sorted(kinds[word])) for word in _WORDS.values())
    columns = obscore.c.obs_collection.name, obscore.c.obs_release_date.name
    made = RowFilter(*columns, now, whole, dated, hidden)
    match rights.others[index]:
        case Reach.ALL:
            return made
        case Reach.RELEASED:
            return replace(made, others="dated")
        case Reach.NONE:
            return replace(made, others="hidden")
