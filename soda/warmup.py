"""A cutout of a tiny image, so that a worker's first request finds all libraries loaded."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from astropy.io import fits

from soda.cut import cutout_file
from soda.selection import Selection
from vodal.regions import Circle

__all__ = ["cut_sample"]


def cut_sample() -> None:
    """Make a plain and a compressed image with distortion, and cut both."""
    header = fits.Header()
    for axis, (name, value) in enumerate((("RA---TAN-SIP", 10.0), ("DEC--TAN-SIP", 0.0)), 1):
        header[f"CTYPE{axis}"], header[f"CRVAL{axis}"] = name, value
        header[f"CRPIX{axis}"], header[f"CD{axis}_{axis}"] = 16.5, 1e-4
    header["A_ORDER"], header["B_ORDER"], header["A_2_0"], header["B_0_2"] = 2, 2, 1e-6, 1e-6
    pixels = np.arange(1024, dtype=np.float32).reshape(32, 32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sample.fits"
        fits.HDUList(
            [
                fits.PrimaryHDU(),
                fits.ImageHDU(pixels, header, name="IMAGE"),
                fits.CompImageHDU(pixels, header, name="WEIGHT", compression_type="RICE_1"),
            ]
        ).writeto(path)
        cutout_file(path, Selection(Circle(10.0, 0.0, 5e-4)))
