"""Live HiPS through the real server: from an exposure that lands to the tile that shows it."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from types import SimpleNamespace

import cdshealpix.nested as healpix
import httpx
import numpy as np
import pytest
import pyvo
from astropy.config import set_temp_cache
from astropy.coordinates import Latitude, Longitude
from astropy.io import fits
from astropy.io.votable import parse as parse_votable
from astropy.wcs import WCS
from mocpy import MOC
from PIL import Image
from reproject.hips import hips_as_dask_array

from hips.color.paint import paint
from hips.color.scale import ColorScale
from hips.encode import read_fits
from hips.properties import MANDATORY, parse_properties
from hips.tiles.tree import TileTree
from vodal.testing.skies import make_survey

pytestmark = [
    pytest.mark.xdist_group("live"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

SETTINGS = """
[hips]
background = "match"

[hips.live.selections]
deep = "t_exptime > 60"
wrong = "t_exptim > 60"
none = "t_exptime > 1e9"
[hips.color.demo-color]
collection = "demo"
[hips.color.demo-mix]
collection = "demo"
red = { i = 2, r = 1 }
green = "r"
blue = ["r", "g"]
cuts = "25% 99.8%"
[hips.color.demo-none]
collection = "demo"
red = "w"
green = "r"
blue = "g"
"""
COLORS = ("demo-color", "demo-mix")
CENTRE = (150.1, 2.2)


@pytest.fixture(scope="module")
def live(tmp_path_factory, cli):
    """A site of seven exposures of eight, without a HiPS; the eighth lies beside it."""
    folder = tmp_path_factory.mktemp("live")
    (folder / "skylane.toml").write_text(SETTINGS)
    survey = make_survey(folder / "data" / "demo", exposures=8, size=160, scale_arcsec=0.8, seed=3)
    late = survey.exposures[4]
    aside = folder / late.path.name
    late.path.rename(aside)
    cli.run("ingest", folder / "data" / "demo", "--site", folder)
    process, url = cli.start(folder)
    yield SimpleNamespace(folder=folder, survey=survey, url=url, late=late, aside=aside)
    cli.stop(process)


def tile_number(order: int, ra: float, dec: float) -> int:
    return int(healpix.lonlat_to_healpix(Longitude([ra], "deg"), Latitude([dec], "deg"), order)[0])


def tile_url(site, name: str, order: int, npix: int, extension: str) -> str:
    return (
        f"{site.url}/hips/live/{name}/Norder{order}/Dir{npix // 10000 * 10000}/Npix{npix}"
        f".{extension}"
    )


def get(url: str, **headers) -> httpx.Response:
    return httpx.get(url, headers=headers, timeout=120)


def properties(site, name: str) -> dict[str, str]:
    answer = get(f"{site.url}/hips/live/{name}/properties")
    assert answer.status_code == 200, answer.text
    assert answer.headers["access-control-allow-origin"] == "*"
    return parse_properties(answer.text)


def holding(exposures, ra: float, dec: float) -> set[str]:
    found = set()
    for exposure in exposures:
        x, y = exposure.wcs.all_world2pix(ra, dec, 0)
        if -0.5 <= x <= 159.5 and -0.5 <= y <= 159.5:
            found.add(exposure.path.name)
    return found


def names(document: dict) -> set[str]:
    return {image["file_name"] for image in document["images"]}


@pytest.mark.parametrize("name", ["demo", "demo-r", "2026-01-10", "2026-01-09..2026-01-11", "deep"])
def test_each_kind_of_name_is_a_hips(live, name):
    keys = properties(live, name)
    assert set(MANDATORY) <= set(keys)
    assert keys["hips_status"] == "public master unclonable"
    order = int(keys["hips_order"])
    assert order == 10
    view = float(keys["hips_initial_ra"]), float(keys["hips_initial_dec"])
    for k in (order, order - 1, 5, 3, 0):
        npix = tile_number(k, *view)
        with fits.open(io.BytesIO(get(tile_url(live, name, k, npix, "fits")).content)) as hdus:
            values = hdus[0].data
            assert (hdus[0].header["ORDER"], hdus[0].header["NPIX"]) == (k, npix)
        picture = np.array(
            Image.open(io.BytesIO(get(tile_url(live, name, k, npix, "png")).content)).convert("LA")
        )
        np.testing.assert_array_equal(picture[::-1, :, 1] > 0, np.isfinite(values))
        assert np.isfinite(values).any()
    moc = MOC.from_fits(io.BytesIO(get(f"{live.url}/hips/live/{name}/Moc.fits").content))
    assert moc.contains_lonlat(Longitude([view[0]], "deg"), Latitude([view[1]], "deg")).all()
    assert moc.sky_fraction == pytest.approx(float(keys["moc_sky_fraction"]), rel=1e-4)
    page = get(f"{live.url}/hips/live/{name}/")
    assert page.headers["content-type"].startswith("text/html")
    assert httpx.get(f"{live.url}/hips/live/{name}").headers["location"] == f"{name}/"


def test_a_selection_shows_its_images_alone(live):
    order, npix = 10, tile_number(10, *CENTRE)
    shown = {}
    for name, chosen in {
        "demo": lambda _: True,
        "demo-g": lambda e: e.band == "g",
        "deep": lambda e: e.exposure_s > 60,
        "2026-01-10": lambda _: True,
    }.items():
        place = f"ra={CENTRE[0]}&dec={CENTRE[1]}"
        answer = get(f"{live.url}/hips/live/{name}/progenitors?{place}")
        there = [e for e in live.survey.exposures if e.path.exists() and chosen(e)]
        assert names(answer.json()) == holding(there, *CENTRE)
        shown[name] = get(tile_url(live, name, order, npix, "fits")).content
    assert shown["demo"] != shown["demo-g"] != shown["deep"]


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("nothing/properties", 404, "no live HiPS 'nothing'"),
        ("2026-01-33/properties", 404, "2026-11-01..2026-11-03"),
        ("2026-01-11..2026-01-10/properties", 404, "no live HiPS"),
        ("none/properties", 404, "no image"),
        ("none/Norder3/Dir0/Npix1.png", 404, "no image"),
        ("demo/Norder3/Dir0/Npix1.png", 404, "no image"),
        ("demo/Norder11/Dir0/Npix1.png", 404, "no image"),
        ("demo/Norder3/Dir0/Npix768.png", 404, "no such tile"),
        ("demo/Norder3/Dir10000/Npix1.png", 404, "no such tile"),
        ("demo/Norder3/Dir0/Npix1.jpg", 404, "png, fits"),
        ("demo/Norder3/Dir0/Npix1.gif", 404, "no such tile"),
        ("demo-color/Norder3/Dir0/Npix1.fits", 404, "in colour here are png"),
        ("demo-color/Norder3/Dir0/Npix1.png", 404, "no image"),
        ("demo-color/Norder11/Dir0/Npix1.png", 404, "no image"),
        ("demo-color/Norder3/Allsky.fits", 404, "Allsky.fits"),
        ("demo-none/properties", 404, "no live HiPS 'demo-none'"),
        ("demo/Norder3/Allsky.jpg", 404, "Allsky.jpg"),
        ("demo/Norder99/Dir0/Npix1.png", 404, "no such tile"),
        ("demo/../demo/x", 404, ""),
        ("wrong/properties", 500, "hips.live.selections.wrong is wrong: unknown column t_exptim"),
        ("demo/progenitors", 400, "ORDER and NPIX"),
        ("demo/progenitors?order=3", 400, "ORDER and NPIX"),
        ("demo/progenitors?order=3&npix=768", 400, "NPIX takes 0 to 767"),
        ("demo/progenitors?order=40&npix=1", 400, "ORDER takes 0 to 29"),
        ("demo/progenitors?ra=10&dec=100", 400, "declination"),
        ("demo/progenitors?ra=x&dec=1", 400, "RA takes"),
        ("demo/progenitors?ra=1&dec=1&responseformat=fits", 400, "RESPONSEFORMAT takes"),
    ],
)
def test_what_is_not_there_or_wrong_is_told(live, path, status, says):
    answer = get(f"{live.url}/hips/live/{path}")
    assert answer.status_code == status
    assert says in answer.text
    assert "Traceback" not in answer.text


def test_the_list_names_what_there_is(live):
    records = [parse_properties(r) for r in get(f"{live.url}/hips/live/list").text.split("\n\n")]
    urls = {r["hips_service_url"].removeprefix(f"{live.url}/hips/live/") for r in records}
    assert {"demo", "demo-g", "demo-r", "demo-i", "deep", *COLORS} <= urls
    assert not {"none", "wrong", "demo-none"} & urls
    for record in records:
        assert get(f"{record['hips_service_url']}/properties").status_code == 200
    assert "/live/" not in get(f"{live.url}/hips/list").text


@pytest.mark.parametrize("name", COLORS)
def test_colours_are_painted_from_the_tiles_of_the_bands(live, name):
    keys = properties(live, name)
    assert keys["dataproduct_subtype"] == "color live"
    assert keys["hips_tile_format"] == "png"
    assert keys["hips_rgb_red"] == {"demo-color": "i", "demo-mix": "0.667 i + 0.333 r"}[name]
    (kept,) = (live.folder / "cache" / "live" / "recipes").glob(f"{name}-*/color.json")
    scale = ColorScale.from_json(kept.read_text())
    for order in (10, 7, 3):
        npix = tile_number(order, *CENTRE)
        url = tile_url(live, name, order, npix, "png")
        answer = get(url)
        picture = np.array(Image.open(io.BytesIO(answer.content)))[::-1]
        bands = []
        for band in scale.bands:
            fits_tile = get(tile_url(live, f"demo-{band}", order, npix, "fits"))
            bands.append(read_fits(fits_tile.content) if fits_tile.status_code == 200 else None)
        there = [np.isfinite(band) for band in bands if band is not None]
        np.testing.assert_array_equal(picture[..., 3] > 0, np.logical_or.reduce(there))
        np.testing.assert_array_equal(picture, paint(bands, scale))
        assert np.ptp(picture[..., :3].astype(int), axis=2).max() > 20
        assert answer.headers["cache-control"] == "public, max-age=5"
        again = get(url, **{"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    place = f"ra={CENTRE[0]}&dec={CENTRE[1]}"
    behind = names(get(f"{live.url}/hips/live/{name}/progenitors?{place}").json())
    assert behind == holding([e for e in live.survey.exposures if e.path.exists()], *CENTRE)
    # The whole: its cells are the means of the tiles'.
    allsky = np.array(Image.open(io.BytesIO(
        get(f"{live.url}/hips/live/{name}/Norder3/Allsky.png").content)))  # fmt: skip
    down, across = divmod(npix, 27)
    cell = allsky[64 * down : 64 * down + 64, 64 * across : 64 * across + 64]
    blocks = picture[::-1].reshape(64, 8, 64, 8, 4).astype(float)
    covered = blocks[..., 3].sum(axis=(1, 3))
    np.testing.assert_array_equal(cell[..., 3] > 0, covered > 0)
    mean = (blocks[..., :3] * blocks[..., 3:]).sum(axis=(1, 3)) / np.maximum(covered, 1)[..., None]
    assert np.abs(cell[..., :3] - mean)[covered > 0].max() < 0.51
    preview = Image.open(io.BytesIO(get(f"{live.url}/hips/live/{name}/preview.jpg").content))
    assert preview.size == (256, 256)
    assert np.ptp(np.asarray(preview).astype(int), axis=2).max() > 20


def test_clients_ask_again_and_get_nothing_twice(live):
    url = tile_url(live, "demo-r", 10, tile_number(10, *CENTRE), "png")
    first = get(url)
    assert first.headers["cache-control"] == "public, max-age=5"
    again = get(url, **{"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert get(url).content == first.content
    head = httpx.head(url)
    assert head.headers["content-length"] == str(len(first.content))


def test_datalink_names_the_images_behind_a_tile(live):
    order, npix = 8, tile_number(8, *CENTRE)
    url = f"{live.url}/hips/live/demo/progenitors?ORDER={order}&NPIX={npix}"
    told = get(url).json()
    assert (told["order"], told["npix"], told["overflow"]) == (order, npix, False)
    answer = get(f"{url}&RESPONSEFORMAT=datalink")
    assert answer.headers["content-type"] == "application/x-votable+xml;content=datalink"
    table = parse_votable(io.BytesIO(answer.content)).get_first_table().to_table()
    assert set(table["semantics"]) == {"#progenitor"}
    assert set(table["ID"]) == {image["obs_publisher_did"] for image in told["images"]}
    links = pyvo.dal.adhoc.DatalinkResults.from_result_url(table["access_url"][0])
    assert "#this" in [link["semantics"] for link in links]


def test_an_exposure_is_on_the_sky_when_it_has_landed_and_gone_when_it_is_withdrawn(live, cli):
    exposure = live.late
    ra, dec = (float(v) for v in exposure.wcs.all_pix2world(80, 80, 0))
    band = f"demo-{exposure.band}"
    urls = [
        tile_url(live, band, order, tile_number(order, ra, dec), kind)
        for order, kind in ((10, "fits"), (10, "png"), (8, "fits"), (3, "png"))
    ]
    urls += [tile_url(live, name, 10, tile_number(10, ra, dec), "png") for name in COLORS]
    before = [get(url) for url in urls]
    point = f"{live.url}/hips/live/{band}/progenitors?ra={ra}&dec={dec}"
    assert exposure.path.name not in names(get(point).json())
    shutil.copy(live.aside, exposure.path)
    cli.run("ingest", live.folder / "data" / "demo", "--site", live.folder)
    after = [get(url) for url in urls]
    assert exposure.path.name in names(get(point).json())
    for old, new in zip(before, after, strict=True):
        assert new.status_code == 200
        assert new.headers["etag"] != old.headers.get("etag")
        assert new.content != old.content
    exposure.path.unlink()
    cli.run("ingest", live.folder / "data" / "demo", "--prune", "--site", live.folder)
    for url, old in zip(urls, before, strict=True):
        now = get(url)
        assert (now.status_code, now.headers.get("etag")) == (
            old.status_code, old.headers.get("etag"),
        )  # fmt: skip
        if old.status_code == 200:
            assert now.content == old.content


def read_by_reproject(url: str) -> None:
    """See that every pixel it finds lies where the tile's own coordinates say."""
    for level in (0, 3, 5):  # it makes a graph of all tiles of the sky: 6 GB at order 10
        array, wcs = hips_as_dask_array(url, level=level)
        npix = tile_number(level, *CENTRE)
        path = f"Norder{level}/Dir{npix // 10000 * 10000}/Npix{npix}.fits"
        with fits.open(io.BytesIO(get(f"{url}/{path}").content)) as hdus:
            value, own = hdus[0].data, WCS(hdus[0].header)
        row, column = (int(v[0]) for v in np.nonzero(np.isfinite(value)))
        x, y = (round(float(v)) for v in wcs.world_to_pixel(own.pixel_to_world(column, row)))
        block = array.blocks[y // 512, x // 512].compute()
        assert block[y % 512, x % 512] == pytest.approx(float(value[row, column]))


def test_reproject_s_reader_loads_it_over_http(live, tmp_path):
    with set_temp_cache(tmp_path):
        read_by_reproject(f"{live.url}/hips/live/demo-r")


def test_built_and_live_have_the_same_deepest_tiles_and_progenitors(live, cli, tmp_path):
    """Last: with a HiPS built, live ones of its name follow its recipe."""
    cli.run("hips", "build", "demo", "--site", live.folder)
    for band in "gri":
        hips = Path(live.folder) / "hips" / f"demo-{band}"
        tree = TileTree(hips)
        for npix in tree.tiles(10, "fits"):
            for kind in ("fits", "png"):
                made = get(tile_url(live, f"demo-{band}", 10, npix, kind)).content
                assert made == tree.read(10, npix, kind)
            place = f"progenitors?order=10&npix={npix}"
            built = get(f"{live.url}/hips/demo-{band}/{place}").json()
            on_demand = get(f"{live.url}/hips/live/demo-{band}/{place}").json()
            # By the pixels of the images a few tiles more may be touched than by their outlines.
            assert names(on_demand) <= names(built)
            assert names(built)
        ra, dec = CENTRE
        at = get(f"{live.url}/hips/demo-{band}/progenitors?ra={ra}&dec={dec}").json()
        there = [e for e in live.survey.exposures if e.path.exists() and e.band == band]
        assert names(at) == holding(there, *CENTRE)
    for name in COLORS:
        tree = TileTree(Path(live.folder) / "hips" / name)
        numbers = tree.tiles(10, "png")
        assert numbers
        for npix in numbers:
            assert get(tile_url(live, name, 10, npix, "png")).content == tree.read(10, npix, "png")
    assert get(f"{live.url}/hips/nothing/progenitors?ra=1&dec=2").status_code == 404
    with set_temp_cache(tmp_path):
        read_by_reproject(f"{live.url}/hips/demo-r")
