"""Rows of a running query as Arrow batches, in two ways that give the same.

The server sends the rows some hundred at a time, as fast as they are taken. Compiled code puts
them into columns without holding Python's lock; where it is not there (yet), or does not know a
type, psycopg makes Python's values of them.
"""

from __future__ import annotations

import contextlib
import re
import select
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
from numpy.typing import NDArray
from psycopg.adapt import Transformer
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGresult

from obscore.store.cells import FLAG, REAL, TEXT, WHOLE, Cells, Layout
from obscore.store.postgres.libpq import result_functions
from obscore.store.postgres.pool import Connection
from obscore.tap.batches import joined, make_batch
from vodal.later import LaterModule
from vodal.tables.columns import Column

__all__ = ["ResultRows", "chunks"]

_CHUNK_ROWS = 500
"""Rows that libpq gives at once."""

_FEW_ROWS = 50
"""Up to which Python's values are as quick."""

_FIRST_WIDTH = 32.0
"""Bytes of text that a cell is taken to have before any was seen."""

_WAIT_MS = 1_000

_MOMENT_MS = 10
"""In which the end of an answer comes that the server has sent."""

_CANCEL_S = 5.0

_MARK = re.compile(rb"%\((\w+)\)s|%%")

_FORMS = {
    701: ("DOUBLE", {REAL}),
    20: ("LONG", {REAL, WHOLE, FLAG}),
    23: ("INT", {REAL, WHOLE, FLAG}),
    21: ("SHORT", {REAL, WHOLE, FLAG}),
    16: ("BYTE", {WHOLE, FLAG}),
    25: ("WORDS", {TEXT}),
    1043: ("WORDS", {TEXT}),
}
"""How PostgreSQL's types (float8, int8, int4, int2, bool, text, varchar) are written, and what
columns take them so."""

chunks = LaterModule("obscore.store.postgres.chunks")
"""The compiled code."""


class ResultRows:
    """The rows of a query that is begun.

    Parameters
    ----------
    connection
        In no other use until `close`.
    sql
        With named parameters as psycopg takes them, each behind a cast to its type.
    values
        Of the parameters: numbers, texts, or lists of them.
    columns, schema
        Of the result.
    compiled
        Whether compiled code is used where it can be.
    """

    def __init__(
        self,
        connection: Connection,
        sql: str,
        values: Mapping[str, object],
        columns: Sequence[Column],
        schema: pa.Schema,
        *,
        compiled: bool = True,
    ) -> None:
        self._connection = connection
        self._columns = columns
        self._schema = schema
        self._layout: Layout | None = None
        self._widths = np.full(len(columns), _FIRST_WIDTH)
        self._compiled = compiled
        self._forms: NDArray[np.int64] | None = None
        self._is_known = False
        self._scratch = np.zeros(1, np.int64)
        self._result: PGresult | None = None
        self._at = 0
        self._is_idle = self._has_failed = False
        self.ended = False
        """Whether all rows were taken."""
        statement, parameters = _numbered(sql.encode(), values)
        pgconn = connection.pgconn
        pgconn.send_query_params(statement, parameters, result_format=Format.BINARY)
        if psycopg.capabilities.has_stream_chunked():
            pgconn.set_chunked_rows_mode(_CHUNK_ROWS)
        else:
            pgconn.set_single_row_mode()
        while pgconn.flush():
            self._poll(select.POLLIN | select.POLLOUT)
            pgconn.consume_input()

    # Results -----------------------------------------------------------------------------------

    def _poll(self, events: int, wait_ms: int = _WAIT_MS) -> None:
        poll = select.poll()
        poll.register(self._connection.pgconn.socket, events)
        poll.poll(wait_ms)

    def _next(self) -> PGresult | None:
        """Wait for the next result; None at the end."""
        pgconn = self._connection.pgconn
        while pgconn.is_busy():
            self._poll(select.POLLIN)
            pgconn.consume_input()
        result = pgconn.get_result()
        self._is_idle = result is None
        return result

    def _advance(self) -> bool:
        """Go to a result that has rows left; False at the end."""
        while self._result is None or self._at >= self._result.ntuples:
            self._result, self._at = self._next(), 0
            if self._result is None:
                self.ended = True
                return False
            if self._result.status not in {
                ExecStatus.TUPLES_OK,
                ExecStatus.TUPLES_CHUNK,
                ExecStatus.SINGLE_TUPLE,
            }:
                error = psycopg.errors.error_from_result(self._result, "utf-8")
                self._result, self._has_failed = None, True
                raise error
        return True

    def close(self) -> None:
        """End the query, before its end by cancelling it."""
        self._result = None
        if self._connection.closed:
            return
        is_over = self._has_failed
        with contextlib.suppress(psycopg.Error):
            if not is_over and not self._rest_is_there():
                self._connection.cancel_safe(timeout=_CANCEL_S)
            while not self._is_idle and (result := self._next()) is not None:
                is_over |= result.status == ExecStatus.FATAL_ERROR
        if not self._is_idle or not (is_over or self.ended):
            # The request to cancel may still be on its way, to the next query.
            self._connection.close()

    def _rest_is_there(self) -> bool:
        """Pass over what has come already; True if that was all, as after a few rows too many."""
        pgconn = self._connection.pgconn
        if not self._is_idle:
            self._poll(select.POLLIN, _MOMENT_MS)
            pgconn.consume_input()
        while not self._is_idle and not pgconn.is_busy():
            self._next()
        self.ended |= self._is_idle
        return self._is_idle

    # Batches -----------------------------------------------------------------------------------

    def take(self, count: int) -> pa.RecordBatch | None:
        """Give the next rows, at most ``count``; None if there are none.

        Before the end there are fewer only where they are large.

        Raises
        ------
        QueryError
            If a value does not fit its column's type.
        psycopg.Error
            What the database raises.
        """
        parts: list[pa.RecordBatch] = []
        while count and self._advance():
            module = self._module() if count > _FEW_ROWS else None
            if module is None:
                part = self._by_python(count)
                parts.append(part)
                count -= part.num_rows
                continue
            cells, code = self._by_compiled_code(module, count)
            if cells.rows:
                parts.append(cells.batch())
                self._widths = cells.widths()
                count -= cells.rows
            if code == module.MISFIT:
                parts.append(self._by_python(1))
                count -= 1
            elif code == module.FULL:
                break
        return joined(parts) if parts else None

    def _by_python(self, count: int) -> pa.RecordBatch:
        assert self._result is not None
        last = min(self._result.ntuples, self._at + count)
        transformer = Transformer(self._connection)
        transformer.set_pgresult(self._result)
        rows = transformer.load_rows(self._at, last, tuple)
        self._at = last
        return make_batch(self._columns, self._schema, rows)

    def _module(self) -> ModuleType | None:
        """Give the compiled code, if it is there and knows the types of all columns."""
        assert self._result is not None
        if not self._compiled or self._result.ntuples - self._at <= _FEW_ROWS:
            return None
        module = chunks.module
        if module is None or result_functions() is None:
            return None
        if not self._is_known:
            self._is_known = True
            self._layout = Layout(self._columns, self._schema)
            self._forms = _forms(module, self._result, self._layout)
        return None if self._forms is None else module

    def _by_compiled_code(self, module: ModuleType, count: int) -> tuple[Cells, int]:
        """Fill columns from as many results as they have room for; tells what hinders."""
        layout = self._layout
        assert layout is not None
        cells = Cells(layout, self._widths, count)
        while cells.rows < count and self._advance():
            result: Any = self._result
            before = cells.rows
            last = min(result.ntuples, self._at + count - before)
            code = int(
                module.fill(
                    result_functions(),
                    result.pgresult_ptr,
                    (self._at, last),
                    layout.arrays,
                    self._forms,
                    cells.numbers,
                    cells.texts,
                    cells.state,
                    (self._scratch.ctypes.data, self._scratch),
                )
            )
            self._at += cells.rows - before
            if code == module.MISFIT or (code == module.FULL and not cells.grow()):
                return cells, code
        return cells, 0


def _forms(module: ModuleType, result: PGresult, layout: Layout) -> NDArray[np.int64] | None:
    """Tell how the values of each column are written; None if one is of a type beyond those."""
    forms = []
    for place, kind in enumerate(layout.kinds):
        name, kinds = _FORMS.get(result.ftype(place), ("", set()))
        if kind not in kinds:
            return None
        forms.append(getattr(module, name))
    return np.array(forms, np.int64)


# Parameters --------------------------------------------------------------------------------------


def _numbered(sql: bytes, values: Mapping[str, object]) -> tuple[bytes, list[bytes]]:
    """Give the statement as the server takes it, with the texts of its parameters."""
    places: dict[bytes, int] = {}

    def place(mark: re.Match[bytes]) -> bytes:
        name = mark[1]
        if name is None:
            return b"%"
        return b"$%d" % places.setdefault(name, len(places) + 1)

    statement = _MARK.sub(place, sql)
    return statement, [_text(values[name.decode()]).encode() for name in places]


def _text(value: object) -> str:
    """Write a value as PostgreSQL reads it."""
    match value:
        case list():
            return f"{{{','.join(map(_item, value))}}}"
        case float():
            return repr(value)
        case _:
            return str(value)


def _item(value: object) -> str:
    if not isinstance(value, str):
        return _text(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
