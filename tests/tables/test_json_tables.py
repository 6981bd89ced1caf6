"""JSON read back by the standard library."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

sys.path.insert(0, str(Path(__file__).parent))
from table_cases import batch_of, failing_stream, same, tables, written

from vodal.errors import QueryError
from vodal.tables.columns import Column
from vodal.tables.json import write_json


def unnamed(value, datatype):
    """Read a cell as the documentation says."""
    if isinstance(value, list):
        return [unnamed(element, datatype) for element in value]
    return float(value) if datatype in {"float", "double"} and value is not None else value


def read(data):
    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    return json.loads(data, parse_constant=refuse)


@given(tables())
@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_every_cell_is_read_back(table):
    columns, values = table
    batch = batch_of(columns, values)
    document = read(written(write_json, columns, batch.slice(0, 2), batch.slice(2)))
    assert [item["name"] for item in document["metadata"]] == [c.name for c in columns]
    assert len(document["data"]) == batch.num_rows
    for number, column in enumerate(columns):
        # The shortest text of a float reads as another double.
        expected = batch.column(number).to_pylist()
        if column.datatype in {"char", "unicodeChar"} and column.arraysize in {"5", "4*"}:
            size = int(column.arraysize.removesuffix("*"))
            expected = [value and value[:size] for value in expected]
        got = [unnamed(row[number], column.datatype) for row in document["data"]]
        if column.datatype == "float":
            got = batch_of([column], [got]).column(0).to_pylist()
        assert same(got, expected), column
    assert document["status"] == {"value": "OK", "message": ""}


def test_the_document_is_as_described():
    columns = [
        Column("x", "double", unit="deg", ucd="pos.eq.ra", description='the "first"'),
        Column("t", "char", "*"),
    ]
    values = [[1.5, float("nan"), float("inf"), -float("inf"), None], ['a"\\', "\n", "", None, "é"]]
    document = read(
        written(write_json, columns, batch_of(columns, values), infos=[("QUERY", 'SELECT "x"')])
    )
    assert document == {
        "metadata": [
            {
                "name": "x",
                "datatype": "double",
                "unit": "deg",
                "ucd": "pos.eq.ra",
                "description": 'the "first"',
            },
            {"name": "t", "datatype": "char", "arraysize": "*"},
        ],
        "info": [{"name": "QUERY", "value": 'SELECT "x"'}],
        "data": [
            [1.5, 'a"\\'],
            ["NaN", "\n"],
            ["Infinity", ""],
            ["-Infinity", None],
            [None, "é"],
        ],
        "status": {"value": "OK", "message": ""},
    }


def test_bits_and_complex_numbers():
    columns = [Column("b", "bit", "3"), Column("z", "doubleComplex"), Column("f", "bit")]
    batch = batch_of(columns, [[[True, False, True], None], [[1.0, -2.5], None], [True, None]])
    data = read(written(write_json, columns, batch))["data"]
    assert data == [[[1, 0, 1], [1, -2.5], 1], [None, None, None]]


@pytest.mark.parametrize("rows", [0, 3])
def test_overflow_is_a_member_at_the_end(rows):
    column = Column("n", "int")
    batches = [batch_of([column], [list(range(rows))])] if rows else []
    document = read(written(write_json, [column], *batches, overflow=True))
    assert document["data"] == [[n] for n in range(rows)]
    assert document["status"]["value"] == "OVERFLOW"
    assert f"cut off after {rows} rows" in document["status"]["message"]


def test_a_late_failure_is_a_member_at_the_end():
    stream = failing_stream()
    document = read(b"".join(write_json(stream)))
    assert document["data"] == [[1], [2]]
    assert document["status"] == {"value": "ERROR", "message": "division by zero"}
    assert isinstance(stream.failure, QueryError)
