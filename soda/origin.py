"""Which pixels of which original an image of a cutout holds: CUTHDU, CUTSEC and CUTID.

A cutout of a cutout that is a plain file tells of the original of the first, so that it is the same
as one that was cut from the original at once. Of a dataset with an identifier its own file is the
original.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from soda.plan import Section
from vodal.fits.headers import text_cards, value_card
from vodal.fits.index import FileIndex, HduIndex

__all__ = ["earlier_did", "origin_cards"]

_RANGE = re.compile(r"(\d{1,18}):(\d{1,18})(?::(\d{1,18}))?")

Range = tuple[int, int, int]
"""First pixel, counted from 1, last pixel, and step."""


def origin_cards(hdu: HduIndex, section: Section, *, inherit: bool) -> list[str]:
    """Write CUTHDU and CUTSEC of a section.

    Parameters
    ----------
    hdu
        The image that is cut.
    section
        What is cut.
    inherit
        Whether the original is that of the image, where that is a cutout itself.
    """
    number = hdu.number
    ranges = [(part.start + 1, part.stop, part.step or 1) for part in reversed(section.slices)]
    earlier = _earlier(hdu) if inherit else None
    if earlier is not None:
        number, outer = earlier
        ranges = [_within(one, part) for one, part in zip(outer, ranges, strict=True)]
    text = ",".join(
        f"{first}:{last}{f':{step}' if step > 1 else ''}" for first, last, step in ranges
    )
    return [
        value_card("CUTHDU", str(number), "HDU of the original, 0 is the primary"),
        *text_cards("CUTSEC", f"[{text}]", "pixels of the original"),
    ]


def earlier_did(index: FileIndex, hdus: Iterable[int]) -> str:
    """Give the dataset that a file was cut from; empty if it tells none.

    Parameters
    ----------
    index
        Of the file.
    hdus
        Its images; the first HDU of the file is looked at too.
    """
    for number in (0, *hdus):
        did = index.hdus[number].image_values.get("CUTID")
        if isinstance(did, str) and did.strip():
            return did.strip()
    return ""


def _earlier(hdu: HduIndex) -> tuple[int, list[Range]] | None:
    """Give HDU and pixels of the original that an image tells; None if they cannot be its own."""
    number, text = (hdu.image_values.get(keyword) for keyword in ("CUTHDU", "CUTSEC"))
    if not isinstance(number, int) or isinstance(number, bool) or not isinstance(text, str):
        return None
    matches = [_RANGE.fullmatch(part.strip()) for part in text.strip().strip("[]").split(",")]
    ranges = [(int(m[1]), int(m[2]), int(m[3] or 1)) for m in matches if m is not None]
    sizes = [len(range(first, last + 1, max(1, step))) for first, last, step in ranges]
    return (number, ranges) if number >= 0 and sizes == list(reversed(hdu.shape)) else None


def _within(outer: Range, inner: Range) -> Range:
    """Give the pixels of the original that are some of those that were cut from it."""
    first, _, step = outer
    return first + (inner[0] - 1) * step, first + (inner[1] - 1) * step, step * inner[2]
