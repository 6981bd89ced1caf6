"""Pages read back by lxml and by Chromium's rules for what is safe."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import html

sys.path.insert(0, str(Path(__file__).parent))
from table_cases import batch_of, failing_stream, tables, written

from vodal.tables.cells import conform, text
from vodal.tables.columns import Column
from vodal.tables.html import write_html


def read(data):
    return html.document_fromstring(data.decode())


def rows_of(page):
    return [[cell.text_content() for cell in row.findall("td")] for row in page.iter("tr")][1:]


@given(tables())
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_every_cell_is_shown_as_text(table):
    columns, values = table
    batch = batch_of(columns, values)
    page = read(written(write_html, columns, batch.slice(0, 2), batch.slice(2)))
    shown = [
        text(column, conform(column, array)).to_pylist()
        for column, array in zip(columns, batch.columns, strict=True)
    ]
    expected = [["" if cell is None else cell for cell in row] for row in zip(*shown, strict=True)]
    assert rows_of(page) == [list(row) for row in expected]


@given(st.text(max_size=20), st.sampled_from(["meta.ref.url", "meta.id"]))
@settings(max_examples=60, deadline=None)
def test_no_text_becomes_markup(word, ucd):
    columns = [Column(word, "char", "*", word, ucd, description=word)]
    value = word.encode("utf-8", "replace").decode()
    batch = batch_of(
        [Column("x", "char", "*")], [[value, f"http://a.b/{value}", f"'\"><b>{value}"]]
    )
    page = read(written(write_html, columns, batch, infos=[(word, word)]))
    allowed = {
        "html", "head", "meta", "title", "style", "body", "details", "summary", "dl", "dt", "dd",
        "table", "thead", "tbody", "tr", "th", "td", "div", "span", "a", "p",
    }  # fmt: skip
    assert {element.tag for element in page.iter()} <= allowed
    assert {name for element in page.iter("td", "a") for name in element.attrib} <= {"href", "rel"}
    assert all(link.get("href").startswith("http://a.b/") for link in page.iter("a"))


def test_links_can_be_followed_if_they_are_links():
    column = Column("access_url", "char", "*", ucd="meta.ref.url")
    cells = ["http://a.b/?x=1&y=2", "javascript:alert(1)", "HTTPS://no", "https://c.d", None]
    page = read(written(write_html, [column], batch_of([column], [cells])))
    assert [link.get("href") for link in page.iter("a")] == ["http://a.b/?x=1&y=2", "https://c.d"]
    plain = Column("note", "char", "*")
    page = read(written(write_html, [plain], batch_of([plain], [cells])))
    assert not list(page.iter("a"))


def test_long_texts_have_a_width_and_short_ones_stay_whole():
    columns = [
        Column("access_url", "char", "*", ucd="meta.ref.url"),
        Column("outline", "double", "*"),
    ]
    cells = [["http://a.b/c", None, "https://a.b/" + "x" * 40], [[1.5], None, [0.123456789] * 8]]
    page = read(written(write_html, columns, batch_of(columns, cells)))
    short, empty, long = list(page.iter("tr"))[1:]
    assert not list(short.iter("div"))
    assert not list(empty.iter("div"))
    assert [cell[0].tag for cell in long.findall("td")] == ["div", "div"]
    assert [link.get("href")[:12] for link in page.iter("a")] == ["http://a.b/c", "https://a.b/"]


def test_units_and_descriptions_are_shown_and_scripts_are_forbidden():
    columns = [Column("ra", "double", unit="deg", description="Right ascension")]
    page = read(written(write_html, columns, batch_of(columns, [[1.5]]), infos=[("QUERY", "a<b")]))
    (head,) = page.iter("th")
    assert head.text == "ra"
    assert head.find("span").text == "deg"
    assert head.get("title") == "Right ascension"
    assert page.find(".//dd").text == "a<b"
    (policy,) = page.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")
    assert "default-src 'none'" in policy
    assert page.find(".//p").text == "1 row"


def test_overflow_and_late_failures_are_told_under_the_table():
    columns = [Column("n", "int")]
    page = read(written(write_html, columns, batch_of(columns, [[1, 2]]), overflow=True))
    (said,) = page.iter("p")
    assert said.get("class") == "overflow"
    assert said.text.startswith("OVERFLOW: the table was cut off after 2 rows")
    stream = failing_stream()
    page = read(b"".join(write_html(stream)))
    assert rows_of(page) == [["1"], ["2"]]
    (said,) = page.iter("p")
    assert (said.get("class"), said.text) == ("error", "ERROR: division by zero")
    assert stream.failure is not None
