"""Jobs at work: how they end, and who waits for them."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vodal.errors import DataError, ServiceUnavailable, UsageError
from vodal.uws.callers import Caller
from vodal.uws.jobs import FINAL, Phase, new_id
from vodal.uws.results import ResultFolders
from vodal.uws.runner import Runner
from vodal.uws.service import JobService
from vodal.uws.settings import JobSettings
from vodal.uws.store import Claim, JobFilter
from vodal.uws.tasks import Task, Work

ME = Caller("me", None, "user:me")


class Deeds(Work):
    """Does what the parameter DO says."""

    def __init__(self) -> None:
        self.runs: list[str] = []
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()
        self.released = threading.Event()

    def run(self, task: Task) -> None:
        deed, _, argument = dict(task.job.params)["DO"].partition(" ")
        with self.lock:
            self.runs.append(task.job.id)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            getattr(self, deed)(task, argument)
        finally:
            with self.lock:
                self.at_once -= 1

    def write(self, task, text):
        with task.result("result", "text/plain", "txt") as sink:
            sink.write(text.encode())

    def hold(self, task, _):
        """Work until it is let go, or told to stop."""
        while not self.released.wait(0.01):
            if task.cancelled.is_set():
                raise ServiceUnavailable("stopped")
        self.write(task, "released")

    def sleep(self, task, seconds):
        if task.cancelled.wait(float(seconds)):
            raise ServiceUnavailable("stopped")
        self.write(task, "awake")

    def half(self, task, _):
        with task.result("result", "text/plain", "txt") as sink:
            sink.write(b"half")
            raise UsageError("no more")

    def flood(self, task, _):
        with task.result("result", "text/plain", "txt") as sink:
            while True:
                sink.write(b"x" * 100_000)

    def fail(self, _task, kind):
        raise {
            "usage": UsageError("it is wrong"),
            "later": ServiceUnavailable("not now"),
            "data": DataError("the file is bad"),
            "bug": ZeroDivisionError("secret"),
        }[kind]

    def progress(self, task, _):
        for number in range(100):
            task.report(rows=number)
            if task.cancelled.wait(0.05):
                raise ServiceUnavailable("stopped")


class Place:
    """One server process's part, as far as jobs go."""

    def __init__(self, store, root: Path, **settings) -> None:
        self.deeds = Deeds()
        self.root = root
        self.runner = Runner(store, ResultFolders(root), JobSettings(**settings))
        self.service = JobService(
            self.runner, "test", self.deeds, default_duration_s=60, max_duration_s=100
        )
        self.runner.start()

    def submit(self, do: str, *, run: bool = True, caller: Caller = ME) -> str:
        params = [("DO", do)]
        return self.service.create(caller, new_id(), params, "http://s", run=run).id

    def get(self, job_id):
        return self.service.get(ME, job_id)

    def until(self, job_id, *phases, limit_s=10.0):
        wanted = phases or tuple(FINAL)
        end = time.monotonic() + limit_s
        while (job := self.get(job_id)).phase not in wanted:
            assert time.monotonic() < end, job
            time.sleep(0.01)
        return job

    def files(self) -> list[str]:
        """Give what jobs have made; whose they are is no result."""
        while True:
            try:
                paths = [path for path in self.root.rglob("*") if path.is_file()]
            except FileNotFoundError:
                # A folder went away while it was looked into.
                continue
            made = [path for path in paths if path.name != "owner.json"]
            return sorted(str(path.relative_to(self.root)) for path in made)


@pytest.fixture
def open_place(open_store, tmp_path) -> Iterator[Callable[..., Place]]:
    """Give a function that starts one more runner on the same queue."""
    places = []

    def one_more(**settings) -> Place:
        places.append(Place(open_store(), tmp_path / "results", **settings))
        return places[-1]

    yield one_more
    for place in places:
        place.runner.stop()


@pytest.fixture
def place(open_place) -> Place:
    return open_place()


def test_a_job_leaves_its_result(place):
    job_id = place.submit("write hello")
    job = place.until(job_id)
    assert (job.phase, job.claim, job.error) == (Phase.COMPLETED, 1, None)
    assert job.created_unix_s <= job.started_unix_s <= job.ended_unix_s
    (result,) = job.results
    assert (result.name, result.media_type, result.size_bytes) == ("result", "text/plain", 5)
    assert place.service.folder(job_id).result(result).read_bytes() == b"hello"
    assert place.files() == [f"{job_id}/1/result.txt"]


@pytest.mark.parametrize(
    ("kind", "message", "transient"),
    [
        ("usage", "UsageError: it is wrong", False),
        ("later", "ServiceUnavailable: not now", True),
        ("data", "Error: the file is bad", False),
        ("bug", "Error: the service failed on this job; its log tells why under ", False),
    ],
)
def test_a_failure_is_told(place, kind, message, transient):
    job = place.until(place.submit(f"fail {kind}"))
    assert job.phase == Phase.ERROR
    assert job.error.message.startswith(message)
    assert "secret" not in job.error.message
    assert job.error.transient == transient


def test_half_a_result_is_none(place):
    job = place.until(place.submit("half"))
    assert (job.phase, job.results) == (Phase.ERROR, ())
    assert place.files() == []


def test_a_result_over_its_limit_is_none(open_place):
    place = open_place(max_result_bytes=1_000_000)
    job = place.until(place.submit("flood"))
    assert job.phase == Phase.ERROR
    assert "larger than 1000000 bytes" in job.error.message
    assert place.files() == []


def test_a_full_disk_is_told_and_leaves_nothing(place):
    job_id = place.submit("flood", run=False)
    run = place.root / job_id / "1"
    run.mkdir(parents=True)
    # Linux's device on which every write finds the disk full.
    (run / "result.txt.part").symlink_to("/dev/full")
    place.service.run(place.get(job_id))
    job = place.until(job_id)
    assert job.phase == Phase.ERROR
    assert "disk for results is full" in job.error.message
    assert job.error.transient
    assert place.files() == []
    assert not run.exists()


def test_an_aborted_job_ends_and_its_place_is_free(open_place):
    place = open_place(concurrency=1)
    job_id = place.submit("sleep 60")
    place.until(job_id, Phase.EXECUTING)
    place.service.abort(place.get(job_id))
    job = place.get(job_id)
    assert (job.phase, job.error) == (Phase.ABORTED, None)
    assert job.ended_unix_s is not None
    began = time.monotonic()
    place.until(place.submit("write x"))
    assert time.monotonic() - began < 1
    # To abort what has ended changes nothing.
    place.service.abort(job)
    assert place.get(job_id) == job


def test_a_job_is_aborted_by_another_process(open_place):
    one = open_place(concurrency=1)
    job_id = one.submit("sleep 60")
    one.until(job_id, Phase.EXECUTING)
    other = open_place(concurrency=1)
    began = time.monotonic()
    other.service.abort(other.get(job_id))
    while one.runner.at_work:
        assert time.monotonic() - began < 1.0
        time.sleep(0.01)
    assert one.get(job_id).phase == Phase.ABORTED


def test_a_deleted_job_leaves_nothing(place):
    job_id = place.submit("progress")
    place.until(job_id, Phase.EXECUTING)
    place.service.delete(place.get(job_id))
    while place.runner.at_work:
        time.sleep(0.01)
    assert list(place.root.iterdir()) == []


def test_overtime_is_aborted_with_a_reason(place):
    job_id = place.submit("sleep 60", run=False)
    place.service.set_duration(place.get(job_id), 1)
    place.service.run(place.get(job_id))
    job = place.until(job_id)
    assert job.phase == Phase.ABORTED
    assert "stopped after 1 s" in job.error.message
    assert 0.9 < job.ended_unix_s - job.started_unix_s < 2


def test_progress_is_seen_while_a_job_runs(place):
    job_id = place.submit("progress")
    place.until(job_id, Phase.EXECUTING)
    seen = set()
    end = time.monotonic() + 4
    while len(seen) < 3:
        assert time.monotonic() < end
        seen |= {dict(place.get(job_id).info).get("rows")} - {None}
        time.sleep(0.05)
    place.service.abort(place.get(job_id))


def test_no_more_jobs_run_at_once_than_are_allowed(open_place):
    place = open_place(concurrency=3, per_user=2)
    ids = [place.submit("sleep 0.1") for _ in range(6)]
    other = Caller("other", None, "user:other")
    last = place.submit("sleep 0.1", caller=other)
    for job_id in ids:
        place.until(job_id)
    assert place.deeds.most_at_once == 3
    assert place.deeds.runs.index(last) <= 2, "who has few is served before who has many"


def test_one_kind_of_jobs_leaves_places_to_another(open_place):
    place = open_place(concurrency=3, per_user=9)
    place.runner.register("test", place.deeds, 2)
    other = Deeds()
    service = JobService(
        place.runner, "other", other, default_duration_s=60, max_duration_s=60, most=2
    )
    long = [place.submit("sleep 60") for _ in range(5)]
    for job_id in long[:2]:
        place.until(job_id, Phase.EXECUTING)
    quick = [
        service.create(ME, new_id(), [("DO", "write hello")], "http://s", run=True).id
        for _ in range(4)
    ]
    end = time.monotonic() + 10
    while any(service.get(ME, job_id).phase != Phase.COMPLETED for job_id in quick):
        assert time.monotonic() < end
        time.sleep(0.01)
    assert place.deeds.most_at_once == 2
    assert [place.get(job_id).phase for job_id in long[2:]] == [Phase.QUEUED] * 3


def test_a_stopping_process_gives_its_jobs_back(open_place):
    one = open_place(concurrency=1)
    job_id = one.submit("sleep 0.7")
    one.until(job_id, Phase.EXECUTING)
    one.runner.stop()
    other = open_place()
    job = other.until(job_id)
    assert (job.phase, job.claim, job.failures) == (Phase.COMPLETED, 2, 0)
    assert other.files() == [f"{job_id}/2/result.txt"]


def test_inputs_are_kept_until_a_job_ends(open_place):
    one = open_place(concurrency=1)
    ids = {do: one.submit(do, run=False) for do in ("sleep 0.5", "fail usage", "write x")}
    for job_id in ids.values():
        inputs = one.service.folder(job_id).inputs
        inputs.mkdir(parents=True)
        (inputs / "table").write_text("rows")
    job_id = ids["sleep 0.5"]
    one.service.run(one.get(job_id))
    one.until(job_id, Phase.EXECUTING)
    one.runner.stop()
    other = open_place()
    assert f"{job_id}/inputs/table" in other.files()
    other.until(job_id)
    other.service.run(other.get(ids["fail usage"]))
    other.until(ids["fail usage"])
    other.service.abort(other.get(ids["write x"]))
    end = time.monotonic() + 5
    while any("inputs" in name for name in other.files()):
        assert time.monotonic() < end, other.files()
        time.sleep(0.02)


def test_a_job_of_a_process_that_died_runs_again_by_another(open_store, open_place, make_job):
    store = open_store()
    place = open_place(lease_s=0.5)
    job_id = place.submit("write x", run=False)
    place.runner.stop()
    # A process that takes the job and is never heard of again.
    store.enqueue(job_id)
    assert store.claim(["test"], "dead", 0.5, 9).id == job_id
    other = open_place(lease_s=0.5)
    job = other.until(job_id)
    assert (job.phase, job.claim, job.failures) == (Phase.COMPLETED, 2, 1)


def test_a_process_that_lost_its_job_spoils_nothing(open_store, open_place):
    one = open_place(concurrency=1)
    job_id = one.submit("hold")
    one.until(job_id, Phase.EXECUTING)
    # As if it had been suspended: its lease is over and another takes the job.
    store = open_store()
    end = time.monotonic() + 30
    while (other := store.claim(["test"], "other", 100, 9)) is None:
        assert time.monotonic() < end
        store.renew(one.runner.worker, -1, {})
        store.recover(3)
    assert (other.id, other.claim) == (job_id, 2)
    folder = one.service.folder(job_id)
    (folder.path / "2").mkdir(parents=True)
    (folder.path / "2" / "result.txt").write_text("of the other")
    one.deeds.released.set()
    while one.runner.at_work:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert one.get(job_id).phase == Phase.EXECUTING
    assert one.files() == [f"{job_id}/2/result.txt"]
    assert store.finish(Claim(job_id, 2), Phase.COMPLETED)


def test_folders_of_no_job_are_swept_away(open_place, open_store, tmp_path):
    folders = ResultFolders(tmp_path / "results")
    place = open_place()
    kept = place.submit("write x")
    place.until(kept)
    orphan, young = new_id(), new_id()
    for name in (orphan, young, "something else"):
        (tmp_path / "results" / name).mkdir()
    long_ago = time.time() - 7200
    for name in (orphan, kept, "something else"):
        os.utime(tmp_path / "results" / name, (long_ago, long_ago))
    assert folders.sweep(open_store().phases) == 1
    left = {path.name for path in (tmp_path / "results").iterdir()}
    assert left == {kept, young, "something else"}


def test_what_expires_is_removed_with_its_files(place):
    job_id = place.submit("write x")
    place.until(job_id)
    place.service.set_destruction(place.get(job_id), time.time() + 0.3)
    end = time.monotonic() + 5
    while place.files():
        assert time.monotonic() < end
        time.sleep(0.02)
    assert place.service.find(JobFilter("me")) == []


def test_who_waits_is_woken_at_once_by_the_same_process(place):
    job_id = place.submit("sleep 0.3")
    place.until(job_id, Phase.EXECUTING)
    job = asyncio.run(place.service.wait(ME, job_id, -1))
    # The store knows the end a moment before the waiter does.
    assert job.phase == Phase.COMPLETED
    assert time.time() - job.ended_unix_s < 0.5


def test_who_waits_is_woken_soon_by_another_process(open_place):
    one, other = open_place(), open_place(concurrency=1)
    job_id = one.submit("sleep 30", run=False)
    late: list[float] = []

    async def wait():
        job = await other.service.wait(ME, job_id, 10)
        late.append(time.time())
        return job

    def start():
        time.sleep(0.5)
        one.service.abort(one.get(job_id))
        late.append(time.time())

    thread = threading.Thread(target=start)
    thread.start()
    job = asyncio.run(wait())
    thread.join()
    assert job.phase == Phase.ABORTED
    assert abs(late[1] - late[0]) < 1, "0.1 s by design; the machine may be busy"


def test_waiting_is_bounded_and_for_active_phases_only(open_place):
    place = open_place(wait_limit_s=0.3)

    def took(job_id, seconds, phase=None):
        began = time.monotonic()
        asyncio.run(place.service.wait(ME, job_id, seconds, phase))
        return time.monotonic() - began

    pending = place.submit("write x", run=False)
    assert 0.25 < took(pending, -1) < 1
    assert 0.25 < took(pending, 1e9) < 1
    assert 0.05 < took(pending, 0.1) < 0.3
    assert took(pending, 0) < 0.2
    assert took(pending, -1, Phase.QUEUED) < 0.2
    assert 0.25 < took(pending, -1, Phase.PENDING) < 1
    place.service.abort(place.get(pending))
    assert took(pending, -1) < 0.2


def test_a_stopping_process_lets_waiters_go(place):
    job_id = place.submit("write x", run=False)

    async def wait():
        waiting = asyncio.create_task(place.service.wait(ME, job_id, -1))
        await asyncio.sleep(0.1)
        began = time.monotonic()
        place.runner.watch.close()
        await waiting
        return time.monotonic() - began

    assert asyncio.run(wait()) < 0.5
