"""The parameters of a query as one value (TAP 1.1 section 2.7, DALI 1.1 section 3.4)."""

from __future__ import annotations

from dataclasses import dataclass

from obscore.tap.settings import TapSettings
from vodal.errors import TooLargeError, UsageError
from vodal.params import Params
from vodal.tables.formats import DEFAULT, FORMATS, Format
from vodal.tables.negotiation import negotiate

__all__ = ["LANGUAGES", "QueryRequest", "read_request"]

LANGUAGES = ("ADQL", "ADQL-2.0", "ADQL-2.1")
"""What LANG may be."""

_FLAGS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}

_TEXT = next(item for item in FORMATS if item.name == "text")


@dataclass(frozen=True, slots=True)
class QueryRequest:
    """One query as asked for."""

    query: str
    max_rows: int
    """Rows to give at most; 0 asks for the columns alone."""
    format: Format
    explain: bool = False
    """Whether to say what would be done, and not to do it."""


def read_request(params: Params, settings: TapSettings, accept: str | None = None) -> QueryRequest:
    """Check the parameters of ``/sync``; unknown ones are passed over.

    Parameters
    ----------
    params
        As they were sent.
    settings
        Limits.
    accept
        The request's Accept header, for a query that names no format.

    Raises
    ------
    UsageError
        If one is missing, wrong, or asks for what the service cannot do.
    TooLargeError
        If the query's text is over the limit.
    """
    request = params.one("REQUEST", "doQuery")
    if request is None or request.lower() != "doquery":
        raise UsageError(f"REQUEST takes doQuery, not '{str(request)[:40]}'")
    language = params.required("LANG")
    if language.upper() not in LANGUAGES:
        raise UsageError(
            f"LANG '{language[:40]}' is an unknown query language;"
            f" use one of {', '.join(LANGUAGES)}"
        )
    query = params.required("QUERY")
    if len(query) > settings.max_query_chars:
        raise TooLargeError(
            f"QUERY has {len(query)} characters; this service takes {settings.max_query_chars}"
        )
    wanted = params.integer("MAXREC", settings.default_rows)
    assert wanted is not None
    explain = _flag(params, "EXPLAIN")
    chosen = negotiate(params, _TEXT if explain else DEFAULT, accept=accept)
    return QueryRequest(query, min(wanted, settings.max_rows), chosen, explain)


def _flag(params: Params, name: str) -> bool:
    text = params.one(name, "0")
    assert text is not None
    try:
        return _FLAGS[text.lower()]
    except KeyError:
        raise UsageError(f"{name} takes 1 or 0, not '{text[:40]}'") from None
