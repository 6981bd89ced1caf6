"""Stitched images of real files, against reproject and astropy."""

from __future__ import annotations

import io
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from reproject import reproject_exact, reproject_interp

sys.path.insert(0, str(Path(__file__).parent))
from soda_files import verify

from soda.output import Output
from soda.selection import Selection
from soda.stitch.files import inputs_of_file
from soda.stitch.make import stitch
from soda.stitch.request import StitchRequest

pytestmark = pytest.mark.realdata


def stitched(paths, tmp_path, **options):
    inputs = [one for path in paths for one in inputs_of_file(path)]
    asked = StitchRequest(
        Selection(), conserved="brightness", photometry="none", coverage=True,
        output=Output(outside="keep"), **options,
    )  # fmt: skip
    path = tmp_path / "stitched.fits"
    path.write_bytes(stitch(inputs, asked).body)
    assert not verify(path)
    with fits.open(io.BytesIO(path.read_bytes())) as hdus:
        return inputs, hdus[0].header, hdus[0].data, hdus["COVERAGE"].data


def by_reproject(paths, numbers, header, shape):
    """Give the mean of images that reproject brings to the grid, and how many there are."""
    total, count = np.zeros(shape), np.zeros(shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path, number in zip(paths, numbers, strict=True):
            with fits.open(path) as hdus:
                one = hdus[number]
                sky = WCS(one.header, hdus).celestial
                values, _ = reproject_interp(
                    (one.data, sky), WCS(header), shape_out=shape, order="bilinear"
                )
            known = np.isfinite(values)
            total[known] += values[known]
            count += known
        return total / count, count


@pytest.mark.parametrize(
    ("pattern", "several"),
    [("decam_i_dithers/DEC-OBS04?.mini.fits", 4), ("decam_dithers_grz/c4d_*_ooi_z_ls9.N3.fits", 2)],
)
def test_dithers_are_what_reproject_makes_of_them(real_images, tmp_path, pattern, several):
    paths = sorted(real_images.glob(pattern))
    assert len(paths) == several
    inputs, header, data, coverage = stitched(paths, tmp_path, combination="mean")
    names = [header[f"CUTID{k:03d}"] for k in range(1, several + 1)]
    assert names == [one.name for one in inputs]
    numbers = [one.source.hdus[0] for one in inputs]
    expected, count = by_reproject(paths, numbers, header, data.shape)
    # Where both take all of the same images in full: no edges, no masked pixels.
    whole = (np.abs(coverage - count) < 1e-3) & (count > 0)
    assert whole.mean() > 0.3
    off = np.abs(data - expected)[whole]
    spread = np.nanpercentile(expected[whole], 84) - np.nanpercentile(expected[whole], 16)
    # Places agree to 0.005 pixel of each other's interpolation.
    assert np.median(off) < 0.01 * spread
    assert np.percentile(off, 99) < 0.1 * spread


@pytest.mark.parametrize("rotation", [0.0, 37.0])
def test_flux_is_that_of_exact_overlaps(real_images, tmp_path, rotation):
    (path,) = real_images.glob("decam_i_dithers/DEC-OBS04a.mini.fits")
    _, header, data, coverage = stitched([path], tmp_path, rotation_deg=rotation)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with fits.open(path) as hdus:
            expected, share = reproject_exact(
                (hdus[0].data, WCS(hdus[0].header).celestial), WCS(header), shape_out=data.shape
            )
    whole = (coverage > 0.999) & (share > 0.999) & np.isfinite(data)
    assert whole.mean() > 0.3
    # Sampling at points and exact overlaps differ by noise alone, which adds up to nothing.
    assert data[whole].sum() == pytest.approx(expected[whole].sum(), rel=1e-3)
