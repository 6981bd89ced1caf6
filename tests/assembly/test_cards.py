"""Values and comments of a product's cards are those that astropy's headers give."""

from __future__ import annotations

import math

from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from obscore.assembly.context import Cards
from vodal.fits.cards import repair_cards
from vodal.fits.quiet import quiet
from vodal.fits.values import HeaderValues

KEYWORDS = ["OBJECT", "EXPTIME", "HIERARCH ESO OBS ID", "HIERARCH FPA.OBJECT"]
ASKED = [*KEYWORDS, "ESO OBS ID", "FPA.OBJECT", "exptime", "COMMENT", "EXP*", "ABSENT"]
VALUES = [
    "'M 31'",
    "'a''b / c'",
    "'unknown'",
    "''",
    "12",
    "-4.5E3",
    "1D2",
    "T",
    "",
    "NaN",
    "(1, 2)",
]
LINES = st.builds(
    lambda keyword, value, comment: f"{keyword:<8}= {value} {comment}"[:80].ljust(80),
    st.sampled_from(KEYWORDS),
    st.sampled_from(VALUES),
    st.sampled_from(["", "/ [s] exposure", "/it's / so", "/", "no slash"]),
)


def by_astropy(headers: list[fits.Header], keyword: str) -> tuple[object, str] | None:
    for header in headers:
        if keyword not in header:
            continue
        value = header[keyword]
        if isinstance(value, str):
            value = value.strip()
            usable = value.lower() not in {"", "unknown", "nan"}
        else:
            usable = isinstance(value, int | float) and math.isfinite(value)
        if usable:
            return value, header.comments[keyword]
    return None


@settings(max_examples=300, deadline=None)
@given(st.lists(LINES, max_size=5), st.lists(LINES, max_size=3), st.sampled_from(ASKED))
def test_cards_are_those_of_astropy(own: list[str], primary: list[str], keyword: str) -> None:
    texts = ["".join(repair_cards(lines)) for lines in (own, primary)]
    with quiet():
        headers = [fits.Header.fromstring(text) for text in texts]
        cards = Cards([HeaderValues.of(text) for text in texts])
        found, expected = cards.card(keyword), by_astropy(headers, keyword)
    assert repr(found) == repr(expected)
