"""Pictures against astropy.visualization, Pillow and sums written out."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
from astropy import visualization as vis
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vodal.pictures.colormaps import COLORMAPS, colormap
from vodal.pictures.encode import encode_picture
from vodal.pictures.levels import Cuts, find_cuts, stretched
from vodal.pictures.lupton import Balance, choose_balance, paint_bands
from vodal.pictures.resize import Shrinker, enlarged

STRETCHES = {
    "linear": vis.LinearStretch(),
    "sqrt": vis.SqrtStretch(),
    "log": vis.LogStretch(),
    "asinh": vis.AsinhStretch(),
}


def sky(shape=(120, 90), seed=0):
    rng = np.random.default_rng(seed)
    values = rng.normal(100.0, 5.0, shape) + 1e4 * rng.random(shape) ** 60
    values[rng.random(shape) < 0.05] = np.nan
    return values.astype(np.float32)


@pytest.mark.parametrize("name", STRETCHES)
@pytest.mark.parametrize(
    ("cuts", "interval"),
    [
        (Cuts("minmax"), vis.MinMaxInterval()),
        (Cuts("percent", 1.0, 98.0), vis.AsymmetricPercentileInterval(1.0, 98.0)),
        (Cuts("values", 90.0, 250.0), vis.ManualInterval(90.0, 250.0)),
        (Cuts("zscale"), vis.ZScaleInterval()),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_levels_are_those_of_astropy(name, cuts, interval):
    values = sky()
    low, high = find_cuts(values, cuts)
    found = stretched(values, low, high, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = (STRETCHES[name] + interval)(values.astype(np.float64), clip=True)
    known = np.isfinite(values)
    np.testing.assert_array_equal(np.isnan(found), ~known)
    np.testing.assert_allclose(found[known], expected[known], atol=2e-6)


def test_automatic_cuts_hold_the_sky_and_leave_out_the_brightest():
    values = sky()
    low, high = find_cuts(values, Cuts())
    known = values[np.isfinite(values)]
    assert 85.0 < low < 98.0
    assert high == pytest.approx(np.percentile(known, 99.7))


@pytest.mark.parametrize("kind", ["auto", "minmax", "zscale", "percent"])
@pytest.mark.parametrize(
    "values",
    [
        np.full((5, 5), np.nan, np.float32),
        np.full((5, 5), 3.0, np.float32),
        np.array([[7.0]]),
        np.array([[np.inf, -np.inf, 1.0, 2.0]]),
        np.array([[-1.7e308, 1.7e308]]),
        np.zeros((0, 3)),
    ],
    ids=["blank", "constant", "one", "infinite", "widest", "none"],
)
def test_dull_and_wild_images_have_levels(kind, values):
    low, high = find_cuts(values, Cuts(kind, 1.0, 99.0))
    assert low <= high
    for name in STRETCHES:
        levels = stretched(values, low, high, name)
        np.testing.assert_array_equal(np.isnan(levels), np.isnan(values))
        assert ((levels >= 0.0) & (levels <= 1.0) | np.isnan(levels)).all()


@settings(max_examples=150, deadline=None)
@given(
    rows=st.integers(1, 40), columns=st.integers(1, 40), data=st.data(), seed=st.integers(0, 999)
)
def test_shrinking_is_the_mean_over_the_area_of_each_pixel(rows, columns, data, seed):
    target = data.draw(st.integers(1, rows)), data.draw(st.integers(1, columns))
    group = data.draw(st.integers(1, rows))
    rng = np.random.default_rng(seed)
    values = rng.normal(10.0, 3.0, (rows, columns))
    values[rng.random(values.shape) < 0.2] = np.nan
    shrinker = Shrinker((rows, columns), target)
    for start in range(0, rows, group):
        shrinker.add(values[start : start + group])
    found = shrinker.result()

    def overlaps(size, count):
        edges = np.arange(count + 1) * size / count
        low = np.maximum(edges[:-1, None], np.arange(size))
        return np.maximum(0.0, np.minimum(edges[1:, None], np.arange(size) + 1.0) - low)

    down, across = overlaps(rows, target[0]), overlaps(columns, target[1])
    known = np.isfinite(values)
    total = down @ np.where(known, values, 0.0) @ across.T
    weight = down @ known.astype(float) @ across.T
    clear = weight > 1e-5
    np.testing.assert_allclose(found[clear], (total / np.where(clear, weight, 1))[clear], rtol=1e-5)
    assert np.isnan(found[weight < 1e-9]).all()


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(1, 9), columns=st.integers(1, 9), times=st.integers(1, 5))
def test_enlarging_by_whole_numbers_repeats_each_pixel(rows, columns, times):
    pixels = np.arange(rows * columns * 4).reshape(rows, columns, 4)
    found = enlarged(pixels, (rows * times, columns * times))
    np.testing.assert_array_equal(found, pixels.repeat(times, axis=0).repeat(times, axis=1))


def test_colour_maps_have_the_colours_that_are_known_of_them():
    known = {
        "gray": ((0, 0, 0), (128, 128, 128), (255, 255, 255)),
        # The ends and middles that matplotlib's documentation and BIDS give.
        "viridis": ((68, 1, 84), (33, 145, 140), (253, 231, 37)),
        "inferno": ((0, 0, 4), (188, 55, 84), (252, 255, 164)),
        "magma": ((0, 0, 4), (183, 55, 121), (252, 253, 191)),
        "plasma": ((13, 8, 135), (204, 71, 120), (240, 249, 33)),
        "cubehelix": ((0, 0, 0), (161, 121, 74), (255, 255, 255)),
        "heat": ((0, 0, 0), (255, 128, 0), (255, 255, 255)),
    }
    assert set(known) == set(COLORMAPS)
    for name, colors in known.items():
        found = colormap(name)
        assert found.shape == (256, 3)
        np.testing.assert_allclose(found[[0, 128, 255]], colors, atol=2, err_msg=name)


@pytest.mark.parametrize("name", ["viridis", "inferno", "magma", "plasma", "cubehelix", "gray"])
def test_brightness_grows_along_a_colour_map(name):
    luminance = colormap(name).astype(float) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance) > -1.0).all()
    assert luminance[-1] > luminance[0] + 100


@pytest.mark.parametrize("channels", [2, 4])
def test_pictures_are_read_back_by_pillow(channels):
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (20, 30, channels)).astype(np.uint8)
    pixels[..., -1] = np.where(rng.random((20, 30)) < 0.3, 0, 255)
    png = Image.open(io.BytesIO(encode_picture(pixels, "image/png", comment="A = 1\nB")))
    np.testing.assert_array_equal(np.asarray(png), pixels)
    assert png.text["Comment"] == "A = 1\nB"


@pytest.mark.parametrize("channels", [2, 4])
def test_a_jpeg_shows_the_background_where_nothing_is(channels):
    pixels = np.zeros((32, 32, channels), np.uint8)
    pixels[:16] = 255
    for background in (0, 255, 100):
        body = encode_picture(pixels, "image/jpeg", background=background, comment="text")
        jpeg = Image.open(io.BytesIO(body))
        assert jpeg.format == "JPEG"
        assert jpeg.info["comment"] == b"text"
        found = np.asarray(jpeg.convert("L")).astype(int)
        assert np.abs(found[:12] - 255).max() <= 4
        assert np.abs(found[20:] - background).max() <= 4
    webp = Image.open(io.BytesIO(encode_picture(pixels, "image/webp")))
    assert webp.format == "WEBP"
    assert np.asarray(webp.convert("RGBA"))[-1, 0, 3] == 0


def paper(bands, black, gain, stretch, q):
    """Write out equation 2 of Lupton et al. 2004 for pixels that all bands have."""
    r, g, b = (gain[k] * (bands[k].astype(float) - black[k]) for k in range(3))
    mean = (r + g + b) / 3.0
    with np.errstate(all="ignore"):
        factor = np.where(mean > 0, np.arcsinh(q * mean / stretch) / q / mean, 0.0)
    colors = np.maximum(np.stack([r, g, b], axis=-1) * factor[..., None], 0.0)
    return colors / np.maximum(1.0, colors.max(axis=-1))[..., None]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 99),
    stretch=st.floats(0.1, 100.0),
    q=st.floats(0.01, 30.0),
    gain=st.tuples(*[st.floats(0.1, 10.0)] * 3),
)
def test_colours_are_those_of_the_paper(seed, stretch, q, gain):
    bands = [sky((20, 30), seed + k) for k in range(3)]
    for band in bands:
        band[np.isnan(band)] = 100.0
    black = (99.0, 100.0, 101.0)
    found = paint_bands(bands, Balance(black, gain, stretch), q)
    expected = 255.0 * paper(bands, black, gain, stretch, q)
    assert np.abs(found[..., :3] - expected).max() <= 0.6
    assert (found[..., 3] == 255).all()


def test_colours_are_astropys_up_to_its_own_normalisation():
    bands = [sky((40, 30), k) for k in range(3)]
    for band in bands:
        band[np.isnan(band)] = 100.0
    q, stretch = 5.0, 40.0
    theirs = vis.make_lupton_rgb(*bands, minimum=98.0, stretch=stretch, Q=q).astype(float)
    ours = paint_bands(bands, Balance((98.0,) * 3, (1.0,) * 3, stretch), q)[..., :3].astype(float)
    # Astropy maps a tenth of the stretch to a tenth of the levels, the paper by the slope 1/Q.
    ratio = 0.1 * q / np.arcsinh(0.1 * q)
    dim = (theirs.max(axis=-1) < 250) & (ours.max(axis=-1) < 250)
    assert dim.mean() > 0.5
    assert np.abs(theirs[dim] - ratio * ours[dim]).max() <= 2.0


def test_the_balance_makes_sky_grey_and_typical_stars_white():
    rng = np.random.default_rng(4)
    light = np.where(rng.random(20_000) < 0.05, rng.exponential(500.0, 20_000), 0.0)
    bands = [
        level + noise * rng.normal(size=light.size) + weight * light
        for level, noise, weight in ((100.0, 1.0, 0.3), (20.0, 2.0, 1.0), (500.0, 4.0, 2.0))
    ]
    balance = choose_balance(bands)
    gain = np.array(balance.gain) * (0.3, 1.0, 2.0)
    np.testing.assert_allclose(gain / gain.mean(), 1.0, rtol=0.1)
    dark = paint_bands([np.array([[level]]) for level in (100.0, 20.0, 500.0)], balance)[0, 0, :3]
    assert np.ptp(dark.astype(int)) <= 4
    assert choose_balance([np.empty(0)] * 3).stretch == 1.0
