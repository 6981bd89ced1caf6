"""The rows of a file as a declaration wants them: its columns, in its order, of its types."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from obscore.declared.tables import DeclaredColumn, DeclaredTable
from vodal.errors import UsageError
from vodal.tables.cells import array_length, text_length
from vodal.tables.uploads import UploadedTable

__all__ = ["DeclaredRows", "matched"]

_PIECE_ROWS = 5_000


@dataclass(frozen=True, slots=True)
class DeclaredRows:
    """Rows for a declared table, in an Arrow file; they can be read again and again."""

    table: DeclaredTable
    path: Path
    rows: int
    sources: tuple[int | None, ...]
    """For each column of the table its place in the file; None for a column of NULLs."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Give the rows in small batches, of the types of the columns.

        Raises
        ------
        UsageError
            If a value does not fit its column, or is NULL where none may be; names the column, the
            row and the value.
        """
        schema = pa.schema(
            [pa.field(f"c{at}", _type(item)) for at, item in enumerate(self.table.columns, 1)]
        )
        done = 0
        with pa.memory_map(str(self.path)) as source, pa.ipc.open_file(source) as file:
            for number in range(file.num_record_batches):
                whole = file.get_batch(number)
                for start in range(0, whole.num_rows, _PIECE_ROWS):
                    piece = whole.slice(start, _PIECE_ROWS)
                    arrays = [
                        _fitted(
                            pa.nulls(piece.num_rows) if at is None else piece.column(at), item, done
                        )
                        for item, at in zip(self.table.columns, self.sources, strict=True)
                    ]
                    done += piece.num_rows
                    yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def matched(table: DeclaredTable, file: UploadedTable) -> tuple[DeclaredRows, tuple[str, ...]]:
    """Match the columns of a file with those of a table, by their names.

    Names that differ in case only meet where nothing meets better.

    Parameters
    ----------
    table
        The declaration.
    file
        The file as it was read.

    Returns
    -------
    rows, notes
        The rows, and sentences about columns that only one of the two has.

    Raises
    ------
    UsageError
        If a column that may not be NULL is not there, or has another kind of values.
    """
    exact = {column.name: at for at, column in enumerate(file.columns)}
    lower = {column.name.lower(): at for at, column in enumerate(file.columns)}
    notes, sources = [], []
    for item in table.columns:
        at = exact.get(item.name, lower.get(item.name.lower()))
        sources.append(at)
        if at is None:
            if not item.nullable:
                raise UsageError(
                    f"table {table.name}: the file has no column {item.name}, which may not be"
                    f" NULL; it has {_listed([column.name for column in file.columns])}"
                )
            notes.append(f"table {table.name}: the file has no column {item.name}; it stays NULL")
    used = set(sources)
    notes += [
        f"table {table.name}: the file's column {column.name} is not declared and is left out"
        for at, column in enumerate(file.columns)
        if at not in used
    ]
    if used == {None}:
        names = _listed([item.name for item in table.columns])
        raise UsageError(f"table {table.name}: the file has none of its columns: {names}")
    return DeclaredRows(table, file.path, file.rows, tuple(sources)), tuple(notes)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def _type(item: DeclaredColumn) -> pa.DataType:
    return item.column.arrow_type()


def _fitted(array: pa.Array, item: DeclaredColumn, before: int) -> pa.Array:
    """Bring values to the type of their column.

    Parameters
    ----------
    array
        The values.
    item
        The column.
    before
        Rows of the table before these.
    """
    array = _cast(array, item, before)
    if not item.nullable and array.null_count:
        row = before + pc.index(pc.is_null(array), True).as_py() + 1
        raise UsageError(
            f"column {item.name}, row {row}: there is no value, and it may not be NULL"
        )
    if pa.types.is_string(array.type):
        bound, _ = text_length(item.column)
        if bound is not None:
            _check(pc.less_equal(pc.utf8_length(array), bound), array, item, before)
    elif pa.types.is_list(array.type):
        _check_lengths(array, item, before)
    return array


def _cast(array: pa.Array, item: DeclaredColumn, before: int) -> pa.Array:
    wanted = _type(item)
    if array.type == wanted:
        return array
    if pa.types.is_null(array.type):
        return array.cast(wanted)
    from_list, to_list = pa.types.is_list(array.type), pa.types.is_list(wanted)
    if from_list != to_list or (pa.types.is_string(array.type) and not pa.types.is_string(wanted)):
        raise UsageError(
            f"column {item.name}: the file has {_kind(array.type)} and the declaration"
            f" {_kind(wanted)}"
        )
    try:
        return _numbers(array, wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        _name_value(array, item, before)
        raise


def _numbers(array: pa.Array, wanted: pa.DataType) -> pa.Array:
    if pa.types.is_list(wanted):
        inner = _numbers(array.flatten(), wanted.value_type)
        lengths = pc.fill_null(pc.list_value_length(array), 0)
        offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths)])
        return pa.ListArray.from_arrays(offsets, inner, mask=pc.is_null(array))
    if pa.types.is_string(wanted):
        return array.cast(pa.string())
    if pa.types.is_boolean(wanted) and not _are_flags(array):
        raise pa.ArrowInvalid("neither 0 nor 1")
    if pa.types.is_integer(wanted) and pa.types.is_floating(array.type):
        return array.cast(pa.float64()).cast(wanted)
    if pa.types.is_floating(wanted) and pa.types.is_integer(array.type):
        # Whole numbers beyond 2**53 are rounded, as the declaration wants it.
        return array.cast(wanted, safe=False)
    cast = array.cast(wanted)
    if (
        wanted == pa.float32()
        and pc.any(pc.and_(pc.is_inf(cast), pc.invert(pc.is_inf(array))), min_count=0).as_py()
    ):
        raise pa.ArrowInvalid("beyond the range of a float")
    return cast


def _are_flags(array: pa.Array) -> bool:
    flags = pc.is_in(array.cast(pa.float64()).drop_null(), pa.array([0.0, 1.0]))
    return bool(pc.all(flags, min_count=0).as_py())


def _name_value(array: pa.Array, item: DeclaredColumn, before: int) -> None:
    """Name the first value that does not fit.

    Raises
    ------
    UsageError
        If there is one.
    """
    wanted = _type(item)
    for row in range(len(array)):
        try:
            _numbers(array.slice(row, 1), wanted)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            value = str(array[row].as_py())[:40]
            raise UsageError(
                f"column {item.name}, row {before + row + 1}: {value} does not fit the type"
                f" {item.column.datatype} that is declared"
            ) from None


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return "arrays"
    if pa.types.is_string(kind):
        return "texts"
    return "truth values" if pa.types.is_boolean(kind) else "numbers"


def _check(fits: pa.Array, array: pa.Array, item: DeclaredColumn, before: int) -> None:
    """See that all values fit.

    Raises
    ------
    UsageError
        If not; names the first that does not.
    """
    place = pc.index(fits, False).as_py()
    if place < 0:
        return
    value = array[place].as_py()
    size = item.column.arraysize
    raise UsageError(
        f"column {item.name}, row {before + place + 1}: {str(value)[:40]!r} has the length"
        f" {len(value)} and the arraysize that is declared is {'1' if size is None else size}"
    )


def _check_lengths(array: pa.Array, item: DeclaredColumn, before: int) -> None:
    column = item.column
    lengths = pc.list_value_length(array)
    length = array_length(column)
    if length is not None:
        _check(pc.equal(lengths, length), array, item, before)
        return
    *inner, last = (column.arraysize or "*").split("x")
    step = 2 if column.datatype.endswith("Complex") else 1
    for size in inner:
        step *= int(size)
    whole = pc.equal(pc.multiply(pc.divide(lengths, step), step), lengths)
    _check(whole, array, item, before)
    if last != "*":
        _check(pc.less_equal(lengths, int(last.removesuffix("*")) * step), array, item, before)
