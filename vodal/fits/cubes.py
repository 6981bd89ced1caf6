"""The planes of a cube: which axes it has besides the sky, and what is told of them.

A cube has one axis of channels at most (wavelength, velocity, time ... or nothing but numbers), and
perhaps a Stokes axis; its axes lie in any order.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vodal.errors import DataError
from vodal.fits.calibration import header_number
from vodal.fits.opened import OpenImage
from vodal.fits.quiet import quiet
from vodal.fits.spectral import (
    VELOCITIES,
    rest_wavelength_m,
    spectral_kind,
    spectral_scale,
    vacuum_wavelengths,
)
from vodal.fits.stokes import state_of

__all__ = ["WAVELENGTH", "ChannelAxis", "CubePlanes", "planes_of"]

Floats = NDArray[np.float64]

WAVELENGTH: Final = "wavelength"
"""Kind of an axis whose coordinates are vacuum wavelengths in metres."""


@dataclass(frozen=True, slots=True)
class ChannelAxis:
    """The axis along which the channels of a cube lie."""

    kind: str
    """`WAVELENGTH` where there are any, else what CTYPE says; empty if there are numbers alone."""
    unit: str
    low: Floats
    high: Floats
    """Ends of each channel (n,), in order of value, in the image's middle. Of numbers, which begin
    with 1, they are half a number off."""


@dataclass(frozen=True, slots=True)
class CubePlanes:
    """All planes of a cube."""

    states: tuple[str, ...]
    """Polarization states, in the order of the Stokes axis; I where there is none."""
    channels: ChannelAxis | None
    """None if only states differ."""
    axes: tuple[str, ...]
    """Of those that are not of the sky, in numpy order: ``state``, ``channel`` or, of those with
    a single pixel, nothing."""

    def place(self, state: int, channel: int) -> tuple[int, ...]:
        """Give which plane holds a state and a channel, both 0-based, as `OpenImage` takes them."""
        places = {"state": state, "channel": channel}
        return tuple(places.get(axis, 0) for axis in self.axes)


def planes_of(image: OpenImage) -> CubePlanes:
    """Tell the planes of a cube.

    Parameters
    ----------
    image
        Any plane of it.

    Raises
    ------
    DataError
        If more than one axis could be that of the channels, or its states cannot be told.
    """
    shape = image.hdu.shape
    others = [k for k in range(len(shape)) if k not in {image.y_axis, image.x_axis}]
    types = {k: _ctype(image, k) for k in others}
    stokes = next((k for k in others if types[k] == "STOKES"), None)
    along = [k for k in others if shape[k] > 1 and k != stokes]
    if len(along) > 1:
        named = ", ".join(types[k] or f"axis {len(shape) - k}" for k in along)
        raise DataError(f"it has more than one axis of channels ({named})")
    names = dict.fromkeys(along, "channel") | ({} if stokes is None else {stokes: "state"})
    return CubePlanes(
        _states(image, stokes),
        _channels(image, along[0]) if along else None,
        tuple(names.get(k, "") for k in others),
    )


def _ctype(image: OpenImage, numpy_axis: int) -> str:
    axis = len(image.hdu.shape) - 1 - numpy_axis
    wcs = image.full_wcs
    return str(wcs.wcs.ctype[axis]).strip().upper() if axis < wcs.naxis else ""


def _states(image: OpenImage, numpy_axis: int | None) -> tuple[str, ...]:
    if numpy_axis is None:
        return ("I",)
    size = image.hdu.shape[numpy_axis]
    found = [state_of(code) for code in _world(image, numpy_axis, np.arange(float(size))).tolist()]
    states = tuple(state for state in found if state is not None)
    if size == 1:
        return states or ("I",)
    if len(set(states)) < size:
        raise DataError(
            "its Stokes axis holds values that name no polarization state, or one twice"
        )
    return states


def _channels(image: OpenImage, numpy_axis: int) -> ChannelAxis:
    size = image.hdu.shape[numpy_axis]
    ctype, axis = _ctype(image, numpy_axis), len(image.hdu.shape) - 1 - numpy_axis
    unit = ""
    if axis < image.full_wcs.naxis:
        with quiet():
            unit = str(image.full_wcs.wcs.cunit[axis]).strip()
    kind = spectral_kind(ctype, unit)
    if not ctype and kind is None:
        return _numbered(size)
    edges = _world(image, numpy_axis, np.arange(size + 1.0) - 0.5)
    middles = _world(image, numpy_axis, np.arange(float(size)))
    rest_m = rest_wavelength_m(lambda keyword: _number(image, keyword))
    if kind is not None and not (kind in VELOCITIES and math.isnan(rest_m)):
        scale = spectral_scale(unit)
        edges = vacuum_wavelengths(kind, edges * scale, rest_m)
        middles = vacuum_wavelengths(kind, middles * scale, rest_m)
        ctype, unit = WAVELENGTH, "m"
    # A table may end with the centres of the first and last pixel (FITS paper III section 6).
    pairs = np.stack([edges[:-1], edges[1:]])
    ends: Floats = np.asarray(np.where(np.isnan(pairs), middles, pairs), np.float64)
    steps = np.diff(middles)
    if not np.isfinite(ends).all() or not ((steps > 0.0).all() or (steps < 0.0).all()):
        return _numbered(size)
    name = re.split(r"[-\s]", ctype)[0] + _reference(image, ctype)
    return ChannelAxis(name, unit, np.minimum.reduce(ends), np.maximum.reduce(ends))


def _numbered(size: int) -> ChannelAxis:
    numbers = np.arange(1, size + 1, dtype=np.float64)
    return ChannelAxis("", "", numbers - 0.5, numbers + 0.5)


def _number(image: OpenImage, keyword: str) -> float | None:
    found = (header_number(header, keyword) for header in image.headers)
    return next((value for value in found if value is not None), None)


def _reference(image: OpenImage, ctype: str) -> str:
    """Tell from when a time counts; nothing of what is no time."""
    if ctype == WAVELENGTH or spectral_kind(ctype, "") is not None:
        return ""
    day = np.nansum(np.asarray(image.full_wcs.wcs.mjdref, np.float64))
    return f" since MJD {day:.9g}" if day else ""


def _world(image: OpenImage, numpy_axis: int, pixels: Floats) -> Floats:
    """Give the coordinate of an axis at 0-based pixels of it, in the image's middle, or NaN."""
    wcs, sizes = image.full_wcs, image.hdu.shape[::-1]
    middle = [(sizes[k] - 1) / 2.0 if k < len(sizes) else 0.0 for k in range(wcs.naxis)]
    axis = len(sizes) - 1 - numpy_axis
    places = np.tile(middle, (len(pixels), 1))
    places[:, axis] = pixels
    with quiet(), np.errstate(all="ignore"):
        try:
            return np.asarray(wcs.wcs_pix2world(places, 0)[:, axis], np.float64)
        except Exception:  # noqa: BLE001 - wcslib's errors share no base
            return np.full(len(pixels), np.nan)
