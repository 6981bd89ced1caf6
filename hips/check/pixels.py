"""Rules of pixels (HiPS 1.0 sections 4.2.1.2 and 4.2.1.3): parents and children, FITS and pictures.

A parent's pixel is made from the four below it, by whichever method: it lies between the lowest
and the highest of them. In all formats a tile shows the same sky the same way up; FITS rows go
up, those of PNG and JPEG go down.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hips.check.finding import Finding, error, note, warning
from hips.check.picture import Picture
from hips.check.survey import Survey
from hips.check.turning import likeness, turned
from hips.names import child_slices, children, tile_path

__all__ = ["check_formats", "check_parent"]

Values = NDArray[np.float32]

_FEW: Final = 0.01
_BLACK: Final = 40.0
_CORNERS: Final = ("top left", "bottom left", "top right", "bottom right")
"""Where the children 0 to 3 lie in their parent's picture."""


def check_parent(
    survey: Survey, order: int, npix: int, extension: str, only: int | None
) -> Iterator[Finding]:
    """Compare a tile with those below it.

    Parameters
    ----------
    survey
        The HiPS.
    order, npix, extension
        The tile.
    only
        The one child to look at, 0 to 3; None for all that are there.
    """
    parent = survey.picture(order, npix, extension)
    if not isinstance(parent, Picture) or len(parent.values) != survey.width or survey.width < 2:
        return
    where = tile_path(order, npix, extension)
    known = survey.tiles(order + 1, extension)
    for place, child in enumerate(children(npix)):
        if only is not None and place != only:
            continue
        quadrant = parent.values[child_slices(place, survey.width)]
        if survey.place.listable and child not in known[np.searchsorted(known, child) :][:1]:
            if extension == "fits" and len(known) and np.isfinite(quadrant).any():
                say = f"has values where tile {child} of order {order + 1} is not there"
                yield warning("4.2.1.2", "parent-values", where, say)
            continue
        below = survey.picture(order + 1, child, extension)
        if isinstance(below, Picture) and below.values.shape == parent.values.shape:
            yield from _child(parent, place, below, where, f"tile {child}", survey)


def _child(
    parent: Picture, place: int, below: Picture, where: str, name: str, survey: Survey
) -> Iterator[Finding]:
    quadrant = parent.values[child_slices(place, survey.width)]
    low, high, mean = _fours(below.values)
    if parent.exact and below.exact and not survey.color:
        off = _off(quadrant, low, high, max(parent.quantum, below.quantum))
        if off == 0.0:
            return
    else:
        off = 0.0
    way = turned(quadrant, mean)
    if way:
        say = f"does not fit {name}, which would fit {way}"
        yield error("4.2.1.2", "child-turned", where, say)
        return
    other = _better_place(parent.values, place, mean)
    if other is not None:
        say = f"shows {name} at the {_CORNERS[other]}; it belongs at the {_CORNERS[place]}"
        yield error("4.2.1.2", "child-place", where, say)
        return
    if off > 0.0:
        say = f"is not the mean of {name}, nor of values between its lowest and highest: {off:.2%} "
        made = warning if off <= _FEW or parent.header is None else error
        yield made("4.2.1.2", "parent-values", where, f"{say}of the pixels are off")


def _fours(values: Values) -> tuple[Values, Values, Values]:
    """Give the lowest, highest and mean of each 2 x 2 pixels; NaN where all four are blank."""
    # Four pictures of half the size, as numpy is slow along short axes.
    parts = [values[row::2, column::2] for row in (0, 1) for column in (0, 1)]
    low, high = np.full_like(parts[0], np.inf), np.full_like(parts[0], -np.inf)
    total, count = np.zeros(low.shape), np.zeros(low.shape, np.int8)
    for part in parts:
        valid = np.isfinite(part)
        np.minimum(low, part, out=low, where=valid)
        np.maximum(high, part, out=high, where=valid)
        np.add(total, part, out=total, where=valid)
        count += valid
    mean = (total / np.maximum(count, 1)).astype(np.float32)
    for each in (low, high, mean):
        each[count == 0] = np.nan
    return low, high, mean


def _off(quadrant: Values, low: Values, high: Values, quantum: float) -> float:
    """Give which part of the pixels is not between the lowest and the highest below."""
    valid = np.isfinite(low)
    there = np.isfinite(quadrant)
    slack = 1e-5 * np.maximum(np.abs(low), np.abs(high)) + 1.01 * quantum
    with np.errstate(invalid="ignore"):
        inside = (quadrant >= low - slack) & (quadrant <= high + slack)
    wrong = (valid != there) | (valid & there & ~inside)
    return float(wrong.sum() / max(1, int((valid | there).sum())))


def _better_place(parent: Values, place: int, mean: Values) -> int | None:
    """Tell in which other quarter of the parent the tile lies; None if it is where it belongs."""
    score = [likeness(parent[child_slices(p, len(parent))], mean) for p in range(4)]
    best = int(np.argmax(score))
    return best if score[best] > 0.5 and score[best] > score[place] + 0.2 else None


def check_formats(survey: Survey, order: int, npix: int, extension: str) -> Iterator[Finding]:
    """Compare a picture with the FITS tile of the same cell."""
    tile, picture = (survey.picture(order, npix, e) for e in ("fits", extension))
    if not isinstance(tile, Picture) or not isinstance(picture, Picture):
        return
    if tile.values.shape != picture.values.shape:
        return
    where = tile_path(order, npix, extension)
    way = turned(tile.values, picture.values)
    if way:
        yield error("4.2.1.3", "picture-turned", where, f"would fit the FITS tile {way}")
        return
    blank = ~np.isfinite(tile.values)
    if picture.alpha:
        differ = float((blank != ~np.isfinite(picture.values)).mean())
        if differ > _FEW:
            say = (
                f"is transparent elsewhere than the FITS tile is blank: {differ:.1%} of the pixels"
            )
            yield warning("4.2.1.3", "picture-blank", where, say)
    elif blank.any() and np.median(picture.values[blank]) > _BLACK:
        say = "is not black where the FITS tile is blank; JPEG has no other way to say so"
        yield note("Aladin Lite", "picture-blank", where, say)
