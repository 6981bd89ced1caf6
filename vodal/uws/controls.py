"""What a request asks of a job, beside the parameters that belong to the job.

UWS 1.1 section 2.2 has a resource for each; a job may be made with them at once.
"""

from __future__ import annotations

from vodal.errors import UsageError
from vodal.params import Params
from vodal.uws.jobs import Phase, parse_time

__all__ = [
    "asked_command",
    "asked_destruction",
    "asked_duration",
    "asked_phase",
    "asks_to_run",
    "job_params",
]

_LONGEST_DURATION_S = 2**31 - 1
"""``xs:int`` of the schema."""

_CONTROLS = {"PHASE", "ACTION", "EXECUTIONDURATION", "DESTRUCTION"}


def job_params(params: Params) -> list[tuple[str, str]]:
    """Give the parameters that belong to a job."""
    return [
        (name, value)
        for name, values in params.items()
        if name not in _CONTROLS
        for value in values
    ]


def asked_phase(text: str) -> Phase:
    """Read the name of a phase.

    Raises
    ------
    UsageError
        If there is no such phase.
    """
    try:
        return Phase(text.upper())
    except ValueError:
        raise UsageError(f"PHASE '{text[:40]}' is none of {', '.join(Phase)}") from None


def asks_to_run(params: Params) -> bool:
    """Say whether a job is to run as soon as it is made.

    Raises
    ------
    UsageError
        If PHASE asks for anything else.
    """
    phase = params.one("PHASE")
    if phase is not None and phase.upper() != "RUN":
        raise UsageError(f"PHASE takes RUN where a job is made, not '{phase[:40]}'")
    return phase is not None


def asked_command(text: str) -> str:
    """Read RUN or ABORT, in upper case.

    Raises
    ------
    UsageError
        If it is neither.
    """
    command = text.upper()
    if command not in {"RUN", "ABORT"}:
        raise UsageError(f"PHASE takes RUN or ABORT, not '{text[:40]}'")
    return command


def asked_duration(params: Params) -> int | None:
    """Give the seconds of EXECUTIONDURATION, 0 for no limit; None if it is not there.

    Raises
    ------
    UsageError
        If it is no whole number of seconds.
    """
    seconds = params.integer("EXECUTIONDURATION")
    return None if seconds is None else min(seconds, _LONGEST_DURATION_S)


def asked_destruction(params: Params) -> float | None:
    """Give DESTRUCTION in Unix seconds; None if it is not there.

    Raises
    ------
    UsageError
        If it is no time of ISO 8601.
    """
    text = params.one("DESTRUCTION")
    return None if text is None else parse_time(text, "DESTRUCTION")
