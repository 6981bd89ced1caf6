"""The page on formats names what the code has."""

from __future__ import annotations

import re
from pathlib import Path

from vodal.tables.formats import FORMATS
from vodal.web.encoding import CODINGS

PAGE = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")


def test_the_table_of_formats_is_that_of_the_code():
    rows = re.findall(r"^\| `(\S+)` \| `(\S+)` \| (.*?) ?\| `\.(\w+)` \|", PAGE, re.MULTILINE)
    assert [(name, kind, tuple(re.findall("`([^`]+)`", others)), extension)
            for name, kind, others, extension in rows] == [
        (item.name, item.media_type, item.aliases, item.extension) for item in FORMATS
    ]  # fmt: skip


def test_every_coding_is_on_the_page():
    for coding in CODINGS:
        assert f"`{coding}`" in PAGE
