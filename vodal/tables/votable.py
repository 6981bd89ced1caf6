"""Whole VOTable documents, streamed from Arrow batches.

The first batch is taken before the document begins, so that a query that fails at once fails as a
normal error. What fails later is told by an INFO after the TABLE, as DALI 1.1 section 4.4.1 has it;
the rows before stay readable.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal

import pyarrow as pa
from pybase64 import b64encode

from vodal.links import ServiceDescriptor
from vodal.tables.binary import NULL_NUMBERS, BinaryRows, compiled, for_binary
from vodal.tables.cells import conform, is_ascii, join_lines, text
from vodal.tables.columns import Column, ResultStream, with_ids
from vodal.tables.few import FEW, tabledata_few
from vodal.tables.frames import frame_ids
from vodal.tables.markup import (
    descriptor_pieces,
    escaped_text,
    field_element,
    frame_element,
    info,
    unique_ids,
)
from vodal.tables.status import note_failure, status_of

__all__ = ["Serialization", "data_less_votable", "write_error", "write_votable"]

Serialization = Literal["BINARY", "BINARY2", "TABLEDATA"]

_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">\n'
)


@dataclass(slots=True)
class _Written:
    """What is known of the rows when they are written."""

    rows: int = 0
    replaced: set[str] = field(default_factory=set)
    """Columns where ``?`` stands for other characters."""


def _declared(columns: Sequence[Column], first: pa.RecordBatch | None) -> tuple[Column, ...]:
    """Declare as unicodeChar what holds more than ASCII.

    Readers refuse a BINARY2 table with anything else in a ``char`` column. Only the first batch
    is looked at; ``?`` stands for a character that comes later in a column declared ``char``, and
    an INFO after the table says so.
    """
    if first is None:
        return tuple(columns)
    if (module := compiled.loaded) is not None and module.is_plain(tuple(columns), first):
        return tuple(columns)
    return tuple(
        replace(column, datatype="unicodeChar")
        if column.datatype == "char" and not is_ascii(_plain(column, array))
        else column
        for column, array in zip(columns, first.columns, strict=True)
    )


def _plain(column: Column, array: pa.Array) -> pa.Array:
    """Give texts as they are; only what is no array of texts is made one."""
    return array if pa.types.is_string(array.type) else conform(column, array)


def _base64(
    columns: Sequence[Column],
    stream: ResultStream,
    written: _Written,
    serialization: Literal["BINARY", "BINARY2"],
) -> Iterator[bytes]:
    packed = BinaryRows(columns, serialization)
    left = b""
    try:
        for part in stream.pieces():
            rows = packed.pack(part)
            # Base64 goes by three bytes; what is left over goes before the next rows.
            borrowed = -len(left) % 3
            seam = left + rows[:borrowed]
            if len(seam) % 3:
                left = seam
            else:
                end = len(rows) - (len(rows) - borrowed) % 3
                left = bytes(rows[end:])
                yield b64encode(seam)
                yield b64encode(rows[borrowed:end])
            yield b"\n"
            written.rows += part.num_rows
    except Exception as error:  # noqa: BLE001 - told in the document, logged if unexpected
        note_failure(stream, error)
    written.replaced = packed.replaced
    yield b64encode(left)


def _tabledata(
    columns: Sequence[Column], stream: ResultStream, written: _Written
) -> Iterator[bytes]:
    try:
        for part in stream.pieces():
            few = tabledata_few(columns, part) if part.num_rows <= FEW else None
            yield _tabledata_many(columns, part) if few is None else few
            written.rows += part.num_rows
    except Exception as error:  # noqa: BLE001 - told in the document, logged if unexpected
        note_failure(stream, error)


def _tabledata_many(columns: Sequence[Column], part: pa.RecordBatch) -> bytes:
    cells = []
    for column, given in zip(columns, part.columns, strict=True):
        array = conform(column, given)
        strings = text(column, array)
        cells.append(escaped_text(strings) if pa.types.is_string(array.type) else strings)
    return join_lines(cells, "<TR><TD>", "</TD><TD>", "</TD></TR>\n")


def _data(
    columns: Sequence[Column],
    stream: ResultStream,
    written: _Written,
    serialization: Serialization,
) -> Iterator[bytes]:
    """Write the DATA element."""
    if serialization == "TABLEDATA":
        yield b"<DATA><TABLEDATA>\n"
        yield from _tabledata(columns, stream, written)
        yield b"</TABLEDATA></DATA>\n"
    else:
        name = serialization.encode()
        yield b'<DATA><%b><STREAM encoding="base64">\n' % name
        yield from _base64(columns, stream, written, serialization)
        yield b"\n</STREAM></%b></DATA>\n" % name


def _head(
    columns: Sequence[Column],
    infos: Sequence[tuple[str, str]],
    serialization: Serialization | None,
) -> str:
    """Write what comes before the rows."""
    return "".join(
        [
            _HEAD,
            '<RESOURCE type="results">\n',
            info("QUERY_STATUS", "OK") + "\n",
            *(info(name, value) + "\n" for name, value in infos),
            _table_head(tuple(columns), serialization == "BINARY"),
        ]
    )


@lru_cache(maxsize=256)
def _table_head(columns: tuple[Column, ...], has_null_numbers: bool) -> str:  # noqa: FBT001
    """Write frames and fields; kept, since most queries ask for the same columns."""
    nulls = NULL_NUMBERS if has_null_numbers else {}
    frames = frame_ids(column.frame for column in columns)
    fields = [
        field_element(
            column,
            nulls.get(column.datatype),
            None if column.frame is None else frames[column.frame],
        )
        for column in columns
    ]
    declared = [frame_element(frame, name) for frame, name in frames.items()]
    return "".join(line + "\n" for line in (*declared, "<TABLE>", *fields))


def _foot(
    columns: Sequence[Column],
    resources: Sequence[ServiceDescriptor],
    stream: ResultStream,
    written: _Written,
) -> str:
    """Write what comes after the rows: how they ended, and the service descriptors."""
    status = status_of(stream, written.rows)
    parts = ["</TABLE>\n"]
    if status.value != "OK":
        parts.append(info("QUERY_STATUS", status.value, status.message) + "\n")
    parts += [
        info(
            "WARNING",
            f"characters beyond ASCII in the column {name} were replaced by '?';"
            " RESPONSEFORMAT=votable/td keeps them",
        )
        + "\n"
        for name in sorted(written.replaced)
    ]
    parts.append("</RESOURCE>\n")
    frames = frame_ids(column.frame for column in columns)
    services = unique_ids(resources, [*frames.values(), *(column.id for column in columns)])
    for service in services:
        parts += descriptor_pieces(service)
    parts.append("</VOTABLE>\n")
    return "".join(parts)


def write_votable(
    stream: ResultStream,
    *,
    resources: Sequence[ServiceDescriptor] = (),
    infos: Sequence[tuple[str, str]] = (),
    serialization: Serialization = "BINARY2",
) -> Iterator[bytes]:
    """Write a result as a VOTable.

    Every FIELD gets an ID (`vodal.tables.columns.with_ids`). A null number is an empty cell, a
    set bit or the number that VALUES names, a null text reads back as empty text in most readers.

    Parameters
    ----------
    stream
        The result; its batches are closed when the writer ends or is closed.
    resources
        Service descriptors, written after the results.
    infos
        ``(name, value)`` pairs, written before the table.
    serialization
        Form of the rows.

    Raises
    ------
    Exception
        What the stream raises before its first batch; later failures are told in the document.
    """
    with closing(stream):
        columns = _declared(with_ids(stream.columns), stream.start())
        if serialization == "BINARY":
            columns = tuple(for_binary(column) for column in columns)
        yield _head(columns, infos, serialization).encode()
        written = _Written()
        if columns:
            yield from _data(columns, stream, written, serialization)
        yield _foot(columns, resources, stream, written).encode()


def data_less_votable(
    stream: ResultStream,
    rows: int,
    *,
    resources: Sequence[ServiceDescriptor] = (),
    infos: Sequence[tuple[str, str]] = (),
) -> bytes:
    """Write the VOTable of a result without its rows, for formats that carry it beside them.

    Parameters
    ----------
    stream
        The result, after its last batch.
    rows
        How many there were.
    resources, infos
        As in `write_votable`.
    """
    columns = with_ids(stream.columns)
    foot = _foot(columns, resources, stream, _Written(rows))
    return (_head(columns, infos, None) + foot).encode()


def write_error(message: str, *, infos: Sequence[tuple[str, str]] = ()) -> bytes:
    """Write a VOTable that tells an error (DALI 1.1 section 4.4.1).

    Parameters
    ----------
    message
        What the user is told.
    infos
        More ``(name, value)`` pairs.
    """
    more = "".join(info(name, value) + "\n" for name, value in infos)
    status = info("QUERY_STATUS", "ERROR", message)
    return f'{_HEAD}<RESOURCE type="results">\n{status}\n{more}</RESOURCE>\n</VOTABLE>\n'.encode()
