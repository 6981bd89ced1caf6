"""Headers that wcslib can read by itself, without the rounds that astropy's constructor makes.

`astropy.wcs.WCS` parses and writes a header three times over before wcslib sees it: some 0.7 ms.
For headers without lookup tables, and without what it has to mend, its parts do in a sixth of that.
"""

from __future__ import annotations

import re

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS, Sip, WcsError, Wcsprm
from numpy.typing import NDArray

__all__ = ["read_wcs"]

_SIP = re.compile(r"[AB]P?_(ORDER|1?\d_1?\d)$")
_NEEDS_MORE = re.compile(r"C[PQ](DIS|ERR)|D[PQ]\d|D2IM|AXISCORR|PS\d")
_SHORT = 2
"""From this order on SIP is taken for a distortion."""


def read_wcs(header: fits.Header) -> WCS | None:
    """Read what `astropy.wcs.WCS` reads from the same header, or nothing.

    Parameters
    ----------
    header
        Of coordinates, without tables that they refer to; it is not changed.

    Returns
    -------
    astropy.wcs.WCS or None
        None if the header is for astropy to read, or to refuse: it has lookup tables or -TAB axes,
        SCAMP's polynomials under the name of TAN, SIP of other than two axes, or is wrong.
    """
    sip_cards = [card for card in header.cards if _SIP.match(card.keyword)]
    if any(_NEEDS_MORE.match(keyword) for keyword in header) or _has_disguised_tpv(
        header, sip_cards
    ):
        return None
    try:
        sip = _sip(header) if sip_cards else None
        if sip_cards and sip is None:
            return None
        cards = [card for card in header.cards if not _SIP.match(card.keyword)]
        text = fits.Header(cards).tostring(endcard=False)
        parsed = Wcsprm(header=text.encode("ascii"), key=" ", relax=True)
        shape = [header[f"NAXIS{axis + 1}"] for axis in range(header.get("NAXIS", 0))]
        if len(shape) != parsed.naxis or (sip is not None and parsed.naxis != len("xy")):
            return None
        wcs = WCS(naxis=parsed.naxis)
        wcs.wcs = parsed
        wcs.sip = sip
        wcs.fix()
        wcs.wcs.set()
        wcs.pixel_shape = shape
    except (WcsError, ValueError, TypeError, KeyError):
        return None
    return wcs


def _has_disguised_tpv(header: fits.Header, sip_cards: list[fits.Card]) -> bool:
    """Tell of polynomials in PV cards that astropy takes for TPV, or for redundant beside SIP."""
    if not any(keyword.startswith("PV") for keyword in header):
        return False
    types = [str(header[keyword]) for keyword in header if keyword.startswith("CTYPE")]
    return bool(sip_cards) or any("-TAN" in name.upper() for name in types)


def _sip(header: fits.Header) -> Sip | None:
    orders = {name: header.get(f"{name}_ORDER") for name in ("A", "B", "AP", "BP")}
    told = {name: order for name, order in orders.items() if order is not None}
    if set(told) not in ({"A", "B"}, {"A", "B", "AP", "BP"}):
        return None
    if not all(type(order) is int and order >= _SHORT for order in told.values()):
        return None
    found = [_coefficients(header, name, told[name]) if name in told else None for name in orders]
    return Sip(*found, (header["CRPIX1"], header["CRPIX2"]))


def _coefficients(header: fits.Header, name: str, order: int) -> NDArray[np.float64]:
    """Read one polynomial; terms beyond its order do not count."""
    out = np.zeros((order + 1, order + 1))
    for i in range(order + 1):
        for j in range(order + 1 - i):
            out[i, j] = header.get(f"{name}_{i}_{j}", 0.0)
    return out
