"""The C functions of the SQLite library that apsw holds.

A server process holds one SQLite library, and apsw keeps its symbols to itself. SQLite tells the
addresses of its functions to each extension that it loads, in a table whose places never change
(``sqlite3_api_routines`` of sqlite3ext.h, which only grows). So an extension is loaded that is
none: apsw lets a VFS say where an extension's entry point lies, and it lies here.
"""

from __future__ import annotations

import ctypes
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import apsw
import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

__all__ = [
    "BLOB_VALUE",
    "FLOAT_VALUE",
    "INTEGER_VALUE",
    "NULL_VALUE",
    "TEXT_VALUE",
    "Routines",
    "routines",
]

_LOG = logging.getLogger(__name__)

INTEGER_VALUE, FLOAT_VALUE, TEXT_VALUE, BLOB_VALUE, NULL_VALUE = range(1, 6)
"""SQLite's types of values."""

_PLACES = {
    "column_value": 39,
    "errmsg": 53,
    "libversion": 66,
    "step": 94,
    "value_blob": 102,
    "value_bytes": 103,
    "value_double": 105,
    "value_int64": 107,
    "value_text": 109,
    "value_type": 113,
    "next_stmt": 152,
    "sql": 153,
    "extended_errcode": 166,
    "stmt_busy": 184,
}
"""Where the addresses stand, in pointers."""

_POINTER = ctypes.c_void_p
_TYPES: dict[str, tuple[Any, ...]] = {
    # What is given, and what is taken.
    "column_value": (_POINTER, _POINTER, ctypes.c_int),
    "errmsg": (ctypes.c_char_p, _POINTER),
    "libversion": (ctypes.c_char_p,),
    "value_blob": (_POINTER, _POINTER),
    "value_bytes": (ctypes.c_int, _POINTER),
    "value_double": (ctypes.c_double, _POINTER),
    "value_int64": (ctypes.c_int64, _POINTER),
    "value_text": (_POINTER, _POINTER),
    "value_type": (ctypes.c_int, _POINTER),
    "extended_errcode": (ctypes.c_int, _POINTER),
    "sql": (ctypes.c_char_p, _POINTER),
}

_ENTRY = ctypes.CFUNCTYPE(ctypes.c_int, _POINTER, _POINTER, _POINTER)

_FOR_ROWS = (
    "step", "column_value", "value_type", "value_int64", "value_double", "value_text",
    "value_blob", "value_bytes",
)  # fmt: skip
"""What compiled code calls, in the order in which it looks for it."""


@dataclass(frozen=True, slots=True)
class Routines:
    """Functions of SQLite's C interface, of the library that apsw holds."""

    call: Mapping[str, Callable[..., Any]]
    """By name, without ``sqlite3_``; pointers are numbers."""
    addresses: NDArray[np.int64]
    """Of ``step``, ``column_value`` and ``value_`` type, int64, double, text, blob, bytes."""
    searching: NDArray[np.int64]
    """Addresses of ``next_stmt`` and ``stmt_busy``."""

    def of_sql(self, statements: Sequence[int], sql: str) -> int | None:
        """Give the one of some statements that was made of this SQL; None if not one was."""
        wanted = sql.encode()
        found = [item for item in statements if self.call["sql"](item) == wanted]
        return found[0] if len(found) == 1 else None

    def error(self, connection: apsw.Connection) -> Exception:
        """Give the exception that apsw would raise for what failed last on a connection."""
        database = connection.sqlite3_pointer()
        kind = type(apsw.exception_for(self.call["extended_errcode"](database) & 0xFF))
        message = self.call["errmsg"](database) or b""
        return kind(message.decode("utf-8", "replace"))

    def row(self, statement: int, count: int) -> tuple[Any, ...]:
        """Read the row at which a statement stands, as apsw would."""
        return tuple(self._value(self.call["column_value"](statement, n)) for n in range(count))

    def _value(self, value: int) -> apsw.SQLiteValue:
        kind, call = self.call["value_type"](value), self.call
        if kind == INTEGER_VALUE:
            return int(call["value_int64"](value))
        if kind == FLOAT_VALUE:
            return float(call["value_double"](value))
        if kind == TEXT_VALUE:
            return ctypes.string_at(call["value_text"](value), call["value_bytes"](value)).decode()
        if kind == BLOB_VALUE:
            start, size = call["value_blob"](value), call["value_bytes"](value)
            return ctypes.string_at(start, size) if size else b""
        return None


class _Entry(apsw.VFS):
    """Says that every extension's entry point is a function of ours."""

    def __init__(self, name: str) -> None:
        self.table: int = 0
        self._entry = _ENTRY(self._enter)
        super().__init__(name, "")

    def _enter(self, _database: int, _message: int, table: int) -> int:
        self.table = table
        return apsw.SQLITE_OK

    @override
    def xDlOpen(self, filename: str) -> int:
        return 1

    @override
    def xDlSym(self, handle: int, symbol: str) -> int:
        return ctypes.cast(self._entry, _POINTER).value or 0

    @override
    def xDlClose(self, handle: int) -> None:
        pass


_lock = threading.Lock()


def routines() -> Routines | None:
    """Give SQLite's functions; None where they cannot be had, which the log tells once."""
    with _lock:
        return _found()


@cache
def _found() -> Routines | None:
    try:
        return _routines(_table())
    except (apsw.Error, AttributeError, ValueError) as error:
        _LOG.warning("long answers take the slow way: %s", error)
        return None


def _table() -> int:
    name = "skylane-routines"
    entry = _Entry(name)
    try:
        connection = apsw.Connection(":memory:", vfs=name)
        try:
            connection.enable_load_extension(True)
            connection.load_extension(name, "entry")
        finally:
            connection.close(True)
    finally:
        entry.unregister()
    return entry.table


def _routines(table: int) -> Routines:
    size = max(_PLACES.values()) + 1
    pointers = (ctypes.c_void_p * size).from_address(table)
    # None of them waits for anything, so that Python's lock is kept.
    call = {
        name: ctypes.PYFUNCTYPE(*kinds)(pointers[_PLACES[name]] or 0)
        for name, kinds in _TYPES.items()
    }
    version = call["libversion"]().decode()
    if version != apsw.sqlite_lib_version():
        raise ValueError(f"this is SQLite {version} and not apsw's {apsw.sqlite_lib_version()}")
    rows, searching = (
        np.array([pointers[_PLACES[name]] for name in names], np.int64)
        for names in (_FOR_ROWS, ("next_stmt", "stmt_busy"))
    )
    return Routines(call, rows, searching)
