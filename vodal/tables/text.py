"""Aligned text for a terminal.

    obs_id   s_ra   t_min
             deg    d
    -------- ------ -------
    visit 12  150.1 60310.5
    # 1 row

Names, units, a line of dashes, the rows; a null is blank and tabs and line ends become blanks. The
last line begins with ``#`` and says how the table ended. The widths are those of the longest cells
of the whole table, so the rows are kept in a temporary file until the last is known; a failure
before that is a normal error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing

import pyarrow as pa
import pyarrow.compute as pc

from vodal.links import ServiceDescriptor
from vodal.tables.cells import EMPTY, conform, holds, join_lines, text
from vodal.tables.columns import Column, ResultStream
from vodal.tables.spool import Spool
from vodal.tables.status import counted, status_of

__all__ = ["write_text"]


def _cells(column: Column, array: pa.Array) -> pa.Array:
    cells = text(column, conform(column, array))
    if pa.types.is_string(array.type) and holds(cells, b"\t\r\n"):
        cells = pc.replace_substring_regex(cells, pattern="[\t\r\n]+", replacement=" ")
    return pc.fill_null(cells, EMPTY) if cells.null_count else cells


def _is_left(column: Column) -> bool:
    """Tell whether the cells begin at the left; numbers end at the right."""
    return column.arraysize is not None or column.datatype in {"char", "unicodeChar", "boolean"}


class _Widths:
    """The widths of the columns, in characters, as the cells seen so far need them."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._left = [_is_left(column) for column in columns]
        self._titles = [(column.name, column.unit or "") for column in columns]
        self._widths = [max(1, len(name), len(unit)) for name, unit in self._titles]

    def see(self, cells: Sequence[pa.Array]) -> None:
        """Make the columns wide enough."""
        for number, array in enumerate(cells):
            longest = pc.max(pc.utf8_length(array)).as_py() or 0
            self._widths[number] = max(self._widths[number], longest)

    def header(self) -> str:
        """Give the lines before the rows."""
        named, unit = (
            [
                title.ljust(width) if left else title.rjust(width)
                for title, width, left in zip(titles, self._widths, self._left, strict=True)
            ]
            for titles in zip(*self._titles, strict=True)
        )
        rule = ["-" * width for width in self._widths]
        return "".join(" ".join(parts).rstrip() + "\n" for parts in (named, unit, rule))

    def lines(self, cells: Sequence[pa.Array]) -> bytes:
        """Give rows, aligned; the last column is not filled up."""
        padded = [
            pc.utf8_rpad(array, width) if left else pc.utf8_lpad(array, width)
            for array, width, left in zip(cells, self._widths, self._left, strict=True)
        ]
        if self._left[-1]:
            padded[-1] = cells[-1]
        return join_lines(padded, "", " ", "\n")


def write_text(
    stream: ResultStream,
    *,
    resources: Sequence[ServiceDescriptor] = (),  # noqa: ARG001 - no place for them in this format
    infos: Sequence[tuple[str, str]] = (),  # noqa: ARG001
) -> Iterator[bytes]:
    """Write a result as aligned text in UTF-8.

    Parameters
    ----------
    stream
        The result; its batches are closed when the writer ends or is closed.
    resources, infos
        Taken as every writer takes them and left out.

    Raises
    ------
    Exception
        What the stream raises, before anything is written.
    """
    columns = stream.columns
    widths, rows = _Widths(columns), 0
    schema = pa.schema([pa.field(column.name, pa.string()) for column in columns])
    with closing(stream), Spool(schema) as spool:
        for part in stream.pieces():
            pairs = zip(columns, part.columns, strict=True)
            cells = [_cells(column, array) for column, array in pairs]
            widths.see(cells)
            spool.add(pa.RecordBatch.from_arrays(cells, schema=schema))
            rows += part.num_rows
        # What the query holds is free while the client reads.
        stream.close()
        spool.finish()
        yield widths.header().encode()
        for batch in spool.batches():
            yield widths.lines(batch.columns)
        status = status_of(stream, rows)
        said = counted(rows) if status.value == "OK" else f"{status.value}: {status.message}"
        yield f"# {said}\n".encode()
