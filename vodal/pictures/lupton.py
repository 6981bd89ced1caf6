"""Three bands to one picture in colour, after Lupton et al. 2004 (PASP 116, 133).

Brightness goes through an asinh, the ratios of the bands are kept: a star does not turn white
because it is bright.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vodal.pictures.levels import sky_and_noise

__all__ = ["SOFTENING", "Balance", "balance_apart", "choose_balance", "paint_bands"]

Pixels = NDArray[np.float32]

SOFTENING: Final = 8.0
"""Q by default."""
_STRETCH_NOISES: Final = 15.0
"""The stretch in units of the brightness's noise: sky noise then moves a tenth of the levels."""
_NO_NOISE: Final = 1e-30


@dataclass(frozen=True, slots=True)
class Balance:
    """How the values of bands become comparable; each tuple in the order of the bands."""

    black: tuple[float, ...]
    """Subtracted from the band's values."""
    gain: tuple[float, ...]
    """Multiplies what is left."""
    stretch: float
    """Brightness up to which the picture is about linear."""


def choose_balance(
    values: Sequence[NDArray[Any]], shares: Sequence[float] | None = None
) -> Balance:
    """Choose black, balance and stretch.

    Parameters
    ----------
    values
        Of each band (red, green and blue, or those that they are mixed of) at the same places,
        all finite.
    shares
        What each band has of red, green and blue together, three in all; one each by default.
    """
    if not len(values[0]):
        return Balance((0.0,) * len(values), (1.0,) * len(values), 1.0)
    bands = np.stack(values).astype(np.float64)
    levels = [sky_and_noise(band) for band in bands]
    sky = np.array([level for level, _ in levels])
    noise = np.array([max(spread, _NO_NOISE) for _, spread in levels])
    light = bands - sky[:, None]
    # What stands out in all bands and is not among the few brightest, which may be saturated.
    clear = (light > 8.0 * noise[:, None]).all(axis=0)
    if clear.sum() > 50:
        clear &= (light <= np.percentile(light[:, clear], 99, axis=1)[:, None]).all(axis=0)
        typical = np.array([np.median(band[clear]) for band in light])
    else:
        typical = noise
    return _balance(sky, noise, typical, shares)


def balance_apart(values: Sequence[NDArray[Any]], shares: Sequence[float] | None = None) -> Balance:
    """Choose black, balance and stretch of bands that have no place in common, by their noise.

    Parameters
    ----------
    values
        Of each band at places of its own, all finite; one without any is left as it is.
    shares
        As of `choose_balance`.
    """
    levels = [sky_and_noise(band) if band.size else (0.0, 1.0) for band in values]
    noise = np.array([max(spread, _NO_NOISE) for _, spread in levels])
    return _balance(np.array([level for level, _ in levels]), noise, noise, shares)


def _balance(
    sky: NDArray[np.float64], noise: NDArray[np.float64], typical: NDArray[np.float64],
    shares: Sequence[float] | None,
) -> Balance:  # fmt: skip
    """Make a typical light grey, and the sky just above black."""
    gain = typical.mean() / typical
    parts = gain * noise if shares is None else gain * noise * np.array(shares)
    brightness_noise = float(np.sqrt(np.sum(parts**2)) / 3.0)
    # The same pedestal in all bands, so that the sky is grey.
    black = sky - brightness_noise / gain
    return Balance(
        tuple(black.tolist()), tuple(gain.tolist()),
        max(_STRETCH_NOISES * brightness_noise, _NO_NOISE),
    )  # fmt: skip


def paint_bands(
    bands: Sequence[NDArray[Any]], balance: Balance, softening: float = SOFTENING
) -> NDArray[np.uint8]:
    """Paint three bands.

    Parameters
    ----------
    bands
        Red, green and blue, of one shape; NaN where there is no value.
    balance
        How they go together.
    softening
        Lupton's Q: the larger, the more bright parts are held back.

    Returns
    -------
    array
        Shape (row, column, RGBA); transparent where all bands are blank. A band that is missing
        where others are not is taken as grey, so that edges have no false colour.
    """
    colors = np.stack([band.astype(np.float32) for band in bands], axis=-1)
    colors -= np.array(balance.black, np.float32)
    colors *= np.array(balance.gain, np.float32)
    known = np.isfinite(colors)
    count = known.sum(axis=-1, dtype=np.float32)
    colors[~known] = 0.0
    brightness = colors.sum(axis=-1) / np.maximum(count, 1.0)
    missing = ~known
    if missing.any():
        colors = np.where(missing, brightness[..., None], colors)
    lit = brightness > 0.0
    safe = np.where(lit, brightness, np.float32(1.0))
    scale = np.arcsinh(safe * np.float32(softening / balance.stretch))
    scale /= safe * np.float32(softening)
    scale[~lit] = 0.0
    colors *= scale[..., None]
    np.maximum(colors, 0.0, out=colors)
    # What is too bright keeps its colour.
    colors /= np.maximum(colors.max(axis=-1), 1.0)[..., None]
    out = np.empty((*brightness.shape, 4), np.uint8)
    out[..., :3] = colors * np.float32(255.0) + np.float32(0.5)
    out[..., 3] = np.where(count > 0.0, 255, 0)
    out[count == 0.0] = 0
    return out
