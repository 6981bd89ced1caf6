"""How the requests of a service end, by the names that metrics have for it."""

from __future__ import annotations

from vodal.errors import DeadlineError, ServiceUnavailable, UsageError

__all__ = ["outcome_of"]


def outcome_of(error: BaseException) -> str:
    """Give the outcome of a request that an error ended.

    Returns
    -------
    str
        ``refused`` for what is wrong or too large, ``deadline`` for what is out of time, ``busy``
        for what was sent away because too much is under way, ``gone`` for what was cancelled since
        nobody waits any more, ``failed`` for all else, which is the archive's fault.
    """
    match error:
        case UsageError():
            return "refused"
        case DeadlineError():
            return "deadline"
        case ServiceUnavailable():
            return "busy"
        case Exception():
            return "failed"
        case _:
            # What is no Exception cancels.
            return "gone"
