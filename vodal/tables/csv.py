"""Comma-separated text (RFC 4180) and tab-separated text (IANA), streamed from Arrow batches.

A null is an empty cell; in CSV an empty text is ``""``. In TSV, which cannot quote, tabs and line
ends within a text become blanks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vodal.links import ServiceDescriptor
from vodal.tables.cells import conform, holds, text
from vodal.tables.columns import ResultStream

__all__ = ["write_csv", "write_tsv"]

_SLICE_ROWS = 20_000

_QUOTED = np.zeros(256, dtype=np.bool_)
_QUOTED[[ord(character) for character in '",\r\n']] = True
_TABBED = np.zeros(256, dtype=np.bool_)
_TABBED[[ord(character) for character in "\t\r\n"]] = True


def _csv_cells(array: pa.Array) -> pa.Array:
    """Quote what needs it; an empty text is quoted to tell it from a null."""
    if holds(array, _QUOTED):
        doubled = pc.replace_substring(array, pattern='"', replacement='""')
        quoted = pc.binary_join_element_wise('"', doubled, '"', "")
        array = pc.if_else(pc.match_substring_regex(array, '[",\r\n]'), quoted, array)
    return pc.if_else(pc.equal(array, ""), '""', array)


def _tsv_cells(array: pa.Array) -> pa.Array:
    if holds(array, _TABBED):
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
    try:
        first = next(stream.batches, None)
        if header:
            names = cells_of(pa.array([column.name for column in stream.columns], pa.string()))
            yield (separator.join(names.to_pylist()) + line_end).encode()
        for batch in () if first is None else chain([first], stream.batches):
            for start in range(0, batch.num_rows, _SLICE_ROWS):
                part = batch.slice(start, _SLICE_ROWS)
                cells = []
                for column, given in zip(stream.columns, part.columns, strict=True):
                    array = conform(column, given)
                    strings = text(column, array)
                    if pa.types.is_string(array.type):
                        strings = cells_of(strings)
                    cells.append(pc.fill_null(strings, ""))
                rows = pc.binary_join_element_wise(*cells, separator)
                listed = pa.ListArray.from_arrays(pa.array([0, len(rows)], pa.int32()), rows)
                yield (pc.binary_join(listed, line_end)[0].as_py() + line_end).encode()
    finally:
        close = getattr(stream.batches, "close", None)
        if close is not None:
            close()


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
