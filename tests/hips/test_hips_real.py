"""HiPS of real sets: they are made, the check finds no error, and pixels are those of reproject."""

from __future__ import annotations

import json
import warnings

import cdshealpix.nested as healpix
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.visualization import make_lupton_rgb
from astropy.wcs import WCS
from reproject import reproject_interp

from hips.build import build
from hips.check import Level, check_hips
from hips.color.build import build_color
from hips.color.settings import ColorSettings
from hips.encode import read_fits
from hips.formats import decode_picture
from hips.names import TILE_WIDTH, interleave, tile_path
from hips.settings import HipsSettings
from hips.tiles.tree import TileTree

pytestmark = [
    pytest.mark.realdata,
    # What astropy says of the originals while it reads them for comparison.
    pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyWarning"),
]

SETS = {
    "twomass_gc_jhk": ({"j": "gc_2mass_j*", "h": "gc_2mass_h*", "k": "gc_2mass_k*"}, None),
    "sdss_fpc_griz": ({"g": "*-g4-*", "r": "*-r4-*", "i": "*-i4-*"}, 9),
    "decam_i_dithers": ({"i": "*.mini.fits"}, None),
    "decam_dithers_grz": ({"g": "*_ooi_g_*", "r": "*_ooi_r_*", "z": "*_ooi_z_*"}, 10),
}


@pytest.mark.parametrize("name", SETS)
def test_real_sets_become_hips_without_error(real_images, tmp_path, new_shelf, name):
    bands, order = SETS[name]
    settings = HipsSettings(order=order, photometry=False, weights="uniform")
    made = {}
    for band, pattern in bands.items():
        shelf = new_shelf()
        paths = sorted((real_images / name).glob(pattern))
        assert paths
        for path in paths:
            shelf.put(path, filter=band)
        made[band] = build(
            shelf.items, shelf.index, tmp_path, settings, name=band, title=f"{name} {band}",
            creator_did=f"ivo://test.example/hips/{band}",
        )  # fmt: skip
        assert made[band].images == len(paths)
    if len(bands) == 3:
        made["color"] = build_color(
            {band: made[band].path for band in reversed(bands)}, tmp_path, settings, name="color",
            title=name, creator_did="ivo://test.example/hips/color",
        )  # fmt: skip
        blue, green, red = bands
        made["cut"] = build_color(
            {band: made[band].path for band in bands}, tmp_path, settings, name="cut", title=name,
            creator_did="ivo://test.example/hips/cut",
            colors=ColorSettings(collection=name, red=red, green=green, blue=blue, cuts="5% 99.8%"),
        )  # fmt: skip
        assert_lupton(made["color"].path, tmp_path, made["color"].order)
        assert_lupton(made["cut"].path, tmp_path, made["cut"].order)
    for summary in made.values():
        found = [f for f in check_hips(summary.path, 20) if f.level != Level.NOTE]
        assert found == []


def assert_lupton(hips, folder, order):
    """Hold the tile that shows most against astropy, where all bands have a value."""
    scale = json.loads((hips / "color.json").read_text())
    tree = TileTree(hips)
    best, colors = None, None
    for npix in tree.tiles(order, "png"):
        tiles = [TileTree(folder / band).read(order, npix, "fits") for band in scale["bands"]]
        if None in tiles:
            continue
        bands = np.stack([read_fits(tile) for tile in tiles]).astype(float)
        if best is None or np.isfinite(bands).sum() > np.isfinite(best).sum():
            best, colors = bands, decode_picture(tree.read(order, npix, "png"))
    assert best is not None
    shown = np.isfinite(best).all(axis=0)
    assert shown.sum() > 10_000
    light = [
        (band[shown] - black)[None] * gain
        for band, black, gain in zip(best, scale["black"], scale["gain"], strict=True)
    ]
    # astropy's Q gives asinh(Q x / stretch) 0.1 / asinh(0.1 Q); ours is Lupton's asinh(Q x) / Q.
    ours = scale["softening"]
    q = 10.0 * np.sinh(ours / 10.0)
    theirs = make_lupton_rgb(
        *light, minimum=0, stretch=scale["stretch"] * q / ours, Q=q, output_dtype=np.float64
    )
    colors = colors[shown][:, :3].astype(int)
    assert np.abs(colors - 255.0 * theirs[0]).max() < 0.6
    assert np.ptp(colors, axis=1).max() > 100


@pytest.mark.parametrize("band", ["j", "h", "k"])
def test_tiles_of_2mass_are_what_reproject_gives(real_images, tmp_path, shelf, band):
    (path,) = (real_images / "twomass_gc_jhk").glob(f"gc_2mass_{band}*")
    shelf.put(path)
    summary = build(
        shelf.items, shelf.index, tmp_path, HipsSettings(photometry=False), name=band,
        title="2MASS", creator_did="ivo://test.example/hips/one",
    )  # fmt: skip
    with fits.open(path) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image, wcs = file[0].data.astype(float), WCS(file[0].header)
    tree = TileTree(summary.path)
    difference = []
    for npix in tree.tiles(summary.order, "fits"):
        with fits.open(tree.path(summary.order, npix, "fits")) as file:
            value, header = file[0].data.astype(float), file[0].header
            truth = reproject_interp((image, wcs), header, return_footprint=False)
        both = np.isfinite(value) & np.isfinite(truth)
        difference.append((value - truth)[both] / np.nanstd(image))
    off = np.abs(np.concatenate(difference))
    assert len(off) > 100_000
    # Places are right to 0.005 pixel: values, to that part of what a pixel's step changes.
    with np.errstate(invalid="ignore"):
        step = np.hypot(*np.gradient(image)) / np.nanstd(image)
    assert np.median(off) < 0.005 * np.nanmedian(step)
    assert np.percentile(off, 99) < 0.005 * np.nanpercentile(step, 99)


def test_two_nights_of_sdss_get_one_sky(real_images, tmp_path, shelf):
    """Their skies differ by 26 counts; the edges of one are seen in the mean of both, or not."""
    paths = sorted((real_images / "sdss_fpc_griz").glob("*-r4-*"))
    for path in paths:
        shelf.put(path)
    steps = {}
    for background in ("none", "match"):
        made = build(
            shelf.items, shelf.index, tmp_path, HipsSettings(order=9, background=background),
            name=background, title="r", creator_did="ivo://test.example/hips/r",
        )  # fmt: skip
        parts = []
        for npix in TileTree(made.path).tiles(9, "fits"):
            with fits.open(made.path / tile_path(9, npix, "fits")) as file:
                tile = file[0].data
            row, column = np.nonzero(np.isfinite(tile))
            cells = (npix << 18) + interleave(TILE_WIDTH - 1 - row, column).astype(np.int64)
            lon, lat = healpix.healpix_to_lonlat(cells.astype(np.uint64), 18)
            parts.append((lon.deg, lat.deg, tile[row, column].astype(float)))
        ra, dec, value = (np.concatenate(values) for values in zip(*parts, strict=True))
        steps[background] = []
        for path in paths:
            header = fits.getheader(path)
            _, y = WCS(header).world_to_pixel(SkyCoord(ra, dec, unit="deg"))
            for edge, inward in ((-0.5, 1.0), (header["NAXIS2"] - 0.5, -1.0)):
                depth = inward * (y - edge)
                inside, outside = (depth > 3) & (depth < 20), (depth < -3) & (depth > -20)
                if min(inside.sum(), outside.sum()) > 2000:
                    step = np.median(value[inside]) - np.median(value[outside])
                    steps[background].append(abs(step))
    assert len(steps["none"]) == len(steps["match"]) == 2
    assert min(steps["none"]) > 9.0
    assert max(steps["match"]) < 0.5
