"""The rows of a table, some at a time, with what the table declares of its columns."""

from __future__ import annotations

import datetime as dt
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from vodal.errors import UsageError
from vodal.tables.readers.limits import ReadLimits
from vodal.tables.readers.read import read_table

__all__ = ["Cell", "TableRows", "file_rows", "query_rows"]

Cell = str | int | float | bool | None

_BATCH_ROWS = 8192
"""Written in one transaction each: with fewer the same pages of indexes are written more often."""
_COLON = re.compile(r"(?<![:\w\\]):(?=\w)")
"""What would be taken for a parameter."""
_LIMITS = ReadLimits(
    max_rows=1 << 40, max_columns=2000, max_cell_bytes=1 << 20, max_table_bytes=1 << 50
)
"""The table is the site's own; only its cells are held against a limit."""
_WORDS = {"polygon": "POLYGON", "circle": "CIRCLE", "range": "RANGE"}
"""Xtypes of DALI 1.1 whose numbers are a region, with what its text begins with."""


@dataclass(frozen=True, slots=True)
class TableRows:
    """A table that is open."""

    names: tuple[str, ...]
    units: Mapping[str, str]
    """By column, where one is declared."""
    batches: Iterator[list[list[Cell]]]
    """Some rows at a time, as the cells of each column."""


@contextmanager
def file_rows(path: Path) -> Iterator[TableRows]:
    """Open the table of a file.

    It is brought to a temporary file first, column by column, so that memory stays flat.

    Raises
    ------
    UsageError
        If it is not there, or is no table that can be read.
    """
    if not path.is_file():
        raise UsageError(f"there is no table {path}")
    with tempfile.TemporaryDirectory(prefix="skylane-") as folder:
        target = Path(folder) / "table.arrow"
        try:
            table = read_table(path, target, "table", _LIMITS, file_name=path.name)
        except OSError as error:
            raise UsageError(f"the table {path} cannot be read: {error.strerror}") from None
        except UsageError as error:
            raise UsageError(f"{path}: {error.message}") from None
        names = tuple(column.name for column in table.columns)
        units = {column.name: column.unit for column in table.columns if column.unit}
        shapes = {
            place: _WORDS[column.xtype]
            for place, column in enumerate(table.columns)
            if column.xtype in _WORDS
        }
        # Not mapped: what was read of it stays out of the process's memory.
        with pa.OSFile(str(target)) as file, pa.ipc.open_file(file) as reader:

            def batches() -> Iterator[list[list[Cell]]]:
                for number in range(reader.num_record_batches):
                    batch = reader.get_batch(number)
                    for start in range(0, batch.num_rows, _BATCH_ROWS):
                        part = batch.slice(start, _BATCH_ROWS)
                        yield [
                            _cells(array, shapes.get(place))
                            for place, array in enumerate(part.columns)
                        ]

            yield TableRows(names, units, batches())


def _cells(array: pa.Array, shape: str | None) -> list[Cell]:
    values: list[Any] = array.to_pylist()
    if pa.types.is_list(array.type):
        word = [] if shape is None else [shape]
        return [None if value is None else " ".join([*word, *map(repr, value)]) for value in values]
    return values


@contextmanager
def query_rows(url: str, query: str) -> Iterator[TableRows]:
    """Ask a database, and take the rows as they come.

    Raises
    ------
    UsageError
        If the URL is none, its driver is not installed, or the database refuses. No message holds
        the password.
    """
    try:
        parsed = make_url(url)
        if parsed.drivername in {"postgresql", "postgres"}:
            parsed = parsed.set(drivername="postgresql+psycopg")
        engine = create_engine(parsed)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError, ValueError) as error:
        reason = type(error).__name__ if isinstance(error, ArgumentError) else str(error)
        raise UsageError(f"the table's url names no database that can be asked: {reason}") from None
    place = parsed.render_as_string(hide_password=True)
    try:
        with engine.connect().execution_options(stream_results=True) as connection:
            # The transaction is rolled back: what is asked for changes nothing.
            result = connection.execute(text(_COLON.sub(r"\\:", query))).yield_per(_BATCH_ROWS)
            names = tuple(result.keys())

            def batches() -> Iterator[list[list[Cell]]]:
                for part in result.partitions(_BATCH_ROWS):
                    yield [list(map(_plain, cells)) for cells in zip(*part, strict=True)]

            yield TableRows(names, {}, batches())
            connection.rollback()
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0][:300]
        raise UsageError(f"the query of the table at {place} failed: {reason}") from None
    finally:
        engine.dispose()


def _plain(cell: object) -> Cell:
    """Bring what a driver gives to what a fact may be."""
    match cell:
        case None | str() | bool() | int() | float():
            return cell
        case Decimal():
            return float(cell)
        case dt.datetime():
            if cell.tzinfo is not None:
                cell = cell.astimezone(dt.UTC).replace(tzinfo=None)
            return cell.isoformat()
        case dt.date():
            return cell.isoformat()
        case list() | tuple():
            return " ".join(map(str, cell))
        case _:
            return str(cell)
