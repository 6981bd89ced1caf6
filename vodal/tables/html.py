"""A page with a table, for a browser: units under the names, links that can be followed.

All rows are sent, since a page is also read by programs; MAXREC bounds them. Everything is escaped
and the page forbids itself scripts and anything from elsewhere, whatever the table holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing

import pyarrow as pa
import pyarrow.compute as pc

from vodal.links import ServiceDescriptor
from vodal.tables.cells import EMPTY, conform, join_lines, text
from vodal.tables.columns import Column, ResultStream
from vodal.tables.markup import escape, escaped_text
from vodal.tables.status import counted, note_failure, status_of

__all__ = ["write_error_page", "write_html"]

_STYLE = """
body { font: 14px/1.4 system-ui, sans-serif; margin: 1.5em; color: #1a1a1a; background: #fff; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2em .7em; border-bottom: 1px solid #ddd; text-align: left;
  vertical-align: top; }
td div { min-width: 16em; max-width: 32em; overflow-wrap: anywhere; }
thead { position: sticky; top: 0; background: #f3f4f6; }
th span { display: block; font-weight: normal; color: #666; min-height: 1.4em; }
dt { font-weight: bold; } dd { white-space: pre-wrap; }
.ok { color: #666; } .overflow { background: #fff3cd; padding: .6em; }
.error { background: #f8d7da; padding: .6em; white-space: pre-wrap; }
@media (prefers-color-scheme: dark) {
  body { color: #e6e6e6; background: #16181c; } thead { background: #23262c; }
  th, td { border-color: #333; } a { color: #8ab4f8; }
  .overflow { background: #5c4a00; } .error { background: #5c1a20; } }
"""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

_LINK = r"^https?://[^\s]+$"
_LONG = 24
"""Characters of a text that is broken where it must be. Shorter ones are not: without a width of
their own browsers squeeze columns of long words to a letter a line."""

_HREF, _SHOWN, _END = (
    pa.scalar(part, pa.string()) for part in ('<a rel="noreferrer" href="', '">', "</a>")
)
_WIDE, _NARROW = (pa.scalar(part, pa.string()) for part in ("<div>", "</div>"))


def _is_number(column: Column) -> bool:
    return column.arraysize is None and column.datatype not in {"char", "unicodeChar", "boolean"}


def _opening(title: str, more_style: str = "") -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<title>{title}</title>\n<style>{_STYLE}{more_style}</style>\n</head>\n<body>\n"
    )


def write_error_page(message: str) -> bytes:
    """Write a page that tells an error.

    Parameters
    ----------
    message
        What the user is told, in plain text; its lines are kept.
    """
    told = f'<p class="error">{escape(message)}</p>\n'
    return f"{_opening('The query failed')}{told}</body>\n</html>\n".encode()


def _head(stream: ResultStream, infos: Sequence[tuple[str, str]]) -> str:
    right = ", ".join(
        f"td:nth-child({number})"
        for number, column in enumerate(stream.columns, 1)
        if _is_number(column)
    )
    align = f"{right} {{ text-align: right; white-space: nowrap; }}\n" if right else ""
    about = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>\n" for name, value in infos)
    names = "".join(
        f'<th title="{escape(column.description or "")}">{escape(column.name)}'
        f"<span>{escape(column.unit or '')}</span></th>"
        for column in stream.columns
    )
    return (
        _opening("Result of a query", align)
        + f"<details><summary>About this answer</summary>\n<dl>\n{about}</dl>\n</details>\n"
        f"<table>\n<thead><tr>{names}</tr></thead>\n<tbody>\n"
    )


def _cells(column: Column, array: pa.Array) -> pa.Array:
    """Give the cells of a conforming array as markup."""
    strings = text(column, array)
    cells = _marked_up(column, strings) if pa.types.is_string(array.type) else strings
    long = pc.greater(pc.utf8_length(strings), _LONG)
    return pc.if_else(long, pc.binary_join_element_wise(_WIDE, cells, _NARROW, EMPTY), cells)


def _marked_up(column: Column, strings: pa.Array) -> pa.Array:
    shown = escaped_text(strings, quotes=True)
    if "meta.ref.url" not in (column.ucd or ""):
        return shown
    # Other schemes, such as javascript:, stay text.
    linked = pc.binary_join_element_wise(_HREF, shown, _SHOWN, shown, _END, EMPTY)
    return pc.if_else(pc.match_substring_regex(strings, _LINK), linked, shown)


def write_html(
    stream: ResultStream,
    *,
    resources: Sequence[ServiceDescriptor] = (),  # noqa: ARG001 - no place for them in this format
    infos: Sequence[tuple[str, str]] = (),
) -> Iterator[bytes]:
    """Write a result as a page.

    Parameters
    ----------
    stream
        The result; its batches are closed when the writer ends or is closed.
    resources
        Taken as every writer takes them and left out.
    infos
        Shown above the table.

    Raises
    ------
    Exception
        What the stream raises before its first batch; later failures are told under the table.
    """
    with closing(stream):
        stream.start()
        yield _head(stream, infos).encode()
        rows = 0
        try:
            for part in stream.pieces():
                pairs = zip(stream.columns, part.columns, strict=True)
                cells = [_cells(column, conform(column, array)) for column, array in pairs]
                yield join_lines(cells, "<tr><td>", "</td><td>", "</td></tr>\n")
                rows += part.num_rows
        except Exception as error:  # noqa: BLE001 - told on the page, logged if unexpected
            note_failure(stream, error)
        status = status_of(stream, rows)
        message = status.message or counted(rows)
        if status.value != "OK":
            message = f"{status.value}: {message}"
        yield (
            f'</tbody>\n</table>\n<p class="{status.value.lower()}">{escape(message)}</p>\n'
            "</body>\n</html>\n"
        ).encode()
