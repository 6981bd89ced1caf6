"""Whole VOTable documents, streamed from Arrow batches.

The first batch is taken before the document begins, so that a query that fails at once fails as a
normal error. What fails later is told by an INFO after the TABLE, as DALI 1.1 section 4.4.1 has it;
the rows before stay readable.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Literal
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pybase64 import b64encode

from vodal.errors import SkylaneError
from vodal.links import ServiceDescriptor
from vodal.tables.binary2 import pack_rows
from vodal.tables.cells import conform, holds, is_ascii, text
from vodal.tables.columns import Column, ResultStream, with_ids
from vodal.tables.markup import descriptor, field, frames, info, unique_ids

__all__ = ["Serialization", "write_error", "write_votable"]

log = logging.getLogger(__name__)

Serialization = Literal["BINARY2", "TABLEDATA"]

_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">\n'
)

_SLICE_BYTES = 4 * 1024 * 1024
"""Batches are taken in slices of about this size, which bounds the memory of an answer."""

_MARKUP = np.zeros(256, dtype=np.bool_)
_MARKUP[[ord(character) for character in "&<>\r"]] = True


def _slices(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    rows = max(1, int(batch.num_rows * _SLICE_BYTES / max(batch.nbytes, 1)))
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)


def _declared(columns: Sequence[Column], first: pa.RecordBatch | None) -> tuple[Column, ...]:
    """Declare as unicodeChar what holds more than ASCII.

    Readers refuse a BINARY2 table with anything else in a ``char`` column. Only the first batch
    is looked at; ``?`` stands for a character that comes later in a column declared ``char``.
    """
    if first is None:
        return tuple(columns)
    return tuple(
        replace(column, datatype="unicodeChar")
        if column.datatype == "char" and not is_ascii(conform(column, array))
        else column
        for column, array in zip(columns, first.columns, strict=True)
    )


def _binary2(columns: Sequence[Column], batches: Iterator[pa.RecordBatch]) -> Iterator[bytes]:
    left = b""
    failure: Exception | None = None
    try:
        for batch in batches:
            for part in _slices(batch):
                rows = pack_rows(columns, part)
                # Base64 goes by three bytes; what is left over goes before the next rows.
                data = left + bytes(rows) if left else rows
                whole = len(data) - len(data) % 3
                left = bytes(data[whole:])
                yield b64encode(data[:whole]) + b"\n"
    except Exception as error:  # noqa: BLE001 - raised anew when the rows so far are whole
        failure = error
    yield b64encode(left)
    if failure is not None:
        raise failure


def _escaped(array: pa.Array) -> pa.Array:
    if not holds(array, _MARKUP):
        return array
    for raw, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\r", "&#13;")):
        array = pc.replace_substring(array, pattern=raw, replacement=entity)
    return array


def _tabledata(columns: Sequence[Column], batches: Iterator[pa.RecordBatch]) -> Iterator[bytes]:
    for batch in batches:
        for part in _slices(batch):
            cells = []
            for column, given in zip(columns, part.columns, strict=True):
                array = conform(column, given)
                strings = text(column, array)
                if pa.types.is_string(array.type):
                    strings = _escaped(strings)
                cells.append(pc.fill_null(strings, ""))
            rows = pc.binary_join_element_wise(*cells, "</TD><TD>")
            listed = pa.ListArray.from_arrays(pa.array([0, len(rows)], pa.int32()), rows)
            body = pc.binary_join(listed, "</TD></TR>\n<TR><TD>")[0].as_py()
            yield f"<TR><TD>{body}</TD></TR>\n".encode()


_DATA = {
    "BINARY2": (
        b'<DATA><BINARY2><STREAM encoding="base64">\n',
        _binary2,
        b"\n</STREAM></BINARY2></DATA>\n",
    ),
    "TABLEDATA": (b"<DATA><TABLEDATA>\n", _tabledata, b"</TABLEDATA></DATA>\n"),
}


def _failure(error: Exception) -> str:
    """Say what failed: the error's own sentence if it may be told, else an entry of the log."""
    if isinstance(error, SkylaneError):
        return str(error)
    entry = uuid4().hex[:12]
    log.error("a table failed while it was written [%s]", entry, exc_info=error)
    return f"the service failed while it wrote the table; its log tells why under {entry}"


def write_votable(
    stream: ResultStream,
    *,
    resources: Sequence[ServiceDescriptor] = (),
    infos: Sequence[tuple[str, str]] = (),
    serialization: Serialization = "BINARY2",
) -> Iterator[bytes]:
    """Write a result as a VOTable.

    Every FIELD gets an ID (`vodal.tables.columns.with_ids`). A null number is an empty cell or a
    set bit, a null text reads back as empty text in most readers.

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
    try:
        first = next(stream.batches, None)
        columns = _declared(with_ids(stream.columns), first)
        head = [
            _HEAD,
            '<RESOURCE type="results">\n',
            info("QUERY_STATUS", "OK") + "\n",
            *(info(name, value) + "\n" for name, value in infos),
            frames(columns),
            "<TABLE>\n",
            *(field(column) + "\n" for column in columns),
        ]
        yield "".join(head).encode()
        opening, rows, closing = _DATA[serialization]
        yield opening
        status = ""
        batches = stream.batches if first is None else chain([first], stream.batches)
        try:
            if columns:
                yield from rows(columns, batches)
        except Exception as error:  # noqa: BLE001 - told in the document, logged if unexpected
            status = info("QUERY_STATUS", "ERROR", _failure(error)) + "\n"
        if not status and stream.overflow:
            status = info("QUERY_STATUS", "OVERFLOW") + "\n"
        services = unique_ids(resources, [column.id for column in columns])
        described = "".join(descriptor(service) + "\n" for service in services)
        yield closing + f"</TABLE>\n{status}</RESOURCE>\n{described}</VOTABLE>\n".encode()
    finally:
        close = getattr(stream.batches, "close", None)
        if close is not None:
            close()


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
