"""Which files of a datastore can be published."""

from __future__ import annotations

import pytest
from lsst.resources import ResourcePath

from obscore.sources.butler.files import _artifact
from obscore.sources.fits import file_uri


@pytest.mark.parametrize(
    ("place", "uri"),
    [
        ("s3://bucket/run/a%20b.fits", "s3://bucket/run/a%20b.fits"),
        ("https://archive.example/run/a.fits", "https://archive.example/run/a.fits"),
        ("file:///data/run/a%20b%231.fits", file_uri("/data/run/a b#1.fits")),
        ("/data/r+n/ü~a:b.fits", file_uri("/data/r+n/ü~a:b.fits")),
    ],
)
def test_files_are_named_as_the_line_names_them(place, uri):
    made = ResourcePath(place, forceAbsolute=True, isTemporary=False)
    found = _artifact(made, 2880)
    assert (found.uri, found.size_bytes, found.fault) == (uri, 2880, "")


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("file:///data/run.zip#zip-path=a.fits", "a member of an archive"),
        ("https://store.example/a.fits?X-Amz-Signature=1", "addresses that expire"),
        ("mem://run/a.fits", "files of mem: cannot be read here"),
    ],
)
def test_others_are_refused_by_name(place, told):
    assert told in _artifact(ResourcePath(place), None).fault
