"""Parquet files, with the columns' metadata of VOParquet, or of astropy, where it is there.

The sizes that the file claims are checked first; what it takes beyond them is bounded by the
memory of the process that reads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from vodal.errors import SkylaneError, UsageError
from vodal.tables.columns import Column
from vodal.tables.readers.declared import declared_columns
from vodal.tables.readers.ecsv import described
from vodal.tables.readers.limits import ReadLimits, over
from vodal.tables.readers.sink import TableSink
from vodal.tables.readers.yamlheader import load_header

__all__ = ["read_parquet"]

_VOTABLE_KEY = b"IVOA.VOTable-Parquet.content"
"""Where VOParquet 1.0 keeps a VOTable without data that describes the columns."""

_ASTROPY_KEY = b"table_meta_yaml"
"""Where astropy's ``Table.write`` keeps what stands in the header of an ECSV."""

_BATCH_ROWS = 10_000

_MAX_METADATA = 16 << 20
"""Bytes of the file's footer that are parsed."""

_DATATYPES: dict[pa.DataType, tuple[str, pa.DataType]] = {
    pa.bool_(): ("boolean", pa.bool_()),
    pa.uint8(): ("unsignedByte", pa.uint8()),
    pa.int8(): ("short", pa.int16()),
    pa.int16(): ("short", pa.int16()),
    pa.uint16(): ("int", pa.int32()),
    pa.int32(): ("int", pa.int32()),
    pa.uint32(): ("long", pa.int64()),
    pa.int64(): ("long", pa.int64()),
    pa.uint64(): ("long", pa.int64()),
    pa.float16(): ("float", pa.float32()),
    pa.float32(): ("float", pa.float32()),
    pa.float64(): ("double", pa.float64()),
}


@dataclass(frozen=True, slots=True)
class _Source:
    """A column of the file and how it becomes one of ours."""

    column: Column
    convert: Callable[[pa.Array], pa.Array]


def read_parquet(source: Path, target: Path, limits: ReadLimits) -> TableSink:
    """Read a Parquet file.

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
        If it is damaged, or a column is of a type that no table here has; names it.
    TooLargeError
        If it is over a limit, by what it claims or by what it holds.
    """
    try:
        with parquet.ParquetFile(
            source,
            thrift_string_size_limit=_MAX_METADATA,
            thrift_container_size_limit=_MAX_METADATA,
        ) as file:
            _check_claims(file.metadata, limits)
            sources = [_source(field) for field in file.schema_arrow]
            # Of the footer itself: a stored Arrow schema would hide it.
            kept = file.metadata.metadata or {}
            if _VOTABLE_KEY in kept:
                sources = _with_metadata(sources, kept[_VOTABLE_KEY], limits)
            elif _ASTROPY_KEY in kept:
                sources = _with_header(sources, kept[_ASTROPY_KEY])
            sink = TableSink(target, [item.column for item in sources], limits)
            with sink:
                for batch in file.iter_batches(_BATCH_ROWS, use_threads=False):
                    sink.write(
                        [
                            item.convert(array)
                            for item, array in zip(sources, batch.columns, strict=True)
                        ]
                    )
            return sink
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError, OverflowError) as error:
        sentence = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise UsageError(f"the Parquet file cannot be read: {sentence}") from None


def _check_claims(metadata: parquet.FileMetaData, limits: ReadLimits) -> None:
    if metadata.num_rows > limits.max_rows:
        raise over("more rows", "max_rows", limits.max_rows)
    if metadata.num_columns > limits.max_columns:
        raise over("more columns", "max_columns", limits.max_columns)
    size = sum(
        metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups)
    )
    if size > limits.max_table_bytes:
        raise over("more bytes decompressed", "max_table_bytes", limits.max_table_bytes)


def _with_metadata(sources: list[_Source], text: bytes, limits: ReadLimits) -> list[_Source]:
    """Give the columns what the VOTable of VOParquet says of them."""
    try:
        declared = declared_columns(text, limits)
    except SkylaneError as error:
        raise UsageError(f"the metadata of VOParquet cannot be read: {error}") from None
    by_name = {column.name: column for column in declared}
    return [
        replace(item, column=_described(item.column, by_name[item.column.name]))
        if item.column.name in by_name
        else item
        for item in sources
    ]


def _with_header(sources: list[_Source], text: bytes) -> list[_Source]:
    """Give the columns what astropy's header says of them."""
    try:
        header = load_header(text.decode("utf-8", "replace"))
    except UsageError as error:
        raise UsageError(f"astropy's metadata cannot be read: {error.message}") from None
    found = header.get("datatype")
    by_name = {
        str(one.get("name")): one
        for one in (found if isinstance(found, list) else ())
        if isinstance(one, dict)
    }
    return [
        replace(item, column=described(item.column, by_name[item.column.name]))
        if item.column.name in by_name
        else item
        for item in sources
    ]


def _described(column: Column, declared: Column) -> Column:
    """Give a column the metadata that was declared for it, and its type if it carries the same."""
    if declared.arrow_type() == column.arrow_type():
        return declared
    return replace(declared, name=column.name, datatype=column.datatype, arraysize=column.arraysize)


def _source(field: pa.Field) -> _Source:
    kind = field.type
    if pa.types.is_dictionary(kind):
        inner = _source(pa.field(field.name, kind.value_type))
        return _Source(inner.column, lambda array: inner.convert(array.dictionary_decode()))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or kind == pa.string_view():
        return _Source(Column(field.name, "char", "*"), lambda array: array.cast(pa.string()))
    if pa.types.is_null(kind):
        return _Source(Column(field.name, "char", "*"), lambda array: array.cast(pa.string()))
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return _Source(Column(field.name, "char", "*", xtype="timestamp"), _iso_texts)
    if pa.types.is_decimal(kind):
        return _Source(Column(field.name, "double"), lambda array: array.cast(pa.float64()))
    if kind in _DATATYPES:
        datatype, wanted = _DATATYPES[kind]
        return _Source(Column(field.name, datatype), lambda array: array.cast(wanted))
    fixed = pa.types.is_fixed_size_list(kind)
    if (fixed or pa.types.is_list(kind) or pa.types.is_large_list(kind)) and (
        kind.value_type in _DATATYPES
    ):
        datatype, wanted = _DATATYPES[kind.value_type]
        size = str(kind.list_size) if fixed and kind.list_size else "*"
        column = Column(field.name, datatype, size)
        return _Source(column, lambda array: array.cast(pa.list_(wanted)))
    raise UsageError(
        f"the column '{field.name[:80]}' is of the type {str(kind)[:80]}; numbers, booleans, texts,"
        " times and lists of numbers or booleans are read"
    )


def _iso_texts(array: pa.Array) -> pa.Array:
    """Write times as DALI has them: UTC, without a zone."""
    if pa.types.is_date(array.type):
        return array.cast(pa.date32()).cast(pa.string())
    # A zone is only how times are shown; the values are UTC.
    plain = array.cast(pa.timestamp(array.type.unit))
    return pc.strftime(plain, format="%Y-%m-%dT%H:%M:%S")
