"""Conditional requests and byte ranges (RFC 9110 sections 13 and 14), without any I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Literal

__all__ = ["Validators", "make_etag", "requested_ranges"]

_ETAG = re.compile(r'\s*(W/)?("[\x21\x23-\x7e\x80-\xff]*")\s*')
_BYTE_RANGE = re.compile(r"([0-9]{1,99})-([0-9]{0,99})|-([0-9]{1,99})")

_MAX_RANGES = 64
"""More ranges than any reader of FITS asks for; a request for more gets the whole file."""


def make_etag(version: str) -> str:
    """Make a strong entity tag of a version; characters that a tag cannot hold are spelled out."""
    safe = re.sub(r"[^A-Za-z0-9._:-]", lambda match: f"~{ord(match[0]):x}~", version)
    return f'"{safe}"'


def _date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _tags(text: str) -> list[tuple[bool, str]]:
    """Read a list of entity tags as (weak, tag); what is none is left out."""
    found = (_ETAG.fullmatch(part) for part in text.split(","))
    return [(match[1] is not None, match[2]) for match in found if match is not None]


@dataclass(frozen=True, slots=True)
class Validators:
    """What identifies the present state of a file."""

    etag: str
    """Strong, with its quotes."""
    modified_unix_s: float

    @property
    def _modified(self) -> datetime:
        # HTTP dates have whole seconds.
        return datetime.fromtimestamp(int(self.modified_unix_s), UTC)

    @property
    def last_modified(self) -> str:
        """Value of Last-Modified."""
        return format_datetime(self._modified, usegmt=True)

    def _has(self, text: str, *, weak: bool) -> bool:
        if text.strip() == "*":
            return True
        return any(tag == self.etag and (weak or not is_weak) for is_weak, tag in _tags(text))

    def outcome(self, headers: Mapping[str, str]) -> Literal["proceed", "unchanged", "failed"]:
        """Evaluate the preconditions of a GET or HEAD in the order of RFC 9110 section 13.2.2.

        Parameters
        ----------
        headers
            Of the request, names without case.

        Returns
        -------
        str
            ``unchanged`` for status 304, ``failed`` for 412.
        """
        if "if-match" in headers:
            if not self._has(headers["if-match"], weak=False):
                return "failed"
        elif "if-unmodified-since" in headers:
            since = _date(headers["if-unmodified-since"])
            if since is not None and self._modified > since:
                return "failed"
        if "if-none-match" in headers:
            if self._has(headers["if-none-match"], weak=True):
                return "unchanged"
        elif "if-modified-since" in headers:
            since = _date(headers["if-modified-since"])
            if since is not None and self._modified <= since:
                return "unchanged"
        return "proceed"

    def range_holds(self, headers: Mapping[str, str]) -> bool:
        """Tell whether If-Range, if there is one, lets the Range count (section 13.1.5)."""
        text = headers.get("if-range")
        if text is None:
            return True
        if '"' in text:
            return self._has(text, weak=False)
        return _date(text) == self._modified


def requested_ranges(text: str | None, size: int) -> list[tuple[int, int]] | None:
    """Read a Range header.

    Parameters
    ----------
    text
        Its value, or None.
    size
        Of the file, in bytes.

    Returns
    -------
    list of (offset, length) or None
        In the order asked for. None if there is no range that counts: none given, another unit,
        malformed (section 14.2 has it ignored), too many, or together larger than the file. Empty
        if no range lies in the file (status 416).
    """
    if text is None:
        return None
    unit, equals, rest = text.partition("=")
    if not equals or unit.strip().lower() != "bytes":
        return None
    parts = [part.strip() for part in rest.split(",") if part.strip()]
    if not parts or len(parts) > _MAX_RANGES:
        return None
    ranges = []
    for part in parts:
        match = _BYTE_RANGE.fullmatch(part)
        if match is None:
            return None
        if match[3] is not None:
            length = min(int(match[3]), size)
            first, last = size - length, size - 1
        else:
            first, last = int(match[1]), int(match[2] or size - 1)
            if match[2] and last < first:
                return None
            last = min(last, size - 1)
        if first <= last:
            ranges.append((first, last - first + 1))
    if len(ranges) > 1 and sum(length for _, length in ranges) > size:
        # Overlapping ranges would let a small request ask for many times the file.
        return None
    return ranges
