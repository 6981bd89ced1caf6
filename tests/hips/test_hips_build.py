"""Whole HiPS of images whose sky is known."""

from __future__ import annotations

import os
import threading
import warnings

import cdshealpix.nested as healpix
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from PIL import Image

from hips.allsky import allsky_cell
from hips.build import build
from hips.check import check_hips
from hips.collection import build_collection
from hips.encode import read_fits
from hips.images import ImageSource, look, touched_parts
from hips.moc import read_coverage
from hips.names import interleave, pixel_size_arcsec, tile_path
from hips.properties import parse_properties
from hips.publish import staging
from hips.settings import HipsSettings
from hips.tiles.tree import TileTree
from vodal.errors import DataError, ServiceUnavailable, UsageError
from vodal.fits.wcs import pixel_scale_arcsec
from vodal.testing.skies import make_wcs

KINK = float(np.rad2deg(np.arcsin(2 / 3)))
PLACES = {
    "equator": (83.2, 0.3),
    "ra 0": (0.0, -12.0),
    "base-cell corner": (0.0, KINK),
    "mid-face kink": (45.0, KINK),
    "pole": (120.0, 90.0),
}


def sky_of_pixels(order, npix, row, column):
    """Give the sky of pixels of a FITS tile, by the library."""
    inside = interleave(511 - row, column)
    cells = (np.uint64(npix) << np.uint64(18)) + inside.astype(np.uint64)
    lon, lat = healpix.healpix_to_lonlat(cells, order + 9)
    return lon.deg, lat.deg


def read_tile(folder, order, npix):
    return read_fits((folder / tile_path(order, npix, "fits")).read_bytes())


def all_pixels(folder, order):
    """Give sky and value of every pixel of an order that has one."""
    parts = []
    for npix in TileTree(folder).tiles(order, "fits"):
        tile = read_tile(folder, order, npix)
        row, column = np.nonzero(np.isfinite(tile))
        parts.append((*sky_of_pixels(order, npix, row, column), tile[row, column]))
    return [np.concatenate(values) for values in zip(*parts, strict=True)]


def offsets_arcsec(ra, dec, ra0, dec0):
    """Give gnomonic offsets east and north."""
    a, d, a0, d0 = (np.deg2rad(v) for v in (ra, dec, ra0, dec0))
    depth = np.sin(d0) * np.sin(d) + np.cos(d0) * np.cos(d) * np.cos(a - a0)
    east = np.cos(d) * np.sin(a - a0) / depth
    north = (np.cos(d0) * np.sin(d) - np.sin(d0) * np.cos(d) * np.cos(a - a0)) / depth
    return np.rad2deg(east) * 3600, np.rad2deg(north) * 3600


def star_field(wcs, size, sigma=1.6):
    """Draw isolated stars at known places of an image; gives image and (x, y, flux)."""
    rng = np.random.default_rng(11)
    image = np.zeros((size, size))
    yy, xx = np.indices(image.shape)
    stars = []
    for gy in np.arange(35, size - 30, 48):
        for gx in np.arange(35, size - 30, 48):
            x, y, flux = gx + rng.uniform(-4, 4), gy + rng.uniform(-4, 4), rng.uniform(1e4, 1e6)
            image += (
                flux
                / (2 * np.pi * sigma**2)
                * np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * sigma**2))
            )
            stars.append((x, y, flux))
    return image.astype(np.float32), stars


@pytest.mark.parametrize("kernel", ["bilinear", "lanczos3"])
@pytest.mark.parametrize("place", PLACES)
def test_stars_keep_their_place_and_their_light(build_files, save_image, tmp_path, place, kernel):
    ra, dec = PLACES[place]
    size, scale = 256, 0.4
    wcs = make_wcs(ra, dec, size, scale, 33.0)
    image, stars = star_field(wcs, size)
    path = save_image(tmp_path / "stars.fits", image, wcs)
    folder, summary = build_files(path, kernel=kernel)
    assert (summary.order, summary.images, summary.skipped) == (11, 1, ())
    pixel_ra, pixel_dec, value = all_pixels(folder, summary.order)
    area = pixel_size_arcsec(11) ** 2
    for x, y, flux in stars:
        star_ra, star_dec = wcs.all_pix2world(x, y, 0)
        east, north = offsets_arcsec(pixel_ra, pixel_dec, float(star_ra), float(star_dec))
        near = np.hypot(east, north) < 5.5
        light = value[near].astype(float)
        off = np.hypot((east[near] * light).sum(), (north[near] * light).sum()) / light.sum()
        assert off < 0.05 * scale
        # Values are counts of an image pixel at the centre, spread over the local pixel.
        local = pixel_scale_arcsec(wcs, x, y) ** 2
        assert light.sum() * area / local == pytest.approx(flux, rel=0.01)


@pytest.mark.parametrize("place", PLACES)
def test_tile_pixels_are_what_astropy_gives_there(build_files, save_image, tmp_path, place):
    ra, dec = PLACES[place]
    wcs = make_wcs(ra, dec, 300, 0.5, -20.0)
    y, x = np.indices((300, 300))
    image = (1000 + 200 * np.sin(x / 7) * np.cos(y / 9) + 0.5 * x + y).astype(np.float32)
    folder, summary = build_files(save_image(tmp_path / "waves.fits", image, wcs))
    assert summary.order == 10
    rng = np.random.default_rng(5)
    checked = 0
    for npix in TileTree(folder).tiles(10, "fits"):
        tile = read_tile(folder, 10, npix)
        row, column = rng.integers(0, 512, (2, 4000))
        pixel_ra, pixel_dec = sky_of_pixels(10, npix, row, column)
        good = np.isfinite(tile[row, column])
        if not good.any():
            continue
        px, py = wcs.all_world2pix(pixel_ra[good], pixel_dec[good], 0, quiet=True)
        value = tile[row[good], column[good]]
        inner = (px > 0) & (py > 0) & (px < 298.99) & (py < 298.99)
        i, j = np.floor(px[inner]).astype(int), np.floor(py[inner]).astype(int)
        fx, fy = px[inner] - i, py[inner] - j
        expected = (image[j, i] * (1 - fx) + image[j, i + 1] * fx) * (1 - fy) + (
            image[j + 1, i] * (1 - fx) + image[j + 1, i + 1] * fx
        ) * fy
        np.testing.assert_allclose(value[inner], expected, rtol=1e-4)
        checked += inner.sum()
    assert checked > 500
    everywhere = sum(
        np.isfinite(read_tile(folder, 10, n)).sum() for n in TileTree(folder).tiles(10, "fits")
    )
    covered = 300 * 300 * 0.5**2 / pixel_size_arcsec(10) ** 2
    assert everywhere == pytest.approx(covered, rel=0.03)


def brightest(levels):
    row, column = np.unravel_index(np.nanargmax(levels), levels.shape)
    return np.array([row]), np.array([column])


@pytest.mark.parametrize("centre", [(83.2, 4.3), (211.0, -52.0), (300.0, 71.0)])
def test_every_tile_of_every_order_is_the_right_way_up(build_files, save_image, tmp_path, centre):
    wcs = make_wcs(*centre, 160, 20.0, distorted=False)
    image = np.random.default_rng(1).normal(0, 0.01, (160, 160)).astype(np.float32)
    # Off the centre and with a tail to one side: no turn or mirror image looks the same.
    image[118:122, 38:42], image[118:121, 42:60] = 1000.0, 20.0
    ra, dec = wcs.all_pix2world(39.5, 119.5, 0)
    folder, summary = build_files(save_image(tmp_path / "spot.fits", image, wcs))
    assert summary.order == 5
    for order in range(6):
        tiles = {n: read_tile(folder, order, n) for n in TileTree(folder).tiles(order, "fits")}
        npix = max(tiles, key=lambda n: np.nanmax(tiles[n]))
        limit = 1.2 * pixel_size_arcsec(order) + 60.0
        with Image.open(folder / tile_path(order, npix, "png")) as file:
            grey = np.asarray(file.convert("LA"))[::-1].astype(float)
        for levels in (tiles[npix], grey[..., 0] * (grey[..., 1] > 0)):
            at = sky_of_pixels(order, npix, *brightest(levels))
            assert np.hypot(*offsets_arcsec(*at, float(ra), float(dec)))[0] < limit
        np.testing.assert_array_equal(grey[..., 1] > 0, np.isfinite(tiles[npix]))
    with Image.open(folder / "Norder3" / "Allsky.png") as file:
        png = np.asarray(file.convert("LA"))[::-1].astype(float)
    picture = read_fits((folder / "Norder3" / "Allsky.fits").read_bytes())
    assert picture.shape == png.shape[:2] == (29 * 64, 27 * 64)
    for whole in (picture, png[..., 0] * (png[..., 1] > 0)):
        row, column = (int(v[0]) for v in brightest(whole))
        npix = (28 - row // 64) * 27 + column // 64
        cell = allsky_cell(npix)
        row_in, column_in = row - cell[0].start, column - cell[1].start
        at = sky_of_pixels(3, npix, np.array([row_in * 8 + 4]), np.array([column_in * 8 + 4]))
        assert np.hypot(*offsets_arcsec(*at, float(ra), float(dec)))[0] < 8 * pixel_size_arcsec(3)


def test_overlapping_images_are_one_picture_on_one_scale(build_files, save_image, tmp_path):
    paths = []
    for number, (zero_point, factor) in enumerate(((25.0, 1.0), (27.5, 10.0), (22.5, 0.1))):
        wcs = make_wcs(40.0 + number * 0.004, 10.0, 120, 0.5, 10.0 * number, distorted=False)
        image = np.full((120, 120), 7.0 * factor, np.float32)
        paths.append(save_image(tmp_path / f"{number}.fits", image, wcs, MAGZERO=zero_point))
    folder, summary = build_files(*paths)
    values = all_pixels(folder, summary.order)[2]
    np.testing.assert_allclose(values, 7.0, rtol=1e-5)
    with fits.open(next((folder / "Norder10").rglob("*.fits"))) as file:
        assert file[0].header["MAGZERO"] == 25.0


def test_a_zero_point_that_not_all_have_is_not_used_and_said(build_files, save_image, tmp_path):
    wcs = make_wcs(40.0, 10.0, 60, 0.5, distorted=False)
    image = np.full((60, 60), 7.0, np.float32)
    one = save_image(tmp_path / "1.fits", image, wcs, MAGZERO=22.0)
    two = save_image(tmp_path / "2.fits", image, wcs)
    folder, summary = build_files(one, two)
    assert "1 of 2 images" in summary.notes[0]
    np.testing.assert_allclose(all_pixels(folder, summary.order)[2], 7.0, rtol=1e-5)


def test_weights_are_exposure_times(tmp_path, save_image, shelf):
    wcs = make_wcs(40.0, 10.0, 60, 0.5, distorted=False)
    for number, (value, time) in enumerate(((10.0, 30.0), (20.0, 90.0))):
        image = np.full((60, 60), value, np.float32)
        shelf.put(save_image(tmp_path / f"{number}.fits", image, wcs), t_exptime=time)
    for weights, mean in (("exposure", 17.5), ("uniform", 15.0)):
        build(
            shelf.items, shelf.index, tmp_path / "out", HipsSettings(weights=weights),
            name=weights, title="t", creator_did="ivo://test.example/h",
        )  # fmt: skip
        np.testing.assert_allclose(all_pixels(tmp_path / "out" / weights, 10)[2], mean, rtol=1e-5)


def test_blank_and_masked_pixels_are_not_used(tmp_path, shelf):
    wcs = make_wcs(40.0, 10.0, 90, 0.5, distorted=False)
    data = np.full((90, 90), 5.0, np.float32)
    data[20:40, 20:40] = np.nan
    data[60, 60] = np.inf
    mask = np.zeros((90, 90), np.int32)
    mask[50:70, 20:40] = 4
    mask[20:40, 50:70] = 1
    data[50:70, 20:40], data[20:40, 50:70] = 999.0, 50.0
    header = wcs.to_header(relax=True)
    planes = [fits.PrimaryHDU(), fits.ImageHDU(data, header, name="IMAGE")]
    planes.append(fits.ImageHDU(mask, header, name="MASK"))
    planes[2].header["MP_SAT"], planes[2].header["HIERARCH MP_NO_DATA"] = 0, 2
    fits.HDUList(planes).writeto(tmp_path / "m.fits")
    product = shelf.put(tmp_path / "m.fits")
    assert product.hdus == (1, 2)

    def values(**settings):
        build(
            shelf.items, shelf.index, tmp_path / "out", HipsSettings(**settings),
            name="m", title="t", creator_did="ivo://test.example/h",
        )  # fmt: skip
        return all_pixels(tmp_path / "out" / "m", 10)

    ra, dec, value = values()
    x, y = wcs.all_world2pix(ra, dec, 0)
    assert set(np.unique(np.rint(value))) >= {5.0, 50.0}
    assert value.max() < 51.0
    for low_x, low_y in ((20, 20), (20, 50)):
        assert not ((x > low_x) & (x < low_x + 19) & (y > low_y) & (y < low_y + 19)).any()
    assert values(mask_bits=(0, 2))[2].max() < 6.0
    assert values(mask_bits=())[2].max() > 990.0


def test_integers_with_blank_and_scaling_are_read_in_physical_values(build_files, tmp_path):
    wcs = make_wcs(40.0, 10.0, 60, 0.5, distorted=False)
    hdu = fits.PrimaryHDU(np.full((60, 60), 100, np.int16), wcs.to_header(relax=True))
    hdu.data[:30] = -32768
    hdu.header["BLANK"] = -32768
    hdu.writeto(tmp_path / "i.fits")
    with fits.open(tmp_path / "i.fits", mode="update", do_not_scale_image_data=True) as file:
        file[0].header["BSCALE"], file[0].header["BZERO"] = 0.5, 3.0
    folder, summary = build_files(tmp_path / "i.fits")
    ra, dec, value = all_pixels(folder, summary.order)
    np.testing.assert_allclose(value, 53.0)
    assert wcs.all_world2pix(ra, dec, 0)[1].min() > 29.0


def test_an_image_in_galactic_coordinates_lies_where_it_should(build_files, tmp_path):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["GLON-CAR", "GLAT-CAR"], [120.0, 0.0]
    wcs.wcs.crpix, wcs.wcs.cdelt = [40, 40], [-0.01, 0.01]
    image = np.zeros((80, 80), np.float32)
    image[60:63, 20:23] = 100.0
    fits.PrimaryHDU(image, wcs.to_header()).writeto(tmp_path / "g.fits")
    folder, summary = build_files(tmp_path / "g.fits")
    ra, dec, value = all_pixels(folder, summary.order)
    true = SkyCoord(*wcs.all_pix2world(21, 61, 0), unit="deg", frame="galactic").icrs
    east, north = offsets_arcsec(ra, dec, true.ra.deg, true.dec.deg)
    off = np.hypot((east * value).sum(), (north * value).sum()) / value.sum()
    assert off < 0.05 * 36.0


def test_fine_images_are_averaged_onto_coarse_tiles(build_files, save_image, tmp_path):
    wcs = make_wcs(40.0, 10.0, 400, 0.5, 15.0, distorted=False)
    image = np.random.default_rng(3).normal(10.0, 5.0, (400, 400)).astype(np.float32)
    folder, summary = build_files(save_image(tmp_path / "n.fits", image, wcs), order=7)
    assert summary.order == 7
    value = all_pixels(folder, 7)[2]
    # Each tile pixel holds 41 image pixels: sampling alone would keep a scatter of 3 or more.
    assert np.std(value) < 1.6
    assert np.mean(value) == pytest.approx(10.0, abs=0.1)


def wide_wcs(projection, crval, crpix, step):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = [f"RA---{projection}", f"DEC--{projection}"], crval
    wcs.wcs.crpix, wcs.wcs.cdelt = crpix, [-step, step]
    return wcs


@pytest.mark.parametrize("projection", ["CAR", "AIT", "MOL", "HPX", "ZEA"])
def test_an_all_sky_image_reaches_all_tiles(tmp_path, shelf, projection):
    wcs = wide_wcs(projection, [30.0, 90.0 if projection == "ZEA" else 0.0], [91.5, 91.5], 2.0)
    image = np.ones((182, 182), np.float32)
    fits.PrimaryHDU(image, wcs.to_header()).writeto(tmp_path / "all.fits")
    shelf.put(tmp_path / "all.fits")
    index = next(iter(shelf.indexes.values()))
    source = ImageSource(
        0, "ivo://x/y?z", (tmp_path / "all.fits").as_uri(), index.to_bytes(), (0,), None
    )
    facts = look(source, HipsSettings())
    assert set(touched_parts(source, facts, 3)) == set(range(768))


@pytest.mark.parametrize(
    ("projection", "crval"), [("CAR", [0.0, 0.0]), ("ZEA", [77.0, 90.0]), ("TAN", [180.0, -85.0])]
)
def test_wide_images_across_seams_and_poles_are_mapped(build_files, tmp_path, projection, crval):
    wcs = wide_wcs(projection, crval, [15.5, 10.5], 1.0)
    y, x = np.indices((20, 30))
    ra, dec = wcs.all_pix2world(x, y, 0)

    def light(ra, dec):
        a, d = np.deg2rad(ra), np.deg2rad(dec)
        return 3 + np.cos(d) * np.cos(a) + 0.5 * np.sin(d) + 0.7 * np.cos(d) * np.sin(a)

    fits.PrimaryHDU(light(ra, dec).astype(np.float32), wcs.to_header()).writeto(tmp_path / "w.fits")
    folder, summary = build_files(tmp_path / "w.fits")
    assert summary.order == 3
    ra, dec, value = (part[::7] for part in all_pixels(folder, 3))
    x, y = wcs.all_world2pix(ra, dec, 0)
    inner = (x > 0) & (y > 0) & (x < 29) & (y < 19)
    assert inner.sum() > 100_000
    assert np.abs(value - light(ra, dec))[inner].max() < 2e-3
    assert len(value) * 7 == pytest.approx(20 * 30 * 3600**2 / pixel_size_arcsec(3) ** 2, rel=0.05)
    assert check_hips(folder) == []


def test_bad_images_are_named_and_left_out(build_files, save_image, tmp_path, shelf):
    wcs = make_wcs(40.0, 10.0, 60, 0.5, distorted=False)
    good = save_image(tmp_path / "good.fits", np.ones((60, 60), np.float32), wcs)
    nowhere = tmp_path / "nowhere.fits"
    fits.PrimaryHDU(np.ones((9, 9), np.float32)).writeto(nowhere)
    cube = save_image(tmp_path / "cube.fits", np.ones((3, 20, 20), np.float32), wcs)
    vanished = save_image(tmp_path / "vanished.fits", np.ones((60, 60), np.float32), wcs)
    changed = save_image(tmp_path / "changed.fits", np.ones((60, 60), np.float32), wcs)
    for path in (nowhere, cube, vanished, changed):
        shelf.put(path)
    vanished.unlink()
    os.truncate(changed, 2880)
    folder, summary = build_files(good)
    assert summary.images == 1
    reasons = {item.file_name: item.reason for item in summary.skipped}
    assert set(reasons) == {"nowhere.fits", "cube.fits", "vanished.fits", "changed.fits"}
    assert "cube" in reasons["cube.fits"]
    assert "changed" in reasons["changed.fits"]
    assert str(summary.skipped[0]).startswith("c")
    assert check_hips(folder) == []
    assert "1 images" in (folder / "properties").read_text()


def test_damaged_compressed_pixels_leave_the_image_out(build_files, save_image, tmp_path, shelf):
    wcs = make_wcs(40.0, 10.0, 64, 0.5, distorted=False)
    good = save_image(tmp_path / "good.fits", np.ones((64, 64), np.float32), wcs)
    data = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    path = tmp_path / "bad.fits.fz"
    hdu = fits.CompImageHDU(data, wcs.to_header(relax=True), compression_type="GZIP_1")
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    content = bytearray(path.read_bytes())
    tile = shelf.put(path, did="ivo://test.example/demo?probe")
    start = int(shelf.indexes[tile.did].hdus[1].tiles.offsets[10])
    content[start : start + 40] = b"\xff" * 40
    path.write_bytes(content)
    shelf.items.clear()
    shelf.put(path)
    _, summary = build_files(good)
    assert [item.file_name for item in summary.skipped] == ["bad.fits.fz"]
    assert summary.images == 1


def test_nothing_usable_is_an_error_that_says_why_and_leaves_what_was_there(
    build_files, save_image, tmp_path, shelf
):
    wcs = make_wcs(40.0, 10.0, 60, 0.5, distorted=False)
    folder, _ = build_files(save_image(tmp_path / "a.fits", np.ones((60, 60), np.float32), wcs))
    before = (folder / "properties").read_bytes()
    shelf.items.clear()
    blank = save_image(tmp_path / "b.fits", np.full((60, 60), np.nan, np.float32), wcs)
    with pytest.raises(DataError, match="blank"):
        build_files(blank)
    shelf.items.clear()
    fits.PrimaryHDU(np.ones((9, 9), np.float32)).writeto(tmp_path / "nowhere.fits")
    with pytest.raises(DataError, match="no image can go into the HiPS 'one'"):
        build_files(tmp_path / "nowhere.fits")
    shelf.items.clear()
    with pytest.raises(UsageError, match="no images"):
        build_files()
    assert (folder / "properties").read_bytes() == before
    assert sorted(p.name for p in folder.parent.iterdir()) == [".one.lock", "one"]


def test_a_new_build_replaces_the_old_one_at_once(build_files, save_image, tmp_path, shelf):
    wcs = make_wcs(40.0, 10.0, 60, 0.5, distorted=False)
    first = save_image(tmp_path / "a.fits", np.ones((60, 60), np.float32), wcs)
    folder, _ = build_files(first)
    made = parse_properties((folder / "properties").read_text())["hips_creation_date"]
    stop, gaps = threading.Event(), []

    def watch():
        while not stop.is_set():
            if not (folder / "properties").is_file():
                gaps.append(1)

    watcher = threading.Thread(target=watch)
    watcher.start()
    shelf.items.clear()
    other = make_wcs(220.0, -10.0, 60, 0.5, distorted=False)
    build_files(save_image(tmp_path / "b.fits", np.ones((60, 60), np.float32), other))
    stop.set()
    watcher.join()
    assert gaps == []
    assert check_hips(folder) == []
    values = parse_properties((folder / "properties").read_text())
    assert float(values["hips_initial_ra"]) == pytest.approx(220.0, abs=0.1)
    assert values["hips_creation_date"] == made


def test_two_builders_of_one_hips_do_not_meet(tmp_path):
    with (
        staging(tmp_path / "x"),
        pytest.raises(ServiceUnavailable, match="another process"),
        staging(tmp_path / "x"),
    ):
        pass
    for name in (".x", "a b", "é", "a" * 200):
        with pytest.raises(UsageError, match="name of a HiPS"), staging(tmp_path / name):
            pass


def tree(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("Norder*/**/*"))
        if path.is_file()
    }


def test_a_survey_becomes_a_hips_a_band_and_one_in_colour(survey, tmp_path, shelf):
    wave = {"g": 4.8e-7, "r": 6.2e-7, "i": 7.5e-7}
    for exposure in survey.exposures:
        em = wave[exposure.band]
        shelf.put(
            exposure.path, filter=exposure.band, em_min=em - 6e-8, em_max=em + 6e-8,
            t_min=exposure.mjd_start, t_max=exposure.mjd_start + exposure.exposure_s / 86400,
            t_exptime=exposure.exposure_s, facility_name="Demo = 1.2 m\nDome",
        )  # fmt: skip
    steps = []
    made = build_collection(
        shelf, shelf, "demo", tmp_path / "one", HipsSettings(),
        progress=lambda done, total: steps.append((done, total)),
    )  # fmt: skip
    assert [item.name for item in made] == ["demo-g", "demo-r", "demo-i", "demo-color"]
    assert steps[-1][0] == steps[-1][1] > 1
    for item in made:
        assert check_hips(item.path) == []
        assert (item.path / "index.html").is_file()
        with Image.open(item.path / "preview.jpg") as preview:
            assert preview.size == (256, 256)
            assert np.asarray(preview).max() > 100
    values = parse_properties((made[1].path / "properties").read_text())
    assert values["prov_progenitor"].endswith("Demo = 1.2 m Dome")
    assert values["obs_regime"] == "Optical"
    assert float(values["em_min"]) == pytest.approx(5.6e-7)
    assert float(values["t_min"]) == pytest.approx(
        min(e.mjd_start for e in survey.exposures if e.band == "r")
    )
    assert values["hips_pixel_bitpix"] == "-32"
    leaves = TileTree(made[1].path).tiles(made[1].order, "fits")
    coverage = read_coverage((made[1].path / "Moc.fits").read_bytes())
    assert coverage.cells(made[1].order).tolist() == leaves
    color = parse_properties((made[3].path / "properties").read_text())
    assert color["dataproduct_subtype"] == "color"
    assert color["hips_tile_format"] == "png"
    for order in range(made[3].order + 1):
        everywhere = {n for item in made[:3] for n in TileTree(item.path).tiles(order, "fits")}
        assert set(TileTree(made[3].path).tiles(order, "png")) == everywhere
        for npix in sorted(everywhere)[:3]:
            with Image.open(made[3].path / tile_path(order, npix, "png")) as file:
                alpha = np.asarray(file)[::-1, :, 3]
            valid = np.zeros((512, 512), bool)
            for item in made[:3]:
                if (item.path / tile_path(order, npix, "fits")).is_file():
                    valid |= np.isfinite(read_tile(item.path, order, npix))
            np.testing.assert_array_equal(alpha > 0, valid)
    # Several processes give the same tiles bit for bit.
    shared = build_collection(shelf, shelf, "demo", tmp_path / "two", HipsSettings(), workers=2)
    for one, two in zip(made, shared, strict=True):
        assert tree(one.path) == tree(two.path)
    kept = (made[3].path / "color.json").read_bytes()
    build_collection(shelf, shelf, "demo", tmp_path / "one", HipsSettings(background="median"))
    assert (made[3].path / "color.json").read_bytes() == kept


def test_masks_and_weights_in_files_of_their_own_are_left_out(save_image, tmp_path, shelf):
    wcs = make_wcs(40.0, 10.0, 60, 0.5, distorted=False)
    for name, band, kind, value in (
        ("a", "u'", None, 1.0), ("b", "u", None, 2.0), ("c", "", None, 3.0), ("d", "u", "mask", 9.0)
    ):  # fmt: skip
        path = save_image(tmp_path / f"{name}.fits", np.full((60, 60), value, np.float32), wcs)
        shelf.put(path, filter=band, dataproduct_subtype=kind)
    made = build_collection(shelf, shelf, "demo", tmp_path / "hips", HipsSettings())
    assert [item.name for item in made] == ["demo-other", "demo-u", "demo-u-2"]
    assert made[0].notes == ("1 files of kind mask left out",)
    assert all(all_pixels(item.path, 10)[2].max() < 4 for item in made)
    with pytest.raises(UsageError, match="has no images"):
        build_collection(shelf, shelf, "none", tmp_path / "hips", HipsSettings())


def test_the_survey_s_stars_are_in_its_hips(survey, tmp_path, shelf):
    exposures = [e for e in survey.exposures if e.band == "r"]
    for exposure in exposures:
        shelf.put(exposure.path, t_exptime=exposure.exposure_s)
    summary = build_collection(shelf, shelf, "demo", tmp_path / "hips", HipsSettings())[0]
    assert summary.name == "demo"
    ra, dec, value = all_pixels(summary.path, summary.order)
    sources = survey.sources
    found = 0
    bright = (sources.radius_arcsec == 0) & (sources.mag["r"] > 16.5) & (sources.mag["r"] < 20)
    for k in np.flatnonzero(bright):
        apart = np.hypot(
            *offsets_arcsec(sources.ra_deg, sources.dec_deg, sources.ra_deg[k], sources.dec_deg[k])
        )
        inside = [
            e.wcs.all_world2pix(sources.ra_deg[k], sources.dec_deg[k], 0, quiet=True)
            for e in exposures
        ]
        deep = [min(x, y, 255 - x, 255 - y) for x, y in inside]
        if np.sort(apart)[1] < 7.0 or max(deep) < 12 or any(-12 < d < 12 for d in deep):
            continue
        east, north = offsets_arcsec(ra, dec, sources.ra_deg[k], sources.dec_deg[k])
        near = np.hypot(east, north) < 2.5
        light = value[near]
        flux = 10 ** (-0.4 * (sources.mag["r"][k] - 25.0))
        assert light.sum() * pixel_size_arcsec(summary.order) ** 2 / 0.4**2 == pytest.approx(
            flux, rel=0.05
        )
        found += 1
    assert found >= 1


@pytest.mark.realdata
def test_no_real_image_stops_a_build(real_images, tmp_path, shelf):
    """Images of every kind, each alone, at a coarse order: a HiPS or a reason, nothing else."""
    from vodal.fits.planes import group_planes
    from vodal.fits.scan import scan_file

    made, refused = 0, []
    for group in ("projections", "distortion", "odd", "position", "derived_position", "hst"):
        for path in sorted((real_images / group).rglob("*.fits*"))[:4]:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    if not group_planes(scan_file(path)):
                        continue
            except DataError:
                continue
            shelf.items.clear()
            product = shelf.put(path)
            try:
                summary = build(
                    [product], shelf.index, tmp_path, HipsSettings(), name="real",
                    title="t", creator_did="ivo://test.example/h",
                )  # fmt: skip
            except DataError as error:
                refused.append(str(error))
            else:
                made += 1
                # Tiles that fill a HiPS of many are alike.
                assert check_hips(summary.path, 10) == []
    assert made > 5
    assert all(len(reason) > 40 for reason in refused)
