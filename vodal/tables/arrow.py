"""Arrow's IPC streaming format, with the metadata of the columns in its schema.

Each field carries the column's ``unit``, ``ucd``, ``utype``, ``xtype``, ``description``,
``datatype`` and ``arraysize``, the schema the INFOs of the answer. A stream has no end where more
could be said, so the last batch is empty and has QUERY_STATUS in its own metadata. A failure is
raised: a reader of batches would not look for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing

import pyarrow as pa

from vodal.links import ServiceDescriptor
from vodal.tables.cells import conform
from vodal.tables.columns import Column, ResultStream, unique_names
from vodal.tables.sink import Sink
from vodal.tables.status import status_of

__all__ = ["conforming", "described_schema", "write_arrow"]

_DESCRIBED = ("datatype", "arraysize", "unit", "ucd", "utype", "xtype", "description")


def _field(name: str, column: Column) -> pa.Field:
    given = {key: getattr(column, key) for key in _DESCRIBED}
    metadata = {key: value for key, value in given.items() if value is not None}
    return pa.field(name, column.arrow_type(), metadata=metadata)


def described_schema(columns: Sequence[Column], infos: Sequence[tuple[str, str]] = ()) -> pa.Schema:
    """Give the Arrow schema of columns with their metadata; its names are unique.

    Parameters
    ----------
    columns
        The columns.
    infos
        ``(name, value)`` pairs for the schema itself.
    """
    names = unique_names(columns)
    fields = [_field(name, column) for name, column in zip(names, columns, strict=True)]
    return pa.schema(fields, metadata=dict(infos) or None)


def conforming(
    columns: Sequence[Column], schema: pa.Schema, batch: pa.RecordBatch
) -> pa.RecordBatch:
    """Give a batch with the types that its columns declare.

    Raises
    ------
    pyarrow.ArrowInvalid
        If a value does not fit.
    """
    pairs = zip(columns, batch.columns, strict=True)
    return pa.RecordBatch.from_arrays([conform(*pair) for pair in pairs], schema=schema)


def write_arrow(
    stream: ResultStream,
    *,
    resources: Sequence[ServiceDescriptor] = (),  # noqa: ARG001 - no place for them in this format
    infos: Sequence[tuple[str, str]] = (),
) -> Iterator[bytes]:
    """Write a result as an Arrow stream.

    Parameters
    ----------
    stream
        The result; its batches are closed when the writer ends or is closed.
    resources
        Taken as every writer takes them and left out.
    infos
        Metadata of the schema.

    Raises
    ------
    Exception
        What the stream raises.
    """
    with closing(stream):
        stream.start()
        schema = described_schema(stream.columns, infos)
        sink, rows = Sink(), 0
        writer = pa.ipc.new_stream(sink, schema)
        yield sink.take()
        for part in stream.pieces():
            writer.write_batch(conforming(stream.columns, schema, part))
            rows += part.num_rows
            yield sink.take()
        status = status_of(stream, rows)
        said = {"QUERY_STATUS": status.value, "QUERY_STATUS_MESSAGE": status.message}
        writer.write_batch(pa.RecordBatch.from_pylist([], schema=schema), custom_metadata=said)
        writer.close()
        yield sink.take()
