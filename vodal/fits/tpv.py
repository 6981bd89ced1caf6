"""TPV whose first axis is the latitude, rewritten with the longitude first.

wcslib (8.2 and before) takes the two axes of TPV for longitude and latitude in this order, whatever
their CTYPEs say, and so gives wrong positions for any other. As the order of world coordinates is
no matter of the pixels', the rows of the matrix are exchanged and the pixels keep their axes.
"""

from __future__ import annotations

import re

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from vodal.errors import DataError

__all__ = ["longitude_first"]

_LATITUDES = ("DEC", "GLAT", "ELAT", "SLAT")
_SWAPPED = re.compile(r"(CTYPE|CRVAL|CUNIT|CNAME)([12])$|(PV|PS)([12])(_\d+)$")
_MATRIX = re.compile(r"((CD|PC)\d+_\d+|CDELT\d+|CROTA\d+)$")


def longitude_first(header: fits.Header) -> fits.Header:
    """Give a header of coordinates with the longitude as world axis 1, if it is TPV.

    Parameters
    ----------
    header
        Of an image's coordinates; it is not changed.

    Raises
    ------
    DataError
        If it is TPV, and its axes are not the first two.
    """
    ctypes = {key: str(header[key]).strip().upper() for key in header if key.startswith("CTYPE")}
    axes = {key: name for key, name in ctypes.items() if name.endswith("-TPV")}
    if not axes:
        return header
    if set(axes) != {"CTYPE1", "CTYPE2"}:
        raise DataError("TPV is understood as axes 1 and 2 only")
    if not axes["CTYPE1"].startswith(_LATITUDES):
        return header
    plain = header.copy()
    for key, name in axes.items():
        plain[key] = name[:-3] + "TAN"
    for key in [key for key in plain if re.match(r"PV[12]_", key)]:
        del plain[key]
    wcs = WCS(plain)
    wcs.wcs.set()
    return _exchanged(header, wcs)


def _exchanged(header: fits.Header, wcs: WCS) -> fits.Header:
    """Write the first two world axes in each other's place."""
    out = fits.Header()
    for card in header.cards:
        match = _SWAPPED.match(card.keyword)
        if match is not None:
            name, axis, rest = match[1] or match[3], int(match[2] or match[4]), match[5] or ""
            out.append(fits.Card(f"{name}{3 - axis}{rest}", card.value), end=True)
        elif not _MATRIX.match(card.keyword):
            out.append(card, end=True)
    order = [1, 0, *range(2, wcs.naxis)]
    matrix = np.asarray(wcs.pixel_scale_matrix, np.float64)[order]
    for i in range(wcs.naxis):
        # In the units that wcslib brought all to.
        out[f"CUNIT{i + 1}"] = str(wcs.wcs.cunit[order[i]])
        out[f"CRVAL{i + 1}"] = float(wcs.wcs.crval[order[i]])
        for j in range(wcs.naxis):
            out[f"CD{i + 1}_{j + 1}"] = float(matrix[i, j])
    return out
