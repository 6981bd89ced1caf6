"""The table of jobs, whatever the database, and its rows as jobs."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from vodal.uws.jobs import TRANSITIONS, Job, JobError, JobResult, Phase

__all__ = [
    "LAYOUT",
    "SHORT",
    "WHOLE",
    "before",
    "error_text",
    "in_phases",
    "job_of",
    "layout_statements",
    "listed",
    "results_text",
]

LAYOUT = 1
"""Version of the table."""

_TABLE = """CREATE TABLE IF NOT EXISTS uws_jobs (
  number {key},
  id TEXT NOT NULL UNIQUE,
  service TEXT NOT NULL,
  phase TEXT NOT NULL,
  owner TEXT,
  visitor TEXT,
  share TEXT NOT NULL,
  run_id TEXT,
  site_url TEXT NOT NULL,
  created DOUBLE PRECISION NOT NULL,
  queued DOUBLE PRECISION,
  started DOUBLE PRECISION,
  ended DOUBLE PRECISION,
  destruction DOUBLE PRECISION NOT NULL,
  duration INTEGER NOT NULL,
  results TEXT NOT NULL,
  error TEXT,
  info TEXT NOT NULL,
  claim INTEGER NOT NULL,
  failures INTEGER NOT NULL,
  worker TEXT,
  lease_until DOUBLE PRECISION,
  params TEXT NOT NULL
)"""

_INDEXES = (
    "CREATE INDEX IF NOT EXISTS uws_jobs_owner ON uws_jobs (owner, created)",
    "CREATE INDEX IF NOT EXISTS uws_jobs_visitor ON uws_jobs (visitor, created)",
    "CREATE INDEX IF NOT EXISTS uws_jobs_phase ON uws_jobs (phase, queued)",
    "CREATE INDEX IF NOT EXISTS uws_jobs_share ON uws_jobs (share, phase)",
    "CREATE INDEX IF NOT EXISTS uws_jobs_destruction ON uws_jobs (destruction)",
)


def layout_statements(key: str) -> tuple[str, ...]:
    """Give the statements that make the table where there is none.

    Parameters
    ----------
    key
        Type of a key that counts up by itself.
    """
    return (_TABLE.format(key=key), *_INDEXES)


SHORT = (
    "id, service, phase, created, destruction, duration, site_url, share, owner, visitor, run_id,"
    " queued, started, ended, results, error, info, claim, failures"
)
WHOLE = f"{SHORT}, params"
"""Columns of a job without its parameters, and with them."""


def in_phases(*phases: Phase) -> str:
    """Write a condition on the phase."""
    return "phase IN ({})".format(", ".join(f"'{phase}'" for phase in phases))


def before(phase: Phase) -> str:
    """Write the condition that a phase may follow the job's."""
    return in_phases(*(known for known, after in TRANSITIONS.items() if phase in after))


def listed(name: str, values: Collection[str]) -> tuple[str, dict[str, str]]:
    """Write a list of values for IN, and give the values by their names."""
    named = {f"{name}{number}": value for number, value in enumerate(values)}
    return ", ".join(f":{key}" for key in named), named


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in json.loads(text))


def error_text(error: JobError | None) -> str | None:
    """Write an error for its column."""
    return None if error is None else json.dumps([error.message, error.transient])


def results_text(results: Sequence[JobResult]) -> str:
    """Write results for their column."""
    return json.dumps([[r.name, r.path, r.media_type, r.size_bytes] for r in results])


def job_of(row: tuple[Any, ...]) -> Job:
    """Make a job of a row of `SHORT` or `WHOLE`."""
    (
        job_id, service, phase, created, destruction, duration, site_url, share, owner, visitor,
        run_id, queued, started, ended, results, error, info, claim, failures, *params,
    ) = row  # fmt: skip
    return Job(
        id=job_id,
        service=service,
        phase=Phase(phase),
        created_unix_s=created,
        destruction_unix_s=destruction,
        duration_s=duration,
        site_url=site_url,
        share=share,
        owner=owner,
        visitor=visitor,
        run_id=run_id,
        queued_unix_s=queued,
        started_unix_s=started,
        ended_unix_s=ended,
        params=_pairs(params[0]) if params else (),
        results=tuple(JobResult(*item) for item in json.loads(results)),
        error=None if error is None else JobError(*json.loads(error)),
        info=_pairs(info),
        claim=claim,
        failures=failures,
    )
