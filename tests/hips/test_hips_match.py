"""Background matching: images that overlap agree, and what is not background stays."""

from __future__ import annotations

import shutil
import sys

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits

from hips.background.fit import difference, fit
from hips.background.kept import Backgrounds, Plane
from hips.background.pairs import pairs_of, shared_parts
from hips.background.samples import SAMPLE
from hips.build import build
from hips.encode import read_fits
from hips.live.images import LiveImage, TileJob
from hips.live.worker import choose_recipe, make_preview, make_tile, read_recipe
from hips.names import tile_path
from hips.part import Part
from hips.recipe import BUILD_FOLDER
from hips.settings import HipsSettings
from hips.testing import served_files, tile_pixels
from hips.tiles.tree import TileTree
from vodal.errors import UsageError
from vodal.storage import LOCAL
from vodal.testing.skies import make_wcs

SIZE, NOISE, LEVEL = 120, 2.0, 300.0
MATCH = HipsSettings(background="match", weights="uniform", order_shard=1)


def sky(ra, dec):
    """Give what is the same for all images: a nebula."""
    return LEVEL + 40.0 * np.exp(-((ra - 40.0) ** 2 + (dec - 10.03) ** 2) / 0.02**2)


def draw(number, wcs, stars, slope):
    """Give an image of the sky with stars, noise, and a background of its own."""
    rng = np.random.default_rng(number)
    y, x = np.indices((SIZE, SIZE))
    image = sky(*wcs.all_pix2world(x, y, 0))
    for ra, dec in stars:
        at = wcs.all_world2pix(ra, dec, 0)
        image += 5000.0 * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * 1.6**2))
    u, v = (2 * x + 1) / SIZE - 1, (2 * y + 1) / SIZE - 1
    own = rng.normal(0, 50) + slope * (rng.normal() * u + rng.normal() * v)
    image += own + rng.normal(0, NOISE, image.shape)
    image[30:40, number * 7 : number * 7 + 20] = np.nan
    return image.astype(np.float32)


def mosaic(folder, slope):
    """Write three by three images that overlap by a third; gives their paths and the stars."""
    rng = np.random.default_rng(3)
    stars = [(40.0 + a, 10.0 + b) for a, b in rng.uniform(-0.035, 0.035, (12, 2))]
    paths, grids = [], []
    for number in range(9):
        ra, dec = 40.0 + 0.022 * (number % 3 - 1), 10.0 + 0.022 * (number // 3 - 1)
        wcs = make_wcs(ra, dec, SIZE, 1.0, 4.0 * number, distorted=False)
        path = folder / f"{number}.fits"
        fits.PrimaryHDU(draw(number, wcs, stars, slope), wcs.to_header(relax=True)).writeto(path)
        paths.append(path)
        grids.append(wcs)
    return paths, grids, stars


def make(shelf, output, settings=MATCH, **options):
    return build(
        shelf.items, shelf.index, output, settings, name="one", title="A test",
        creator_did="ivo://test.example/hips/one", **options,
    )  # fmt: skip


def steps(grids, ra, dec, left):
    """Give the steps of what is left across the edges of images.

    Along each edge, what lies up to 8 pixels on either side is fitted by a slope and a step.
    """
    found = []
    for wcs in grids:
        x, y = wcs.all_world2pix(ra, dec, 0)
        for along, across in ((x, y), (y, x)):
            for edge, inward in ((-0.5, 1.0), (SIZE - 0.5, -1.0)):
                depth = inward * (across - edge)
                near = (np.abs(depth) < 8) & (along > 5) & (along < SIZE - 5)
                inside = near & (depth > 1)
                outside = near & (depth < -1)
                if min(inside.sum(), outside.sum()) < 800:
                    continue
                used = inside | outside
                rows = np.stack([np.ones(used.sum()), along[used], depth[used],
                                 np.sign(depth[used]) / 2], axis=1)  # fmt: skip
                found.append(abs(np.linalg.lstsq(rows, left[used], rcond=None)[0][3]))
    return np.array(found)


@pytest.fixture(scope="module", params=[0.0, 20.0], ids=["constant", "sloped"])
def matched(request, tmp_path_factory, new_shelf):
    """Build a mosaic as it is and matched."""
    folder, shelf = tmp_path_factory.mktemp("mosaic"), new_shelf()
    paths, grids, stars = mosaic(folder, request.param)
    for path in paths:
        shelf.put(path)
    plain = make(shelf, folder / "plain", MATCH.model_copy(update={"background": "none"}))
    done = make(shelf, folder / "hips")
    assert (plain.notes, done.notes) == ((), ())
    return folder, shelf, grids, stars, done.order, request.param


def away_from(stars, ra, dec):
    at = SkyCoord(ra, dec, unit="deg")
    return np.all([at.separation(SkyCoord(*s, unit="deg")).arcsec > 12 for s in stars], axis=0)


def test_steps_across_edges_are_below_the_noise(matched):
    folder, _, grids, stars, order, slope = matched
    found = {}
    for name in ("plain", "hips"):
        ra, dec, value = tile_pixels(folder / name / "one", order)
        dark = away_from(stars, ra, dec)
        found[name] = steps(grids, ra[dark], dec[dark], (value - sky(ra, dec))[dark])
    assert len(found["hips"]) > 12
    assert np.median(found["plain"]) > 5 * NOISE
    assert found["hips"].max() < 0.5 * NOISE
    planes = Backgrounds.load(folder / "hips" / "one").planes.values()
    assert any(plane.slope_x for _, plane in planes) == (slope > 0)


def test_the_mean_of_all_images_and_the_light_of_stars_stay(matched):
    folder, _, _, stars, order, _ = matched
    kept = Backgrounds.load(folder / "hips" / "one")
    offsets = [plane.offset for _, plane in kept.planes.values()]
    assert np.std(offsets) > 10
    assert np.mean(offsets) == pytest.approx(0.0, abs=1e-6)
    ra, dec, value = tile_pixels(folder / "hips" / "one", order)
    off = value - sky(ra, dec)
    flux = 5000.0 * 2 * np.pi * 1.6**2
    pixel = 4 * np.pi * np.rad2deg(1) ** 2 * 3600**2 / (12 * 4.0 ** (order + 9))
    at = SkyCoord(ra, dec, unit="deg")
    for star in stars:
        distance = at.separation(SkyCoord(*star, unit="deg")).arcsec
        others = away_from([one for one in stars if one != star], ra, dec)
        sky_here = np.median(off[(distance > 12) & (distance < 20) & others])
        light = (off[distance < 10] - sky_here).sum() * pixel
        whole = (distance < 20).sum() * pixel > 0.98 * np.pi * 20**2
        if whole and others[distance < 20].all():
            assert light == pytest.approx(flux, rel=0.01)


def test_live_tiles_go_by_what_was_kept(matched):
    folder, shelf, _, _, order, _ = matched
    hips = folder / "hips" / "one"
    recipe = read_recipe(hips, MATCH)
    ordered = sorted(shelf.items, key=lambda product: product.did)
    images = tuple(LiveImage.of(product, shelf.index(product), LOCAL) for product in ordered)
    planes = {p.did: recipe.backgrounds.of(p.did, p.version) for p in ordered}
    level = recipe.backgrounds.level
    assert level == pytest.approx(LEVEL, abs=40)
    for npix in TileTree(hips).tiles(order, "fits"):
        job = TileJob(order, npix, "fits", recipe.text, MATCH, images, (), planes, level)
        assert make_tile(job).body == (hips / tile_path(order, npix, "fits")).read_bytes()
    # Coarse tiles are made of previews, and of the images that they are made of one is new.
    paths = []
    for image in images:
        paths.append(folder / f"{image.did[-6:]}.preview")
        assert make_preview(image, MATCH, paths[-1]).size_bytes
    del planes[ordered[4].did]
    for up, tolerance in ((1, 3.0), (2, 3.0)):
        for npix in TileTree(hips).tiles(order - up, "fits"):
            job = TileJob(order - up, npix, "fits", recipe.text, MATCH, (), tuple(paths), planes,
                          level)  # fmt: skip
            ours = read_fits(make_tile(job).body)
            theirs = read_fits((hips / tile_path(order - up, npix, "fits")).read_bytes())
            both = np.isfinite(ours) & np.isfinite(theirs) & (theirs < LEVEL + 60)
            assert both.sum() > 50
            assert np.percentile(np.abs(ours - theirs)[both], 80) < tolerance


def test_live_images_of_no_built_hips_are_brought_to_one_level(matched, tmp_path):
    folder, shelf, _, _, order, slope = matched
    ordered = sorted(shelf.items, key=lambda product: product.did)
    images = tuple(LiveImage.of(product, shelf.index(product), LOCAL) for product in ordered)
    recipe = choose_recipe(images, MATCH, tmp_path)
    assert recipe == read_recipe(tmp_path, MATCH)
    level = recipe.backgrounds.level
    for npix in TileTree(folder / "hips" / "one").tiles(order, "fits"):
        job = TileJob(order, npix, "fits", recipe.text, MATCH, images, (), {}, level)
        values = read_fits(make_tile(job).body)
        assert np.nanmedian(values) == pytest.approx(level, abs=10 + slope)


def save(folder, number, level):
    wcs = make_wcs(40.0 + 0.02 * number, 10.0, SIZE, 1.0, 7.0 * number)
    data = np.random.default_rng(number).normal(level, 5.0, (SIZE, SIZE)).astype(np.float32)
    fits.PrimaryHDU(data, wcs.to_header(relax=True)).writeto(
        folder / f"{number}.fits", overwrite=True
    )
    return folder / f"{number}.fits"


def from_nothing(shelf, output, kept):
    """Make the whole HiPS anew by the recipe and the corrections that another was made by."""
    shutil.rmtree(output, ignore_errors=True)
    (output / "one" / BUILD_FOLDER).mkdir(parents=True)
    for name in ("recipe.json", "backgrounds.json"):
        shutil.copy(kept / BUILD_FOLDER / name, output / "one" / BUILD_FOLDER)
    return make(shelf, output)


def test_new_images_are_fitted_to_those_that_stay(shelf, tmp_path):
    one = tmp_path / "hips" / "one"
    for number in range(5):
        shelf.put(save(tmp_path, number, 100.0 * number))
    make(shelf, tmp_path / "hips")

    def corrections():
        kept = Backgrounds.load(one)
        return {did.rpartition("?")[2]: plane.offset for did, (_, plane) in kept.planes.items()}

    first = corrections()
    for number in range(5):
        assert first[f"{number}.fits"] == pytest.approx(100.0 * number - 200.0, abs=1.0)

    def again():
        summary = make(shelf, tmp_path / "hips")
        whole = from_nothing(shelf, tmp_path / "whole", one)
        assert served_files(one) == served_files(tmp_path / "whole" / "one")
        assert 0 < summary.rendered < whole.rendered
        return corrections()

    # New, changed, gone; one is far from all.
    shelf.put(save(tmp_path, 5, -700.0))
    shelf.put(save(tmp_path, 30, 9000.0))
    second = again()
    assert {name: second[name] for name in first} == first
    assert second["5.fits"] == pytest.approx(-900.0, abs=1.0)
    assert second["30.fits"] == 0.0
    shelf.items[:] = [p for p in shelf.items if p.file_name not in {"1.fits", "4.fits"}]
    shelf.put(save(tmp_path, 1, 77.0))
    third = again()
    assert third.keys() == second.keys() - {"4.fits"}
    assert third["1.fits"] == pytest.approx(-123.0, abs=1.0)
    stay = third.keys() - {"1.fits"}
    assert {name: third[name] for name in stay} == {name: second[name] for name in stay}
    # Anew: of those that still hang together the mean is kept.
    make(shelf, tmp_path / "hips", fresh=True)
    fresh = corrections()
    assert sum(fresh[f"{n}.fits"] for n in (0, 1, 2, 3)) == pytest.approx(0.0, abs=1e-6)
    assert fresh["5.fits"] == 0.0


def test_shares_make_what_one_build_makes(shelf, tmp_path):
    """Of galactic cells."""
    settings = MATCH.model_copy(update={"frame": "galactic"})
    for number in range(5):
        shelf.put(save(tmp_path, number, 100.0 * number))
    make(shelf, tmp_path / "whole", settings)
    for n in (2, 1):
        assert make(shelf, tmp_path / "hips", settings, part=Part(n, 2)).rendered > 0
    assert make(shelf, tmp_path / "hips", settings).rendered == 0
    assert served_files(tmp_path / "hips" / "one") == served_files(tmp_path / "whole" / "one")
    planes = Backgrounds.load(tmp_path / "hips" / "one").planes.values()
    offsets = [plane.offset for _, plane in planes]
    assert offsets == pytest.approx([100.0 * number - 200.0 for number in range(5)], abs=1.0)


def test_a_damaged_image_is_named_and_does_not_spoil_the_others(shelf, tmp_path):
    for number in range(3):
        shelf.put(save(tmp_path, number, 100.0 * number))
    shelf.items.pop()
    path = save(tmp_path, 2, 200.0)
    shelf.put(path)
    path.write_bytes(path.read_bytes()[: SIZE * SIZE])
    summary = make(shelf, tmp_path / "hips")
    assert [item.file_name for item in summary.skipped] == ["2.fits"]
    assert "1 of 3 images could not be compared" in summary.notes[0]
    planes = Backgrounds.load(tmp_path / "hips" / "one").planes
    offsets = {did.rpartition("?")[2]: plane.offset for did, (_, plane) in planes.items()}
    assert offsets == pytest.approx({"0.fits": -50.0, "1.fits": 50.0}, abs=1.0)


def test_without_scipy_the_build_says_what_to_install(shelf, tmp_path, monkeypatch):
    for number in range(2):
        shelf.put(save(tmp_path, number, 100.0 * number))
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(UsageError, match=r'pip install "skylane\[match\]"'):
        make(shelf, tmp_path / "hips")


def seen(rng, planes, number, places, outliers=0.0, curve=0.0):
    """Give samples of an image in a row of images, each four cells further on."""
    cells = np.array([(x + 4 * number) * 1000 + y for x, y in places])
    samples = np.empty(len(cells), SAMPLE)
    samples["cell"] = cells
    samples["u"], samples["v"] = (2 * np.array(places).T + 1) / 10 - 1
    plane = planes[number]
    samples["value"] = (
        50.0 + cells % 7 + plane.offset + plane.slope_x * samples["u"]
        + plane.slope_y * samples["v"] + rng.normal(0, 0.01, len(cells))
        + curve * samples["u"] ** 2
    )  # fmt: skip
    spoilt = rng.random(len(cells)) < outliers
    samples["value"][spoilt] += rng.uniform(50, 500, spoilt.sum())
    return samples


@pytest.mark.parametrize("outliers", [0.0, 0.1])
def test_planes_are_found_again(outliers):
    rng = np.random.default_rng(1)
    places = [(x, y) for x in range(10) for y in range(10)]
    planes = {n: Plane(*rng.normal(0, [30, 5, 5])) for n in range(12)}
    samples = {n: seen(rng, planes, n, places, outliers) for n in planes}
    pairs = [(n, n + 1) for n in range(11)]

    def compared(known):
        return [
            difference((a, b), (samples[a], samples[b]), (known.get(a), known.get(b)))
            for a, b in pairs
        ]

    # To those whose corrections are known, exactly.
    known = {n: planes[n] for n in planes if n % 2 == 0}
    found = fit(compared(known), [n for n in planes if n % 2])
    for number, plane in found.items():
        for name in ("offset", "slope_x", "slope_y"):
            assert getattr(plane, name) == pytest.approx(getattr(planes[number], name), abs=0.05)
    # All at once: what overlaps agrees, and the mean is zero.
    found = fit(compared({}), list(planes))
    assert sum(plane.offset for plane in found.values()) == pytest.approx(0.0, abs=1e-6)
    for a, b in pairs:
        left = {}
        for n in (a, b):
            one, true = found[n], planes[n]
            left[n] = {
                int(cell): true.offset - one.offset + (true.slope_x - one.slope_x) * u
                + (true.slope_y - one.slope_y) * v
                for cell, u, v in zip(*(samples[n][key] for key in ("cell", "u", "v")),
                                      strict=True)
            }  # fmt: skip
        common = left[a].keys() & left[b].keys()
        assert len(common) == 60
        assert max(abs(left[a][cell] - left[b][cell]) for cell in common) < 0.1


def test_curves_that_all_images_share_do_not_add_up():
    rng = np.random.default_rng(1)
    places = [(x, y) for x in range(10) for y in range(10)]
    planes = {n: Plane(float(rng.normal(0, 30))) for n in range(40)}
    samples = [seen(rng, planes, n, places, curve=5.0) for n in planes]
    differences = [
        difference((n, n + 1), (samples[n], samples[n + 1]), (None, None)) for n in range(39)
    ]
    found = fit(differences, list(planes))
    mean = np.mean([plane.offset for plane in planes.values()])
    for number, plane in found.items():
        assert plane.offset == pytest.approx(planes[number].offset - mean, abs=1.0)
        assert (plane.slope_x, plane.slope_y) == (0.0, 0.0)
    # Nor for one after another that comes later.
    known = {0: Plane(planes[0].offset, 0.2, 0.0)}
    for number in range(1, 40):
        compared = difference(
            (number - 1, number), (samples[number - 1], samples[number]), (known[number - 1], None)
        )
        known.update(fit([compared], [number], 0.2))
    assert max(abs(plane.slope_x) for plane in known.values()) < 0.4


def test_images_of_a_deep_tile_hang_together_without_all_pairs():
    tiles = {7: [(n, 1) for n in range(1000)], 8: [(0, 3), (1000, 2)]}
    pairs = pairs_of(tiles, ())
    assert len(pairs) < 1000 * 11
    reached = {0}
    for a, b in sorted(pairs):
        assert a < b
        reached |= {b} if a in reached else set()
    assert reached == set(range(1001))
    assert pairs_of(tiles, range(1000)) == [(0, 1000)]
    assert shared_parts(tiles)[0] == [(7, 1), (8, 2)]
    assert pairs_of({7: [(0, 1), (1, 2)]}, ()) == []
