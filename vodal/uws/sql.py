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
from vodal.uws.jobs import Job, JobError, JobResult, Phase
from vodal.uws.store import Claim, JobFilter, JobStore, Quota
from vodal.uws.table import (
    SHORT,
    WHOLE,
    before,
    error_text,
    in_phases,
    job_of,
    listed,
    results_text,
)

__all__ = ["Execute", "SqlJobs"]

Execute = Callable[..., list[tuple[Any, ...]]]
"""Runs one statement with its values by name; gives all its rows."""

_INSERTED = WHOLE.split(", ")
_INSERT = f"INSERT INTO uws_jobs ({', '.join(_INSERTED)}) VALUES (:{', :'.join(_INSERTED)})"
_FREED = "worker = NULL, lease_until = NULL"


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
                ended=job.ended_unix_s, results=results_text(job.results),
                error=error_text(job.error), info=json.dumps(job.info), claim=job.claim,
                failures=job.failures, params=json.dumps(job.params),
            )  # fmt: skip

    @override
    def get(self, job_id: str) -> Job | None:
        with self._reading() as execute:
            rows = execute(
                f"SELECT {WHOLE} FROM uws_jobs WHERE id = :id AND destruction > {self.clock}",
                id=job_id,
            )
        return job_of(rows[0]) if rows else None

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
            conditions.append(in_phases(*sorted(wanted.phases)))
        else:
            conditions.append(f"phase <> '{Phase.ARCHIVED}'")
        if wanted.after_unix_s is not None:
            conditions.append("created > :after")
            values["after"] = wanted.after_unix_s
        with self._reading() as execute:
            rows = execute(
                f"SELECT {SHORT} FROM uws_jobs WHERE {' AND '.join(conditions)}"
                " ORDER BY created DESC, number DESC LIMIT :last",
                **values,
            )
        return [job_of(row) for row in rows]

    @override
    def set_params(
        self, job_id: str, params: Sequence[tuple[str, str]], run_id: str | None
    ) -> bool:
        return self._change(
            job_id, "params = :params, run_id = :run_id", in_phases(Phase.PENDING),
            params=json.dumps(params), run_id=run_id,
        )  # fmt: skip

    @override
    def enqueue(self, job_id: str) -> bool:
        return self._change(
            job_id, f"phase = '{Phase.QUEUED}', queued = :now",
            in_phases(Phase.PENDING, Phase.HELD), now=_now(),
        )  # fmt: skip

    @override
    def hold(self, job_id: str) -> bool:
        return self._change(job_id, f"phase = '{Phase.HELD}'", before(Phase.HELD))

    @override
    def abort(self, job_id: str, error: JobError | None = None) -> bool:
        return self._change(
            job_id, f"phase = '{Phase.ABORTED}', ended = :now, error = :error, {_FREED}",
            before(Phase.ABORTED), now=_now(), error=error_text(error),
        )  # fmt: skip

    @override
    def set_duration(self, job_id: str, duration_s: int) -> bool:
        return self._change(
            job_id, "duration = :duration", before(Phase.ABORTED), duration=duration_s
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
        names, values = listed("service", services)
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
                RETURNING {WHOLE}""",
                worker=worker,
                lease=float(lease_s),
                per_share=per_share,
                now=_now(),
                **values,
            )
        return job_of(rows[0]) if rows else None

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
            phase=str(phase), now=_now(), results=results_text(results),
            error=error_text(error), info=json.dumps(info),
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
                error=error_text(error),
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
        names, values = listed("id", job_ids)
        with self._reading() as execute:
            rows = execute(
                f"SELECT id, phase FROM uws_jobs WHERE id IN ({names})"
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
