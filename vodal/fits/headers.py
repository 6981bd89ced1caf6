"""Header cards and blocks, written (FITS 4.0 sections 3.3 and 4)."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

__all__ = ["BLOCK_BYTES", "comment_cards", "header_block", "text_cards", "value_card"]

BLOCK_BYTES = 2880
"""Headers and data are filled up to a multiple of this."""


def value_card(keyword: str, value: str, comment: str = "") -> str:
    """Write a card.

    Parameters
    ----------
    keyword
        At most 8 characters.
    value
        As the card has it: ``T``, a number, a quoted text.
    comment
        Left out where it does not fit.
    """
    text = f"{keyword:<8}= {value:>20}"
    if comment and len(text) + 3 < 80:
        text = f"{text} / {comment}"
    return text[:80].ljust(80)


def text_cards(keyword: str, value: str, comment: str = "") -> list[str]:
    """Write a text, on CONTINUE cards as far as it is long (FITS 4.0 section 4.2.1.2)."""
    plain = "".join(c if " " <= c <= "~" else "?" for c in value)
    escaped = plain.replace("'", "''")
    if len(escaped) <= 68:
        quoted = f"'{escaped:<8}'"
        return [value_card(keyword, f"{quoted:<20}", comment)]
    parts = []
    while escaped:
        cut = 67
        # A doubled quote is one character and stays together.
        while escaped[:cut].count("'") % 2 and cut < len(escaped):
            cut -= 1
        parts.append(escaped[:cut])
        escaped = escaped[cut:]
    cards = []
    for number, part in enumerate(parts):
        more = "&" if number + 1 < len(parts) else ""
        start = f"{keyword:<8}= " if number == 0 else "CONTINUE  "
        cards.append(f"{start}'{part}{more}'".ljust(80))
    return cards


def comment_cards(keyword: str, text: str) -> list[str]:
    """Write a text on as many COMMENT or HISTORY cards as it needs."""
    plain = "".join(c if " " <= c <= "~" else " " if c.isspace() else "?" for c in text)
    return [f"{keyword:<8}{line}".ljust(80) for line in wrap(plain, 72)]


def header_block(cards: Sequence[str]) -> bytes:
    """Join cards to blocks of BLOCK_BYTES bytes, with END."""
    text = "".join(cards) + "END".ljust(80)
    data = text.encode("ascii", "replace")
    return data + b" " * (-len(data) % BLOCK_BYTES)
