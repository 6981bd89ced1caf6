"""What the commands of ``skylane jobs`` do."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table

from skylane.folder import SiteFolder
from skylane.settings import load_settings
from vodal.errors import NotFoundError, UsageError
from vodal.uws.jobs import FINAL, Job, JobError, Phase, is_job_id, time_text
from vodal.uws.runner import Runner
from vodal.uws.store import JobFilter

__all__ = ["abort", "delete", "list_jobs", "show"]

_LONGEST_SHOWN = 4000
"""Characters of a parameter on the terminal; JSON has all of it."""

_STOPPED = JobError("Error: the job was stopped by the operator of this service")


@contextmanager
def _queue(site_path: Path) -> Iterator[Runner]:
    """Open the queue of a site and its folders of results, without running anything."""
    settings = load_settings(site_path)
    site = SiteFolder(site_path)
    if not settings.store.url and not site.path.is_dir():
        raise UsageError(f"there is no site at {site.path}")
    queue = site.jobs(settings.jobs, settings.store)
    try:
        yield queue
    finally:
        queue.store.close()


def _phases(names: Sequence[str]) -> frozenset[Phase]:
    try:
        return frozenset(Phase(name.upper()) for name in names)
    except ValueError:
        raise UsageError(f"--phase takes one of {', '.join(Phase)}") from None


def list_jobs(
    console: Console, site_path: Path, phases: Sequence[str], last: int, *, as_json: bool
) -> None:
    """List the newest jobs of everyone."""
    wanted = JobFilter(None, phases=_phases(phases), last=last, everyone=True)
    with _queue(site_path) as queue:
        jobs = queue.store.find(None, wanted)
        counts = queue.store.counts()
        wait_s = queue.store.oldest_wait_s()
    if as_json:
        for job in jobs:
            console.print(json.dumps(_described(job)), soft_wrap=True, markup=False)
        return
    # Identifiers are not cut, so that they can be copied.
    whole = Column("ID", no_wrap=True, min_width=26), Column("phase", no_wrap=True, min_width=9)
    table = Table(*whole, "whose", "made", "took", "result", "note", box=None)
    for job in jobs:
        table.add_row(
            job.id, job.phase, _whose(job), time_text(job.created_unix_s)[:19], _took(job),
            _size(job), _note(job),
        )  # fmt: skip
    console.print(table)
    told = ", ".join(f"{count} {phase}" for phase, count in sorted(counts.items()))
    console.print(told or "no jobs", style="bold")
    if wait_s:
        console.print(f"the first of those that wait has done so for {wait_s:.0f} s")


def show(console: Console, site_path: Path, job_id: str, *, as_json: bool) -> None:
    """Tell all of one job."""
    with _queue(site_path) as queue:
        job = _job(queue, job_id)
        folder = queue.folders.of(job.id)
    described = _described(job, params=True)
    if as_json:
        console.print(json.dumps(described), soft_wrap=True, markup=False)
        return
    for name in ("id", "phase", "service", "owner", "run_id", "created", "queued", "started",
                 "ended", "destruction", "duration_s", "restarts"):  # fmt: skip
        if described.get(name) is not None:
            console.print(f"{name:<12} {described[name]}", soft_wrap=True, markup=False)
    for title, pairs in (("progress", job.info), ("parameter", job.params)):
        for name, value in pairs:
            cut = value if len(value) <= _LONGEST_SHOWN else f"{value[:_LONGEST_SHOWN]} ..."
            console.print(f"{title:<12} {name}={cut}", soft_wrap=True, markup=False)
    for result in job.results:
        console.print(
            f"{'result':<12} {result.name}, {result.media_type}, {result.size_bytes:,} bytes:"
            f" {folder.path / result.path}", soft_wrap=True, markup=False,
        )  # fmt: skip
    if job.error is not None:
        console.print(f"{'error':<12} {job.error.message}", soft_wrap=True, markup=False)


def abort(console: Console, site_path: Path, job_ids: Sequence[str]) -> None:
    """Stop jobs; the server process that runs one sees it within a second."""
    with _queue(site_path) as queue:
        for job_id in job_ids:
            job = _job(queue, job_id)
            if queue.store.abort(job.id, _STOPPED):
                queue.folders.of(job.id).drop_inputs()
                console.print(f"{job.id} is stopped")
            else:
                phase = queue.store.phases([job.id]).get(job.id, "gone")
                console.print(f"{job.id} is {phase} already")


def delete(console: Console, site_path: Path, job_ids: Sequence[str]) -> None:
    """Forget jobs with their results."""
    with _queue(site_path) as queue:
        for job_id in job_ids:
            job = _job(queue, job_id)
            queue.store.delete(job.id)
            queue.folders.remove(job.id)
            console.print(f"{job.id} is deleted")


def _job(queue: Runner, job_id: str) -> Job:
    job = queue.store.get(job_id) if is_job_id(job_id) else None
    if job is None:
        raise NotFoundError(f"there is no job '{job_id[:60]}'; 'skylane jobs list' tells which are")
    return job


def _time(unix_s: float | None) -> str | None:
    return None if unix_s is None else time_text(unix_s)


def _whose(job: Job) -> str:
    """Name the owner; of one who is not known, the beginning of the digest of the address."""
    return job.owner or job.share[:11]


def _took(job: Job) -> str:
    if job.started_unix_s is None:
        if job.phase is Phase.QUEUED and job.queued_unix_s is not None:
            return f"waits {time.time() - job.queued_unix_s:.0f} s"
        return ""
    end = time.time() if job.ended_unix_s is None else job.ended_unix_s
    return f"{end - job.started_unix_s:.1f} s"


def _size(job: Job) -> str:
    size = sum(result.size_bytes for result in job.results)
    return f"{size / 1e6:.1f} MB" if job.results else ""


def _note(job: Job) -> str:
    if job.error is not None:
        return job.error.message[:60]
    return "" if job.phase in FINAL else " ".join(f"{name}={value}" for name, value in job.info)


def _described(job: Job, *, params: bool = False) -> dict[str, object]:
    """Give a job as JSON has it; the list does without parameters, which may be long."""
    described: dict[str, object] = {
        "id": job.id,
        "service": job.service,
        "phase": str(job.phase),
        "owner": job.owner,
        "share": job.share,
        "run_id": job.run_id,
        "created": _time(job.created_unix_s),
        "queued": _time(job.queued_unix_s),
        "started": _time(job.started_unix_s),
        "ended": _time(job.ended_unix_s),
        "destruction": _time(job.destruction_unix_s),
        "duration_s": job.duration_s,
        "restarts": job.failures or None,
        "progress": dict(job.info),
        "results": [
            {"name": item.name, "media_type": item.media_type, "size_bytes": item.size_bytes}
            for item in job.results
        ],
        "error": None if job.error is None else job.error.message,
    }
    if params:
        described["parameters"] = [list(pair) for pair in job.params]
    return described
