"""Rows of a running query as Arrow batches, in two ways that give the same.

`TupleRows` takes rows as Python's tuples from apsw: at once, and for any SQL. `ColumnRows` goes on
where it stopped and lets compiled code put the rows into columns, several times faster and
without holding Python's lock: for the many rows of a long answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from types import ModuleType
from typing import Protocol

import apsw
import numpy as np
import pyarrow as pa
from typing_extensions import override

from obscore.store.cells import Cells, Layout
from obscore.store.sqlite.routines import Routines, routines
from obscore.tap.batches import joined, make_batch
from vodal.later import LaterModule
from vodal.tables.columns import Column

__all__ = ["ColumnRows", "Rows", "TupleRows", "column_rows", "stepping"]

_PART_ROWS = 1_000
"""Rows that are Python's objects at once: these are many times larger than Arrow's columns."""

_FIRST_ROWS, _MOST_ROWS = 64, 1_000_000
"""Rows for which there is memory at first, since most queries give few, and later."""

_MOST_BUSY = 16
"""Statements that a connection may run at once: the R*Tree reads its nodes by some of its own."""

_FIRST_WIDTH = 32.0
"""Bytes of text that a cell is taken to have before any was seen."""


class Rows(Protocol):
    """The rows of a query."""

    ended: bool
    """Whether all were taken."""

    def take(self, count: int) -> pa.RecordBatch | None:
        """Give the next rows, at most ``count``; None if there are none.

        Before the end there are fewer only where they are large.

        Raises
        ------
        QueryError
            If a value does not fit its column's type.
        apsw.Error, ValueError
            What the database raises.
        """
        ...


class TupleRows(Rows):
    """Rows as apsw gives them.

    Parameters
    ----------
    cursor
        Runs the query.
    columns, schema
        Of its result.
    """

    def __init__(self, cursor: apsw.Cursor, columns: Sequence[Column], schema: pa.Schema) -> None:
        self._cursor = cursor
        self._columns = columns
        self._schema = schema
        self.ended = False

    @override
    def take(self, count: int) -> pa.RecordBatch | None:
        parts: list[pa.RecordBatch] = []
        while count and not self.ended:
            wanted = min(count, _PART_ROWS)
            rows = list(islice(self._cursor, wanted))
            count -= len(rows)
            self.ended = len(rows) < wanted
            if rows:
                parts.append(make_batch(self._columns, self._schema, rows))
        return joined(parts) if parts else None


stepping = LaterModule("obscore.store.sqlite.stepping")
"""The compiled code."""


def column_rows(
    connection: apsw.Connection,
    sql: str,
    columns: Sequence[Column],
    schema: pa.Schema,
    *,
    is_on_row: bool = False,
) -> ColumnRows | None:
    """Go on with the query that a connection runs; None where that cannot be, or not yet.

    Its cursor must give no rows any more.

    Parameters
    ----------
    connection, sql
        What runs what.
    columns, schema
        Of its result.
    is_on_row
        Whether the row on which it stands is still to be given: so it is after ``execute``.
    """
    # A short answer is not worth loading it.
    module, calls = stepping.loaded if is_on_row else stepping.module, routines()
    if module is None or calls is None:
        return None
    busy = np.empty(_MOST_BUSY, np.int64)
    count = module.find_busy(calls.searching, connection.sqlite3_pointer(), busy)
    statement = calls.of_sql(busy[:count].tolist(), sql)
    if statement is None:
        return None
    running = _Running(connection, calls, statement)
    return ColumnRows(module, running, tuple(columns), schema, is_on_row=is_on_row)


@lru_cache(maxsize=256)
def _layout(columns: tuple[Column, ...], schema: pa.Schema) -> Layout:
    return Layout(columns, schema)


@dataclass(frozen=True, slots=True)
class _Running:
    """A statement that is running."""

    connection: apsw.Connection
    calls: Routines
    address: int


class ColumnRows(Rows):
    """Rows put into columns by compiled code; see `column_rows`."""

    def __init__(
        self,
        module: ModuleType,
        statement: _Running,
        columns: tuple[Column, ...],
        schema: pa.Schema,
        *,
        is_on_row: bool,
    ) -> None:
        self._stepping = module
        self._statement = statement
        self._columns = columns
        self._schema = schema
        self._layout = _layout(columns, schema)
        self._widths = np.full(len(columns), _FIRST_WIDTH)
        self._is_on_row = is_on_row
        self._most = _FIRST_ROWS
        self.ended = False

    @override
    def take(self, count: int) -> pa.RecordBatch | None:
        parts: list[pa.RecordBatch] = []
        is_full = False
        while count and not self.ended and not is_full:
            wanted = min(count, self._most)
            cells = Cells(self._layout, self._widths, wanted)
            if self._is_on_row:
                # One that was left unfinished: there is none to step to.
                cells.state[1] = 0
            code = self._fill(cells, wanted)
            if cells.rows:
                parts.append(cells.batch())
                self._widths = cells.widths()
                self._most = _MOST_ROWS
                count -= cells.rows
            if code == self._stepping.MISFIT:
                row = self._statement.calls.row(self._statement.address, len(self._columns))
                parts.append(make_batch(self._columns, self._schema, [row]))
                count -= 1
            is_full = self._is_on_row = code == self._stepping.FULL
            self.ended = code == self._stepping.DONE
        return joined(parts) if parts else None

    def _fill(self, cells: Cells, count: int) -> int:
        while (code := self._step(cells, count)) == self._stepping.FULL and cells.grow():
            pass
        if code < 0 or code in {self._stepping.ROW, self._stepping.DONE}:
            return code
        raise self._statement.calls.error(self._statement.connection)

    def _step(self, cells: Cells, count: int) -> int:
        statement = self._statement
        try:
            return int(
                self._stepping.fill(
                    statement.calls.addresses,
                    statement.address,
                    self._layout.arrays,
                    cells.numbers,
                    cells.texts,
                    cells.state,
                    count,
                )
            )
        except SystemError as error:
            # A function in Python that the query calls has raised its cause meanwhile.
            if error.__cause__ is None:
                raise
            raise error.__cause__ from None
