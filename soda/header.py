"""The cards of a cutout: what is cut keeps its header, with what the cut changes put right.

- NAXISn are those of the section.
- CRPIXn of the coordinates and of all alternates (A-Z) are shifted. The coefficients of SIP count
  from CRPIX and those of TPV, TNX and ZPX from the tangent point, so that they stay as they are.
- LTVn (IRAF's offset from physical to logical pixels) and CNPIXn (DSS) are shifted.
- Left out is what would be untrue: CHECKSUM, DATASUM and their like; DATAMIN, DATAMAX; and sections
  in pixels of the whole image (DATASEC, TRIMSEC, CCDSEC ...), since software would cut by them
  again.
- Where only every n-th plane of a Stokes axis is kept, its CDELT or column of CD or PC is n times
  as large.
- Added is where the cutout comes from: CUTID, CUTDATE and CUTBY in the first HDU, and what was
  asked for (CUTSTEN, CUTBAND, CUTTIME, CUTPOL); CUTHDU and CUTSEC in each that was cut.

All other cards are kept as the file has them, to the letter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from importlib import metadata

from soda.origin import origin_cards
from soda.plan import Section
from soda.selection import Interval, Selection
from soda.steps import changed_card, stepped_cards
from vodal.fits.bareprimary import is_of_pixels
from vodal.fits.headers import text_cards, value_card
from vodal.fits.index import HduIndex
from vodal.regions import shape_text

__all__ = ["Provenance", "cut_cards", "moved_cards", "primary_cards", "rowless_cards"]

_STRUCTURE = re.compile(
    r"(SIMPLE|XTENSION|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|EXTEND|GROUPS|BLOCKED|END)$"
)
_STALE = re.compile(
    r"(CHECKSUM|DATASUM|ZHECKSUM|ZDATASUM|DATAMIN|DATAMAX|CUT(ID|STEN|BAND|TIME|POL|DATE|BY|HDU|SEC))$"
)
_SECTION_KEYWORD = re.compile(r"[A-Z]+SEC[A-Z0-9]{0,2}$")
_SECTION_VALUE = re.compile(r"'\s*\[\s*\d+\s*:\s*\d+\s*,\s*\d+\s*:\s*\d+\s*\]")
_SHIFTED = re.compile(r"(CRPIX|LTV|CNPIX)(\d{1,2})([A-Z]?)$")
_COORDINATE = re.compile(r"(CRPIX|CTYPE|CRVAL|CDELT|CUNIT)(\d{1,2})([A-Z]?)$")
_AXES = re.compile(r"WCSAXES([A-Z ]) *= *(\d+)")
_STARTS = {"CR", "LT", "CN", "CT", "CD", "CU", "WC"}
"""With what the keywords of the three above begin."""
_LINEAR = re.compile(r"(LTM\d_\d|LTV\d) *=")


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a cutout comes from."""

    did: str
    """The dataset; empty for a plain file."""
    selection: Selection
    """What was asked for."""
    date: str
    """UTC, ISO 8601."""
    maker: str
    """Name and version of the software."""

    @classmethod
    def now(cls, did: str, selection: Selection) -> Provenance:
        """Give that of what is made now by this software."""
        date = datetime.now(UTC).isoformat(timespec="seconds").removesuffix("+00:00")
        return cls(did, selection, date, _maker())

    def cards(self) -> list[str]:
        """Give the cards for the first HDU."""
        cards = []
        if self.did:
            cards += text_cards("CUTID", self.did, "dataset that this was cut from")
        asked = self.selection
        if asked.stencil is not None:
            cards += text_cards("CUTSTEN", shape_text(asked.stencil), "stencil of the cutout")
        if asked.band_m is not None:
            cards += text_cards("CUTBAND", _interval_text(asked.band_m), "[m] wavelengths")
        if asked.time_mjd is not None:
            cards += text_cards("CUTTIME", _interval_text(asked.time_mjd), "[d] MJD, UTC")
        if asked.pol:
            cards += text_cards("CUTPOL", " ".join(asked.pol), "polarization states")
        cards += text_cards("CUTDATE", self.date, "UTC when this was cut")
        return cards + text_cards("CUTBY", self.maker, "what made the cutout")


@lru_cache(maxsize=1)
def _maker() -> str:
    try:
        return f"Skylane {metadata.version('skylane')}"
    except metadata.PackageNotFoundError:
        return "Skylane"


def _interval_text(interval: Interval) -> str:
    return f"{interval.low!r} {interval.high!r}"


def _structure(
    hdu: HduIndex | None, shape: Sequence[int], *, primary: bool, extend: bool
) -> list[str]:
    """Write the mandatory cards in their order."""
    if primary:
        cards = [value_card("SIMPLE", "T", "conforms to FITS standard")]
    else:
        cards = text_cards("XTENSION", "IMAGE", "image extension")
    bitpix = hdu.bitpix if hdu is not None else 8
    cards.append(value_card("BITPIX", str(bitpix), "bits of a value; negative for floats"))
    cards.append(value_card("NAXIS", str(len(shape)), "number of axes"))
    for axis, size in enumerate(reversed(shape), 1):
        cards.append(value_card(f"NAXIS{axis}", str(size)))
    if not primary:
        cards += [value_card("PCOUNT", "0"), value_card("GCOUNT", "1")]
    elif extend:
        cards.append(value_card("EXTEND", "T", "there are extensions"))
    return cards


def _split(hdu: HduIndex) -> list[str]:
    """Give the 80-character cards of an image."""
    cards = hdu.cards
    if hdu.kind == "compressed":
        cards = hdu.image_header.tostring(sep="", endcard=False, padding=False)
    return _cards(cards)


def _cards(text: str) -> list[str]:
    return [text[start : start + 80].ljust(80) for start in range(0, len(text), 80)]


def _kept(cards: Iterable[str]) -> list[str]:
    """Leave out structure and what is stale, with the CONTINUE cards of what is left out."""
    kept: list[str] = []
    dropped = False
    for card in cards:
        keyword = card[:8].rstrip()
        if keyword == "CONTINUE":
            if not dropped:
                kept.append(card)
            continue
        section = _SECTION_KEYWORD.match(keyword) and _SECTION_VALUE.match(card[10:].lstrip())
        dropped = bool(_STRUCTURE.match(keyword) or _STALE.match(keyword) or section)
        if not dropped:
            kept.append(card)
    while kept and not kept[-1].strip():
        kept.pop()
    return kept


def _kept_of(hdu: HduIndex) -> list[str]:
    """Give the cards of an image that a cutout keeps; not to be changed."""
    kept: list[str] | None = hdu.derived.get("kept cards")
    if kept is None:
        text = hdu.image_values.text() if hdu.kind == "compressed" else hdu.cards
        kept = hdu.derived["kept cards"] = _kept(_cards(text))
    return kept


def primary_cards(hdu: HduIndex, provenance: Provenance) -> list[str]:
    """Write a primary header without data, with the cards of the file's own."""
    kept = _kept_of(hdu)
    if hdu.shape:
        # Its own image is not part of the cutout, nor are the coordinates of that.
        kept = [card for card in kept if not is_of_pixels(card[:8].rstrip())]
    return [*_structure(None, (), primary=True, extend=True), *kept, *provenance.cards()]


def cut_cards(
    hdu: HduIndex,
    section: Section,
    provenance: Provenance | None,
    *,
    primary: bool,
    extend: bool = False,
    header_only: bool = False,
    inherit: bool = False,
) -> list[str]:
    """Write the header of a section.

    Parameters
    ----------
    hdu
        The image that was cut.
    section
        What was cut.
    provenance
        Written if given.
    primary
        Whether it becomes the primary HDU.
    extend
        Whether extensions follow (of a primary).
    header_only
        Whether no data follow: the last NAXISn is 0 then (FITS 4.0 section 4.4.1.1), and CUTSEC
        tells its size.
    inherit
        Whether CUTHDU and CUTSEC are of the original of an image that is a cutout itself.
    """
    cards = _shifted(_kept_of(hdu), section.shift)
    if max(section.steps, default=1) > 1:
        nowhere = (0,) * len(section.steps)
        cards = _with_references(cards, nowhere, [step > 1 for step in section.steps])
    for axis, step in enumerate(section.steps, 1):
        if step > 1:
            cards = stepped_cards(cards, axis, step)
    own = origin_cards(hdu, section, inherit=inherit)
    shape = (0, *section.shape[1:]) if header_only else section.shape
    return [
        *_structure(hdu, shape, primary=primary, extend=extend),
        *cards,
        *([] if provenance is None else provenance.cards()),
        *own,
    ]


def _shifted(cards: list[str], shift: tuple[int, ...]) -> list[str]:
    """Move what counts pixels by what was cut off."""
    if not any(shift):
        return cards
    found: set[str] = set()
    out = []
    for card in cards:
        if card[:2] in _STARTS:
            match = _SHIFTED.match(card[:8].rstrip())
            if match is not None and card[8:10] == "= ":
                name, axis = match[1], int(match[2])
                if 1 <= axis <= len(shift) and shift[axis - 1]:
                    sign = 1 if name == "CNPIX" else -1
                    card = _moved(card, sign * shift[axis - 1])  # noqa: PLW2901
                    found.add(name)
        out.append(card)
    out = _with_references(out, shift, [cut > 0 for cut in shift])
    if "LTV" not in found and not _has_linear_terms(out):
        # The pixels of the original are IRAF's and DS9's physical coordinates.
        for axis, cut in enumerate(shift, 1):
            out.append(value_card(f"LTV{axis}", repr(0.0 - cut)))
            out.append(value_card(f"LTM{axis}_{axis}", "1.0"))
    return out


def _with_references(
    cards: Sequence[str], shift: tuple[int, ...], chosen: Sequence[bool]
) -> list[str]:
    """Write the reference pixels that are not given for the axes that are chosen.

    Such a one is 0 (FITS paper I, table 1) in the original; also along an axis of which nothing is
    told, whose coordinate is the number of the pixel.
    """
    given: set[tuple[int, str]] = set()
    described: dict[str, dict[int, int]] = {}
    axes: dict[str, int] = {}
    for place, card in enumerate(cards, 1):
        if card[:2] not in _STARTS:
            continue
        match = _COORDINATE.match(card[:8].rstrip())
        if match is not None and match[1] == "CRPIX":
            given.add((int(match[2]), match[3]))
        elif match is not None:
            described.setdefault(match[3], {})[int(match[2])] = place
        count = _AXES.match(card)
        if count is not None:
            axes[count[1].strip()] = int(count[2])
    missing = sorted(
        (places.get(axis, max(places.values())), axis, alternate)
        for alternate, places in described.items()
        for axis, wanted in enumerate(chosen[: axes.get(alternate)], 1)
        if wanted and (axis, alternate) not in given
    )
    out = list(cards)
    for place, axis, alternate in reversed(missing):
        out.insert(place, value_card(f"CRPIX{axis}{alternate}", repr(0.0 - shift[axis - 1])))
    return out


def moved_cards(hdu: HduIndex, shift: tuple[int, int]) -> list[str]:
    """Write the header of a table of distortions whose places move down with the cut.

    Parameters
    ----------
    hdu
        Of the table, an extension; its header is kept but for stale checksums.
    shift
        Pixels by which CRVAL1 and CRVAL2 move.
    """
    moves = {f"CRVAL{axis}": by for axis, by in enumerate(shift, 1)}
    cards = []
    for card in _split(hdu):
        keyword = card[:8].rstrip()
        if _STALE.match(keyword):
            continue
        by = moves.pop(keyword, 0)
        cards.append(_moved(card, -by) if by else card)
    cards += [value_card(keyword, repr(0.0 - by)) for keyword, by in moves.items() if by]
    return cards


def rowless_cards(cards: Sequence[str]) -> list[str]:
    """Write the header of a table for an HDU without its rows."""
    return [
        value_card(card[:8].rstrip(), "0") if card[:8].rstrip() in {"NAXIS2", "PCOUNT"} else card
        for card in cards
        if not card.startswith("THEAP ")
    ]


def _has_linear_terms(cards: list[str]) -> bool:
    return any(card[:2] == "LT" and _LINEAR.match(card[:9]) for card in cards)


def _moved(card: str, by: int) -> str:
    """Add to the number of a card."""
    return changed_card(card, lambda value: value + by)
