"""VOTables read back by astropy, packed again by a slow twin, judged by STILTS."""

from __future__ import annotations

import io
import math
import re
import shutil
import struct
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from astropy.io import votable
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from lxml import etree

sys.path.insert(0, str(Path(__file__).parent))
from table_cases import batch_of, stream_of, tables, written

from vodal.errors import ArchiveError, QueryError
from vodal.links import InputParam, ServiceDescriptor
from vodal.tables.binary import NULL_NUMBERS, BinaryRows, for_binary, pack_rows
from vodal.tables.columns import Column, ResultStream, with_ids
from vodal.tables.votable import write_error, write_votable

SERIALIZATIONS = ["BINARY2", "BINARY", "TABLEDATA"]
NS = "{http://www.ivoa.net/xml/VOTable/v1.3}"
STRUCT = {
    "unsignedByte": "B", "short": "h", "int": "i", "long": "q", "float": "f", "double": "d",
}  # fmt: skip


def document(columns, *batches, **options):
    return written(write_votable, columns, *batches, **options)


def slow_scalar(datatype, value, nulls):
    if datatype == "boolean":
        return b"?" if value is None else b"T" if value else b"F"
    if value is None:
        value = math.nan if datatype in {"float", "double"} else nulls.get(datatype, 0)
    return struct.pack(">" + STRUCT[datatype], value)


def slow_text(column, value):
    value = value or ""
    size = column.arraysize or "1"
    if column.datatype == "char":
        data = bytes(ord(c) if ord(c) < 128 else ord("?") for c in value)
        width = 1
        if size != "*":
            data = data[: int(size.rstrip("*"))]
    else:
        data, width = value.encode("utf-16-be"), 2
        if size != "*":
            limit = int(size.rstrip("*"))
            data = data[: 2 * limit].decode("utf-16-be", "ignore").encode("utf-16-be")
    if size.endswith("*"):
        return struct.pack(">i", len(data) // width) + data
    return data.ljust(width * int(size), b"\0")


def slow_row(columns, row, serialization="BINARY2"):
    """Pack one row with `struct`, straight from VOTable 1.4 sections 5.3 and 5.4."""
    packed, nulls = b"", NULL_NUMBERS
    if serialization == "BINARY2":
        bits = "".join("1" if value is None else "0" for value in row)
        bits = bits.ljust((len(bits) + 7) // 8 * 8, "0")
        packed, nulls = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)), {}
    for column, value in zip(columns, row, strict=True):
        if column.datatype in {"char", "unicodeChar"}:
            packed += slow_text(column, value)
        elif column.arraysize is None:
            packed += slow_scalar(column.datatype, value, nulls)
        elif column.arraysize.endswith("*"):
            cells = value or []
            packed += struct.pack(">i", len(cells))
            packed += b"".join(slow_scalar(column.datatype, v, nulls) for v in cells)
        else:
            size = math.prod(int(p) for p in column.arraysize.split("x"))
            cells = [None] * size if value is None else value
            packed += b"".join(slow_scalar(column.datatype, v, nulls) for v in cells)
    return packed


@pytest.mark.parametrize("serialization", ["BINARY", "BINARY2"])
@given(table=tables())
@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_fast_packing_equals_the_slow_twin(serialization, table):
    columns, values = table
    batch = batch_of(columns, values)
    if serialization == "BINARY":
        columns = [for_binary(column) for column in columns]
        assume(not any(holds_null_number(c, v) for c, v in zip(columns, values, strict=True)))
    rows = BinaryRows(columns, serialization)
    slow = [slow_row(columns, row, serialization) for row in zip(*values, strict=True)]
    assert bytes(rows.pack(batch)) == b"".join(slow)
    # Few rows are packed in another way than many.
    if batch.num_rows:
        assert bytes(rows._pack_many(batch)) == b"".join(slow)
    # A slice has offsets into the buffers of the whole.
    if batch.num_rows > 2:
        part = batch.slice(1, batch.num_rows - 2)
        assert bytes(rows.pack(part)) == b"".join(slow[1:-1])


def holds_null_number(column, values):
    number = NULL_NUMBERS.get(column.datatype)
    return any(number in (v if isinstance(v, list) else [v]) for v in values if v is not None)


def read(data):
    with warnings.catch_warnings():
        # Bounded and single-character columns make astropy talk; wrong structure raises.
        warnings.simplefilter("ignore")
        return votable.parse(io.BytesIO(data), verify="exception").get_first_table()


def same(column, got, masked, value):
    if value is None:
        if column.datatype in {"char", "unicodeChar"}:
            return got in {"", None}
        if column.datatype in {"float", "double"} and column.arraysize is None:
            return bool(masked) or math.isnan(got)
        return True if column.arraysize is not None else bool(masked)
    if column.datatype in {"char", "unicodeChar"}:
        return got == value
    if column.arraysize is not None:
        # Text is shortest for the declared type, which astropy reads wider in arrays that vary.
        kind = np.float32 if column.datatype == "float" else np.float64
        return np.array_equal(
            np.ma.getdata(got).ravel().astype(kind), np.array(value, kind), equal_nan=True
        )
    if isinstance(value, float):
        return bool(masked) or math.isnan(got) if math.isnan(value) else got == value
    return got == value


@pytest.mark.parametrize("serialization", SERIALIZATIONS)
@given(table=tables())
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_astropy_reads_back_what_was_written(serialization, table):
    columns, values = table
    # Bounded text and single characters are cut by design; tested by the twin.
    columns = [
        replace(c, arraysize="*") if c.datatype in {"char", "unicodeChar"} else c for c in columns
    ]
    if serialization == "BINARY":
        assume(not any(holds_null_number(c, v) for c, v in zip(columns, values, strict=True)))
    data = document(columns, batch_of(columns, values), serialization=serialization)
    table = read(data)
    assert [f.name for f in table.fields] == [c.name for c in columns]
    for number, column in enumerate(columns):
        name = table.fields[number].ID
        for row, given_value in enumerate(values[number]):
            value = given_value
            cell = table.array[name][row]
            masked = table.array.mask[name][row] if column.arraysize is None else False
            if serialization == "TABLEDATA" and isinstance(value, str):
                # This reader drops blanks around text; what XML carries is right.
                cell, value = cell.strip(), value.strip()
            assert same(column, cell, masked, value), (column, cell, value)


@given(st.text(max_size=12))
@settings(deadline=None)
def test_no_text_can_break_the_document(text):
    column = Column("<x>&\"'", "char", "*", description=text, unit=text, ucd=text)
    service = ServiceDescriptor("s-1", text, text, text, (InputParam(text, value=text),), text)
    value = text.encode("utf-8", "replace").decode()
    for serialization in SERIALIZATIONS:
        data = document(
            [column],
            batch_of([column], [[value]]),
            serialization=serialization,
            resources=[service],
            infos=[("query", text)],
        )
        etree.fromstring(data)
    etree.fromstring(write_error(text, infos=[(text, text)]))


def test_control_characters_become_question_marks_in_both_forms():
    column = Column("note", "char", "*")
    batch = batch_of([column], [["a\0b\x0b\x1b\uffff", "tab\tnl\ncr\rx", "é\ufffd"]])
    for serialization in SERIALIZATIONS:
        table = read(document([column], batch, serialization=serialization))
        assert list(table.array["note"]) == ["a?b???", "tab\tnl\ncr\rx", "é\ufffd"]


def test_text_beyond_ascii_is_declared_unicode_and_read_back():
    columns = [Column("plain", "char", "*"), Column("name", "char", "*")]
    batch = batch_of(columns, [["a", "b"], ["жuk", "\U0001f52d"]])
    table = read(document(columns, batch))
    assert [f.datatype for f in table.fields] == ["char", "unicodeChar"]
    assert list(table.array["name"]) == ["жuk", "\U0001f52d"]


@pytest.mark.parametrize("serialization", SERIALIZATIONS)
def test_late_text_beyond_ascii_keeps_the_table_readable(serialization):
    column = Column("name", "char", "*")
    first, second = batch_of([column], [["Deneb"]]), batch_of([column], [["жuk", "x"]])
    data = document([column], first, second, serialization=serialization)
    kept = serialization == "TABLEDATA"
    expected = "жuk" if kept else "?uk"
    assert list(read(data).array["name"]) == ["Deneb", expected, "x"]
    warned = b'name="WARNING" value="characters beyond ASCII in the column name were' in data
    assert warned != kept


def test_a_number_that_binary_cannot_tell_from_null_is_refused():
    columns = [Column("ok", "short"), Column("n", "short", "*")]
    batch = batch_of(columns, [[1, None], [[1, -(2**15)], None]])
    with pytest.raises(ArchiveError, match="column n holds -32768"):
        BinaryRows(columns, "BINARY").pack(batch)
    assert "votable/b2" in _statuses(document(columns, batch, serialization="BINARY"))[-1][1]


def test_binary_tells_nulls_of_every_type():
    columns = [Column(name, name) for name in ("unsignedByte", "short", "int", "long", "boolean")]
    values = [[255, None], [1, None], [1, None], [1, None], [True, None]]
    table = read(document(columns, batch_of(columns, values), serialization="BINARY"))
    for column in columns:
        assert list(table.array.mask[column.name]) == [False, True], column.name
    assert table.array["unsignedByte"][0] == 255


def _statuses(data):
    """Give value and text of each QUERY_STATUS and whether it comes before the TABLE."""
    resource = etree.fromstring(data).find(f"{NS}RESOURCE[@type='results']")
    children = list(resource)
    table = next((i for i, c in enumerate(children) if c.tag == f"{NS}TABLE"), len(children))
    return [
        (c.get("value"), c.text, i < table)
        for i, c in enumerate(children)
        if c.tag == f"{NS}INFO" and c.get("name") == "QUERY_STATUS"
    ]


@pytest.mark.parametrize("serialization", SERIALIZATIONS)
def test_overflow_is_told_after_the_table(serialization):
    column = Column("n", "int")
    result = stream_of([column], batch_of([column], [[1, 2]]), overflow=True)
    data = b"".join(write_votable(result, serialization=serialization))
    ok, late = _statuses(data)
    assert ok == ("OK", None, True)
    assert (late[0], late[2]) == ("OVERFLOW", False)
    assert "cut off after 2 rows" in late[1]


@pytest.mark.parametrize("serialization", SERIALIZATIONS)
@pytest.mark.parametrize("error", [QueryError("division by zero"), RuntimeError("secret")])
def test_a_late_failure_is_told_after_the_rows(serialization, error, caplog):
    column = Column("n", "int")

    def batches():
        yield batch_of([column], [[1, 2, 3, 4]])
        raise error

    data = b"".join(write_votable(ResultStream((column,), batches()), serialization=serialization))
    assert list(read(data).array["n"]) == [1, 2, 3, 4]
    (_, late) = _statuses(data)
    assert late[0] == "ERROR"
    assert late[2] is False
    assert ("division by zero" in late[1]) == isinstance(error, QueryError)
    assert "secret" not in late[1]


def test_a_failure_before_the_first_batch_is_raised():
    def batches():
        raise QueryError("no such column")
        yield

    with pytest.raises(QueryError):
        next(write_votable(ResultStream((Column("n", "int"),), batches())))


@pytest.mark.parametrize("serialization", SERIALIZATIONS)
def test_a_closed_writer_closes_its_stream(serialization):
    column = Column("n", "int")
    closed = []

    def batches():
        try:
            while True:
                yield batch_of([column], [[1, 2]])
        finally:
            closed.append(True)

    writer = write_votable(ResultStream((column,), batches()), serialization=serialization)
    for _ in range(5):
        next(writer)
    writer.close()
    assert closed == [True]


@pytest.mark.parametrize("serialization", SERIALIZATIONS)
def test_a_result_without_rows_is_still_a_table(serialization):
    column = Column("n", "int")
    table = read(document([column], serialization=serialization))
    assert len(table.array) == 0
    assert table.fields[0].name == "n"


def test_a_value_too_large_for_its_column_fails_clearly():
    column = Column("n", "short")
    batch = pa.RecordBatch.from_arrays([pa.array([1, 70_000])], names=["n"])
    with pytest.raises(pa.ArrowInvalid, match="70000"):
        pack_rows([column], batch)
    assert _statuses(document([column], batch))[-1][0] == "ERROR"


def test_other_arrow_types_are_cast():
    columns = [Column("name", "char", "*"), Column("n", "int"), Column("x", "double")]
    batch = pa.RecordBatch.from_arrays(
        [
            pa.array(["a", "b", "a"]).dictionary_encode(),
            pa.array([1, None, 3], pa.int64()),
            pa.nulls(3),
        ],
        names=["name", "n", "x"],
    )
    table = read(document(columns, batch))
    assert list(table.array["name"]) == ["a", "b", "a"]
    assert table.array["n"].tolist() == [1, None, 3]


def test_special_numbers_are_spelled_as_votable_wants():
    column = Column("x", "double")
    batch = batch_of([column], [[math.nan, math.inf, -math.inf, None, 0.1, 1e300]])
    data = document([column], batch, serialization="TABLEDATA").decode()
    assert re.findall("<TD>(.*?)</TD>", data) == ["NaN", "+Inf", "-Inf", "", "0.1", "1e+300"]


def test_long_tables_are_written_in_slices():
    columns = [Column("n", "long"), Column("name", "char", "*")]
    numbers = np.arange(300_001)
    batch = batch_of(columns, [numbers, [f"name {n}" for n in numbers]])
    pieces = list(write_votable(stream_of(columns, batch)))
    assert max(map(len, pieces)) < 8_000_000
    assert len(pieces) > 4
    table = read(b"".join(pieces))
    assert np.array_equal(table.array["n"], numbers)
    assert table.array["name"][-1] == "name 300000"


def test_ids_are_unique_whatever_the_names():
    names = ["a b", "a_b", "a-b", "1st", "", "ä", "a_b_2"]
    columns = with_ids([Column(name, "int") for name in names] + [Column("x", "int", id="a_b")])
    ids = [column.id for column in columns]
    assert len(set(ids)) == len(ids)
    assert ids[-1] == "a_b"
    assert all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.]*", name) for name in ids)
    assert with_ids(columns) == columns


def test_a_descriptor_never_shares_its_id_with_a_field():
    column = Column("n", "int", id="links-1")
    service = ServiceDescriptor("links-1", "links", "http://a/links", "ivo://x", ())
    data = document([column], resources=[service, service])
    ids = re.findall(r'ID="([^"]+)"', data.decode())
    assert ids == ["links-1", "links-1-2", "links-1-3"]


def obscore_columns():
    from obscore.columns import COLUMNS

    return [item.column for item in COLUMNS]


def full_document(serialization):
    columns = obscore_columns()
    values = []
    for column in columns:
        match column.arrow_type():
            case _ if column.xtype == "timestamp":
                values.append(["2026-01-02T03:04:05.678", "2026-01-02", None])
            case kind if kind == pa.string():
                values.append(["POLYGON ICRS 1 2 3 4 5 6", "a<b>&\"c'", None])
            case kind if pa.types.is_floating(kind):
                values.append([1.5, math.nan, None])
            case _:
                values.append([1, -1, None])
    circle = InputParam(
        "CIRCLE", "double", "3", ucd="pos.outline;obs", unit="deg", xtype="circle",
        maximum="10 20 0.5", description="Circle to cut",
    )  # fmt: skip
    service = ServiceDescriptor(
        "soda-sync",
        "cutout",
        "http://localhost/soda/sync?a=1&b=2",
        "ivo://ivoa.net/std/SODA#sync-1.0",
        (InputParam("ID", ref="obs_publisher_did", ucd="meta.id;meta.main"), circle,
         InputParam("POL", options=("I", "Q"), ucd="phys.polarization")),
        description="Cuts <images>",
        content_type="image/fits",
        resource_identifier="ivo://x/soda",
    )  # fmt: skip
    return document(
        columns,
        batch_of(columns, values),
        serialization=serialization,
        resources=[service],
        infos=[("QUERY", "SELECT * FROM ivoa.obscore WHERE s_ra < 3")],
    )


@pytest.mark.parametrize("serialization", SERIALIZATIONS)
def test_obscore_columns_keep_their_metadata(serialization):
    table = read(full_document(serialization))
    for field, column in zip(table.fields, obscore_columns(), strict=True):
        got = (field.name, field.ID, field.datatype, field.ucd, field.utype, field.xtype)
        assert got == (
            column.name, column.name, column.datatype, column.ucd, column.utype, column.xtype,
        )  # fmt: skip
        assert str(field.unit or "") == (column.unit or "")
        assert field.description == column.description
    assert next(f for f in table.fields if f.name == "s_ra").ref == "frame-icrs"
    assert next(f for f in table.fields if f.name == "t_min").ref == "frame-mjd"


@pytest.mark.stilts
@pytest.mark.parametrize("serialization", SERIALIZATIONS)
def test_stilts_finds_no_fault(serialization, tmp_path):
    stilts = shutil.which("stilts")
    if stilts is None:
        pytest.skip("the stilts command is not installed")
    path = tmp_path / "table.vot"
    path.write_bytes(full_document(serialization))
    run = subprocess.run(
        [stilts, "votlint", "ucd=true", "unit=true", f"votable={path}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0
    assert run.stdout.strip() == ""
    assert run.stderr.strip() == ""


@pytest.mark.stilts
def test_stilts_finds_no_fault_in_an_error_document(tmp_path):
    stilts = shutil.which("stilts")
    if stilts is None:
        pytest.skip("the stilts command is not installed")
    path = tmp_path / "error.vot"
    path.write_bytes(write_error("no such <table>", infos=[("QUERY", "SELECT")]))
    run = subprocess.run(
        [stilts, "votlint", f"votable={path}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0
    assert run.stdout + run.stderr == ""
