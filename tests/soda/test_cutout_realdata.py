from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

sys.path.insert(0, str(Path(__file__).parent))
from soda_files import assert_same_pixels, assert_same_sky, section, verify

from soda.cut import cutout
from soda.selection import Selection
from soda.source import Source
from vodal.errors import SkylaneError
from vodal.fits.opening import open_pixels
from vodal.fits.planes import group_planes
from vodal.fits.scan import scan_file
from vodal.fits.wcs import load_wcs, pixel_scale_arcsec, pixel_to_icrs, sky_wcs
from vodal.regions import Circle

# Astropy itself fails on these: a projection it does not know, a tile beside the cutout.
NOT_ASTROPY = {"manyaxes.fits", "dev_corrupt_heap.fits.fz"}


def products(folder):
    """Give the sources of all files that can be catalogued, with their skies."""
    for path in sorted(item for item in folder.rglob("*") if item.is_file()):
        try:
            index = scan_file(path)
            groups = group_planes(index)
        except SkylaneError:
            continue
        for group in groups:
            source = Source(path.as_uri(), index, group.hdus)
            try:
                with open_pixels(source.uri, index) as reader:
                    yield path, source, load_wcs(index.hdus[group.hdus[0]], index, reader)
            except SkylaneError:
                continue


def middle_of(source, wcs):
    """Give a stencil a tenth of the image wide, off its middle."""
    sky = sky_wcs(wcs)
    axes = sorted((wcs.wcs.lng, wcs.wcs.lat))
    shape = source.index.hdus[source.hdus[0]].shape
    nx, ny = (shape[len(shape) - 1 - axis] for axis in axes)
    x, y = 0.4 * nx, 0.6 * ny
    ra, dec = pixel_to_icrs(sky, np.array([x]), np.array([y]))
    if not np.isfinite(ra[0]):
        return None
    radius = pixel_scale_arcsec(sky, x, y) / 3600 * max(3.0, 0.1 * min(nx, ny))
    return Circle(float(ra[0]), float(dec[0]), min(radius, 90.0))


@pytest.mark.realdata
def test_cutouts_of_real_images_equal_astropys(real_images, tmp_path, monkeypatch):
    # Real headers make astropy talk; that is not what is tested.
    warnings.simplefilter("ignore")
    monkeypatch.setattr(logging.getLogger("astropy"), "disabled", True)
    out = tmp_path / "cut.fits"
    checked = 0
    for path, source, wcs in products(real_images):
        stencil = middle_of(source, wcs)
        if stencil is None or path.name in NOT_ASTROPY:
            continue
        made = cutout(source, Selection(stencil))
        assert made is not None, path
        out.write_bytes(made.body)
        with fits.open(out) as cut, fits.open(path) as original:
            for hdu in cut:
                if "CUTHDU" in hdu.header:
                    before = original[hdu.header["CUTHDU"]]
                    assert_same_pixels(hdu, before)
                    if "CTYPE1" in hdu.header:
                        assert_same_sky(hdu, before, cut, original)
        assert_same_for_us(out, source, wcs)
        faults = verify(out) if checked % 3 == 0 else ""
        assert not faults or verify(path), (path, faults)
        checked += 1
    assert checked > 200


def assert_same_for_us(out, source, wcs):
    """Compare the sky as we read it, which includes what astropy drops (TNX, ZPX)."""
    index = scan_file(out)
    number = next(
        hdu.number for hdu in index.hdus if hdu.shape and hdu.header.get("CUTHDU") == source.hdus[0]
    )
    hdu = index.hdus[number]
    with open_pixels(out.as_uri(), index) as reader:
        ours = load_wcs(hdu, index, reader)
    slices = section(hdu.header)
    x_axis, y_axis = (len(slices) - 1 - axis for axis in sorted((wcs.wcs.lng, wcs.wcs.lat)))
    x = np.linspace(-0.5, slices[x_axis].stop - slices[x_axis].start - 0.5, 5)
    y = np.linspace(-0.5, slices[y_axis].stop - slices[y_axis].start - 0.5, 5)
    found = pixel_to_icrs(ours, x, y)
    expected = pixel_to_icrs(wcs, x + slices[x_axis].start, y + slices[y_axis].start)
    tolerance = 1e-6 * pixel_scale_arcsec(wcs) / 3600
    off = np.abs(found[1] - expected[1])
    assert (np.isnan(off) | (off <= tolerance + 1e-12)).all()
