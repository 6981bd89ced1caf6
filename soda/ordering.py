"""Rows put in order on disk, so that a hundred thousand of them take no memory."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from vodal.uws.results import disk_errors

__all__ = ["RowSorter"]

_PAGE = 1000
_CACHE_KIB = 4096


@contextmanager
def _told() -> Iterator[None]:
    """Turn errors of SQLite into ours."""
    with disk_errors():
        try:
            yield
        except sqlite3.Error as error:
            full = error.sqlite_errorcode == sqlite3.SQLITE_FULL
            raise OSError(errno.ENOSPC if full else errno.EIO, str(error)) from error


class RowSorter:
    """Takes rows in any order and gives them by their keys; a context that leaves no file.

    Parameters
    ----------
    path
        A file to work with; one that is there is replaced.

    Raises
    ------
    StorageFullError
        If the disk is full; also of the methods.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: list[tuple[str, int, bytes]] = []
        path.unlink(missing_ok=True)
        with _told():
            # Used by this thread alone and worth nothing after a crash.
            self._connection = sqlite3.connect(path, isolation_level=None)
            for pragma in (
                "journal_mode = OFF",
                "synchronous = OFF",
                f"cache_size = -{_CACHE_KIB}",
            ):
                self._connection.execute(f"PRAGMA {pragma}")
            self._connection.execute(
                "CREATE TABLE rows (text TEXT, number INTEGER, row BLOB,"
                " PRIMARY KEY (text, number)) WITHOUT ROWID"
            )
            self._connection.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._path.unlink(missing_ok=True)

    def add(self, text: str, number: int, row: bytes) -> None:
        """Take a row; no other has the same two keys."""
        self._waiting.append((text, number, row))
        if len(self._waiting) >= _PAGE:
            self._write()

    def _write(self) -> None:
        with _told():
            self._connection.executemany("INSERT INTO rows VALUES (?, ?, ?)", self._waiting)
        self._waiting.clear()

    def rows(self) -> Iterator[bytes]:
        """Give the rows by their texts, code point by code point, then by their numbers."""
        self._write()
        with _told():
            cursor = self._connection.execute("SELECT row FROM rows ORDER BY text, number")
        while True:
            with _told():
                page = cursor.fetchmany(_PAGE)
            if not page:
                return
            for (row,) in page:
                yield row
