"""Who may have a built HiPS: who may have all of its images."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Final

from hips.behind import IMAGES_FILE
from hips.publish import safe_name
from vodal.access.asking import Asking
from vodal.access.rules import Reach, Rights, is_released, now_text
from vodal.errors import AuthorizationError
from vodal.products import Resolver

__all__ = ["Allowed"]

_PAGE: Final = 500
_AGAIN_S: Final = 60.0
"""Seconds after which a HiPS that is not released is looked at anew."""


class Allowed:
    """Tells who may have which HiPS. Safe to use from several threads.

    A HiPS of a collection whose images become public one by one is public when all of its own are.

    Parameters
    ----------
    resolver
        Knows when images are released; without it none is.
    """

    def __init__(self, resolver: Resolver | None = None) -> None:
        self._resolver = resolver
        self._known: dict[tuple[str, str], tuple[float, bool]] = {}

    def check(
        self, asking: Asking, name: str, values: Mapping[str, str], folder: Path | None
    ) -> bool:
        """Tell whether who asks may know of a HiPS; says too if everybody may have it.

        Parameters
        ----------
        asking
            Who asks.
        name, values
            Name and keywords of the HiPS.
        folder
            Where it lies; None if elsewhere.

        Raises
        ------
        AuthorizationError
            If who asks may know of it and not have it.
        """
        if asking.public.all_had:
            return True
        if self.has(asking.public, name, values, folder):
            asking.for_all = True
            return True
        if self.has(asking.rights, name, values, folder):
            return True
        collections = _collections(name, values, asking.rights)
        if any(asking.rights.known(one) is not Reach.ALL for one in collections):
            return False
        raise AuthorizationError(f"the HiPS {name} is for members of certain groups")

    def has(
        self, rights: Rights, name: str, values: Mapping[str, str], folder: Path | None
    ) -> bool:
        """Tell whether somebody may have a HiPS."""
        if rights.all_had:
            return True
        reaches = {rights.had(one) for one in _collections(name, values, rights)}
        if Reach.NONE in reaches:
            return False
        return Reach.RELEASED not in reaches or self._is_released(name, values, folder)

    def _is_released(self, name: str, values: Mapping[str, str], folder: Path | None) -> bool:
        if folder is None or self._resolver is None:
            return False
        key = name, values.get("hips_release_date", "")
        until, known = self._known.get(key, (0.0, False))
        if known or time.monotonic() < until:
            return known
        known = _all_released(folder, self._resolver)
        self._known[key] = time.monotonic() + _AGAIN_S, known
        return known


def _collections(name: str, values: Mapping[str, str], rights: Rights) -> set[str]:
    """Give the collections of a HiPS, as far as it tells; a name that is none stands for others."""
    text = values.get("obs_collection", "")
    found = set(text.split(", "))
    for ruled, _ in rights.collections:
        # Names with commas; a HiPS that does not tell is known by its name.
        safe = safe_name(ruled)
        if (ruled in text) if text else (name == safe or name.startswith(f"{safe}-")):
            found.add(ruled)
    return found


def _all_released(folder: Path, resolver: Resolver) -> bool:
    now = now_text()
    dids = _dids(folder)
    some = False
    while page := list(islice(dids, _PAGE)):
        found = resolver.resolve(page)
        some = True
        for did in page:
            product = found.get(did)
            if product is None or not is_released(product.obscore.get("obs_release_date"), now):
                return False
    return some


def _dids(folder: Path) -> Iterator[str]:
    """Give the identifiers of all images in a HiPS."""
    path = folder / IMAGES_FILE
    if path.is_file():
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
            yield from (did for (did,) in db.execute("SELECT DISTINCT did FROM image"))
