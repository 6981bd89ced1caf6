"""Files that fpack has compressed, cut by us and decompressed by funpack: the same pixels."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

sys.path.insert(0, str(Path(__file__).parent))
from soda_files import section

from soda.cut import cutout_file
from soda.selection import Selection
from vodal.regions import Circle
from vodal.testing.skies import make_wcs

KINDS = {
    "rice": ["-r"], "rice blocks": ["-r", "-t", "30,20"], "gzip": ["-g1"], "gzip shuffled": ["-g2"],
    "whole": ["-r", "-w"], "hcompress": ["-h", "-t", "40,24"],
    "hcompress lossy": ["-h", "-s", "3", "-t", "40,24"], "plio": ["-p"], "as it is": ["-d"],
}  # fmt: skip
QUANTISED = {"dithered": ["-q7", "8"], "zeros kept": ["-qz9", "8"], "no dither": ["-q0", "8"],
             "absolute": ["-q5", "-0.5"]}  # fmt: skip
PLACES = [(40.0, 5.0), (40.011, 4.989)]
"""The middle, and a corner."""


def pixels_of(dtype, *, nan=True):
    rng = np.random.default_rng(4)
    if dtype[0] == "f":
        data = rng.normal(300, 20, (72, 80)).astype(dtype)
        data[3:6, 10:60] = 0.0
        data[30:34, 30:50] = np.nan if nan else 0.0
        return data
    return rng.integers(0, 2000, (72, 80)).astype(dtype)


def check(tmp_path, hdu, flags):
    """Pack, cut twice and compare with what funpack makes of the packed file."""
    plain, packed, again = (tmp_path / f"{name}.fits" for name in ("a", "b", "c"))
    hdu.header.update(make_wcs(40.0, 5.0, 76, 1.0).to_header(relax=True))
    hdu.writeto(plain)
    subprocess.run(["fpack", *flags, "-O", packed, plain], check=True)
    subprocess.run(["funpack", "-O", again, packed], check=True)
    with fits.open(packed) as hdus:
        assert len(hdus) == 2
        assert isinstance(hdus[1], fits.CompImageHDU)
    with fits.open(again, do_not_scale_image_data=True) as hdus:
        truth = next(np.array(one.data) for one in hdus if one.data is not None)
        blank = hdus[0].header.get("BLANK")
    for place in PLACES:
        made = cutout_file(packed, Selection(Circle(*place, 12.0 / 3600)))
        assert made is not None
        with fits.open(io.BytesIO(bytes(made.body)), do_not_scale_image_data=True) as cut:
            found = next(one for one in cut if "CUTSEC" in one.header)
            expected = truth[section(found.header)]
            assert found.data.dtype == expected.dtype
            np.testing.assert_array_equal(found.data, expected)
            assert found.header.get("BLANK") == blank
            assert found.data.size > 100


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "blank", "scaled"])
def test_integers(tmp_path, kind, dtype):
    if kind == "plio" and dtype not in {"u1", "i2", "u2"}:
        pytest.skip("PLIO_1 holds positive integers of 8 and 16 bits")
    if kind in {"hcompress lossy", "as it is"} and dtype == "u1":
        pytest.skip("fpack does not make such files")
    hdu = fits.PrimaryHDU(pixels_of({"blank": "i2", "scaled": "i4"}.get(dtype, dtype)))
    if dtype == "blank":
        hdu.header["BLANK"] = int(hdu.data[40, 40])
    if dtype == "scaled":
        hdu.header["BSCALE"], hdu.header["BZERO"] = 0.25, 7.0
    check(tmp_path, hdu, KINDS[kind])


@pytest.mark.parametrize("kind", ["rice", "rice blocks", "gzip shuffled", "hcompress", "whole"])
@pytest.mark.parametrize("quantised", QUANTISED)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_floats(tmp_path, kind, quantised, dtype):
    # Of tiles of several rows funpack (CFITSIO 4.0.2) puts NaN at other places than they were.
    pixels = pixels_of(dtype, nan="-t" not in KINDS[kind])
    check(tmp_path, fits.PrimaryHDU(pixels), [*KINDS[kind], *QUANTISED[quantised]])


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_floats_without_loss(tmp_path, dtype):
    check(tmp_path, fits.PrimaryHDU(pixels_of(dtype)), ["-g", "-q", "0"])
