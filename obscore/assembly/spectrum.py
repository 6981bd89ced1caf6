"""Wavelengths: from a spectral axis, a filter, or a card with the wavelength.

Wavelengths are those in vacuum, in metres (ObsCore 1.1 section 3.3.4). Velocities are turned into
wavelengths by the rest frequency or wavelength of the header; the frame of a spectral axis (LSRK,
barycentre ...) is taken as it is, which moves wavelengths by 1e-4 at most.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from obscore.assembly.axes import Axis, other_axes
from obscore.assembly.bands import Band
from obscore.assembly.context import Context, Values

__all__ = ["instrument_text", "spectrum"]

_C = 299792458.0
_HC = 1.98644586e-25
"""Planck's constant times the speed of light, J m."""

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

_AXIS_KINDS = {"FREQ": "FREQ", "WAVE": "WAVE", "LAMBDA": "WAVE", "WAVELENGTH": "WAVE",
               "WAVEL": "WAVE", "AWAV": "AWAV", "ENER": "ENER", "ENERGY": "ENER", "WAVN": "WAVN",
               "VRAD": "VRAD", "VOPT": "VOPT", "ZOPT": "ZOPT", "VELO": "VELO", "BETA": "BETA",
               "FELO": "VOPT", "VELOCITY": "VRAD"}  # fmt: skip
_UNIT_KINDS = {"m": "WAVE", "Hz": "FREQ", "J": "ENER"}
_SCALES = {"": None, "m": ("m", 1.0), "nm": ("m", 1e-9), "um": ("m", 1e-6), "micron": ("m", 1e-6),
           "mm": ("m", 1e-3), "cm": ("m", 1e-2), "angstrom": ("m", 1e-10),
           "angstroms": ("m", 1e-10),
           "a": ("m", 1e-10), "micrometer": ("m", 1e-6), "microns": ("m", 1e-6),
           "hz": ("Hz", 1.0), "khz": ("Hz", 1e3), "mhz": ("Hz", 1e6), "ghz": ("Hz", 1e9),
           "m/s": ("m/s", 1.0), "m s-1": ("m/s", 1.0), "km/s": ("m/s", 1e3),
           "km s-1": ("m/s", 1e3),
           "j": ("J", 1.0), "ev": ("J", 1.602176634e-19), "kev": ("J", 1.602176634e-16),
           "mev": ("J", 1.602176634e-13), "gev": ("J", 1.602176634e-10)}  # fmt: skip


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
        "em_res_power": _power(low, high, samples),
        "filter": None if band is None else band.name,
    }


def _power(low: float | None, high: float | None, samples: int) -> float | None:
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
            scale = _SCALES.get(word.lower())
            if scale is not None and scale[0] in _UNIT_KINDS:
                wavelength = _to_wavelength(_UNIT_KINDS[scale[0]], value * scale[1], 0.0)
                if wavelength is not None:
                    return float(f"{wavelength:.9g}")
        if 1e-12 < value < 1e-2:
            return value  # metres, the unit of FITS
    return None


def _axis_range(context: Context) -> _Range | None:
    """Read the spectral axis, a degenerate one too."""
    for axis in other_axes(context):
        kind = _axis_kind(axis)
        if kind is None:
            continue
        edges = [axis.world(-0.5), axis.world(axis.samples - 0.5)]
        if None in edges:
            # The table of a -TAB axis ends with the centres of its first and last pixel.
            edges = [axis.world(0.0), axis.world(axis.samples - 1.0)]
        _, factor = _SCALES.get(axis.unit.lower()) or ("", 1.0)
        rest_hz = _rest_frequency(context)
        waves = [
            None if edge is None else _to_wavelength(kind, edge * factor, rest_hz) for edge in edges
        ]
        if None in waves:
            context.note(_why_not(kind, rest_hz))
            return None
        low, high = sorted(float(f"{wave:.12g}") for wave in waves if wave is not None)
        return _Range(low, high, axis.samples)
    return None


def _why_not(kind: str, rest_hz: float) -> str:
    if kind in {"VRAD", "VOPT", "ZOPT", "VELO", "BETA"} and not rest_hz:
        return "the spectral axis is in velocity and there is no rest frequency"
    return "the spectral axis gives no wavelengths"


def _axis_kind(axis: Axis) -> str | None:
    """Tell what a non-celestial axis is; None if it is not spectral."""
    code = re.split(r"[-\s]", axis.ctype)[0]
    if code in _AXIS_KINDS:
        return _AXIS_KINDS[code]
    if code in {"", "LINEAR"}:
        scale = _SCALES.get(axis.unit.lower())
        if scale is not None:
            return _UNIT_KINDS.get(scale[0])
    return None


def _rest_frequency(context: Context) -> float:
    """Give the rest frequency in Hz; 0 if it is not known."""
    frequency = context.cards.number("RESTFRQ", "RESTFREQ", "FREQ0")
    if frequency is not None and frequency > 0.0:
        return frequency
    wavelength = context.cards.number("RESTWAV")
    if wavelength is not None and wavelength > 0.0:
        return _C / wavelength
    return 0.0


def _to_wavelength(kind: str, value: float, rest_hz: float) -> float | None:
    """Turn a spectral coordinate in SI units into a vacuum wavelength (FITS paper III)."""
    try:
        wavelength = _convert(kind, value, _C / rest_hz if rest_hz else math.nan)
    except (ValueError, ZeroDivisionError):
        return None
    return wavelength if math.isfinite(wavelength) and wavelength > 0.0 else None


def _convert(kind: str, value: float, rest_m: float) -> float:
    match kind:
        case "WAVE":
            return value
        case "AWAV":
            return value * _air_index(value)
        case "FREQ":
            return _C / value
        case "ENER":
            return _HC / value
        case "WAVN":
            return 1.0 / value
        case "VRAD":
            return rest_m / (1.0 - value / _C)
        case "VOPT":
            return rest_m * (1.0 + value / _C)
        case "ZOPT":
            return rest_m * (1.0 + value)
        case "VELO" | "BETA":
            beta = value / _C if kind == "VELO" else value
            return rest_m * math.sqrt((1.0 + beta) / (1.0 - beta))
        case _:
            return math.nan


def _air_index(air_m: float) -> float:
    """Give the refraction index of standard air (15 C, dry; Morton 1991, ApJS 77, 119).

    Wavelengths below 200 nm are given in vacuum by custom.
    """
    index = 1.0
    for _ in range(3 if air_m >= 2e-7 else 0):
        s2 = (1e-6 / (air_m * index)) ** 2
        index = 1.000064328 + 2.94981e-2 / (146.0 - s2) + 2.5540e-4 / (41.0 - s2)
    return index
