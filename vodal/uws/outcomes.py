"""How the runs of jobs end, by the names that metrics have for it."""

from __future__ import annotations

from vodal.outcomes import outcome_of
from vodal.uws.tasks import Stop, Task

__all__ = ["stopped_outcome"]


def stopped_outcome(task: Task, error: BaseException) -> str | None:
    """Give the outcome of a run that an error ended; None if the job is run again.

    Parameters
    ----------
    task
        The run.
    error
        By which its work ended.

    Returns
    -------
    str or None
        As `outcome_of`; ``gone`` for a job that was aborted or deleted, ``deadline`` for one that
        used up its time.
    """
    match task.stop:
        case None:
            return outcome_of(error)
        case Stop.TAKEN:
            return "gone"
        case Stop.OVERTIME:
            return "deadline"
        case Stop.SHUTDOWN | Stop.LOST:
            return None
