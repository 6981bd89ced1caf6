"""HiPS in packs, earlier releases, and HiPS elsewhere, as clients get them from the server."""

from __future__ import annotations

import os
import re
import shutil
from datetime import UTC, datetime

import httpx
import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from hips.app import create_app
from hips.build import build
from hips.names import tile_path
from hips.properties import parse_properties
from hips.remote import RemoteHips
from hips.settings import HipsSettings
from hips.tiles.opening import open_tiles
from vodal.storage import LOCAL, Storage, StorageSettings
from vodal.testing.archive import serve_archive
from vodal.testing.asgi import AppClient
from vodal.testing.server import serve
from vodal.testing.skies import make_wcs

ORDER = 9
YEAR = "public, max-age=31536000, immutable"


@pytest.fixture(scope="module")
def base(tmp_path_factory, save_image, new_shelf):
    """Give a folder with the same HiPS as a tree and in packs."""
    folder = tmp_path_factory.mktemp("site")
    shelf = new_shelf()
    image = np.random.default_rng(0).normal(10, 1, (90, 90)).astype(np.float32)
    shelf.put(save_image(folder / "a.fits", image, make_wcs(150.0, 2.2, 90, 4.0, 12.0)))
    for kind in ("tree", "packed"):
        build(
            shelf.items, shelf.index, folder / "hips",
            HipsSettings(storage=kind, order=ORDER, order_shard=2), name=kind, title=kind,
            creator_did=f"ivo://test.example/hips/{kind}",
        )  # fmt: skip
    return folder / "hips"


def mounted(root, storage=LOCAL, **settings):
    app = create_app(root=root, settings=HipsSettings(**settings), storage=storage)
    return Starlette(routes=[Mount("/hips", app)])


def paths_of(base):
    tree = base / "tree"
    return [str(p.relative_to(tree)) for p in sorted(tree.rglob("Norder*/**/*")) if p.is_file()]


def date_of(folder):
    return parse_properties((folder / "properties").read_text())["hips_release_date"]


def redate(folder, stamp):
    text = (folder / "properties").read_text()
    text = re.sub(r"(hips_release_date *= ).*", rf"\g<1>{stamp}", text)
    (folder / "properties.new").write_text(text)
    (folder / "properties.new").replace(folder / "properties")


def test_a_real_server_gives_the_tiles_of_packs_as_those_of_a_tree(base):
    with serve(mounted(base)) as server, httpx.Client(base_url=f"{server.url}/hips") as client:
        tags = set()
        for path in paths_of(base):
            packed, tree = client.get(f"/packed/{path}"), client.get(f"/tree/{path}")
            assert packed.status_code == 200
            assert packed.content == tree.content == (base / "tree" / path).read_bytes()
            for name in ("content-type", "content-length", "access-control-allow-origin",
                         "cache-control"):  # fmt: skip
                assert packed.headers[name] == tree.headers[name]
            head = client.head(f"/packed/{path}")
            assert (head.content, head.headers["etag"]) == (b"", packed.headers["etag"])
            assert head.headers["content-length"] == str(len(packed.content))
            for name, value in (
                ("If-None-Match", packed.headers["etag"]),
                ("If-Modified-Since", packed.headers["last-modified"]),
            ):
                assert client.get(f"/packed/{path}", headers={name: value}).status_code == 304
            tags.add(packed.headers["etag"])
        assert len(tags) > 20
        for path in ("Packs/layout.json", "Packs/Norder7/Dir0/Npix0.zip", ".build/recipe.json"):
            assert client.get(f"/packed/{path}").status_code == 404


@pytest.mark.parametrize("kind", ["tree", "packed"])
def test_a_tile_that_is_not_there_is_a_short_answer_that_is_kept_for_a_while(base, kind):
    client = AppClient(mounted(base))
    first = open_tiles(base / kind).tiles(ORDER, "png")[0]
    for path in (
        tile_path(ORDER, first ^ 1 << 14, "png"),  # in no pack
        tile_path(ORDER, first, "webp"),
        tile_path(ORDER + 1, first << 2, "png"),
        tile_path(20, 5, "png"),
        tile_path(ORDER, first, "png").replace("/Dir", "/Dir1"),
    ):
        answer = client.get(f"/hips/{kind}/{path}")
        assert (answer.status_code, answer.headers["cache-control"]) == (404, "max-age=60")
        assert len(answer.content) < 100
        assert answer.headers["access-control-allow-origin"] == "*"


def test_ranges_of_a_tile(base):
    client = AppClient(mounted(base))
    path = f"/hips/packed/{tile_path(0, 6, 'fits')}"
    whole = client.get(path)
    assert whole.headers["accept-ranges"] == "bytes"
    tag = whole.headers["etag"]
    size = len(whole.content)
    for text, wanted in (
        ("bytes=0-9", slice(0, 10)),
        ("bytes=100-", slice(100, None)),
        ("bytes=-7", slice(size - 7, None)),
        (f"bytes=5-{size * 2}", slice(5, None)),
    ):
        part = client.get(path, headers={"Range": text, "If-Match": tag, "If-Range": tag})
        assert (part.status_code, part.content) == (206, whole.content[wanted])
        first, last, _ = wanted.indices(size)
        assert part.headers["content-range"] == f"bytes {first}-{last - 1}/{size}"
    for text in ("bytes=5-2", "bytes=1-2,5-6", "lines=1-2", "bytes=x-"):
        assert client.get(path, headers={"Range": text}).content == whole.content
    other = {"Range": "bytes=0-9", "If-Range": '"other"'}
    assert client.get(path, headers=other).content == whole.content
    beyond = client.get(path, headers={"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    assert client.get(path, headers={"If-Match": '"other"'}).status_code == 412


def test_tiles_named_by_release_may_be_kept_for_ever(base):
    client = AppClient(mounted(base))
    release = date_of(base / "packed")
    tile = tile_path(0, 6, "png")
    for path, caching in (
        (f"packed/{tile}", "public, max-age=3600"),
        (f"packed/{tile}?v={release}", YEAR),
        (f"packed/{tile}?v=2001-01-01T00:00Z", "public, max-age=3600"),
        (f"packed@{release}/{tile}", YEAR),
        (f"packed@{release}/Moc.fits", YEAR),
        (f"packed@{release}/properties", "no-cache"),
    ):
        answer = client.get(f"/hips/{path}")
        assert (answer.status_code, answer.headers["cache-control"]) == (200, caching)
    for name in ("packed@2001-01-01T00:00Z", "packed@", "packed@x", f"none@{release}",
                 f"..%2fpacked@{release}", f"packed@{release}@{release}"):  # fmt: skip
        assert client.get(f"/hips/{name}/{tile}").status_code == 404
    answer = client.get(f"/hips/packed@{release}")
    url = httpx.URL(f"http://testserver/hips/packed@{release}").join(answer.headers["location"])
    assert client.get(str(url)).status_code == 200


def test_a_private_hips_is_in_no_list_and_in_no_shared_cache(base, tmp_path):
    shutil.copytree(base / "packed", tmp_path / "hips" / "hidden")
    path = tmp_path / "hips" / "hidden" / "properties"
    path.write_text(path.read_text().replace("= public", "= private"))
    client = AppClient(mounted(tmp_path / "hips"))
    assert client.get("/hips/list").text == ""
    answer = client.get(f"/hips/hidden/{tile_path(0, 6, 'png')}")
    assert answer.headers["cache-control"] == "private, max-age=3600"


@pytest.mark.parametrize("kind", ["tree", "packed"])
def test_earlier_releases_are_served_as_long_as_they_are_kept(tmp_path, shelf, save_image, kind):
    root = tmp_path / "hips"
    settings = HipsSettings(storage=kind, order=7, order_shard=2, keep_versions=2)
    client = AppClient(mounted(root))
    tiles = {}
    for number in range(4):
        image = np.random.default_rng(number).normal(9, 1, (60, 60)).astype(np.float32)
        shelf.put(save_image(tmp_path / f"{number}.fits", image, make_wcs(9, 2, 60, 20.0, 1.0)))
        build(
            shelf.items, shelf.index, root, settings, name="one", title="one",
            creator_did="ivo://test.example/hips/one",
        )  # fmt: skip
        release = date_of(root / "one")
        assert release not in tiles  # though all four are made within one minute
        tiles[release] = client.get(f"/hips/one/{tile_path(0, 4, 'fits')}").content
        listed = parse_properties(client.get("/hips/list").text)
        assert listed["hips_release_date"] == release
    assert len(set(tiles.values())) == 4
    first, *kept = sorted(tiles)
    for release in kept:
        answer = client.get(f"/hips/one@{release}/{tile_path(0, 4, 'fits')}")
        assert (answer.content, answer.headers["cache-control"]) == (tiles[release], YEAR)
        text = client.get(f"/hips/one@{release}/properties").text
        assert parse_properties(text)["hips_release_date"] == release
    assert client.get(f"/hips/one@{first}/{tile_path(0, 4, 'fits')}").status_code == 404
    build(
        shelf.items, shelf.index, root, settings.model_copy(update={"keep_versions": 0}),
        name="one", title="one", creator_did="ivo://test.example/hips/one",
    )  # fmt: skip
    assert client.get(f"/hips/one@{kept[0]}/properties").status_code == 404
    assert client.get(f"/hips/one@{kept[-1]}/properties").status_code == 200


def test_a_rebuilt_pack_is_served_at_once(base, tmp_path):
    shutil.copytree(base / "packed", tmp_path / "hips" / "one")
    client = AppClient(mounted(tmp_path / "hips"))
    tiles = open_tiles(tmp_path / "hips" / "one")
    npix = tiles.tiles(7, "png")[0]
    path = f"/hips/one/{tile_path(7, npix, 'png')}"
    before = client.get(path)
    with tiles.filling(7, npix) as sink:
        sink.write(7, npix, "png", b"new")
    after = client.get(path, headers={"If-None-Match": before.headers["etag"]})
    assert (after.status_code, after.content) == (200, b"new")


@pytest.mark.parametrize("kind", ["tree", "packed"])
@pytest.mark.parametrize("scheme", ["file", "http"])
def test_a_hips_elsewhere_is_served_as_if_it_lay_here(base, tmp_path, kind, scheme):
    with serve_archive(base) as archive:
        uri = {"file": (base / kind).as_uri(), "http": f"http://{archive.host}/{kind}"}[scheme]
        storage = Storage(StorageSettings(http_hosts=(archive.host,)))
        client = AppClient(mounted(tmp_path, storage, remote={"far": uri, "bad": uri + "x"}))
        for path in [*paths_of(base), "Moc.fits", "preview.jpg", "index.html", ""]:
            answer = client.get(f"/hips/far/{path}")
            there = base / (kind if path in {"", "index.html"} else "tree") / (path or "index.html")
            assert (answer.status_code, answer.content) == (200, there.read_bytes())
            tag = {"If-None-Match": answer.headers["etag"]}
            assert client.get(f"/hips/far/{path}", headers=tag).status_code == 304
        listed = parse_properties(client.get("/hips/list").text)
        assert listed["hips_service_url"] == "http://testserver/hips/far"
        mirror = "public mirror clonable" if scheme == "http" else "public master clonable"
        assert listed["hips_status"] == mirror
        assert listed["hips_release_date"] == date_of(base / kind)
        text = client.get("/hips/far/properties").text
        assert parse_properties(text)["hips_status"] == mirror
        release = date_of(base / kind)
        answer = client.get(f"/hips/far@{release}/{tile_path(0, 6, 'png')}")
        assert answer.headers["cache-control"] == YEAR
        assert client.get("/hips/bad/properties").status_code == 404
        first = open_tiles(base / kind).tiles(ORDER, "png")[0]
        before = len(archive.seen)
        for path in (tile_path(ORDER, first ^ 1 << 14, "png"), tile_path(0, 99, "png")):
            assert client.get(f"/hips/far/{path}").status_code == 404
        assert len(archive.seen) == before  # the MOC tells
        storage.close()


def test_a_site_shows_the_packed_hips_of_another_site(base, tmp_path):
    with serve(mounted(base)) as server:
        host = server.url.removeprefix("http://")
        storage = Storage(StorageSettings(http_hosts=(host,)))
        remote = {"far": f"{server.url}/hips/packed"}
        client = AppClient(mounted(tmp_path, storage, remote=remote))
        for path in paths_of(base)[::7]:
            answer = client.get(f"/hips/far/{path}")
            assert answer.content == (base / "tree" / path).read_bytes()
        storage.close()


def test_a_hips_elsewhere_that_is_replaced_is_seen_anew(base, tmp_path, monkeypatch):
    far = tmp_path / "far"
    shutil.copytree(base / "packed", far)
    hips = RemoteHips(far.as_uri(), LOCAL)
    key = (0, 6, "png")
    with hips.tile(*key) as found:
        before = found.read()
    tiles = open_tiles(far)
    tiles.write(*key, b"new")
    wanted = {k: set(tiles.tiles(k, "png")) for k in range(ORDER + 1)}
    tiles.prune(wanted)
    redate(far, "2030-01-01T00:00Z")
    later = datetime.now(UTC).timestamp() + 5
    os.utime(far / "properties", (later, later))
    assert hips.properties["hips_release_date"] != "2030-01-01T00:00Z"
    monkeypatch.setattr("hips.remote._REFRESH_S", 0.0)
    assert hips.properties["hips_release_date"] == "2030-01-01T00:00Z"
    with hips.tile(*key) as found:
        assert found.read() == b"new" != before
