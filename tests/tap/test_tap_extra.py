"""Columns that a site adds to ``ivoa.obscore``, as clients see them."""

from __future__ import annotations

import io
import warnings

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import pyvo
from astropy.io import fits
from astropy.io.votable import parse_single_table
from astropy.table import Table

from obscore.columns import COLUMN_NAMES, ObsCoreColumn
from obscore.tap.query import QueryRunner
from obscore.tap.settings import TapSettings
from obscore.testing import make_file, make_observation
from vodal.access.identity import ANONYMOUS
from vodal.access.rules import AccessRule, AccessRules
from vodal.regions import Circle
from vodal.tables.columns import Column
from vodal.tables.formats import FORMATS
from vodal.testing.server import serve

COUNT = 1100
"""More than a first batch, so that compiled code takes rows too."""


def added(name, datatype, **more):
    column = Column(name, datatype, "*" if datatype == "char" else None, **more)
    return ObsCoreColumn(column, mandatory=False, nullable=True)


ADDED = (
    added("airmass", "double", ucd="obs.airMass", description="At the start"),
    added("visit", "long"),
    added("good", "boolean"),
    added("night", "char"),
    added("seeing", "float", unit="arcsec", utype="x:y"),
)
NAMES = tuple(item.name for item in ADDED)


def value(name, n):
    if n % 5 == 4:
        return None
    return {"airmass": 1 + n / 7, "visit": 2**40 + n, "good": n % 2, "night": f"n{n % 9}",
            "seeing": n / 8}[name]  # fmt: skip


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def backend(request, make_backend):
    made = make_backend(request.param)
    writer = made.writer()
    writer.declare(ADDED)
    writer.write([
        make_file(
            f"file:///{n:04}.fits",
            make_observation(
                f"ivo://x/y?{n:04}", Circle(10.0, 5.0, 0.1), position=(10.0, 5.0),
                obs_id=f"{n:04}", obs_collection="hidden" if n % 3 else "open",
                **{name: value(name, n) for name in NAMES},
            ),
        )
        for n in range(COUNT)
    ])  # fmt: skip
    writer.close()
    return made


@pytest.fixture(scope="module")
def url(backend, request):
    from tests.tap.conftest import make_site

    with serve(make_site(backend)) as server:
        yield server.url


def ask(url, query, form, **more):
    data = {"LANG": "ADQL", "QUERY": query, "RESPONSEFORMAT": form, **more}
    answer = httpx.post(f"{url}/tap/sync", data=data, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.content


def table_of(form, data):
    """Read an answer by somebody else's code; gives the columns as lists, None for nothing."""
    match form.partition("/")[0]:
        case "votable" | "xml":
            table = parse_single_table(io.BytesIO(data)).to_table(use_names_over_ids=True)
        case "fits":
            with fits.open(io.BytesIO(data), logical_as_bytes=True) as opened:
                cells = zip(*opened[1].data.tolist(), strict=True)
                return dict(zip(opened[1].columns.names, cells, strict=True))
        case "parquet":
            return pq.read_table(io.BytesIO(data)).to_pydict()
        case "arrow":
            with pa.ipc.open_stream(io.BytesIO(data)) as reader:
                return reader.read_all().to_pydict()
        case _:
            table = Table.read(
                io.BytesIO(data), format=f"ascii.{'tab' if form == 'tsv' else 'csv'}"
            )
    return {name: [None if cell is np.ma.masked else cell for cell in table[name]]
            for name in table.colnames}  # fmt: skip


@pytest.mark.parametrize(
    "form", ["votable/b2", "votable/b", "votable/td", "csv", "tsv", "fits", "parquet", "arrow"]
)
def test_every_format_has_their_values(url, form):
    query = f"SELECT obs_id, {', '.join(NAMES)} FROM ivoa.obscore ORDER BY obs_id"
    found = table_of(form, ask(url, query, form))
    assert tuple(found) == ("obs_id", *NAMES)
    for n in range(COUNT):
        for name in NAMES:
            cell, wanted = found[name][n], value(name, n)
            if wanted is None:
                # What FITS has for the values that are not there: of a whole number TNULL.
                assert str(cell) in {"None", "nan", "", "b''", "--", str(-(2**63))}, (form, name, n)
            elif name == "good":
                assert str(cell).strip("b'")[0].lower() in ("t1" if wanted else "f0")
            else:
                assert str(cell) == wanted if name == "night" else cell == pytest.approx(wanted)


def test_the_other_formats_name_them(url):
    for item in FORMATS:
        data = ask(url, "SELECT TOP 3 * FROM ivoa.obscore", item.name).decode("utf-8", "replace")
        assert item.name == "csv/bare" or all(name in data for name in NAMES), item.name


def test_all_of_a_row_is_the_same_in_tap_and_sia(url):
    query = "SELECT * FROM ivoa.obscore WHERE 1=INTERSECTS(s_region, CIRCLE(10, 5, 1))"
    images = httpx.get(f"{url}/sia2/query", params={"POS": "CIRCLE 10 5 1", "MAXREC": 9}).content
    both = [parse_single_table(io.BytesIO(data)).to_table(use_names_over_ids=True)
            for data in (images, ask(url, query, "votable", MAXREC="9"))]  # fmt: skip
    for table in both:
        assert tuple(table.colnames) == COLUMN_NAMES + NAMES
        table.sort("obs_id")
    assert [str(both[0][name]) for name in NAMES] == [str(both[1][name]) for name in NAMES]
    (field,) = [
        one for one in parse_single_table(io.BytesIO(images)).fields if one.name == "seeing"
    ]
    assert (field.datatype, str(field.unit), field.utype) == ("float", "arcsec", "x:y")


@pytest.mark.usefixtures("pyvo_sockets")
def test_tables_and_tap_schema_describe_them(url):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        service = pyvo.dal.TAPService(f"{url}/tap")
        columns = service.tables["ivoa.obscore"].columns
    assert tuple(one.name for one in columns) == COLUMN_NAMES + NAMES
    told = columns[len(COLUMN_NAMES)]
    assert (told.datatype.content, told.ucd, told.description) == (
        "double", "obs.airMass", "At the start",
    )  # fmt: skip
    query = (
        "SELECT column_name FROM TAP_SCHEMA.columns WHERE table_name = 'ivoa.obscore' AND std = 0"
    )
    found = table_of("csv", ask(url, query, "csv"))
    assert set(NAMES) < set(found["column_name"])


def test_who_may_not_know_of_images_is_not_told_their_values(backend):
    hidden = AccessRule(data="groups", groups=("g",), metadata="hidden")
    rights = AccessRules(AccessRule(), {"hidden": hidden}).rights(ANONYMOUS)
    runner = QueryRunner(backend.engine(connections=1, wait_s=20.0, batch_rows=1000), TapSettings())

    def asked(query):
        stream = runner.run(query, 5000, "", rights=rights)
        return [tuple(row.values()) for batch in stream.batches for row in batch.to_pylist()]

    try:
        of_open = [value("visit", n) for n in range(0, COUNT, 3)]
        assert asked("SELECT visit FROM ivoa.obscore ORDER BY obs_id") == [
            (one,) for one in of_open
        ]
        most = max(one for one in of_open if one is not None)
        assert asked("SELECT MAX(visit), COUNT(good) FROM ivoa.obscore") == [
            (most, sum(one is not None for one in of_open))
        ]
        assert asked(f"SELECT night FROM ivoa.obscore WHERE visit = {value('visit', 1)}") == []
        assert {
            one for one, _ in asked("SELECT night, COUNT(*) FROM ivoa.obscore GROUP BY night")
        } == {value("night", n) for n in range(0, COUNT, 3)}
    finally:
        runner.close()
