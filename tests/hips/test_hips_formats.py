"""Tiles in each format: the same picture, and rebuilt only as far as the formats differ."""

from __future__ import annotations

import io
import shutil

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image
from pydantic import ValidationError

from hips.build import build
from hips.check import check_hips
from hips.collection import build_collection
from hips.encode import read_fits
from hips.formats import Encoding
from hips.names import allsky_path, tile_path
from hips.properties import parse_properties
from hips.recipe import BUILD_FOLDER, Recipe
from hips.settings import HipsSettings
from hips.testing import served_files
from hips.tiles.opening import open_tiles
from hips.tiles.tree import TileTree
from vodal.testing.skies import make_wcs

ALL = ("webp", "jpeg", "png", "fits")
EXTENSIONS = {"fits", "png", "jpg", "webp"}


def settings(*formats, **others):
    return HipsSettings(order=9, order_shard=1, formats=formats, **others)


def save(path, number, size=120):
    wcs = make_wcs(40.0 + 0.03 * number, 10.0, size, 2.0, 7.0 * number)
    data = np.random.default_rng(number).normal(100, 5.0, (size, size)).astype(np.float32)
    fits.PrimaryHDU(data, wcs.to_header(relax=True)).writeto(path, overwrite=True)
    return path


@pytest.fixture
def row(tmp_path, shelf):
    for number in range(3):
        shelf.put(save(tmp_path / f"{number}.fits", number))
    return shelf


def make(shelf, output, how, **options):
    return build(
        shelf.items, shelf.index, output, how, name="one", title="A test",
        creator_did="ivo://test.example/hips/one", **options,
    )  # fmt: skip


def picture(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGBA")).astype(int)


def words(folder):
    return parse_properties((folder / "properties").read_text())["hips_tile_format"]


def test_every_format_has_the_same_picture(row, tmp_path):
    make(row, tmp_path, settings(*ALL, webp_quality="lossless", jpeg_quality=98))
    one = tmp_path / "one"
    assert words(one) == "webp jpeg png fits"
    assert check_hips(one) == []
    stretch = Recipe.load(one, settings(*ALL)).stretch
    for order in range(10):
        places = [tile_path(order, npix, "png") for npix in TileTree(one).tiles(order, "png")]
        assert places
        for place in [*places, allsky_path(3, "png")] if order == 3 else places:
            path = one / place
            levels = stretch.levels(read_fits(path.with_suffix(".fits").read_bytes()))[::-1]
            png = picture(path)
            grey = np.maximum(levels.astype(int) - 1, 0) * 255 // 254
            assert np.array_equal(png[..., 3], np.where(levels > 0, 255, 0))
            assert np.array_equal(png[..., 0], grey)
            assert np.array_equal(picture(path.with_suffix(".webp")), png)
            jpg = picture(path.with_suffix(".jpg"))
            assert np.abs(jpg[..., 0] - grey).mean() < 2.0
            assert (jpg[..., 3] == 255).all()
            blank = levels == 0
            if blank.mean() > 0.5:
                assert np.median(jpg[..., 0][blank]) == 0


def test_lossy_webp_keeps_the_blank_pixels_transparent():
    levels = np.zeros((512, 512), np.uint8)
    levels[100:300, 50:200] = np.random.default_rng(1).integers(1, 255, (200, 150))
    encoding = Encoding(("webp", "fits"), 90, 80)
    small = encoding.grey("webp", levels)
    with Image.open(io.BytesIO(small)) as image:
        got = np.asarray(image.convert("RGBA"))[::-1]
    assert np.array_equal(got[..., 3] > 0, levels > 0)
    whole = Encoding(("webp", "fits"), 90, None).grey("webp", levels)
    assert len(small) < len(whole)
    assert encoding.marks != Encoding(("webp", "fits"), 90, None).marks


@pytest.mark.parametrize("storage", ["tree", "packed"])
def test_other_formats_are_made_from_the_tiles_that_are_there(row, tmp_path, storage):
    one = tmp_path / "hips" / "one"
    make(row, tmp_path / "hips", settings("png", "fits", storage=storage))
    before = {path: path.stat().st_ino for path in one.rglob("Npix*.*")}
    for path in tmp_path.glob("*.fits"):
        path.rename(path.with_suffix(".gone"))  # No image is read again.
    for how in (
        settings("jpeg", "fits", "webp", storage=storage),
        settings("jpeg", "fits", jpeg_quality=40, storage=storage),
        settings("fits", storage=storage),
        settings("fits", "png", storage=storage),
    ):
        summary = make(row, tmp_path / "hips", how)
        assert summary.skipped == ()
        assert summary.rendered > 0
        assert check_hips(one) == []
        wanted = set(Encoding.of_band(how).marks)
        assert words(one) == " ".join(how.formats)
        assert {path.suffix[1:] for path in one.rglob("Norder*/Allsky.*")} == wanted
        kinds = {e for e in EXTENSIONS for k in (3, 9) if open_tiles(one).tiles(k, e)}
        assert kinds == wanted
        for path, inode in before.items():
            assert path.suffix != ".fits" or path.stat().st_ino == inode
        shutil.rmtree(tmp_path / "whole", ignore_errors=True)
        (tmp_path / "whole" / "one" / BUILD_FOLDER).mkdir(parents=True)
        kept = f"{BUILD_FOLDER}/recipe.json"
        shutil.copy(one / kept, tmp_path / "whole" / "one" / kept)
        for path in tmp_path.glob("*.gone"):
            path.rename(path.with_suffix(".fits"))
        make(row, tmp_path / "whole", how)
        assert served_files(one)[0] == served_files(tmp_path / "whole" / "one")[0]
        for path in tmp_path.glob("*.fits"):
            path.rename(path.with_suffix(".gone"))
        assert make(row, tmp_path / "hips", how).rendered == 0


def test_colours_have_the_formats_that_are_pictures(tmp_path, shelf):
    for band, em in {"g": 4.8e-7, "r": 6.2e-7, "i": 7.5e-7}.items():
        path = save(tmp_path / f"{band}.fits", len(band))
        did = f"ivo://test.example/demo?{band}"
        shelf.put(path, did=did, filter=band, em_min=em - 6e-8, em_max=em + 6e-8)
    color = tmp_path / "hips" / "demo-color"
    for formats, expected in (
        (("fits",), {"png"}),
        (("jpeg", "webp", "fits"), {"jpg", "webp"}),
        (("png", "webp", "jpeg", "fits"), {"png", "webp", "jpg"}),
    ):
        how = settings(*formats, webp_quality="lossless", jpeg_quality=97)
        build_collection(shelf, shelf, "demo", tmp_path / "hips", how)
        assert check_hips(color) == []
        assert {path.suffix[1:] for path in color.rglob("Norder*/**/*.*")} == expected
        assert words(color) == (" ".join(w for w in formats if w != "fits") or "png")
    for order in range(10):
        for npix in TileTree(color).tiles(order, "png"):
            path = color / tile_path(order, npix, "png")
            png = picture(path)
            assert np.array_equal(picture(path.with_suffix(".webp")), png)
            seen = png[..., 3] == 255
            jpg = picture(path.with_suffix(".jpg"))
            assert np.abs(jpg[..., :3] - png[..., :3])[~seen].mean() < 3.0


@pytest.mark.parametrize(
    "formats", [("png",), ("fits", "fits"), ("fits", "gif"), (), ("fits", "jpg")]
)
def test_formats_that_cannot_be_are_refused(formats):
    with pytest.raises(ValidationError, match="formats"):
        HipsSettings(formats=formats)


@pytest.mark.aladin
def test_aladin_finds_no_error_in_other_formats(row, tmp_path, lint):
    make(row, tmp_path, settings("jpeg", "webp", "fits"))
    text = lint(tmp_path / "one")
    assert "IVOA HiPS 1.0 compatible" in text, text
    assert "ERROR" not in text, text
