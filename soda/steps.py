"""Headers of images of which only every n-th pixel of an axis is kept.

A pixel p of what is kept was pixel 1 + n (p - 1), counted from the first that is kept, so that
CRPIX becomes 1 + (CRPIX - 1) / n and each coordinate moves n times as far from pixel to pixel.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from vodal.fits.headers import value_card

__all__ = ["changed_card", "stepped_cards"]

_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[EeDd][+-]?\d+)?)\s*(/.*)?$")


def stepped_cards(cards: list[str], axis: int, step: int) -> list[str]:
    """Put right what counts pixels along an axis.

    Parameters
    ----------
    cards
        Of the image that starts with the first pixel that is kept.
    axis
        1-based.
    step
        From each pixel that is kept to the next.
    """
    out = list(cards)
    for alternate in sorted(_alternates(cards, axis)):
        out = _scaled_coordinates(out, axis, alternate, step)
    return [_moved(card, axis, step) for card in out]


def _alternates(cards: list[str], axis: int) -> set[str]:
    found = (re.match(rf"(?:CTYPE|CRVAL|CDELT|CRPIX){axis}([A-Z]?) *=", card) for card in cards)
    return {match[1] for match in found if match}


def _scaled_coordinates(cards: list[str], axis: int, alternate: str, step: int) -> list[str]:
    """Multiply the axis' column of the matrix; CDELT where the header has no matrix."""
    column = re.compile(rf"(?:CD|PC)\d+_{axis}{alternate}$")
    matrix = re.compile(rf"(CD|PC)\d+_\d+{alternate}$")
    kinds = {match[1] for card in cards if (match := matrix.match(card[:8].rstrip()))}
    if not kinds:
        scale = f"CDELT{axis}{alternate}"
        if not any(card[:8].rstrip() == scale for card in cards):
            return [*cards, value_card(scale, repr(float(step)))]
        return [_times(card, step) if card[:8].rstrip() == scale else card for card in cards]
    out = [_times(card, step) if column.match(card[:8].rstrip()) else card for card in cards]
    diagonal = f"{min(kinds)}{axis}_{axis}{alternate}"
    if kinds == {"PC"} and not any(card[:8].rstrip() == diagonal for card in out):
        # A PC that is not given is that of the unit matrix (FITS paper I section 2.1.2).
        out.append(value_card(diagonal, repr(float(step))))
    return out


def _moved(card: str, axis: int, step: int) -> str:
    keyword = card[:8].rstrip()
    if re.match(rf"CRPIX{axis}[A-Z]?$", keyword):
        return changed_card(card, lambda value: 1.0 + (value - 1.0) / step)
    if keyword == f"LTV{axis}":
        return changed_card(card, lambda value: 1.0 + (value - 1.0) / step)
    if keyword == f"LTM{axis}_{axis}":
        return changed_card(card, lambda value: value / step)
    return card


def _times(card: str, step: int) -> str:
    return changed_card(card, lambda value: value * step)


def changed_card(card: str, change: Callable[[float], float]) -> str:
    """Change the number of a card; what is no number stays as it is."""
    match = _NUMBER.match(card[10:])
    if match is None:
        return card
    value = change(float(match[1].upper().replace("D", "E")))
    comment = (match[2] or "").removeprefix("/").strip()
    return value_card(card[:8].rstrip(), repr(value).upper(), comment)
