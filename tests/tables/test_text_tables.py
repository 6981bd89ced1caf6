"""CSV and TSV read back by the standard library; the formats a request may ask for."""

from __future__ import annotations

import csv
import io
import math

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from vodal.tables.columns import Column, ResultStream
from vodal.tables.csv import write_csv, write_tsv
from vodal.tables.formats import FORMATS

TEXT = Column("te,xt", "char", "*")
NUMBER = Column("x", "double")
WHOLE = Column("n", "long")
FLAG = Column("flag", "boolean")
ARRAY = Column("shape", "double", "*")
COLUMNS = (TEXT, NUMBER, WHOLE, FLAG, ARRAY)

CELL = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
    | st.just("\n"),
    max_size=8,
)
ROW = st.tuples(
    st.none() | CELL,
    st.none() | st.floats(),
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | st.booleans(),
    st.none() | st.lists(st.floats(allow_nan=False), min_size=1, max_size=3),
)


def batch_of(rows):
    columns = list(zip(*rows, strict=True)) or [[] for _ in COLUMNS]
    arrays = [pa.array(v, c.arrow_type()) for c, v in zip(COLUMNS, columns, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, names=[c.name for c in COLUMNS])


def stream_of(*batches):
    return ResultStream(COLUMNS, iter(batches))


def parsed(cells):
    text, number, whole, flag, array = cells
    return (
        text,
        float(number) if number else None,
        int(whole) if whole else None,
        {"": None, "true": True, "false": False}[flag],
        [float(part) for part in array.split()] if array else None,
    )


@given(st.lists(ROW, max_size=6))
@settings(deadline=None)
def test_csv_is_read_back_by_another_reader(rows):
    text = b"".join(write_csv(stream_of(batch_of(rows)))).decode()
    header, *lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert header == ["te,xt", "x", "n", "flag", "shape"]
    assert len(lines) == len(rows)
    for cells, row in zip(lines, rows, strict=True):
        expected = (row[0] or "", *row[1:])
        for got, value in zip(parsed(cells), expected, strict=True):
            nan = isinstance(value, float) and math.isnan(value)
            assert math.isnan(got) if nan else got == value


def test_csv_tells_null_from_empty_and_ends_lines_as_the_rfc_says():
    rows = [
        (None, 1.5, None, True, [1.0, 2.5]),
        ("", math.nan, 3, None, None),
        ('a"b', -math.inf, 0, False, []),
    ]
    data = b"".join(write_csv(stream_of(batch_of(rows))))
    assert data == (
        b'"te,xt",x,n,flag,shape\r\n,1.5,,true,1.0 2.5\r\n"",NaN,3,,\r\n"a""b",-Inf,0,false,\r\n'
    ).replace(b"1.0 2.5", b"1 2.5")


def test_tsv_has_no_tabs_or_line_ends_in_cells():
    rows = [("a\tb\r\nc", 1.0, 1, True, None)]
    data = b"".join(write_tsv(stream_of(batch_of(rows))))
    assert data == b"te,xt\tx\tn\tflag\tshape\na b c\t1\t1\ttrue\t\n"


def test_a_header_comes_without_rows():
    assert b"".join(write_csv(stream_of())) == b'"te,xt",x,n,flag,shape\r\n'
    assert b"".join(write_csv(stream_of(), header=False)) == b""


def test_a_closed_writer_closes_its_stream():
    closed = []

    def batches():
        try:
            while True:
                yield batch_of([("a", 1.0, 1, True, None)])
        finally:
            closed.append(True)

    writer = write_csv(ResultStream(COLUMNS, batches()))
    next(writer)
    next(writer)
    writer.close()
    assert closed == [True]


def test_every_format_writes():
    for item in FORMATS:
        data = b"".join(item.write(stream_of(batch_of([("a", 1.0, 1, True, None)]))))
        assert b"a" in data
