"""The queue that several server processes share, as a seam, and the values it is asked with.

A server process takes a job by a claim: the job's counter of claims goes up and a lease begins,
which the process renews while it works. What is written to a job at work names the claim; a
process that lost its lease to another can therefore write nothing any more, however late it wakes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from vodal.uws.jobs import Job, JobError, JobResult, Phase

__all__ = ["Claim", "JobFilter", "JobStore", "Quota"]


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs a list gives (UWS 1.1 section 2.2.2.1)."""

    owner: str | None
    """Whose jobs; None for jobs without an owner, and then only those of ``visitor``."""
    visitor: str | None = None
    phases: frozenset[Phase] = frozenset()
    """Empty for all but ARCHIVED."""
    after_unix_s: float | None = None
    """Only jobs that were made later."""
    last: int = 100
    """How many, of the newest."""
    everyone: bool = False
    """Jobs of all owners and visitors; for operators."""


@dataclass(frozen=True, slots=True)
class Quota:
    """How many jobs are kept."""

    in_all: int
    per_share: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that a server process has taken."""

    job_id: str
    number: int
    """Value of the job's counter of claims."""


class JobStore(Protocol):
    """Jobs of all services. Safe to call from several threads and processes.

    Each method is one transaction; those that change a job's phase look at its phase in the same
    transaction and change nothing if the phase does not allow it. All raise `ServiceUnavailable`
    if the database is locked or away.
    """

    def create(self, job: Job, quota: Quota) -> None:
        """Add a job.

        Raises
        ------
        ServiceUnavailable
            If the quota is used up.
        """
        ...

    def get(self, job_id: str) -> Job | None:
        """Give a job whose time of destruction has not come."""
        ...

    def find(self, service: str | None, wanted: JobFilter) -> list[Job]:
        """Give the newest jobs first, without parameters; None finds those of all services."""
        ...

    def set_params(
        self, job_id: str, params: Sequence[tuple[str, str]], run_id: str | None
    ) -> bool:
        """Replace the parameters of a PENDING job."""
        ...

    def enqueue(self, job_id: str) -> bool:
        """Turn PENDING or HELD to QUEUED."""
        ...

    def hold(self, job_id: str) -> bool:
        """Turn QUEUED to HELD: not run until enqueued again."""
        ...

    def abort(self, job_id: str, error: JobError | None = None) -> bool:
        """Turn to ABORTED what has not ended."""
        ...

    def set_duration(self, job_id: str, duration_s: int) -> bool:
        """Set how long it may run, if it has not ended."""
        ...

    def set_destruction(self, job_id: str, destruction_unix_s: float) -> bool:
        """Set when it is destroyed."""
        ...

    def delete(self, job_id: str) -> bool:
        """Forget a job, whatever its phase."""
        ...

    def claim(
        self, services: Collection[str], worker: str, lease_s: float, per_share: int
    ) -> Job | None:
        """Take the next QUEUED job: EXECUTING, with a lease.

        Next is the oldest of those whose share has the fewest jobs of their service at work.

        Parameters
        ----------
        services
            Whose jobs to take.
        worker
            Name of the server process, unique for each.
        lease_s
            How long the lease lasts.
        per_share
            Jobs of one share and service at work at most.
        """
        ...

    def mine(self, worker: str) -> dict[Claim, int]:
        """Give the jobs at work that a server process still holds, with their durations."""
        ...

    def renew(
        self, worker: str, lease_s: float, info: Mapping[Claim, Sequence[tuple[str, str]]]
    ) -> None:
        """Begin the leases of a server process anew, and tell of the progress of its jobs.

        A lease that is over is renewed too, as long as nobody took the job.
        """
        ...

    def finish(
        self,
        claim: Claim,
        phase: Phase,
        *,
        results: Sequence[JobResult] = (),
        error: JobError | None = None,
        info: Sequence[tuple[str, str]] = (),
    ) -> bool:
        """Turn EXECUTING to a final phase, if the claim still holds; all at once."""
        ...

    def release(self, claim: Claim) -> bool:
        """Give a job back to the queue, if the claim still holds; not counted as a failure."""
        ...

    def recover(self, attempts: int) -> list[str]:
        """Take jobs from server processes that died; gives the ids.

        Back to QUEUED, or to ERROR for one that was begun ``attempts`` times.
        """
        ...

    def expire(self, archive_s: float) -> list[str]:
        """Forget or archive the jobs whose time of destruction has come; gives the ids.

        Parameters
        ----------
        archive_s
            How long they stay as ARCHIVED; 0 to forget them.
        """
        ...

    def phases(self, job_ids: Collection[str]) -> dict[str, Phase]:
        """Give the phases of those that are known."""
        ...

    def ahead(self, job: Job) -> int:
        """Count the jobs that were queued before one."""
        ...

    def counts(self) -> dict[Phase, int]:
        """Count the jobs in each phase."""
        ...

    def oldest_wait_s(self) -> float:
        """Give for how long the job has waited that was queued first; 0 if none waits."""
        ...

    def changed(self) -> bool:
        """Tell whether another process may have changed a job since this was last asked.

        Costs next to nothing, so that it can be asked ten times a second.
        """
        ...

    def close(self) -> None:
        """Release the connections."""
        ...
