"""Parquet, with the VOTable that describes it in its footer (VOParquet 1.0, an IVOA Note of 2025).

The file is sent row group by row group. Its footer comes last and holds the whole of what is known
by then: the metadata of the columns as a VOTable without DATA, service descriptors, the INFOs and
how the query ended. The key ``QUERY_STATUS`` repeats the end for readers that know no VOTable, and
the Arrow schema in the footer has it among its metadata, beside the units and UCDs of the fields. A
failure is raised: without its footer a Parquet file cannot be taken for a whole one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet
from pybase64 import b64encode

from vodal.links import ServiceDescriptor
from vodal.tables.arrow import conforming, described_schema
from vodal.tables.columns import Column, ResultStream
from vodal.tables.sink import Sink
from vodal.tables.status import status_of
from vodal.tables.votable import data_less_votable

__all__ = ["write_parquet"]

_GROUP_ROWS = 100_000
_GROUP_BYTES = 16 * 1024 * 1024
"""A row group is written when either is reached: it is what the answer holds in memory."""


def _groups(stream: ResultStream, schema: pa.Schema, group_bytes: int) -> Iterator[pa.Table]:
    """Give the rows in pieces of the size of a row group."""
    waiting: list[pa.RecordBatch] = []
    rows = size = 0
    for part in stream.pieces():
        waiting.append(conforming(stream.columns, schema, part))
        rows += part.num_rows
        size += part.nbytes
        if rows >= _GROUP_ROWS or size >= group_bytes:
            yield pa.Table.from_batches(waiting)
            waiting, rows, size = [], 0, 0
    if waiting:
        yield pa.Table.from_batches(waiting)


def write_parquet(
    stream: ResultStream,
    *,
    resources: Sequence[ServiceDescriptor] = (),
    infos: Sequence[tuple[str, str]] = (),
    group_bytes: int = _GROUP_BYTES,
) -> Iterator[bytes]:
    """Write a result as Parquet; its pages are compressed with Snappy, which every reader knows.

    Parameters
    ----------
    stream
        The result; its batches are closed when the writer ends or is closed.
    resources, infos
        Written into the VOTable of the footer.
    group_bytes
        Of a row group; the writer holds about four times that.

    Raises
    ------
    Exception
        What the stream raises.
    """
    with closing(stream):
        stream.start()
        schema = described_schema(stream.columns)
        sink, rows = Sink(), 0
        # The schema is stored at the end, when its metadata are known.
        writer = parquet.ParquetWriter(sink, schema, compression="snappy", store_schema=False)
        with closing(writer):
            yield sink.take()
            longest: dict[str, int] = {}
            for group in _groups(stream, schema, group_bytes):
                writer.write_table(group)
                rows += group.num_rows
                _measure(group, longest)
                yield sink.take()
            writer.add_key_value_metadata(_footer(stream, schema, rows, longest, resources, infos))
        yield sink.take()


def _measure(group: pa.Table, longest: dict[str, int]) -> None:
    """Note how long the texts are, for astropy: told none, it fails on a null (seen in 8.0)."""
    for name, column in zip(group.schema.names, group.columns, strict=True):
        if pa.types.is_string(column.type):
            length = pc.max(pc.binary_length(column)).as_py() or 1
            longest[name] = max(longest.get(name, 1), length)


def _footer(
    stream: ResultStream,
    schema: pa.Schema,
    rows: int,
    longest: Mapping[str, int],
    resources: Sequence[ServiceDescriptor],
    infos: Sequence[tuple[str, str]],
) -> dict[str, str]:
    # Readers match the FIELDs by name or by place.
    renamed = zip(stream.columns, schema.names, strict=True)
    stream.columns = tuple(
        _bounded(replace(column, name=name), longest) for column, name in renamed
    )
    votable = data_less_votable(stream, rows, resources=resources, infos=infos)
    status = {"QUERY_STATUS": status_of(stream, rows).value}
    lengths = {f"table::len::{name}": str(length) for name, length in longest.items()}
    described = schema.with_metadata(status | lengths).serialize()
    return {
        "IVOA.VOTable-Parquet.version": "1.0",
        "IVOA.VOTable-Parquet.content": votable.decode(),
        "ARROW:schema": b64encode(described).decode(),
        **status,
    }


def _bounded(column: Column, longest: Mapping[str, int]) -> Column:
    """Declare how long the texts are; astropy 8.0 does not join FIELDs of ``*`` to the rows."""
    if column.arraysize == "*" and column.name in longest:
        return replace(column, arraysize=f"{longest[column.name]}*")
    return column
