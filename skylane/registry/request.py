"""A request of OAI-PMH 2.0, checked; and the pages of long lists."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from typing_extensions import override

from vodal.errors import UsageError

__all__ = ["VERBS", "Asked", "OaiError", "Selection", "read_asked", "read_selection"]

Code = Literal[
    "badArgument", "badResumptionToken", "badVerb", "cannotDisseminateFormat", "idDoesNotExist",
    "noRecordsMatch",
]  # fmt: skip
"""Of section 3.6; the other two (noMetadataFormats, noSetHierarchy) have no cause here."""


class OaiError(UsageError):
    """What is wrong with a request, told within an answer (OAI-PMH 2.0 section 3.6)."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code

    @override
    def __reduce__(self) -> tuple[type[OaiError], tuple[Code, str]]:
        return type(self), (self.code, self.message)


@dataclass(frozen=True, slots=True)
class _Verb:
    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    exclusive: str | None = None
    """Stands in the place of all others."""


_LIST: Final = _Verb(
    frozenset({"metadataPrefix"}), frozenset({"from", "until", "set"}), "resumptionToken"
)

_DAY: Final = r"\d{4}-\d\d-\d\d"

VERBS: Final[Mapping[str, _Verb]] = {
    "Identify": _Verb(),
    "ListMetadataFormats": _Verb(optional=frozenset({"identifier"})),
    "ListSets": _Verb(exclusive="resumptionToken"),
    "GetRecord": _Verb(frozenset({"identifier", "metadataPrefix"})),
    "ListIdentifiers": _LIST,
    "ListRecords": _LIST,
}
"""Requests and their arguments (section 4)."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request whose arguments are those of its verb."""

    verb: str
    arguments: Mapping[str, str]


def read_asked(pairs: Sequence[tuple[str, str]]) -> Asked:
    """Read a request of its parameters, whose names have a case.

    Raises
    ------
    OaiError
        badVerb or badArgument.
    """
    verbs = [value for name, value in pairs if name == "verb"]
    if len(verbs) != 1 or verbs[0] not in VERBS:
        raise OaiError("badVerb", f"verb, given once, is one of {', '.join(VERBS)}")
    verb, kind = verbs[0], VERBS[verbs[0]]
    arguments: dict[str, str] = {}
    for name, value in pairs:
        if name == "verb":
            continue
        if name not in kind.required | kind.optional | {kind.exclusive}:
            takes = [*sorted(kind.required), *sorted(kind.optional)]
            takes += [kind.exclusive] if kind.exclusive else []
            raise OaiError(
                "badArgument",
                f"{verb} takes {', '.join(takes) or 'no argument'}, not '{name[:40]}'",
            )
        if name in arguments:
            raise OaiError("badArgument", f"{name} is given more than once")
        arguments[name] = value
    if kind.exclusive in arguments:
        if len(arguments) > 1:
            raise OaiError("badArgument", f"{kind.exclusive} is given alone, with verb")
        return Asked(verb, arguments)
    missing = sorted(kind.required - arguments.keys())
    if missing:
        raise OaiError("badArgument", f"{verb} needs {' and '.join(missing)}")
    return Asked(verb, arguments)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which records of a list are asked for."""

    prefix: str
    since: str | None = None
    """First and last moment, both included, as datestamps are written."""
    until: str | None = None
    set_spec: str | None = None
    after: str | None = None
    """Identifier of the last record of the page before."""

    def token(self, after: str) -> str:
        """Give the token for the next page."""
        told = [self.prefix, self.since, self.until, self.set_spec, after]
        return base64.urlsafe_b64encode(json.dumps(told).encode()).decode()


def read_selection(arguments: Mapping[str, str]) -> Selection:
    """Read which records a list is to have.

    Raises
    ------
    OaiError
        badArgument or badResumptionToken.
    """
    token = arguments.get("resumptionToken")
    if token is not None:
        return _of_token(token)
    since, until = arguments.get("from"), arguments.get("until")
    if since is not None and until is not None and len(since) != len(until):
        raise OaiError("badArgument", "from and until are both days, or both to the second")
    first = None if since is None else _moment("from", since, "T00:00:00Z")
    last = None if until is None else _moment("until", until, "T23:59:59Z")
    if first is not None and last is not None and first > last:
        raise OaiError("badArgument", "from is after until")
    return Selection(arguments["metadataPrefix"], first, last, arguments.get("set"))


def _moment(name: str, text: str, rest: str) -> str:
    """Read a day or a moment of UTC; gives the moment."""
    whole = text + rest if re.fullmatch(_DAY, text, re.ASCII) else text
    with suppress(ValueError):
        if re.fullmatch(rf"{_DAY}T\d\d:\d\d:\d\dZ", whole, re.ASCII):
            datetime.fromisoformat(whole)
            return whole
    raise OaiError(
        "badArgument",
        f"{name} is a day (2026-01-31) or a moment of UTC (2026-01-31T04:05:06Z), not"
        f" '{text[:40]}'",
    )


def _of_token(token: str) -> Selection:
    try:
        told = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        told = None
    if (
        not isinstance(told, list)
        or len(told) != 5
        or not all(one is None or isinstance(one, str) for one in told)
        or told[0] is None
        or told[4] is None
    ):
        raise OaiError("badResumptionToken", "this is no token that an answer has given")
    return Selection(*told)
