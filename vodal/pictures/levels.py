"""From values to levels between black and white: robust cuts, and a stretch between them.

The stretches are those of `astropy.visualization` with its defaults (asinh with a = 0.1, log with
a = 1000), so that a picture can be made again from the pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Cuts", "StretchName", "find_cuts", "sky_and_noise", "stretched"]

StretchName = Literal["linear", "sqrt", "log", "asinh"]

_BELOW_SKY: Final = 1.5
"""Black of automatic cuts, in standard deviations of the noise below the sky."""
_BRIGHT_PERCENT: Final = 99.7
_SOFTENING: Final = 0.1
"""Part of the range up to which asinh is about linear."""
_LOG: Final = 1000.0
_LARGEST: Final = 1e150


@dataclass(frozen=True, slots=True)
class Cuts:
    """Which values become black and white.

    ``auto`` is from a little below the sky to the 99.7th percentile; ``percent`` takes percentiles
    and ``values`` the values themselves; ``zscale`` is IRAF's.
    """

    kind: Literal["auto", "minmax", "zscale", "percent", "values"] = "auto"
    low: float = 0.0
    high: float = 0.0


def sky_and_noise(values: NDArray[Any]) -> tuple[float, float]:
    """Give a robust level and scatter of the faint part of values, none blank."""
    values = values.astype(np.float64)
    for _ in range(4):
        middle = float(np.median(values))
        spread = 1.4826 * float(np.median(np.abs(values - middle)))
        kept = values[np.abs(values - middle) <= 3.0 * spread]
        if spread == 0.0 or kept.size == values.size:
            break
        values = kept
    return float(np.median(values)), spread


def find_cuts(values: NDArray[Any], cuts: Cuts) -> tuple[float, float]:
    """Give the values of black and white.

    Parameters
    ----------
    values
        Of any shape; those that are not finite do not count.
    cuts
        How to choose.

    Returns
    -------
    tuple of float
        Both the same where the image is constant; 0 and 1 where no value is finite.
    """
    if cuts.kind == "values":
        return cuts.low, cuts.high
    known = values[np.isfinite(values)].astype(np.float64)
    # Squares and differences of larger values leave the range of floats.
    known = np.clip(known, -_LARGEST, _LARGEST)
    if not known.size:
        return 0.0, 1.0
    match cuts.kind:
        case "percent":
            low, high = (float(v) for v in np.percentile(known, (cuts.low, cuts.high)))
        case "zscale":
            low, high = _zscale(known)
        case "auto":
            low, high = _auto(known)
        case "minmax":
            low, high = float(known.min()), float(known.max())
    return low, high


def _auto(known: NDArray[np.float64]) -> tuple[float, float]:
    sky = float(np.median(known))
    noise = 1.4826 * float(np.median(np.abs(known - sky)))
    low = max(float(known.min()), sky - _BELOW_SKY * noise)
    high = float(np.percentile(known, _BRIGHT_PERCENT))
    if high <= low:
        low, high = float(known.min()), float(known.max())
    return low, high


def _zscale(known: NDArray[np.float64]) -> tuple[float, float]:
    # Loaded by who asks for it.
    from astropy.visualization.interval import ZScaleInterval  # noqa: PLC0415

    low, high = ZScaleInterval().get_limits(known)
    return float(low), float(high)


def stretched(
    values: NDArray[Any], low: float, high: float, stretch: StretchName
) -> NDArray[np.float32]:
    """Give levels from 0 at and below ``low`` to 1 at and above ``high``; NaN stays NaN.

    Where both are the same all levels are 0.
    """
    if not high > low:
        return np.where(np.isnan(values), np.float32(np.nan), np.float32(0.0))
    with np.errstate(over="ignore", invalid="ignore"):
        # In halves, as the range of 64-bit floats may be wider than they are.
        span = high / 2.0 - low / 2.0
        at = np.clip((values.astype(np.float64) / 2.0 - low / 2.0) / span, 0.0, 1.0)
    match stretch:
        case "sqrt":
            np.sqrt(at, out=at)
        case "log":
            np.log1p(_LOG * at, out=at)
            at /= math.log1p(_LOG)
        case "asinh":
            np.arcsinh(at / _SOFTENING, out=at)
            at /= math.asinh(1.0 / _SOFTENING)
        case "linear":
            pass
    return at.astype(np.float32)
