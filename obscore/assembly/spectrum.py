"""Wavelengths: from a spectral axis, a filter, or a card with the wavelength.

Wavelengths are those in vacuum, in metres (ObsCore 1.1 section 3.3.4). Velocities are turned into
wavelengths by the rest frequency or wavelength of the header; the frame of a spectral axis (LSRK,
barycentre ...) is taken as it is, which moves wavelengths by 1e-4 at most.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from obscore.assembly.axes import other_axes
from obscore.assembly.bands import Band
from obscore.assembly.context import Context, Values
from vodal.fits.spectral import (
    VELOCITIES,
    rest_wavelength_m,
    spectral_kind,
    spectral_scale,
    vacuum_wavelengths,
)

__all__ = ["instrument_text", "resolving_power", "spectrum"]

_FILTERS = ("FILTER", "FILTNAM", "FILTER0", "FILTER01", "FILTER02", "FILTERS", "FILTNAME",
            "FILTERX", "BAND", "FILTERID", "FPA.FILTERID", "ESO INS FILT1 NAME", "FILTBAND",
            "INSFILTE", "FILTER_NAME", "FILT1")  # fmt: skip
_WHEELS = ("FILTER1", "FILTER2", "FILTER3", "FILTER4", "FILTNAM1", "FILTNAM2", "PUPIL")
_EMPTY_WHEEL = re.compile(
    r"(clear\w*|open|empty|air|blank|no ?filter|n/?a|none|white|glass|hole|pol\w*|gdhs|gr\w*"
    r"|flat|mask\w*|wl[mp]\d|zerop)",
    re.IGNORECASE,
)
_PHOTMODE = re.compile(r"\bF\d{3,4}(?:W2|LP|[WMNX])\b", re.IGNORECASE)
_WAVELENGTH_CARDS = ("WAVELNTH", "WAVELENG", "WAVELEN", "LAMBDA", "REFWAVE")
_NO_WAVELENGTHS = "the spectral axis gives no wavelengths"


@dataclass(frozen=True, slots=True)
class _Range:
    low_m: float
    high_m: float
    samples: int


def spectrum(context: Context) -> Values:
    """Give em_min, em_max, em_xel, em_res_power and filter."""
    low, high = context.given_number("em_min"), context.given_number("em_max")
    band = _filter(context)
    axis = _axis_range(context)
    samples = axis.samples if axis is not None else 1
    if low is None and high is None:
        if axis is not None:
            low, high = axis.low_m, axis.high_m
        elif band is not None and band.known:
            low, high = band.em_min_m, band.em_max_m
        else:
            low = high = _single_wavelength(context)
    known = low is not None and high is not None
    return {
        "em_min": low,
        "em_max": high,
        "em_xel": samples if known else None,
        "em_res_power": resolving_power(low, high, samples),
        "filter": None if band is None else band.name,
    }


def resolving_power(low: float | None, high: float | None, samples: int) -> float | None:
    """Give the resolving power at the middle: of a channel, or of the whole band."""
    if low is None or high is None or not 0.0 < low < high:
        return None
    return float(f"{0.5 * (low + high) / ((high - low) / samples):.6g}")


def instrument_text(context: Context) -> str:
    """Give the names of instrument and telescope, as the table of bands searches them."""
    given = [context.given_text("instrument_name"), context.given_text("facility_name")]
    cards = [
        context.cards.text("INSTRUME", "FPA.INSTRUMENT"),
        context.cards.text("TELESCOP", "FPA.TELESCOPE"),
    ]
    return " ".join(a or b or "" for a, b in zip(given, cards, strict=True)).strip()


def _filter(context: Context) -> Band | None:
    """Find the band that the mapping or the header names."""
    instrument = instrument_text(context)
    given = context.given_text("filter")
    if given is not None:
        return context.bands.find(given, instrument)
    found = [context.bands.find(text, instrument) for text in _filter_texts(context, instrument)]
    known = [band for band in found if band.known]
    if not known:
        return found[0] if found else None
    first = known[0]
    others = [b for b in known[1:] if b.name != first.name]
    narrower = [band for band in others if _inside(band, first)]
    if narrower:
        # Two wheels, one filter in each: the light passes the narrower.
        return narrower[-1]
    for band in others:
        context.note(f"the header names the filter {first.name} and also {band.name}")
    return first


def _inside(band: Band, outer: Band) -> bool:
    if None in {band.em_min_m, band.em_max_m, outer.em_min_m, outer.em_max_m}:
        return False
    low, high = float(band.em_min_m or 0), float(band.em_max_m or 0)
    middle = 0.5 * (low + high)
    wide = float(outer.em_max_m or 0) - float(outer.em_min_m or 0)
    return high - low < 0.7 * wide and float(outer.em_min_m or 0) < middle < float(
        outer.em_max_m or 0
    )


def _filter_texts(context: Context, instrument: str) -> list[str]:
    """Give what the header calls its filter, the most trustworthy first."""
    cards = context.cards
    texts = []
    for keyword in (*context.bands.keywords(instrument), *_FILTERS):
        text = cards.text(keyword)
        if text is not None and not _EMPTY_WHEEL.fullmatch(text):
            texts.append(text)
    for keyword in _WHEELS:
        text = cards.text(keyword)
        # WFPC2 numbers the filters of its wheels; the names are in FILTNAM1 and FILTNAM2.
        if text is not None and not _EMPTY_WHEEL.fullmatch(text) and not text.isdigit():
            texts.append(text)
    mode = _PHOTMODE.search(cards.text("PHOTMODE") or "")
    if mode:
        texts.append(mode[0])
    return [text for text in texts if len(text) <= 68 and text[0] not in "='/"]


def _single_wavelength(context: Context) -> float | None:
    """Read a card that gives the wavelength of the whole image."""
    for keyword in _WAVELENGTH_CARDS:
        value = context.cards.number(keyword)
        if value is None or value <= 0.0:
            continue
        words = re.findall(r"[A-Za-z]+", context.cards.comment(keyword))
        for word in words[:2]:
            kind = spectral_kind("LINEAR", word)
            if kind is not None:
                wavelength = float(vacuum_wavelengths(kind, value * spectral_scale(word)))
                if math.isfinite(wavelength):
                    return float(f"{wavelength:.9g}")
        if 1e-12 < value < 1e-2:
            return value  # metres, the unit of FITS
    return None


def _axis_range(context: Context) -> _Range | None:
    """Read the spectral axis, a degenerate one too."""
    for axis in other_axes(context):
        kind = spectral_kind(axis.ctype, axis.unit)
        if kind is None:
            continue
        edges = [axis.world(-0.5), axis.world(axis.samples - 0.5)]
        if None in edges:
            # The table of a -TAB axis ends with the centres of its first and last pixel.
            edges = [axis.world(0.0), axis.world(axis.samples - 1.0)]
        if None in edges:
            context.note(_NO_WAVELENGTHS)
            return None
        rest_m = rest_wavelength_m(context.cards.number)
        values = np.array(edges, np.float64) * spectral_scale(axis.unit)
        waves = vacuum_wavelengths(kind, values, rest_m)
        if np.isnan(waves).any():
            context.note(_why_not(kind, rest_m))
            return None
        low, high = sorted(float(f"{wave:.12g}") for wave in waves)
        return _Range(low, high, axis.samples)
    return None


def _why_not(kind: str, rest_m: float) -> str:
    if kind in VELOCITIES and math.isnan(rest_m):
        return "the spectral axis is in velocity and there is no rest frequency"
    return _NO_WAVELENGTHS
