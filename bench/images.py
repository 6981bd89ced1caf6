"""Images to cut from: one sky of noise and stars, stored in the usual ways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

__all__ = ["CENTRE", "KINDS", "PIXEL_DEG", "make_images"]

CENTRE = (150.1, 2.2)
"""ra and dec of the middle of all images, ICRS degrees."""
PIXEL_DEG = 0.22 / 3600.0
KINDS = ("plain", "rice-rows", "rice-256", "three-planes")


def _sky(size: int) -> NDArray[np.float32]:
    random = np.random.default_rng(1)
    image = random.normal(1000.0, 12.0, (size, size)).astype(np.float32)
    count = size * size // 3400
    flux = 10.0 ** random.uniform(2.0, 5.0, count) / 28.3
    y, x = np.mgrid[-10:11, -10:11]
    star = np.exp(-(x**2 + y**2) / 9.0).astype(np.float32)
    for column, row, one in zip(*random.integers(12, size - 12, (2, count)), flux, strict=True):
        image[row - 10 : row + 11, column - 10 : column + 11] += np.float32(one) * star
    return image


def _header(size: int, name: str) -> fits.Header:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = CENTRE
    wcs.wcs.crpix = [size / 2 + 0.5, size / 2 + 0.5]
    wcs.wcs.cd = [[-PIXEL_DEG, 1e-7], [1e-7, PIXEL_DEG]]
    header = wcs.to_header()
    header["INSTRUME"], header["MJD-OBS"], header["EXPTIME"] = "BenchCam", 59000.1, 300.0
    header["FILTER"], header["OBJECT"] = "r", name
    return header


def make_images(folder: Path, size: int) -> dict[str, Path]:
    """Write one file of each kind, unless it is there.

    Parameters
    ----------
    folder
        Made if need be.
    size
        Of an image, pixels along each axis.

    Returns
    -------
    dict
        From the kind to its file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = {kind: folder / f"{kind}-{size}.fits" for kind in KINDS}
    if all(path.exists() for path in paths.values()):
        return paths
    sky = _sky(size)
    mask = (sky > 1100.0).astype(np.int32)
    variance = np.maximum(sky, 1.0)
    rice: dict[str, Any] = {
        "compression_type": "RICE_1", "quantize_level": 16.0, "quantize_method": 2,
        "dither_seed": 42,
    }  # fmt: skip
    made = {
        "plain": [fits.PrimaryHDU(sky, _header(size, "plain"))],
        "rice-rows": [fits.PrimaryHDU(), fits.CompImageHDU(sky, _header(size, "rows"), **rice)],
        "rice-256": [
            fits.PrimaryHDU(),
            fits.CompImageHDU(sky, _header(size, "tiles"), tile_shape=(256, 256), **rice),
        ],
        "three-planes": [
            fits.PrimaryHDU(),
            fits.ImageHDU(sky, _header(size, "planes"), name="IMAGE"),
            fits.ImageHDU(mask, _header(size, "planes"), name="MASK"),
            fits.ImageHDU(variance, _header(size, "planes"), name="VARIANCE"),
        ],
    }
    for kind, hdus in made.items():
        fits.HDUList(hdus).writeto(paths[kind], overwrite=True)
    return paths
