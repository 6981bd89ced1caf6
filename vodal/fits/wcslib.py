"""Headers that wcslib can read by itself, without the rounds that astropy's constructor makes.

`astropy.wcs.WCS` parses and writes a header three times over before wcslib sees it: some 0.7 ms.
For headers without what it has to mend, and with lookup tables of the plain kind or none, its parts
do in a sixth of that.
"""

from __future__ import annotations

import re

import numpy as np
from astropy.wcs import WCS, Sip, WcsError, Wcsprm
from numpy.typing import NDArray

from vodal.fits.quicklookup import LookupPair, is_of_lookup
from vodal.fits.values import HeaderValues

__all__ = ["read_wcs"]

_SIP = re.compile(r"[AB]P?_(ORDER|1?\d_1?\d)$")
_NEEDS_MORE = re.compile(r"C[PQ](DIS|ERR)|D[PQ]\d|D2IM|AXISCORR|PS\d")
_SHORT = 2
"""From this order on SIP is taken for a distortion."""


def read_wcs(header: HeaderValues, lookup: LookupPair | None = None) -> WCS | None:
    """Read what `astropy.wcs.WCS` reads from the same header, or nothing.

    Parameters
    ----------
    header
        Of coordinates; it is not changed.
    lookup
        The tables that it refers to, if `vodal.fits.quicklookup` could read them.

    Returns
    -------
    astropy.wcs.WCS or None
        None if the header is for astropy to read, or to refuse: it has other tables or -TAB axes,
        SCAMP's polynomials under the name of TAN, SIP of other than two axes, or is wrong.
    """
    has_sip = any(_SIP.match(keyword) for keyword in header)
    if lookup is not None:
        header = header.chosen(lambda keyword, _: not is_of_lookup(keyword))
    if any(_NEEDS_MORE.match(keyword) for keyword in header):
        return None
    if _has_disguised_tpv(header, has_sip=has_sip):
        return None
    try:
        sip = _sip(header) if has_sip else None
        if has_sip and sip is None:
            return None
        text = header.chosen(lambda keyword, _: not _SIP.match(keyword)).text()
        parsed = Wcsprm(header=text.encode("ascii"), key=" ", relax=True)
        shape = [header[f"NAXIS{axis + 1}"] for axis in range(header.get("NAXIS", 0))]
        is_flat = parsed.naxis == len("xy")
        if len(shape) != parsed.naxis or not (is_flat or (sip is None and lookup is None)):
            return None
        wcs = WCS(naxis=parsed.naxis)
        wcs.wcs = parsed
        wcs.sip = sip
        for name, table in lookup.named() if lookup is not None else ():
            setattr(wcs, name, table)
        wcs.fix()
        wcs.wcs.set()
        wcs.pixel_shape = shape
    except (WcsError, ValueError, TypeError, KeyError):
        return None
    return wcs


def _has_disguised_tpv(header: HeaderValues, *, has_sip: bool) -> bool:
    """Tell of polynomials in PV cards that astropy takes for TPV, or for redundant beside SIP."""
    if not any(keyword.startswith("PV") for keyword in header):
        return False
    types = [str(header[keyword]) for keyword in header if keyword.startswith("CTYPE")]
    return has_sip or any("-TAN" in name.upper() for name in types)


def _sip(header: HeaderValues) -> Sip | None:
    orders = {name: header.get(f"{name}_ORDER") for name in ("A", "B", "AP", "BP")}
    told = {name: order for name, order in orders.items() if order is not None}
    if set(told) not in ({"A", "B"}, {"A", "B", "AP", "BP"}):
        return None
    if not all(type(order) is int and order >= _SHORT for order in told.values()):
        return None
    found = [_coefficients(header, name, told[name]) if name in told else None for name in orders]
    return Sip(*found, (header["CRPIX1"], header["CRPIX2"]))


def _coefficients(header: HeaderValues, name: str, order: int) -> NDArray[np.float64]:
    """Read one polynomial; terms beyond its order do not count."""
    out = np.zeros((order + 1, order + 1))
    for i in range(order + 1):
        for j in range(order + 1 - i):
            out[i, j] = header.get(f"{name}_{i}_{j}", 0.0)
    return out
