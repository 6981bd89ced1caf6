"""A job as a value, its phases, and which phase may follow which (UWS 1.1 section 2.1)."""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from vodal.errors import UsageError

__all__ = [
    "FINAL",
    "TRANSITIONS",
    "WAITED",
    "Job",
    "JobError",
    "JobResult",
    "Phase",
    "is_job_id",
    "new_id",
    "parse_time",
    "time_text",
]


class Phase(StrEnum):
    """How far a job is."""

    PENDING = "PENDING"
    QUEUED = "QUEUED"
    EXECUTING = "EXECUTING"
    COMPLETED = "COMPLETED"
    ERROR = "ERROR"
    ABORTED = "ABORTED"
    UNKNOWN = "UNKNOWN"
    HELD = "HELD"
    SUSPENDED = "SUSPENDED"
    ARCHIVED = "ARCHIVED"


_BEFORE_END = (Phase.ABORTED, Phase.ARCHIVED)

TRANSITIONS: Mapping[Phase, frozenset[Phase]] = {
    Phase.PENDING: frozenset({Phase.QUEUED, *_BEFORE_END}),
    Phase.QUEUED: frozenset({Phase.EXECUTING, Phase.HELD, *_BEFORE_END}),
    Phase.HELD: frozenset({Phase.QUEUED, *_BEFORE_END}),
    # Back to the queue: its server process stopped or died.
    Phase.EXECUTING: frozenset({Phase.COMPLETED, Phase.ERROR, Phase.QUEUED, *_BEFORE_END}),
    Phase.COMPLETED: frozenset({Phase.ARCHIVED}),
    Phase.ERROR: frozenset({Phase.ARCHIVED}),
    Phase.ABORTED: frozenset({Phase.ARCHIVED}),
    Phase.ARCHIVED: frozenset(),
    # Known to clients and filters; a job of ours is never in these: a query cannot be paused, and
    # the store always knows a job's phase.
    Phase.SUSPENDED: frozenset(),
    Phase.UNKNOWN: frozenset(),
}
"""What may follow each phase; a test walks every edge on every store."""

FINAL = frozenset({Phase.COMPLETED, Phase.ERROR, Phase.ABORTED, Phase.ARCHIVED})
"""Phases in which nothing happens any more."""

WAITED = frozenset({Phase.PENDING, Phase.QUEUED, Phase.EXECUTING})
"""Phases whose end a client can wait for (UWS 1.1 section 2.2.1.3)."""


@dataclass(frozen=True, slots=True)
class JobResult:
    """One result of a job."""

    name: str
    """As in ``/results/NAME``."""
    path: str
    """Of the file, relative to the job's folder."""
    media_type: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job failed or was stopped."""

    message: str
    """For the user, with its DALI label."""
    transient: bool = False
    """Whether the same job may succeed later."""


@dataclass(frozen=True, slots=True)
class Job:
    """One job at one moment. Times are seconds since 1970, UTC, in whole milliseconds."""

    id: str
    service: str
    """Which service runs it: ``tap``."""
    phase: Phase
    created_unix_s: float
    destruction_unix_s: float
    duration_s: int
    """Seconds it may run; 0 for no limit."""
    site_url: str
    """Where its creator saw the site, without a trailing slash."""
    share: str
    """Among whom the queue is fair: the owner, or the address of one who is not known."""
    owner: str | None = None
    """None for one that belongs to whoever knows its id."""
    visitor: str | None = None
    """Digest of what a client without a name is recognised by."""
    run_id: str | None = None
    queued_unix_s: float | None = None
    started_unix_s: float | None = None
    ended_unix_s: float | None = None
    params: tuple[tuple[str, str], ...] = ()
    """Names in upper case; empty where jobs are listed."""
    results: tuple[JobResult, ...] = ()
    error: JobError | None = None
    info: tuple[tuple[str, str], ...] = ()
    """What is told of its progress: names of XML elements and their texts."""
    claim: int = 0
    """How often it was begun. Who began it earlier can write nothing any more."""
    failures: int = 0
    """How often its server process died."""


_ID_CHARACTERS = "abcdefghijkmnpqrstuvwxyz23456789"
_ID_LENGTH = 26
_ID = re.compile(rf"[{_ID_CHARACTERS}]{{{_ID_LENGTH}}}")


def new_id() -> str:
    """Make an identifier that cannot be guessed: 130 random bits."""
    return "".join(secrets.choice(_ID_CHARACTERS) for _ in range(_ID_LENGTH))


def is_job_id(text: str) -> bool:
    """Tell whether a text has the form of an identifier of ours."""
    return _ID.fullmatch(text) is not None


def time_text(unix_s: float) -> str:
    """Write a time as ``xs:dateTime`` in UTC with milliseconds."""
    moment = datetime.fromtimestamp(round(unix_s * 1000) / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


_TIME = re.compile(
    r"\s*(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?))?\s*(Z|[+-]\d\d:?\d\d)?\s*"
)


def parse_time(text: str, name: str) -> float:
    """Read an ISO 8601 time; without a zone it is UTC (DALI 1.1 section 3.3.3).

    Parameters
    ----------
    text
        The time.
    name
        Of the parameter, for the error.

    Returns
    -------
    unix_s
        Seconds since 1970.

    Raises
    ------
    UsageError
        If it is no time.
    """
    found = _TIME.fullmatch(text)
    if found is not None:
        date, clock, zone = found.groups()
        zone = "+00:00" if zone in {None, "Z"} else zone
        # Digits beyond a microsecond are more than datetime takes.
        clock = re.sub(r"(\.\d{6})\d+", r"\1", clock or "00:00:00")
        try:
            moment = datetime.fromisoformat(f"{date}T{clock}{zone}")
            seconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(seconds=1)
        except (ValueError, OverflowError):
            pass
        else:
            return math.floor(seconds * 1000 + 0.5) / 1000
    raise UsageError(f"{name} takes a time such as 2027-01-31T23:59:59Z, not '{text[:40]}'")
