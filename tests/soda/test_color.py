"""Pictures in colour of three datasets."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))
from soda_files import write

from soda.cut import color_picture, file_source
from soda.params import parse_params
from vodal.errors import MultiValuedParamNotSupported, UsageError
from vodal.fits.opening import open_pixels
from vodal.params import Params
from vodal.testing.skies import make_wcs

STARS = ((39.998, 5.001), (40.003, 5.003), (40.001, 4.997), (39.997, 4.996))
COLOURS = np.array([[9.0, 3.0, 1.0], [1.0, 5.0, 2.0], [1.0, 2.0, 8.0], [4.0, 4.0, 4.0]])


def band(path, number, scale=0.5, rotation=0.0, level=100.0, size=120, noise=0.3):
    """A field with stars of known colours; the same flux a square arcsecond on every grid."""
    wcs = make_wcs(40.0, 5.0, size, scale, rotation, distorted=False)
    rng = np.random.default_rng(number)
    data = rng.normal(level, noise, (size, size))
    y, x = np.indices(data.shape)
    for star, colour in zip(STARS, COLOURS, strict=True):
        at_x, at_y = wcs.all_world2pix(*star, 0)
        width = 1.5 / scale
        data += (
            100.0 * colour[number] * np.exp(-((x - at_x) ** 2 + (y - at_y) ** 2) / (2 * width**2))
        )
    hdu = fits.PrimaryHDU(data.astype(np.float32), wcs.to_header(relax=True))
    return write(path, hdu)


@pytest.fixture
def bands(tmp_path):
    return [band(tmp_path / f"{name}.fits", k) for k, name in enumerate("rgb")]


def painted(paths, **params):
    given = [("ID", str(path)) for path in paths]
    given += [(name, str(value)) for name, value in {"COMBINE": "rgb", **params}.items()]
    asked = parse_params(Params(given))
    sources = [file_source(path) for path in paths]
    readers = [open_pixels(one.uri, one.index, one.hdus) for one in sources]
    made = color_picture(readers, sources, asked.selection(), output=asked.output)
    for reader in readers:
        reader.__exit__(None, None, None)
    return None if made is None else Image.open(io.BytesIO(bytes(made.body)))


def card(picture, keyword):
    return fits.Header.fromstring(picture.text["Comment"], sep="\n")[keyword]


def test_pixels_on_one_grid_are_those_of_the_paper(bands):
    picture = painted(bands, STRETCH=20, Q=6)
    assert picture.format == "PNG"
    found = np.asarray(picture)[::-1]
    black = [card(picture, f"PICBLK{name}") for name in "RGB"]
    gain = [card(picture, f"PICGAI{name}") for name in "RGB"]
    assert (card(picture, "PICSTRCH"), card(picture, "PICQ")) == (20.0, 6.0)
    colors = np.stack(
        [(fits.getdata(path) - b) * g for path, b, g in zip(bands, black, gain, strict=True)], -1
    ).astype(float)
    mean = colors.mean(axis=-1)
    with np.errstate(all="ignore"):
        factor = np.where(mean > 0, np.arcsinh(6.0 * mean / 20.0) / 6.0 / mean, 0.0)
    expected = np.maximum(colors * factor[..., None], 0.0)
    expected = 255.0 * expected / np.maximum(1.0, expected.max(axis=-1))[..., None]
    assert np.abs(found[..., :3] - expected).max() <= 0.6
    assert (found[..., 3] == 255).all()


@pytest.mark.parametrize(
    "others",
    [
        {"rotation": 0.0, "scale": 0.5},
        {"rotation": 40.0, "scale": 0.5},
        {"rotation": 170.0, "scale": 0.25, "size": 300},
        {"rotation": 10.0, "scale": 0.9},
    ],
    ids=["same", "turned", "finer", "coarser"],
)
@pytest.mark.parametrize("orient", ["pixels", "north"])
def test_stars_have_their_colours_whatever_the_grids(tmp_path, others, orient):
    paths = [band(tmp_path / "r.fits", 0, rotation=25.0)]
    paths += [band(tmp_path / f"{k}.fits", k, level=50.0, **others) for k in (1, 2)]
    picture = painted(paths, CIRCLE="40 5 0.006", ORIENT=orient)
    pixels = np.asarray(picture).astype(float)[::-1]
    wcs = WCS(fits.Header.fromstring(picture.text["Comment"], sep="\n"))
    gain = np.array([card(picture, f"PICGAI{name}") for name in "RGB"])
    for star, colour in zip(STARS, COLOURS, strict=True):
        x, y = (round(float(v)) for v in wcs.all_world2pix(*star, 0))
        found = pixels[y, x, :3] / pixels[y, x, :3].max()
        expected = gain * colour / (gain * colour).max()
        assert np.abs(found - expected).max() < 0.12


def test_the_grid_is_that_of_the_first(bands, tmp_path):
    other = band(tmp_path / "o.fits", 1, scale=0.25, size=240, rotation=45.0)
    picture = painted([bands[0], other, bands[2]])
    assert picture.size == (120, 120)
    small = painted([bands[0], other, bands[2]], SIZE=60, FORMAT="jpeg")
    assert (small.size, small.format) == ((60, 60), "JPEG")


def test_what_is_outside_of_the_stencil_is_transparent(bands):
    picture = painted(bands, CIRCLE="40 5 0.004", OUTSIDE="nan")
    wcs = WCS(fits.Header.fromstring(picture.text["Comment"], sep="\n"))
    y, x = np.indices(picture.size[::-1])
    ra, dec = wcs.all_pix2world(x, y, 0)
    apart = SkyCoord(ra * u.deg, dec * u.deg).separation(SkyCoord(40 * u.deg, 5 * u.deg)).deg
    shown = np.asarray(picture)[::-1, :, 3] == 255
    sure = np.abs(apart - 0.004) > 1e-8
    np.testing.assert_array_equal(shown[sure], (apart < 0.004)[sure])


def test_the_same_dataset_may_stand_for_two_colours(bands):
    pixels = np.asarray(painted([bands[0], bands[1], bands[1]]))
    np.testing.assert_array_equal(pixels[..., 1], pixels[..., 2])


def test_pixels_of_very_different_sizes_are_refused(bands, tmp_path):
    coarse = band(tmp_path / "coarse.fits", 1, scale=6.0)
    with pytest.raises(UsageError, match=r"green are 6 arcsec wide.*8 times"):
        painted([bands[0], coarse, bands[2]])


def test_a_dataset_elsewhere_makes_no_picture(bands, tmp_path):
    data = fits.getdata(bands[1])
    far = make_wcs(80.0, 5.0, 120, 0.5).to_header(relax=True)
    elsewhere = write(tmp_path / "far.fits", fits.PrimaryHDU(data, far))
    assert painted([bands[0], elsewhere, bands[2]], CIRCLE="40 5 0.004") is None
    assert painted([elsewhere, bands[1], bands[2]], CIRCLE="40 5 0.004") is None
    assert painted([bands[0], elsewhere, bands[2]]) is None


def test_a_dataset_without_coordinates_is_refused(bands, tmp_path):
    plain = write(tmp_path / "plain.fits", fits.PrimaryHDU(np.ones((9, 9), np.float32)))
    with pytest.raises(UsageError, match="first dataset has no coordinates"):
        painted([plain, bands[1], bands[2]])


def test_blank_constant_and_tiny_bands_are_pictures_all_the_same(bands, tmp_path):
    header = make_wcs(40.0, 5.0, 120, 0.5, distorted=False).to_header(relax=True)
    blank = np.full((120, 120), np.nan, np.float32)
    for data in (blank, np.zeros((120, 120), np.float32)):
        dull = write(tmp_path / "dull.fits", fits.PrimaryHDU(data, header))
        assert painted([bands[0], dull, bands[2]]).size == (120, 120)
        assert painted([dull, dull, dull]).size == (120, 120)
    assert np.asarray(painted([bands[0], bands[1], bands[2]], CIRCLE="40 5 1e-9")).shape[0] < 4


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ([("ID", "a"), ("ID", "b")], "three times"),
        ([("ID", "a")] * 4, "three times"),
        ([("ID", "a")] * 3 + [("FORMAT", "fits")], "png, jpeg or webp"),
        ([("ID", "a")] * 3 + [("STRETCH", "asinh")], "STRETCH"),
        ([("ID", "a")] * 3 + [("STRETCH", "0")], "above 0"),
        ([("ID", "a")] * 3 + [("Q", "1e9")], "up to 1000"),
    ],
)
def test_wrong_requests_are_told(given, word):
    with pytest.raises(UsageError, match=word):
        parse_params(Params([*given, ("COMBINE", "rgb")]))


def test_several_stencils_are_several_pictures():
    given = [("ID", "a")] * 3 + [("COMBINE", "rgb"), ("CIRCLE", "1 2 3"), ("CIRCLE", "4 5 6")]
    with pytest.raises(MultiValuedParamNotSupported):
        parse_params(Params(given)).selection()


@pytest.mark.realdata
def test_real_bands(real_images):
    folder = real_images / "colour_sets"
    paths = [folder / f"CFHTLS-test_{name}.fits" for name in "irg"]
    picture = painted(paths)
    pixels = np.asarray(picture).astype(int)
    assert picture.size == (pixels.shape[1], pixels.shape[0])
    # The sky is a dark grey, and few pixels are at the end of the scale.
    middle = np.median(pixels[..., :3], axis=(0, 1))
    assert np.ptp(middle) < 12
    assert 5 < middle.mean() < 80
    assert (pixels[..., :3].max(axis=-1) == 255).mean() < 0.05
