"""FITS on servers as sources: buckets, listings, manifests, and what goes wrong with each."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from pathlib import Path

import pytest

from obscore.assembly.line import ingest
from obscore.assembly.report import FileReport
from obscore.settings import ObsCoreSettings
from obscore.sources import Candidate, Problem
from obscore.sources.choice import configured_sources, source_of, with_folders
from obscore.sources.fits import file_uri
from obscore.sources.listings import read_listing
from obscore.sources.manifest import ManifestSource
from obscore.sources.objects import ObjectSource
from obscore.sources.web import ListingSource
from vodal.errors import ServiceUnavailable, SettingsError, UsageError
from vodal.storage import Storage, StorageSettings
from vodal.storage.settings import S3Settings
from vodal.testing.archive import nginx_listing, serve_archive
from vodal.testing.nginx import has_nginx, serve_nginx
from vodal.testing.s3 import KEYS, bucket_of, serve_s3

SETTINGS = ObsCoreSettings()
NAMES = ["a.fits", "night 1/b+c.fits", "night 1/sub/d.fits.fz", "notes.txt", ".hidden/e.fits"]
OURS = ["a.fits", "night 1/b+c.fits", "night 1/sub/d.fits.fz"]


@pytest.fixture(scope="module")
def image(tmp_path_factory, write_image) -> bytes:
    return write_image(tmp_path_factory.mktemp("image") / "a.fits").read_bytes()


@pytest.fixture
def tree(tmp_path, image) -> Path:
    for name in NAMES:
        path = tmp_path / "www" / "deep" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image)
        os.utime(path, (1.7e9, 1.7e9))
    return tmp_path / "www"


@pytest.fixture
def archive(tree):
    with serve_archive(tree) as served:
        served.listing = nginx_listing
        yield served


@pytest.fixture
def web(archive):
    storage = Storage(StorageSettings(http_hosts=(archive.host,), attempts=1))
    yield storage
    storage.close()


def run(source, store, storage, **options) -> dict[str, str]:
    """Run the line; give what became of each file, by its path or the end of its URI."""
    told = {}

    def tell(one: FileReport) -> None:
        told[one.path or one.uri.rpartition("/")[2]] = one.status

    ingest(source, store, SETTINGS, workers=0, storage=storage, report=tell, **options)
    return told


def walked(source) -> list[Candidate]:
    return [item for item in source.walk() if isinstance(item, Candidate)]


def problems(source) -> list[Problem]:
    return [item for item in source.walk() if isinstance(item, Problem)]


# HTTP


def test_a_mapping_beside_the_data_of_a_server(archive, web, tree, memory_store):
    beside = tree / "deep" / "skylane-mapping.toml"
    url = f"{archive.url}/deep/"
    source = ListingSource(url, web)

    def made():
        settings = with_folders(ObsCoreSettings(), [source])
        summary = ingest(source, memory_store, settings, workers=0, storage=web)
        return summary.statuses, {row["obs_title"] for row in memory_store.rows()}

    assert made() == ({"added": 3}, {"a.fits", "b+c.fits", "d.fits.fz"})
    beside.write_text("<html>nothing here</html>")
    assert made()[0] == {"unchanged": 3}
    beside.write_text("mapping = { obs_title = 'from {stem}' }")
    assert made() == ({"updated": 3}, {"from a", "from b+c", "from d"})
    for text, words in (
        ("mapping = { obs_titl = 'x' }", "mapping.obs_titl: unknown key"),
        ("mapping = { obs_collection = 'x' }", "rules of access go by it"),
        ("mapping.obs_id = { fact = 'x', table_file = 't.csv' }", "a table_file lies on a disk"),
    ):
        beside.write_text(text)
        with pytest.raises(SettingsError, match=rf"^{url}skylane-mapping\.toml: .*{words}"):
            made()
    # Nothing is made without a mapping that may be there.
    archive.faults.append("busy")
    with pytest.raises(ServiceUnavailable):
        made()


def test_a_listed_folder_is_ingested_and_only_what_changed_is_read_again(
    archive, web, tree, image, memory_store
):
    source = ListingSource(f"{archive.url}/deep", web)
    assert source.collection == "deep"
    assert run(source, memory_store, web) == dict.fromkeys(OURS, "added")
    assert source.passed_over == 1
    uri = f"{archive.url}/deep/night%201/b+c.fits"
    assert memory_store.files[uri].observations[0].did.endswith("deep?night%201/b+c.fits")
    archive.seen.clear()
    assert run(source, memory_store, web) == dict.fromkeys(OURS, "unchanged")
    assert {seen.path for seen in archive.seen} == {
        "/deep/", "/deep/night%201/", "/deep/night%201/sub/",
    }  # fmt: skip
    # A new process asks for a byte of each, and reads none.
    archive.seen.clear()
    again = ListingSource(f"{archive.url}/deep/", web)
    assert run(again, memory_store, web) == dict.fromkeys(OURS, "unchanged")
    asked = [seen.headers["range"] for seen in archive.seen if "range" in seen.headers]
    assert asked == ["bytes=0-0"] * 3
    (tree / "deep" / "a.fits").write_bytes(image + bytes(2880))
    (tree / "deep" / "night 1" / "b+c.fits").unlink()
    assert run(source, memory_store, web) == {
        "a.fits": "updated", "night 1/sub/d.fits.fz": "unchanged", "b+c.fits": "vanished",
    }  # fmt: skip


def test_a_young_file_is_asked_for_again_since_listings_show_minutes(archive, web, tree, image):
    source = ListingSource(f"{archive.url}/deep/", web)
    path = tree / "deep" / "a.fits"
    now = time.time()
    os.utime(path, (now, now))
    (first, *_) = walked(source)
    assert source.quiet_s(first) < 60
    path.write_bytes(image[::-1])
    os.utime(path, (now, now))
    (second, *_) = walked(source)
    assert second.stat.version != first.stat.version


def test_listings_that_are_gone_or_none_prune_nothing(archive, web, tree, memory_store):
    source = ListingSource(f"{archive.url}/deep/", web)
    run(source, memory_store, web)
    pages = {"night 1": "<html><body><h1>Please log in</h1><a href='/login'>here</a></body></html>"}
    archive.listing = lambda folder, path: pages.get(folder.name) or nginx_listing(folder, path)
    (problem,) = problems(source)
    assert problem.uri.endswith("/deep/night%201/")
    assert "HTML that is no listing" in problem.message
    assert run(source, memory_store, web, prune=True)["a.fits"] == "unchanged"
    assert len(memory_store.files) == 3
    pages["deep"] = pages["night 1"]
    with pytest.raises(UsageError, match=r"cannot be listed: .* is no listing"):
        run(source, memory_store, web, prune=True)
    shutil.rmtree(tree / "deep")
    with pytest.raises(UsageError, match="there is nothing at"):
        run(source, memory_store, web, prune=True)
    assert source.why_away(3)
    (tree / "deep").mkdir()
    archive.listing = nginx_listing
    assert set(run(source, memory_store, web, prune=True).values()) == {"vanished"}
    assert len(memory_store.files) == 3
    archive.faults.extend(["broken"])
    with pytest.raises(UsageError, match="does not answer as it should"):
        run(source, memory_store, web, prune=True)


def test_a_link_of_the_servers_disk_to_a_folder_above_ends(archive, web, tree):
    (tree / "deep" / "night 1" / "loop").symlink_to(tree / "deep")
    source = ListingSource(f"{archive.url}/deep/", web)
    found = list(source.walk())
    assert [one.relative for one in found if isinstance(one, Candidate)] == OURS
    (loop,) = [one for one in found if isinstance(one, Problem)]
    assert (loop.uri.endswith("/night%201/loop/"), loop.reason) == (True, "duplicate")


def test_a_host_that_the_settings_do_not_allow_is_named_with_the_setting(archive):
    storage = Storage(StorageSettings())
    with pytest.raises(UsageError, match=r"127\.0\.0\.1 .*\(storage\.http_hosts\)"):
        list(ListingSource(f"{archive.url}/deep/", storage).walk())


APACHE = """<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN"><html><head>
<title>Index of /data</title></head><body><h1>Index of /data</h1><table>
<tr><th><a href="?C=N;O=D">Name</a></th><th><a href="?C=M;O=A">Last modified</a></th></tr>
<tr><td><a href="/">Parent Directory</a></td><td>&nbsp;</td><td align="right">  - </td></tr>
<tr><td><a href="n%201/">n 1/</a></td><td align="right">2025-07-24 10:11  </td><td>  - </td></tr>
<tr><td><a href="a.fits">a.fits</a></td><td align="right">2025-07-24 10:12  </td><td> 11K</td></tr>
<tr><td><a href="https://elsewhere.org/data/x.fits">x</a></td></tr>
</table><address>Apache/2.4.57</address></body></html>"""
PRE = """<html><head><title>Index of /data/</title></head><body><pre>
<img src="/icons/image2.gif" alt="[IMG]"> <a href="a.fits">a.fits</a>   2025-07-24 10:12   11K
<img src="/icons/f.gif" alt="[   ]"> <a href="b%c3%a9.fits">b</a>       2025-07-24 10:12  1.2M  Deep
</pre></body></html>"""
PYTHON = """<html><head><title>Directory listing for /data/</title></head><body><ul>
<li><a href="a.fits">a.fits</a></li><li><a href="sub/">sub/</a></li></ul></body></html>"""
LIGHTTPD = """<html><head><title>Index of /data/</title></head><body><table><tbody>
<tr class="d"><td class="n"><a href="../">..</a>/</td><td class="m">&nbsp;</td></tr>
<tr><td class="n"><a href="a.fits">a.fits</a></td><td class="m">2025-Jul-24 10:12:13</td>
<td class="s">11.2K</td><td class="t">application/octet-stream</td></tr></tbody></table></body>"""


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (APACHE, [("a.fits", "2025-07-24 10:12 11K"), ("n%201/", "2025-07-24 10:11")]),
        (PRE, [("a.fits", "2025-07-24 10:12 11K"), ("b%C3%A9.fits", "2025-07-24 10:12 1.2M")]),
        (PYTHON, [("a.fits", ""), ("sub/", "")]),
        (LIGHTTPD, [("a.fits", "2025-Jul-24 10:12:13 11.2K")]),
        ("<a href='a.fits'>an image</a>", [("a.fits", "")]),
        ("<title>Index of /data/</title>", []),
        ("<a href='sub/'>sub</a><a href='../x.fits'>x</a>", None),
    ],
)
def test_pages_of_common_servers(page, expected):
    url = "https://h.org/data/"
    found = read_listing(page, url)
    assert (found and [(one.url.removeprefix(url), one.mark) for one in found]) == expected


@pytest.mark.skipif(not has_nginx(), reason="nginx is not installed")
def test_a_real_nginx_lists_and_gives_ranges(tree, tmp_path, memory_store):
    (tree / "deep" / ("n" * 80 + ".fits")).write_bytes((tree / "deep" / "a.fits").read_bytes())
    (tmp_path / "nginx").mkdir()
    with serve_nginx(tree, tmp_path / "nginx") as (host, _):
        storage = Storage(StorageSettings(http_hosts=(host,)))
        source = ListingSource(f"http://{host}/deep/", storage)
        assert run(source, memory_store, storage) == dict.fromkeys(
            [*OURS, "n" * 80 + ".fits"], "added"
        )
        assert set(run(source, memory_store, storage).values()) == {"unchanged"}
        storage.close()


# S3


@pytest.fixture(scope="module")
def endpoint():
    pytest.importorskip("moto.server", reason="moto[server] is not installed")
    with serve_s3() as address:
        yield address


@pytest.fixture
def bucket(endpoint, image):
    with bucket_of(endpoint, "survey") as client:
        for name in NAMES:
            client.put_object(Bucket="survey", Key=f"deep/{name}", Body=image)
        client.put_object(Bucket="survey", Key="deeper/x.fits", Body=image)
        yield client


def s3(endpoint, *, buckets=("survey",), **given) -> Storage:
    settings = {"endpoint": endpoint, "buckets": buckets, **KEYS, **given}
    return Storage(StorageSettings(s3=S3Settings(**settings), attempts=1))


def test_a_bucket_is_ingested_and_unchanged_objects_are_not_asked_for(
    bucket, endpoint, image, memory_store, monkeypatch
):
    storage = s3(endpoint)
    source = ObjectSource("s3://survey/deep", storage)
    assert run(source, memory_store, storage) == dict.fromkeys(OURS, "added")
    assert (
        memory_store.files["s3://survey/deep/night 1/b+c.fits"]
        .observations[0]
        .did.endswith("deep?night%201/b+c.fits")
    )
    opened: list[str] = []
    monkeypatch.setattr(Storage, "open", lambda _, uri, *__: opened.append(uri))
    assert run(source, memory_store, storage) == dict.fromkeys(OURS, "unchanged")
    assert opened == []
    monkeypatch.undo()
    bucket.put_object(Bucket="survey", Key="deep/a.fits", Body=image + bytes(2880))
    bucket.delete_object(Bucket="survey", Key="deep/night 1/b+c.fits")
    told = run(source, memory_store, storage, prune=True)
    assert (told["a.fits"], told["b+c.fits"]) == ("updated", "removed")
    assert len(memory_store.files) == 2
    storage.close()


def test_what_is_wrong_with_a_bucket_is_said_and_nothing_goes(bucket, endpoint, memory_store):
    storage = s3(endpoint)
    run(ObjectSource("s3://survey/deep/", storage), memory_store, storage)
    cases = {
        "s3://other/deep/": (s3(endpoint), r"bucket 'other' is not read .*storage\.s3\.buckets"),
        "s3://none/deep/": (s3(endpoint, buckets=("none",)), "there is no bucket 'none'"),
        "s3://survey/deep/": (s3("http://127.0.0.1:9"), "does not answer as it should now"),
    }
    for uri, (other, message) in cases.items():
        with pytest.raises(UsageError, match=message):
            run(ObjectSource(uri, other), memory_store, other, prune=True)
    for item in bucket.list_objects_v2(Bucket="survey")["Contents"]:
        bucket.delete_object(Bucket="survey", Key=item["Key"])
    told = run(ObjectSource("s3://survey/deep/", storage), memory_store, storage, prune=True)
    assert set(told.values()) == {"vanished"}
    assert len(memory_store.files) == 3
    storage.close()


# Manifests


FORMS = {
    "text": "# of night 1\ndeep/a.fits\n\ndeep/night 1/b+c.fits\ndeep/notes.txt\ndeep/a.fits\n",
    "sums": "0123456789abcdef0123456789abcdef  deep/a.fits\n"
    "1123456789abcdef0123456789abcdef *deep/night 1/b+c.fits\n",
    "csv": "name,file,size\nA,deep/a.fits,5760\n,deep/night 1/b+c.fits,\n",
    "tsv": "url\tmd5\ndeep/a.fits\t01\ndeep/night%201/b+c.fits\t02\n",
    "jsonl": '{"url": "deep/a.fits", "size": 5760}\n"deep/night%201/b+c.fits"\n',
}


@pytest.mark.parametrize("form", FORMS)
def test_a_manifest_names_files_in_any_form(archive, web, tree, form, memory_store):
    text = FORMS[form]
    (tree / "list.txt").write_text(text)
    source = ManifestSource(f"{archive.url}/list.txt", web, collection="listed")
    wanted = ["deep/a.fits", "deep/night 1/b+c.fits"]
    assert [one.relative for one in walked(source)] == wanted
    assert run(source, memory_store, web) == dict.fromkeys(wanted, "added")
    assert run(source, memory_store, web) == dict.fromkeys(wanted, "unchanged")
    # A local one names the same files by paths.
    local = ManifestSource(str(tree / "list.txt"), web)
    if "%" not in text:
        assert [one.uri for one in walked(local)] == [file_uri(str(tree / name)) for name in wanted]
    (tree / "list.txt").write_text(text.replace("deep/a.fits", "deep/none.fits"))
    told = run(source, memory_store, web)
    assert (told["none.fits"], told["a.fits"]) == ("refused", "vanished")


def test_a_manifest_with_sizes_and_etags_needs_no_further_request(
    archive, web, tree, image, memory_store
):
    etag = web.stat(f"{archive.url}/deep/a.fits").version.partition("-")[2]
    line = {"url": f"{archive.url}/deep/a.fits", "size": len(image), "etag": etag}
    (tree / "list.jsonl").write_text(json.dumps(line))
    source = ManifestSource(f"{archive.url}/list.jsonl", web)
    assert run(source, memory_store, web) == {"deep/a.fits": "added"}
    archive.seen.clear()
    assert run(source, memory_store, web) == {"deep/a.fits": "unchanged"}
    assert [seen.path for seen in archive.seen] == ["/list.jsonl"]


def test_what_is_wrong_with_a_manifest_is_said_by_its_line(archive, web, tree):
    (tree / "list.jsonl").write_text(
        '{"url": "deep/a.fits"}\n{"url": \n[1]\n{"url": "ftp://h/b"}\n'
    )
    source = ManifestSource(f"{archive.url}/list.jsonl", web)
    assert len(walked(source)) == 1
    found = [one.message for one in problems(source)]
    assert [message[: len("line 2 of the manifest")] for message in found] == [
        f"line {line} of the manifest" for line in (2, 3, 4)
    ]
    for text, message in (
        ("a,b\n1,2\n", "names no column of URLs"),
        ("<html>", "no list of files"),
    ):
        (tree / "list.jsonl").write_text(text)
        with pytest.raises(UsageError, match=message):
            list(source.walk())
    (tree / "list.jsonl").unlink()
    with pytest.raises(UsageError, match="cannot be read: there is nothing at"):
        list(source.walk())


# Choice


def test_addresses_and_lists_are_chosen_by_what_they_are(archive, web, tree):
    collections = {
        "all": {"folder": f"{archive.url}/deep"},
        "night1": {"folder": f"{archive.url}/deep/night%201/"},
        "bucket": {"folder": "s3://survey/deep/"},
        "listed": {"manifest": str(tree / "list.csv")},
    }
    settings = ObsCoreSettings.model_validate({"collections": collections})
    kinds = {one.collection: type(one) for one in configured_sources(settings, web)}
    assert kinds == {
        "all": ListingSource, "night1": ListingSource, "bucket": ObjectSource,
        "listed": ManifestSource,
    }  # fmt: skip
    source = source_of(f"{archive.url}/deep/night 1/sub/", settings, web)
    assert (source.collection, [one.relative for one in walked(source)]) == (
        "night1", ["sub/d.fits.fz"],
    )  # fmt: skip
    one = source_of(f"{archive.url}/deep/a.fits", settings, web)
    assert [(item.collection, item.relative) for item in walked(one)] == [("all", "a.fits")]
    assert source_of("s3://survey/other", settings, web).collection == "other"
    (tree / "list.csv").write_text("file\ndeep/a.fits\n")
    assert isinstance(source_of(tree / "list.csv", settings, web), ManifestSource)
    with pytest.raises(ValueError, match=re.escape("one of folder and manifest, not both")):
        ObsCoreSettings.model_validate({"collections": {"x": {"folder": "a", "manifest": "b"}}})
