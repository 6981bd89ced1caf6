"""Which format a request gets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vodal.errors import UsageError
from vodal.params import Params
from vodal.tables.formats import FORMATS
from vodal.tables.negotiation import is_browser, negotiate

FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
CHROME = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,"
    "*/*;q=0.8,application/signed-exchange;v=b3;q=0.7"
)
JAVA = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"
NOTHING = Params([])


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        (None, "votable"),
        ("votable", "votable"),
        ("VOTable", "votable"),
        ("application/x-votable+xml", "votable"),
        ("application/x-votable xml", "votable"),
        ("application/x-votable+xml;content=datalink", "votable"),
        ("application/x-votable+xml; serialization=TABLEDATA", "votable/td"),
        ("application/x-votable+xml;serialization=BINARY2", "votable/b2"),
        ('application/x-votable+xml;serialization="binary"', "votable/b"),
        ("votabletd", "votable/td"),
        ("text/xml", "xml"),
        ("application/xml", "xml"),
        ("csv", "csv"),
        ("text/csv", "csv"),
        ("text/csv; header=present", "csv"),
        ("text/csv;charset=utf-8;header=absent", "csv/bare"),
        ("tsv", "tsv"),
        ("TEXT/TAB-SEPARATED-VALUES", "tsv"),
        ("text/tab-separated-values;header=present", "tsv"),
        ("fits", "fits"),
        ("image/fits", "fits"),
        ("json", "json"),
        ("voparquet", "parquet"),
        ("application/vnd.apache.arrow.stream", "arrow"),
        ("text/html; charset=utf-8", "html"),
        ("txt", "text"),
    ],
)
def test_formats_are_found_under_their_names(asked, name):
    for parameter in ("RESPONSEFORMAT", "format"):
        pairs = [] if asked is None else [(parameter, asked)]
        assert negotiate(Params(pairs)).name == name


def test_no_two_formats_share_a_name():
    names = [
        name.lower().replace(" ", "")
        for item in FORMATS
        for name in (item.name, item.media_type, *item.aliases)
    ]
    assert len(set(names)) == len(names)


def test_responseformat_wins_over_its_old_name():
    assert negotiate(Params([("FORMAT", "csv"), ("RESPONSEFORMAT", "tsv")])).name == "tsv"


@pytest.mark.parametrize(
    "asked",
    ["application/x-excel", "application/x-votable+xml;serialization=XML", "text/csv;header=maybe"],
)
def test_an_unknown_format_is_refused_with_those_that_are_known(asked):
    with pytest.raises(UsageError) as caught:
        negotiate(Params([("RESPONSEFORMAT", asked)]))
    assert f"RESPONSEFORMAT '{asked}'" in caught.value.message
    for item in FORMATS:
        assert item.name in caught.value.message


def test_the_answer_has_the_media_type_that_was_asked_for():
    for asked, media_type in (
        ("image/fits", "image/fits"),
        ("application/xml", "application/xml"),
        ("text/csv", "text/csv;header=present"),
        ("fits", "application/fits"),
        ("application/x-parquet", "application/x-parquet"),
    ):
        assert negotiate(Params([("RESPONSEFORMAT", asked)])).media_type == media_type


@pytest.mark.parametrize(
    ("accept", "name"),
    [
        (None, "votable"),
        ("", "votable"),
        ("*/*", "votable"),
        (FIREFOX, "html"),
        (CHROME, "html"),
        # Java's own header; TOPCAT and STILTS send it without wanting a page.
        (JAVA, "votable"),
        ("text/html", "votable"),
        ("application/json", "json"),
        ("application/json, text/plain, */*", "votable"),
        ("application/json, text/javascript, */*; q=0.01", "json"),
        ("application/x-votable+xml;serialization=TABLEDATA", "votable/td"),
        ("text/csv;header=absent;q=0.9, text/csv;q=0.3", "csv/bare"),
        ("text/csv;q=0.3, application/fits;q=0.7", "fits"),
        ("text/csv;q=0.3, application/fits;q=0.7, */*;q=0.8", "votable"),
        ("text/csv;q=0", "votable"),
        ("text/csv;q=x", "votable"),
        ("application/pdf", "votable"),
        ("application/*", "votable"),
        (",;,;q=,", "votable"),
    ],
)
def test_the_header_decides_where_no_parameter_does(accept, name):
    assert negotiate(NOTHING, accept=accept).name == name
    asked = Params([("RESPONSEFORMAT", "tsv")])
    assert negotiate(asked, accept=accept).name == "tsv"


@given(st.text(alphabet="text/html,;q=0.1* csv\u00e9\x00", max_size=60))
def test_no_header_fails(accept):
    assert negotiate(NOTHING, accept=accept) is not None
    assert not is_browser(accept)
