"""The axes of an image that are not of the sky: spectral, Stokes and others.

An axis may be one of the array, or one that the header describes beyond the array's axes (a cutout
of a plane keeps the frequency it was made at); such an axis has one sample, at pixel 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from obscore.assembly.context import Context
from obscore.mapping.values import as_number
from vodal.fits.quiet import quiet
from vodal.fits.values import HeaderValues

__all__ = ["Axis", "other_axes"]


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis."""

    number: int
    """1-based, as in the header's keywords."""
    ctype: str
    """In upper case, as wcslib has translated it."""
    unit: str
    """Of what ``world`` gives; empty if the header tells none."""
    samples: int
    world: Callable[[float], float | None]
    """From a 0-based pixel to the coordinate, the other axes at the image's centre."""


def other_axes(context: Context) -> Iterator[Axis]:
    """Give the axes that are not celestial, those of the array first."""
    shape, sky = context.hdu.shape, context.sky_axes
    for axis in range(len(shape)):
        if axis not in sky and axis < context.wcs.naxis:
            yield Axis(
                number=axis + 1,
                ctype=str(context.wcs.wcs.ctype[axis]).strip().upper(),
                unit=_unit(context, axis),
                samples=int(shape[len(shape) - 1 - axis]),
                world=partial(_world, context, axis),
            )
    header = context.hdu.image_values
    for number in range(len(shape) + 1, 10):
        ctype = header.get(f"CTYPE{number}")
        if isinstance(ctype, str) and number - 1 not in sky:
            yield Axis(
                number=number,
                ctype=ctype.strip().upper(),
                unit=str(header.get(f"CUNIT{number}", "")).strip(),
                samples=1,
                world=partial(_linear, header, number),
            )


def _unit(context: Context, axis: int) -> str:
    # astropy warns of a unit that is no unit, such as STOKES, and gives its name all the same.
    with quiet():
        return str(context.wcs.wcs.cunit[axis]).strip()


def _world(context: Context, axis: int, pixel: float) -> float | None:
    wcs, shape = context.wcs, context.hdu.shape
    place = [
        (shape[len(shape) - 1 - k] - 1) / 2.0 if k < len(shape) else 0.0 for k in range(wcs.naxis)
    ]
    place[axis] = pixel
    with quiet(), np.errstate(all="ignore"):
        try:
            value = float(wcs.wcs_pix2world([place], 0)[0][axis])
        except Exception:  # noqa: BLE001 - wcslib's errors share no base
            return None
    return value if math.isfinite(value) else None


def _linear(header: HeaderValues, number: int, pixel: float) -> float | None:
    value, step = as_number(header.get(f"CRVAL{number}")), as_number(header.get(f"CDELT{number}"))
    reference = as_number(header.get(f"CRPIX{number}", 0.0))
    if value is None or reference is None:
        return None
    return value + (pixel + 1.0 - reference) * (0.0 if step is None else step)
