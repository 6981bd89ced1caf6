"""Byte ranges and preconditions against a slow reading of RFC 9110."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datalink.conditions import Validators, make_etag, requested_ranges

TIME = "Tue, 14 Nov 2023 22:13:20 GMT"
LATER, EARLIER = "Tue, 14 Nov 2023 22:13:21 GMT", "Tue, 14 Nov 2023 22:13:19 GMT"
STATE = Validators(make_etag("1a-2b"), 1_700_000_000.75)


@given(st.integers(0, 50), st.integers(0, 60), st.none() | st.integers(0, 60))
def test_a_range_gives_the_bytes_that_slicing_gives(size, first, last):
    data = bytes(range(size))
    ranges = requested_ranges(f"bytes={first}-{'' if last is None else last}", size)
    if last is not None and last < first:
        assert ranges is None
        return
    expected = data[first:] if last is None else data[first : last + 1]
    assert ranges == ([(first, len(expected))] if expected else [])


@given(st.integers(0, 50), st.integers(0, 60))
def test_a_suffix_gives_the_last_bytes(size, count):
    ranges = requested_ranges(f"bytes=-{count}", size)
    count = min(count, size)
    assert ranges == ([(size - count, count)] if count else [])


@given(st.text(st.sampled_from("bytes=0123456789-, "), max_size=20), st.integers(0, 1000))
def test_any_text_gives_ranges_inside_the_file_or_none(text, size):
    for header in (text, f"bytes={text}"):
        for offset, length in requested_ranges(header, size) or []:
            assert 0 <= offset < offset + length <= size


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("bytes=0-9", [(0, 10)]),
        ("Bytes = 0-9", [(0, 10)]),
        ("bytes=0-9, 20-29,-5", [(0, 10), (20, 10), (95, 5)]),
        ("bytes=90-200", [(90, 10)]),
        ("bytes=100-", []),
        ("bytes=100-,0-0", [(0, 1)]),
        ("bytes=5-3", None),
        ("bytes=a-b", None),
        ("bytes=+1-5", None),
        ("bytes=--5", None),
        ("bytes=", None),
        ("items=0-5", None),
        ("0-5", None),
        ("bytes=0-,0-,0-", None),
        ("bytes=" + ",".join(f"{i}-{i}" for i in range(65)), None),
        ("bytes=99999999999999999999-", []),
        ("bytes=0-99999999999999999999", [(0, 100)]),
        ("bytes=00000000000000000000090-", [(90, 10)]),
        ("bytes=" + "9" * 5000 + "-", None),
    ],
)
def test_ranges_of_a_file_of_100_bytes(text, expected):
    assert requested_ranges(text, 100) == expected


@pytest.mark.parametrize(
    ("headers", "outcome"),
    [
        ({}, "proceed"),
        ({"if-none-match": '"1a-2b"'}, "unchanged"),
        ({"if-none-match": 'W/"1a-2b"'}, "unchanged"),
        ({"if-none-match": '"x", "1a-2b"'}, "unchanged"),
        ({"if-none-match": "*"}, "unchanged"),
        ({"if-none-match": '"x"'}, "proceed"),
        ({"if-none-match": "garbage"}, "proceed"),
        ({"if-none-match": '"x"', "if-modified-since": LATER}, "proceed"),
        ({"if-modified-since": TIME}, "unchanged"),
        ({"if-modified-since": LATER}, "unchanged"),
        ({"if-modified-since": EARLIER}, "proceed"),
        ({"if-modified-since": "yesterday"}, "proceed"),
        ({"if-match": '"1a-2b"'}, "proceed"),
        ({"if-match": 'W/"1a-2b"'}, "failed"),
        ({"if-match": '"x"'}, "failed"),
        ({"if-unmodified-since": EARLIER}, "failed"),
        ({"if-unmodified-since": TIME}, "proceed"),
    ],
)
def test_preconditions(headers, outcome):
    assert STATE.outcome(headers) == outcome


@pytest.mark.parametrize(
    ("value", "holds"),
    [
        (None, True),
        ('"1a-2b"', True),
        ('W/"1a-2b"', False),
        ('"old"', False),
        (TIME, True),
        (LATER, False),
        ("nonsense", False),
    ],
)
def test_if_range(value, holds):
    assert STATE.range_holds({} if value is None else {"if-range": value}) is holds


@given(st.text(max_size=20))
def test_any_version_makes_a_tag_that_a_client_can_send_back(version):
    etag = make_etag(version)
    assert etag.encode("ascii").isascii()
    assert Validators(etag, 0.0).outcome({"if-none-match": etag}) == "unchanged"


def test_different_versions_have_different_tags():
    assert make_etag("a b") != make_etag("a_b")
    assert make_etag('"') != make_etag("~22~")
