"""A primary header without the image of the file's own."""

from __future__ import annotations

import re

from vodal.fits.cards import CARD_LENGTH
from vodal.fits.headers import value_card

__all__ = ["bare_primary", "is_of_pixels"]

_OF_PIXELS = re.compile(
    r"((CRPIX|LTV|CNPIX|CTYPE|CRVAL|CDELT|CUNIT)\d{1,2}[A-Z]?"
    r"|(CD|PC|PV|PS|LTM)\d+_\d+[A-Z]?"
    r"|BSCALE|BZERO|BLANK|BUNIT|WCSAXES|EXTNAME|EXTVER)$"
)
_UNTRUE = re.compile(
    r"(SIMPLE|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|EXTEND|GROUPS|BLOCKED|NEXTEND|CHECKSUM|DATASUM"
    r"|DATAMIN|DATAMAX|END)$"
)


def is_of_pixels(keyword: str) -> bool:
    """Tell whether a card tells of the image of its HDU alone."""
    return _OF_PIXELS.match(keyword) is not None


def bare_primary(cards: str) -> list[str]:
    """Write a primary HDU without data, before extensions.

    Cards that say something of the whole file stay, since extensions may inherit them (FITS 4.0
    section 4.4.2.6).

    Parameters
    ----------
    cards
        Of the file's own primary header: of 80 characters without END, joined.

    Returns
    -------
    list of str
        80-character cards without END.
    """
    written = [
        value_card("SIMPLE", "T", "conforms to FITS standard"),
        value_card("BITPIX", "8", "there are no data here"),
        value_card("NAXIS", "0"),
        value_card("EXTEND", "T", "there are extensions"),
    ]
    dropped = False
    for start in range(0, len(cards), CARD_LENGTH):
        card = cards[start : start + CARD_LENGTH].ljust(CARD_LENGTH)
        keyword = card[:8].rstrip()
        if keyword != "CONTINUE":
            dropped = bool(_UNTRUE.match(keyword) or is_of_pixels(keyword))
        if not dropped:
            written.append(card)
    return written
