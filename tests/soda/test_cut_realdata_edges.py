"""Real images cut at corners and edges, and cutouts that are cut again."""

from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

sys.path.insert(0, str(Path(__file__).parent))
from soda_files import assert_same_sky, section
from test_cutout_realdata import NOT_ASTROPY, assert_same_for_us, products

from soda.cut import cutout, cutout_file
from soda.selection import Selection
from vodal.fits.wcs import pixel_scale_arcsec, pixel_to_icrs, sky_wcs
from vodal.regions import Circle

PLACES = [(0.0, 0.0), (1.0, 1.0), (0.0, 0.5), (0.5, 1.0), (1.0, 0.0), (0.5, 0.5)]
"""Parts of the image's width and height: corners, edges and the middle, in turn."""


def stencil_at(source, wcs, place, pixels):
    """Give a circle of some pixels about a place, None where that is off the sky."""
    shape = source.index.hdus[source.hdus[0]].shape
    nx, ny = (shape[len(shape) - 1 - axis] for axis in sorted((wcs.wcs.lng, wcs.wcs.lat)))
    x, y = place[0] * (nx - 1), place[1] * (ny - 1)
    sky = sky_wcs(wcs)
    ra, dec = pixel_to_icrs(sky, x, y)
    scale = pixel_scale_arcsec(sky, x, y)
    if not (np.isfinite(ra) and np.isfinite(scale)):
        return None
    return Circle(float(ra), float(dec), min(pixels * scale / 3600, 90.0))


def images(path):
    """Give the cut images of a file, by the HDU they were cut from."""
    with fits.open(path) as cut:
        return {
            hdu.header["CUTHDU"]: (section(hdu.header), np.array(hdu.data), hdu.header.copy())
            for hdu in cut
            if "CUTHDU" in hdu.header
        }


@pytest.mark.realdata
def test_corners_and_edges_of_real_images_and_cuts_of_cuts(real_images, tmp_path, monkeypatch):
    # Real headers make astropy talk; that is not what is tested.
    warnings.simplefilter("ignore")
    monkeypatch.setattr(logging.getLogger("astropy"), "disabled", True)
    out, small, again = (tmp_path / f"{name}.fits" for name in ("cut", "small", "again"))
    checked = cut_again = 0
    for number, (path, source, wcs) in enumerate(products(real_images)):
        if path.name in NOT_ASTROPY:
            continue
        place = PLACES[number % len(PLACES)]
        large, little = (stencil_at(source, wcs, place, pixels) for pixels in (12.0, 4.0))
        if large is None or little is None:
            continue
        made = cutout(source, Selection(large))
        assert made is not None, path
        out.write_bytes(made.body)
        with fits.open(out) as cut, fits.open(path) as original:
            for hdu in cut:
                if "CUTHDU" in hdu.header:
                    before = original[hdu.header["CUTHDU"]]
                    expected = before.section[section(hdu.header)]
                    np.testing.assert_array_equal(hdu.data, expected, str(path))
                    if "CTYPE1" in hdu.header:
                        assert_same_sky(hdu, before, cut, original)
        assert_same_for_us(out, source, wcs)
        checked += 1
        if number // len(PLACES) % 2:
            continue
        direct = cutout(source, Selection(little))
        assert direct is not None
        small.write_bytes(direct.body)
        second = cutout_file(out, Selection(little))
        assert second is not None, path
        again.write_bytes(second.body)
        assert_same_again(images(small), images(again), path)
        cut_again += 1
    assert checked > 200
    assert cut_again > 100


def assert_same_again(direct, again, path):
    """Compare what was cut from the original with what was cut from a cutout of it."""
    assert len(again) == len(direct), path
    assert again.keys() == direct.keys()
    for number, (true_part, true_pixels, true_header) in direct.items():
        part, pixels, header = again[number]
        assert part == true_part, path
        np.testing.assert_array_equal(pixels, true_pixels, str(path))
        for keyword in set(true_header) - {"CUTDATE", "COMMENT", "HISTORY", ""}:
            if isinstance(true_header[keyword], float):
                assert header[keyword] == pytest.approx(true_header[keyword], rel=1e-12), keyword
            else:
                assert header[keyword] == true_header[keyword], (path, keyword)
