"""Uploaded tables beside an embedded store: in a file of their own, attached while a query runs.

The reader's connection never writes: another one writes the file, and the reader attaches it
read-only for one query. What users call their tables and columns stays out of the SQL.
"""

# ruff: noqa: S608 - the names in the SQL are made here

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import apsw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from obscore.adql.schema import ColumnDef, SpatialIndex, TableDef
from obscore.adql.sqlite.arrays import pack_lists
from obscore.adql.sqlite.functions import read_shape
from obscore.store.places import place_of
from obscore.store.sqlite.readers import Deadline, authorize
from vodal.regions import shape_from_bytes
from vodal.sphere import bounding_cap, cap_box
from vodal.tables.columns import Column
from vodal.tables.uploads import UploadedTable

__all__ = ["attached", "declare_uploads"]

_SCHEMA = "uploads"
"""Under which the file is attached."""

_STEPS = 10_000
_SLACK = 1e-7
"""Added to the box around a position on each side, as `vodal.sphere.cap_box` does."""


def _name(number: int) -> str:
    return f"tap_upload_{number}"


def declare_uploads(uploads: Sequence[UploadedTable]) -> tuple[TableDef, ...]:
    """Say how uploaded tables are named in SQL."""
    return tuple(_declared(number, table) for number, table in enumerate(uploads, 1))


def _declared(number: int, table: UploadedTable) -> TableDef:
    place = place_of(table.columns)
    spatial = None
    if place.region is not None or place.point is not None:
        region = "" if place.region is None else table.columns[place.region].name
        ra, dec = ("", "")
        if place.point is not None:
            ra, dec = (table.columns[at].name for at in place.point)
        spatial = SpatialIndex(
            region_column=region,
            region_sql="shape",
            point_columns=(ra, dec),
            rtree=f"{_name(number)}_rtree",
            key="id",
        )
    return TableDef(
        schema="TAP_UPLOAD",
        name=table.name,
        physical=_name(number),
        columns=tuple(
            ColumnDef(column, sql=f'{{alias}}."c{at}"')
            for at, column in enumerate(table.columns, 1)
        ),
        description="Uploaded with the query",
        spatial=spatial,
    )


@contextmanager
def attached(
    connection: apsw.Connection,
    deadline: Deadline,
    uploads: Sequence[UploadedTable],
    sql: str,
) -> Iterator[None]:
    """Load tables and let a guarded connection read them within the block.

    The block must not leave a cursor open.

    Parameters
    ----------
    connection
        Of the pool.
    deadline
        Of the query, for which the loading counts.
    uploads
        The tables.
    sql
        The query: an index is made only where it asks for one.

    Raises
    ------
    DeadlineError, ServiceUnavailable
        If the time is over, or the query was cancelled.
    """
    if not uploads:
        yield
        return
    handle, name = tempfile.mkstemp(".sqlite", "upload-", uploads[0].path.parent)
    os.close(handle)
    path = Path(name)
    try:
        with deadline.running():
            tables = _build(path, uploads, sql, deadline)
        connection.authorizer = None
        try:
            uri = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
            connection.execute(f"ATTACH :uri AS {_SCHEMA}", {"uri": uri})
            path.unlink()
            for table in tables:
                # Connects an R*Tree while nothing is forbidden yet.
                connection.execute(f"SELECT 1 FROM {_SCHEMA}.{table} LIMIT 0").close()
        finally:
            connection.authorizer = _authorizer(tables)
        try:
            yield
        finally:
            # If this fails, the pool throws the connection away.
            connection.authorizer = None
            connection.execute(f"DETACH {_SCHEMA}")
            connection.authorizer = authorize
    finally:
        path.unlink(missing_ok=True)


def _authorizer(
    tables: Sequence[str],
) -> Callable[[int, str | None, str | None, str | None, str | None], int]:
    """Allow reads of the uploaded tables beside what is allowed anyway."""
    readable = frozenset(tables)
    shadows = frozenset(
        f"{table}_{part}" for table in tables for part in ("node", "rowid", "parent")
    )
    changes = {apsw.SQLITE_INSERT, apsw.SQLITE_UPDATE, apsw.SQLITE_DELETE}

    def allow(
        operation: int,
        first: str | None,
        second: str | None,
        database: str | None,
        trigger: str | None,
    ) -> int:
        if operation == apsw.SQLITE_READ and first in readable and database is None:
            # As SQLite asks for a table of which no column is read.
            return apsw.SQLITE_OK
        if database == _SCHEMA:
            if operation == apsw.SQLITE_READ and first in readable | shadows:
                return apsw.SQLITE_OK
            if operation in changes and first in shadows:
                # Prepared by the R*Tree for itself; the file being read-only, never run.
                return apsw.SQLITE_OK
            if operation == apsw.SQLITE_CREATE_VTABLE and first in readable:
                return apsw.SQLITE_OK
            return apsw.SQLITE_DENY
        return authorize(operation, first, second, database, trigger)

    return allow


# Loading --------------------------------------------------------------------------------------


def _build(path: Path, uploads: Sequence[UploadedTable], sql: str, deadline: Deadline) -> list[str]:
    """Write the file; give the names of its tables and R*Trees."""
    connection = apsw.Connection(str(path))
    tables = []
    try:
        # Nobody else sees the file, and it does not outlive the query.
        connection.pragma("journal_mode", "off")
        connection.pragma("synchronous", "off")
        connection.pragma("locking_mode", "exclusive")
        connection.set_progress_handler(deadline, _STEPS)
        connection.execute("BEGIN")
        for number, table in enumerate(uploads, 1):
            name = _name(number)
            rtree = f"{name}_rtree"
            tables.append(name)
            _Loader(connection, table, name, rtree if rtree in sql else None, deadline).load()
            if rtree in sql:
                tables.append(rtree)
        connection.execute("COMMIT")
    finally:
        connection.close(True)
    return tables


class _Loader:
    """Writes one table."""

    def __init__(
        self,
        connection: apsw.Connection,
        table: UploadedTable,
        name: str,
        rtree: str | None,
        deadline: Deadline,
    ) -> None:
        self._connection = connection
        self._table = table
        self._rtree = rtree
        self._deadline = deadline
        self._place = place_of(table.columns)
        self._name = name
        self._rows = 0

    def load(self) -> None:
        """Make the table and fill it."""
        columns = self._table.columns
        kinds = ", ".join(f"c{at} {_type_of(column)}" for at, column in enumerate(columns, 1))
        self._connection.execute(
            f"CREATE TABLE {self._name} (id INTEGER PRIMARY KEY, shape BLOB, {kinds}) STRICT"
        )
        if self._rtree is not None:
            self._connection.execute(
                f"CREATE VIRTUAL TABLE {self._rtree}"
                " USING rtree(id, xmin, xmax, ymin, ymax, zmin, zmax)"
            )
        with pa.memory_map(str(self._table.path)) as source, pa.ipc.open_file(source) as file:
            for number in range(file.num_record_batches):
                batch = file.get_batch(number)
                for start in range(0, batch.num_rows, 5_000):
                    if self._deadline():
                        raise apsw.InterruptError
                    self._insert(batch.slice(start, 5_000))

    def _insert(self, batch: pa.RecordBatch) -> None:
        ids = range(self._rows + 1, self._rows + batch.num_rows + 1)
        self._rows += batch.num_rows
        shapes = self._shapes(batch)
        cells = [_cells(array) for array in batch.columns]
        marks = ", ".join("?" * (2 + len(cells)))
        self._connection.executemany(
            f"INSERT INTO {self._name} VALUES ({marks})", zip(ids, shapes, *cells, strict=True)
        )
        if self._rtree is None:
            return
        boxes = self._boxes(batch, shapes)
        places = np.flatnonzero(np.isfinite(boxes).all(axis=1))
        self._connection.executemany(
            f"INSERT INTO {self._rtree} VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                (ids[place], *box)
                for place, box in zip(places.tolist(), boxes[places].tolist(), strict=True)
            ),
        )

    def _shapes(self, batch: pa.RecordBatch) -> list[bytes | None]:
        """Pack the geometries of the table's geometry column."""
        if self._place.region is None:
            return [None] * batch.num_rows
        column = self._table.columns[self._place.region]
        xtype = (column.xtype or "").lower().removeprefix("adql:")
        return [
            read_shape(cell, xtype) if isinstance(cell, str | bytes) else None
            for cell in _cells(batch.column(self._place.region))
        ]

    def _boxes(self, batch: pa.RecordBatch, shapes: Sequence[bytes | None]) -> NDArray[np.float64]:
        """Give the boxes around what each row has on the sky; NaN for nothing."""
        boxes = np.full((batch.num_rows, 6), np.nan)
        if self._place.point is not None:
            boxes = _point_boxes(*(batch.column(at) for at in self._place.point))
        for row, shape in enumerate(shapes):
            if shape is not None:
                box = np.array(cap_box(*bounding_cap(shape_from_bytes(shape))))
                # NaN gives way to a number.
                boxes[row, ::2] = np.fmin(boxes[row, ::2], box[::2])
                boxes[row, 1::2] = np.fmax(boxes[row, 1::2], box[1::2])
        return boxes


def _type_of(column: Column) -> str:
    kind = column.arrow_type()
    if pa.types.is_list(kind):
        return "BLOB"
    if pa.types.is_string(kind):
        return "TEXT"
    return "REAL" if pa.types.is_floating(kind) else "INTEGER"


def _cells(array: pa.Array) -> list[int | float | str | bytes | None]:
    """Give the cells of a column as SQLite keeps them."""
    if pa.types.is_list(array.type):
        return [*pack_lists(array)]
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.uint8())
    cells: list[int | float | str | bytes | None] = array.to_pylist()
    return cells


def _point_boxes(ra: pa.Array, dec: pa.Array) -> NDArray[np.float64]:
    ra_rad, dec_rad = (
        np.radians(
            pc.fill_null(array.cast(pa.float64(), safe=False), np.nan).to_numpy(
                zero_copy_only=False
            )
        )
        for array in (ra, dec)
    )
    with np.errstate(invalid="ignore"):
        # A declination beyond the pole is none, whatever its sine would be.
        dec_rad = np.where(np.abs(dec_rad) <= np.pi / 2, dec_rad, np.nan)
        xyz = (
            np.cos(dec_rad) * np.cos(ra_rad),
            np.cos(dec_rad) * np.sin(ra_rad),
            np.sin(dec_rad),
        )
    return np.stack([axis + side for axis in xyz for side in (-_SLACK, _SLACK)], axis=1)
