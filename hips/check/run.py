"""The check as a whole: the properties, then all that follows from them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Final

from hips.check.allsky import check_allsky
from hips.check.extras import check_extras, check_moc
from hips.check.finding import Finding, at_most_each, error, warning
from hips.check.keywords import KEYWORD_RULES
from hips.check.pixels import check_formats, check_parent
from hips.check.place import Place, open_place
from hips.check.survey import Survey
from hips.check.tiles import check_tile
from hips.check.tree import TREE_RULES

__all__ = ["check_hips"]

LIMIT: Final = 100
WEB_LIMIT: Final = 10
_NOT_IMAGES: Final = ("catalog", "cube", "spectral-cube", "time-cube", "meta")

Rule = Callable[[Survey], Iterator[Finding]]


def check_hips(where: str | Path, limit: int | None = None) -> list[Finding]:
    """Check a HiPS of images against HiPS 1.0, clause by clause, and its pixels.

    Parameters
    ----------
    where
        The folder that holds its properties and tiles, or its URL (http or https).
    limit
        How many of the deepest tiles of each format are looked at, with all above them; by
        default 100 of a folder and 10 of a server. 0 is all. Names and numbers of a folder's
        tiles are checked all the same.

    Returns
    -------
    list of Finding
        Empty if nothing is wrong. Of one rule ten findings at most, and how many more there are.

    Raises
    ------
    NotFoundError
        If there is no such folder.
    ServiceUnavailable
        If the server does not answer.
    """
    place = open_place(where)
    if limit is None:
        limit = LIMIT if place.listable else WEB_LIMIT
    return list(at_most_each(_all(place, limit or None)))


def _all(place: Place, limit: int | None) -> Iterator[Finding]:
    data = place.read("properties")
    if data is None:
        yield error("4.4.1", "properties", "properties", "cannot be read: there is no such file")
        return
    pairs = yield from _parse(data)
    survey = Survey(place, dict(pairs), pairs, limit)
    for rule in KEYWORD_RULES:
        yield from rule(survey)
    if survey.values.get("dataproduct_type") in _NOT_IMAGES:
        # Tiles of catalogues and cubes have rules of their own.
        return
    for part in (*TREE_RULES, _tiles, check_allsky, check_moc, check_extras):
        yield from part(survey)


def _parse(data: bytes) -> Generator[Finding, None, list[tuple[str, str]]]:
    """Read the file line by line; gives (by ``yield from``) keywords and values."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as fault:
        yield error("4.4.1", "encoding", "properties", f"is not UTF-8: {fault.reason}")
        text = data.decode("latin-1")
    if text.startswith("\ufeff"):
        yield warning("4.4.1", "encoding", "properties", "begins with a byte order mark")
    if "\r" in text.replace("\r\n", ""):
        say = "has lines that end by CR alone; LF or CR LF ends a line"
        yield error("4.4.1", "line-ends", "properties", say)
    pairs = []
    for number, line in enumerate(text.lstrip("\ufeff").splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        key, equals, value = line.partition("=")
        if not equals:
            say = f"line {number} has no '='"
            yield error("4.4.1", "syntax", "properties", say)
            continue
        pairs.append((key.strip(), value.strip()))
    return pairs


def _tiles(survey: Survey) -> Iterator[Finding]:
    """Look at tiles, the parents of each and its other formats."""
    for extension in survey.extensions:
        seen_child: dict[tuple[int, int], int] = {}
        for order, npix in survey.sample(extension):
            seen_child.setdefault((order - 1, npix >> 2), npix & 3)
            yield from check_tile(survey, order, npix, extension)
            if order < survey.order:
                only = None if survey.place.listable else seen_child.get((order, npix))
                yield from check_parent(survey, order, npix, extension, only)
            if extension != "fits" and "fits" in survey.extensions:
                yield from check_formats(survey, order, npix, extension)
