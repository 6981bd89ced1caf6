"""Overlapping exposures of one sky, for measurements of HiPS: rotated, with or without distortion.

    python bench/mosaic.py FOLDER --kind sip --count 36 --size 4096

The exposures lie in rows, so close that a tile of order 11 is reached by 1.7 of them where their
pixels have 0.2 arcsec and there are 36. Stars are the same in all, noise is each one's own.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS, Sip
from numpy.typing import NDArray

from vodal.testing.skies import make_wcs

__all__ = ["make_mosaic"]

_CENTRE = (150.0, 10.0)
_PIXEL_ARCSEC = 0.2
_STEP = 0.86
"""From one exposure's centre to the next, in its side."""
_STARS_PER_PIXEL = 1.0 / 4000.0
_RADIUS = 10
_DISTORTION = 3.0
"""Times that of `make_wcs` for 4096 pixels a side; less for smaller ones, as of one camera."""
_BACK = 4
"""Order of the inverse distortion."""


def make_mosaic(folder: Path, kind: str, count: int, size: int) -> list[Path]:
    """Write the exposures that are not there yet.

    Parameters
    ----------
    folder
        Made if need be.
    kind
        ``sip`` (TAN with SIP of order 3 and its inverse of order 4, as astrometry.net and Rubin's
        pipelines write them; corners of 4096 x 4096 pixels are off by 8),
        ``tan`` (no distortion), or ``rice`` (``sip`` with RICE compression, in the first
        extension).
    count
        How many.
    size
        Pixels along a side.

    Returns
    -------
    list of Path
        In order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:04d}.fits{'.fz' if kind == 'rice' else ''}"
             for number in range(count)]  # fmt: skip
    for number, path in enumerate(paths):
        if not path.exists():
            wcs = _place(number, math.ceil(math.sqrt(count)), size, distorted=kind != "tan")
            partial = path.with_name(f".{path.name}")
            _hdus(wcs, _exposure(number, wcs, size), kind).writeto(partial, overwrite=True)
            partial.replace(path)
    return paths


def _place(number: int, columns: int, size: int, *, distorted: bool) -> WCS:
    row, column = divmod(number, columns)
    step = _STEP * size * _PIXEL_ARCSEC / 3600.0
    dec = _CENTRE[1] + (row - (columns - 1) / 2.0) * step
    ra = _CENTRE[0] + (column - (columns - 1) / 2.0) * step / math.cos(math.radians(dec))
    turn = 7.0 * number % 23.0 - 11.0
    wcs = make_wcs(ra, dec, size, _PIXEL_ARCSEC, turn, distorted=distorted)
    if distorted:
        strength = _DISTORTION * size / 4096.0
        a, b = strength * wcs.sip.a, strength * wcs.sip.b
        wcs.sip = Sip(a, b, *_inverse(a, b, size / 2.0), wcs.wcs.crpix)
    return wcs


def _inverse(
    a: NDArray[np.float64], b: NDArray[np.float64], half: float
) -> list[NDArray[np.float64]]:
    """Fit the polynomials that lead back, over the whole exposure.

    Hipsgen 12.001 goes by them; without, it takes no longer than for images without distortion.
    """
    u, v = (axis.ravel() for axis in np.meshgrid(*2 * [np.linspace(-half, half, 41)]))
    off = [np.polynomial.polynomial.polyval2d(u, v, terms) for terms in (a, b)]
    powers = [(i, j) for i in range(_BACK + 1) for j in range(_BACK + 1 - i)]
    x, y = (u + off[0]) / half, (v + off[1]) / half
    matrix = np.stack([x**i * y**j for i, j in powers], axis=1)
    found = []
    for moved in off:
        fitted = np.linalg.lstsq(matrix, -moved, rcond=None)[0]
        terms = np.zeros((_BACK + 1, _BACK + 1))
        for (i, j), value in zip(powers, fitted, strict=True):
            terms[i, j] = value / half ** (i + j)
        found.append(terms)
    return found


def _exposure(number: int, wcs: WCS, size: int) -> NDArray[np.float32]:
    random = np.random.default_rng(number)
    image = random.standard_normal((size, size), np.float32)
    image *= 10.0
    image += 100.0
    x, y, flux = _stars(wcs, size)
    side = np.arange(-_RADIUS, _RADIUS + 1)
    for column, row, one in zip(x, y, flux, strict=True):
        i, j = round(column), round(row)
        star = np.exp(-0.5 * ((side[:, None] + j - row) ** 2 + (side + i - column) ** 2) / 1.7**2)
        image[j - _RADIUS : j + _RADIUS + 1, i - _RADIUS : i + _RADIUS + 1] += one * star
    return image


def _stars(wcs: WCS, size: int) -> tuple[NDArray[np.float64], ...]:
    """Give places and brightness of the stars of the sky that are whole on an exposure.

    The sky is sown square by square, each by its own seed, so that exposures agree.
    """
    side = size * _PIXEL_ARCSEC / 3600.0
    ra, dec = wcs.wcs.crval
    ra_step = side / math.cos(math.radians(_CENTRE[1]))
    sky = [
        np.random.default_rng((a, b)).random((int(size * size * _STARS_PER_PIXEL), 3))
        + np.array([a, b, 0.0])
        for a in range(int((ra / ra_step) - 1), int(ra / ra_step) + 2)
        for b in range(int((dec / side) - 1), int(dec / side) + 2)
    ]
    drawn = np.concatenate(sky)
    x, y = wcs.wcs_world2pix(drawn[:, 0] * ra_step, drawn[:, 1] * side, 0)
    near = (x > -size / 8) & (x < 1.125 * size) & (y > -size / 8) & (y < 1.125 * size)
    drawn = drawn[near]
    x, y = wcs.all_world2pix(drawn[:, 0] * ra_step, drawn[:, 1] * side, 0)
    inside = (np.minimum(x, y) > _RADIUS + 1) & (np.maximum(x, y) < size - _RADIUS - 2)
    flux = 10.0 ** (1.0 + 3.0 * drawn[:, 2] ** 2)
    return x[inside], y[inside], flux[inside]


def _hdus(wcs: WCS, image: NDArray[np.float32], kind: str) -> fits.HDUList:
    header = wcs.to_header(relax=True)
    header["EXPTIME"], header["FILTER"], header["MAGZERO"] = 300.0, "r", 27.0
    if kind != "rice":
        return fits.HDUList([fits.PrimaryHDU(image, header)])
    packed = fits.CompImageHDU(
        image, header, compression_type="RICE_1", quantize_level=16.0, quantize_method=1,
        dither_seed=42,
    )  # fmt: skip
    return fits.HDUList([fits.PrimaryHDU(), packed])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kind", choices=("sip", "tan", "rice"), default="sip")
    parser.add_argument("--count", type=int, default=36)
    parser.add_argument("--size", type=int, default=4096)
    asked = parser.parse_args()
    make_mosaic(asked.folder, asked.kind, asked.count, asked.size)
