"""Positions: the footprint's columns, the pixels and the sharpness of the image."""

from __future__ import annotations

import math
import re

from obscore.assembly.context import Context, Values

__all__ = ["position", "sky_shape"]

_FWHM = ("PSF_FWHM", "PSFFWHM", "IQFWHM", "SEEING", "SEEING1", "FWHM", "AVGFWHM", "FWHMSEEING",
         "DIMMSEE")  # fmt: skip
_ANGLES_ARCSEC = {"arcsec": 1.0, "arcsecond": 1.0, "arcseconds": 1.0, "asec": 1.0, "mas": 1e-3,
                  "deg": 3600.0, "degree": 3600.0, "degrees": 3600.0, "arcmin": 60.0}  # fmt: skip
_WIDEST_ARCSEC = 7200.0


def sky_shape(context: Context) -> tuple[int, int]:
    """Give the pixels along the two celestial axes, in the order of the file."""
    first, second = context.sky_axes
    shape = context.hdu.shape
    return int(shape[len(shape) - 1 - first]), int(shape[len(shape) - 1 - second])


def position(context: Context) -> Values:
    """Give s_ra, s_dec, s_fov, s_xel1, s_xel2, s_pixel_scale and s_resolution."""
    footprint = context.footprint
    nx, ny = sky_shape(context)
    scale = footprint.pixel_scale_arcsec
    if context.trace is not None:
        axes = ", ".join(str(name).strip() for name in context.wcs.wcs.ctype)
        with context.of("s_ra", "s_dec", "s_fov", "s_pixel_scale"):
            context.used(how=f"the world coordinates of HDU {context.hdu.number}: {axes}")
    with context.of("s_xel1", "s_xel2"):
        context.used(how=f"the array of HDU {context.hdu.number}")
    with context.of("s_resolution"):
        resolution = _beam_arcsec(context) or _fwhm_arcsec(context, scale)
    return {
        "s_ra": footprint.ra_deg,
        "s_dec": footprint.dec_deg,
        "s_fov": footprint.fov_deg,
        "s_xel1": nx,
        "s_xel2": ny,
        "s_pixel_scale": scale if math.isfinite(scale) and scale > 0 else None,
        "s_resolution": resolution,
    }


def _beam_arcsec(context: Context) -> float | None:
    """Give the geometric mean of a radio beam's axes; BMAJ and BMIN are in degrees."""
    sizes, taken = [], []
    for keyword in ("BMAJ", "BMIN"):
        value = context.cards.number(keyword)
        if value is None:
            continue
        unit = _unit(context.cards.comment(keyword)) or "deg"
        arcsec = value * _ANGLES_ARCSEC.get(unit, 3600.0)
        if 0.0 < arcsec <= 10 * _WIDEST_ARCSEC:
            sizes.append(arcsec)
            taken.append(keyword)
        elif value != 0.0:
            context.note(f"{keyword} is {value:g}, no size of a beam")
    if not sizes:
        return None
    context.used(*taken, how="the mean size of the beam")
    return float(f"{math.sqrt(sizes[0] * sizes[-1]):.9g}")


def _fwhm_arcsec(context: Context, scale_arcsec: float) -> float | None:
    """Read a card of the seeing, in the unit that its comment names."""
    for keyword in _FWHM:
        value = context.cards.number(keyword)
        if value is None or value <= 0.0:
            continue
        unit = _unit(context.cards.comment(keyword))
        if unit is None and keyword.startswith(("SEEING", "DIMMSEE")):
            unit = "arcsec"
        if unit == "pixel":
            arcsec = value * scale_arcsec
        elif unit is not None:
            arcsec = value * _ANGLES_ARCSEC[unit]
        else:
            context.note(f"{keyword} has no unit; s_resolution stays empty")
            continue
        if 0.0 < arcsec <= _WIDEST_ARCSEC:
            context.used(keyword, how=f"in {unit}")
            return float(f"{arcsec:.6g}")
    return None


def _unit(comment: str) -> str | None:
    """Find the unit of an angle in a card's comment."""
    words: list[str] = re.findall(r"[a-z]+", comment.lower())
    for word in words:
        if word in _ANGLES_ARCSEC:
            return word
        if word in {"pix", "pixel", "pixels", "px"}:
            return "pixel"
    return None
