"""Arrow streams and Parquet files read back by Arrow's own readers, and VOParquet by astropy."""

from __future__ import annotations

import io
import sys
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from astropy.io import votable
from astropy.table import Table
from hypothesis import HealthCheck, given, settings
from pyarrow import parquet

sys.path.insert(0, str(Path(__file__).parent))
from table_cases import batch_of, failing_stream, same, stilts, stream_of, tables, written

from vodal.errors import QueryError
from vodal.links import ServiceDescriptor
from vodal.tables.arrow import write_arrow
from vodal.tables.columns import Column, ResultStream
from vodal.tables.parquet import write_parquet

DESCRIBED = (
    Column("ra", "double", None, "deg", "pos.eq.ra", "o:c1", None, "Right <ascension>"),
    Column("name", "char", "*", ucd="meta.id"),
    Column("name", "char", "*"),
)
VALUES = [[1.5, None], ["a", None], ["жuk", "x"]]
SERVICE = ServiceDescriptor("s-1", "links", "http://a/links", "ivo://x", ())


def read_arrow(data):
    """Give the table and the metadata of the last batch."""
    reader = pa.ipc.open_stream(data)
    batches, said = [], None
    while True:
        try:
            batch, said = reader.read_next_batch_with_custom_metadata()
        except StopIteration:
            return pa.Table.from_batches(batches, reader.schema), dict(said or {})
        batches.append(batch)


def read_parquet(data):
    file = io.BytesIO(data)
    return parquet.read_table(file), parquet.read_metadata(file).metadata


@pytest.mark.parametrize(
    ("write", "read"), [(write_arrow, read_arrow), (write_parquet, read_parquet)]
)
@given(table=tables())
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_every_cell_is_read_back(write, read, table):
    columns, values = table
    batch = batch_of(columns, values)
    got, _ = read(written(write, columns, batch.slice(0, 2), batch.slice(2)))
    assert got.schema.names == [column.name for column in columns]
    assert got.schema.types == [column.arrow_type() for column in columns]
    for number in range(len(columns)):
        assert same(got.column(number).to_pylist(), batch.column(number).to_pylist())


@pytest.mark.parametrize(
    ("write", "read"), [(write_arrow, read_arrow), (write_parquet, read_parquet)]
)
def test_fields_carry_their_metadata_and_their_names_differ(write, read):
    table, _ = read(written(write, DESCRIBED, batch_of(DESCRIBED, VALUES)))
    assert table.schema.names == ["ra", "name", "name_2"]
    assert table.schema.field("ra").metadata == {
        b"datatype": b"double",
        b"unit": b"deg",
        b"ucd": b"pos.eq.ra",
        b"utype": b"o:c1",
        b"description": b"Right <ascension>",
    }
    assert table.schema.field("name").metadata[b"arraysize"] == b"*"


def test_an_arrow_stream_ends_with_its_status():
    column = Column("n", "int")
    batch = batch_of([column], [[1, 2]])
    table, said = read_arrow(written(write_arrow, [column], batch, infos=[("QUERY", "SELECT n")]))
    assert table.column("n").to_pylist() == [1, 2]
    assert table.schema.metadata == {b"QUERY": b"SELECT n"}
    assert said[b"QUERY_STATUS"] == b"OK"
    _, said = read_arrow(written(write_arrow, [column], batch, overflow=True))
    assert said[b"QUERY_STATUS"] == b"OVERFLOW"
    assert b"after 2 rows" in said[b"QUERY_STATUS_MESSAGE"]


@pytest.mark.parametrize("overflow", [False, True])
def test_a_parquet_file_tells_its_status_and_carries_a_votable(overflow, tmp_path):
    data = written(
        write_parquet,
        DESCRIBED,
        batch_of(DESCRIBED, VALUES),
        overflow=overflow,
        resources=[SERVICE],
        infos=[("QUERY", "SELECT <n>")],
    )
    table, metadata = read_parquet(data)
    status = b"OVERFLOW" if overflow else b"OK"
    assert metadata[b"QUERY_STATUS"] == status
    assert table.schema.metadata[b"QUERY_STATUS"] == status
    assert metadata[b"IVOA.VOTable-Parquet.version"] == b"1.0"
    document = metadata[b"IVOA.VOTable-Parquet.content"]
    assert (b"OVERFLOW" in document) == overflow
    with warnings.catch_warnings():
        # Text that is described as bounded makes astropy talk; wrong structure raises.
        warnings.simplefilter("ignore")
        read = votable.parse(io.BytesIO(document), verify="exception")
    first = read.get_first_table()
    assert [field.name for field in first.fields] == table.schema.names
    assert [field.datatype for field in first.fields] == ["double", "char", "char"]
    assert first.fields[0].unit == "deg"
    assert first.fields[0].description == "Right <ascension>"
    assert {i.name: i.value for i in read.resources[0].infos}["QUERY"] == "SELECT <n>"
    assert read.resources[1].utype == "adhoc:service"
    path = tmp_path / "footer.vot"
    path.write_bytes(document)
    assert stilts("votlint", f"votable={path}") == ""


def test_astropy_reads_voparquet(tmp_path):
    pytest.importorskip("pandas", reason="astropy reads Parquet through pandas")
    columns = [*DESCRIBED, Column("n", "int"), Column("shape", "double", "*")]
    values = [*VALUES, [7, 8], [[1.0, 2.0], [3.0]]]
    path = tmp_path / "result.parquet"
    path.write_bytes(written(write_parquet, columns, batch_of(columns, values)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = Table.read(path, format="parquet.votable")
    assert table["ra"].unit == "deg"
    assert table["ra"].description == "Right <ascension>"
    assert list(table["name_2"]) == ["жuk", "x"]
    assert list(table["n"]) == [7, 8]


def test_rows_are_grouped_and_sent_as_they_come():
    columns = [Column("n", "long"), Column("name", "char", "*")]
    numbers = np.arange(250_000)
    batch = batch_of(columns, [numbers, [f"name {n}" for n in numbers]])
    pieces = list(write_parquet(stream_of(columns, batch)))
    file = io.BytesIO(b"".join(pieces))
    metadata = parquet.read_metadata(file)
    groups = [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)]
    assert len(groups) > 1
    assert all(100_000 <= rows < 150_000 for rows in groups[:-1])
    assert np.array_equal(parquet.read_table(file).column("n").to_numpy(), numbers)
    assert pieces[0] == b"PAR1"
    assert len([piece for piece in pieces if len(piece) > 10_000]) == len(groups)


@pytest.mark.parametrize("write", [write_arrow, write_parquet])
def test_a_late_failure_is_raised_and_leaves_no_whole_file(write):
    pieces = []
    with pytest.raises(QueryError, match="division by zero"):
        pieces.extend(write(failing_stream()))
    if write is write_parquet:
        with pytest.raises(pa.ArrowInvalid):
            read_parquet(b"".join(pieces))


@pytest.mark.parametrize("write", [write_arrow, write_parquet])
def test_a_closed_writer_closes_its_stream(write):
    column = Column("n", "int")
    closed = []

    def batches():
        try:
            while True:
                yield batch_of([column], [list(range(60_000))])
        finally:
            closed.append(True)

    writer = write(ResultStream((column,), batches()))
    for _ in range(3):
        next(writer)
    writer.close()
    assert closed == [True]
