"""Stitched images of real files, against reproject and astropy."""

from __future__ import annotations

import io
import sys
import warnings
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from astropy.wcs.utils import pixel_to_skycoord, skycoord_to_pixel
from reproject import reproject_exact, reproject_interp
from scipy.ndimage import maximum_filter, minimum_filter

sys.path.insert(0, str(Path(__file__).parent))
from soda_files import verify

from soda.output import Output
from soda.selection import Selection
from soda.stitch.files import inputs_of_file
from soda.stitch.make import stitch
from soda.stitch.request import StitchRequest
from vodal.regions import Circle

pytestmark = pytest.mark.realdata


def stitched(paths, tmp_path, stencil=None, **options):
    inputs = [one for path in paths for one in inputs_of_file(path)]
    asked = StitchRequest(
        Selection(stencil), conserved="brightness", photometry="none", coverage=True,
        output=Output(outside="keep"), **options,
    )  # fmt: skip
    path = tmp_path / "stitched.fits"
    path.write_bytes(stitch(inputs, asked).body)
    assert not verify(path)
    with fits.open(io.BytesIO(path.read_bytes())) as hdus:
        return inputs, hdus[0].header, hdus[0].data, hdus["COVERAGE"].data


def path_of(one):
    return Path(url2pathname(urlsplit(one.source.uri).path))


def each_by_reproject(inputs, header, shape):
    """Bring each image to the grid by reproject."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for one in inputs:
            with fits.open(path_of(one)) as hdus:
                image = hdus[one.source.hdus[0]]
                sky = WCS(image.header, hdus).celestial
                yield reproject_interp(
                    (image.data, sky), WCS(header), shape_out=shape, order="bilinear",
                    return_footprint=False,
                )  # fmt: skip


def by_reproject(inputs, header, shape):
    """Give the mean of images that reproject brings to the grid, and how many there are."""
    total, count = np.zeros(shape), np.zeros(shape)
    for values in each_by_reproject(inputs, header, shape):
        known = np.isfinite(values)
        total[known] += values[known]
        count += known
    with np.errstate(invalid="ignore"):
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
    expected, count = by_reproject(inputs, header, data.shape)
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


CAMERAS = {
    # Two runs over one field; columns along declination, unsigned, whole-file gzip.
    "sdss": "sdss_fpc_griz/fpC-00*-g4-*.fit.gz",
    # Three bands of one field, int16 with BSCALE.
    "2mass": "twomass_gc_jhk/gc_2mass_?.fits",
    # Pairs of chips with SIP and lookup tables, ten pixels wide; of WFC3 twice the same.
    "wfc3": "hst/sample_*_flc.fits",
    "acs": "hst/2chip?.fits.gz",
    "acs, a hundred pixels": "hst/dist_lookup.fits.gz",
    "wfpc2": "hst/HST-HDFS.fits",
    "nircam": "jwst_nircam/*_stamp.fits",
}


def around(one, most_pixels):
    """Give a circle about the middle of an image, half as wide as it at most."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with fits.open(path_of(one)) as hdus:
            image = hdus[one.source.hdus[0]]
            sky, (ny, nx) = WCS(image.header, hdus), image.shape
            ra, dec = sky.all_pix2world((nx - 1) / 2, (ny - 1) / 2, 0)
    pixel = np.sqrt(sky.proj_plane_pixel_area().value)
    return Circle(float(ra), float(dec), min(0.45 * min(ny, nx), most_pixels) * pixel)


@pytest.mark.parametrize("camera", CAMERAS)
def test_cameras_are_what_reproject_makes_of_them(real_images, tmp_path, camera):
    paths = sorted(real_images.glob(CAMERAS[camera]))
    for one in [one for path in paths for one in inputs_of_file(path)]:
        stencil = around(one, 60)
        inputs, header, data, coverage = stitched(paths, tmp_path, stencil, rotation_deg=20.0)
        total, count, slack = np.zeros((3, *data.shape))
        for values in each_by_reproject(inputs, header, data.shape):
            known = np.isfinite(values)
            count += known
            total[known] += values[known]
            highest = maximum_filter(np.where(known, values, -np.inf), 5)
            lowest = minimum_filter(np.where(known, values, np.inf), 5)
            slack[known] += (highest - lowest)[known]
        # Where both take all of the same images in full: no edges, no blank pixels.
        whole = (np.abs(coverage - count) < 1e-3) & (count > 0)
        assert whole.mean() > 0.5
        # Places are right to 0.005 pixel, of a slope that the values around tell.
        off = np.abs(data * count - total)
        assert (off <= 0.01 * slack + 2e-6 * np.abs(total))[whole].all()


def stars(image):
    """Find stars that stand alone, and measure their places."""
    image = np.asarray(image, np.float64)
    sky = np.nanmedian(image)
    noise = 1.4826 * np.nanmedian(np.abs(image - sky))
    peaks = (image == maximum_filter(image, 25)) & (image > sky + 30 * noise)
    found = []
    for y, x in zip(*np.nonzero(peaks), strict=True):
        place = centroid(image - sky, float(x), float(y))
        # Blends and cosmic rays have their middle beside their peak.
        if place is not None and np.hypot(place[0] - x, place[1] - y) < 1.0:
            found.append(place)
    return np.array(found)


def centroid(image, x, y):
    """Measure a place in a Gaussian window, as SExtractor's XWIN; None if the edge is near."""
    j, i = np.mgrid[: image.shape[0], : image.shape[1]]
    for _ in range(30):
        near = (slice(max(0, int(y) - 8), int(y) + 10), slice(max(0, int(x) - 8), int(x) + 10))
        values, dx, dy = image[near], i[near] - x, j[near] - y
        if values.shape != (18, 18) or not np.isfinite(values).all():
            return None
        weights = values * np.exp(-(dx**2 + dy**2) / (2 * 2.0**2))
        total = weights.sum()
        x, y = x + 2 * (weights * dx).sum() / total, y + 2 * (weights * dy).sum() / total
    return x, y


@pytest.mark.parametrize(("sampling", "most"), [("bilinear", 0.02), ("lanczos3", 0.002)])
@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("sdss_fpc_griz/fpC-004192-r4-0300.fit.gz", 10),
        ("colour_sets/CFHTLS-test_r.fits", 5),
        # Of FK5, which is 0.4 of its pixels off ICRS.
        ("hst/HST-HDFS.fits", 3),
    ],
)
def test_stars_stay_where_they_are(real_images, tmp_path, name, least, sampling, most):
    path = real_images / name
    (one,) = inputs_of_file(path)
    stencil = around(one, 300)
    _, header, data, _ = stitched([path], tmp_path, stencil, rotation_deg=20.0, sampling=sampling)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with fits.open(path) as hdus:
            image = hdus[one.source.hdus[0]]
            places = stars(image.data)
            sky = pixel_to_skycoord(*places.T, WCS(image.header, hdus))
        expected = np.stack(skycoord_to_pixel(sky, WCS(header)), axis=1)
    level, off = np.nanmedian(data), []
    for x, y in expected:
        if 10 < x < data.shape[1] - 10 and 10 < y < data.shape[0] - 10:
            place = centroid(data - level, x, y)
            if place is not None:
                off.append(np.hypot(place[0] - x, place[1] - y))
    assert len(off) >= least
    assert max(off) < most
