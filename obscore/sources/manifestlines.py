"""The lines of a manifest: which files there are, and what is told of them.

Three forms, told apart by the first line that is neither empty nor a comment (``#``):

- text: a URL or path a line; before it, as ``md5sum`` and ``sha256sum`` write it, a checksum
- CSV, by commas or tabs: the first line names the columns
- JSON lines: each an object, or a string with the URL

Columns of CSV and keys of JSON are ``url`` (or ``uri``, ``path``, ``file``, ``access_url``), and if
they are known ``size`` (bytes), ``etag``, ``checksum`` (or ``md5``, ``sha256``) and ``modified``;
others are passed over.
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import chain
from urllib.parse import quote, unquote, urljoin, urlsplit

from obscore.sources.base import Problem
from obscore.sources.fits import file_uri
from obscore.sources.servers import canonical_url
from vodal.errors import UsageError
from vodal.storage import FileStat

__all__ = ["Listed", "read_lines"]

_NAMES = {
    "url": ("url", "uri", "path", "file", "filename", "access_url", "location", "key"),
    "size": ("size", "bytes", "size_bytes", "content_length"),
    "etag": ("etag",),
    "checksum": ("checksum", "md5", "sha256", "sha1"),
    "modified": ("modified", "last_modified", "mtime", "date"),
}
_SUM = re.compile(r"([0-9a-fA-F]{32,128})[ \t]+\*?(\S.*)")


@dataclass(frozen=True, slots=True)
class Listed:
    """A file that is named."""

    uri: str
    line: int
    mark: str
    """All that is told of it beside its name; changes when the file does. Empty if nothing is."""
    stat: FileStat | None
    """If its version is told."""


def read_lines(lines: Iterator[str], manifest: str) -> Iterator[Listed | Problem]:
    """Read a manifest; a line that names no file is a problem of its own.

    Parameters
    ----------
    lines
        Of the manifest.
    manifest
        Its URI, to which paths are relative.

    Raises
    ------
    UsageError
        If the first line of a CSV names no column of URLs.
    """
    numbered = enumerate(lines, 1)
    kept = ((number, text) for number, line in numbered if (text := line.strip("\r\n"))
            .strip() and not text.lstrip().startswith("#"))  # fmt: skip
    first = next(kept, None)
    if first is None:
        return
    number, text = first
    if text.lstrip().startswith("<"):
        raise UsageError(f"{manifest} is HTML or XML and no list of files")
    if text.lstrip()[0] in '{"[':
        rows = _json_rows(chain([first], kept))
    elif (columns := _columns(text)) is not None:
        separator = "\t" if "\t" in text else ","
        rows = _csv_rows(kept, columns, separator)
    elif re.search(r"[,\t]", text) and not _is_place(text):
        raise UsageError(
            f"line {number} of {manifest} names no column of URLs; one is called"
            f" {', '.join(_NAMES['url'])}"
        )
    else:
        rows = _text_rows(chain([first], kept))
    for line, row in rows:
        where = f"{manifest}#line={line}"
        if isinstance(row, str):
            yield Problem(where, "bad-name", f"line {line} of the manifest {row}")
            continue
        found = _listed(row, line, manifest)
        if isinstance(found, str):
            yield Problem(where, "bad-name", f"line {line} of the manifest {found}")
        else:
            yield found


_Rows = Iterator[tuple[int, Mapping[str, str] | str]]


def _is_place(text: str) -> bool:
    return "/" in text.partition(",")[0] or "://" in text or "." in text.partition(",")[0]


def _text_rows(lines: Iterator[tuple[int, str]]) -> _Rows:
    for number, text in lines:
        found = _SUM.fullmatch(text.strip())
        yield (
            number,
            ({"url": text.strip()} if found is None else {"checksum": found[1], "url": found[2]}),
        )


def _columns(text: str) -> dict[str, int] | None:
    """Give the places of the columns that are known; None if there is none of URLs."""
    separator = "\t" if "\t" in text else ","
    names = [name.strip().strip('"').lower() for name in text.split(separator)]
    found = {
        what: names.index(name)
        for what, choice in _NAMES.items()
        if (name := next((one for one in choice if one in names), None)) is not None
    }
    return found if "url" in found else None


def _csv_rows(lines: Iterator[tuple[int, str]], columns: dict[str, int], separator: str) -> _Rows:
    for number, text in lines:
        (cells,) = csv.reader([text], delimiter=separator)
        yield (
            number,
            {what: cells[place].strip() for what, place in columns.items() if place < len(cells)},
        )


def _json_rows(lines: Iterator[tuple[int, str]]) -> _Rows:
    for number, text in lines:
        try:
            given = json.loads(text)
        except (ValueError, RecursionError):
            yield number, "is no JSON; JSON lines have an object or a string in each line"
            continue
        if isinstance(given, str):
            yield number, {"url": given}
        elif isinstance(given, dict):
            lower = {str(key).lower(): value for key, value in given.items()}
            yield (
                number,
                {
                    what: str(lower[name])
                    for what, choice in _NAMES.items()
                    if (name := next((one for one in choice if lower.get(one) is not None), None))
                },
            )
        else:
            yield number, "is neither an object nor a string"


def _listed(row: Mapping[str, str], line: int, manifest: str) -> Listed | str:
    """Make an entry, or say what is wrong with it."""
    text = row.get("url", "")
    if not text:
        return "names no file"
    uri = _uri_of(text, manifest)
    if uri is None:
        return f"names '{text[:80]}', which is no path and no URL of file, http, https or s3"
    size = row.get("size", "")
    if size and not re.fullmatch(r"\d{1,15}", size):
        return f"tells the size '{size[:20]}', which is no number of bytes"
    etag = row.get("etag", "").strip('"')
    mark = " ".join(row.get(name, "") for name in ("size", "etag", "checksum", "modified")).strip()
    stat = None
    if size and etag and not uri.startswith("file:"):
        weak = etag.startswith("W/")
        told = etag if weak else f'"{etag}"'
        stat = FileStat(int(size), f"{int(size):x}-{told}", _moment(row.get("modified", "")))
    return Listed(uri, line, mark, stat)


def _uri_of(text: str, manifest: str) -> str | None:
    if text.startswith("s3://"):
        return text
    if manifest.startswith("file:") and "://" not in text:
        folder = unquote(manifest.removeprefix("file://").rpartition("/")[0])
        return file_uri(os.path.normpath(os.path.join(folder, text)))  # noqa: PTH118
    try:
        url = urljoin(manifest, text if "://" in text else quote(text, safe="/-_.~+,=:@%"))
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme in {"http", "https"} and parts.hostname:
        query = f"?{parts.query}" if parts.query else ""
        return canonical_url(f"{parts.scheme}://{parts.netloc}{parts.path}") + query
    return url if parts.scheme == "file" and manifest.startswith("file:") else None


def _moment(text: str) -> float:
    """Read a time: ISO 8601, that of HTTP, or seconds since 1970; 0 if it is none."""
    try:
        if re.fullmatch(r"\d+(\.\d+)?", text):
            return float(text)
        if re.match(r"\d{4}-", text):
            moment = datetime.fromisoformat(text)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        return parsedate_to_datetime(text).timestamp()
    except ValueError:
        return 0.0
