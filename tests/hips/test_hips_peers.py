"""HiPS beside those of other makers: Hipsgen's of the same images, and reproject."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from PIL import Image
from reproject import reproject_interp
from reproject.hips import hips_as_dask_array

from hips.build import build
from hips.check import Level, check_hips
from hips.encode import read_fits
from hips.names import tile_path
from hips.settings import HipsSettings
from hips.tiles.tree import TileTree
from vodal.testing.skies import make_wcs

ORDER = 8
JAR = Path("/usr/share/java/aladin.jar")


@pytest.fixture(scope="module")
def draw(tmp_path_factory, save_image) -> Callable[..., Path]:
    """Give what makes a folder with two images that overlap, turned; one may be distorted."""

    def make(*, distorted: bool) -> Path:
        folder = tmp_path_factory.mktemp("images")
        y, x = np.indices((150, 150))
        rng = np.random.default_rng(8)
        for name, ra, turn in (("a", 83.20, 33.0), ("b", 83.24, -70.0)):
            wcs = make_wcs(ra, 4.3, 150, 1.8, turn, distorted=distorted and name == "b")
            light = 100 + 20 * np.sin(x / 7) * np.cos(y / 9) + 0.2 * x + rng.normal(0, 1, x.shape)
            save_image(folder / f"{name}.fits", light.astype(np.float32), wcs)
        return folder

    return make


@pytest.fixture(scope="module")
def images(draw) -> Path:
    """Give the folder of two images without distortion."""
    return draw(distorted=False)


@pytest.fixture(scope="module")
def hips_of(tmp_path_factory, new_shelf) -> Callable[[Path], Path]:
    """Give what makes our HiPS of the images of a folder."""

    def make(folder: Path) -> Path:
        shelf = new_shelf()
        for path in sorted(folder.glob("*.fits")):
            shelf.put(path)
        settings = HipsSettings(order=ORDER, weights="uniform", photometry=False)
        return build(
            shelf.items, shelf.index, tmp_path_factory.mktemp("ours"), settings,
            name="one", title="Beside others", creator_did="ivo://test.example/hips/one",
        ).path  # fmt: skip

    return make


@pytest.fixture(scope="module")
def ours(images, hips_of) -> Path:
    return hips_of(images)


@pytest.fixture(scope="module")
def theirs(images, tmp_path_factory) -> Path:
    """Give Hipsgen's HiPS of the same images."""
    if not JAR.is_file() or shutil.which("java") is None:
        pytest.skip("Debian's aladin package is not installed")
    folder = tmp_path_factory.mktemp("theirs") / "hips"
    done = subprocess.run(
        ["java", "-Xmx1g", "-Djava.awt.headless=true", "-jar", str(JAR), "-hipsgen",
         f"in={images}", f"out={folder}", "creator_did=ivo://test.example/hips/theirs",
         "maxThread=1", f"hips_order={ORDER}", "INDEX", "TILES", "PNG"],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert (folder / "properties").is_file(), done.stdout + done.stderr
    return folder


def tile(folder, order, npix, extension="fits"):
    path = folder / tile_path(order, npix, extension)
    if extension == "fits":
        return read_fits(path.read_bytes())
    with Image.open(path) as image:
        return np.asarray(image.convert("RGBA"))[::-1].astype(float)


@pytest.mark.aladin
@pytest.mark.parametrize("order", range(ORDER + 1))
def test_tiles_are_those_of_hipsgen(ours, theirs, order):
    numbers = TileTree(ours).tiles(order, "fits")
    assert numbers == TileTree(theirs).tiles(order, "fits")
    difference, blank, count = [], 0, 0
    for npix in numbers:
        one, other = tile(ours, order, npix), tile(theirs, order, npix)
        both = np.isfinite(one) & np.isfinite(other)
        difference.append((one - other)[both])
        blank += int((np.isfinite(one) != np.isfinite(other)).sum())
        count += int(both.sum())
    off = np.concatenate(difference)
    if order < 4:
        # All pixels hold an edge of the images, which weighs by its area in ours only.
        assert np.abs(off).max() < 15.0
        assert blank == 0
        return
    # Of values of 100 with a noise of 1.
    assert abs(np.median(off)) < 1e-4
    assert np.median(np.abs(off)) < 1e-3
    assert blank < np.sqrt(count)


@pytest.mark.aladin
def test_pictures_are_the_same_way_up_as_those_of_hipsgen(ours, theirs):
    for order in range(ORDER + 1):
        for npix in TileTree(ours).tiles(order, "png"):
            one, other = (tile(folder, order, npix, "png") for folder in (ours, theirs))
            both = (one[..., 3] > 0) & (other[..., 3] > 0)
            if both.sum() > 400:
                levels = one[both][:, 0], other[both][:, 0]
                assert np.corrcoef(*levels)[0, 1] > 0.9


@pytest.mark.aladin
def test_the_check_finds_no_error_in_hipsgen_s_tiles(theirs):
    """Only what Hipsgen leaves to its user is missing: descriptions."""
    found = [f for f in check_hips(theirs, 0) if f.level != Level.NOTE]
    assert [f for f in found if f.level == Level.ERROR] == []
    assert {f.rule for f in found} <= {"keyword-recommended", "parent-values", "picture-blank"}


def test_tiles_are_what_reproject_makes_of_distorted_images(draw, hips_of):
    """Hipsgen is no judge of these: its inverse of SIP is off by some tenths of a pixel."""
    images = draw(distorted=True)
    ours, compared = hips_of(images), 0
    for npix in TileTree(ours).tiles(ORDER, "fits"):
        with fits.open(ours / tile_path(ORDER, npix, "fits")) as file:
            header, value = file[0].header.copy(), file[0].data.astype(float)
        layers = []
        for path in sorted(images.glob("*.fits")):
            with fits.open(path) as file, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                wcs = WCS(file[0].header)
                layers.append(
                    reproject_interp(
                        (file[0].data, wcs), header, order="bilinear", return_footprint=False
                    )
                )
        known = np.isfinite(layers).sum(axis=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mean = np.nanmean(layers, axis=0)
        # Where an image ends, its weight falls off in ours and not there.
        inner = np.isfinite(mean) & np.isfinite(value) & _even(known)
        np.testing.assert_allclose(value[inner], mean[inner], rtol=2e-4)
        compared += int(inner.sum())
    assert compared > 10_000


def _even(count):
    """Give the pixels whose neighbours have as many images."""
    same = np.ones(count.shape, bool)
    for axis in (0, 1):
        for step in range(-3, 4):
            same &= np.roll(count, step, axis) == count
    return same


def test_reproject_s_reader_loads_it(ours):
    for level in (0, 3, ORDER):
        array, wcs = hips_as_dask_array(str(ours), level=level)
        npix = TileTree(ours).tiles(level, "fits")[0]
        value = tile(ours, level, npix)
        row, column = (int(v[0]) for v in np.nonzero(np.isfinite(value)))
        with fits.open(ours / tile_path(level, npix, "fits")) as file:
            sky = WCS(file[0].header).pixel_to_world(column, row)
        x, y = (round(float(v)) for v in wcs.world_to_pixel(sky))
        block = array.blocks[y // 512, x // 512].compute()
        assert block.shape == value.shape
        assert block[y % 512, x % 512] == pytest.approx(float(value[row, column]))
