"""Refusals: a short, stable code and a sentence."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["REASONS", "UNFILLED", "Refusal", "of_scan", "of_world"]

REASONS: dict[str, str] = {
    "not-fits": "the file is something else: HTML, text, an image, another compression ...",
    "empty": "the file has no bytes",
    "truncated": "the file, or the gzip stream around it, ends too early",
    "damaged": "a header or a compressed table contradicts itself or the bytes that are there",
    "changed": "the file changed while it was read; the next run takes it",
    "unreadable": "the file or folder cannot be opened",
    "source": "the whole source is away, or cannot be read as the settings name it",
    "bad-name": "the file's name is not UTF-8",
    "not-a-file": "a pipe, socket or device",
    "no-file": "a Butler's datastore has no file of the dataset, or not just one that can be read",
    "no-dataset-type": "a Butler does not know the dataset type",
    "no-image": "there is no image of two or more axes with pixels in it",
    "hips-tile": "the file is a tile of a HiPS, which is made from images and is none itself",
    "no-position": "no image has celestial coordinates",
    "bad-position": "the celestial coordinates are broken",
    "blank": "no pixel has a value, and the footprint is to be that of the pixels that have one",
    "row": "a row breaks a rule of ObsCore; the rule's name follows after a colon",
    "identifier": "another file has the same identifier",
    "timeout": "reading took longer than the settings allow",
    "memory": "reading needed more memory than the settings allow",
    "crashed": "the reading process died of this file",
    "internal": "a fault of the assembly line itself; please report it",
}
"""All codes, with what they mean."""


UNFILLED = "the last block of 2880 bytes is not filled (FITS 4.0 section 3.3.2)"
"""A note, not a refusal: all data is there. While a site is watched it may still be written."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a file or one of its products makes no row."""

    reason: str
    """One of `REASONS`, for ``row`` with the rule's name: ``row:order``. The fault of a footprint
    (`vodal.canonical.FAULTS`) follows after that: ``row:region:no-area``."""
    message: str


_OF_SCAN = (
    ("changed", r"changed while"),
    ("not-a-file", r"is not a regular file"),
    ("empty", r"^this is an empty file"),
    ("not-fits", r"^this is "),
    ("truncated", r"\bis cut\b|bytes early|ends before|beyond the end"),
)


def of_scan(message: str) -> Refusal:
    """Give the refusal for what `vodal.fits.scan` says of a file."""
    for reason, pattern in _OF_SCAN:
        if re.search(pattern, message):
            return Refusal(reason, message)
    return Refusal("damaged", message)


def of_world(message: str) -> Refusal:
    """Give the refusal for what `vodal.fits.wcs` or `vodal.fits.footprint` says of an image."""
    missing = re.search(r"has no pair of celestial axes|has no celestial|are not among", message)
    return Refusal("no-position" if missing else "bad-position", message)
