"""Tiles made on demand, held against those of the generator and against numpy."""

from __future__ import annotations

import io
from dataclasses import replace

import cdshealpix.nested as healpix
import numpy as np
import pytest
from astropy.coordinates import Latitude, Longitude
from astropy.io import fits
from PIL import Image

from hips.behind import dids_behind
from hips.build import build
from hips.encode import read_fits
from hips.formats import Encoding
from hips.live import previews
from hips.live.images import AllskyJob, LiveImage, PreviewJob, TileJob
from hips.live.worker import (
    choose_recipe,
    draw_preview,
    make_allsky,
    make_preview,
    make_tile,
    read_recipe,
)
from hips.names import TILE_WIDTH, pixel_size_arcsec, tile_path
from hips.preview import PreviewGrid
from hips.properties import parse_properties
from hips.recipe import Recipe
from hips.settings import HipsSettings
from hips.tiles.tree import TileTree
from hips.view import View
from vodal.storage import LOCAL
from vodal.testing.skies import make_wcs

PLACES = {
    "equator": (10.0, 0.3),
    "seam": (359.99, -3.0),
    "kink": (0.0, 41.81),
    "pole": (120.0, 89.98),
}


def sky(
    folder,
    save_image,
    shelf,
    ra,
    dec,
    *,
    count=5,
    size=230,
    compressed=False,
    planes=False,
    **cards,
):
    """Put overlapping images of a noisy sky with blank pixels on a shelf."""
    rng = np.random.default_rng(5)
    for k in range(count):
        angle, offset = 40.0 * k, (k - count / 2) * 0.006
        wcs = make_wcs(ra + offset / max(0.02, np.cos(np.radians(dec))), dec + offset / 2, size,
                       0.8, angle)  # fmt: skip
        image = rng.normal(20 + k, 2, (size, size - 11)).astype(np.float32)
        image[40:60, 70:90] += 300
        image[5 * k + 100 : 5 * k + 106, 30:44] = np.nan
        path = save_image(folder / f"{k}.fits", image, wcs, EXPTIME=10.0 + k, **cards)
        if compressed:
            packed = fits.CompImageHDU(
                image, fits.getheader(path), compression_type="RICE_1", quantize_level=16,
                tile_shape=(32, 50),
            )  # fmt: skip
            path = folder / f"{k}.fits.fz"
            fits.HDUList([fits.PrimaryHDU(), packed]).writeto(path)
        if planes:
            header = fits.getheader(path)
            variance = (4.0 + k + rng.random(image.shape)).astype(np.float32)
            variance[110:130, 50:60] = 0.0
            image_hdu = fits.ImageHDU(image, header, name="IMAGE")
            variance_hdu = fits.ImageHDU(variance, header, name="VARIANCE")
            fits.HDUList([fits.PrimaryHDU(), image_hdu, variance_hdu]).writeto(path, overwrite=True)
        shelf.put(path, t_exptime=10.0 + k, filter="r", t_min=61000.0 + k % 3)


def pixel_areas_of(wcs, size):
    """Give the solid angles of pixels in a unit of one's own, by the coordinates' differences."""
    y, x = np.mgrid[:size, :size]
    ra, dec = (np.radians(v) for v in wcs.all_pix2world(x, y, 0))
    (ra_y, ra_x), (dec_y, dec_x) = np.gradient(ra), np.gradient(dec)
    return np.abs(ra_x * dec_y - ra_y * dec_x) * np.cos(dec)


def live_images(shelf):
    ordered = sorted(shelf.items, key=lambda product: product.did)
    return [LiveImage.of(product, shelf.index(product), LOCAL) for product in ordered]


def built(shelf, folder, settings):
    build(
        shelf.items, shelf.index, folder, settings, name="one", title="A test",
        creator_did="ivo://test.example/hips/one",
    )  # fmt: skip
    return folder / "one"


@pytest.mark.parametrize(
    ("place", "compressed", "options"),
    [
        ("equator", False, {}),
        ("equator", True, {"kernel": "lanczos3"}),
        ("seam", False, {"background": "median"}),
        ("kink", True, {"background": "median"}),
        ("pole", False, {"conserve": "flux"}),
        ("equator", False, {"order": 8}),
        ("seam", False, {"coadd": "median"}),
        ("pole", False, {"coadd": "first"}),
        ("kink", False, {"weights": "feather"}),
        ("equator", True, {"weights": "variance"}),
        ("equator", False, {"weights": "variance", "order": 9, "conserve": "flux"}),
        ("seam", False, {"frame": "galactic", "background": "median"}),
        (
            "pole",
            True,
            {
                "frame": "galactic",
                "formats": ("jpeg", "webp", "png", "fits"),
                "jpeg_quality": 70,
                "webp_quality": "lossless",
            },
        ),
    ],
)
def test_the_deepest_tiles_are_the_generators_byte_for_byte(
    tmp_path, save_image, shelf, place, compressed, options
):
    planes = not compressed and options.get("weights") == "variance"
    sky(
        tmp_path, save_image, shelf, *PLACES[place], compressed=compressed, planes=planes,
        MAGZERO=24.0,
    )  # fmt: skip
    settings = HipsSettings(**options)
    hips = built(shelf, tmp_path / "hips", settings)
    images = live_images(shelf)
    # A recipe of one's own is the generator's too, grey levels included.
    chosen = choose_recipe(images, settings, tmp_path / "kept")
    assert chosen == read_recipe(hips, settings)
    assert chosen == read_recipe(tmp_path / "kept", settings)
    tiles = TileTree(hips).tiles(chosen.order, "fits")
    assert tiles
    for npix in tiles:
        for extension in Encoding.of_band(settings).marks:
            made = make_tile(
                TileJob(chosen.order, npix, extension, chosen.text, settings, tuple(images))
            )
            assert made.body == (hips / tile_path(chosen.order, npix, extension)).read_bytes()
            assert not made.lost


def test_a_tile_without_an_image_is_blank_and_one_without_a_file_says_so(
    tmp_path, save_image, shelf
):
    sky(tmp_path, save_image, shelf, *PLACES["equator"])
    settings = HipsSettings()
    hips = built(shelf, tmp_path / "hips", settings)
    images = live_images(shelf)
    recipe = read_recipe(hips, settings)
    job = TileJob(recipe.order, 0, "fits", recipe.text, settings, tuple(images))
    assert make_tile(job).body is None
    npix = TileTree(hips).tiles(recipe.order, "fits")[0]
    whole = make_tile(replace(job, npix=npix))
    gone = dids_behind(hips, recipe.order, npix, 100)[0]
    (tmp_path / gone.rpartition("?")[2]).unlink()
    partial = make_tile(replace(job, npix=npix))
    assert partial.lost == (gone,)
    assert partial.body != whole.body


def test_a_file_that_was_replaced_is_told(tmp_path, save_image, shelf):
    sky(tmp_path, save_image, shelf, *PLACES["equator"], count=1)
    settings = HipsSettings()
    hips = built(shelf, tmp_path / "hips", settings)
    (image,) = live_images(shelf)
    recipe = read_recipe(hips, settings)
    npix = TileTree(hips).tiles(recipe.order, "fits")[0]
    with fits.open(tmp_path / "0.fits") as hdus:
        data, header = hdus[0].data + 1, hdus[0].header
        header["NEWCARD"] = 1
    fits.PrimaryHDU(np.vstack([data, data]), header).writeto(tmp_path / "0.fits", overwrite=True)
    made = make_tile(TileJob(recipe.order, npix, "fits", recipe.text, settings, (image,)))
    assert made.changed == ((image.uri, image.version),)
    assert made.lost == (image.did,)
    assert make_preview(image, settings, tmp_path / "p").changed == made.changed


def centre(tile):
    """Give the centre of the light above the sky."""
    light = np.clip(np.nan_to_num(tile) - 40.0, 0.0, None)
    return np.array([(np.indices(tile.shape)[k] * light).sum() / light.sum() for k in (0, 1)])


def coarse(images, recipe, settings, folder, order, npix, extension="fits"):
    paths = []
    for number, image in enumerate(images):
        path = folder / f"{number}.preview"
        assert make_preview(image, settings, path).size_bytes == path.stat().st_size
        paths.append(path)
    job = TileJob(order, npix, extension, recipe.text, settings, (), tuple(paths))
    return make_tile(job)


@pytest.mark.parametrize("frame", ["equatorial", "galactic"])
def test_pictures_of_the_whole_are_the_generators_byte_for_byte(tmp_path, save_image, shelf, frame):
    """Allsky where it is made of the deepest tiles; the preview of the same tiles."""
    sky(tmp_path, save_image, shelf, *PLACES["kink"])
    for order in (3, 8):
        settings = HipsSettings(
            order=order, frame=frame, formats=("png", "webp", "jpeg", "fits"), jpeg_quality=60
        )
        hips = built(shelf, tmp_path / f"hips{order}", settings)
        images, recipe = live_images(shelf), read_recipe(hips, settings)

        def tile(npix, extension, recipe=recipe, settings=settings, images=tuple(images)):
            job = TileJob(recipe.order, npix, extension, recipe.text, settings, images)
            return npix, make_tile(job).body

        there = TileTree(hips).tiles(order, "fits")
        if order == 3:
            cells = tuple(tile(npix, "cell") for npix in there)
            for extension in Encoding.of_band(settings).marks:
                job = AllskyJob(recipe.text, settings, extension, cells)
                assert make_allsky(job) == (hips / f"Norder3/Allsky.{extension}").read_bytes()
            continue
        values = parse_properties((hips / "properties").read_text())
        keys = ("hips_initial_ra", "hips_initial_dec", "hips_initial_fov")
        view = View(*(float(values[key]) for key in keys))
        grid, tree = PreviewGrid(view, order, frame), TileTree(hips)
        known = {npix: tree.read(grid.order, npix, "png") for npix in grid.tiles()}
        pictures = tuple((npix, data) for npix, data in known.items() if data is not None)
        assert pictures
        drawn = draw_preview(PreviewJob(view, order, frame, 60, pictures))
        theirs, ours = (
            np.asarray(Image.open(io.BytesIO(data)).convert("L"), float)
            for data in ((hips / "preview.jpg").read_bytes(), drawn)
        )
        # The view of the properties is rounded; a pixel may come from the next one of a tile.
        assert np.abs(theirs - ours).mean() < 2.0
        assert theirs.max() > 50.0


@pytest.mark.parametrize(
    ("place", "frame"),
    [*((place, "equatorial") for place in PLACES), ("kink", "galactic")],
)
def test_coarse_tiles_show_what_the_generators_show(tmp_path, save_image, shelf, place, frame):
    """Within the noise of sampling, which averages out as pixels get coarser."""
    sky(tmp_path, save_image, shelf, *PLACES[place])
    settings = HipsSettings(frame=frame)
    hips = built(shelf, tmp_path / "hips", settings)
    images = live_images(shelf)
    recipe = read_recipe(hips, settings)
    assert recipe.order == 10
    for order in (9, 8, 6, 3, 0):
        for npix in TileTree(hips).tiles(order, "fits"):
            theirs = read_fits((hips / tile_path(order, npix, "fits")).read_bytes())
            made = coarse(images, recipe, settings, tmp_path, order, npix)
            ours = read_fits(made.body)
            both = np.isfinite(ours) & np.isfinite(theirs)
            assert both.sum() > 0.9 * np.isfinite(theirs).sum()
            off = ours[both] - theirs[both]
            # A few pixels are means of all: of images (ours) or of where they lie (theirs).
            assert abs(np.median(off)) < (0.3 if both.sum() > 100 else 5.0)
            bright = np.nanmax(theirs) > 100
            if bright and order > 6:
                # The same way up: the bright square is at the same place.
                assert np.hypot(*(centre(theirs) - centre(ours))) < 1.0


@pytest.mark.parametrize("conserve", ["brightness", "flux"])
def test_a_preview_keeps_means_and_valid_fractions(tmp_path, save_image, shelf, conserve):
    size, scale = 1500, 0.5
    wcs = make_wcs(40.0, 10.0, size, scale, 30.0)
    y, x = np.mgrid[:size, :size]
    image = (100.0 + 0.02 * x + 0.01 * y).astype(np.float32)
    image[200:700, 300:800] = np.nan
    shelf.put(save_image(tmp_path / "a.fits", image, wcs))
    (live,) = live_images(shelf)
    made = make_preview(live, HipsSettings(conserve=conserve), tmp_path / "a.preview")
    if conserve == "flux":
        # The middle has the pixel that the values refer to.
        areas = pixel_areas_of(wcs, size)
        image = image * areas[size // 2, size // 2] / areas
    assert made.size_bytes == (tmp_path / "a.preview").stat().st_size < image.nbytes
    preview = previews.Preview(tmp_path / "a.preview")
    assert size * scale / pixel_size_arcsec(preview.order) <= previews.PREVIEW_WIDTH
    for order in (preview.order, preview.order - 2):
        # The truth: each pixel to the cell that holds its centre.
        good = np.isfinite(image)
        ra, dec = wcs.all_pix2world(x[good], y[good], 0)
        cells = healpix.lonlat_to_healpix(
            Longitude(ra, "deg"), Latitude(dec, "deg"), order + 9
        ).astype(np.int64)
        area = (scale / pixel_size_arcsec(order)) ** 2
        for npix in np.unique(cells >> 18):
            here = cells >> 18 == npix
            inside = cells[here] & (1 << 18) - 1
            count = np.bincount(inside, minlength=1 << 18)
            mean = np.bincount(inside, image[good][here], 1 << 18) / np.maximum(count, 1)
            total, weights = np.zeros(1 << 18), np.zeros(1 << 18)
            preview.add_to(total, weights, order, int(npix), 1.0, 1.0)
            places = previews.PlacesOfCells()
            ours = np.divide(total, weights, where=weights > 0, out=np.full(1 << 18, np.nan))
            ours, shares = ours[places.pixel], weights[places.pixel]
            assert shares.sum() == pytest.approx(count.sum() * area, rel=0.01)
            full = count * area > 0.7
            assert full.any()
            np.testing.assert_allclose(ours[full], mean[full], atol=0.15)


def test_what_a_coarse_tile_reads_does_not_grow_with_the_images(tmp_path, save_image, shelf):
    wcs = make_wcs(40.0, 10.0, 900, 0.5, 30.0)
    shelf.put(save_image(tmp_path / "a.fits", np.ones((900, 900), np.float32), wcs))
    settings = HipsSettings()
    (live,) = live_images(shelf)
    recipe = choose_recipe([live], settings, tmp_path / "kept")
    npix = next(iter(TileTree(built(shelf, tmp_path / "hips", settings)).tiles(3, "fits")))
    made = make_preview(live, settings, tmp_path / "0.preview")
    (tmp_path / "a.fits").unlink()
    job = TileJob(3, npix, "fits", recipe.text, settings, (), (tmp_path / "0.preview",))
    tile = read_fits(make_tile(job).body)
    np.testing.assert_allclose(tile[np.isfinite(tile)], 1.0, rtol=1e-6)
    preview = previews.Preview(tmp_path / "0.preview")
    assert preview._places["3"][1] * 13 < 0.01 * made.size_bytes


def test_an_image_without_the_common_zero_point_is_left_out_of_previews_too(
    tmp_path, save_image, shelf
):
    sky(tmp_path, save_image, shelf, *PLACES["equator"], count=2, MAGZERO=24.0)
    settings = HipsSettings()
    recipe = choose_recipe(live_images(shelf), settings, tmp_path / "kept")
    assert Recipe.parse(recipe.text).zero_point_mag == 25.0
    sky(tmp_path, save_image, shelf, *PLACES["equator"], count=1)
    odd = live_images(shelf)[-1]
    shelf.items.clear()
    shelf.put(tmp_path / "0.fits", t_exptime=10.0)
    (odd,) = live_images(shelf)
    ra, dec = PLACES["equator"]
    npix = int(healpix.lonlat_to_healpix(Longitude([ra], "deg"), Latitude([dec], "deg"), 8)[0])
    assert coarse([odd], recipe, settings, tmp_path, 8, npix).body is None
    assert TILE_WIDTH == 512


def test_an_image_that_is_blank_has_no_preview_and_a_reason(tmp_path, save_image, shelf):
    wcs = make_wcs(40.0, 10.0, 50, 0.5, 0.0)
    shelf.put(save_image(tmp_path / "a.fits", np.full((50, 50), np.nan, np.float32), wcs))
    (live,) = live_images(shelf)
    made = make_preview(live, HipsSettings(), tmp_path / "a.preview")
    assert made.reason == "it has no pixel with a value"
    assert not (tmp_path / "a.preview").exists()
