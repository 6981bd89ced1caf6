"""Which format a file has: told by its first bytes."""

from __future__ import annotations

from typing import Literal

from vodal.errors import UsageError

__all__ = ["HEAD_BYTES", "TableFormat", "sniff"]

HEAD_BYTES = 4096
"""How much of a file is looked at."""

TableFormat = Literal["votable", "text", "ecsv", "parquet", "fits", "gzip"]
"""A text has a line of names, then rows (CSV, TSV)."""

_SIGNATURES: tuple[tuple[bytes, TableFormat], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"PAR1", "parquet"),
    (b"SIMPLE  =", "fits"),
)

_REFUSED = (
    (b"PK\x03\x04", "a zip archive"),
    (b"BZh", "compressed with bzip2"),
    (b"\xfd7zXZ\0", "compressed with xz"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
    (b"ARROW1", "an Arrow file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x93NUMPY", "a numpy array"),
    (b"SQLite format 3", "a SQLite database"),
    (b"%PDF", "a PDF document"),
)

_ACCEPTED = "send a VOTable, CSV, TSV, ECSV, Parquet or a FITS table, plain or compressed with gzip"

_XML_MARKS = (b"\xff\xfe<\0", b"\xfe\xff\0<", b"<\0", b"\0<")
"""How XML in UTF-16 begins."""


def sniff(head: bytes, media_type: str = "", file_name: str = "") -> TableFormat:
    """Tell the format of a table.

    Parameters
    ----------
    head
        The first `HEAD_BYTES` of the file.
    media_type, file_name
        What the sender calls it; looked at only to name what is not read.

    Raises
    ------
    UsageError
        If it is none of the formats that are read; names what it is, if that can be told.
    """
    for signature, found in _SIGNATURES:
        if head.startswith(signature):
            return found
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    refused = _refused(head, text, media_type.lower() + file_name.lower())
    if refused is not None:
        raise UsageError(f"the file is {refused}; {_ACCEPTED}")
    if head.startswith(_XML_MARKS) or text.startswith(b"<"):
        return "votable"
    if text.startswith(b"# %ECSV"):
        return "ecsv"
    if b"\0" in head:
        raise UsageError(f"the file has no format that is known here; {_ACCEPTED}")
    return "text"


def _refused(head: bytes, text: bytes, called: str) -> str | None:
    """Say what a file is that is not read, if that can be told."""
    for signature, what in _REFUSED:
        if head.startswith(signature):
            return what
    if not head.strip(b" \t\r\n\0"):
        return "empty"
    if text[:14].lower().startswith((b"<html", b"<!doctype html")):
        return "an HTML page"
    return "JSON" if text.startswith((b"{", b"[")) and "json" in called else None
