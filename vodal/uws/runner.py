"""Threads that take jobs from the queue and run them, and the one that watches over them."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Self
from uuid import uuid4

from anyio import CancelScope
from anyio.to_thread import run_sync

from vodal.errors import ServiceUnavailable, SkylaneError
from vodal.uws.jobs import FINAL, Job, JobError, Phase
from vodal.uws.results import ResultFolders
from vodal.uws.settings import JobSettings
from vodal.uws.store import Claim, JobStore
from vodal.uws.tasks import Stop, Task, Work
from vodal.uws.watch import JobWatch

__all__ = ["Runner"]

_LOG = logging.getLogger(__name__)

_BUSY_S = 0.1
"""How often changes by other processes are looked for while something is at work or waited for."""
_IDLE_S = 0.5
"""The same while nothing is: a job that another process has no room for waits so long at most."""
_BLIND_S = 1.0
"""How often the store is read although it told of no change."""
_INFO_S = 1.0
_EXPIRE_S = 1.0
_SWEEP_S = 3600.0
_TROUBLE_S = 1.0
"""Pause after the store failed."""
_STOP_LIMIT_S = 8.0
_FINISH_PAUSE_S = 0.2


def _told(error: BaseException) -> JobError:
    """Say why a job failed, as a synchronous request would be told."""
    if isinstance(error, SkylaneError):
        return JobError(f"{error.label}: {error}", isinstance(error, ServiceUnavailable))
    entry = uuid4().hex[:12]
    _LOG.error("a job failed [%s]", entry, exc_info=error)
    return JobError(f"Error: the service failed on this job; its log tells why under {entry}")


class _Every:
    """Something that is done from time to time."""

    def __init__(self, seconds: float, action: Callable[[], None]) -> None:
        self._seconds = seconds
        self._action = action
        self._next = 0.0

    def __call__(self) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + self._seconds
            self._action()


class Runner:
    """Runs the jobs of all services of a server process.

    Parameters
    ----------
    store
        The queue; closed with the runner.
    folders
        Where results go.
    settings
        Limits.
    """

    def __init__(self, store: JobStore, folders: ResultFolders, settings: JobSettings) -> None:
        self.store = store
        self.folders = folders
        self.settings = settings
        self.watch = JobWatch()
        self.worker = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        self._works: dict[str, Work] = {}
        self._most: dict[str, int] = {}
        self._tasks: dict[Claim, Task] = {}
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._watcher: threading.Thread | None = None
        self._looked = self._renewed = 0.0
        self._looking = False
        self._chores = (
            _Every(settings.lease_s / 3, self._recover),
            _Every(_EXPIRE_S, self._expire),
            _Every(_SWEEP_S, self._sweep),
        )

    def register(self, service: str, work: Work, most: int | None = None) -> None:
        """Say who does the jobs of a service; before `start`.

        Parameters
        ----------
        service
            Stored with its jobs.
        work
            Does them.
        most
            Jobs of it that run at once, of those of all services; None for as many as there are.
        """
        self._works[service] = work
        self._most[service] = self.settings.concurrency if most is None else most

    def _open(self) -> tuple[str, ...]:
        """Give the services of which one more job may run."""
        at_work = Counter(task.job.service for task in self._running())
        return tuple(name for name in self._works if at_work[name] < self._most[name])

    def start(self) -> None:
        """Begin to take jobs."""
        self._watcher = threading.Thread(target=self._run, name="uws", daemon=True)
        self._watcher.start()

    def stop(self) -> None:
        """Give the jobs at work back to the queue, and release everything."""
        self._stopping.set()
        self._wake.set()
        self.watch.close()
        until = time.monotonic() + _STOP_LIMIT_S
        if self._watcher is not None:
            # Before the others, since it begins new ones.
            self._watcher.join(max(0.0, until - time.monotonic()))
        with self._lock:
            tasks, threads = list(self._tasks.values()), list(self._threads)
        for task in tasks:
            task.cancel(Stop.SHUTDOWN)
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
            if thread.is_alive():
                # Its lease runs out; another server process takes the job then.
                _LOG.warning("%s did not stop in time", thread.name)
        self.store.close()

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        with CancelScope(shield=True):
            await run_sync(self.stop)

    def wake(self) -> None:
        """Look at the queue now."""
        self._wake.set()

    def touched(self, job_id: str) -> None:
        """Tell that this process changed a job: who waits for it is woken, its run is stopped.

        Call it after the store has changed, for an end that came from outside.
        """
        for task in self._running():
            if task.job.id == job_id:
                task.cancel(Stop.TAKEN)
        self.watch.changed(job_id)

    @property
    def at_work(self) -> int:
        """How many jobs this process runs now."""
        return len(self._running())

    def _running(self) -> list[Task]:
        with self._lock:
            return list(self._tasks.values())

    # The watching thread

    def _run(self) -> None:
        while not self._stopping.is_set():
            busy = bool(self._tasks or self.watch.waited())
            self._wake.wait(_BUSY_S if busy else _IDLE_S)
            woken = self._wake.is_set()
            self._wake.clear()
            try:
                self._turn(woken=woken)
            except SkylaneError as error:
                _LOG.warning("the queue of jobs cannot be watched: %s", error)
                self._stopping.wait(_TROUBLE_S)
            except Exception:  # noqa: BLE001 - the watch goes on, whatever happens
                _LOG.exception("the queue of jobs cannot be watched")
                self._stopping.wait(_TROUBLE_S)
            finally:
                self._give_up_what_is_lost()

    def _turn(self, *, woken: bool) -> None:
        now = time.monotonic()
        changed = self.store.changed()
        if woken or changed or now - self._looked >= _BLIND_S:
            self._looked = now
            self._fill()
            self._compare()
        self._stop_overtime()
        self._renew()
        for chore in self._chores:
            chore()

    def _fill(self) -> None:
        """Begin as many jobs as there is room for."""
        while not self._stopping.is_set() and self.at_work < self.settings.concurrency:
            if not self._tasks:
                # No lease of ours is counted yet.
                self._renewed = time.monotonic()
            job = self.store.claim(
                self._open(), self.worker, self.settings.lease_s, self.settings.per_user
            )
            if job is None:
                return
            self._begin(job)

    def _begin(self, job: Job) -> None:
        task = Task(job, self.folders.of(job), self.settings.max_result_bytes)
        thread = threading.Thread(
            target=self._work, args=(task,), name=f"uws-{job.id[:8]}", daemon=True
        )
        with self._lock:
            self._tasks[task.claim] = task
            self._threads.add(thread)
        thread.start()
        self.watch.changed(job.id)

    def _compare(self) -> None:
        """Find out what other processes did to jobs at work or waited for."""
        tasks = self._running()
        if tasks:
            held = self.store.mine(self.worker)
            for task in tasks:
                if task.claim not in held:
                    task.cancel(Stop.TAKEN)
                else:
                    task.duration_s = held[task.claim]
        waited = self.watch.waited()
        if waited:
            self.watch.compare(self.store.phases(waited))

    def _stop_overtime(self) -> None:
        for task in self._running():
            if task.duration_s and time.monotonic() - task.began > task.duration_s:
                task.cancel(Stop.OVERTIME)

    def _renew(self) -> None:
        now, tasks = time.monotonic(), self._running()
        if not tasks or now - self._renewed < min(_INFO_S, self.settings.lease_s / 5):
            return
        info = {task.claim: news for task in tasks if (news := task.news()) is not None}
        if info or now - self._renewed >= self.settings.lease_s / 5:
            self.store.renew(self.worker, self.settings.lease_s, info)
            self._renewed = now

    def _give_up_what_is_lost(self) -> None:
        """Stop what another process may have taken, where the store could not be reached."""
        if time.monotonic() - self._renewed > self.settings.lease_s:
            for task in self._running():
                task.cancel(Stop.LOST)

    def _recover(self) -> None:
        for job_id in self.store.recover(self.settings.attempts):
            _LOG.warning("the job %s was left by a server process that died", job_id)
            self.touched(job_id)
            self._tidy(job_id)
            self._wake.set()

    def _expire(self) -> None:
        for job_id in self.store.expire(self.settings.archive_s):
            self.touched(job_id)
            self.folders.remove(job_id)

    def _sweep(self) -> None:
        count = self.folders.sweep(self.store.phases)
        if count:
            _LOG.warning("removed %d folders of results that belonged to no job", count)

    # The working threads

    def _work(self, task: Task) -> None:
        try:
            error: BaseException | None = None
            try:
                work = self._works[task.job.service]
                if not work.resumes:
                    task.folder.begin(task.job.claim)
                work.run(task)
            except BaseException as failure:  # noqa: BLE001 - told to the client, or logged
                error = failure
            self._end(task, error)
        except SkylaneError as failure:
            _LOG.warning("how the job %s ended: %s", task.job.id, failure)
        finally:
            with self._lock:
                del self._tasks[task.claim]
                self._threads.discard(threading.current_thread())
            self.watch.changed(task.job.id)
            self._wake.set()

    def _end(self, task: Task, error: BaseException | None) -> None:
        """Write how a run ended; what it made is removed unless the store took it."""
        kept = False
        if error is None:
            kept = self._persist(task, Phase.COMPLETED, None)
        elif task.stop in {Stop.SHUTDOWN, Stop.LOST}:
            released = self._insist(lambda: self.store.release(task.claim))
            kept = released and self._works[task.job.service].resumes
        elif task.stop is Stop.OVERTIME:
            # UWS 1.1 section 2.1.4: as if the client had aborted it.
            sentence = (
                f"the job was stopped after {task.duration_s} s, its execution duration; set a"
                " longer one, or ask for less"
            )
            if task.why_long is not None:
                sentence += f"; {task.why_long}"
            self._persist(task, Phase.ABORTED, JobError(f"ServiceUnavailable: {sentence}"))
        elif task.stop is None:
            self._persist(task, Phase.ERROR, _told(error))
        if not kept:
            task.folder.drop(task.job.claim)
        self._tidy(task.job.id)

    def _tidy(self, job_id: str) -> None:
        """Remove the files that a job needs no more."""
        job = self.store.get(job_id)
        if job is None:
            self.folders.remove(job_id)
        elif job.phase in FINAL:
            self.folders.of(job).drop_inputs()
            if not job.results:
                self.folders.of(job).drop_runs()

    def _persist(self, task: Task, phase: Phase, error: JobError | None) -> bool:
        results = task.results if phase is Phase.COMPLETED else []
        return self._insist(
            lambda: self.store.finish(
                task.claim, phase, results=results, error=error, info=task.info()
            )
        )

    def _insist(self, write: Callable[[], bool]) -> bool:
        """Write to the store, again and again while the lease may still hold."""
        until = time.monotonic() + self.settings.lease_s
        while True:
            try:
                return write()
            except SkylaneError as error:
                if time.monotonic() > until:
                    _LOG.error("how a job ended cannot be written: %s", error)
                    return False
                time.sleep(_FINISH_PAUSE_S)
