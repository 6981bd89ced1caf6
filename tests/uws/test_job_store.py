"""The queue on both databases: by its contract, against a model, and from many processes."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import textwrap
import threading
import time

import apsw
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)
from prometheus_client import CollectorRegistry, generate_latest

from vodal.errors import ArchiveError, ServiceUnavailable
from vodal.uws.jobs import TRANSITIONS, JobError, JobResult, Phase, new_id
from vodal.uws.metrics import QueueMetrics, QueueState, queue_state
from vodal.uws.sqlite import SqliteJobs
from vodal.uws.store import Claim, JobFilter, Quota

QUOTA = Quota(1000, 1000)


def put(store, job):
    store.create(job, QUOTA)
    return job


def claim(store, worker="w", lease_s=100.0, per_share=100):
    return store.claim(["test"], worker, lease_s, per_share)


def reach(store, job, phase):
    """Bring a new job to a phase by the calls that a service makes."""
    put(store, job)
    match phase:
        case Phase.PENDING:
            return
        case Phase.ARCHIVED:
            store.set_destruction(job.id, time.time() - 1)
            assert store.expire(1000) == [job.id]
        case Phase.ABORTED:
            assert store.abort(job.id)
        case _:
            assert store.enqueue(job.id)
            if phase == Phase.HELD:
                assert store.hold(job.id)
            elif phase != Phase.QUEUED:
                taken = claim(store)
                assert taken.id == job.id
                if phase != Phase.EXECUTING:
                    assert store.finish(Claim(job.id, taken.claim), phase)
    assert store.get(job.id).phase == phase


REACHED = [phase for phase in Phase if phase not in {Phase.SUSPENDED, Phase.UNKNOWN}]


@pytest.mark.parametrize("phase", REACHED)
def test_a_phase_is_followed_by_what_may_follow_it_and_nothing_else(store, make_job, phase):
    def after(call) -> Phase:
        job = make_job()
        reach(store, job, phase)
        number = store.get(job.id).claim
        call(job.id, Claim(job.id, number))
        found = store.get(job.id).phase
        store.delete(job.id)
        return found

    def expire(job_id, _):
        store.set_destruction(job_id, time.time() - 1)
        store.expire(1000)

    calls = {
        "enqueue": lambda job_id, _: store.enqueue(job_id),
        "hold": lambda job_id, _: store.hold(job_id),
        "abort": lambda job_id, _: store.abort(job_id),
        "claim": lambda _, __: claim(store),
        "complete": lambda _, own: store.finish(own, Phase.COMPLETED),
        "fail": lambda _, own: store.finish(own, Phase.ERROR),
        "release": lambda _, own: store.release(own),
        "expire": expire,
    }
    reached = {name: after(call) for name, call in calls.items()}
    assert set(reached.values()) - {phase} == TRANSITIONS[phase], reached


def test_a_job_comes_back_as_it_was_put(store, make_job):
    job = make_job(
        params=(("QUERY", "SELECT 'é\n\x01' -- :name %s %(x)s"), ("UP", "a,b"), ("UP", "c,d")),
        run_id="run 1", owner=None, visitor="v", share="at:1", duration_s=0,
        info=(("rows", "1"),), error=JobError("no", transient=True),
        results=(JobResult("result", "1/result.vot", "text/xml", 5_000_000_000),),
        queued_unix_s=1.5, started_unix_s=2.25, ended_unix_s=3.125, failures=2, claim=3,
    )  # fmt: skip
    put(store, job)
    assert store.get(job.id) == job
    assert store.get(new_id()) is None
    assert store.get("'; DROP TABLE uws_jobs; --") is None


def test_the_list_is_filtered_and_gives_the_newest_first(store, make_job):
    base = 1_700_000_000.0
    made = [put(store, make_job(created_unix_s=base + n, params=(("A", "b"),))) for n in range(6)]
    put(store, make_job(owner="other"))
    put(store, make_job(service="other"))
    assert store.enqueue(made[1].id)
    assert store.abort(made[4].id)
    ids = [job.id for job in made]

    def found(**given):
        return [job.id for job in store.find("test", JobFilter("someone", **given))]

    assert found() == ids[::-1]
    assert found(last=2) == ids[:3:-1]
    assert found(after_unix_s=base + 3) == ids[:3:-1]
    assert found(phases=frozenset({Phase.QUEUED, Phase.ABORTED})) == [ids[4], ids[1]]
    assert found(phases=frozenset({Phase.PENDING}), after_unix_s=base, last=1) == [ids[5]]
    assert all(job.params == () for job in store.find("test", JobFilter("someone")))
    store.set_destruction(ids[0], time.time() - 1)
    assert ids[0] not in found()
    store.expire(1000)
    assert ids[0] not in found()
    assert found(phases=frozenset({Phase.ARCHIVED})) == [ids[0]]


def test_jobs_without_an_owner_are_listed_to_their_visitor_alone(store, make_job):
    mine = put(store, make_job(owner=None, visitor="me"))
    put(store, make_job(owner=None, visitor="you"))
    put(store, make_job(owner=None))
    put(store, make_job(owner="me"))
    assert [job.id for job in store.find("test", JobFilter(None, "me"))] == [mine.id]
    assert store.find("test", JobFilter(None)) == []
    everyone = {job.id for job in store.find(None, JobFilter(None, everyone=True))}
    assert mine.id in everyone
    assert len(everyone) == sum(store.counts().values())
    assert store.find("other", JobFilter(None, everyone=True)) == []


def test_the_longest_wait_is_told(store, make_job):
    assert store.oldest_wait_s() == 0
    assert queue_state(store) == QueueState(0, 0, 0)
    jobs = [
        put(store, make_job(phase=Phase.QUEUED, queued_unix_s=time.time() - s))
        for s in (9.01, 3.01)
    ]
    assert 9 <= store.oldest_wait_s() < 100
    assert claim(store).id == jobs[0].id
    state = queue_state(store)
    assert (state.queued, state.executing) == (1, 1)
    assert 3 <= state.oldest_wait_s < 9 + 60


def test_metrics_are_read_when_they_are_asked_for(open_store, make_job):
    store, registry = open_store(), CollectorRegistry()
    registry.register(QueueMetrics(store))
    put(store, make_job(phase=Phase.QUEUED, queued_unix_s=time.time() - 5))
    said = generate_latest(registry).decode()
    assert 'skylane_jobs{phase="QUEUED"} 1.0' in said
    assert 'skylane_jobs{phase="HELD"} 0.0' in said


def test_metrics_tell_of_a_queue_that_cannot_be_read(monkeypatch, store):
    def broken():
        raise ServiceUnavailable("away")

    registry = CollectorRegistry()
    registry.register(QueueMetrics(store))
    monkeypatch.setattr(store, "counts", broken)
    assert generate_latest(registry).decode().splitlines()[-1] == "skylane_jobs_reachable 0.0"


def test_parameters_change_only_before_the_start(store, make_job):
    job = put(store, make_job())
    assert store.set_params(job.id, [("QUERY", "x")], "r")
    assert store.get(job.id).params == (("QUERY", "x"),)
    assert store.get(job.id).run_id == "r"
    store.enqueue(job.id)
    assert not store.set_params(job.id, [], None)
    assert not store.set_params(new_id(), [], None)


def test_a_quota_is_kept(store, make_job):
    quota = Quota(in_all=3, per_share=2)
    store.create(make_job(share="a"), quota)
    store.create(make_job(share="a"), quota)
    with pytest.raises(ServiceUnavailable, match="2 jobs of yours are kept here"):
        store.create(make_job(share="a"), quota)
    store.create(make_job(share="b"), quota)
    with pytest.raises(ServiceUnavailable, match="3 jobs are kept here"):
        store.create(make_job(share="c"), quota)


def test_the_queue_is_fair_between_shares(store, make_job):
    for share, count in (("many", 4), ("few", 2)):
        for _ in range(count):
            store.enqueue(put(store, make_job(share=share)).id)
    order = [claim(store, per_share=3).share for _ in range(5)]
    assert order == ["many", "few", "many", "few", "many"]
    assert claim(store, per_share=3) is None, "the fourth of one share waits"
    assert claim(store, per_share=4).share == "many"
    assert store.counts() == {Phase.EXECUTING: 6}


def test_only_jobs_of_the_asked_services_are_taken(store, make_job):
    store.enqueue(put(store, make_job(service="tap")).id)
    assert store.claim(["soda"], "w", 10, 10) is None
    assert store.claim([], "w", 10, 10) is None
    assert store.claim(["soda", "tap"], "w", 10, 10).service == "tap"


def test_jobs_of_one_service_do_not_count_against_another(store, make_job):
    for service in ("soda", "soda", "tap"):
        store.enqueue(put(store, make_job(service=service)).id)
    both = ["soda", "tap"]
    assert [store.claim(both, "w", 10, 1).service for _ in both] == ["soda", "tap"]
    assert store.claim(both, "w", 10, 1) is None
    assert store.claim(both, "w", 10, 2).service == "soda"


def test_who_lost_the_lease_can_write_nothing(store, make_job):
    job = put(store, make_job())
    store.enqueue(job.id)
    late = claim(store, "late", lease_s=-1)
    assert store.recover(3) == [job.id]
    again = claim(store, "prompt")
    assert (again.id, again.claim, again.failures) == (job.id, 2, 1)
    stale = Claim(job.id, late.claim)
    assert not store.finish(stale, Phase.COMPLETED, results=[JobResult("r", "p", "t", 1)])
    assert not store.release(stale)
    store.renew("late", 100, {stale: [("rows", "9")]})
    assert store.get(job.id).info == ()
    assert store.mine("late") == {}
    assert store.mine("prompt") == {Claim(job.id, 2): 60}
    store.renew("prompt", 100, {Claim(job.id, 2): [("rows", "5")]})
    assert store.get(job.id).info == (("rows", "5"),)
    assert store.finish(Claim(job.id, 2), Phase.COMPLETED)
    assert store.recover(3) == []


def test_a_job_that_kills_its_process_is_not_begun_for_ever(store, make_job):
    job = put(store, make_job())
    store.enqueue(job.id)
    for _ in range(3):
        assert store.get(job.id).phase == Phase.QUEUED
        claim(store, lease_s=-1)
        store.recover(3)
    ended = store.get(job.id)
    assert (ended.phase, ended.failures) == (Phase.ERROR, 3)
    assert "stopped 3 times while it ran this job" in ended.error.message
    assert ended.ended_unix_s is not None


def test_a_lease_that_is_renewed_is_not_taken(store, make_job):
    job = put(store, make_job())
    store.enqueue(job.id)
    claim(store, lease_s=-1)
    store.renew("w", 100, {})
    assert store.recover(3) == []


def test_a_released_job_goes_before_later_ones(store, make_job):
    first, second = put(store, make_job()), put(store, make_job())
    store.enqueue(first.id)
    time.sleep(0.002)
    store.enqueue(second.id)
    assert store.ahead(store.get(second.id)) == 1
    taken = claim(store)
    assert taken.id == first.id
    assert store.release(Claim(first.id, taken.claim))
    back = store.get(first.id)
    assert (back.phase, back.failures, back.started_unix_s) == (Phase.QUEUED, 0, None)
    assert claim(store).id == first.id


def test_what_expires_is_forgotten_or_archived(store, make_job):
    gone = put(store, make_job(destruction_unix_s=time.time() - 1))
    kept = put(store, make_job())
    assert store.get(gone.id) is None
    assert store.phases([gone.id, kept.id]) == {kept.id: Phase.PENDING}
    assert not store.enqueue(gone.id)
    assert store.expire(0) == [gone.id]
    assert store.expire(0) == []
    put(store, gone)
    assert store.expire(500) == [gone.id]
    archived = store.get(gone.id)
    assert archived.phase == Phase.ARCHIVED
    assert archived.destruction_unix_s == pytest.approx(time.time() + 500, abs=5)
    assert store.delete(gone.id)
    assert not store.delete(gone.id)


def test_changes_by_others_are_noticed(open_store, make_job):
    one, other = open_store(), open_store()
    one.changed()
    time.sleep(0.05)
    one.changed()
    assert not one.changed()
    put(other, make_job())
    until = time.monotonic() + 5
    while not one.changed():
        assert time.monotonic() < until
        time.sleep(0.01)
    assert not one.changed()


def test_each_job_is_taken_once_whoever_asks(open_store, make_job):
    stores = [open_store() for _ in range(4)]
    ids = {put(stores[0], make_job(share=str(n % 2))).id for n in range(40)}
    for job_id in ids:
        stores[0].enqueue(job_id)
    taken: list[str] = []
    at_work: list[int] = []

    def work(number: int) -> None:
        store = stores[number]
        while Phase.QUEUED in (counts := store.counts()):
            at_work.append(counts.get(Phase.EXECUTING, 0))
            job = claim(store, f"w{number}", per_share=1)
            if job is not None:
                taken.append(job.id)
                at_work.append(store.counts().get(Phase.EXECUTING, 0))
                store.finish(Claim(job.id, job.claim), Phase.COMPLETED)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(taken) == sorted(ids)
    assert max(at_work) <= 2, "one of each share"


def test_a_store_of_something_else_is_refused(tmp_path):
    path = tmp_path / "jobs.db"
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE other (x)")
    connection.close()
    with pytest.raises(ArchiveError, match="not a queue of jobs"):
        SqliteJobs(path)
    newer = tmp_path / "newer.db"
    SqliteJobs(newer).close()
    connection = apsw.Connection(str(newer))
    connection.pragma("user_version", 99)
    connection.close()
    with pytest.raises(ArchiveError, match="layout 99"):
        SqliteJobs(newer)


def test_an_unreachable_database_is_told(postgres_cluster):
    from vodal.uws.postgres import PostgresJobs

    with pytest.raises(ServiceUnavailable, match="not reachable"):
        PostgresJobs(postgres_cluster.url("no_such_database"))


def test_queues_in_two_schemas_are_two_queues(postgres_cluster, jobs_database, make_job):
    from vodal.uws.postgres import PostgresJobs

    name = jobs_database.rpartition("/")[2]
    postgres_cluster.psql(
        name, 'CREATE SCHEMA IF NOT EXISTS "one site"; CREATE SCHEMA IF NOT EXISTS two'
    )
    one, two = PostgresJobs(jobs_database, "one site"), PostgresJobs(jobs_database, "two")
    job = put(one, make_job())
    assert (one.get(job.id), two.get(job.id)) == (job, None)
    postgres_cluster.psql(name, "COMMENT ON TABLE two.uws_jobs IS 'layout 99'")
    with pytest.raises(ArchiveError, match="layout 99"):
        PostgresJobs(jobs_database, "two")
    postgres_cluster.psql(name, 'DROP SCHEMA "one site" CASCADE; DROP SCHEMA two CASCADE')
    one.close()
    two.close()


def test_a_database_that_went_away_is_found_again(postgres_cluster, postgres_url, make_job):
    from vodal.uws.postgres import PostgresJobs

    store = PostgresJobs(postgres_url)
    job = put(store, make_job())
    store.changed()
    postgres_cluster.psql(
        "postgres",
        # Those of this database alone: other tests have theirs on the same server.
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        f" WHERE datname = '{postgres_url.rpartition('/')[2]}'",
    )
    with pytest.raises(ServiceUnavailable):
        store.get(job.id)
    assert store.get(job.id) == job
    until = time.monotonic() + 5
    noticed = False
    while not noticed:
        assert time.monotonic() < until
        with contextlib.suppress(ServiceUnavailable):
            noticed = store.changed()
    store.close()


def test_a_process_killed_while_it_writes_leaves_a_whole_queue(tmp_path):
    path = tmp_path / "jobs.db"
    SqliteJobs(path).close()
    code = textwrap.dedent(
        f"""
        from pathlib import Path
        from vodal.uws.jobs import Job, Phase, new_id
        from vodal.uws.sqlite import SqliteJobs
        from vodal.uws.store import Quota
        store = SqliteJobs(Path({str(path)!r}))
        while True:
            job = Job(new_id(), "test", Phase.PENDING, 1.0, 4e9, 1, "", "s", owner="o")
            store.create(job, Quota(10**6, 10**6))
            print(job.id, flush=True)
        """
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as child:
        told = [child.stdout.readline().strip() for _ in range(20)]
        child.kill()
        told += child.stdout.read().split()
    store = SqliteJobs(path)
    # The last line may be cut.
    assert set(store.phases([job_id for job_id in told if len(job_id) == 26])) >= set(told[:-1])
    store.close()


class Queue(RuleBasedStateMachine):
    """The store beside a model of it: what the UWS standard and the leases promise."""

    store = None
    make_job = None

    jobs = Bundle("jobs")
    claims = Bundle("claims")

    def __init__(self):
        super().__init__()
        self.model: dict[str, dict] = {}

    def teardown(self):
        for job_id in self.model:
            self.store.delete(job_id)

    @rule(target=jobs, share=st.sampled_from("ab"))
    def create(self, share):
        job = put(self.store, self.make_job(share=share))
        self.model[job.id] = {"phase": Phase.PENDING, "claim": 0, "failures": 0, "worker": None,
                              "share": share}  # fmt: skip
        return job.id

    def expect(self, done, job_id, phase, *allowed, **changes):
        """See that a call was done if the model allows it, and do it there."""
        entry = self.model.get(job_id)
        may = entry is not None and entry["phase"] in allowed
        assert done == may
        if may:
            entry.update(phase=phase, **changes)

    @rule(job_id=jobs)
    def enqueue(self, job_id):
        self.expect(self.store.enqueue(job_id), job_id, Phase.QUEUED, Phase.PENDING, Phase.HELD)

    @rule(job_id=jobs)
    def hold(self, job_id):
        self.expect(self.store.hold(job_id), job_id, Phase.HELD, Phase.QUEUED)

    @rule(job_id=jobs)
    def abort(self, job_id):
        self.expect(
            self.store.abort(job_id), job_id, Phase.ABORTED,
            Phase.PENDING, Phase.QUEUED, Phase.HELD, Phase.EXECUTING, worker=None,
        )  # fmt: skip

    @rule(job_id=consumes(jobs))
    def delete(self, job_id):
        assert self.store.delete(job_id) == (self.model.pop(job_id, None) is not None)

    @rule(target=claims, worker=st.sampled_from("xy"), per_share=st.integers(1, 3))
    def claim(self, worker, per_share):
        job = claim(self.store, worker, per_share=per_share)
        busy = dict.fromkeys("ab", 0)
        for entry in self.model.values():
            busy[entry["share"]] += entry["phase"] == Phase.EXECUTING
        free = {
            job_id: entry
            for job_id, entry in self.model.items()
            if entry["phase"] == Phase.QUEUED and busy[entry["share"]] < per_share
        }
        if job is None:
            assert not free
            return None
        assert job.id in free
        assert busy[job.share] == min(busy[entry["share"]] for entry in free.values())
        entry = free[job.id]
        entry.update(phase=Phase.EXECUTING, worker=worker, claim=entry["claim"] + 1)
        assert job.claim == entry["claim"]
        return Claim(job.id, job.claim)

    def holds(self, own):
        entry = self.model.get(own.job_id) if own else None
        return entry is not None and (entry["phase"], entry["claim"]) == (
            Phase.EXECUTING, own.number,
        )  # fmt: skip

    @rule(own=claims, phase=st.sampled_from([Phase.COMPLETED, Phase.ERROR, Phase.ABORTED]))
    def finish(self, own, phase):
        if own is None:
            return
        holds = self.holds(own)
        assert self.store.finish(own, phase) == holds
        if holds:
            self.model[own.job_id].update(phase=phase, worker=None)

    @rule(own=claims)
    def release(self, own):
        if own is None:
            return
        holds = self.holds(own)
        assert self.store.release(own) == holds
        if holds:
            self.model[own.job_id].update(phase=Phase.QUEUED, worker=None)

    @rule(worker=st.sampled_from("xy"))
    def die(self, worker):
        self.store.renew(worker, -1, {})
        lost = [
            job_id for job_id, entry in self.model.items()
            if entry["phase"] == Phase.EXECUTING and entry["worker"] == worker
        ]  # fmt: skip
        assert sorted(self.store.recover(2)) == sorted(lost)
        for job_id in lost:
            entry = self.model[job_id]
            failures = entry["failures"] + 1
            phase = Phase.ERROR if failures >= 2 else Phase.QUEUED
            entry.update(phase=phase, failures=failures, worker=None)

    @invariant()
    def phases_are_those_of_the_model(self):
        found = self.store.phases(list(self.model))
        assert found == {job_id: entry["phase"] for job_id, entry in self.model.items()}
        for worker in "xy":
            assert {own.job_id for own in self.store.mine(worker)} == {
                job_id for job_id, entry in self.model.items() if entry["worker"] == worker
            }


def test_the_queue_does_what_its_model_does(store, make_job):
    class Here(Queue):
        pass

    Here.store, Here.make_job = store, staticmethod(make_job)
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=40, stateful_step_count=30, deadline=None, derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
