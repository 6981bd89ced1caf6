"""What the steps of the assembly line see of a product."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from astropy.io.fits import Card
from typing_extensions import override

from obscore.assembly.trace import MAPPING, Look, Trace
from obscore.mapping.values import as_number
from obscore.observation import Value
from obscore.sources.base import Candidate, Facts, Part
from vodal.fits.footprint import Footprint
from vodal.fits.index import FileIndex, HduIndex
from vodal.fits.planes import PlaneGroup
from vodal.fits.values import HeaderValues

if TYPE_CHECKING:
    from astropy.wcs import WCS

    from obscore.assembly.bands import BandTable
    from obscore.assembly.rules import Rules

__all__ = ["NO_CARDS", "Cards", "Context", "Subject", "Values"]

_UNTRACED = nullcontext()

Values = Mapping[str, Value]
"""What a step gives: columns by name."""

_MISSING = {
    "", "unknown", "_unknown_", "<unknown>", "none", "null", "n/a", "na", "nan", "undefined",
    "undef", "not set", "not available", "tbd", "-", "--", "?",
}  # fmt: skip


class Cards:
    """The headers of a product: that of its image, then the primary header.

    Parameters
    ----------
    headers
        In the order of preference.
    hdus
        Numbers of their HDUs, for the trace.
    trace
        Where looks are written down, for an explanation.
    """

    def __init__(
        self,
        headers: Sequence[HeaderValues],
        hdus: Sequence[int] = (),
        trace: Trace | None = None,
    ) -> None:
        self._headers = tuple(headers)
        self._hdus, self._trace = hdus, trace
        self._keywords = frozenset().union(*(header.keywords for header in self._headers))

    def card(self, *keywords: str) -> tuple[str | int | float | bool, str] | None:
        """Give value and comment of the first of the keywords that has a value.

        A keyword is looked up in all headers before the next one is tried. Texts are stripped;
        an empty text, a word like ``unknown`` and a number that is not finite count as no value.
        """
        names = _standards(keywords)
        # Most keywords that are asked for are in no header.
        if self._trace is None and self._keywords.isdisjoint(names):
            return None
        for keyword in names:
            headers = self._headers if keyword in self._keywords else ()
            for number, header in enumerate(headers):
                value = _value(header, keyword)
                if value is not None:
                    comment = header.comment(keyword)
                    if self._trace is not None:
                        where = f"HDU {self._hdus[number]}"
                        self._trace.found(Look(keyword, where, value, comment))
                    return value, comment
            if self._trace is not None:
                self._trace.missed(keyword)
        return None

    def text(self, *keywords: str) -> str | None:
        """Give the first value, as text."""
        found = self.card(*keywords)
        if found is None:
            return None
        value = found[0]
        return " ".join(str(value).split()) if isinstance(value, str) else str(value)

    def number(self, *keywords: str) -> float | None:
        """Give the first value that is a number, or a text that is one."""
        for keyword in keywords:
            found = self.card(keyword)
            number = None if found is None else as_number(found[0])
            if number is not None:
                return number
        return None

    def comment(self, keyword: str) -> str:
        """Give the comment of a keyword that has a value."""
        found = self.card(keyword)
        return "" if found is None else found[1]


@lru_cache(maxsize=1 << 12)
def _standards(keywords: tuple[str, ...]) -> tuple[str, ...]:
    """Write keywords as headers have them: in upper case, without HIERARCH."""
    return tuple(str(Card.normalize_keyword(keyword)) for keyword in keywords)


def _value(header: HeaderValues, keyword: str) -> str | int | float | bool | None:
    value = header.get(keyword)
    if isinstance(value, str):
        return None if value.strip().lower() in _MISSING else value.strip()
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return None


NO_CARDS = Cards(())
"""Of a file that is not opened."""

_WHOLE = Part()


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A product on its way to a row, as the mapping sees it."""

    candidate: Candidate
    rules: Rules
    bands: BandTable
    part: Part = _WHOLE
    """What the source tells of the product alone."""
    cards: Cards = NO_CARDS
    given: Mapping[str, Value] = field(default_factory=dict)
    """Columns that the mapping has set; steps build on them."""
    notes: list[str] = field(default_factory=list)
    """Where it is said what is odd."""
    trace: Trace | None = None
    """Where it is written down what gave each value, for an explanation."""

    @property
    def label(self) -> str:
        """What tells it from the file's others; may be empty where it is the only one."""
        return self.part.hdu

    @cached_property
    def facts(self) -> Facts:
        """What the source tells of the product."""
        if not self.part.facts:
            return self.candidate.facts
        return {**self.candidate.facts, **self.part.facts}

    def note(self, text: str) -> None:
        """Say something about the product in the report."""
        if text not in self.notes:
            self.notes.append(text)

    def of(self, *columns: str) -> AbstractContextManager[None]:
        """Say of which columns the cards are that are looked at within the block."""
        return _UNTRACED if self.trace is None else self.trace.of(*columns)

    def used(self, *keywords: str, how: str = "", also: bool = False) -> None:
        """Say which of the cards that were looked at give the columns' value; without any: none.

        Parameters
        ----------
        keywords
            Their names; by default all that were found do.
        how
            What the value is, or how it is made, in a few words.
        also
            Whether those said before do too.
        """
        if self.trace is not None:
            self.trace.used(keywords, how, also=also)

    def say(self, how: str) -> None:
        """Say how the columns' value is made of the cards that were looked at."""
        if self.trace is not None:
            self.trace.say(how)

    def given_number(self, column: str) -> float | None:
        """Give a number that the mapping has set."""
        return as_number(self._given(column))

    def given_text(self, column: str) -> str | None:
        """Give a text that the mapping has set."""
        value = self._given(column)
        return value if isinstance(value, str) else None

    def _given(self, column: str) -> Value:
        value = self.given.get(column)
        if value is not None and self.trace is not None:
            self.trace.found(Look(column, MAPPING, value))
        return value


@dataclass(frozen=True, kw_only=True)
class Context(Subject):
    """A product that was read."""

    index: FileIndex
    group: PlaneGroup
    several: bool
    """Whether the file holds more products."""
    sky_axes: tuple[int, int]
    """The celestial axes, 0-based in FITS order, lower one first."""
    footprint: Footprint
    read_wcs: Callable[[], WCS]
    """Gives the coordinates; of many images nobody asks for them."""

    @cached_property
    def wcs(self) -> WCS:
        """The coordinates of all axes, as `vodal.fits.wcs.load_wcs` gives them."""
        return self.read_wcs()

    @property
    @override
    def label(self) -> str:
        return self.group.label

    @property
    def hdu(self) -> HduIndex:
        """The HDU of the image."""
        return self.index.hdus[self.group.hdus[0]]
