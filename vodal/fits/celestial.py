"""The two celestial axes of coordinates that have more, also where wcslib does not part them."""

from __future__ import annotations

import re

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

__all__ = ["part_celestial"]

_OF_AXIS = re.compile(r"(CTYPE|CRVAL|CRPIX|CDELT|CUNIT)(\d+)$|(PV)(\d+)(_\d+)$")
_OF_TWO = re.compile(r"PC(\d+)_(\d+)$")


def part_celestial(wcs: WCS, first: int, second: int) -> WCS:
    """Give world coordinates of two axes alone.

    Parameters
    ----------
    wcs
        Of more axes.
    first, second
        The axes, 0-based in FITS order.

    Raises
    ------
    Exception
        If they depend on other axes of the image; of wcslib's many kinds.
    """
    alone = _untangled(wcs, (first, second))
    try:
        return alone.sub([first + 1, second + 1])
    except Exception:  # wcslib's errors have no common base
        if any(part is not None for part in (wcs.sip, wcs.cpdis1, wcs.cpdis2)):
            raise
        return _rewritten(alone, first, second)


def _untangled(wcs: WCS, sky: tuple[int, int]) -> WCS:
    """Let other coordinates not depend on the sky's pixels, as wavelengths do across a slit.

    wcslib takes no axes out of a matrix that ties them to others, in whichever direction.
    """
    others = [k for k in range(wcs.naxis) if k not in sky]
    matrix = np.array(wcs.wcs.cd if wcs.wcs.has_cd() else wcs.wcs.get_pc(), np.float64)
    if not matrix[np.ix_(others, sky)].any():
        return wcs
    matrix[np.ix_(others, sky)] = 0.0
    alone = wcs.deepcopy()
    if wcs.wcs.has_cd():
        alone.wcs.cd = matrix
    else:
        alone.wcs.pc = matrix
    return alone


def _rewritten(wcs: WCS, first: int, second: int) -> WCS:
    """Take the axes from the header that wcslib writes.

    It takes none out of coordinates with a distortion after the linear terms, as it makes of TPV.
    """
    places = {first + 1: 1, second + 1: 2}
    header = fits.Header()
    for card in wcs.to_header(relax=True).cards:
        two, one = _OF_TWO.match(card.keyword), _OF_AXIS.match(card.keyword)
        if two is not None:
            row, column = int(two[1]), int(two[2])
            if row in places and column not in places and card.value:
                raise ValueError(f"{card.keyword} is {card.value}")
            if row in places and column in places:
                header[f"PC{places[row]}_{places[column]}"] = card.value
        elif one is not None:
            axis = places.get(int(one[2] or one[4]))
            if axis is not None:
                header[f"{one[1] or one[3]}{axis}{one[5] or ''}"] = card.value
        elif card.keyword != "WCSAXES" and not re.match(r"C[A-Z]+\d+$", card.keyword):
            header.append(card)
    return WCS(header)
