"""Rendering, the pyramid and the encoders, each against a slow twin."""

from __future__ import annotations

import io

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from hips.cells import sky_of
from hips.color.paint import paint
from hips.color.scale import ColorScale
from hips.encode import fits_image, fits_tile, jpeg, png_grey, png_rgba, read_fits
from hips.names import TILE_WIDTH, child_slices
from hips.pyramid import Pyramid, halve
from hips.stretch import Stretch, choose_stretch
from vodal.pictures.lupton import Balance, paint_bands
from vodal.resample.block import Layout
from vodal.resample.canvas import Canvas
from vodal.resample.grid import PixelGrid

W = TILE_WIDTH
TILE = Layout(W, W, flipped=True)


def shifted(x0, y0, scale=1.0):
    """Give a grid that lays tile pixel (u, v) on image pixel (x0 + scale u, y0 + scale v)."""
    nodes = np.arange(17) * 32.0
    x = np.repeat((x0 - 0.5 * scale + scale * nodes)[:, None], 17, 1)
    y = np.repeat((y0 - 0.5 * scale + scale * nodes)[None, :], 17, 0)
    empty = np.empty(0)
    whole = np.empty(0, np.int64)
    return PixelGrid(32, x, y, np.ones((16, 16), bool), whole, whole, empty, empty)


def exactly(x0, y0):
    u, v = (k.ravel() for k in np.indices((W, W)))
    none = np.zeros((16, 16), bool)
    nodes = np.zeros((17, 17))
    return PixelGrid(32, nodes, nodes, none, u, v, x0 + u.astype(float), y0 + v.astype(float))


def as_image(tile):
    """Give a tile as it is indexed by (y, x) of the image in `shifted`."""
    return tile[::-1].T


def bilinear(image, x, y):
    """Sample as `vodal.resample.canvas` says it does, one pixel at a time."""
    if not (-0.5 <= x < image.shape[1] - 0.5 and -0.5 <= y < image.shape[0] - 0.5):
        return np.nan
    i, j = int(np.floor(x)), int(np.floor(y))
    total = share = 0.0
    for jj, wy in ((j, 1 - (y - j)), (j + 1, y - j)):
        for ii, wx in ((i, 1 - (x - i)), (i + 1, x - i)):
            inside = 0 <= jj < image.shape[0] and 0 <= ii < image.shape[1]
            if inside and np.isfinite(image[jj, ii]):
                total += wx * wy * float(image[jj, ii])
                share += wx * wy
    return total / share if share > 0.5 else np.nan


@settings(max_examples=30, deadline=None)
@given(
    image=arrays.arrays(
        np.float32, (12, 9), elements=st.one_of(st.floats(-100, 100, width=32), st.just(np.nan))
    ),
    x0=st.floats(-3, 3),
    y0=st.floats(-3, 3),
    scale=st.floats(0.3, 2.0),
)
def test_samples_are_those_of_the_slow_twin(image, x0, y0, scale):
    canvas = Canvas(TILE)
    canvas.add(image, shifted(x0, y0, scale))
    tile = canvas.finish()
    got = np.full((40, 40), np.nan) if tile is None else as_image(tile)[:40, :40]
    for y in range(40):
        for x in range(40):
            at_x, at_y = x0 + scale * x, y0 + scale * y
            # A place on a pixel's edge, or half covered, may round to either side.
            expected = bilinear(image, at_x, at_y)
            near = {
                bilinear(image, at_x + e, at_y + f) for e in (-1e-9, 1e-9) for f in (-1e-9, 1e-9)
            }
            if any(np.isnan(n) for n in near) and not all(np.isnan(n) for n in near):
                continue
            assert got[y, x] == pytest.approx(expected, rel=1e-5, abs=1e-4, nan_ok=True)


@pytest.mark.parametrize("sampling", ["bilinear", "lanczos3"])
def test_cells_and_single_pixels_give_the_same(sampling):
    image = np.random.default_rng(1).normal(size=(300, 350)).astype(np.float32)
    image[100:104, 50] = np.nan
    tiles = []
    for grid in (shifted(-20.3, 11.7), exactly(-20.3, 11.7)):
        canvas = Canvas(TILE, sampling)
        canvas.add(image, grid)
        tiles.append(canvas.finish())
    assert np.isfinite(tiles[0]).sum() > 80_000
    np.testing.assert_allclose(tiles[0], tiles[1], rtol=1e-4, atol=1e-5)


def test_whole_pixels_are_copied_by_both_kernels():
    image = np.random.default_rng(2).normal(size=(600, 600)).astype(np.float32)
    for sampling in ("bilinear", "lanczos3"):
        canvas = Canvas(TILE, sampling)
        canvas.add(image, shifted(40, 30))
        np.testing.assert_allclose(as_image(canvas.finish()), image[30:542, 40:552], atol=2e-6)


def test_lanczos_keeps_a_star_sharper_than_bilinear():
    y, x = np.indices((80, 80))
    sigma = 1.5
    star = np.exp(-((x - 40.0) ** 2 + (y - 40.0) ** 2) / (2 * sigma**2)).astype(np.float32)
    true = np.exp(-((x - 39.5) ** 2 + (y - 39.5) ** 2) / (2 * sigma**2))
    off = {}
    for sampling in ("bilinear", "lanczos3"):
        canvas = Canvas(TILE, sampling)
        canvas.add(star, shifted(0.5, 0.5))
        off[sampling] = np.nanmax(np.abs(as_image(canvas.finish())[5:70, 5:70] - true[5:70, 5:70]))
    assert off["lanczos3"] < 0.01 < off["bilinear"]


def test_overlaps_are_weighted_means_and_blank_pixels_do_not_count():
    one, two = np.full((600, 600), 10.0, np.float32), np.full((600, 600), 20.0, np.float32)
    two[100, 100] = np.nan
    one[:, 300:] = np.nan
    canvas = Canvas(TILE)
    canvas.add(one, shifted(0, 0), 1.0)
    canvas.add(two, shifted(0, 0), 3.0)
    tile = as_image(canvas.finish())
    assert tile[50, 50] == pytest.approx(17.5)
    assert tile[100, 100] == pytest.approx(10.0)
    assert tile[50, 400] == pytest.approx(20.0)


def test_an_empty_canvas_gives_no_tile():
    canvas = Canvas(TILE)
    canvas.add(np.full((600, 600), np.nan, np.float32), shifted(0, 0))
    canvas.add(np.ones((5, 5), np.float32), shifted(1000, 0))
    assert canvas.finish() is None


@settings(deadline=None)
@given(
    tile=arrays.arrays(
        np.float32, (8, 8), elements=st.one_of(st.floats(-1e3, 1e3, width=32), st.just(np.nan))
    ),
    share=arrays.arrays(np.float32, (8, 8), elements=st.sampled_from([0.0, 0.25, 0.5, 1.0])),
)
def test_halving_is_the_mean_weighted_by_what_is_valid(tile, share):
    share = np.where(np.isnan(tile), 0, share).astype(np.float32)
    out, out_share = halve(tile, share)
    for r in range(4):
        for c in range(4):
            v, w = (
                tile[2 * r : 2 * r + 2, 2 * c : 2 * c + 2],
                share[2 * r : 2 * r + 2, 2 * c : 2 * c + 2],
            )
            good = w > 0
            mean = (v[good] * w[good]).sum() / w.sum() if good.any() else np.nan
            assert out[r, c] == pytest.approx(mean, rel=1e-4, abs=1e-3, nan_ok=True)
            assert out_share[r, c] == pytest.approx(w.sum() / 4)


def test_the_pyramid_makes_each_ancestor_once_from_all_its_children():
    rng = np.random.default_rng(3)
    numbers = sorted({5 * 64 + int(n) for n in rng.integers(0, 64, 20)} | {11 * 64 + 3, 0})
    leaves = {n: rng.normal(size=(W, W)).astype(np.float32) for n in numbers}
    for tile in leaves.values():
        tile[rng.random((W, W)) < 0.3] = np.nan
    made = {}

    def emit(order, npix, tile, valid):
        assert (order, npix) not in made
        made[order, npix] = tile, valid

    pyramid = Pyramid(3, 0, emit)
    for number in numbers:
        pyramid.add(number, leaves[number])
    pyramid.finish()
    expected = {(k, n >> 2 * (3 - k)) for n in numbers for k in range(3)}
    assert set(made) == expected
    # Slow twin: each level as a whole.
    level = {n: (t, np.isfinite(t).astype(np.float32)) for n, t in leaves.items()}
    for order in (2, 1, 0):
        above = {}
        for n, (tile, valid) in level.items():
            whole = above.setdefault(
                n >> 2, (np.full((W, W), np.nan, np.float32), np.zeros((W, W), np.float32))
            )
            half = halve(tile, valid)
            whole[0][child_slices(n & 3)], whole[1][child_slices(n & 3)] = half
        level = above
        for n, (tile, valid) in level.items():
            np.testing.assert_array_equal(made[order, n][0], tile)
            np.testing.assert_array_equal(made[order, n][1], valid)


def test_the_pyramid_refuses_tiles_out_of_order():
    pyramid = Pyramid(3, 0, lambda *_: None)
    pyramid.add(5, np.zeros((W, W), np.float32))
    with pytest.raises(ValueError, match="rising order"):
        pyramid.add(4, np.zeros((W, W), np.float32))


@pytest.mark.parametrize("order", [0, 1, 3, 8, 11, 20])
def test_the_coordinates_of_a_fits_tile_are_those_of_its_pixels(order):
    rng = np.random.default_rng(order)
    for base in range(12):
        for _ in range(6):
            npix = base * 4**order + int(rng.integers(4**order))
            data = fits_tile(order, npix, np.zeros((W, W), np.float32), {})
            with fits.open(io.BytesIO(data)) as file:
                file.verify("exception")
                wcs = WCS(file[0].header)
            row, column = rng.integers(0, W, (2, 30))
            ra, dec = wcs.all_pix2world(column, row, 0)
            true_ra, true_dec = sky_of(order, npix, (W - 1 - row + 0.5) / W, (column + 0.5) / W)
            east = ((ra - true_ra + 180) % 360 - 180) * np.cos(np.deg2rad(true_dec))
            off = np.hypot(east, dec - true_dec) * 3600
            if base == 6 and npix % 4**order in _diagonal(order):
                # A tile on the 180th meridian can be right in one half only.
                off = off[np.isfinite(off)]
            assert (off < 0.02 * 206265 / 2 ** (order + 9)).all()


def _diagonal(order):
    return {
        sum((n >> k & 1) * 3 << 2 * k for k in range(order)) for n in range(2 ** min(order, 12))
    }


@settings(deadline=None)
@given(
    data=arrays.arrays(np.float32, (4, 6), elements=st.floats(width=32)),
    text=st.text(max_size=90),
    number=st.floats(allow_nan=False, allow_infinity=False),
)
def test_fits_images_are_read_alike_by_astropy_and_by_us(data, text, number):
    content = fits_image(data, {"WORD": text, "NUMBER": number, "FLAG": True, "COUNT": 7})
    assert len(content) % 2880 == 0
    with fits.open(io.BytesIO(content)) as file:
        np.testing.assert_array_equal(file[0].data, data)
        assert file[0].header["NUMBER"] == number
        assert file[0].header["COUNT"] == 7
        assert file[0].header["FLAG"] is True
    np.testing.assert_array_equal(read_fits(content), data)


def test_png_grey_has_blank_pixels_transparent_and_the_top_row_first():
    levels = np.zeros((4, 3), np.uint8)
    levels[0], levels[3] = 1, 255
    levels[1, 2] = 128
    with Image.open(io.BytesIO(png_grey(levels))) as image:
        pixels = np.asarray(image.convert("RGBA"))
    assert pixels[0].tolist() == [[255, 255, 255, 255]] * 3
    assert pixels[3].tolist() == [[0, 0, 0, 255]] * 3
    assert pixels[1, 0, 3] == 0
    assert pixels[2, 2].tolist() == [127, 127, 127, 255]


@settings(deadline=None)
@given(pixels=arrays.arrays(np.uint8, (5, 7, 4)))
def test_png_rgba_is_read_back(pixels):
    with Image.open(io.BytesIO(png_rgba(pixels))) as image:
        np.testing.assert_array_equal(np.asarray(image)[::-1], pixels)


def test_jpeg_has_black_where_blank():
    pixels = np.full((16, 16, 4), 255, np.uint8)
    pixels[8:, :, 3] = 0
    with Image.open(io.BytesIO(jpeg(pixels, 90))) as image:
        grey = np.asarray(image.convert("L"))
    assert grey[:6].max() < 20
    assert grey[10:].min() > 235


def test_levels_rise_with_the_values_and_blank_is_zero():
    stretch = Stretch(-1.0, 100.0, 3.0)
    values = np.array([[np.nan, -5.0, -1.0, 0.0, 5.0, 50.0, 100.0, 1e9]], np.float32)
    levels = stretch.levels(values)[0]
    assert levels[0] == 0
    assert levels[1] == levels[2] == 1
    assert (np.diff(levels[2:7].astype(int)) > 0).all()
    assert levels[6] in {254, 255}
    assert levels[7] == 255


@settings(deadline=None)
@given(
    values=arrays.arrays(np.float32, (3, 40), elements=st.floats(width=32)),
    low=st.floats(-1e4, 1e4),
    span=st.floats(1e-3, 1e6),
    softening=st.floats(1e-6, 1.0),
)
def test_levels_are_those_of_the_slow_twin(values, low, span, softening):
    stretch = Stretch(low, low + span, max(softening * span, 1e-9))
    values[1] = low + np.linspace(-0.1, 1.1, 40) * span
    values[2] = low + stretch.bounds()[3:43] * stretch.softening
    at = (values.astype(np.float64) - low) * (1.0 / stretch.softening)
    slow = np.where(np.isnan(values), 0, np.searchsorted(stretch.bounds(), at, "right"))
    levels = stretch.levels(values)
    np.testing.assert_array_equal(levels, np.where(np.isnan(values), 0, np.maximum(slow, 1)))
    # Both are the asinh, told by its inverse.
    reach = np.arcsinh((stretch.high - low) / stretch.softening)
    with np.errstate(invalid="ignore"):
        smooth = 1.0 + np.floor(254.0 * np.arcsinh(np.maximum(at, 0.0)) / reach)
    off = np.abs(np.minimum(smooth, 255.0) - levels)[~np.isnan(values)]
    assert (off <= 1).all()


@pytest.mark.parametrize(
    "values",
    [
        [],
        [np.zeros(100, np.float32)],
        [np.full(9, 1e30, np.float32)],
        [np.array([5.0], np.float32)],
    ],
)
def test_cuts_of_dull_data_are_cuts_all_the_same(values):
    stretch = choose_stretch(values)
    assert stretch.high > stretch.low
    assert stretch.softening > 0
    assert stretch.levels(np.full((2, 2), 5.0, np.float32)).dtype == np.uint8


def test_colours_keep_the_ratio_of_the_bands_and_are_blank_only_where_all_are():
    scale = ColorScale(("i", "r", "g"), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 10.0)
    red = np.array([[10.0, 1e6, np.nan, 4.0, -5.0]], np.float32)
    green = np.array([[5.0, 5e5, np.nan, np.nan, -5.0]], np.float32)
    blue = np.array([[0.0, 0.0, np.nan, 4.0, -5.0]], np.float32)
    pixels = paint((red, green, blue), scale)[0]
    assert pixels[:, 3].tolist() == [255, 255, 0, 255, 255]
    assert pixels[0, 0] == pytest.approx(2 * pixels[0, 1], abs=1)
    assert pixels[1, :3].tolist() == [255, 128, 0]
    assert pixels[3, 0] == pixels[3, 1] == pixels[3, 2] > 0
    assert pixels[4, :3].tolist() == [0, 0, 0]


def test_compiled_colours_are_those_of_the_plain_code():
    rng = np.random.default_rng(8)
    bands = [(1e3 * rng.random((64, 64)) ** 9 - 1.0).astype(np.float32) for _ in range(3)]
    for k, band in enumerate(bands):
        band[rng.random(band.shape) < 0.1] = np.nan
        band[:5, k:] = np.nan
    for stretch, softening in ((1.0, 8.0), (50.0, 0.5), (1000.0, 30.0)):
        scale = ColorScale(("i", "r", "g"), (0.1, 0.2, 0.3), (1.0, 2.0, 0.5), stretch, softening)
        balance = Balance(scale.black, scale.gain, stretch)
        slow = paint_bands(bands, balance, softening).astype(int)
        fast = paint(bands, scale).astype(int)
        # Another order of roundings may fall to the other side of a half.
        assert np.abs(slow - fast).max() <= 1
        assert (slow != fast).mean() < 1e-3


def test_a_colour_scale_survives_its_file():
    scale = ColorScale(("i", "r", "g"), (0.1, 0.2, 0.3), (1.0, 2.0, 3.0), 10.0)
    assert ColorScale.from_json(scale.to_json()) == scale
    for text in (
        "",
        "[]",
        "{}",
        '{"bands": [1], "black": [], "gain": [], "stretch": 1, "softening": 1}',
    ):
        with pytest.raises(ValueError, match="no colour scale"):
            ColorScale.from_json(text)
