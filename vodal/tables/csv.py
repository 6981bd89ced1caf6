"""Comma-separated text (RFC 4180) and tab-separated text (IANA), streamed from Arrow batches.

A null is an empty cell; in CSV an empty text is ``""``. In TSV, which cannot quote, tabs and line
ends within a text become blanks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import pyarrow as pa
import pyarrow.compute as pc

from vodal.links import ServiceDescriptor
from vodal.tables.cells import EMPTY, any_empty, conform, holds, join_lines, text
from vodal.tables.columns import ResultStream

__all__ = ["write_csv", "write_tsv"]

_QUOTED = b'",\r\n'
_QUOTE = pa.scalar('"', pa.string())
_QUOTED_EMPTY = pa.scalar('""', pa.string())


def _csv_cells(array: pa.Array) -> pa.Array:
    """Quote what needs it; an empty text is quoted to tell it from a null."""
    if holds(array, _QUOTED):
        doubled = pc.replace_substring(array, pattern='"', replacement='""')
        quoted = pc.binary_join_element_wise(_QUOTE, doubled, _QUOTE, EMPTY)
        array = pc.if_else(pc.match_substring_regex(array, '[",\r\n]'), quoted, array)
    if any_empty(array):
        array = pc.if_else(pc.equal(array, EMPTY), _QUOTED_EMPTY, array)
    return array


def _tsv_cells(array: pa.Array) -> pa.Array:
    if holds(array, b"\t\r\n"):
        array = pc.replace_substring_regex(array, pattern="[\t\r\n]+", replacement=" ")
    return array


def _write(
    stream: ResultStream,
    cells_of: Callable[[pa.Array], pa.Array],
    separator: str,
    line_end: str,
    *,
    header: bool,
) -> Iterator[bytes]:
    with closing(stream):
        stream.start()
        if header:
            names = cells_of(pa.array([column.name for column in stream.columns], pa.string()))
            yield (separator.join(names.to_pylist()) + line_end).encode()
        for part in stream.pieces():
            cells = []
            for column, given in zip(stream.columns, part.columns, strict=True):
                array = conform(column, given)
                strings = text(column, array)
                cells.append(cells_of(strings) if pa.types.is_string(array.type) else strings)
            yield join_lines(cells, "", separator, line_end)


def write_csv(
    stream: ResultStream,
    *,
    resources: Sequence[ServiceDescriptor] = (),  # noqa: ARG001 - no place for them in this format
    infos: Sequence[tuple[str, str]] = (),  # noqa: ARG001
    header: bool = True,
) -> Iterator[bytes]:
    """Write a result as CSV with CRLF line ends.

    Parameters
    ----------
    stream
        The result; its batches are closed when the writer ends or is closed.
    resources, infos
        Taken as every writer takes them and left out.
    header
        Whether the first line names the columns.

    Raises
    ------
    Exception
        What the stream raises; there is no other way to tell it in this format.
    """
    return _write(stream, _csv_cells, ",", "\r\n", header=header)


def write_tsv(
    stream: ResultStream,
    *,
    resources: Sequence[ServiceDescriptor] = (),  # noqa: ARG001 - no place for them in this format
    infos: Sequence[tuple[str, str]] = (),  # noqa: ARG001
) -> Iterator[bytes]:
    """Write a result as TSV; parameters and errors as for `write_csv`."""
    return _write(stream, _tsv_cells, "\t", "\n", header=True)
