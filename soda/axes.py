"""The spectral, time and Stokes axes of an image, and which of their pixels are wanted.

The coordinates are the full ones of the image (wcslib), so that any unit, any algorithm code (-F2W,
-LOG, -GRI, -TAB ...) and any order of axes will do. Each bin is judged by its own two edges: it is
taken if what lies between them meets the interval. Where an axis is entangled with others, as in a
cube whose wavelengths shift across the slit, a bin is taken if it meets the interval anywhere.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from soda.filters import Parameter
from soda.selection import Interval, Selection
from vodal.errors import UsageError
from vodal.fits.quiet import quiet
from vodal.fits.spectral import (
    VELOCITIES,
    rest_wavelength_m,
    spectral_kind,
    spectral_scale,
    vacuum_wavelengths,
)
from vodal.fits.stokes import state_of
from vodal.fits.timescale import (
    from_utc,
    read_reference,
    scale_named,
    time_axis_name,
    time_unit_days,
    to_utc,
)
from vodal.fits.values import HeaderValues

__all__ = ["Bins", "ImageAxes"]

Floats = NDArray[np.float64]

_ENTANGLED = 1e-6
"""Bins by which another axis may move an axis without being looked at."""
_UTC_MJD = 1e6
"""Beyond it there is no calendar, and scales are one."""


@dataclass(frozen=True, slots=True)
class Bins:
    """The pixels of one axis."""

    axis: int
    """0-based in FITS order; beyond the image's axes for a coordinate that it has one value of."""
    low: Floats
    high: Floats
    """Ends of each bin (n,), in order of value; NaN where there is no coordinate."""

    def meeting(self, wanted: Interval) -> slice | None:
        """Give the pixels whose bins meet an interval, from the first to the last; 0-based."""
        (met,) = np.nonzero((self.low <= wanted.high) & (self.high >= wanted.low))
        return slice(int(met[0]), int(met[-1]) + 1) if len(met) else None


class ImageAxes:
    """The axes of an image that are not of the sky.

    Parameters
    ----------
    wcs
        Of all axes.
    shape
        Of the image in numpy order.
    headers
        Where to look for cards that axes need (RESTFRQ, MJDREF ...): the image's header, then that
        of the file.
    """

    def __init__(self, wcs: WCS, shape: tuple[int, ...], headers: Sequence[HeaderValues]) -> None:
        self._wcs, self._sizes, self._headers = wcs, shape[::-1], tuple(headers)

    def has(self, name: Parameter) -> bool:
        """Tell whether there is an axis that a parameter cuts along."""
        return self._world_axis(name) is not None

    def cut(self, name: Parameter, selection: Selection) -> tuple[int, slice] | None:
        """Give the pixels that a parameter wants.

        Returns
        -------
        tuple or None
            The axis, 0-based in FITS order and perhaps beyond the image's, and its pixels: a slice
            with start, stop and, of a Stokes axis only, perhaps a step. None if there are none.

        Raises
        ------
        UsageError
            If the axis cannot be brought to the parameter's unit or the states lie unevenly.
        """
        match name:
            case "BAND":
                bins, wanted = self._spectral, selection.band_m
            case "TIME":
                bins, wanted = self._time, selection.time_mjd and self._on_scale(selection.time_mjd)
            case "POL":
                return self._cut_states(selection.pol)
        assert wanted is not None
        found = bins.meeting(wanted)
        return None if found is None else (bins.axis, found)

    def middle_time(self) -> Interval | None:
        """Give a time within the middle bin of a time axis, MJD in UTC.

        None if there is no such axis, or a single bin of it.

        Raises
        ------
        UsageError
            If the axis cannot be brought to UTC.
        """
        if not self.has("TIME") or len(self._time.low) < 2:
            return None
        middle = len(self._time.low) // 2
        low, high = float(self._time.low[middle]), float(self._time.high[middle])
        if not math.isfinite(low + high):
            return None
        # Not to its edges, which are those of its neighbours.
        ends = (low + 0.25 * (high - low), low + 0.75 * (high - low))
        return Interval(*(to_utc(end, self._scale) for end in ends))

    def _ctype(self, axis: int) -> str:
        return str(self._wcs.wcs.ctype[axis]).strip().upper()

    def _unit(self, axis: int) -> str:
        # astropy warns of a unit that is no unit, and gives its name all the same.
        with quiet():
            return str(self._wcs.wcs.cunit[axis]).strip()

    def _world_axis(self, name: Parameter) -> int | None:
        tests: dict[Parameter, Callable[[int], bool]] = {
            "BAND": lambda k: spectral_kind(self._ctype(k), self._unit(k)) is not None,
            "TIME": lambda k: time_axis_name(self._ctype(k)) != "",
            "POL": lambda k: self._ctype(k) == "STOKES",
        }
        return next((k for k in range(self._wcs.naxis) if tests[name](k)), None)

    def _axis_of(self, name: Parameter) -> int:
        axis = self._world_axis(name)
        assert axis is not None
        return axis

    def _number(self, keyword: str) -> float | None:
        for header in self._headers:
            value = header.get(keyword)
            if isinstance(value, int | float) and not isinstance(value, bool):
                return float(value)
        return None

    def _text(self, keyword: str) -> str:
        for header in self._headers:
            value = header.get(keyword)
            if isinstance(value, str) and value.strip():
                return value.strip()
        return ""

    @cached_property
    def _spectral(self) -> Bins:
        """Vacuum wavelengths in metres."""
        axis = self._axis_of("BAND")
        kind, scale = spectral_kind(self._ctype(axis), self._unit(axis)), self._unit(axis)
        assert kind is not None
        rest_m = rest_wavelength_m(self._number)
        if kind in VELOCITIES and math.isnan(rest_m):
            raise UsageError(
                "BAND is not supported for this dataset: its spectral axis is in velocity and "
                "there is no rest frequency (RESTFRQ) in the header"
            )
        factor = spectral_scale(scale)
        return self._bins(axis, lambda world: vacuum_wavelengths(kind, world * factor, rest_m))

    @cached_property
    def _scale(self) -> str:
        """Of the time axis."""
        name = time_axis_name(self._ctype(self._axis_of("TIME")))
        if name == "TIME":
            name = self._text("TIMESYS") or "UTC"
        scale = scale_named(name)
        if scale is None:
            raise UsageError(
                f"TIME is not supported for this dataset: its time scale '{name[:20]}' cannot be "
                "brought to UTC"
            )
        return scale

    @cached_property
    def _time(self) -> Bins:
        """MJD on the axis' own scale."""
        axis = self._axis_of("TIME")
        # As the header has it, since astropy takes cy for cycles.
        unit = self._text(f"CUNIT{axis + 1}") or self._text("TIMEUNIT") or "s"
        days = time_unit_days(unit)
        if days is None:
            raise UsageError(
                f"TIME is not supported for this dataset: the unit '{unit[:20]}' of its time axis "
                "is not known"
            )
        reference = read_reference(self._number, self._text)
        offset = (self._number("TIMEOFFS") or 0.0) * (
            time_unit_days(self._text("TIMEUNIT") or "s") or 0.0
        )
        return self._bins(axis, lambda world: reference + offset + world * days)

    def _on_scale(self, utc_mjd: Interval) -> Interval:
        """Bring an interval from UTC to the axis' scale."""
        ends = (
            from_utc(end, self._scale) if abs(end) < _UTC_MJD else end
            for end in (utc_mjd.low, utc_mjd.high)
        )
        return Interval(*ends)

    def _cut_states(self, wanted: tuple[str, ...]) -> tuple[int, slice] | None:
        axis, states = self._states
        places = [place for place, state in enumerate(states) if state in wanted]
        if not places:
            return None
        steps = {b - a for a, b in itertools.pairwise(places)}
        if len(steps) > 1:
            raise UsageError(
                f"POL: the states {' '.join(states[place] for place in places)} are not evenly "
                f"spaced among those of this dataset ({' '.join(states)}), which one axis cannot "
                "tell; ask for neighbours, or for single states in requests of their own"
            )
        return axis, slice(places[0], places[-1] + 1, next(iter(steps), 1))

    @cached_property
    def _states(self) -> tuple[int, tuple[str, ...]]:
        axis = self._axis_of("POL")
        pixel_axis = self._pixel_axis(axis)
        codes = self._world(axis, pixel_axis, np.arange(self._size(pixel_axis), dtype=np.float64))
        return pixel_axis, tuple(state_of(code) or "?" for code in codes[0].tolist())

    def _size(self, pixel_axis: int) -> int:
        return self._sizes[pixel_axis] if pixel_axis < len(self._sizes) else 1

    @cached_property
    def _matrix(self) -> Floats:
        return np.abs(np.asarray(self._wcs.pixel_scale_matrix, np.float64))

    def _pixel_axis(self, axis: int) -> int:
        """Give the axis of the image along which a coordinate changes most."""
        spans = self._matrix[axis] * [self._size(k) for k in range(self._wcs.naxis)]
        return int(np.argmax(spans)) if spans.any() else axis

    def _bins(self, axis: int, convert: Callable[[Floats], Floats]) -> Bins:
        pixel_axis = self._pixel_axis(axis)
        size = self._size(pixel_axis)
        edges = convert(self._world(axis, pixel_axis, np.arange(size + 1, dtype=np.float64) - 0.5))
        centres = convert(self._world(axis, pixel_axis, np.arange(size, dtype=np.float64)))
        # A table may end with the centres of the first and last pixel (FITS paper III section 6).
        ends = np.stack([edges[:, :-1], edges[:, 1:]])
        ends = np.where(np.isnan(ends), centres, ends)
        return Bins(
            pixel_axis, np.fmin.reduce(ends, axis=(0, 1)), np.fmax.reduce(ends, axis=(0, 1))
        )

    def _world(self, axis: int, pixel_axis: int, pixels: Floats) -> Floats:
        """Give a coordinate at places along a pixel axis (m, n), at m places across it."""
        step = self._matrix[axis, pixel_axis]
        related = np.asarray(self._wcs.axis_correlation_matrix, np.bool_)[axis]
        across = []
        for k in range(self._wcs.naxis):
            last = self._size(k) - 1.0
            moves = self._matrix[axis, k] * (last + 1.0)
            entangled = related[k] and (moves == 0.0 or moves > _ENTANGLED * step)
            several = k != pixel_axis and entangled and last > 0.0
            across.append([-0.5, last / 2.0, last + 0.5] if several else [last / 2.0])
        corners = np.array(list(itertools.product(*across)))
        places = np.repeat(corners[:, None, :], len(pixels), axis=1)
        places[:, :, pixel_axis] = pixels
        with quiet(), np.errstate(all="ignore"):
            world = self._wcs.wcs_pix2world(places.reshape(-1, self._wcs.naxis), 0)
        return np.asarray(world[:, axis], np.float64).reshape(len(corners), len(pixels))
