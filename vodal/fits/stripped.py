"""A byte index without what one product of the file has no use for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vodal.fits.index import FileIndex

__all__ = ["stripped"]

_LOOKUP_NAMES = {"WCSDVARR", "D2IMARR"}


def stripped(index: FileIndex, numbers: Sequence[int]) -> FileIndex:
    """Strip an index of images that are not used: a camera's file holds a hundred chips.

    Parameters
    ----------
    index
        Of the whole file.
    numbers
        Of the HDUs that are used.
    """
    needed = {0, *numbers}
    hdus = tuple(
        # A copy leaves behind the parsed header, which there is no need to send.
        replace(hdu)
        if hdu.number in needed or hdu.name in _LOOKUP_NAMES or hdu.kind == "table"
        else replace(hdu, cards="", tiles=None, kind="other")
        for hdu in index.hdus
    )
    return replace(index, hdus=hdus)
