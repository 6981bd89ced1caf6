"""ECSV (Enhanced Character-Separated Values 1.0, APE 6): a YAML header in comments, then rows.

Read are columns of numbers, booleans and texts, and of arrays of numbers and booleans, which are
written as JSON. What makes objects elsewhere (mixed-in columns, ``object``) is refused or read as
the plain columns that it is written as.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.compute as pc

from vodal.errors import TooLargeError, UsageError
from vodal.tables.columns import Column
from vodal.tables.readers.limits import ReadLimits, over
from vodal.tables.readers.sink import TableSink
from vodal.tables.readers.yamlheader import load_header

__all__ = ["described", "read_ecsv"]

_LONGEST_HEADER = 1 << 20
"""Characters."""
_BATCH_ROWS = 10_000
_VERSIONS = re.compile(r"#\s*%ECSV\s+(0\.9|1\.[0-9]+)\s*")
_SUBTYPE = re.compile(r"([a-z0-9]+)\[((?:[0-9]{1,9}|null)(?:,(?:[0-9]{1,9}|null))*)\]")

_WHOLE = r"^[+-]?[0-9]{1,20}$"
_REAL = r"^(?i:[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|nan|[+-]?inf(?:inity)?)$"
_FLAG = r"^(?i:true|false|0|1)$"


@dataclass(frozen=True, slots=True)
class _Scalar:
    """How cells of one datatype are written, and what they become."""

    datatype: str
    """Of VOTable."""
    pattern: str
    kind: pa.DataType


_SCALARS = {
    "bool": _Scalar("boolean", _FLAG, pa.bool_()),
    "int8": _Scalar("short", _WHOLE, pa.int16()),
    "int16": _Scalar("short", _WHOLE, pa.int16()),
    "int32": _Scalar("int", _WHOLE, pa.int32()),
    "int64": _Scalar("long", _WHOLE, pa.int64()),
    "uint8": _Scalar("unsignedByte", _WHOLE, pa.uint8()),
    "uint16": _Scalar("int", _WHOLE, pa.int32()),
    "uint32": _Scalar("long", _WHOLE, pa.int64()),
    "uint64": _Scalar("long", _WHOLE, pa.int64()),
    "float16": _Scalar("float", _REAL, pa.float32()),
    "float32": _Scalar("float", _REAL, pa.float32()),
    "float64": _Scalar("double", _REAL, pa.float64()),
    "float128": _Scalar("double", _REAL, pa.float64()),
}


@dataclass(frozen=True, slots=True)
class _EcsvColumn:
    """A column of the file and how its texts become values; raises ValueError if they do not."""

    column: Column
    called: str
    """What the file calls the type."""
    convert: Callable[[pa.Array], pa.Array]


def read_ecsv(source: Path, target: Path, limits: ReadLimits) -> TableSink:
    """Read ECSV, UTF-8; cells with nothing in them are null.

    Parameters
    ----------
    source
        The file.
    target
        The Arrow file to write.
    limits
        Of the table.

    Raises
    ------
    UsageError
        If the header cannot be read, a column is of a type that no table here has, or a cell is
        not of its column's type; names it.
    TooLargeError
        If it is over a limit.
    """
    csv.field_size_limit(limits.max_cell_bytes)
    try:
        with source.open(encoding="utf-8-sig", newline="") as file:
            header, first = _header(file)
            columns = [_column(one) for one in _declared(header, limits)]
            rows = _rows(file, first, _delimiter(header), columns)
            sink = TableSink(target, [one.column for one in columns], limits)
            with sink:
                begun = 1
                while batch := list(islice(rows, _BATCH_ROWS)):
                    sink.write(_converted(columns, batch, begun))
                    begun += len(batch)
            return sink
    except UnicodeDecodeError:
        raise UsageError("the text is not UTF-8") from None
    except csv.Error as error:
        if "field limit" in str(error):
            raise over("a longer cell", "max_cell_bytes", limits.max_cell_bytes) from None
        raise UsageError(f"the rows cannot be read: {error}") from None


def _header(file: TextIO) -> tuple[Mapping[str, Any], str]:
    """Read the header; gives it with the line behind it."""
    first = file.readline(_LONGEST_HEADER)
    if not _VERSIONS.fullmatch(first.strip()):
        raise UsageError(f"'{first.strip()[:40]}' is no version of ECSV that is read; 1.0 is")
    lines, length = [], 0
    while (line := file.readline(_LONGEST_HEADER)).startswith("#") or not line.strip("\r\n"):
        if not line:
            break
        length += len(line)
        if length >= _LONGEST_HEADER:
            raise TooLargeError(f"the ECSV header has more than {_LONGEST_HEADER} characters")
        lines.append(line.rstrip("\r\n").removeprefix("#").removeprefix(" "))
    return load_header("\n".join(lines)), line


def _delimiter(header: Mapping[str, Any]) -> str:
    delimiter = header.get("delimiter") or " "
    if delimiter not in {" ", ","}:
        raise UsageError(f"the delimiter of ECSV is a blank or a comma, not '{delimiter!s:.20}'")
    return str(delimiter)


def _declared(header: Mapping[str, Any], limits: ReadLimits) -> list[Mapping[str, Any]]:
    found = header.get("datatype")
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise UsageError("the ECSV header has no datatype, a list of columns")
    if len(found) > limits.max_columns:
        raise over("more columns", "max_columns", limits.max_columns)
    return found


def _text(declared: Mapping[str, Any], name: str) -> str | None:
    value = declared.get(name)
    return value if isinstance(value, str) else None


def _column(declared: Mapping[str, Any]) -> _EcsvColumn:
    name, kind = _text(declared, "name"), _text(declared, "datatype")
    if name is None or kind is None:
        raise UsageError("a column of the ECSV header lacks its name or datatype")
    subtype = _text(declared, "subtype")
    if kind == "string" and subtype is not None:
        made = _array(name, subtype)
    elif kind == "string":
        made = _EcsvColumn(Column(name, "char", "*"), kind, lambda array: array)
    elif (scalar := _SCALARS.get(kind)) is not None:
        made = _EcsvColumn(Column(name, scalar.datatype), kind, partial(_values, scalar))
    else:
        raise _unknown(name, kind)
    return replace(made, column=described(made.column, declared))


def _unknown(name: str, kind: str) -> UsageError:
    return UsageError(
        f"the column '{name[:80]}' is of the type {kind[:40]}; {', '.join(_SCALARS)}, string and"
        " arrays of numbers or booleans are read"
    )


def described(column: Column, declared: Mapping[str, Any]) -> Column:
    """Add unit and description, and what astropy keeps of a VOTable's column in ``meta``.

    Parameters
    ----------
    column
        Of the table.
    declared
        What a header's ``datatype`` says of it.
    """
    meta = declared.get("meta")
    kept: dict[str, Any] = {}
    for part in meta if isinstance(meta, list) else [meta]:
        kept.update(part if isinstance(part, dict) else {})
    return replace(
        column,
        unit=_text(declared, "unit"),
        description=_text(declared, "description"),
        ucd=_text(kept, "ucd"),
        utype=_text(kept, "utype"),
        xtype=_text(kept, "xtype"),
    )


def _array(name: str, subtype: str) -> _EcsvColumn:
    match = _SUBTYPE.fullmatch(subtype.replace(" ", ""))
    scalar = None if match is None else _SCALARS.get(match[1])
    if match is None or scalar is None or "null" in match[2].split(",")[1:]:
        raise _unknown(name, f"string of {subtype}")
    # VOTable counts the fastest axis first.
    shape = ["*" if size == "null" else size for size in reversed(match[2].split(","))]
    depth = len(shape)
    column = Column(name, scalar.datatype, "x".join(shape))
    kind = pa.list_(scalar.kind)

    def convert(array: pa.Array) -> pa.Array:
        cells = [None if text is None else _flat(text, depth) for text in array.to_pylist()]
        return pa.array(cells, kind)

    return _EcsvColumn(column, subtype, convert)


def _flat(text: str, depth: int) -> list[Any]:
    """Read an array of so many dimensions; the last varies fastest."""
    try:
        values = json.loads(text)
    except RecursionError:
        raise ValueError from None
    for _ in range(depth - 1):
        if not isinstance(values, list) or not all(isinstance(part, list) for part in values):
            raise ValueError
        values = [value for part in values for value in part]
    if not isinstance(values, list):
        raise ValueError  # noqa: TRY004 - what the cell holds is wrong, no argument
    return values


def _values(scalar: _Scalar, array: pa.Array) -> pa.Array:
    if not pc.all(pc.match_substring_regex(array, scalar.pattern), min_count=0).as_py():
        raise ValueError
    array = pc.ascii_lower(pc.replace_substring_regex(array, r"^\+", ""))
    if scalar.kind == pa.bool_():
        told = pc.is_in(array, pa.array(["true", "1"]))
        return pc.if_else(pc.is_valid(array), told, pa.scalar(None, pa.bool_()))
    return array.cast(scalar.kind)


def _rows(
    file: TextIO, first: str, delimiter: str, columns: Sequence[_EcsvColumn]
) -> Iterator[list[str]]:
    """Give the rows as texts; names and number of cells are checked."""

    def lines() -> Iterator[str]:
        yield first
        yield from file

    blank = delimiter == " "
    reader = csv.reader(lines(), delimiter=delimiter, skipinitialspace=blank, strict=True)
    names = [one.column.name for one in columns]
    number = -1
    for cells in reader:
        if blank and len(cells) == len(names) + 1 and not cells[-1]:
            cells.pop()
        if not cells:
            continue
        number += 1
        if number == 0:
            if cells != names:
                raise UsageError("the line of names differs from the names of the ECSV header")
            continue
        if len(cells) != len(names):
            raise UsageError(f"row {number}: {len(cells)} cells for {len(names)} columns")
        yield cells
    if number < 0:
        raise UsageError("the ECSV has no line of names behind its header")


def _converted(
    columns: Sequence[_EcsvColumn], batch: Sequence[list[str]], begun: int
) -> list[pa.Array]:
    arrays = []
    for one, cells in zip(columns, zip(*batch, strict=True), strict=True):
        texts = pa.array([cell or None for cell in cells], pa.string())
        try:
            arrays.append(one.convert(texts))
        except (ValueError, TypeError, OverflowError):
            raise _wrong(one, cells, begun) from None
    return arrays


def _wrong(one: _EcsvColumn, cells: Sequence[str], begun: int) -> UsageError:
    """Name the first cell that is not of its column's type."""
    for number, cell in enumerate(cells, begun):
        try:
            one.convert(pa.array([cell or None], pa.string()))
        except (ValueError, TypeError, OverflowError):
            return UsageError(
                f"row {number}: '{cell[:40]}' in the column '{one.column.name[:80]}' is no"
                f" {one.called}"
            )
    return UsageError(f"the column '{one.column.name[:80]}' cannot be read as {one.called}")
