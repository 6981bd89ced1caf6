"""The values of header cards, read one by one as they are asked for.

`astropy.io.fits.Header` asks astropy's configuration at each look and takes apart each card that it
writes, some 20 us a time. Plain cards of the standard (FITS 4.0 section 4.2) are read here in one;
any other card (CONTINUE, HIERARCH, quotes in texts, records of FITS paper IV, complex numbers, what
is not standard) is left to `astropy.io.fits.Card`, so that all values are astropy's. astropy is
imported with the first of those, as servers and commands that look into no file start sooner.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, KeysView, Mapping
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from typing_extensions import override

if TYPE_CHECKING:
    from astropy.io import fits

__all__ = ["HeaderValues", "comment_of", "keyword_of", "split_cards", "value_of"]

_LENGTH = 80
_PLAIN = re.compile(
    r"([A-Z0-9_-]+) *(?<=^.{8})= +"
    r"(?:'([ -&(-~]+)'|([+-]?\d+)|([+-]?(?:\d+\.?\d*|\.\d+)(?:[ED][+-]?\d+)?)|([TF]))?"
    r" *(?:/([ -~]*))?$"
)
"""Keyword; then one of text, whole number, number and logical, or none of these; then comment."""
_KEYWORD = re.compile(r"[A-Z0-9_-]+ *$")
_REMARKS = ("COMMENT", "HISTORY", "")
_BEGINNINGS: dict[str, str] = {}
"""Keywords of cards that have no colon, by keyword and value indicator."""
_MOST_BEGINNINGS = 1 << 14
_HIERARCH = re.compile(r"HIERARCH ([A-Z0-9_-][A-Z0-9 _-]*)=")


def split_cards(text: str) -> list[str]:
    """Take a header apart.

    Parameters
    ----------
    text
        80-character cards without END, joined.

    Returns
    -------
    list of str
        Its cards, each with the CONTINUE cards that follow it.
    """
    cards = [text[start : start + _LENGTH] for start in range(0, len(text), _LENGTH)]
    if "CONTINUE" not in text:
        return cards
    joined: list[str] = []
    for card in cards:
        if joined and card.startswith("CONTINUE"):
            joined[-1] += card
        else:
            joined.append(card)
    return joined


class HeaderValues(Mapping[str, Any]):
    """A header by its keywords, of which the first card counts; without COMMENT and HISTORY.

    Parameters
    ----------
    cards
        As `split_cards` gives them.
    """

    def __init__(self, cards: Iterable[str]) -> None:
        # Most cards begin as others did that were read before.
        self.cards = tuple([
            ((": " not in card and _BEGINNINGS.get(card[:10])) or keyword_of(card), card)
            for card in cards
        ])  # fmt: skip
        """Keywords and cards in their order, with COMMENT, HISTORY and blank ones."""
        self._known: dict[str, Any] = {}

    @classmethod
    def of(cls, text: str) -> HeaderValues:
        """Read 80-character cards without END, joined."""
        return cls(split_cards(text))

    @cached_property
    def _first(self) -> dict[str, str]:
        first = dict(reversed(self.cards))
        for keyword in _REMARKS:
            first.pop(keyword, None)
        return first

    @override
    def __getitem__(self, keyword: str) -> Any:
        if keyword not in self._known:
            if keyword not in self._first:
                raise KeyError(f"Keyword {keyword!r} not found.")
            self._known[keyword] = value_of(self._first[keyword])
        return self._known[keyword]

    @override
    def get(self, keyword: str, default: Any = None) -> Any:
        return self[keyword] if keyword in self._first else default

    @override
    def __contains__(self, keyword: object) -> bool:
        return keyword in self._first

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(keyword for keyword, _ in self.cards if keyword in self._first))

    @override
    def __len__(self) -> int:
        return len(self._first)

    @property
    def keywords(self) -> KeysView[str]:
        """All keywords, in no order; quicker to look into than the header itself."""
        return self._first.keys()

    def card(self, keyword: str) -> str | None:
        """Give the card of a keyword as it is; None if there is none."""
        return self._first.get(keyword)

    def comment(self, keyword: str) -> str:
        """Give the comment of a keyword; empty if it has none."""
        return comment_of(self._first[keyword]) if keyword in self._first else ""

    def chosen(self, wanted: Callable[[str, str], object]) -> HeaderValues:
        """Give some of the cards.

        Parameters
        ----------
        wanted
            Judges keyword and card.
        """
        part = HeaderValues(())
        part.cards = tuple([one for one in self.cards if wanted(*one)])
        return part

    def text(self) -> str:
        """Write all cards as astropy does: what is not standard is put right if it can be."""
        return "".join(
            card
            if (keyword in _REMARKS and len(card) == _LENGTH) or _plain(card)
            else str(_card(card))
            for keyword, card in self.cards
        )

    def header(self) -> fits.Header:
        """Make a header of the cards."""
        return _header(card for _, card in self.cards)


def _plain(card: str) -> re.Match[str] | None:
    """Take a card apart if it is one that can be read here."""
    match = _PLAIN.match(card) if len(card) == _LENGTH else None
    # A text with a colon may be a record, whose field is part of the keyword.
    return None if match is None or (match[2] is not None and ": " in match[2]) else match


def keyword_of(card: str) -> str:
    """Give the keyword of a card, of HIERARCH without this word, as astropy has it."""
    if card[8:10] == "= " and ": " not in card:
        keyword = _standard_keyword(card[:8])
        if keyword:
            if len(_BEGINNINGS) < _MOST_BEGINNINGS:
                _BEGINNINGS[card[:10]] = keyword
            return keyword
    remark = card[:8].rstrip()
    if remark in _REMARKS:
        return remark
    match = _plain(card) or _HIERARCH.match(card)
    if match is not None and not match[1].startswith("HIERARCH"):
        return match[1].rstrip()
    made = _card(card)
    return str(made.normalize_keyword(made.keyword))


@lru_cache(maxsize=1 << 14)
def _standard_keyword(field: str) -> str:
    """Give the keyword in the first 8 characters of a card, or nothing if it is not standard."""
    return field.rstrip() if _KEYWORD.match(field) and field != "HIERARCH" else ""


def comment_of(card: str) -> str:
    """Give the comment of a card, with those of its CONTINUE cards."""
    match = _plain(card)
    if match is None:
        return str(_header([card]).comments[0])
    return (match[6] or "").strip(" ")


def value_of(card: str) -> Any:
    """Give the value of a card, with its CONTINUE cards; None if it has none."""
    match = _plain(card)
    if match is None:
        return _by_astropy(card)
    text, whole, number, logical = match.group(2, 3, 4, 5)
    if text is not None:
        return text.rstrip()
    if whole is not None:
        return int(whole)
    if number is not None:
        return float(number.replace("D", "E"))
    return None if logical is None else logical == "T"


def _by_astropy(card: str) -> Any:
    return _header([card])[0]


def _card(text: str) -> fits.Card:
    from astropy.io import fits  # noqa: PLC0415 - see above

    return fits.Card.fromstring(text)


def _header(cards: Iterable[str]) -> fits.Header:
    from astropy.io import fits  # noqa: PLC0415 - see above

    return fits.Header([fits.Card.fromstring(card) for card in cards])
