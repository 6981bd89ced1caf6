"""Formats of answers as clients meet them: names, types, files, and what each reader finds."""

from __future__ import annotations

import csv
import io
import xml.etree.ElementTree as ET

import httpx
import pyarrow as pa
import pytest
from astropy.io import fits
from astropy.io.votable import parse_single_table
from lxml import html
from pyarrow import parquet

from vodal.tables.formats import FORMATS

QUERY = "SELECT TOP 7 obs_id, s_ra, access_estsize FROM ivoa.obscore ORDER BY obs_id"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def ask(tap, query: str = QUERY, *, accept: str | None = None, **given: str) -> httpx.Response:
    headers = {} if accept is None else {"Accept": accept}
    params = {"LANG": "ADQL", "QUERY": query, **given}
    return httpx.get(f"{tap.url}/sync", params=params, headers=headers, timeout=30)


def rows_of(name: str, data: bytes) -> int:
    """Count the rows as a reader of the format does."""
    match name.partition("/")[0]:
        case "votable" | "xml":
            return len(parse_single_table(io.BytesIO(data)).to_table())
        case "csv":
            return len(list(csv.reader(io.StringIO(data.decode())))) - (name == "csv")
        case "tsv":
            return len(data.splitlines()) - 1
        case "fits":
            with fits.open(io.BytesIO(data)) as file:
                return len(file[1].data)
        case "json":
            return len(httpx.Response(200, content=data).json()["data"])
        case "parquet":
            return parquet.read_table(io.BytesIO(data)).num_rows
        case "arrow":
            return pa.ipc.open_stream(data).read_all().num_rows
        case "html":
            return len(html.fromstring(data).findall(".//tbody/tr"))
        case _:
            return len([line for line in data.splitlines()[3:] if not line.startswith(b"#")])


def declared(tap) -> list[tuple[str, str, str | None]]:
    """Give each name and media type that the capabilities list, with the format's media type."""
    document = ET.fromstring(httpx.get(f"{tap.url}/capabilities").content)
    found = []
    for item in document.iter("outputFormat"):
        mime = item.findtext("mime")
        found += [(name.text, mime, item.get("ivo-id")) for name in item if name.text]
    return found


def test_every_declared_name_and_media_type_is_answered(tap):
    names = declared(tap)
    assert {mime for _, mime, _ in names} == {item.media_type for item in FORMATS}
    assert len(names) > 2 * len(FORMATS)
    by_type = {item.media_type: item for item in FORMATS}
    short = {item.name for item in FORMATS}
    for name, mime, _ in names:
        answer = ask(tap, RESPONSEFORMAT=name)
        assert answer.status_code == 200, (name, answer.text)
        item = by_type[mime]
        asked = name if "/" in name and name not in short else mime
        told = answer.headers["content-type"].replace(" ", "")
        assert told.partition(";")[0] == asked.partition(";")[0], name
        assert not set(mime.split(";")[1:]) - set(told.split(";")), name
        assert f'filename="result.{item.extension}"' in answer.headers["content-disposition"]
        assert rows_of(item.name, answer.content) == 7, name


@pytest.mark.parametrize(
    ("serialization", "tag"),
    [("binary2", "BINARY2"), ("binary", "BINARY"), ("td", "TABLEDATA")],
)
def test_votables_are_serialized_as_their_ivo_id_says(tap, serialization, tag):
    ivo_id = f"ivo://ivoa.net/std/TAPRegExt#output-votable-{serialization}"
    mimes = {mime for _, mime, found in declared(tap) if found == ivo_id}
    assert mimes
    for mime in mimes:
        assert f"<{tag}>" in ask(tap, RESPONSEFORMAT=mime).text


def test_parameters_of_media_types_keep_their_meaning(tap):
    for asked, begun in (
        ("text/csv", "obs_id,s_ra"),
        ('text/csv; charset="utf-8"; header=present', "obs_id,s_ra"),
    ):
        answer = ask(tap, FORMAT=asked)
        assert answer.headers["content-type"].startswith("text/csv")
        assert answer.text.startswith(begun)
    assert not ask(tap, FORMAT="text/csv;header=absent").text.startswith("obs_id")


@pytest.mark.parametrize("name", ["RESPONSEFORMAT", "FORMAT"])
def test_a_format_that_is_not_there_is_an_error_that_names_those_that_are(tap, name):
    answer = ask(tap, **{name: "application/x-excel"})
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("application/x-votable+xml")
    assert 'value="ERROR"' in answer.text
    assert f"{name} 'application/x-excel' is not available" in answer.text
    for item in FORMATS:
        assert item.name in answer.text


def test_a_browser_gets_pages_and_other_clients_tables(tap):
    page = ask(tap, accept=BROWSER)
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["content-disposition"].startswith("inline")
    assert rows_of("html", page.content) == 7
    assert "Accept" in page.headers["vary"].split(", ")
    for accept in (None, "*/*", "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"):
        answer = ask(tap, accept=accept)
        assert answer.headers["content-type"] == "application/x-votable+xml"
        assert "Accept" in answer.headers["vary"].split(", ")
    assert ask(tap, accept=BROWSER, FORMAT="csv").text.startswith("obs_id,")
    assert "data" in ask(tap, accept="application/json").json()


def test_a_browser_gets_errors_on_a_page(tap):
    answer = ask(tap, "SELECT <b>x</b> FROM ivoa.obscore", accept=BROWSER)
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("text/html")
    page = html.fromstring(answer.content)
    (told,) = page.find_class("error")
    assert "line 1" in told.text_content()
    assert page.find(".//b") is None
