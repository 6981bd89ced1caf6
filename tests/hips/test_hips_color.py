"""HiPS in colour of three and more bands, held against astropy and against numpy."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from astropy.io import fits
from astropy.visualization import (
    LinearStretch,
    LogStretch,
    ManualInterval,
    SqrtStretch,
    make_lupton_rgb,
)
from astropy.visualization.lupton_rgb import RGBImageMappingLupton
from PIL import Image
from pydantic import ValidationError

from hips.build import build
from hips.check import check_hips
from hips.collection import build_collection
from hips.color.build import build_color
from hips.color.paint import paint
from hips.color.scale import COLOR_FILE, ColorScale, Mix, choose_scale
from hips.color.settings import ColorSettings
from hips.encode import read_fits
from hips.settings import HipsSettings
from hips.tiles.opening import open_tiles
from hips.tiles.tree import TileTree
from vodal.errors import UsageError
from vodal.testing.skies import make_wcs

FIVE = {
    "red": {"i": 1, "z": 1, "y": 2},
    "green": ["r"],
    "blue": {"u": 1, "g": 3},
}
FIXED = {"u": [0, 8], "g": [1, 21], "r": [0, 40], "i": [0, 40], "z": [-2, 48], "y": [0, 50]}
FLUXES = {
    # Of six squares on a black sky.
    "u": (2.0, 7.0, 0.5, 60.0, 0.0, 1.0),
    "g": (5.0, 20.0, 2.0, 90.0, 0.0, 3.0),
    "r": (20.0, 20.0, 9.0, 150.0, 1.0, 4.0),
    "i": (30.0, 9.0, 25.0, 170.0, 0.0, 4.0),
    "z": (35.0, 6.0, 33.0, 180.0, 0.0, 5.0),
    "y": (40.0, 4.0, 45.0, 190.0, 30.0, 6.0),
}


def five(**more) -> ColorSettings:
    return ColorSettings(collection="demo", **FIVE, **more)


def squares(fluxes, blank=()):
    """Make an image of even squares side by side, each 20 pixels wide, on a noisy sky."""
    image = np.random.default_rng(2).normal(0.0, 0.2, (60, 140)).astype(np.float32)
    for k, flux in enumerate(fluxes):
        image[20:40, 20 * k + 10 : 20 * k + 30] = flux
    for rows, columns in blank:
        image[rows, columns] = np.nan
    return image


BLANK = {
    "u": [(slice(0, 60), slice(0, 40))],
    "g": [(slice(0, 60), slice(0, 40)), (slice(0, 15), slice(0, 140))],
    "r": [(slice(0, 15), slice(0, 140))],
    **{band: [(slice(0, 15), slice(0, 140))] for band in ("i", "z", "y")},
}
"""Blue has nothing to the left, and below none of the bands but u has a value."""


@pytest.fixture(scope="module")
def sky(tmp_path_factory, save_image, new_shelf):
    """The HiPS of six bands, as files (tree) and in packs, and what they are made of."""
    folder = tmp_path_factory.mktemp("color")
    wcs = make_wcs(40.0, 12.0, 140, 20.0, 15.0, distorted=False)
    shelf = new_shelf()
    for number, (band, fluxes) in enumerate(FLUXES.items()):
        image = squares(fluxes, BLANK[band])
        path = save_image(folder / f"{band}.fits", image, wcs)
        wave = (3.5 + number) * 1e-7
        shelf.put(path, filter=band, em_min=wave, em_max=wave + 1e-8)
        for kind in ("tree", "packed"):
            build(
                shelf.items[-1:], shelf.index, folder / kind, HipsSettings(storage=kind),
                name=f"demo-{band}", title=band, creator_did=f"ivo://test.example/hips/{band}",
            )  # fmt: skip
    return folder, shelf


def bands_of(folder, kind="tree", bands="ugrizy"):
    return {band: folder / kind / f"demo-{band}" for band in bands}


def read_tile(hips, order, npix):
    """Give a band's tile, blank where there is none."""
    data = open_tiles(hips).read(order, npix, "fits")
    return np.full((512, 512), np.nan, np.float32) if data is None else read_fits(data)


def paint_hips(bands, output, colors=None, *, name="color", **settings):
    return build_color(
        bands, output, HipsSettings(**settings), name=name, title="t", colors=colors,
        creator_did="ivo://test.example/hips/c",
    )  # fmt: skip


def expected(tiles: dict, colors: ColorSettings, cuts: dict, curve):
    """Work the colours out in numpy, in float64: (row, column, RGBA) as real numbers."""
    channels = []
    for weights in (colors.red, colors.green, colors.blue):
        total = sum(
            w * np.where(np.isnan(tiles[b]), 0.0, (tiles[b] - cuts[b][0]) / np.ptp(cuts[b]))
            for b, w in weights.items()
        )
        there = sum(w * ~np.isnan(tiles[b]) for b, w in weights.items())
        with np.errstate(invalid="ignore", divide="ignore"):
            channels.append(total / there)
    rgb = np.stack(channels, axis=-1)
    alpha = ~np.isnan(rgb).all(axis=-1)
    light = np.zeros(alpha.shape)
    light[alpha] = np.nanmean(rgb[alpha], axis=-1)
    rgb = np.where(np.isnan(rgb), light[..., None], rgb)
    safe = np.where(light > 0.0, light, 1.0)
    rgb *= np.where(light > 0.0, curve(safe) / safe, 0.0)[..., None]
    rgb = np.maximum(rgb, 0.0)
    rgb /= np.maximum(rgb.max(axis=-1, keepdims=True), 1.0)
    return np.dstack([255.0 * rgb, 255.0 * alpha])


def picture(hips, order, npix, extension="png"):
    with Image.open(TileTree(hips).path(order, npix, extension)) as file:
        return np.asarray(file.convert("RGBA"))[::-1].astype(float)


def deepest(hips):
    tree = TileTree(hips)
    order = max(order for order in range(12) if tree.tiles(order, "png"))
    return {npix: picture(hips, order, npix) for npix in tree.tiles(order, "png")}


def asinh(q, stretch):
    return lambda light: np.arcsinh(q * light / stretch) / q


CURVES = {
    "asinh": ({"q": 6.0}, asinh(6.0, 6.0 / np.sinh(6.0))),
    "mild": ({}, lambda light: np.arcsinh(light * np.sinh(3.0)) / 3.0),
    "wide": ({"stretch": "asinh", "width": 0.2, "q": 3.0}, asinh(3.0, 0.2)),
    "linear": ({"stretch": "linear"}, lambda light: light),
    "sqrt": ({"stretch": "sqrt"}, np.sqrt),
    "log": ({"stretch": "log"}, lambda light: np.log(1000.0 * light + 1.0) / np.log(1001.0)),
}


@pytest.mark.parametrize("curve", CURVES)
def test_six_bands_become_the_colours_that_numpy_gives_at_every_order(sky, tmp_path, curve):
    folder, _ = sky
    options, function = CURVES[curve]
    colors = five(cuts=FIXED, **options)
    bands = bands_of(folder)
    made = paint_hips(bands, tmp_path, colors)
    seen = set()
    for order in range(made.order + 1):
        numbers = TileTree(made.path).tiles(order, "png")
        assert numbers
        for npix in numbers[:4]:
            tiles = {
                band: read_tile(path, order, npix).astype(float) for band, path in bands.items()
            }
            truth = expected(tiles, colors, FIXED, function)
            ours = picture(made.path, order, npix)
            np.testing.assert_array_equal(ours[..., 3], truth[..., 3])
            shown = ours[..., 3] > 0
            assert np.abs(ours - truth)[shown].max() < 0.51
            seen |= {tuple(c) for c in ours[shown].astype(int)}
    # The saturated square keeps its colour.
    assert any(blue == 255 > red > green > 100 for red, green, blue, _ in seen)
    assert check_hips(made.path) == []


def test_squares_of_known_flux_have_the_colours_of_these_fluxes(sky, tmp_path):
    """From what was put into the images, past the tiles: one colour in the middle of a square."""
    folder, _ = sky
    colors = five(cuts=[0, 40], stretch="linear")
    made = paint_hips(bands_of(folder), tmp_path, colors)
    shown = np.concatenate([p[p[..., 3] > 0] for p in deepest(made.path).values()])
    found, count = np.unique(shown.astype(int), axis=0, return_counts=True)
    common = {tuple(c) for c in found[count > 400].tolist()}
    plain = dict.fromkeys(FLUXES, (0.0, 40.0))
    for k in range(6):
        tiles = {
            band: np.full((1, 1), np.nan if k == 0 and band in "ug" else fluxes[k])
            for band, fluxes in FLUXES.items()
        }
        truth = expected(tiles, colors, plain, lambda light: light)[0, 0]
        assert tuple(np.rint(truth).astype(int).tolist()) in common, k


@pytest.mark.parametrize("q", [0.5, 8.0, 30.0])
def test_asinh_is_that_of_make_lupton_rgb(q):
    rng = np.random.default_rng(4)
    red, green, blue = (200.0 * rng.random((3, 64, 64)) ** 6 - 2.0).astype(np.float32)
    black, gain, stretch = (1.0, -1.0, 0.5), (1.0, 2.0, 0.7), 5.0
    theirs = make_lupton_rgb(
        *((band - b) * g for band, b, g in zip((red, green, blue), black, gain, strict=True)),
        minimum=0, stretch=stretch, Q=q, output_dtype=np.float64,
    )  # fmt: skip
    # astropy's levels are asinh(Q x / stretch) 0.1 / asinh(0.1 Q): Lupton's own with another Q.
    ours_q = 10.0 * np.arcsinh(0.1 * q)
    scale = ColorScale(("i", "r", "g"), black, gain, stretch * ours_q / q, ours_q)
    ours = paint((red, green, blue), scale)
    assert np.abs(ours[..., :3] - 255.0 * theirs).max() < 0.51


@pytest.mark.parametrize(
    ("stretch", "curve"),
    [("linear", LinearStretch()), ("sqrt", SqrtStretch()), ("log", LogStretch(1000.0))],
)
def test_other_stretches_are_those_of_astropy(stretch, curve):
    rng = np.random.default_rng(4)
    bands = [(3.0 * rng.random((64, 64)) ** 4).astype(np.float32) for _ in range(3)]
    scale = choose_scale(
        Mix(("i", "r", "g")),
        ColorSettings(collection="c", stretch=stretch, cuts=[0.0, 1.0]), [],
    )  # fmt: skip
    mapping = RGBImageMappingLupton(interval=ManualInterval(0, None), stretch=curve)
    theirs = mapping.make_rgb_image(*bands, output_dtype=np.float64)
    assert np.abs(paint(bands, scale)[..., :3] - 255.0 * theirs).max() < 0.51


def test_percentiles_are_those_of_each_band(sky, tmp_path):
    folder, _ = sky
    made = paint_hips(bands_of(folder, bands="gri"), tmp_path,
                      ColorSettings(collection="demo", red="i", green="r", blue="g",
                                    cuts="1% 99%", stretch="linear"))  # fmt: skip
    scale = json.loads((made.path / COLOR_FILE).read_text())
    whole = {
        npix: np.stack([read_tile(folder / "tree" / f"demo-{b}", made.order, npix) for b in "irg"])
        for npix in TileTree(made.path).tiles(made.order, "png")
    }
    values = np.concatenate([t.reshape(3, -1) for t in whole.values()], axis=1)
    low, high = np.percentile(values[:, np.isfinite(values).all(axis=0)], (1, 99), axis=1)
    np.testing.assert_allclose(scale["black"], low, atol=0.05)
    np.testing.assert_allclose(1.0 / np.array(scale["gain"]), high - low, rtol=0.02)


def test_fixed_cuts_look_the_same_in_another_hips(sky, tmp_path, save_image, shelf, build_files):
    folder, _ = sky
    wcs = make_wcs(300.0, -40.0, 140, 20.0, 60.0, distorted=False)
    other = {}
    for band in "gri":
        shelf.items.clear()
        fluxes = FLUXES[band][::-1]
        path = save_image(tmp_path / f"{band}.fits", squares(fluxes), wcs)
        other[band] = build_files(path, name=f"other-{band}")[0]
    colors = ColorSettings(collection="demo", red="i", green="r", blue="g", cuts=[0, 60])
    made = [
        paint_hips(bands, tmp_path, colors, name=name)
        for name, bands in (("one", bands_of(folder, bands="gri")), ("two", other))
    ]
    kept = [(one.path / COLOR_FILE).read_text() for one in made]
    assert kept[0] == kept[1]
    truth = paint([np.full((1, 1), FLUXES[b][2], np.float32) for b in "irg"],
                  ColorScale.from_json(kept[0]))[0, 0].astype(float)  # fmt: skip
    for one in made:
        near = [np.abs(p - truth).max(axis=-1) <= 2.0 for p in deepest(one.path).values()]
        assert sum(int(n.sum()) for n in near) > 400


def test_bands_in_packs_give_the_same_colours(sky, tmp_path):
    folder, _ = sky
    plain = paint_hips(bands_of(folder), tmp_path / "a", five())
    packed = paint_hips(bands_of(folder, "packed"), tmp_path / "b", five(), storage="packed")
    assert not list(packed.path.glob("Norder*/Dir*"))
    assert (plain.path / COLOR_FILE).read_text() == (packed.path / COLOR_FILE).read_text()
    ours, theirs = open_tiles(packed.path), TileTree(plain.path)
    for order in range(plain.order + 1):
        assert ours.tiles(order, "png") == theirs.tiles(order, "png") != []
        for npix in theirs.tiles(order, "png"):
            assert ours.read(order, npix, "png") == theirs.read(order, npix, "png")


def test_all_formats_show_the_same_colours(sky, tmp_path):
    folder, _ = sky
    made = paint_hips(
        bands_of(folder), tmp_path, five(cuts=FIXED), formats=("webp", "png", "jpeg", "fits"),
        webp_quality="lossless", jpeg_quality=95,
    )  # fmt: skip
    npix = TileTree(made.path).tiles(made.order, "png")[0]
    png, webp, jpg = (picture(made.path, made.order, npix, e) for e in ("png", "webp", "jpg"))
    np.testing.assert_array_equal(png, webp)
    shown = png[..., 3] > 0
    assert np.abs(jpg - png)[shown].mean() < 2.0
    with Image.open(made.path / "preview.jpg") as preview:
        assert np.ptp(np.asarray(preview).astype(int), axis=2).max() > 50
    pictures = []
    for extension in ("png", "webp"):
        with Image.open(made.path / "Norder3" / f"Allsky.{extension}") as file:
            pictures.append(np.asarray(file.convert("RGBA")))
    np.testing.assert_array_equal(*pictures)
    assert np.ptp(pictures[0][..., :3].astype(int), axis=2).max() > 50


def tiles_of(hips):
    return {
        str(path.relative_to(hips)): (path.stat().st_ino, path.read_bytes())
        for path in sorted(hips.glob("Norder*/Dir*/*"))
    }


def test_the_scale_is_kept_and_other_settings_paint_anew(sky, tmp_path):
    folder, _ = sky
    bands = bands_of(folder)
    made = paint_hips(bands, tmp_path, five())
    before, kept = tiles_of(made.path), (made.path / COLOR_FILE).read_text()
    # What was chosen at first holds, though the data would say otherwise.
    scale = json.loads(kept)
    scale["stretch"] *= 2.0
    other = json.dumps(scale, indent=1) + "\n"
    (made.path / COLOR_FILE).write_text(other)
    paint_hips(bands, tmp_path, five())
    assert (made.path / COLOR_FILE).read_text() == other
    dimmed = tiles_of(made.path)
    assert all(dimmed[name][1] != before[name][1] for name in before)
    paint_hips(bands, tmp_path, five())
    assert tiles_of(made.path) == dimmed
    for colors in (five(q=2.0), five(stretch="sqrt"), five(cuts=FIXED), five(cuts="1% 99%")):
        paint_hips(bands, tmp_path, colors)
        now = tiles_of(made.path)
        assert all(now[name][1] != dimmed[name][1] for name in dimmed)
        dimmed = now
    paint_hips(bands, tmp_path, five())
    assert (made.path / COLOR_FILE).read_text() == kept
    assert {n: t[1] for n, t in tiles_of(made.path).items()} == {n: t[1] for n, t in before.items()}


def test_without_settings_what_is_kept_is_as_ever(sky, tmp_path):
    folder, _ = sky
    bands = {band: folder / "tree" / f"demo-{band}" for band in "irg"}
    made = paint_hips(bands, tmp_path)
    assert list(json.loads((made.path / COLOR_FILE).read_text())) == [
        "bands", "black", "gain", "stretch", "softening",
    ]  # fmt: skip
    before = tiles_of(made.path)
    empty = ColorSettings(collection="demo")
    paint_hips(bands, tmp_path, empty)
    assert tiles_of(made.path) == before
    text = (made.path / "properties").read_text()
    assert "Colour composite: red i, green r, blue g." in text


def test_automatic_cuts_make_typical_light_grey_however_many_bands():
    rng = np.random.default_rng(1)
    light = 400.0 * rng.random(90_000) ** 12
    bands = [
        (level + factor * light + rng.normal(0.0, noise, light.size)).astype(np.float32)
        for level, factor, noise in ((10, 1, 1), (300, 8, 2), (-5, 0.2, 0.05), (0, 3, 1), (1, 1, 1))
    ]
    tiles = [band.reshape(300, 300) for band in bands]
    mix = Mix.of(ColorSettings(collection="c", red=["a", "b"], green="c", blue={"d": 1, "e": 2}))
    for stretch in ("asinh", "linear", "sqrt", "log"):
        colors = ColorSettings(
            collection="c", red=["a", "b"], green="c", blue={"d": 1, "e": 2}, stretch=stretch
        )
        shown = paint(tiles, choose_scale(mix, colors, [tiles])).reshape(-1, 4)[:, :3].astype(float)
        bright = light > np.percentile(light, 97)
        # The same colour for all that is bright, and black is not where the sky is.
        assert np.median(np.ptp(shown[bright], axis=1) / shown[bright].max(axis=1)) < 0.1
        assert 60 < np.median(shown[light > np.percentile(light, 99)]) <= 255
        assert np.median(shown[light < 1.0]) < 100


def test_bands_that_meet_nowhere_have_a_scale_all_the_same():
    rng = np.random.default_rng(1)
    here, there = (rng.normal(100.0 * k, k, (90, 90)).astype(np.float32) for k in (1, 5))
    here[:, :45] = np.nan
    there[:, 45:] = np.nan
    scale = choose_scale(Mix(("a", "b", "c")), None, [[here, there, None]])
    np.testing.assert_allclose(np.array(scale.gain[:2]) * (1.0, 5.0), scale.gain[0], rtol=0.1)
    shown = paint([here, there, None], scale)
    assert 0 < np.median(shown[..., :3]) < 100


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"red": ["i"]}, "green, blue: needs a band"),
        ({"red": "i", "green": "i", "blue": "i"}, "needs two"),
        ({"red": {"i": 0}}, "weight of band 'i' takes a number above 0"),
        ({"red": {"i": float("nan")}}, "weight of band 'i' takes a number above 0"),
        ({"red": ["i", "i"]}, "names a band twice"),
        ({"red": 3}, "red"),
        ({"cuts": "0.5%"}, 'takes "auto", percentiles such as "0.5% 99.5%"'),
        ({"cuts": "99% 1%"}, 'takes "auto"'),
        ({"cuts": "1% 101%"}, 'takes "auto"'),
        ({"cuts": [5, 5]}, 'takes "auto"'),
        ({"cuts": [0, 10**400]}, 'takes "auto"'),
        ({"cuts": [0, float("nan")]}, 'takes "auto"'),
        ({"cuts": [True, 5]}, 'takes "auto"'),
        ({"cuts": {"r": [0, 1]}}, "cuts for each band of red, green and blue"),
        ({**FIVE, "cuts": {"r": [0, 1]}}, "for no other: i, z, y, r, u, g"),
        ({"cuts": {"r": "auto"}}, 'takes "auto"'),
        ({"stretch": "power"}, "'linear', 'sqrt', 'log' or 'asinh'"),
        ({"stretch": "log", "q": 3.0}, 'q: only with stretch = "asinh"'),
        ({"q": 0}, "greater than 0"),
        ({"width": -1}, "greater than 0"),
        ({"collection": ""}, "at least 1 character"),
        ({"colours": 1}, "Extra inputs are not permitted"),
    ],
)
def test_wrong_settings_are_told_with_what_is_accepted(values, says):
    with pytest.raises(ValidationError) as caught:
        HipsSettings(color={"demo-x": {"collection": "demo", **values}})
    assert says in str(caught.value)
    assert all(fault["loc"][:2] == ("color", "demo-x") for fault in caught.value.errors())


@pytest.mark.parametrize("name", ["a/b", ".x", "", "live", "list"])
def test_a_colour_hips_needs_a_name_that_a_hips_can_have(name):
    with pytest.raises(ValidationError, match="cannot name a HiPS"):
        HipsSettings(color={name: {"collection": "demo"}})


def test_a_collection_has_the_colours_that_are_set_for_it(sky, tmp_path):
    folder, shelf = sky
    shutil.copytree(folder / "tree", tmp_path / "hips")
    settings = HipsSettings(
        color={
            "demo-six": five(),
            "demo-odd": {"collection": "demo", "red": "w", "green": "r", "blue": "g"},
            "other": {"collection": "else"},
            "demo-three": {"collection": "demo", "stretch": "linear"},
        }
    )
    made = build_collection(shelf, shelf, "demo", tmp_path / "hips", settings)
    assert [one.name for one in made][6:] == ["demo-six", "demo-three"]
    assert not {"demo-color", "demo-odd", "other"} & {p.name for p in (tmp_path / "hips").iterdir()}
    (note,) = [note for note in made[0].notes if "demo-odd" in note]
    assert note == (
        "hips.color.demo-odd: not made, as there is no band w; the bands with images are"
        " u, g, r, i, z, y"
    )
    text = (tmp_path / "hips" / "demo-six" / "properties").read_text()
    assert "red 0.25 i + 0.25 z + 0.5 y, green r, blue 0.25 u + 0.75 g." in text
    with fits.open(tmp_path / "hips" / "demo-six" / "metadata.fits") as hdus:
        assert hdus[0].header["BLUE"] == "0.25 u + 0.75 g"
    clash = HipsSettings(color={"demo-r": {"collection": "demo"}})
    with pytest.raises(UsageError, match=r"hips\.color\.demo-r: the HiPS of a band has"):
        build_collection(shelf, shelf, "demo", tmp_path / "hips", clash)


def test_a_band_without_a_hips_is_named(sky, tmp_path):
    folder, _ = sky
    with pytest.raises(UsageError, match="made of z, y, which is not there; there are u, g, r, i"):
        paint_hips(bands_of(folder, bands="ugri"), tmp_path, five())
