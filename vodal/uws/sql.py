"""The queue in SQL, whatever the database: one table, short transactions, guarded updates.

The statements are written once, with ``:name`` for values; a database adds how a transaction is
begun and committed, what the time is, and how one claim keeps out of another's way.
"""
# ruff: noqa: S608 - texts put together here are constants; every value is bound

from __future__ import annotations

import json
import math
import time
from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar

from typing_extensions import override

from vodal.errors import ServiceUnavailable
from vodal.uws.jobs import TRANSITIONS, Job, JobError, JobResult, Phase
from vodal.uws.store import Claim, JobFilter, JobStore, Quota

__all__ = ["LAYOUT", "Execute", "SqlJobs", "layout_statements"]

Execute = Callable[..., list[tuple[Any, ...]]]
"""Runs one statement with its values by name; gives all its rows."""

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


_SHORT = (
    "id, service, phase, created, destruction, duration, site_url, share, owner, visitor, run_id,"
    " queued, started, ended, results, error, info, claim, failures"
)
_WHOLE = f"{_SHORT}, params"
_INSERTED = _WHOLE.split(", ")
_INSERT = f"INSERT INTO uws_jobs ({', '.join(_INSERTED)}) VALUES (:{', :'.join(_INSERTED)})"
_FREED = "worker = NULL, lease_until = NULL"


def _from(*phases: Phase) -> str:
    """Write a condition on the phase."""
    return "phase IN ({})".format(", ".join(f"'{phase}'" for phase in phases))


def _before(phase: Phase) -> str:
    """Write the condition that a phase may follow the job's."""
    return _from(*(known for known, after in TRANSITIONS.items() if phase in after))


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in json.loads(text))


def _error_text(error: JobError | None) -> str | None:
    return None if error is None else json.dumps([error.message, error.transient])


def _results_text(results: Sequence[JobResult]) -> str:
    return json.dumps([[r.name, r.path, r.media_type, r.size_bytes] for r in results])


def _job(row: tuple[Any, ...]) -> Job:
    """Make a job of a row of `_SHORT` or `_WHOLE`."""
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


def _listed(name: str, values: Collection[str]) -> tuple[str, dict[str, str]]:
    """Write a list of values for IN, and give the values by their names."""
    named = {f"{name}{number}": value for number, value in enumerate(values)}
    return ", ".join(f":{key}" for key in named), named


def _now() -> float:
    """Give the time in whole milliseconds, as it is shown."""
    return math.floor(time.time() * 1000) / 1000


class SqlJobs(JobStore):
    """The queue in one table of some database."""

    clock: ClassVar[str]
    """Expression for the seconds since 1970. Leases and destruction go by the database's clock,
    which is one for all server processes."""

    @abstractmethod
    def _reading(self) -> AbstractContextManager[Execute]:
        """Lend a connection that reads.

        Raises
        ------
        ServiceUnavailable
            If the database is locked or away.
        """

    @abstractmethod
    def _writing(self, *, durable: bool = True) -> AbstractContextManager[Execute]:
        """Run the block as one transaction.

        Parameters
        ----------
        durable
            Whether it must survive a power failure; otherwise only the death of processes.

        Raises
        ------
        ServiceUnavailable
            If the database is locked or away.
        """

    def _take_turns(self, execute: Execute) -> None:
        """Keep other claims out until the transaction ends, where the database does not by itself.

        Two claims at once could each count the jobs at work before the other's.
        """

    def _change(self, job_id: str, changes: str, condition: str, **values: Any) -> bool:
        with self._writing() as execute:
            return bool(
                execute(
                    f"UPDATE uws_jobs SET {changes} WHERE id = :id AND {condition}"
                    f" AND destruction > {self.clock} RETURNING id",
                    id=job_id,
                    **values,
                )
            )

    @override
    def create(self, job: Job, quota: Quota) -> None:
        with self._writing() as execute:
            for whose, limit, sql, values in (
                ("", quota.in_all, "SELECT count(*) FROM uws_jobs", {}),
                (
                    "of yours ",
                    quota.per_share,
                    "SELECT count(*) FROM uws_jobs WHERE share = :share",
                    {"share": job.share},
                ),
            ):
                if execute(sql, **values)[0][0] >= limit:
                    raise ServiceUnavailable(
                        f"{limit} jobs {whose}are kept here, which is the limit; delete some that"
                        " are no longer needed, then try again",
                        retry_after_s=60,
                    )
            execute(
                _INSERT,
                id=job.id, service=job.service, phase=str(job.phase), created=job.created_unix_s,
                destruction=job.destruction_unix_s, duration=job.duration_s,
                site_url=job.site_url, share=job.share, owner=job.owner, visitor=job.visitor,
                run_id=job.run_id, queued=job.queued_unix_s, started=job.started_unix_s,
                ended=job.ended_unix_s, results=_results_text(job.results),
                error=_error_text(job.error), info=json.dumps(job.info), claim=job.claim,
                failures=job.failures, params=json.dumps(job.params),
            )  # fmt: skip

    @override
    def get(self, job_id: str) -> Job | None:
        with self._reading() as execute:
            rows = execute(
                f"SELECT {_WHOLE} FROM uws_jobs WHERE id = :id AND destruction > {self.clock}",
                id=job_id,
            )
        return _job(rows[0]) if rows else None

    @override
    def find(self, service: str | None, wanted: JobFilter) -> list[Job]:
        conditions = [f"destruction > {self.clock}"]
        values: dict[str, Any] = {"last": wanted.last}
        if service is not None:
            conditions.append("service = :service")
            values["service"] = service
        if wanted.everyone:
            pass
        elif wanted.owner is not None:
            conditions.append("owner = :owner")
            values["owner"] = wanted.owner
        elif wanted.visitor is not None:
            conditions.append("owner IS NULL AND visitor = :visitor")
            values["visitor"] = wanted.visitor
        else:
            return []
        if wanted.phases:
            conditions.append(_from(*sorted(wanted.phases)))
        else:
            conditions.append(f"phase <> '{Phase.ARCHIVED}'")
        if wanted.after_unix_s is not None:
            conditions.append("created > :after")
            values["after"] = wanted.after_unix_s
        with self._reading() as execute:
            rows = execute(
                f"SELECT {_SHORT} FROM uws_jobs WHERE {' AND '.join(conditions)}"
                " ORDER BY created DESC, number DESC LIMIT :last",
                **values,
            )
        return [_job(row) for row in rows]

    @override
    def set_params(
        self, job_id: str, params: Sequence[tuple[str, str]], run_id: str | None
    ) -> bool:
        return self._change(
            job_id, "params = :params, run_id = :run_id", _from(Phase.PENDING),
            params=json.dumps(params), run_id=run_id,
        )  # fmt: skip

    @override
    def enqueue(self, job_id: str) -> bool:
        return self._change(
            job_id, f"phase = '{Phase.QUEUED}', queued = :now",
            _from(Phase.PENDING, Phase.HELD), now=_now(),
        )  # fmt: skip

    @override
    def hold(self, job_id: str) -> bool:
        return self._change(job_id, f"phase = '{Phase.HELD}'", _before(Phase.HELD))

    @override
    def abort(self, job_id: str, error: JobError | None = None) -> bool:
        return self._change(
            job_id, f"phase = '{Phase.ABORTED}', ended = :now, error = :error, {_FREED}",
            _before(Phase.ABORTED), now=_now(), error=_error_text(error),
        )  # fmt: skip

    @override
    def set_duration(self, job_id: str, duration_s: int) -> bool:
        return self._change(
            job_id, "duration = :duration", _before(Phase.ABORTED), duration=duration_s
        )

    @override
    def set_destruction(self, job_id: str, destruction_unix_s: float) -> bool:
        return self._change(
            job_id, "destruction = :destruction", f"phase <> '{Phase.ARCHIVED}'",
            destruction=destruction_unix_s,
        )  # fmt: skip

    @override
    def delete(self, job_id: str) -> bool:
        with self._writing() as execute:
            return bool(execute("DELETE FROM uws_jobs WHERE id = :id RETURNING id", id=job_id))

    @override
    def claim(
        self, services: Collection[str], worker: str, lease_s: float, per_share: int
    ) -> Job | None:
        if not services:
            return None
        names, values = _listed("service", services)
        waiting = f"phase = '{Phase.QUEUED}' AND service IN ({names})"
        with self._reading() as execute:
            # Mostly there is nothing to do, which needs no turn at writing.
            if not execute(f"SELECT 1 FROM uws_jobs WHERE {waiting} LIMIT 1", **values):
                return None
        with self._writing(durable=False) as execute:
            self._take_turns(execute)
            rows = execute(
                f"""WITH busy AS (
                  SELECT share, service, count(*) AS jobs FROM uws_jobs
                  WHERE phase = '{Phase.EXECUTING}' GROUP BY share, service
                ), next AS (
                  SELECT job.number FROM uws_jobs AS job
                  LEFT JOIN busy ON busy.share = job.share AND busy.service = job.service
                  WHERE job.phase = '{Phase.QUEUED}' AND job.service IN ({names})
                    AND job.destruction > {self.clock}
                    AND COALESCE(busy.jobs, 0) < :per_share
                  ORDER BY COALESCE(busy.jobs, 0), job.queued, job.number LIMIT 1
                )
                UPDATE uws_jobs SET phase = '{Phase.EXECUTING}', worker = :worker,
                  claim = claim + 1, lease_until = {self.clock} + :lease,
                  started = :now, info = '[]'
                WHERE number IN (SELECT number FROM next) AND phase = '{Phase.QUEUED}'
                RETURNING {_WHOLE}""",
                worker=worker,
                lease=float(lease_s),
                per_share=per_share,
                now=_now(),
                **values,
            )
        return _job(rows[0]) if rows else None

    @override
    def mine(self, worker: str) -> dict[Claim, int]:
        with self._reading() as execute:
            rows = execute(
                "SELECT id, claim, duration FROM uws_jobs"
                f" WHERE phase = '{Phase.EXECUTING}' AND worker = :worker"
                f" AND destruction > {self.clock}",
                worker=worker,
            )
        return {Claim(job_id, number): duration for job_id, number, duration in rows}

    @override
    def renew(
        self, worker: str, lease_s: float, info: Mapping[Claim, Sequence[tuple[str, str]]]
    ) -> None:
        held = f"phase = '{Phase.EXECUTING}' AND worker = :worker"
        with self._writing(durable=False) as execute:
            execute(
                f"UPDATE uws_jobs SET lease_until = {self.clock} + :lease WHERE {held}",
                worker=worker,
                lease=float(lease_s),
            )
            for claim, told in info.items():
                execute(
                    f"UPDATE uws_jobs SET info = :info"
                    f" WHERE id = :id AND {held} AND claim = :claim",
                    id=claim.job_id,
                    worker=worker,
                    claim=claim.number,
                    info=json.dumps(told),
                )

    def _end_claim(self, claim: Claim, changes: str, **values: Any) -> bool:
        with self._writing() as execute:
            return bool(
                execute(
                    f"UPDATE uws_jobs SET {changes}, {_FREED} WHERE id = :id AND claim = :claim"
                    f" AND phase = '{Phase.EXECUTING}' RETURNING id",
                    id=claim.job_id,
                    claim=claim.number,
                    **values,
                )
            )

    @override
    def finish(
        self,
        claim: Claim,
        phase: Phase,
        *,
        results: Sequence[JobResult] = (),
        error: JobError | None = None,
        info: Sequence[tuple[str, str]] = (),
    ) -> bool:
        return self._end_claim(
            claim,
            "phase = :phase, ended = :now, results = :results, error = :error, info = :info",
            phase=str(phase), now=_now(), results=_results_text(results),
            error=_error_text(error), info=json.dumps(info),
        )  # fmt: skip

    @override
    def release(self, claim: Claim) -> bool:
        return self._end_claim(claim, f"phase = '{Phase.QUEUED}', started = NULL, info = '[]'")

    @override
    def recover(self, attempts: int) -> list[str]:
        dead = f"phase = '{Phase.EXECUTING}' AND lease_until < {self.clock}"
        error = JobError(
            f"Error: the service stopped {attempts} times while it ran this job, which is not begun"
            " again; the job may need more memory than the service has"
            if attempts > 1
            else "Error: the service stopped while it ran this job; submit it again",
            transient=attempts == 1,
        )
        with self._reading() as execute:
            if not execute(f"SELECT 1 FROM uws_jobs WHERE {dead} LIMIT 1"):
                return []
        with self._writing() as execute:
            ended = execute(
                f"UPDATE uws_jobs SET phase = '{Phase.ERROR}', failures = failures + 1,"
                f" ended = :now, error = :error, info = '[]', {_FREED}"
                f" WHERE {dead} AND failures + 1 >= :attempts RETURNING id",
                now=_now(),
                error=_error_text(error),
                attempts=attempts,
            )
            queued = execute(
                f"UPDATE uws_jobs SET phase = '{Phase.QUEUED}', failures = failures + 1,"
                f" started = NULL, info = '[]', {_FREED} WHERE {dead} RETURNING id"
            )
        return [row[0] for row in ended + queued]

    @override
    def expire(self, archive_s: float) -> list[str]:
        over = f"destruction <= {self.clock}"
        with self._reading() as execute:
            if not execute(f"SELECT 1 FROM uws_jobs WHERE {over} LIMIT 1"):
                return []
        with self._writing() as execute:
            kept = f" AND phase = '{Phase.ARCHIVED}'" if archive_s else ""
            rows = execute(f"DELETE FROM uws_jobs WHERE {over}{kept} RETURNING id")
            if archive_s:
                rows += execute(
                    f"UPDATE uws_jobs SET phase = '{Phase.ARCHIVED}', results = '[]',"
                    f" destruction = {self.clock} + :archive, ended = COALESCE(ended, :now),"
                    f" {_FREED} WHERE {over} RETURNING id",
                    archive=float(archive_s),
                    now=_now(),
                )
        return [row[0] for row in rows]

    @override
    def phases(self, job_ids: Collection[str]) -> dict[str, Phase]:
        if not job_ids:
            return {}
        listed, values = _listed("id", job_ids)
        with self._reading() as execute:
            rows = execute(
                f"SELECT id, phase FROM uws_jobs WHERE id IN ({listed})"
                f" AND destruction > {self.clock}",
                **values,
            )
        return {job_id: Phase(phase) for job_id, phase in rows}

    @override
    def ahead(self, job: Job) -> int:
        with self._reading() as execute:
            rows = execute(
                f"SELECT count(*) FROM uws_jobs WHERE phase = '{Phase.QUEUED}'"
                " AND queued < :queued",
                queued=job.queued_unix_s or 0.0,
            )
        return int(rows[0][0])

    @override
    def counts(self) -> dict[Phase, int]:
        with self._reading() as execute:
            rows = execute("SELECT phase, count(*) FROM uws_jobs GROUP BY phase")
        return {Phase(phase): count for phase, count in rows}

    @override
    def oldest_wait_s(self) -> float:
        with self._reading() as execute:
            rows = execute(
                f"SELECT {self.clock} - min(queued) FROM uws_jobs"
                f" WHERE phase = '{Phase.QUEUED}' AND destruction > {self.clock}"
            )
        return max(0.0, float(rows[0][0] or 0.0))
