"""Folders as sources."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from obscore.settings import ObsCoreSettings
from obscore.sources import Candidate, FolderSource, Problem
from obscore.sources.choice import configured_sources, source_of
from vodal.errors import UsageError
from vodal.storage import local_path, stat_local


def relatives(source):
    return [item.relative for item in source.walk() if isinstance(item, Candidate)]


@pytest.fixture
def tree(tmp_path):
    for name in ("b.fits", "a.FITS", "c.fit.gz", "d.fits.fz", "e.fts", "f.fz", "g.fits.fz.gz",
                 "sub/x.fits",
                 "sub/deep/y.fits", "sub-2/z.fits", ".hidden.fits", ".git/h.fits", "notes.txt",
                 "tar.gz", "sub/odd name:é%41.fits"):  # fmt: skip
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "root"


def test_names_of_fits_in_a_stable_order(tree):
    source = FolderSource(tree)
    assert relatives(source) == [
        "a.FITS",
        "b.fits",
        "c.fit.gz",
        "d.fits.fz",
        "e.fts",
        "f.fz",
        "g.fits.fz.gz",
        "sub/odd name:é%41.fits",
        "sub/x.fits",
        "sub/deep/y.fits",
        "sub-2/z.fits",
    ]
    assert source.passed_over == 2
    assert source.collection == "root"


def test_uris_lead_back_to_the_files(tree):
    for item in FolderSource(tree).walk():
        path = local_path(item.uri)
        assert path == tree / item.relative
        assert item.stat == stat_local(path)
        assert item.uri.isascii()
        assert item.uri == path.as_uri().replace("%3A", ":")


def test_loops_and_second_names_are_read_once(tree):
    (tree / "sub" / "loop").symlink_to(tree)
    (tree / "zlink.fits").symlink_to(tree / "b.fits")
    (tree / "broken.fits").symlink_to(tree / "nowhere.fits")
    items = list(FolderSource(tree).walk())
    problems = {i.uri.rsplit("/", 1)[-1]: i.reason for i in items if isinstance(i, Problem)}
    assert problems == {"zlink.fits": "duplicate", "broken.fits": "unreadable"}
    assert len(items) == 13


def test_names_that_are_not_utf8(tree):
    Path(os.fsdecode(os.fsencode(tree) + b"/\xff\xfe.fits")).touch()
    problems = [item for item in FolderSource(tree).walk() if isinstance(item, Problem)]
    assert [problem.reason for problem in problems] == ["bad-name"]
    assert problems[0].uri.endswith("/%FF%FE.fits")


def test_one_file_belongs_to_its_folder(tree):
    source = source_of(tree / "sub" / "x.fits", ObsCoreSettings())
    assert source.collection == "sub"
    assert relatives(source) == ["x.fits"]
    assert source.holds(source.under_uri)
    assert not source.holds(source.under_uri + ".fz")


def test_paths_below_a_configured_folder_belong_to_its_collection(tree):
    collections = {"all": {"folder": str(tree)}, "deep": {"folder": str(tree / "sub")}}
    settings = ObsCoreSettings.model_validate({"collections": collections})
    source = source_of(tree / "sub" / "deep", settings)
    assert source.collection == "deep"
    assert relatives(source) == ["deep/y.fits"]
    assert source_of(tree / "sub-2", settings).collection == "all"
    assert [s.collection for s in configured_sources(settings)] == ["all", "deep"]


def test_what_is_not_there(tree, tmp_path):
    with pytest.raises(UsageError, match="there is no folder"):
        source_of(tree / "nowhere", ObsCoreSettings())
    with pytest.raises(UsageError, match="no folder and no file"):
        list(FolderSource(tree / "nowhere").walk())
    with pytest.raises(UsageError, match="is not below"):
        FolderSource(tree / "sub", start=tmp_path)
