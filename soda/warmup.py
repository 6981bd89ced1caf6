"""Cutouts of a tiny image, so that a worker's first request finds all libraries loaded."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from astropy.io import fits

from soda.cut import cutout_file
from soda.selection import Selection
from soda.stitch.files import inputs_of_file
from soda.stitch.make import stitch
from soda.stitch.request import StitchRequest
from vodal.regions import Circle

__all__ = ["cut_sample"]


def cut_sample() -> None:
    """Make a plain and a compressed image with distortion, cut both, and stitch them."""
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
        part = Selection(Circle(10.0, 0.0, 5e-4))
        cutout_file(path, part)
        stitch(inputs_of_file(path), StitchRequest(part, combination="median"))
