"""Uploaded tables in PostgreSQL: temporary ones, gone with the transaction of their query.

They are filled by COPY. What users call their tables and columns stays out of the SQL: the columns
are ``c1``, ``c2`` ..., with a column of shapes and one of caps, which has the spatial index, where
the query asks for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from psycopg.pq import TransactionStatus

from obscore.adql.schema import ColumnDef, SpatialIndex, TableDef
from obscore.adql.types import Kind, kind_of
from obscore.store.places import Place, place_of
from obscore.store.postgres.deadline import Deadline
from obscore.store.postgres.pool import Connection
from vodal.tables.columns import Column
from vodal.tables.uploads import UploadedTable

__all__ = ["declare_uploads", "loaded"]

_ROWS = 10_000
"""Sent at once."""

_CSV = pa.csv.WriteOptions(include_header=False, quoting_style="all_valid")
"""What has no quotes is NULL to COPY."""

_TYPES = {Kind.INTEGER: "bigint", Kind.REAL: "float8", Kind.TEXT: 'text COLLATE "C"'}


def _name(number: int) -> str:
    return f"tap_upload_{number}"


def _shape(name: str) -> str:
    return f"{name}_shape"


def _cap(name: str) -> str:
    return f"{name}_cap"


def declare_uploads(uploads: Sequence[UploadedTable]) -> tuple[TableDef, ...]:
    """Say how uploaded tables are named in SQL."""
    return tuple(_declared(_name(number), table) for number, table in enumerate(uploads, 1))


def _declared(name: str, table: UploadedTable) -> TableDef:
    place = place_of(table.columns)
    spatial = None
    if place.region is not None or place.point is not None:
        ra, dec = "", ""
        if place.point is not None:
            ra, dec = (table.columns[at].name for at in place.point)
        spatial = SpatialIndex(
            region_column="" if place.region is None else table.columns[place.region].name,
            region_sql=_shape(name),
            point_columns=(ra, dec),
            rtree="",
            key=_cap(name),
        )
    return TableDef(
        schema="TAP_UPLOAD",
        name=table.name,
        physical=name,
        columns=tuple(
            ColumnDef(column, sql=f'{{alias}}."c{at}"', renamed=True)
            for at, column in enumerate(table.columns, 1)
        ),
        description="Uploaded with the query",
        spatial=spatial,
    )


@contextmanager
def loaded(
    connection: Connection,
    deadline: Deadline,
    uploads: Sequence[UploadedTable],
    sql: str,
    *,
    filled: bool = True,
) -> Iterator[None]:
    """Load tables for a query that runs within the block, in a transaction of its own.

    Parameters
    ----------
    connection
        Outside of a transaction.
    deadline
        Of the query, for which the loading counts.
    uploads
        The tables.
    sql
        The query: shapes are read and an index is made only where it asks for them.
    filled
        Whether the tables have their rows; to plan a query, they need none.

    Raises
    ------
    DeadlineError, ServiceUnavailable
        If the time is over, or the query was cancelled.
    """
    if not uploads:
        yield
        return
    try:
        with deadline.running():
            connection.execute("BEGIN READ WRITE")
        for number, table in enumerate(uploads, 1):
            _load(connection, deadline, _name(number), table, sql, filled=filled)
        with deadline.running():
            connection.execute("SET TRANSACTION READ ONLY")
        yield
    finally:
        if connection.info.transaction_status in {
            TransactionStatus.INTRANS,
            TransactionStatus.INERROR,
        }:
            connection.rollback()


def _load(
    connection: Connection,
    deadline: Deadline,
    name: str,
    table: UploadedTable,
    sql: str,
    *,
    filled: bool,
) -> None:
    place = place_of(table.columns)
    kinds = [f"c{at} {_type_of(column)}" for at, column in enumerate(table.columns, 1)]
    if _shape(name) in sql:
        kinds.append(_made(_shape(name), "float8[]", _shape_sql(table.columns, place)))
    if _cap(name) in sql:
        kinds.append(_made(_cap(name), "scircle", _cap_sql(table.columns, place)))
    with deadline.running():
        connection.execute(
            f"CREATE TEMPORARY TABLE {name} ({', '.join(kinds)}) ON COMMIT DROP".encode()
        )
        if filled:
            _fill(connection, name, table)
        if _cap(name) in sql:
            connection.execute(f"CREATE INDEX ON {name} USING gist ({_cap(name)})".encode())
        # Nobody else would count its rows, and plans without are poor.
        connection.execute(f"ANALYZE {name}".encode())


def _type_of(column: Column) -> str:
    kind = column.arrow_type()
    if pa.types.is_list(kind):
        return "float8[]" if pa.types.is_floating(kind.value_type) else "bigint[]"
    return _TYPES[kind_of(column)]


def _made(name: str, kind: str, sql: str) -> str:
    return f"{name} {kind} GENERATED ALWAYS AS ({sql}) STORED"


def _shape_sql(columns: Sequence[Column], place: Place) -> str:
    if place.region is None:
        return "NULL::float8[]"
    column, text = columns[place.region], f"c{place.region + 1}"
    xtype = (column.xtype or "").lower().removeprefix("adql:")
    if kind_of(column) is Kind.OTHER:
        text = f"adql.numbers_text({text})"
    # Columns are places by their xtype, which is one of a few words.
    return f"adql.sky_parse({text}, '{xtype}')"


def _cap_sql(columns: Sequence[Column], place: Place) -> str:
    ra = dec = "NULL"
    if place.point is not None:
        ra, dec = (f"c{at + 1}" for at in place.point)
    return f"adql.row_cap({_shape_sql(columns, place)}, {ra}::float8, {dec}::float8)"


def _fill(connection: Connection, name: str, table: UploadedTable) -> None:
    columns = ", ".join(f"c{at}" for at in range(1, len(table.columns) + 1))
    statement = f"COPY {name} ({columns}) FROM STDIN (FORMAT csv)"
    with (
        pa.memory_map(str(table.path)) as source,
        pa.ipc.open_file(source) as file,
        connection.cursor().copy(statement.encode()) as copy,
    ):
        for number in range(file.num_record_batches):
            batch = file.get_batch(number)
            for start in range(0, batch.num_rows, _ROWS):
                copy.write(_lines(batch.slice(start, _ROWS)))


def _lines(batch: pa.RecordBatch) -> bytes:
    """Write rows as COPY reads them."""
    written = BytesIO()
    cells = pa.RecordBatch.from_arrays(
        [_cells(array) for array in batch.columns], names=[str(i) for i in range(batch.num_columns)]
    )
    pa.csv.write_csv(cells, written, _CSV)
    return written.getvalue()


def _cells(array: pa.Array) -> pa.Array:
    if pa.types.is_list(array.type):
        return pa.array([None if cell is None else _list_text(cell) for cell in array.to_pylist()])
    if pa.types.is_boolean(array.type):
        return array.cast(pa.uint8())
    if pa.types.is_floating(array.type):
        # What is no number is NULL, as in the embedded store.
        wide = array.cast(pa.float64())
        return pc.if_else(pc.is_nan(wide), pa.scalar(None, pa.float64()), wide)
    if pa.types.is_string(array.type):
        # The one character that PostgreSQL cannot keep.
        return pc.replace_substring(array, pattern="\0", replacement="")
    return array


def _list_text(cell: Sequence[float | bool | None]) -> str:
    words = ["NULL" if item is None else repr(+item) for item in cell]
    return f"{{{','.join(words)}}}"
