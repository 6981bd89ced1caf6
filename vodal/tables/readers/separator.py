"""What stands between the cells of plain text: told by its lines, and by what it is called."""

from __future__ import annotations

import csv
import io

__all__ = ["find_separator"]

_SEPARATORS = (",", "\t", ";", "|")
"""In the order of preference."""
_LINES = 20


def find_separator(head: bytes, media_type: str = "", file_name: str = "") -> str:
    """Tell what separates the cells of a text.

    It is what divides the first lines into equally many cells, at least two; of several the one
    that the text is called after (``.tsv``, ``text/csv``) comes first, then comma, tab, semicolon
    and bar. A text of one column has none; then it is read as what it is called.

    Parameters
    ----------
    head
        The beginning of the file; a last line that is cut is not looked at.
    media_type, file_name
        What the sender calls it.
    """
    called = _called(media_type.lower(), file_name.lower())
    order = sorted(_SEPARATORS, key=lambda separator: separator != called)
    lines = _lines(head)
    counts = {separator: _counts(lines, separator) for separator in order}
    divides = [one for one in order if min(counts[one][:1], default=1) > 1]
    even = [one for one in divides if len(set(counts[one])) == 1]
    # A sign that is in the line of names alone belongs to a name.
    uneven = [one for one in divides if max(counts[one][1:], default=1) > 1]
    return (even or uneven or [called or ","])[0]


def _called(media_type: str, file_name: str) -> str | None:
    if media_type.startswith("text/tab-separated-values") or file_name.endswith(".tsv"):
        return "\t"
    if media_type.startswith("text/csv") or file_name.endswith(".csv"):
        return ","
    return None


def _lines(head: bytes) -> list[str]:
    """Give the first lines that hold something and are whole."""
    lines = list(io.StringIO(head.decode("utf-8-sig", "replace"), newline=""))
    whole = [line for line in lines if line.endswith(("\n", "\r"))] or lines
    return [line for line in whole if line.strip("\r\n")][:_LINES]


def _counts(lines: list[str], separator: str) -> list[int]:
    """Count the cells of each row; what is within quotes separates nothing."""
    try:
        rows = list(csv.reader(lines, delimiter=separator))
    except csv.Error:
        return []
    if len(rows) > 1 and sum(line.count('"') for line in lines) % 2:
        # The last row goes on behind the lines that are looked at.
        rows.pop()
    return [len(row) for row in rows]
