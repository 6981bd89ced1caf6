"""The header of the image inside a tile-compressed table (FITS 4.0 section 10.1.1)."""

from __future__ import annotations

import re
from functools import lru_cache

from astropy.io import fits

from vodal.fits.headers import text_cards, value_card
from vodal.fits.quiet import quiet
from vodal.fits.values import HeaderValues, value_of

__all__ = ["image_header", "image_values"]

_TABLE_CARD = re.compile(
    r"(TTYPE|TFORM|TUNIT|TNULL|TSCAL|TZERO|TDISP|TDIM|TBCOL|TCOMM|TUCD|ZTILE|ZNAME|ZVAL|ZNAXIS"
    r"|NAXIS)\d*$"
)
_DROPPED = {
    "XTENSION", "BITPIX", "PCOUNT", "GCOUNT", "TFIELDS", "THEAP", "CHECKSUM", "DATASUM", "ZIMAGE",
    "ZCMPTYPE", "ZMASKCMP", "ZQUANTIZ", "ZDITHER0", "ZBLANK", "ZSCALE", "ZZERO", "ZSIMPLE",
    "ZTENSION", "ZBITPIX", "ZEXTEND", "ZBLOCKED", "ZPCOUNT", "ZGCOUNT", "ZHECKSUM", "ZDATASUM",
    "SIMPLE", "EXTEND", "BLOCKED",
}  # fmt: skip


def image_header(bintable_header: fits.Header) -> fits.Header:
    """Translate the header of a tile-compressed table to that of the image inside.

    The result is the header of an IMAGE extension. Cards of the table and of the compression are
    left out, with the checksums, since those are of other bytes than anyone will write.

    Parameters
    ----------
    bintable_header
        As the file has it; it is not changed.
    """
    table = bintable_header
    zbitpix, axes = int(table["ZBITPIX"]), int(table["ZNAXIS"])
    image = fits.Header()
    image["XTENSION"] = ("IMAGE", "image extension")
    image["BITPIX"] = (zbitpix, table.comments["ZBITPIX"])
    image["NAXIS"] = (axes, table.comments["ZNAXIS"])
    for k in range(1, axes + 1):
        image[f"NAXIS{k}"] = (int(table[f"ZNAXIS{k}"]), table.comments[f"ZNAXIS{k}"])
    image["PCOUNT"], image["GCOUNT"] = 0, 1
    with quiet():
        for card in table.cards:
            if _is_of_table(card.keyword):
                continue
            if card.keyword == "EXTNAME" and _is_usual_name(card.value):
                continue
            image.append(card, end=True)
        if zbitpix > 0 and "BLANK" not in image and _has_zblank(table):
            # Without BLANK the image's blank is the most negative number, as CFITSIO has it.
            image["BLANK"] = int(table.get("ZBLANK", -(1 << (zbitpix - 1))))
    return image


def image_values(table: HeaderValues) -> HeaderValues | None:
    """Give the values of `image_header`, with its cards but for comments on its structure.

    Parameters
    ----------
    table
        Of the file's header.

    Returns
    -------
    HeaderValues or None
        None where `image_header` has more to do: numbers that are texts, and a BLANK to be made.
    """
    zbitpix, axes = table.get("ZBITPIX"), table.get("ZNAXIS")
    sizes = [table.get(f"ZNAXIS{k}") for k in range(1, axes + 1)] if isinstance(axes, int) else []
    if not all(type(value) is int for value in (zbitpix, axes, *sizes)):
        return None
    if "BLANK" not in table and _has_zblank(table):
        return None
    values = HeaderValues(())
    values.cards = _structure(zbitpix, tuple(sizes))
    values.cards += table.chosen(
        lambda keyword, card: (
            not _is_of_table(keyword)
            and not (keyword == "EXTNAME" and _is_usual_name(value_of(card)))
        )
    ).cards
    return values


@lru_cache(maxsize=256)
def _structure(bitpix: int, sizes: tuple[int, ...]) -> tuple[tuple[str, str], ...]:
    """Write the first cards of an image extension, with their keywords."""
    cards = [*text_cards("XTENSION", "IMAGE"), value_card("BITPIX", str(bitpix))]
    cards.append(value_card("NAXIS", str(len(sizes))))
    cards += [value_card(f"NAXIS{k}", str(size)) for k, size in enumerate(sizes, 1)]
    cards += [value_card("PCOUNT", "0"), value_card("GCOUNT", "1")]
    return HeaderValues(cards).cards


@lru_cache(maxsize=1 << 12)
def _is_of_table(keyword: str) -> bool:
    return keyword in _DROPPED or _TABLE_CARD.match(keyword) is not None


def _is_usual_name(value: object) -> bool:
    return str(value).strip().upper() == "COMPRESSED_IMAGE"


def _has_zblank(table: fits.Header | HeaderValues) -> bool:
    columns = range(1, int(table.get("TFIELDS", 0)) + 1)
    return "ZBLANK" in table or any(
        str(table.get(f"TTYPE{k}", "")).strip().upper() == "ZBLANK" for k in columns
    )
