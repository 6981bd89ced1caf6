"""Wavelengths: from a spectral axis, a filter, or a card with the wavelength.

Wavelengths are those in vacuum, in metres (ObsCore 1.1 section 3.3.4). Velocities are turned into
wavelengths by the rest frequency or wavelength of the header; the frame of a spectral axis (LSRK,
barycentre ...) is taken as it is, which moves wavelengths by 1e-4 at most.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import partial

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

__all__ = ["resolving_power", "spectrum"]

_FILTERS = ("FILTER", "FILTNAM", "FILTER0", "FILTER01", "FILTER02", "FILTERS", "FILTNAME",
            "FILTERX", "BAND", "FILTERID", "FPA.FILTERID", "ESO INS FILT1 NAME", "FILTBAND",
            "INSFILTE", "FILTER_NAME", "FILT1")  # fmt: skip
_WHEELS = ("FILTER1", "FILTER2", "FILTER3", "FILTER4", "FILTNAM1", "FILTNAM2", "PUPIL")
_EMPTY_WHEEL = re.compile(
    r"(clear\w*|open|empty|air|blank|no ?filter|n/?a|none|white|glass|hole|pol\w*|gdhs|gr\w*"
    r"|flat|mask\w*|wl[mp]\d|zerop)",
    re.IGNORECASE,
)
_INSTRUMENTS = {
    "instrument_name": ("INSTRUME", "FPA.INSTRUMENT"),
    "facility_name": ("TELESCOP", "FPA.TELESCOPE"),
}
_PHOTMODE = re.compile(r"\bF\d{3,4}(?:W2|LP|[WMNX])\b", re.IGNORECASE)
_WAVELENGTH_CARDS = ("WAVELNTH", "WAVELENG", "WAVELEN", "LAMBDA", "REFWAVE")
_NO_WAVELENGTHS = "the spectral axis gives no wavelengths"


@dataclass(frozen=True, slots=True)
class _Range:
    low_m: float
    high_m: float
    samples: int
    name: str
    cards: tuple[str, ...]
    """Keywords that give it, those of the world coordinates apart."""


def spectrum(context: Context) -> Values:
    """Give em_min, em_max, em_xel, em_res_power and filter."""
    with context.of("em_min"):
        low = context.given_number("em_min")
    with context.of("em_max"):
        high = context.given_number("em_max")
    with context.of("filter", "em_min", "em_max", "em_res_power"):
        band = _filter(context)
    with context.of("em_min", "em_max", "em_res_power", "em_xel"):
        axis = _axis_range(context)
        samples = axis.samples if axis is not None else 1
        if low is not None or high is not None:
            with context.of("em_min", "em_max", "em_res_power"):
                context.used(how="the mapped em_min and em_max")
        elif axis is not None:
            low, high = axis.low_m, axis.high_m
            context.used(*axis.cards, how=f"the spectral axis {axis.name}")
            with context.of("em_xel"):
                context.used(how=f"the pixels of the spectral axis {axis.name}")
        elif band is not None and band.known:
            low, high = band.em_min_m, band.em_max_m
            with context.of("em_xel"):
                context.used(how="one, of a filter")
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


def _instrument(context: Context) -> tuple[str, list[str]]:
    """Give the names of instrument and telescope, as the table of bands searches them.

    Gives the keywords that name them too.
    """
    words, keywords = [], []
    for column, names in _INSTRUMENTS.items():
        word = context.given_text(column)
        for keyword in names if word is None else ():
            word = context.cards.text(keyword)
            if word is not None:
                keywords.append(keyword)
                break
        words.append(word or "")
    if not any(words):
        # unWISE names no instrument, but says that its band is one of WISE's.
        return context.cards.comment("BAND"), []
    return " ".join(words).strip(), keywords


def _filter(context: Context) -> Band | None:
    """Find the band that the mapping or the header names."""
    instrument, cards = _instrument(context)
    given = context.given_text("filter")
    if given is not None:
        found = context.bands.find(given, instrument)
        context.say(found.told)
        return found
    named = [
        (keyword, context.bands.find(text, instrument))
        for keyword, text in _filter_texts(context, instrument)
    ]
    known = [one for one in named if one[1].known]
    if not known:
        context.used(*(keyword for keyword, _ in named[:1]))
        return named[0][1] if named else None
    chosen = known[0]
    others = [one for one in known[1:] if one[1].name != chosen[1].name]
    narrower = [one for one in others if _inside(one[1], chosen[1])]
    if narrower:
        # Two wheels, one filter in each: the light passes the narrower.
        chosen = narrower[-1]
    else:
        for _, band in others:
            context.note(f"the header names the filter {chosen[1].name} and also {band.name}")
    context.used(chosen[0], *cards, how=chosen[1].told)
    return chosen[1]


def _inside(band: Band, outer: Band) -> bool:
    if None in {band.em_min_m, band.em_max_m, outer.em_min_m, outer.em_max_m}:
        return False
    low, high = float(band.em_min_m or 0), float(band.em_max_m or 0)
    middle = 0.5 * (low + high)
    wide = float(outer.em_max_m or 0) - float(outer.em_min_m or 0)
    return high - low < 0.7 * wide and float(outer.em_min_m or 0) < middle < float(
        outer.em_max_m or 0
    )


def _filter_texts(context: Context, instrument: str) -> list[tuple[str, str]]:
    """Give what the header calls its filter with its keyword, the most trustworthy first."""
    cards = context.cards
    texts = []
    for keyword in (*context.bands.keywords(instrument), *_FILTERS):
        text = cards.text(keyword)
        if text is not None and not _EMPTY_WHEEL.fullmatch(text):
            texts.append((keyword, text))
    for keyword in _WHEELS:
        text = cards.text(keyword)
        # WFPC2 numbers the filters of its wheels; the names are in FILTNAM1 and FILTNAM2.
        if text is not None and not _EMPTY_WHEEL.fullmatch(text) and not text.isdigit():
            texts.append((keyword, text))
    mode = _PHOTMODE.search(cards.text("PHOTMODE") or "")
    if mode:
        texts.append(("PHOTMODE", mode[0]))
    return [one for one in texts if len(one[1]) <= 68 and one[1][0] not in "='/"]


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
                    context.used(keyword, how=f"in {word}")
                    return float(f"{wavelength:.9g}")
        if 1e-12 < value < 1e-2:
            context.used(keyword, how="in m")
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
        looked: list[str] = []
        rest_m = rest_wavelength_m(partial(_number_of, context, looked))
        values = np.array(edges, np.float64) * spectral_scale(axis.unit)
        waves = vacuum_wavelengths(kind, values, rest_m)
        if np.isnan(waves).any():
            context.note(_why_not(kind, rest_m))
            return None
        low, high = sorted(float(f"{wave:.12g}") for wave in waves)
        rest = tuple(looked[-1:]) if kind in VELOCITIES else ()
        return _Range(low, high, axis.samples, axis.ctype, rest)
    return None


def _number_of(context: Context, looked: list[str], keyword: str) -> float | None:
    looked.append(keyword)
    return context.cards.number(keyword)


def _why_not(kind: str, rest_m: float) -> str:
    if kind in VELOCITIES and math.isnan(rest_m):
        return "the spectral axis is in velocity and there is no rest frequency"
    return _NO_WAVELENGTHS
