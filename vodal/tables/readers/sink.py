"""Where the readers write: an Arrow file, with the limits watched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

from vodal.errors import UsageError
from vodal.tables.cells import array_length, data_and_offsets, holds, text_length
from vodal.tables.columns import Column
from vodal.tables.readers.limits import ReadLimits, over
from vodal.tables.uploads import UploadedTable

__all__ = ["TableSink", "unique_names"]


def unique_names(names: Sequence[str]) -> list[str]:
    """Make names unique without regard to case, by a number behind those that come again.

    A column without a name is called after its place, ``column_3``.
    """
    given = [" ".join(name.split()) for name in names]
    taken = {name.lower() for name in given}
    seen: set[str] = set()
    unique = []
    for place, written in enumerate(given, 1):
        stem = written or f"column_{place}"
        name, number = stem, 2
        while name.lower() in seen or (name != written and name.lower() in taken):
            name = f"{stem}_{number}"
            number += 1
        seen.add(name.lower())
        unique.append(name)
    return unique


class TableSink:
    """Takes a table batch by batch; use it as a context.

    Parameters
    ----------
    path
        The Arrow file to write.
    columns
        Of the table. Names are made unique; a text or an array that turns out longer than its
        column declares makes the column's size ``*``.
    limits
        Of rows, cells and the whole.

    Raises
    ------
    UsageError
        If there is no column.
    TooLargeError
        If there are too many.
    """

    def __init__(self, path: Path, columns: Sequence[Column], limits: ReadLimits) -> None:
        if not columns:
            raise UsageError("the table has no columns")
        if len(columns) > limits.max_columns:
            raise over("more columns", "max_columns", limits.max_columns)
        names = unique_names([column.name for column in columns])
        self.columns = [
            replace(column, name=name, id=None) for column, name in zip(columns, names, strict=True)
        ]
        self.rows = 0
        self._bytes = 0
        self._path = path
        self._limits = limits
        self._schema = pa.schema(
            [pa.field(column.name, column.arrow_type()) for column in self.columns]
        )
        self._file = pa.OSFile(str(path), "wb")
        self._writer = pa.ipc.new_file(self._file, self._schema)

    def write(self, arrays: Sequence[pa.Array]) -> None:
        """Take rows: one array a column, of its Arrow type.

        Raises
        ------
        TooLargeError
            If a limit is passed.
        UsageError
            If a text holds a NUL character, which no database keeps, or an array has another
            length than its column declares.
        """
        self.rows += len(arrays[0])
        if self.rows > self._limits.max_rows:
            raise over("more rows", "max_rows", self._limits.max_rows)
        self._bytes += sum(array.nbytes for array in arrays)
        if self._bytes > self._limits.max_table_bytes:
            raise over("more bytes", "max_table_bytes", self._limits.max_table_bytes)
        checked = [self._checked(place, array) for place, array in enumerate(arrays)]
        self._writer.write_batch(pa.RecordBatch.from_arrays(checked, schema=self._schema))

    def _checked(self, place: int, array: pa.Array) -> pa.Array:
        column = self.columns[place]
        if pa.types.is_string(array.type):
            self._check_text(place, array)
        elif pa.types.is_list(array.type):
            array = _complete(column, array)
            self._check_list(place, array)
        elif pa.types.is_floating(array.type) and pc.any(pc.is_nan(array)).as_py():
            # NaN is how VOTable writes a missing number, and SQLite keeps none.
            array = pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)
        assert array.type == column.arrow_type()
        return array

    def _check_size(self, column: Column, size_bytes: int) -> None:
        if size_bytes > self._limits.max_cell_bytes:
            raise over(
                f"in '{column.name}' a longer cell", "max_cell_bytes", self._limits.max_cell_bytes
            )

    def _check_text(self, place: int, array: pa.Array) -> None:
        column = self.columns[place]
        self._check_size(column, pc.max(pc.binary_length(array)).as_py() or 0)
        if holds(array, b"\0"):
            raise UsageError(f"a text in the column '{column.name}' holds a NUL character")
        bound, _ = text_length(column)
        if bound is not None and _longest(array, column) > bound:
            self.columns[place] = replace(column, arraysize="*")

    def _check_list(self, place: int, array: pa.Array) -> None:
        column = self.columns[place]
        lengths = pc.list_value_length(array)
        longest = pc.max(lengths).as_py() or 0
        self._check_size(column, longest * (array.type.value_type.bit_width // 8 or 1))
        length = array_length(column)
        if length is not None:
            if not pc.all(pc.equal(lengths, length), min_count=0).as_py():
                raise UsageError(
                    f"a cell of the column '{column.name}' has not the {length} values that its"
                    " arraysize declares"
                )
            return
        self._check_varying(place, lengths, longest)

    def _check_varying(self, place: int, lengths: pa.Array, longest: int) -> None:
        column = self.columns[place]
        *inner, last = (column.arraysize or "*").split("x")
        step = array_length(replace(column, arraysize="x".join(inner) or None)) or 1
        if any(length % step for length in pc.unique(lengths).to_pylist() if length):
            raise UsageError(
                f"a cell of the column '{column.name}' is no multiple of the {step} numbers that"
                " its arraysize declares"
            )
        bound = last.removesuffix("*")
        if bound and longest > int(bound) * step:
            self.columns[place] = replace(column, arraysize="x".join([*inner, "*"]))

    def finish(self, name: str) -> UploadedTable:
        """End the file and give the table."""
        self.close()
        return UploadedTable(name, tuple(self.columns), self._path, self.rows)

    def close(self) -> None:
        """End the file."""
        if not self._file.closed:
            self._writer.close()
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _complete(column: Column, array: pa.Array) -> pa.Array:
    """Leave no element of an array out: VOTable has no sign for one but in booleans.

    Raises
    ------
    UsageError
        If a whole number is missing; among real ones NaN takes its place.
    """
    flat = array.flatten()
    if not flat.null_count or pa.types.is_boolean(flat.type):
        return array
    if not pa.types.is_floating(flat.type):
        raise UsageError(f"an array of the column '{column.name}' lacks a whole number within")
    lengths = pc.fill_null(pc.list_value_length(array), 0)
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths)])
    return pa.ListArray.from_arrays(offsets, pc.fill_null(flat, float("nan")), mask=array.is_null())


def _longest(array: pa.Array, column: Column) -> int:
    """Give the length of the longest text, in characters as its datatype counts them."""
    longest: int = pc.max(pc.utf8_length(array)).as_py() or 0
    if column.datatype == "unicodeChar" and (data_and_offsets(array)[0] >= 0xF0).any():
        # Characters beyond the first plane take two places.
        longest = max(len(text.encode("utf-16-be")) // 2 for text in array.to_pylist() if text)
    return longest
