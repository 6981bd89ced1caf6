"""Decoded images: what is read is what was written, and memory does not grow with their number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hips.calibration import Calibration
from hips.decode import ImageCache, decode, drop_decoded
from hips.images import ImageSource, open_image
from hips.settings import HipsSettings
from vodal.testing.skies import make_wcs

SIDE = 300
BYTES = 4 * SIDE * SIDE


@pytest.fixture
def decoded(tmp_path, shelf, save_image):
    """Decode five images; gives their values and the files."""
    made = {}
    for number in range(5):
        values = np.random.default_rng(number).normal(5.0, 1.0, (SIDE, SIDE)).astype(np.float32)
        values[number, 7] = np.nan
        wcs = make_wcs(10.0 + number, 5.0, SIDE, 1.0)
        product = shelf.put(save_image(tmp_path / f"{number}.fits", values, wcs))
        index = shelf.index(product).to_bytes()
        source = ImageSource(number, product.did, product.uri, index, product.hdus, None)
        decode(source, Calibration(1.0, 1), HipsSettings(), tmp_path / f"{number}.image")
        made[tmp_path / f"{number}.image"] = values
    return made


def mapped(folder):
    """Give the names of the decoded images of a folder that this process maps, also of removed."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return {Path(line.split()[5]).name for line in lines if f"{folder}/" in line}


@pytest.mark.parametrize("limit", [1, BYTES, 10 * BYTES])
def test_images_are_those_that_were_decoded_whatever_is_held(decoded, limit):
    cache = ImageCache(limit)
    for _ in range(2):
        for number, (path, values) in enumerate(decoded.items()):
            image = cache.get(path)
            np.testing.assert_array_equal(image.pixels, values)
            x, y = image.mapping.to_pixel([10.0 + number], [5.0])
            np.testing.assert_allclose([x[0], y[0]], (SIDE - 1) / 2.0, atol=1e-6)


def test_no_more_is_held_than_allowed_and_nothing_of_files_that_are_gone(decoded, tmp_path):
    cache = ImageCache(3 * BYTES)
    paths = list(decoded)
    for path in paths:
        cache.get(path)
    assert mapped(tmp_path) == {"2.image", "3.image", "4.image"}
    drop_decoded(paths[3])
    cache.get(paths[4])
    assert "3.image" in mapped(tmp_path)
    cache.get(paths[0])
    assert mapped(tmp_path) == {"0.image", "2.image", "4.image"}


def test_the_coordinates_of_an_image_are_found_out_once(tmp_path, shelf, save_image):
    path = save_image(tmp_path / "a.fits", np.ones((9, 9), np.float32), make_wcs(1.0, 2.0, 9, 1.0))
    product = shelf.put(path)
    parts = (0, product.did, product.uri, shelf.index(product).to_bytes(), product.hdus, None)
    first = open_image(ImageSource(*parts))
    first.close()
    again = open_image(ImageSource(*parts))
    assert again is first
    np.testing.assert_array_equal(again.section(again.hdu, slice(0, 9), slice(0, 9)), 1.0)
    again.close()
