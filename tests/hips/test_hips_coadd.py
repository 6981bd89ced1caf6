"""What becomes of pixels that several images give, against sums made pixel by pixel."""

from __future__ import annotations

import cdshealpix.nested as healpix
import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from hips import coadd
from hips.build import build
from hips.check import check_hips
from hips.coadd import coadd_of
from hips.decode import LoadedImage
from hips.encode import read_fits
from hips.names import interleave, tile_path
from hips.properties import parse_properties
from hips.settings import HipsSettings
from hips.tiles.tree import TileTree
from hips.weights import feather
from vodal.resample.block import Layout
from vodal.resample.canvas import Canvas
from vodal.resample.grid import PixelGrid

SIZE = 90
NODES = np.arange(3) * 32.0 - 0.5
WHOLE = PixelGrid(
    32, np.repeat(NODES[None], 3, 0), np.repeat(NODES[:, None], 3, 1), np.ones((2, 2), bool),
    np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), np.empty(0),
)  # fmt: skip
"""Lays a block of 64 squared on the same pixels of an image."""
ORDER = 9
TIMES = (60010.0, 60030.0, None, 60020.0)
EXPOSURES = (10.0, 40.0, 20.0, 5.0)
ZERO_POINTS = (25.0, 26.0, 25.5, 25.0)


def plain_wcs(ra, dec, angle_deg):
    """Give gnomonic coordinates without distortion, defined all around."""
    turn, wcs = np.deg2rad(angle_deg), WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [ra, dec]
    wcs.wcs.crpix = [(SIZE + 1) / 2] * 2
    rotation = np.array([[-np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    wcs.wcs.cd = rotation / 3600.0
    wcs.wcs.set()
    return wcs


def wcs_of(number):
    return plain_wcs(30.0 + 0.008 * number, 5.0 + 0.005 * (number % 2), 25.0 * number)


def values_of(number, x, y):
    """Give what image `number` holds at a place, on the common scale; linear, as is sampling."""
    return 100.0 * (number * number + 1) + 0.3 * x - 0.2 * y


def weights_of(number, x, y):
    """Give one over the variance there, on the image's own scale."""
    return 1.0 + number + 0.02 * x + 0.01 * y


def put_images(shelf, folder, plane=None):
    """Put four images that overlap, with a hole in one, and the plane of how good they are."""
    y, x = np.indices((SIZE, SIZE)).astype(float)
    for number in range(4):
        factor = 10.0 ** (0.4 * (25.0 - ZERO_POINTS[number]))
        data = values_of(number, x, y) / factor
        header = wcs_of(number).to_header(relax=True)
        header["MAGZERO"] = ZERO_POINTS[number]
        hdus = fits.HDUList(
            [fits.PrimaryHDU(), fits.ImageHDU(data.astype(np.float32), header, name="SCI")]
        )
        weight = weights_of(number, x, y)
        if plane is not None:
            given = {"WHT": weight, "VAR": 1.0 / weight, "ERR": weight**-0.5}[plane]
            given[hole(number, x, y)] = {"WHT": 0.0, "VAR": -1.0, "ERR": np.inf}[plane]
            hdus.append(fits.ImageHDU(given.astype(np.float32), header, name=plane))
        else:
            hdus[1].data[hole(number, x, y)] = np.nan
        path = folder / f"{number}.fits"
        hdus.writeto(path)
        shelf.put(path, t_exptime=EXPOSURES[number], t_min=TIMES[number])


def hole(number, x, y):
    return (number == 1) & (np.hypot(x - 40, y - 50) < 12)


def truth(combine):
    """Give what a pixel at a place must be, by a function of values and numbers of images."""

    def at(ra, dec):
        out = np.full(ra.size, np.nan)
        places = [wcs_of(number).all_world2pix(ra, dec, 0) for number in range(4)]
        for k in range(ra.size):
            here = []
            for number in range(4):
                x, y = (float(v[k]) for v in places[number])
                inside = 1.0 < x < SIZE - 2.0 and 1.0 < y < SIZE - 2.0
                if -2.0 < x < SIZE + 1.0 and -2.0 < y < SIZE + 1.0 and not inside:
                    break  # At an edge values are not linear.
                if inside and number == 1 and abs(np.hypot(x - 40, y - 50) - 12) < 2.0:
                    break
                if inside and not hole(number, x, y):
                    here.append((number, x, y))
            else:
                out[k] = combine(here) if here else np.nan
        return out

    return at


def mean_by(weight):
    def combine(here):
        weights = [weight(*one) for one in here]
        return np.average([values_of(*one) for one in here], weights=weights)

    return combine


def by_variance(number, x, y):
    factor = 10.0 ** (0.4 * (25.0 - ZERO_POINTS[number]))
    return weights_of(number, x, y) / factor**2


def by_feather(_number, x, y):
    """Interpolate between the pixels' weights, which bend along lines."""

    def pixel(i, j):
        return min(1.0, min(i + 0.5, j + 0.5, SIZE - 0.5 - i, SIZE - 0.5 - j) / (0.2 * SIZE))

    i, j = int(x), int(y)
    low, high = (pixel(i, k) * (1 - x + i) + pixel(i + 1, k) * (x - i) for k in (j, j + 1))
    return low * (1 - y + j) + high * (y - j)


def newest(here):
    known = [one for one in here if TIMES[one[0]] is not None]
    return values_of(*max(known, key=lambda one: TIMES[one[0]])) if known else values_of(*here[0])


CASES = {
    "uniform": ({"weights": "uniform"}, None, mean_by(lambda *_: 1.0)),
    "exposure": ({"weights": "exposure"}, None, mean_by(lambda n, *_: EXPOSURES[n])),
    "variances": ({"weights": "variance"}, "VAR", mean_by(by_variance)),
    "errors": ({"weights": "variance"}, "ERR", mean_by(by_variance)),
    "weights": ({"weights": "variance"}, "WHT", mean_by(by_variance)),
    "feather": ({"weights": "feather", "feather": 0.2}, None, mean_by(by_feather)),
    "median": ({"coadd": "median"}, None, lambda here: np.median([values_of(*o) for o in here])),
    "first": ({"coadd": "first"}, None, newest),
}


def make(shelf, output, **settings):
    build(
        shelf.items, shelf.index, output, HipsSettings(order=ORDER, order_shard=1, **settings),
        name="one", title="A test", creator_did="ivo://test.example/hips/one",
    )  # fmt: skip
    return output / "one"


@pytest.mark.parametrize("case", CASES)
def test_each_pixel_is_what_a_sum_by_hand_gives(shelf, tmp_path, case):
    settings, plane, combine = CASES[case]
    put_images(shelf, tmp_path, plane)
    folder = make(shelf, tmp_path / "hips", **settings)
    assert check_hips(folder) == []
    assert parse_properties((folder / "properties").read_text())["hips_overlay"] == settings.get(
        "coadd", "mean"
    )
    rng = np.random.default_rng(3)
    expected_at, compared = truth(combine), 0
    for npix in TileTree(folder).tiles(ORDER, "fits"):
        tile = read_fits((folder / tile_path(ORDER, npix, "fits")).read_bytes())
        row, column = np.nonzero(np.isfinite(tile))
        some = rng.choice(row.size, min(row.size, 1500), replace=False)
        row, column = row[some], column[some]
        cells = (np.uint64(npix) << np.uint64(18)) + interleave(511 - row, column).astype(np.uint64)
        lon, lat = healpix.healpix_to_lonlat(cells, ORDER + 9)
        expected = expected_at(lon.deg, lat.deg)
        known = np.isfinite(expected)
        np.testing.assert_allclose(tile[row, column][known], expected[known], rtol=2e-4)
        compared += int(known.sum())
    assert compared > 300


def test_an_image_without_variances_counts_by_its_noise(shelf, tmp_path):
    rng = np.random.default_rng(5)
    for number, (level, noise) in enumerate([(100.0, 1.0), (200.0, 3.0)]):
        header = plain_wcs(30.0, 5.0, 0.0).to_header(relax=True)
        data = rng.normal(level, noise, (SIZE, SIZE)).astype(np.float32)
        fits.PrimaryHDU(data, header).writeto(tmp_path / f"{number}.fits")
        shelf.put(tmp_path / f"{number}.fits")
    folder = make(shelf, tmp_path / "hips", weights="variance")
    (npix, *_) = TileTree(folder).tiles(ORDER, "fits")
    tile = read_fits((folder / tile_path(ORDER, npix, "fits")).read_bytes())
    assert np.nanmedian(tile) == pytest.approx(110.0, abs=1.0)  # weights 9 to 1


@pytest.mark.parametrize("count", [1, 2, 7, 200])
def test_medians_of_many_images_are_those_of_numpy(tmp_path, count, monkeypatch):
    monkeypatch.setattr(coadd, "_HELD", 3)
    small = Layout(64, 64)
    rng = np.random.default_rng(count)
    stack = rng.normal(size=(count, 64, 64)).astype(np.float32)
    stack[rng.random(stack.shape) < 0.3] = np.nan
    made = coadd_of("median", small, "bilinear", tmp_path)
    samples = []
    for data in stack:
        image = LoadedImage(data, None)
        made.add(image, WHOLE, 5.0)
        canvas = Canvas(small)
        canvas.add(data, WHOLE)
        samples.append(canvas.finish())
    known = np.isfinite(samples).any(axis=0)
    got = made.finish()
    assert np.array_equal(np.isfinite(got), known)
    np.testing.assert_allclose(got[known], np.nanmedian(np.array(samples)[:, known], axis=0))


def test_feather_falls_towards_the_edge_of_what_has_values():
    image = np.ones((40, 60), np.float32)
    image[:10] = np.nan
    image[25, 30] = np.nan
    weights = feather(image, 0.5)
    assert np.array_equal(np.isnan(weights), np.isnan(image))
    assert weights[10, 30] == pytest.approx(0.5 / 15)
    assert weights[39, 30] == pytest.approx(0.5 / 15)
    assert weights[24, 30] == pytest.approx(14.5 / 15)
    assert weights[20, 0] == pytest.approx(0.5 / 15)
    assert np.isnan(feather(np.full((4, 4), np.nan, np.float32), 0.1)).all()
