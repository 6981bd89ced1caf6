"""Rules of the tree of files (HiPS 1.0 sections 4.1 and 4.3.1)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from hips.check.finding import Finding, error, warning
from hips.check.survey import EXTENSIONS, Survey
from hips.names import tile_count, tile_path

__all__ = ["TREE_RULES"]

_FILE: Final = re.compile(r"Npix(\d{1,19})\.(\w+)(\.\w+)?")
_LISTED: Final = 3
"""How many of the tiles that share a fault are named."""

Rule = Callable[[Survey], Iterator[Finding]]


def names(survey: Survey) -> Iterator[Finding]:
    """See that all is named NorderK/DirD/NpixN.ext, D being N rounded down to 10 000."""
    for order in survey.orders:
        base = f"Norder{order}"
        for name, is_folder in survey.place.names(base):
            if not is_folder:
                continue
            if not re.fullmatch(r"Dir\d{1,19}", name):
                if not name.startswith("."):
                    yield error("4.1", "folder-name", f"{base}/{name}", "is no folder DirD")
                continue
            yield from _folder(survey, order, int(name[3:]))


def _folder(survey: Survey, order: int, first: int) -> Iterator[Finding]:
    base = f"Norder{order}/Dir{first}"
    for name, _ in survey.place.names(base):
        match = _FILE.fullmatch(name)
        if match is None:
            # Planes of cubes are NpixN_M.ext.
            if not name.startswith(".") and not re.fullmatch(r"Npix\d+_\d+\.\w+", name):
                yield warning("4.1", "tile-name", f"{base}/{name}", "is no tile NpixN.ext")
            continue
        npix, extension = int(match[1]), match[2]
        if npix // 10000 * 10000 != first:
            say = f"is in the wrong folder; tile {npix} belongs in Dir{npix // 10000 * 10000}"
            yield error("4.1", "tile-folder", f"{base}/{name}", say)
        if npix >= tile_count(order):
            say = f"there is no cell {npix} of order {order}, which has {tile_count(order)}"
            yield error("4.1", "tile-number", f"{base}/{name}", say)
        if extension != extension.lower() or extension == "jpeg":
            say = f"the extension is '{extension}'; it is one of {', '.join(EXTENSIONS.values())}"
            yield error("4.2.1.3", "tile-extension", f"{base}/{name}", say)


def formats_there(survey: Survey) -> Iterator[Finding]:
    """See that tiles of the deepest order are there in every format that is promised."""
    for extension in survey.extensions:
        tiles = survey.tiles(survey.order, extension)
        if survey.place.listable and not len(tiles):
            where = f"Norder{survey.order}"
            say = f"there are no {extension} tiles of the deepest order"
            yield error("4.1", "deepest-order", where, say)
    first = survey.extensions[0] if survey.extensions else ""
    for extension in survey.extensions[1:] if survey.place.listable else ():
        for order in range(survey.order + 1):
            one, other = survey.tiles(order, first), survey.tiles(order, extension)
            only = np.setxor1d(one, other)[:_LISTED].tolist()
            if only and len(one) and len(other):
                say = f"tiles {', '.join(map(str, only))} ... are there in one of {first} and "
                yield warning(
                    "4.2.1.3", "formats-differ", f"Norder{order}", f"{say}{extension} only"
                )


def deeper_than_said(survey: Survey) -> Iterator[Finding]:
    """See that no order lies below the deepest."""
    for order in survey.orders:
        if order > survey.order and any(
            len(survey.tiles(order, extension)) for extension in survey.extensions
        ):
            say = f"there are tiles, but hips_order is {survey.order}"
            yield warning("4.4.1", "order-deeper", f"Norder{order}", say)


def all_orders(survey: Survey) -> Iterator[Finding]:
    """See that every order down to 0 is there; 0 to 2 may be left out (section 4.3.1)."""
    if not survey.place.listable:
        return
    for extension in survey.extensions:
        coarsest = _coarsest(survey, extension)
        low = range(min(3, coarsest, survey.order))
        if low:
            say = (
                f"there are no {extension} tiles of the orders 0 to {low[-1]}: Aladin Lite 3 shows "
                "nothing in a wide view (issues 302, 303)"
            )
            yield warning("4.3.1", "low-orders", "Norder0", say)
        for order in range(len(low), survey.order):
            if not len(survey.tiles(order, extension)):
                say = f"there are no {extension} tiles of this order"
                yield error("4.1", "order-missing", f"Norder{order}", say)


def _coarsest(survey: Survey, extension: str) -> int:
    """Give the coarsest order that is there."""
    orders = range(survey.order + 1)
    return next((k for k in orders if len(survey.tiles(k, extension))), survey.order)


def lowest_order(survey: Survey) -> Iterator[Finding]:
    """See that the coarsest order is the one that hips_order_min says."""
    if not survey.place.listable or "hips_order_min" not in survey.values:
        return
    there = [k for k in range(30) if any(len(survey.tiles(k, e)) for e in survey.extensions)]
    if there and there[0] != survey.lowest:
        say = f"hips_order_min is {survey.lowest}, but the coarsest tiles are of order {there[0]}"
        yield warning("4.4.1", "order-min", "properties", say)


def parents(survey: Survey) -> Iterator[Finding]:
    """See that each tile has its parent, but for the coarsest order."""
    for extension in survey.extensions if survey.place.listable else ():
        for order in range(_coarsest(survey, extension) + 1, survey.order + 1):
            above = survey.tiles(order - 1, extension)
            tiles = survey.tiles(order, extension)
            for npix in tiles[~np.isin(tiles >> 2, above)].tolist():
                yield error("4.1", "parent", tile_path(order, npix, extension), "has no parent")


def children_there(survey: Survey) -> Iterator[Finding]:
    """See that each tile above the deepest order has a child."""
    for extension in survey.extensions if survey.place.listable else ():
        for order in range(survey.order):
            below = survey.tiles(order + 1, extension)
            tiles = survey.tiles(order, extension)
            if not len(below):
                continue
            for npix in tiles[~np.isin(tiles, below >> 2)].tolist():
                where = tile_path(order, npix, extension)
                yield warning("4.1", "children", where, "has no children")


TREE_RULES: Final[tuple[Rule, ...]] = (
    names, formats_there, deeper_than_said, all_orders, lowest_order, parents, children_there,
)  # fmt: skip
