"""Which files a pipeline may name."""

from __future__ import annotations

from pathlib import Path

import pytest

from obscore.hook.naming import named_file
from obscore.sources import FolderSource, Source
from obscore.sources.objects import ObjectSource
from obscore.sources.web import ListingSource
from vodal.errors import UsageError
from vodal.storage import LOCAL


@pytest.fixture
def tree(tmp_path) -> Path:
    for name in ("data/deep/night 1", "data/deep/wide", "other", "data/deep/.stage"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("data/deep/night 1/a.fits", "data/deep/wide/b.fits", "other/secret.fits"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "data/deep/link.fits").symlink_to(tmp_path / "other" / "secret.fits")
    (tmp_path / "data/deep/out").symlink_to(tmp_path / "other")
    (tmp_path / "data/deep/again.fits").symlink_to(tmp_path / "data/deep/wide/b.fits")
    return tmp_path


def sources(tree: Path) -> list[Source]:
    return [
        FolderSource(tree / "data" / "deep", collection="deep"),
        FolderSource(tree / "data" / "deep" / "wide", collection="wide"),
        ObjectSource("s3://archive/deep/", LOCAL, collection="objects"),
        ListingSource("https://example.org/deep/", LOCAL, collection="listed"),
        ListingSource("https://example.org/deep/wide/", LOCAL, collection="listed wide"),
    ]


@pytest.mark.parametrize(
    ("named", "path", "collection"),
    [
        ("{tree}/data/deep/night 1/a.fits", "data/deep/night 1/a.fits", "deep"),
        ("{tree}//data/deep//night 1/a.fits", "data/deep/night 1/a.fits", "deep"),
        ("file://{tree}/data/deep/night%201/a.fits", "data/deep/night 1/a.fits", "deep"),
        ("file://localhost{tree}/data/deep/wide/b.fits", "data/deep/wide/b.fits", "wide"),
        ("{tree}/data/deep/not/yet.fits.fz", "data/deep/not/yet.fits.fz", "deep"),
        ("{tree}/data/deep/again.fits", "data/deep/again.fits", "deep"),
    ],
)
def test_files_below_the_folders_of_collections_may_be_named(tree, named, path, collection):
    found = named_file(named.format(tree=tree), sources(tree))
    assert found.uri == (tree / path).as_uri()
    assert found.source.collection == collection


@pytest.mark.parametrize(
    ("named", "uri", "collection"),
    [
        ("s3://archive/deep/night 1/a.fits", "s3://archive/deep/night 1/a.fits", "objects"),
        ("S3://archive/deep/b.fits.fz", "s3://archive/deep/b.fits.fz", "objects"),
        ("https://example.org/deep/a.fits", "https://example.org/deep/a.fits", "listed"),
        ("HTTPS://Example.ORG/deep/n 1/a.fits", "https://example.org/deep/n%201/a.fits", "listed"),
        ("https://example.org/deep/wide/n%201/a.fits",
         "https://example.org/deep/wide/n%201/a.fits", "listed wide"),
    ],
)  # fmt: skip
def test_so_may_files_below_the_places_of_collections_on_servers(tree, named, uri, collection):
    found = named_file(named, sources(tree))
    assert (found.uri, found.source.collection) == (uri, collection)


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ("{tree}/other/secret.fits", "not below the folder of a collection"),
        ("{tree}/other/none.fits", "not below the folder of a collection"),
        ("{tree}/data/deepest/a.fits", "not below the folder of a collection"),
        ("{tree}/data/deep/../../other/secret.fits", "'.' or '..'"),
        ("file://{tree}/data/deep/%2e%2e/%2E%2E/other/secret.fits", "'.' or '..'"),
        ("{tree}/data/deep/./a.fits", "'.' or '..'"),
        ("{tree}/data/deep/link.fits", "not below the folder of a collection"),
        ("{tree}/data/deep/out/secret.fits", "not below the folder of a collection"),
        ("{tree}/data/deep/out/none.fits", "not below the folder of a collection"),
        ("{tree}/data/deep/notes.txt", "not named as FITS files are"),
        ("{tree}/data/deep/.stage/a.fits", "not named as FITS files are"),
        ("{tree}/data/deep/.a.fits", "not named as FITS files are"),
        ("{tree}/data/deep", "not named as FITS files are"),
        ("data/deep/a.fits", "neither an absolute path nor a URL"),
        ("", "neither an absolute path nor a URL"),
        ("https://example.org/a.fits", "not below the place of a collection"),
        ("http://example.org/deep/a.fits", "not below the place of a collection"),
        ("https://example.org.evil.net/deep/a.fits", "not below the place of a collection"),
        ("https://user@example.org/deep/a.fits", "not below the place of a collection"),
        ("https://example.org/deep/a.fits?x=1", "has a query or fragment"),
        ("https://example.org/deep/a.txt#b.fits", "has a query or fragment"),
        ("https://example.org/deep/%2e%2e/other/a.fits", "'.' or '..'"),
        ("https://example.org/deep/x%2F..%2Fa.fits", "'.' or '..'"),
        ("https://example.org/deep/.stage/a.fits", "not named as FITS files are"),
        ("https://example.org/deep/", "empty parts"),
        ("s3://archive/deeper/a.fits", "not below the place of a collection"),
        ("s3://archive/deep/../other/a.fits", "'.' or '..'"),
        ("s3://archive/deep/notes.txt", "not named as FITS files are"),
        ("ftp://example.org/deep/a.fits", "neither an absolute path nor a URL"),
        ("file://example.org{tree}/data/deep/a.fits", "neither an absolute path"),
        ("file://{tree}/data/deep/a.fits?x", "neither an absolute path"),
        ("file://{tree}/data/deep/%00.fits", "neither an absolute path"),
        ("{tree}/data/deep/\0a.fits", "no path"),
        ("{tree}/data/deep/\na.fits", "no path"),
        ("/" + "a" * 5000 + ".fits", "no path"),
        ("file://[{tree}/a.fits", "neither an absolute path"),
    ],
)
def test_all_else_is_refused_by_name(tree, named, says):
    with pytest.raises(UsageError) as caught:
        named_file(named.format(tree=tree), sources(tree))
    assert says in caught.value.message
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 500
