"""Lists of entity tags (RFC 9110 section 13.1.2)."""

from __future__ import annotations

import pytest

from vodal.web.etags import listed_tags


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        (None, set()),
        ("", set()),
        ("*", {"*"}),
        ('"a"', {'"a"'}),
        ('W/"a", "b"', {'"a"', '"b"'}),
        ('"a,b","c"', {'"a,b"', '"c"'}),
        ('a, "b', set()),
    ],
)
def test_tags_are_read_with_their_quotes(text, tags):
    assert listed_tags(text) == tags
