"""Several server processes on one queue; some are killed, suspended or stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import httpx
import psycopg
import pytest

from obscore.store.choice import make_backend
from obscore.store.settings import StoreSettings

LEASE_S = 1.0
ENDLESS = (
    "SELECT COUNT(*) AS n FROM ivoa.obscore AS a, ivoa.obscore AS b, ivoa.obscore AS c"
    " WHERE a.s_ra + b.s_ra + c.s_ra < -1"
)
QUICK = "SELECT TOP 3 obs_id FROM ivoa.obscore"
TIMES = {"sqlite": 50, "postgres": 10}
"""How often each store compares all rows with all in about a second."""


@dataclass
class Server:
    url: str
    process: subprocess.Popen

    def submit(self, query, **more) -> str:
        """Make a job and run it; gives its id."""
        answer = httpx.post(
            f"{self.url}/async",
            data={"LANG": "ADQL", "QUERY": query, "RESPONSEFORMAT": "csv", "PHASE": "RUN", **more},
            timeout=20,
        )
        assert answer.status_code == 303, answer.text
        return answer.headers["location"].rpartition("/")[2]

    def job(self, job_id, wait="0") -> dict[str, str | None]:
        answer = httpx.get(f"{self.url}/async/{job_id}", params={"WAIT": wait}, timeout=20)
        assert answer.status_code == 200, answer.text
        root = ET.fromstring(answer.content)
        found = {element.tag.rpartition("}")[2]: element.text for element in root}
        info = root.find("{*}jobInfo")
        found.update({} if info is None else {child.tag: child.text for child in info})
        return found

    def until(self, job_id, *phases, limit_s=20.0):
        end = time.monotonic() + limit_s
        while (job := self.job(job_id, "1"))["phase"] not in phases:
            assert time.monotonic() < end, job
        return job

    def rows(self, job_id) -> list[str]:
        answer = httpx.get(f"{self.url}/async/{job_id}/results/result")
        assert answer.status_code == 200
        return answer.text.split()

    def suspend(self) -> None:
        """Let it neither work nor look at the queue."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    def abort(self, job_id) -> None:
        httpx.post(f"{self.url}/async/{job_id}/phase", data={"PHASE": "ABORT"})


@pytest.fixture(scope="module", params=list(TIMES))
def kind(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def database(request, kind, catalogue, files) -> str:
    if kind == "sqlite":
        return str(catalogue[0])
    url = request.getfixturevalue("fresh_postgres")()
    backend = make_backend(StoreSettings(url=url), Path())
    backend.prepare()
    store = backend.writer()
    store.write(files)
    store.close()
    return url


@pytest.fixture
def slow(kind, catalogue) -> tuple[str, list[str]]:
    """Give a query that takes about a second, and its rows."""
    times, rows = TIMES[kind], len(catalogue[1])
    query = (
        "SELECT COUNT(*) AS n FROM ivoa.obscore AS a, ivoa.obscore AS b,"
        f" (SELECT TOP {times} s_ra FROM ivoa.obscore) AS c WHERE a.s_ra + b.s_ra + c.s_ra > -1"
    )
    return query, ["n", str(rows * rows * times)]


@contextmanager
def starting(database, folder):
    """Give a function that starts one more server on the same catalogue and queue."""
    place = []
    if database.startswith("postgresql://"):
        place = [f"queue_{folder.parent.name}"]
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(f'CREATE SCHEMA "{place[0]}"')
    with ExitStack() as stack:

        def one_more(**settings) -> Server:
            script = Path(__file__).with_name("tap_server.py")
            settings = {"lease_s": LEASE_S, "attempts": 2, **settings}
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, script, database, folder, json.dumps(settings), *place],
                    stdout=subprocess.PIPE, text=True,
                )
            )  # fmt: skip
            stack.callback(process.kill)
            return Server(process.stdout.readline().strip(), process)

        yield one_more


@pytest.fixture
def start(database, tmp_path):
    with starting(database, tmp_path / "jobs") as one_more:
        yield one_more


@pytest.fixture(scope="module")
def pair(database, tmp_path_factory):
    """Two servers that nobody kills, with place for one job each, and the folder of their jobs."""
    folder = tmp_path_factory.mktemp("pair")
    with starting(database, folder / "jobs") as one_more:
        yield one_more(concurrency=1, per_user=9), one_more(concurrency=1, per_user=9), folder


def written(folder: Path) -> list[str]:
    root = folder / "jobs" / "results"
    return sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file())


def test_a_job_whose_server_is_killed_runs_again_by_another(start, slow, tmp_path):
    one, other = start(), start()
    other.suspend()
    job_id = one.submit(slow[0])
    assert one.job(job_id)["phase"] == "EXECUTING"
    one.process.kill()
    other.go_on()
    job = other.until(job_id, "COMPLETED", "ERROR", "ABORTED")
    assert job["phase"] == "COMPLETED"
    assert other.rows(job_id) == slow[1]
    assert written(tmp_path) == [f"{job_id}/2/result.csv"]


def test_a_job_that_kills_every_server_ends_with_an_error(start):
    one = start()
    job_id = one.submit(ENDLESS)
    one.until(job_id, "EXECUTING")
    one.process.kill()
    two = start()
    assert two.until(job_id, "EXECUTING")["restarts"] == "1"
    two.process.kill()
    three = start()
    three.until(job_id, "ERROR")
    text = httpx.get(f"{three.url}/async/{job_id}/error").text
    assert "the service stopped 2 times while it ran this job" in text


def test_a_restart_keeps_jobs_and_results(start):
    one = start(concurrency=1)
    done = one.submit(QUICK)
    one.until(done, "COMPLETED")
    rows = one.rows(done)
    running, queued = one.submit(ENDLESS), one.submit(QUICK)
    one.until(running, "EXECUTING")
    one.process.kill()
    one.process.wait()
    two = start(concurrency=2)
    assert two.job(done)["phase"] == "COMPLETED"
    assert two.rows(done) == rows
    two.until(queued, "COMPLETED")
    two.until(running, "EXECUTING")
    two.abort(running)
    assert two.job(running)["phase"] == "ABORTED"


def test_one_process_takes_what_another_has_no_room_for(pair):
    one, other, _ = pair
    busy = [one.submit(ENDLESS) for _ in range(2)]
    for job_id in busy:
        one.until(job_id, "EXECUTING")
    quick = one.submit(QUICK)
    assert (one.job(quick)["phase"], one.job(quick)["jobsAhead"]) == ("QUEUED", "0")
    # Whichever of the two runs it, one is aborted at the process that does not.
    one.abort(busy[0])
    other.abort(busy[1])
    assert other.job(busy[0])["phase"] == one.job(busy[1])["phase"] == "ABORTED"
    # Both places become free, so that both queries have ended.
    busy = [one.submit(ENDLESS) for _ in range(2)]
    for job_id in (quick, *busy):
        one.until(job_id, "EXECUTING", "COMPLETED", limit_s=5)
    other.until(quick, "COMPLETED")
    assert one.rows(quick) == other.rows(quick)
    for job_id in busy:
        other.abort(job_id)


def test_a_suspended_process_that_wakes_spoils_nothing(start, slow, tmp_path):
    one, other = start(), start()
    other.suspend()
    job_id = one.submit(slow[0])
    assert one.job(job_id)["phase"] == "EXECUTING"
    one.suspend()
    other.go_on()
    job = other.until(job_id, "COMPLETED", "ERROR", "ABORTED")
    assert job["phase"] == "COMPLETED"
    one.go_on()
    time.sleep(1.5)
    assert one.job(job_id) == other.job(job_id) == job
    assert one.rows(job_id) == slow[1]
    assert written(tmp_path) == [f"{job_id}/2/result.csv"]


def test_a_wait_at_one_process_ends_with_what_another_does(pair):
    one, other, _ = pair
    job_id = one.submit(ENDLESS)
    one.until(job_id, "EXECUTING")
    ended: list[float] = []

    def wait() -> None:
        httpx.get(f"{other.url}/async/{job_id}", params={"WAIT": "15"}, timeout=20)
        ended.append(time.monotonic())

    waiter = threading.Thread(target=wait)
    waiter.start()
    time.sleep(0.5)
    assert not ended
    began = time.monotonic()
    one.abort(job_id)
    waiter.join(20)
    # By design a tenth of a second; the machine may be busy.
    assert ended[0] - began < 2


def test_many_jobs_from_many_servers_run_once_each(pair):
    *servers, folder = pair
    before = written(folder)
    jobs = [servers[n % 2].submit(QUICK, RUNID=str(n)) for n in range(20)]
    for number, job_id in enumerate(jobs):
        servers[(number + 1) % 2].until(job_id, "COMPLETED")
    assert sorted(set(written(folder)) - set(before)) == sorted(
        f"{job_id}/1/result.csv" for job_id in jobs
    )
