"""JSON: the columns' metadata, the rows, and how they ended, streamed.

    {"metadata": [{"name": "s_ra", "datatype": "double", "unit": "deg", ...}, ...],
     "info": [{"name": "QUERY", "value": "SELECT ..."}, ...],
     "data": [[12.5, "image", null], ...],
     "status": {"value": "OK", "message": ""}}

Null is ``null``. JSON has no NaN and no infinities: they are the texts ``"NaN"``, ``"Infinity"``
and ``"-Infinity"``, which ``float`` of Python and ``Number`` of JavaScript take. Complex values are
pairs of numbers, bits 0 and 1. Numbers of more than 53 bits are written with all their digits.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing

import pyarrow as pa
import pyarrow.compute as pc

from vodal.links import ServiceDescriptor
from vodal.tables.cells import EMPTY, conform, holds, join_lines, list_text, number_text, text
from vodal.tables.columns import Column, ResultStream
from vodal.tables.status import note_failure, status_of

__all__ = ["write_json"]

_METADATA = ("name", "datatype", "arraysize", "unit", "ucd", "utype", "xtype", "description", "id")

_NULL = pa.scalar("null", pa.string())
_QUOTE, _OPEN, _CLOSE = (pa.scalar(sign, pa.string()) for sign in ('"', "[", "]"))
_NAMES = tuple(pa.scalar(f'"{name}"', pa.string()) for name in ("NaN", "Infinity", "-Infinity"))


def _described(column: Column) -> dict[str, str]:
    given = {key: getattr(column, key) for key in _METADATA}
    return {key: value for key, value in given.items() if value is not None}


def _head(stream: ResultStream, infos: Sequence[tuple[str, str]]) -> bytes:
    metadata = ",\n".join(json.dumps(_described(column)) for column in stream.columns)
    listed = json.dumps([{"name": name, "value": value} for name, value in infos])
    return f'{{"metadata": [\n{metadata}],\n"info": {listed},\n"data": [\n'.encode()


def _text(column: Column, array: pa.Array) -> pa.Array:
    strings = text(column, array)
    if holds(strings, b'"\\\t\n\r'):
        for raw, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\t", "\\t"), ("\n", "\\n"),
                             ("\r", "\\r")):  # fmt: skip
            strings = pc.replace_substring(strings, pattern=raw, replacement=escaped)
    return pc.binary_join_element_wise(_QUOTE, strings, _QUOTE, EMPTY)


def _list(array: pa.Array) -> pa.Array:
    cells = pc.fill_null(_plain(array.flatten()), _NULL)
    return pc.binary_join_element_wise(_OPEN, list_text(array, cells, ","), _CLOSE, EMPTY)


def _plain(array: pa.Array) -> pa.Array:
    return number_text(array, *_NAMES)


def _cells(column: Column, array: pa.Array) -> pa.Array:
    """Give the cells of a conforming array as JSON."""
    if column.datatype == "bit":
        wanted = pa.list_(pa.uint8()) if pa.types.is_list(array.type) else pa.uint8()
        array = array.cast(wanted)
    if pa.types.is_string(array.type):
        cells = _text(column, array)
    elif pa.types.is_list(array.type):
        cells = _list(array)
    else:
        cells = _plain(array)
    return pc.fill_null(cells, _NULL) if cells.null_count else cells


def write_json(
    stream: ResultStream,
    *,
    resources: Sequence[ServiceDescriptor] = (),  # noqa: ARG001 - no place for them in this format
    infos: Sequence[tuple[str, str]] = (),
) -> Iterator[bytes]:
    """Write a result as JSON.

    Parameters
    ----------
    stream
        The result; its batches are closed when the writer ends or is closed.
    resources
        Taken as every writer takes them and left out.
    infos
        Listed before the rows.

    Raises
    ------
    Exception
        What the stream raises before its first batch; later failures are told in ``status``.
    """
    with closing(stream):
        stream.start()
        yield _head(stream, infos)
        rows, between = 0, b""
        try:
            for part in stream.pieces():
                pairs = zip(stream.columns, part.columns, strict=True)
                cells = [_cells(column, conform(column, array)) for column, array in pairs]
                lines = join_lines(cells, "[", ",", "],\n")
                yield between + lines[:-2]
                between = b",\n"
                rows += part.num_rows
        except Exception as error:  # noqa: BLE001 - told in the document, logged if unexpected
            note_failure(stream, error)
        status = status_of(stream, rows)
        told = json.dumps({"value": status.value, "message": status.message})
        yield f'],\n"status": {told}}}\n'.encode()
