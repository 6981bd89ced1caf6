"""Header cards: a light reading of the structural keywords, and the repair of broken cards.

The walker over a file (`vodal.fits.scan`) needs a dozen integers of each header, so it reads them
here without building an `astropy.io.fits.Header`. What it stores must never raise later, so a card
that astropy cannot parse is turned into a COMMENT card that keeps its text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from astropy.io import fits

from vodal.errors import DataError
from vodal.fits.quiet import quiet, strict

__all__ = ["CARD_LENGTH", "Keywords", "clean_text", "repair_cards"]

CARD_LENGTH = 80

# FITS 4.0 section 3.2 allows bytes 32 to 126 only. Control bytes become blanks; others (Latin-1
# and UTF-8 of observers' names) become question marks, so that lengths stay as they are.
_PRINTABLE = bytes(
    byte if 32 <= byte < 127 else ord(" ") if byte < 32 or byte == 127 else ord("?")
    for byte in range(256)
)

_STRING = re.compile(r"'((?:[^']|'')*)'")
_INTEGER = re.compile(r"[+-]?\d{1,30}$")

_SOUND = re.compile(
    r"(?:(?:COMMENT |HISTORY | {8}).{72}"
    r"|(?:[A-Z0-9_-]+ *(?<=^.{8})|HIERARCH (?!CO|HI|END)[A-Z0-9_-]+(?:[ .][A-Z0-9_-]+)* +)= +"
    r"(?:'(?:[^']|'')*'|[TF]|[+-]?\d+(?:\.\d*)?(?:[ED][+-]?\d+)?|[+-]?\.\d+(?:[ED][+-]?\d+)?)?"
    r" *(?:/.*)?)$"
)
"""A card that astropy surely parses; the rest is asked about one by one."""


def clean_text(block: bytes) -> str:
    """Decode header bytes as printable ASCII of the same length."""
    return block.translate(_PRINTABLE).decode("ascii")


class Keywords:
    """The first card of each keyword of a header, its value parsed when asked for.

    Parameters
    ----------
    cards
        80-character cards without END.
    place
        How errors name the header, such as ``HDU 1``.
    """

    def __init__(self, cards: list[str], place: str) -> None:
        self.place = place
        self._cards: Mapping[str, str] = {
            card[:8]: card for card in reversed(cards) if card[8:9] == "="
        }

    def __contains__(self, keyword: str) -> bool:
        return f"{keyword:<8}" in self._cards

    def _text(self, keyword: str) -> str:
        """Give what follows the value indicator; nothing where there is no card."""
        return self._cards.get(f"{keyword:<8}", "")[9:]

    def string(self, keyword: str, default: str = "") -> str:
        """Give a string value without trailing blanks, or the default if it is no string."""
        match = _STRING.match(self._text(keyword).lstrip())
        return match.group(1).replace("''", "'").rstrip() if match else default

    def logical(self, keyword: str) -> bool:
        """Tell whether a keyword has the value T."""
        return self._text(keyword).split("/", 1)[0].strip() == "T"

    def integer(self, keyword: str, default: int | None = None) -> int:
        """Give a whole number.

        Raises
        ------
        DataError
            If it is missing without a default, or no whole number.
        """
        if keyword not in self:
            if default is None:
                raise DataError(f"{self.place} has no {keyword} card")
            return default
        value = self._text(keyword).split("/", 1)[0].strip()
        if not _INTEGER.match(value):
            raise DataError(f"{self.place}: {keyword} is '{value[:40]}', not a whole number")
        return int(value)

    def real(self, keyword: str, default: float) -> float:
        """Give a number, or the default if there is none.

        Raises
        ------
        DataError
            If the value is no number.
        """
        text = self._text(keyword).split("/", 1)[0].strip()
        if not text:
            return default
        try:
            return float(text.upper().replace("D", "E"))
        except ValueError:
            raise DataError(f"{self.place}: {keyword} is '{text[:40]}', not a number") from None

    def size(self, keyword: str, default: int | None = None) -> int:
        """Give a whole number that is not negative.

        Raises
        ------
        DataError
            As `integer`, or if it is negative.
        """
        value = self.integer(keyword, default)
        if value < 0:
            raise DataError(f"{self.place}: {keyword} is negative ({value})")
        return value


def repair_cards(cards: list[str]) -> list[str]:
    """Replace cards that astropy cannot parse without complaint.

    A card that can be written in standard form is; another becomes a COMMENT card that holds its
    text. A card with its CONTINUE cards is judged as one.

    Parameters
    ----------
    cards
        80-character cards without END.

    Returns
    -------
    list of str
        80-character cards; those that were sound are the same strings.
    """
    if "CONTINUE" not in "".join(cards) and all(map(_SOUND.match, cards)):
        return cards
    repaired: list[str] = []
    start = 0
    while start < len(cards):
        end = start + 1
        while end < len(cards) and cards[end].startswith("CONTINUE"):
            end += 1
        if end == start + 1 and _SOUND.match(cards[start]):
            repaired.append(cards[start])
        else:
            repaired.extend(_repair(cards[start:end]))
        start = end
    return repaired


def _repair(cards: list[str]) -> list[str]:
    image = "".join(cards)
    if _parses(image):
        return cards
    with quiet():
        try:
            card = fits.Card.fromstring(image)
            card.verify("silentfix")
            fixed = str(card)
        except Exception:  # noqa: BLE001 - astropy raises ValueError, TypeError, VerifyError ...
            fixed = ""
    if fixed and len(fixed) % CARD_LENGTH == 0 and _parses(fixed):
        return [fixed[k : k + CARD_LENGTH] for k in range(0, len(fixed), CARD_LENGTH)]
    return [f"COMMENT {card}"[:CARD_LENGTH] for card in cards]


def _parses(image: str) -> bool:
    """Tell whether astropy parses a card and writes it again without error or warning."""
    with strict():
        try:
            header = fits.Header.fromstring(image)
            if len(header.cards) != 1:
                return False
            card = header.cards[0]
            _ = card.keyword, card.value, card.comment
            return str(header.cards[0]) != "" and header.tostring(endcard=False) != ""
        except Exception:  # noqa: BLE001 - whatever it is, the card would raise it later
            return False
