"""Identifiers survive the path of a URL, whatever they hold."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from datalink.names import decode_segment, encode_segment

NASTY = st.text(
    st.sampled_from("/:?#%&=+;~.\\ \"'<>{}|^`*@é\U0001f52d\0\n")
    | st.characters(exclude_categories=["Cs"]),
    min_size=1,
    max_size=30,
)


@given(NASTY)
@example("..")
@example(".")
@example("ivo://a/b?c#d%2F&e=+f")
@settings(max_examples=300)
def test_each_identifier_has_one_name_of_unreserved_characters(did):
    segment = encode_segment(did)
    assert re.fullmatch(r"[A-Za-z0-9._~-]+", segment)
    assert decode_segment(segment) == did
    # Nothing that normalises URLs changes it.
    assert quote(segment, safe="") == segment
    assert urlsplit(f"http://a/files/{segment}").path == f"/files/{segment}"
    assert httpx.URL(f"http://a/files/{segment}").raw_path == f"/files/{segment}".encode()


@given(st.text("~.aA09_-%/2EF", max_size=12))
def test_what_is_no_name_decodes_to_nothing_or_to_its_one_identifier(segment):
    did = decode_segment(segment)
    assert did is None or encode_segment(did) == segment


@pytest.mark.parametrize("segment", ["", "..", "~2", "~2f", "~41", "a/b", "~FF", "a%2Fb", "a b"])
def test_other_spellings_are_no_names(segment):
    assert decode_segment(segment) is None
