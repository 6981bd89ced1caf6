"""What headers say of an image's values: zero point, unit, and the bits of its mask."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from astropy.io import fits

__all__ = [
    "MASK_NAMES",
    "ZERO_POINT_KEYWORDS",
    "bad_bits",
    "header_number",
    "is_per_area",
    "unit_of",
    "zero_point_mag",
]

ZERO_POINT_KEYWORDS: Final = ("MAGZERO", "PHOTZP", "MAGZPT", "MAGZP", "PHOTZPT")
"""Keywords of zero points in magnitudes."""
MASK_NAMES: Final = (
    "BAD",
    "NO_DATA",
    "NODATA",
    "NODAT",
    "UNMASKEDNAN",
    "CR",
    "COSMIC",
    "DO_NOT_USE",
    "REJECTED",
    "VIGNETTED",
)
"""Names of mask bits whose pixels are not used. Saturated ones are: without them the hearts of
bright stars would be holes."""

_PER_AREA: Final = re.compile(r"sr|arcsec|beam|mag|\bK\b|deg", re.IGNORECASE)


def header_number(header: fits.Header, keyword: str) -> float | None:
    """Give a finite number of a header, None if there is none."""
    from astropy.io.fits import VerifyError  # noqa: PLC0415 - settings import this module

    try:
        value = header.get(keyword)
    except (VerifyError, ValueError):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def zero_point_mag(headers: Iterable[fits.Header], keywords: Iterable[str]) -> float | None:
    """Give the magnitude of one unit, of the first header that tells a sensible one.

    ``FLUXMAG0``, the flux at magnitude 0, is known besides the keywords.
    """
    names = tuple(keywords)
    for header in headers:
        for keyword in names:
            value = header_number(header, keyword)
            if value is not None and 5.0 < value < 50.0:
                return value
        flux = header_number(header, "FLUXMAG0")
        if flux is not None and 1e2 < flux < 1e20:
            return 2.5 * math.log10(flux)
    return None


def unit_of(header: fits.Header) -> str:
    """Give BUNIT, empty if there is none."""
    unit = header.get("BUNIT")
    return unit.strip() if isinstance(unit, str) else ""


def is_per_area(unit: str) -> bool:
    """Tell whether values of a unit do not depend on the size of the pixel."""
    return _PER_AREA.search(unit) is not None


def bad_bits(header: fits.Header, names: Iterable[str]) -> int:
    """Give the bits of a mask that have one of these names (``MP_<name>`` cards), as a number."""
    bits = 0
    wanted = {name.upper() for name in names}
    for keyword in header:
        if keyword.startswith("MP_") and keyword[3:].upper() in wanted:
            bit = header_number(header, keyword)
            if bit is not None and 0 <= bit < 63:
                bits |= 1 << int(bit)
    return bits
