"""HiPS listed, removed, copied as a tree, and put into an object store that a site reads."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import httpx
import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from hips.app import create_app
from hips.build import build
from hips.check import check_hips
from hips.export import export_tree
from hips.names import tile_path
from hips.properties import parse_properties
from hips.publish import staging
from hips.settings import HipsSettings
from hips.tiles.opening import open_tiles
from hips.upload import upload
from skylane.testing import call, refused
from vodal.errors import NotFoundError, ServiceUnavailable, UsageError
from vodal.storage import Storage, StorageSettings
from vodal.storage.bucket import Bucket, StoredObject
from vodal.storage.settings import S3Settings
from vodal.testing.s3 import KEYS, bucket_of, serve_s3
from vodal.testing.server import serve
from vodal.testing.skies import make_wcs

pytest.importorskip("boto3", reason="moto[server] is not installed")
pytest.importorskip("moto.server", reason="moto[server] is not installed")

ORDER = 8


@pytest.fixture(scope="module")
def made(tmp_path_factory, save_image, new_shelf):
    """Give a folder with the same HiPS as a tree and in packs, and what a new image changes."""
    folder = tmp_path_factory.mktemp("made")
    shelf = new_shelf()
    for number in range(2):
        image = np.random.default_rng(number).normal(10, 1, (60, 60)).astype(np.float32)
        wcs = make_wcs(150.0 + 2 * number, 2.2, 60, 8.0, 12.0)
        shelf.put(save_image(folder / f"{number}.fits", image, wcs))
        for kind in ("tree", "packed"):
            build(
                shelf.items, shelf.index, folder / "hips",
                HipsSettings(storage=kind, order=ORDER, order_shard=2), name=kind, title=kind,
                creator_did=f"ivo://test.example/hips/{kind}",
            )  # fmt: skip
        if number == 0:
            shutil.copytree(folder / "hips", folder / "before", copy_function=os.link)
    return folder


@pytest.fixture
def site(made, tmp_path):
    shutil.copytree(made / "hips", tmp_path / "site" / "hips")
    return tmp_path / "site"


def tree_files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".build" not in path.parts
    }


@pytest.mark.parametrize("kind", ["tree", "packed"])
def test_a_copy_is_the_plain_tree(site, tmp_path, kind):
    said = call("hips", "export", kind, tmp_path / "out", "--site", site)
    tree = tree_files(tmp_path / "out")
    count = sum("Npix" in name for name in tree)
    assert f"Wrote {count} tiles of {kind}" in said
    expected = tree_files(site / "hips" / "tree")
    for name in ("properties", "index.html", "metadata.xml", "metadata.fits"):
        if (site / "hips" / kind / name).exists():
            expected[name] = (site / "hips" / kind / name).read_bytes()
    assert tree == expected
    faults = [f for f in check_hips(tmp_path / "out") if getattr(f, "level", "error") == "error"]
    assert faults == []
    assert not any(path.stat().st_nlink > 1 for path in (tmp_path / "out").rglob("Npix*"))
    said = refused("hips", "export", kind, tmp_path / "out", "--site", site)
    assert "is there already; name a folder that is not, or is empty" in said
    assert not list(tmp_path.glob(".out*"))


def test_a_copy_that_cannot_be_written_says_so(made, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="cannot be copied to"):
        export_tree(made / "hips" / "packed", tmp_path / "file" / "out")


def test_hips_are_listed_and_removed(site, made):
    root = site / "hips"
    shutil.copytree(made / "before" / "packed", root / ".versions" / "packed" / "2020-01-01T00:00Z")
    shutil.copytree(made / "before" / "packed", root / ".versions" / "packed" / "2021-01-01T00:00Z")
    (site / "skylane.toml").write_text('[hips.remote]\nfar = "https://x.example/far"\n')
    lines = call("hips", "list", "--site", site).splitlines()
    assert [line.split()[0] for line in lines] == [
        "packed", "packed@2020-01-01T00:00Z", "packed@2021-01-01T00:00Z", "tree", "far",
    ]  # fmt: skip
    assert "order 8, png fits, packed" in lines[0]
    assert "released 20" in lines[0]
    assert lines[-1] == "far  at https://x.example/far"
    said = refused("hips", "remove", "none", "--site", site)
    assert "there is no HiPS 'none' in this site; there are: packed, tree" in said
    for name in ("../hips", "packed@", "packed@2000-01-01T00:00Z", "packed@..", ".versions",
                 "..@packed"):  # fmt: skip
        assert "there is no HiPS" in refused("hips", "remove", name, "--site", site)
    call("hips", "remove", "packed@2020-01-01T00:00Z", "--site", site)
    assert [p.name for p in (root / ".versions" / "packed").iterdir()] == ["2021-01-01T00:00Z"]
    with staging(root / "packed", partly=True):
        assert "try again when it is done" in refused("hips", "remove", "packed", "--site", site)
    said = call("hips", "remove", "packed", "--site", site)
    assert "Removed the HiPS packed and 1 earlier releases" in said
    left = sorted(p.name for p in root.iterdir())
    assert left == [".tree.lock", ".versions", "tree"]
    assert not list((root / ".versions").iterdir())
    call("hips", "remove", "tree", "--site", site)
    (site / "skylane.toml").unlink()
    assert "There are no HiPS" in call("hips", "list", "--site", site)


@pytest.fixture(scope="module")
def endpoint():
    with serve_s3() as address:
        yield address


@pytest.fixture
def bucket(endpoint):
    with bucket_of(endpoint, "sky") as client:
        yield client


def settings_of(endpoint) -> S3Settings:
    return S3Settings(buckets=("sky",), endpoint=endpoint, **KEYS)


def stored(client) -> dict[str, float]:
    listed = client.list_objects_v2(Bucket="sky").get("Contents", [])
    return {item["Key"]: item["LastModified"].timestamp() for item in listed}


@pytest.mark.parametrize("kind", ["tree", "packed"])
def test_what_changed_is_sent_and_a_site_shows_it(
    bucket, endpoint, made, site, kind, monkeypatch, tmp_path
):
    for name, value in {"endpoint": endpoint, **KEYS}.items():
        monkeypatch.setenv(f"SKYLANE_STORAGE__S3__{name.upper()}", value)
    current = site / "hips" / kind
    shutil.rmtree(current)
    shutil.copytree(made / "before" / kind, current, copy_function=os.link)
    said = call("hips", "publish", kind, f"s3://sky/a b/{kind}/", "--site", site)
    first = stored(bucket)
    assert f"sent {len(first) - 1} files" in said
    assert ", 0 were there already, removed 0" in said
    tile = "Packs/Norder6/" if kind == "packed" else "Norder8/"
    key = next(key for key in first if tile in key)
    head = bucket.head_object(Bucket="sky", Key=key)
    assert head["CacheControl"] == "public, max-age=3600"
    assert head["ContentType"] in {"application/zip", "image/fits", "image/png"}
    head = bucket.head_object(Bucket="sky", Key=f"a b/{kind}/properties")
    assert (head["CacheControl"], head["ContentType"]) == (
        "no-cache", "text/plain; charset=utf-8",
    )  # fmt: skip

    said = call("hips", "publish", kind, f"s3://sky/a b/{kind}", "--site", site)
    assert "sent 0 files" in said

    bucket.put_object(Bucket="sky", Key=f"a b/{kind}/Norder8/Dir0/Npix1.png", Body=b"stray")
    bucket.put_object(Bucket="sky", Key=f"a b/{kind}-other/properties", Body=b"not ours")
    shutil.rmtree(current)
    shutil.copytree(made / "hips" / kind, current, copy_function=os.link)
    said = call("hips", "publish", kind, f"s3://sky/a b/{kind}", "--site", site)
    assert "removed 1" in said
    sent, kept = (int(said.split(word)[1].split()[0]) for word in ("sent ", "MB), "))
    assert sent > 0
    assert kept > 0
    assert sent + kept == len(stored(bucket)) - 2
    assert f"a b/{kind}-other/properties" in stored(bucket)

    storage = Storage(StorageSettings(s3=settings_of(endpoint)))
    app = create_app(
        root=tmp_path / "empty", storage=storage,
        settings=HipsSettings(remote={"far": f"s3://sky/a b/{kind}"}),
    )  # fmt: skip
    routes = [Mount("/hips", app)]
    with serve(Starlette(routes=routes)) as server, httpx.Client(timeout=30) as client:
        tiles = open_tiles(current)
        for order in range(ORDER + 1):
            for npix in tiles.tiles(order, "png"):
                answer = client.get(f"{server.url}/hips/far/{tile_path(order, npix, 'png')}")
                assert answer.content == tiles.read(order, npix, "png")
        assert client.get(f"{server.url}/hips/far/{tile_path(8, 3, 'png')}").status_code == 404
        assert client.get(f"{server.url}/hips/far/{tile_path(8, npix, 'webp')}").status_code == 404
        for name in ("Moc.fits", "Norder3/Allsky.fits", "preview.jpg"):
            answer = client.get(f"{server.url}/hips/far/{name}")
            assert answer.content == (current / name).read_bytes()
        listed = parse_properties(client.get(f"{server.url}/hips/list").text)
        assert listed["hips_status"] == "public master clonable"
        assert listed["hips_service_url"] == f"{server.url}/hips/far"
    storage.close()


def test_properties_come_last_and_nothing_goes_before_them(made):
    class Store(Bucket):
        """Notes what is done."""

        def __init__(self):
            self.done = []

        def objects(self, prefix):
            return {f"{prefix}old": StoredObject(1, "x")}

        def get(self, _key):
            return None

        def put(self, key, *_):
            self.done.append(key)
            return "e"

        def delete(self, keys):
            self.done += [f"-{key}" for key in keys]

    store = Store()
    done = upload(made / "hips" / "packed", store, "x/y", HipsSettings())
    assert store.done[-5:] == [
        "x/y/index.html", "x/y/Packs/layout.json", "x/y/properties", "-x/y/old",
        "x/y/.skylane.json",
    ]  # fmt: skip
    assert all(key.endswith(".zip") for key in store.done[:3])
    assert (done.sent, done.kept, done.removed) == (len(store.done) - 2, 0, 1)


def test_files_written_anew_with_the_same_bytes_are_not_sent(bucket, endpoint, made, tmp_path):
    shutil.copytree(made / "hips" / "tree", tmp_path / "one")
    store = Bucket("sky", settings_of(endpoint))
    upload(tmp_path / "one", store, "", HipsSettings())
    for path in (tmp_path / "one").rglob("*"):
        os.utime(path, (1e9, 1e9))
    assert upload(tmp_path / "one", store, "", HipsSettings()).sent == 0
    bucket.delete_object(Bucket="sky", Key=".skylane.json")
    assert upload(tmp_path / "one", store, "", HipsSettings()).sent == 0
    bucket.put_object(Bucket="sky", Key="preview.jpg", Body=b"of another")
    assert upload(tmp_path / "one", store, "", HipsSettings()).sent == 1


def test_what_the_store_refuses_is_told(endpoint, made, site):
    store = Bucket("no-such-bucket", settings_of(endpoint))
    with pytest.raises(NotFoundError, match="there is no bucket 'no-such-bucket'"):
        upload(made / "hips" / "tree", store, "x", HipsSettings())
    nobody = S3Settings(endpoint="http://127.0.0.1:9", **KEYS)
    with pytest.raises(ServiceUnavailable, match="does not answer as it should"):
        upload(made / "hips" / "tree", Bucket("sky", nobody), "x", HipsSettings())
    for place in ("/var/www", "https://x.example/y", "s3://"):
        said = refused("hips", "publish", "tree", place, "--site", site)
        assert "s3://bucket" in said
    said = refused("hips", "publish", "none", "s3://sky/x", "--site", site)
    assert "there is no HiPS 'none'" in said


def test_a_private_hips_is_in_no_shared_cache_of_the_store(bucket, endpoint, made):
    upload(made / "hips" / "tree", Bucket("sky", settings_of(endpoint)), "p", HipsSettings(),
           private=True)  # fmt: skip
    for name in (tile_path(0, 6, "png"), "Moc.fits"):
        head = bucket.head_object(Bucket="sky", Key=f"p/{name}")
        assert head["CacheControl"] == "private, max-age=3600"
