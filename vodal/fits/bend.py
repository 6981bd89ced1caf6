"""Distortions that are polynomials of two coordinates: SIP, and TPV without its radial terms."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Bend", "sip_bend", "tpv_bend"]

Floats = NDArray[np.float64]

_SIP = re.compile(r"([AB])_(\d)_(\d)$")
_HIGHEST_ORDER = 9
_RADIAL = {3, 11, 23, 39}
_CD = ("CD1_1", "CD1_2", "CD2_1", "CD2_2")
_NUMBERS = (number for number in range(40) if number not in _RADIAL)
_POWERS = ((order - j, j) for order in range(8) for j in range(order + 1))
_TERMS = dict(zip(_NUMBERS, _POWERS, strict=True))
"""The powers of the axis's own coordinate and of the other one, by the number of TPV's term."""


@dataclass(frozen=True, slots=True)
class Bend:
    """How far two coordinates are moved: coefficients by the powers of the first and the second."""

    first: Floats
    second: Floats

    def applied(self, u: Floats, v: Floats) -> tuple[Floats, Floats]:
        """Move places, of shape (n,)."""
        along_u, along_v = _powers(u, len(self.first)), _powers(v, len(self.first))
        return (
            u + ((self.first @ along_v) * along_u).sum(axis=0),
            v + ((self.second @ along_v) * along_u).sum(axis=0),
        )

    @property
    def shift(self) -> float:
        """How far the origin is moved."""
        return math.hypot(float(self.first[0, 0]), float(self.second[0, 0]))

    def steepness(self, u: float, v: float) -> float:
        """Give a bound of the norm of the derivative, anywhere within so much of the origin."""
        power = np.arange(len(self.first))
        along_u, along_v = u**power, v**power
        by_u, by_v = (power * np.concatenate([[0.0], one[:-1]]) for one in (along_u, along_v))
        total = 0.0
        for one in (np.abs(self.first), np.abs(self.second)):
            total += float(by_u @ one @ along_v) ** 2 + float(along_u @ one @ by_v) ** 2
        return math.sqrt(total)


def _powers(values: Floats, count: int) -> Floats:
    """Give the powers 0, 1 ... of values, one a row."""
    powers = np.empty((count, len(values)))
    powers[0] = 1.0
    for at in range(1, count):
        np.multiply(powers[at - 1], values, out=powers[at])
    return powers


def sip_bend(cards: Mapping[str, Any]) -> Bend | None:
    """Give A and B of SIP, in pixels; terms beyond their order do not count.

    Parameters
    ----------
    cards
        By keyword; orders are whole and terms are numbers.

    Returns
    -------
    Bend or None
        None where astropy has to decide what the cards mean.
    """
    orders: dict[str, int] = {
        name: cards[f"{name}_ORDER"] for name in ("A", "B", "AP", "BP") if f"{name}_ORDER" in cards
    }
    if set(orders) not in ({"A", "B"}, {"A", "B", "AP", "BP"}):
        return None
    if not all(2 <= order <= _HIGHEST_ORDER for order in orders.values()):
        return None
    size = 1 + max(orders["A"], orders["B"])
    found = {"A": np.zeros((size, size)), "B": np.zeros((size, size))}
    for keyword, value in cards.items():
        term = _SIP.match(keyword)
        if term is not None and int(term[2]) + int(term[3]) <= orders[term[1]]:
            found[term[1]][int(term[2]), int(term[3])] = value
    return Bend(found["A"], found["B"])


def tpv_bend(cards: Mapping[str, Any]) -> Bend | None:
    """Give the polynomials of TPV less what they leave unmoved, in degrees.

    Parameters
    ----------
    cards
        By keyword; PV cards are numbers.

    Returns
    -------
    Bend or None
        None where radial terms, or missing ones that have defaults, are wcslib's to heed.
    """
    # Without a CD matrix wcslib (8.2) bends before CDELT scales.
    if not {"PV1_1", "PV2_1"} <= cards.keys() or not any(name in cards for name in _CD):
        return None
    terms: dict[tuple[int, int, int], float] = {(1, 1, 0): -1.0, (2, 0, 1): -1.0}
    for keyword, value in cards.items():
        if keyword.startswith("PV") and value:
            axis, number = int(keyword[2]), int(keyword[4:])
            if number not in _TERMS:
                return None
            own, other = _TERMS[number]
            place = (axis, own, other) if axis == 1 else (axis, other, own)
            terms[place] = terms.get(place, 0.0) + value
    size = 1 + max(i + j for _, i, j in terms)
    first, second = np.zeros((size, size)), np.zeros((size, size))
    for (axis, i, j), value in terms.items():
        (first if axis == 1 else second)[i, j] = value
    return Bend(first, second)
