"""What a client may ask of the jobs of one service, whatever the protocol says it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress

import anyio
from anyio.to_thread import run_sync

from vodal.access.identity import Identity
from vodal.errors import AuthorizationError, NotFoundError, ServiceUnavailable, UsageError
from vodal.params import Params
from vodal.uws.callers import Caller
from vodal.uws.jobs import WAITED, Job, Phase, is_job_id
from vodal.uws.results import JobFolder
from vodal.uws.runner import Runner
from vodal.uws.store import JobFilter, Quota
from vodal.uws.tasks import Work

__all__ = ["JobService", "PhaseError"]

_LONGEST_RUN_ID = 1000

_SETTLE_S = 0.05
"""A request that starts a job waits so long for the job to leave the queue. Clients that wait for
the end then need one request less: pyvo 1.7 sleeps for a second after each that tells of a change.
"""


class PhaseError(UsageError):
    """The job is in a phase in which this cannot be done."""

    status = 409


def _run_id(params: Iterable[tuple[str, str]]) -> str | None:
    return next((value[:_LONGEST_RUN_ID] for name, value in params if name == "RUNID"), None)


class JobService:
    """The jobs of one service. All but `wait` and `settle` block and are called in threads.

    A job of an owner is for its owner alone; a job without one is for whoever knows its
    identifier, which cannot be guessed.

    Parameters
    ----------
    runner
        Of the server process.
    name
        Of the service; stored with its jobs.
    work
        Does the jobs.
    default_duration_s, max_duration_s
        How long a job may run, if its client says nothing, and at most.
    most
        Jobs of this service that one server process runs at once; None for as many as of all.
    """

    def __init__(
        self,
        runner: Runner,
        name: str,
        work: Work,
        *,
        default_duration_s: int,
        max_duration_s: int,
        most: int | None = None,
    ) -> None:
        self._runner = runner
        self._work = work
        self._store = runner.store
        self.settings = runner.settings
        self.name = name
        self._default_duration_s = min(default_duration_s, max_duration_s)
        self._max_duration_s = max_duration_s
        runner.register(name, work, most)

    def folder(self, job_id: str) -> JobFolder:
        """Give the files of a job, also of one that is about to be made."""
        return self._runner.folders.of(job_id)

    def discard(self, job_id: str) -> None:
        """Remove the files of a job that was not made after all."""
        self._runner.folders.remove(job_id)

    def create(
        self,
        caller: Caller,
        job_id: str,
        params: Sequence[tuple[str, str]],
        site_url: str,
        *,
        run: bool,
        duration_s: int | None = None,
        destruction_unix_s: float | None = None,
    ) -> Job:
        """Make a job, and put it into the queue at once if told to.

        Parameters
        ----------
        caller
            Who asks.
        job_id
            Its identifier, by `vodal.uws.jobs.new_id`.
        params
            Names in upper case, and values.
        site_url
            Where the caller sees the site, without a trailing slash.
        run
            Whether to run it.
        duration_s, destruction_unix_s
            As for `set_duration` and `set_destruction`, where the caller asks for them.

        Raises
        ------
        UsageError
            If it was to be destroyed before now, or, where it is run, could only end in this error.
        ServiceUnavailable
            If too many jobs are kept, or the disk is full.
        """
        now = int(time.time() * 1000) / 1000
        job = Job(
            id=job_id,
            service=self.name,
            phase=Phase.QUEUED if run else Phase.PENDING,
            created_unix_s=now,
            queued_unix_s=now if run else None,
            destruction_unix_s=(
                now + self.settings.retention_s
                if destruction_unix_s is None
                else self._kept_destruction(destruction_unix_s, now)
            ),
            duration_s=(
                self._default_duration_s if duration_s is None else self._kept_duration(duration_s)
            ),
            site_url=site_url,
            share=caller.share,
            owner=caller.owner,
            visitor=caller.visitor,
            run_id=_run_id(params),
            params=tuple(params),
        )
        if caller.owner is not None:
            self.folder(job_id).keep_owner(Identity(caller.owner, caller.groups))
        if run:
            self._check(params, job_id)
        settings = self.settings
        self._store.create(job, Quota(settings.max_jobs, settings.max_jobs_per_user))
        if run:
            self._runner.wake()
        return job

    def get(self, caller: Caller, job_id: str) -> Job:
        """Give a job.

        Raises
        ------
        NotFoundError
            If there is none.
        AuthorizationError
            If it is another owner's.
        """
        job = self._store.get(job_id) if is_job_id(job_id) else None
        if job is None or job.service != self.name:
            raise NotFoundError(
                f"there is no job '{job_id[:60]}' here; it may have been deleted or have expired"
            )
        if job.owner is not None and job.owner != caller.owner:
            raise AuthorizationError("this job belongs to someone else")
        return job

    def find(self, wanted: JobFilter) -> list[Job]:
        """Give jobs for a list, the newest first."""
        return self._store.find(self.name, wanted)

    def ahead(self, job: Job) -> int:
        """Count the jobs that were queued before one."""
        return self._store.ahead(job)

    def set_params(self, job: Job, params: Sequence[tuple[str, str]]) -> None:
        """Replace the parameters of a job that has not been started.

        Raises
        ------
        PhaseError
            If it has been.
        """
        if not self._store.set_params(job.id, params, _run_id(params)):
            raise PhaseError(
                "parameters can be changed only while a job is PENDING; submit another job"
            )

    def _check(self, params: Sequence[tuple[str, str]], job_id: str) -> None:
        # What cannot be told now is told by the job.
        with suppress(ServiceUnavailable):
            self._work.check(Params(params), self.folder(job_id))

    def run(self, job: Job) -> None:
        """Start a job; one that is started already is left as it is.

        Raises
        ------
        PhaseError
            If it has ended.
        UsageError
            If it could only end in this error; it stays PENDING, so that it can be mended.
        """
        if job.phase is Phase.PENDING:
            self._check(job.params, job.id)
        if self._store.enqueue(job.id):
            self._runner.wake()
            self._runner.watch.changed(job.id)
        elif (found := self._phase(job)) not in {Phase.QUEUED, Phase.EXECUTING}:
            raise PhaseError(f"the job is {found} and cannot be started again; submit another job")

    def abort(self, job: Job) -> None:
        """Stop a job; one that has ended is left as it is."""
        if self._store.abort(job.id):
            self._runner.touched(job.id)
            self._runner.wake()
            self.folder(job.id).drop_inputs()
            # What an earlier run left to go on with, if the job waited in the queue.
            self.folder(job.id).drop_runs()

    def delete(self, job: Job) -> None:
        """Forget a job with its results, and stop it if it runs."""
        self._store.delete(job.id)
        self._runner.touched(job.id)
        self._runner.wake()
        self._runner.folders.remove(job.id)

    def set_duration(self, job: Job, duration_s: int) -> None:
        """Set how long a job may run, cut to the limit; 0 asks for the limit.

        Raises
        ------
        PhaseError
            If it has ended.
        """
        if not self._store.set_duration(job.id, self._kept_duration(duration_s)):
            raise PhaseError(
                f"the job is {self._phase(job)}; how long it may run means nothing now"
            )
        self._runner.wake()

    def set_destruction(self, job: Job, destruction_unix_s: float) -> None:
        """Set when a job is destroyed, cut to the limit.

        Raises
        ------
        UsageError
            If the time is over: a wrong clock or time zone must not cost results.
        PhaseError
            If the job is archived.
        """
        kept = self._kept_destruction(destruction_unix_s, job.created_unix_s)
        if not self._store.set_destruction(job.id, kept):
            raise PhaseError(f"the job is {self._phase(job)}; its time cannot be changed")

    def _kept_duration(self, asked_s: int) -> int:
        return min(asked_s, self._max_duration_s) if asked_s else self._max_duration_s

    def _kept_destruction(self, asked_unix_s: float, created_unix_s: float) -> float:
        now = time.time()
        if asked_unix_s <= now:
            raise UsageError(
                "DESTRUCTION lies in the past (times are UTC); to destroy the job now, delete it"
            )
        return max(now, min(asked_unix_s, created_unix_s + self.settings.max_retention_s))

    def _phase(self, job: Job) -> Phase:
        found = self._store.phases([job.id]).get(job.id)
        if found is None:
            raise NotFoundError(f"the job '{job.id}' was deleted meanwhile")
        return found

    async def wait(
        self, caller: Caller, job_id: str, wait_s: float, phase: Phase | None = None
    ) -> Job:
        """Give a job as soon as it leaves its phase, or after a time.

        Returns at once in phases that may last for ever (UWS 1.1 section 2.2.1.3).

        Parameters
        ----------
        caller, job_id
            As for `get`.
        wait_s
            How long; negative for as long as the service allows.
        phase
            Wait only if the job is in this phase.

        Raises
        ------
        NotFoundError, AuthorizationError
            As for `get`; also if the job is deleted meanwhile.
        """
        job = await run_sync(self.get, caller, job_id)
        limit_s = self.settings.wait_limit_s
        until = time.monotonic() + (limit_s if wait_s < 0 else min(wait_s, limit_s))
        first = job.phase
        if first not in WAITED or (phase is not None and phase != first):
            return job
        while True:
            with self._runner.watch.waiting(job_id, first) as event:
                job = await run_sync(self.get, caller, job_id)
                left_s = until - time.monotonic()
                if job.phase != first or left_s <= 0 or self._runner.watch.closed:
                    return job
                with anyio.move_on_after(left_s):
                    await event.wait()

    async def settle(self, job_id: str) -> None:
        """Give a job that was just started a moment to leave the queue."""
        with self._runner.watch.waiting(job_id, Phase.QUEUED) as event:
            phases = await run_sync(self._store.phases, [job_id])
            if phases.get(job_id) == Phase.QUEUED:
                with anyio.move_on_after(_SETTLE_S):
                    await event.wait()
