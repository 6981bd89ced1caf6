"""The HiPS server, the properties it tells, the links to it, and Aladin's judgement."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import cdshealpix.nested as healpix
import httpx
import numpy as np
import pytest
from astropy.coordinates import Latitude, Longitude
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Mount

from hips.app import create_app
from hips.build import build
from hips.color.build import build_color
from hips.coverage import View, first_view, place_within
from hips.links import HipsLinks
from hips.names import deinterleave, tile_path
from hips.page import index_page
from hips.properties import format_properties, minute, obs_regime, parse_properties
from hips.publish import NAME, safe_name
from hips.settings import HipsSettings
from hips.shown import ShownHips
from vodal.errors import DataError, UsageError
from vodal.links import Asked
from vodal.testing.asgi import AppClient
from vodal.testing.server import serve
from vodal.testing.skies import make_wcs


@pytest.fixture(scope="module")
def site(tmp_path_factory, save_image, new_shelf):
    """Give a folder with a HiPS of one band, three bands' colour one, and rubbish."""
    folder = tmp_path_factory.mktemp("site")
    shelf = new_shelf()
    wcs = make_wcs(150.0, 2.2, 100, 0.5, 12.0)
    rng = np.random.default_rng(0)
    for band in "gri":
        image = rng.normal(10, 1, (100, 100)).astype(np.float32)
        image[50:53, 40:43] += 500
        shelf.put(
            save_image(folder / f"{band}.fits", image, wcs), filter=band, em_min=4e-7,
            em_max=8e-7, t_min=61000.0, t_max=61000.5,
        )  # fmt: skip
    for product in shelf.items:
        band = product.obscore["filter"]
        build(
            [product], shelf.index, folder / "hips", HipsSettings(), name=f"demo-{band}",
            title=f"Demo {band} = <test>", creator_did=f"ivo://test.example/hips/{band}",
        )  # fmt: skip
    build_color(
        {band: folder / "hips" / f"demo-{band}" for band in "irg"}, folder / "hips",
        HipsSettings(), name="demo-color", title="Demo", creator_did="ivo://test.example/hips/c",
    )  # fmt: skip
    (folder / "hips" / ".demo-x.building").mkdir()
    (folder / "hips" / "empty").mkdir()
    (folder / "hips" / "secret.txt").write_text("secret")
    (folder / "hips" / "demo-g" / "secret.txt").write_text("secret")
    (folder / "secret.txt").write_text("secret")
    return folder


@pytest.fixture(scope="module")
def client(site):
    app = create_app(root=site / "hips", settings=HipsSettings())
    return AppClient(Starlette(routes=[Mount("/hips", app)]))


def deepest(folder: Path) -> Path:
    return min(folder.glob("Norder10/Dir*/Npix*.fits"))


def test_the_list_names_each_hips_with_what_clients_need(client):
    answer = client.get("/hips/list")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["access-control-allow-origin"] == "*"
    records = answer.text.split("\n\n")
    assert len(records) == 4
    urls = []
    for record in records:
        values = parse_properties(record)
        assert values["creator_did"].startswith("ivo://")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\dZ", values["hips_release_date"])
        assert values["hips_status"] == "public master clonable"
        urls.append(values["hips_service_url"])
    assert urls == [f"http://testserver/hips/demo-{band}" for band in ("color", "g", "i", "r")]
    assert all(client.get(f"{url}/properties").status_code == 200 for url in urls)


def test_the_list_uses_the_public_url(site):
    app = create_app(
        root=site / "hips", settings=HipsSettings(), public_url="https://x.example/sky"
    )
    client = AppClient(Starlette(routes=[Mount("/hips", app)]))
    assert "= https://x.example/sky/hips/demo-g\n" in client.get("/hips/list").text


def test_a_new_hips_appears_and_a_removed_one_goes(site, client, tmp_path):
    shutil.copytree(site / "hips" / "demo-g", site / "hips" / "new")
    assert "/hips/new" in client.get("/hips/list").text
    assert client.get("/hips/new/properties").status_code == 200
    shutil.rmtree(site / "hips" / "new")
    assert "/hips/new" not in client.get("/hips/list").text
    assert client.get("/hips/new/properties").status_code == 404


def test_a_broken_or_private_hips_does_not_hide_the_others(site, client):
    folder = site / "hips" / "odd"
    folder.mkdir()
    for text in (b"\xff\xfe", b"no equals sign\n", b"obs_title = x\n", b""):
        (folder / "properties").write_bytes(text)
        assert len(client.get("/hips/list").text.split("\n\n")) == 4
    text = (site / "hips" / "demo-g" / "properties").read_text().replace("= public", "= private")
    (folder / "properties").write_text(text)
    assert len(client.get("/hips/list").text.split("\n\n")) == 4
    shutil.rmtree(folder)


def test_no_hips_is_an_empty_list(tmp_path):
    client = AppClient(create_app(root=tmp_path / "none", settings=HipsSettings()))
    assert client.get("/list").text == ""
    assert client.get("/x/properties").status_code == 404


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("properties", "text/plain; charset=utf-8"),
        ("Moc.fits", "image/fits"),
        ("index.html", "text/html; charset=utf-8"),
        ("", "text/html; charset=utf-8"),
        ("preview.jpg", "image/jpeg"),
        ("Norder3/Allsky.png", "image/png"),
        ("Norder3/Allsky.fits", "image/fits"),
        ("Norder0/Dir0/Npix6.png", "image/png"),
        ("Norder0/Dir0/Npix6.fits", "image/fits"),
    ],
)
def test_files_come_whole_with_their_type_and_are_not_sent_twice(site, client, path, kind):
    answer = client.get(f"/hips/demo-g/{path}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == kind
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.content == (site / "hips" / "demo-g" / (path or "index.html")).read_bytes()
    head = client.head(f"/hips/demo-g/{path}")
    assert head.content == b""
    for name in ("content-length", "etag", "last-modified", "content-type", "cache-control"):
        assert head.headers[name] == answer.headers[name]
    for name, value in (
        ("If-None-Match", answer.headers["etag"]),
        ("If-None-Match", f'"other", W/{answer.headers["etag"]}'),
        ("If-None-Match", "*"),
        ("If-Modified-Since", answer.headers["last-modified"]),
    ):
        again = client.get(f"/hips/demo-g/{path}", headers={name: value})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == answer.headers["etag"]
    old = format_datetime(datetime.now(UTC) - timedelta(days=9), usegmt=True)
    for headers in (
        {"If-None-Match": '"other"', "If-Modified-Since": answer.headers["last-modified"]},
        {"If-Modified-Since": old},
        {"If-Modified-Since": "yesterday"},
    ):
        assert client.get(f"/hips/demo-g/{path}", headers=headers).status_code == 200


def test_a_path_that_climbs_gets_nothing_from_a_real_server(site):
    app = create_app(root=site / "hips", settings=HipsSettings())
    with serve(Starlette(routes=[Mount("/hips", app)])) as server:
        for path in ("/hips/../secret.txt", "/hips/demo-g/../../secret.txt", "/hips//etc/passwd"):
            request = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
                connection.sendall(request.encode())
                answer = b"".join(iter(lambda: connection.recv(65536), b""))
            assert answer.startswith(b"HTTP/1.1 404 ")
        tile = f"{server.url}/hips/demo-g/Norder0/Dir0/Npix6.fits"
        assert len(httpx.get(tile).content) == int(httpx.head(tile).headers["content-length"])


def test_tiles_may_be_kept_and_properties_must_be_asked_for(client):
    assert client.get("/hips/demo-g/Norder0/Dir0/Npix6.png").headers["cache-control"] == (
        "public, max-age=3600"
    )
    assert client.get("/hips/demo-g/properties").headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "path",
    [
        "demo-g/Norder0/Dir0/Npix7.png",
        "demo-g/Norder0/Dir0/Npix6.webp",
        "demo-g/Norder99/Dir0/Npix6.png",
        "demo-g/Norder0/Dir0",
        "demo-g/Norder0/",
        "demo-g/secret.txt",
        "demo-g/../secret.txt",
        "demo-g/%2e%2e/secret.txt",
        "demo-g/..%2fsecret.txt",
        "demo-g/%2e%2e%2f%2e%2e%2fsecret.txt",
        "%2e%2e/secret.txt",
        "..%2fsecret.txt",
        "secret.txt",
        ".demo-g.lock",
        ".demo-x.building/properties",
        "empty/",
        "empty/properties",
        "none/properties",
        "demo-g/properties/x",
        "demo-g/properties%00",
        "demo-g/Norder0/Dir0/Npix" + "9" * 300 + ".png",
        "demo-g/color.json",
    ],
)
def test_everything_else_is_a_short_404(client, path):
    answer = client.get(f"/hips/{path}")
    assert answer.status_code == 404
    assert "secret" not in answer.text.replace("secret.txt", "")
    assert len(answer.content) < 500
    assert answer.headers["access-control-allow-origin"] == "*"


def test_a_doubled_slash_is_one_as_aladin_lite_sends_it(client):
    assert client.get("/hips/demo-g//Moc.fits").status_code == 200
    assert client.get("/hips/demo-g//../secret.txt").status_code == 404


def test_a_name_without_a_slash_leads_to_the_page(client):
    answer = client.get("/hips/demo-g")
    assert answer.status_code in {301, 307}
    assert str(httpx.URL("http://testserver/hips/demo-g").join(answer.headers["location"])) == (
        "http://testserver/hips/demo-g/"
    )


def test_methods_other_than_get_are_refused(client):
    assert client.post("/hips/list").status_code == 405
    assert client.request("DELETE", "/hips/demo-g/properties").status_code == 405


def test_the_page_is_its_own_and_asks_no_other_host(site):
    page = (site / "hips" / "demo-g" / "index.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    assert "/portal/vendor/aladin.js" in page
    assert "log: false" in page
    assert "<title>Demo g = &lt;test&gt;</title>" in page


def test_hostile_titles_do_not_leave_the_page_s_texts():
    page = index_page("</script><b>@view@", "@title@ & <i>", View(1, 2, 3), "/a'\"</script>.js")
    assert page.count("</script>") == 1
    assert "<b>" not in page
    assert "<i>" not in page


keys = st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True)


@settings(deadline=None)
@given(st.dictionaries(keys, st.text(min_size=1, max_size=80)))
def test_properties_are_read_back_on_one_line_each(values):
    text = format_properties(values)
    expected = {}
    for key, value in values.items():
        clean = " ".join("".join(c if c.isprintable() else " " for c in value).split())
        if clean:
            expected[key] = clean
    assert parse_properties(text) == expected
    assert len(text.split("\n")) == len(expected) + 1


@pytest.mark.parametrize("key", ["", "a b", "a=b", "#a", "a\n", "1a"])
def test_a_bad_keyword_is_refused(key):
    with pytest.raises(ValueError, match="no keyword"):
        format_properties({key: "x"})


def test_a_line_without_equals_is_an_error_with_its_number():
    with pytest.raises(DataError, match="line 3"):
        parse_properties("# a comment\n\nwhat is this\n")


def test_dates_are_utc_to_the_minute():
    assert minute(datetime(2026, 1, 2, 3, 4, 59, tzinfo=UTC)) == "2026-01-02T03:04Z"


@pytest.mark.parametrize(
    ("low", "high", "regime"),
    [
        (1e-13, 1e-12, "Gamma-ray"),
        (1e-10, 1e-9, "X-ray"),
        (1e-7, 2e-7, "UV"),
        (4e-7, 5.5e-7, "Optical"),
        (2e-6, 2.4e-6, "Infrared"),
        (1e-3, 3e-3, "Millimeter"),
        (0.2, 0.22, "Radio"),
        (None, 1.0, ""),
    ],
)
def test_regimes_follow_the_wavelength(low, high, regime):
    assert obs_regime(low, high) == regime


@settings(deadline=None)
@given(st.lists(st.text(max_size=40), max_size=3))
def test_safe_names_are_names(parts):
    assert NAME.fullmatch(safe_name(*parts))


def test_the_first_view_is_on_a_tile_and_holds_them_all():
    tile, fov_deg = first_view(3, list(range(768)))
    assert fov_deg == 180.0
    tile, fov_deg = first_view(3, [0])
    assert tile == 0
    assert 7.0 < fov_deg < 15.0
    # Two fields far apart: the larger of them, and not the empty sky between.
    tile, fov_deg = first_view(6, [0, 1, 2, 3, 40000])
    assert tile in range(4)
    assert 1.8 < fov_deg < 6.0
    # Two that are near each other are seen together.
    near = [0, 1, 2, 3, 12, 13, 14, 15]
    assert first_view(6, near)[1] > 4.0


def test_a_place_within_a_tile_has_a_value():
    there = np.zeros((512, 512), bool)
    there[500, 10:400], there[10:500, 10] = True, True  # an angle, whose middle is blank
    for order, npix in ((6, 12345), (20, 9_000_000_000_000)):
        ra, dec = place_within(order, npix, there)
        cell = int(
            healpix.lonlat_to_healpix(Longitude([ra], "deg"), Latitude([dec], "deg"), order + 9)[0]
        )
        assert cell >> 18 == npix
        x, y = deinterleave(np.array([cell & (1 << 18) - 1]))
        assert there[511 - x[0], y[0]]


def test_the_server_and_the_links_load_nothing_that_computes():
    code = (
        "import sys, hips.app, hips.links; assert not {'numba', 'mocpy', 'PIL'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def links_of(folder, colors, product):
    asked = Asked([product], "https://x.example", None)
    return HipsLinks(ShownHips(folder), colors).links_of(asked)[product.did]


def test_a_product_is_linked_to_the_hips_that_show_it(site, new_shelf):
    shelf = new_shelf()
    product = shelf.put(site / "g.fits", filter="g", s_ra=150.0, s_dec=2.2)
    # It was not made of an image of another name, and covers no other place.
    for other in (
        shelf.put(
            site / "g.fits", did="ivo://test.example/demo?new", filter="g", s_ra=150.1, s_dec=2.2
        ),
        shelf.put(site / "r.fits", did="ivo://test.example/demo?r.fits", filter="i"),
    ):
        assert links_of(site / "hips", {}, other) == []
    links = links_of(site / "hips", {}, product)
    assert [link.access_url for link in links] == [
        "https://x.example/hips/demo-g/",
        "https://x.example/hips/demo-color/",
    ]
    assert {(link.did, link.semantics, link.local_semantics) for link in links} == {
        (product.did, "#derivation", "hips")
    }
    # With colours of its own, the collection has these.
    shutil.copytree(site / "hips" / "demo-color", site / "hips" / "own")
    own = HipsSettings(color={name: {"collection": "demo"} for name in ("own", "none")})
    links = links_of(site / "hips", own.color, product)
    assert [link.access_url.split("/")[-2] for link in links] == ["demo-g", "own"]
    shutil.rmtree(site / "hips" / "own")


def test_colour_needs_three_bands_that_are_there(site, tmp_path):
    paths = {band: site / "hips" / f"demo-{band}" for band in "ri"}
    with pytest.raises(UsageError, match="three bands"):
        build_color(paths, tmp_path, HipsSettings(), name="c", title="t", creator_did="ivo://x/y")
    paths["g"] = tmp_path
    with pytest.raises(UsageError, match="holds no HiPS"):
        build_color(paths, tmp_path, HipsSettings(), name="c", title="t", creator_did="ivo://x/y")


@pytest.mark.aladin
@pytest.mark.parametrize("name", ["demo-g", "demo-color"])
def test_aladin_finds_no_error(site, name):
    jar = Path("/usr/share/java/aladin.jar")
    if not jar.is_file() or shutil.which("java") is None:
        pytest.skip("Debian's aladin package is not installed")
    done = subprocess.run(
        ["java", "-Djava.awt.headless=true", "-jar", str(jar), "-hipsgen",
         f"out={site / 'hips' / name}", "LINT"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    text = done.stdout + done.stderr
    assert "IVOA HiPS 1.0 compatible" in text, text
    assert "fully" in text, text
    assert not re.search(r"\bERROR\b|\bWARN", text), text


def test_the_tile_of_a_place_is_where_clients_look(site):

    for order in range(11):
        cell = int(
            healpix.lonlat_to_healpix(Longitude([150.0], "deg"), Latitude([2.2], "deg"), order)[0]
        )
        assert (site / "hips" / "demo-color" / tile_path(order, cell, "png")).is_file()
