"""Which files a pipeline may name."""

from __future__ import annotations

from pathlib import Path

import pytest

from obscore.hook.naming import named_file
from obscore.sources import FolderSource
from vodal.errors import UsageError


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


def sources(tree: Path) -> list[FolderSource]:
    return [
        FolderSource(tree / "data" / "deep", collection="deep"),
        FolderSource(tree / "data" / "deep" / "wide", collection="wide"),
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
        ("data/deep/a.fits", "neither an absolute path nor a file: URL"),
        ("", "neither an absolute path nor a file: URL"),
        ("https://example.org/a.fits", "neither an absolute path nor a file: URL"),
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
