"""Rules of a HiPS list (HiPS 1.0 section 5.2)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from hips.check.finding import Finding, error, warning
from hips.check.keywords import is_minute

__all__ = ["check_list"]

_NEEDED: Final = ("creator_did", "hips_release_date", "hips_service_url", "hips_status")


def check_list(data: bytes) -> list[Finding]:
    """Check the list of a node.

    Parameters
    ----------
    data
        What the node's URL of the list gives.

    Returns
    -------
    list of Finding
        Each names its record, counted from 1.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        return [error("5.2", "list-encoding", "list", f"is not UTF-8: {fault}")]
    records = [part for part in re.split(r"\r?\n[ \t]*\r?\n", text) if _lines(part)]
    if not records:
        return [error("5.2", "list-empty", "list", "names no HiPS")]
    findings, seen = [], set()
    for number, record in enumerate(records, 1):
        values = {}
        for line in _lines(record):
            key, equals, value = line.partition("=")
            if not equals:
                say = f"the line '{line[:60]}' has no '='"
                findings.append(error("5.2", "list-syntax", f"record {number}", say))
            values[key.strip()] = value.strip()
        findings += _record(values, f"record {number}")
        url = values.get("hips_service_url")
        if url in seen:
            say = f"hips_service_url {url} is that of an earlier record"
            findings.append(warning("5.2", "list-repeated", f"record {number}", say))
        seen.add(url)
    return findings


def _lines(record: str) -> list[str]:
    return [line for line in record.splitlines() if line.strip() and not line.startswith("#")]


def _record(values: dict[str, str], where: str) -> Iterator[Finding]:
    name = values.get("creator_did", "")
    place = f"{where} {name}".strip()
    for key in _NEEDED:
        if not values.get(key):
            yield error("5.2", "list-mandatory", place, f"{key} is missing")
    stamp, url = values.get("hips_release_date"), values.get("hips_service_url")
    if stamp and not is_minute(stamp):
        say = f"hips_release_date '{stamp}' is not of the form YYYY-mm-ddTHH:MMZ"
        yield error("5.2", "list-date", place, say)
    if url and not re.match(r"https?://\S+$", url):
        yield error("5.2", "list-url", place, f"hips_service_url '{url}' is no URL")
    if "private" in values.get("hips_status", "").split():
        yield warning("5.2", "list-private", place, "hips_status is private")
