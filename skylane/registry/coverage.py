"""Sky, times and energies of a record (VODataService 1.2 section 3.1)."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from obscore.coverage.documents import find_form, write_moc
from obscore.coverage.extents import Extent
from obscore.coverage.ranges import Ranges, finest_order, within
from vodal.constants import LIGHT_M_S, PLANCK_J_S

__all__ = ["coverage_element", "energies", "spatial_text", "wavebands"]

_MOC_BYTES: Final = 32_768
"""The standard asks for maps of a few dozen kB ..."""
_LEAST_ORDER: Final = 6
"""... and for this order at least, which goes before."""
_MOST_ORDER: Final = 9
"""Cells of 7 arcmin: beyond, the map of a survey that goes on would change with each image."""


_TIME_MARGIN_D: Final = 0.01
"""More than UTC and TDB at the solar system's barycentre differ by."""
_ENERGY_MARGIN: Final = 1e-4
"""More than is lost by writing five digits."""

_WAVEBANDS: Final = (
    ("Radio", 1e-2, math.inf),
    ("Millimeter", 1e-4, 1e-2),
    ("Infrared", 1e-6, 1e-4),
    ("Optical", 3e-7, 1e-6),
    ("UV", 1e-7, 3e-7),
    ("EUV", 1e-8, 1e-7),
    ("X-ray", 1e-11, 1e-8),
    ("Gamma-ray", 0.0, 1e-11),
)
"""Messengers of http://www.ivoa.net/rdf/messenger with their wavelengths in metres."""


def coverage_element(ranges: Ranges, extent: Extent, moc_url: str) -> Element | None:
    """Make the ``coverage`` element; None if nothing is known.

    Parameters
    ----------
    ranges
        Cells of order 29 (`obscore.coverage.ranges`); empty where nothing has a footprint.
    extent
        Times and wavelengths.
    moc_url
        Where the whole map is given.
    """
    element = Element("coverage")
    if len(ranges):
        SubElement(element, "spatial").text = spatial_text(ranges)
    if extent.time_mjd is not None:
        low, high = extent.time_mjd
        days = math.floor(low - _TIME_MARGIN_D), math.ceil(high + _TIME_MARGIN_D)
        SubElement(element, "temporal").text = f"{days[0]} {days[1]}"
    for low, high in energies(extent):
        SubElement(element, "spectral").text = f"{low:.5g} {high:.5g}"
    if len(ranges):
        footprint = SubElement(element, "footprint", {"ivo-id": "ivo://ivoa.net/std/moc"})
        footprint.text = moc_url
    for name in wavebands(extent):
        SubElement(element, "waveband").text = name
    return element if len(element) else None


def spatial_text(ranges: Ranges) -> str:
    """Give a map as text: as fine as its length allows, and holding all of the given one."""
    return _spatial_text(ranges.tobytes())


@lru_cache(maxsize=256)
def _spatial_text(packed: bytes) -> str:
    ranges = np.frombuffer(packed, np.uint64).reshape(-1, 2)
    form = find_form("ascii")
    assert form is not None
    order = min(_MOST_ORDER, max(_LEAST_ORDER, finest_order(ranges)))
    while True:
        text = " ".join(write_moc(within(ranges, order), form).decode().split())
        if len(text) <= _MOC_BYTES or order <= _LEAST_ORDER:
            return text
        order -= 1


def energies(extent: Extent) -> list[tuple[float, float]]:
    """Give intervals of energies in joule, each a little wider than that of wavelengths."""
    most = PLANCK_J_S * LIGHT_M_S
    return [
        (most / high * (1.0 - _ENERGY_MARGIN), most / low * (1.0 + _ENERGY_MARGIN))
        for low, high in reversed(extent.wavelengths_m)
    ]


def wavebands(extent: Extent) -> list[str]:
    """Name the parts of the spectrum that are covered."""
    return [
        name
        for name, least, most in _WAVEBANDS
        if any(low < most and high > least for low, high in extent.wavelengths_m)
    ]
