"""Live HiPS of a site whose store is PostgreSQL: galactic, in all formats, by two servers."""

from __future__ import annotations

import fcntl
import io
import shutil
import time
from types import SimpleNamespace

import cdshealpix.nested as healpix
import httpx
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits, votable
from PIL import Image

from hips.check import Level, check_hips
from hips.names import tile_path
from hips.properties import MANDATORY, RECOMMENDED, parse_properties
from hips.tiles.tree import TileTree
from vodal.testing.skies import make_survey

pytestmark = [
    pytest.mark.xdist_group("live-galactic"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

FORMATS = ("png", "fits", "jpeg", "webp")
EXTENSIONS = ("png", "fits", "jpg", "webp")
WAIT_S = 120.0


@pytest.fixture(scope="module")
def live(tmp_path_factory, cli, fresh_postgres):
    """A site of seven exposures of eight; the eighth lies beside it."""
    folder = tmp_path_factory.mktemp("galactic")
    (folder / "skylane.toml").write_text(
        f'[store]\nurl = "{fresh_postgres()}"\n'
        f'[hips]\nframe = "galactic"\nformats = {list(FORMATS)}\nacknowledgment = "Thank us"\n'
        "[hips.live]\nprepare_every_s = 0.2\n"
    )
    survey = make_survey(folder / "data" / "demo", exposures=8, size=160, scale_arcsec=0.8, seed=3)
    late = survey.exposures[4]
    aside = folder / late.path.name
    late.path.rename(aside)
    cli.run("ingest", folder / "data" / "demo", "--site", folder)
    process, url = cli.start(folder, "--workers", "2")
    yield SimpleNamespace(folder=folder, survey=survey, url=url, late=late, aside=aside)
    cli.stop(process)


def get(url, **headers):
    return httpx.get(url, headers=headers, timeout=120)


def keys_of(live, name):
    return parse_properties(get(f"{live.url}/hips/live/{name}/properties").text)


def cell_of(order, ra, dec):
    place = SkyCoord(ra, dec, unit="deg").galactic
    return int(healpix.lonlat_to_healpix(place.l.reshape(1), place.b.reshape(1), order)[0])


def prepared(live):
    return {path.name for path in (live.folder / "cache" / "live").glob("previews/*/*.preview")}


def until(live, count):
    """Wait until there are so many previews."""
    end = time.monotonic() + WAIT_S
    while len(prepared(live)) < count:
        assert time.monotonic() < end, f"{len(prepared(live))} previews of {count}"
        time.sleep(0.1)


def test_previews_are_made_as_images_land_though_nobody_asks(live, cli):
    until(live, 7)
    with (live.folder / "cache" / "live" / "previews.lock").open() as lock, pytest.raises(OSError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    before = prepared(live)
    shutil.copy(live.aside, live.late.path)
    cli.run("ingest", live.folder / "data" / "demo", "--site", live.folder)
    until(live, 8)
    # A file that is replaced has a new one.
    other = live.survey.exposures[0].path
    with fits.open(other) as hdus:
        hdus[0].header["NEWCARD"] = 1
        hdus.writeto(live.folder / "other.fits", output_verify="ignore")
    (live.folder / "other.fits").replace(other)
    cli.run("ingest", live.folder / "data" / "demo", "--site", live.folder)
    until(live, 9)
    assert before < prepared(live)


def test_what_it_says_of_itself_is_what_a_galactic_hips_says(live):
    keys = keys_of(live, "demo-r")
    assert {*MANDATORY, *RECOMMENDED} <= {key for key, value in keys.items() if value}
    assert (keys["hips_frame"], keys["dataproduct_subtype"]) == ("galactic", "live")
    assert keys["hips_tile_format"] == " ".join(FORMATS)
    assert keys["obs_ack"] == "Thank us"
    low, high = map(float, keys["hips_data_range"].split())
    assert low < high
    with fits.open(io.BytesIO(get(f"{live.url}/hips/live/demo-r/Moc.fits").content)) as hdus:
        assert hdus[1].header["COORDSYS"] == "G"
        order, ranges = int(hdus[1].header["MOCORD_S"]), hdus[1].data.field(0)
    view = float(keys["hips_initial_ra"]), float(keys["hips_initial_dec"])
    shift = 2 * (29 - order)
    spans = np.asarray(ranges, np.uint64).reshape(-1, 2) >> np.uint64(shift)
    cell = cell_of(order, *view)
    assert any(low <= cell < high for low, high in spans.tolist())
    for exposure in live.survey.exposures:
        if exposure.band == "r":
            sky = exposure.wcs.pixel_to_world([0, 80, 159], [159, 80, 0])
            for place in sky:
                cell = cell_of(order, place.ra.deg, place.dec.deg)
                assert any(low <= cell < high for low, high in spans.tolist())


def test_tiles_of_all_formats_show_the_same_place(live):
    keys = keys_of(live, "demo-r")
    view = float(keys["hips_initial_ra"]), float(keys["hips_initial_dec"])
    for order in (int(keys["hips_order"]), 3):
        path = tile_path(order, cell_of(order, *view), "{}")
        got = {kind: get(f"{live.url}/hips/live/demo-r/{path.format(kind)}") for kind in EXTENSIONS}
        assert {kind: answer.headers["content-type"] for kind, answer in got.items()} == {
            "png": "image/png", "fits": "image/fits", "jpg": "image/jpeg", "webp": "image/webp",
        }  # fmt: skip
        assert len({answer.headers["etag"] for answer in got.values()}) == 4
        with fits.open(io.BytesIO(got["fits"].content)) as hdus:
            assert hdus[0].header["CTYPE1"] == "GLON-HPX"
            there = np.isfinite(hdus[0].data)
        assert there.any()
        greys = {
            kind: np.asarray(Image.open(io.BytesIO(got[kind].content)).convert("RGBA"), int)[::-1]
            for kind in ("png", "jpg", "webp")
        }
        for kind in ("png", "webp"):
            np.testing.assert_array_equal(greys[kind][..., 3] > 0, there)
        for kind in ("jpg", "webp"):
            off = greys[kind][there][:, 0] - greys["png"][there][:, 0]
            assert np.abs(off).mean() < 12.0


def test_pictures_of_the_whole_and_the_table_of_its_images(live):
    base = f"{live.url}/hips/live/demo-r"
    keys = keys_of(live, "demo-r")
    allsky = {kind: get(f"{base}/Norder3/Allsky.{kind}") for kind in EXTENSIONS}
    assert {answer.status_code for answer in allsky.values()} == {200}
    picture = fits.getdata(io.BytesIO(allsky["fits"].content))
    assert picture.shape == (1856, 1728)
    again = get(f"{base}/Norder3/Allsky.png", **{"If-None-Match": allsky["png"].headers["etag"]})
    assert again.status_code == 304
    # Each cell is its tile averaged, blank pixels aside.
    for npix in {cell_of(3, *map(float, (keys["hips_initial_ra"], keys["hips_initial_dec"])))}:
        tile = fits.getdata(io.BytesIO(get(f"{base}/{tile_path(3, npix, 'fits')}").content))
        down, across = divmod(npix, 27)
        rows = slice(64 * (28 - down), 64 * (29 - down))
        cell = picture[rows, 64 * across : 64 * (across + 1)]
        blocks = tile.reshape(64, 8, 64, 8)
        there = np.isfinite(blocks).any(axis=(1, 3))
        assert there.any()
        np.testing.assert_array_equal(np.isfinite(cell), there)
        low, high = np.nanmin(tile), np.nanmax(tile)
        assert ((cell[there] >= low) & (cell[there] <= high)).all()
    preview = np.asarray(Image.open(io.BytesIO(get(f"{base}/preview.jpg").content)).convert("L"))
    assert preview.shape == (256, 256)
    assert len(np.unique(preview[96:160, 96:160])) > 20
    table = votable.parse(io.BytesIO(get(f"{base}/metadata.xml").content)).get_first_table()
    files = {e.path.name for e in live.survey.exposures if e.band == "r" and e.path.exists()}
    assert set(table.array["file_name"]) == files
    with fits.open(io.BytesIO(get(f"{base}/metadata.fits").content)) as hdus:
        hdus.verify("exception")
        assert set(hdus["PROGENITORS"].data["file_name"]) == files
        assert hdus[0].header["PIXSIZE"] == pytest.approx(0.8, rel=0.02)
    for path in ("Norder3/Allsky.gif", "metadata.txt", "Norder4/Allsky.png", "preview.png"):
        assert get(f"{base}/{path}").status_code == 404


def test_the_check_of_hips_finds_no_other_error_than_that_coarse_tiles_are_means_of_images(live):
    found = check_hips(f"{live.url}/hips/live/demo-r")
    # Coarser tiles are means of images, not of the tiles below them.
    assert {one.rule for one in found if one.level == Level.ERROR} <= {"parent-values"}


def test_points_and_tiles_lead_to_the_images_behind_them(live):
    base = f"{live.url}/hips/live/demo-r"
    keys = keys_of(live, "demo-r")
    ra, dec = float(keys["hips_initial_ra"]), float(keys["hips_initial_dec"])
    point = get(f"{base}/progenitors?ra={ra}&dec={dec}").json()["images"]
    tile = get(f"{base}/progenitors?order=10&npix={cell_of(10, ra, dec)}").json()["images"]
    assert point
    assert {one["file_name"] for one in point} <= {one["file_name"] for one in tile}


def test_built_and_live_are_the_same_at_the_deepest_order_in_each_format(live, cli):
    """Last: with a HiPS built, live ones of its name follow its recipe."""
    cli.run("hips", "build", "demo", "--site", live.folder)
    hips = live.folder / "hips" / "demo-r"
    tree = TileTree(hips)
    tiles = tree.tiles(10, "fits")
    assert tiles
    for npix in tiles:
        for kind in EXTENSIONS:
            url = f"{live.url}/hips/live/demo-r/{tile_path(10, npix, kind)}"
            assert get(url).content == tree.read(10, npix, kind)
    built, made = (
        parse_properties(text)
        for text in (
            (hips / "properties").read_text(),
            get(f"{live.url}/hips/live/demo-r/properties").text,
        )
    )
    # A live HiPS is of no size, and of images of any kind.
    missing = {key for key in built if key not in made}
    assert missing == {"hips_nb_tiles", "hips_estsize", "data_pixel_bitpix"}
    differ = {key for key in made if key in built and made[key] != built[key]}
    assert differ <= {
        "obs_description", "creator_did", "hips_status", "hips_creation_date",
        "hips_release_date", "hips_initial_ra", "hips_initial_dec", "hips_initial_fov",
        "moc_sky_fraction",
    }  # fmt: skip
