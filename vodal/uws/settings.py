"""The settings of asynchronous jobs."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from vodal.settings import Settings

__all__ = ["JobSettings"]

_DAY_S = 86_400


class JobSettings(Settings):
    """Asynchronous jobs, of all services that have them. Several server processes share them."""

    results: Path | None = None
    """Folder of the jobs' results; ``results/`` of the site by default. Server processes on several
    machines need one that all of them see."""
    concurrency: int = Field(default=4, ge=1)
    """Jobs that one server process runs at once; further ones wait in the queue. How many of them
    may be of one kind is told by ``tap.async_concurrency`` and ``soda.job_concurrency``."""
    per_user: int = Field(default=2, ge=1)
    """Jobs of one user and one service that run at once, in all server processes together, so that
    a user with many long jobs does not keep others waiting, nor queries wait for cutouts. Who has
    not logged in counts by address."""
    max_jobs: int = Field(default=100_000, ge=1)
    """Jobs that are kept in all; a further one is refused until others have been deleted."""
    max_jobs_per_user: int = Field(default=10_000, ge=1)
    """Jobs of one user that are kept."""
    retention_s: float = Field(default=7 * _DAY_S, ge=1)
    """Seconds after which a job and its results are deleted, unless the client sets another
    time. A week leaves time for a weekend."""
    max_retention_s: float = Field(default=30 * _DAY_S, ge=1)
    """Seconds that a client may keep a job at most."""
    archive_s: float = Field(default=0.0, ge=0)
    """Seconds for which a job whose time is over is still listed as ARCHIVED, without its results.
    0 forgets it at once."""
    max_result_bytes: int = Field(default=20 << 30, ge=1)
    """Largest result of one job; a job that would write more ends with an error."""
    wait_limit_s: float = Field(default=50.0, gt=0)
    """Seconds that a request with WAIT may take; the client asks on. Proxies often cut requests
    after a minute."""
    list_limit: int = Field(default=100, ge=1)
    """Jobs that the list of jobs gives, the newest, unless the client says LAST."""
    lease_s: float = Field(default=15.0, ge=0.2)
    """Seconds after which a job is taken from a server process that gives no sign of life, and run
    again by another."""
    attempts: int = Field(default=3, ge=1)
    """Times that a job is begun; one whose server process died as often ends with an error, since
    it may be the cause."""
