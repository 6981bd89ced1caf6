"""Several cutouts in one FITS file, the HDUs of each behind those of the one before.

The primary HDU has no data and tells what is missing. The first HDU of each cutout, which was a
primary, becomes an image extension, so that its cards stay: they tell where the cutout comes from.
Each HDU has CUTNUM, the number of its cutout, and no two have the same EXTNAME and EXTVER; what
refers to other HDUs by these (distortion tables, -TAB coordinates) follows them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from mmap import mmap

from soda.encode import padded
from soda.outcomes import Outcome
from soda.output import Output
from vodal.errors import UsageError
from vodal.fits.headers import header_block, text_cards, value_card

__all__ = ["MOST_GROUPS", "check_groupable", "grouped", "split"]

MOST_GROUPS = 999
"""As many as the keywords of those that are missing can number."""

Body = bytearray | bytes | mmap

_UNNAMED = "CUTOUT"
_END = b"END".ljust(80)
_RECORD = re.compile(r"((?:DP|D2IM)\d) *= *'EXTVER: *(\d+)(?:\.\d*)? *'")
_TABLE = re.compile(r"PS(\d+)_0([A-Z]?) *= *'([^']*)'")


def check_groupable(output: Output) -> None:
    """Refuse formats that are no FITS.

    Raises
    ------
    UsageError
        If the format is one.
    """
    if not output.format.media_type.startswith(("image/fits", "application/fits")):
        raise UsageError(
            f"MULTI=mef makes one FITS file, and takes no RESPONSEFORMAT {output.format.name}; ask"
            " for FITS, or for MULTI=tar"
        )


@dataclass(frozen=True, slots=True)
class _Hdu:
    cards: list[str]
    data: memoryview
    """Without what fills it up."""
    name: str
    version: int

    def value(self, keyword: str) -> str | None:
        """Give the value of a card as it is written."""
        return _value(self.cards, keyword)


def _value(cards: Sequence[str], keyword: str) -> str | None:
    start = f"{keyword:<8}= "
    for card in cards:
        if card.startswith(start):
            text = card[10:].lstrip()
            if text.startswith("'"):
                return text[1:].partition("'")[0].rstrip()
            return text.partition("/")[0].strip()
    return None


def _number(cards: Sequence[str], keyword: str, default: int) -> int:
    text = _value(cards, keyword)
    return default if text is None else int(float(text))


def split(body: Body) -> list[_Hdu]:
    """Take a FITS file apart; the data are views of it."""
    view, found, at = memoryview(body), [], 0
    while at < len(body):
        cards = []
        while (card := bytes(view[at : at + 80])) != _END:
            cards.append(card.decode("ascii"))
            at += 80
        at = padded(at + 80)
        axes = [_number(cards, f"NAXIS{n + 1}", 0) for n in range(_number(cards, "NAXIS", 0))]
        count = 1 if axes else 0
        for size in axes:
            count *= size
        count = (count + _number(cards, "PCOUNT", 0)) * _number(cards, "GCOUNT", 1)
        length = abs(_number(cards, "BITPIX", 8)) // 8 * count
        name = _value(cards, "EXTNAME") or ""
        found.append(_Hdu(cards, view[at : at + length], name.upper(), _number(cards, "EXTVER", 1)))
        at += padded(length)
    return found


def _named(hdus: Iterable[_Hdu]) -> list[_Hdu]:
    """Give each HDU of one cutout a name and version that no other of it has."""
    taken: set[tuple[str, int]] = set()
    named = []
    for hdu in hdus:
        name, version = hdu.name or _UNNAMED, max(1, hdu.version)
        while (name, version) in taken:
            version += 1
        taken.add((name, version))
        named.append(replace(hdu, name=name, version=version))
    return named


def _extension(cards: list[str]) -> list[str]:
    """Turn the header of a primary into that of an image extension."""
    if not cards[0].startswith("SIMPLE"):
        return cards
    kept = [card for card in cards[1:] if card[:8].rstrip() not in {"EXTEND", "PCOUNT", "GCOUNT"}]
    axes = 2 + _number(cards, "NAXIS", 0)
    counts = [value_card("PCOUNT", "0"), value_card("GCOUNT", "1")]
    head = text_cards("XTENSION", "IMAGE", "image extension")
    return [*head, *kept[:axes], *counts, *kept[axes:]]


def _mandatory(cards: Sequence[str]) -> int:
    """Count the cards that have to come first."""
    names = re.compile(r"(XTENSION|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|TFIELDS) *=")
    return next((n for n, card in enumerate(cards) if not names.match(card)), len(cards))


def _renumbered(hdu: _Hdu, number: int, shift: int, known: dict[str, int]) -> list[str]:
    """Write the header of one HDU as that of a group.

    Parameters
    ----------
    hdu
        With the name and version that are its own within the cutout.
    number
        Of the cutout.
    shift
        What is added to all versions.
    known
        Versions of the cutout's tables, by name.
    """
    cards, tables = [], {}
    for card in _extension(hdu.cards):
        if card[:8].rstrip() in {"EXTNAME", "EXTVER", "CUTNUM"}:
            continue
        record = _RECORD.match(card)
        if record is not None:
            text = f"EXTVER: {int(record[2]) + shift}"
            cards += text_cards(record[1], text, "version of the extension")
            continue
        table = _TABLE.match(card)
        if table is not None and table[3].strip().upper() in known:
            tables[f"PV{table[1]}_1{table[2]}"] = known[table[3].strip().upper()]
        cards.append(card)
    for keyword, default in tables.items():
        version = _number(cards, keyword, default) + shift
        cards = [card for card in cards if card[:8].rstrip() != keyword]
        cards.append(value_card(keyword, str(version), "EXTVER of the table"))
    own = [
        *text_cards("EXTNAME", hdu.name),
        value_card("EXTVER", str(hdu.version + shift)),
        value_card("CUTNUM", str(number), "number of the cutout in this file"),
    ]
    place = _mandatory(cards)
    return [*cards[:place], *own, *cards[place:]]


def _primary(outcomes: Sequence[Outcome], present: int) -> list[str]:
    cards = [
        value_card("SIMPLE", "T", "conforms to FITS standard"),
        value_card("BITPIX", "8"),
        value_card("NAXIS", "0", "no data in this HDU"),
        value_card("EXTEND", "T", "there are extensions"),
        value_card("NCUTASK", str(len(outcomes)), "cutouts that were asked for"),
        value_card("NCUTS", str(present), "cutouts in this file, see CUTNUM"),
    ]
    for one in outcomes:
        if one.message:
            cards += text_cards(f"NOCUT{one.number:03d}", f"{one.did} {one.region}: {one.message}")
    return cards


def grouped(
    outcomes: Sequence[Outcome], numbers: Sequence[int], body_of: Callable[[int], Body]
) -> Iterator[bytes]:
    """Write cutouts as one file, piece by piece.

    Parameters
    ----------
    outcomes
        Of all that were asked for; those without a cutout have a message.
    numbers
        Of the cutouts that there are.
    body_of
        Gives the FITS file of each, twice.
    """
    yield header_block(_primary(outcomes, len(numbers)))
    stride = max(hdu.version for number in numbers for hdu in _named(split(body_of(number))))
    for number in numbers:
        hdus = _named(split(body_of(number)))
        tables = {hdu.name: hdu.version for hdu in reversed(hdus) if hdu.value("TFIELDS")}
        for hdu in hdus:
            yield header_block(_renumbered(hdu, number, (number - 1) * stride, tables))
            yield bytes(hdu.data)
            yield bytes(padded(len(hdu.data)) - len(hdu.data))
