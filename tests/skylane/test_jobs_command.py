"""``skylane jobs`` beside a running server: the operator's view of the queue."""

from __future__ import annotations

import json
import time

import httpx
import pytest
from click.testing import CliRunner

from skylane.cli import main

TABLES = "TAP_SCHEMA.columns"
ENDLESS = (
    f"SELECT COUNT(*) AS n FROM {TABLES} AS a, {TABLES} AS b, {TABLES} AS c, {TABLES} AS d,"
    f" {TABLES} AS e WHERE a.column_index + b.column_index + c.column_index"
    " + d.column_index + e.column_index < -1"
)
QUICK = "SELECT table_name FROM TAP_SCHEMA.tables"


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def served(request, tmp_path_factory, cli):
    folder = tmp_path_factory.mktemp("jobs")
    settings = "[jobs]\nconcurrency = 1\n"
    if request.param == "postgres":
        settings += f'[store]\nurl = "{request.getfixturevalue("fresh_postgres")()}"\n'
    (folder / "skylane.toml").write_text(settings)
    process, url = cli.start(folder)
    yield folder, url
    cli.stop(process)


@pytest.fixture(scope="module")
def jobs(served):
    """Run ``skylane jobs ...``; gives its lines."""

    def run(*arguments: str, status: int = 0) -> list[str]:
        done = CliRunner().invoke(main, ["jobs", *arguments, "--site", str(served[0])])
        assert done.exit_code == status, done.output
        return done.output.splitlines()

    return run


def submit(url, query) -> str:
    """Run a job; gives its id."""
    data = {"LANG": "ADQL", "QUERY": query, "PHASE": "RUN", "RESPONSEFORMAT": "csv"}
    answer = httpx.post(f"{url}/tap/async", data=data)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"].rpartition("/")[2]


def wait_for(url, job, phase):
    until = time.monotonic() + 20
    while (found := httpx.get(f"{url}/tap/async/{job}/phase").text) != phase:
        assert time.monotonic() < until, found
        time.sleep(0.05)


def test_the_operator_sees_stops_and_deletes_jobs(served, jobs):
    folder, url = served
    done = submit(url, QUICK)
    wait_for(url, done, "COMPLETED")
    running = submit(url, ENDLESS)
    wait_for(url, running, "EXECUTING")
    waiting = submit(url, QUICK)

    listed = {item["id"]: item for item in map(json.loads, jobs("list", "--json"))}
    assert {listed[done]["phase"], listed[running]["phase"], listed[waiting]["phase"]} == {
        "COMPLETED", "EXECUTING", "QUEUED"
    }  # fmt: skip
    (only,) = map(json.loads, jobs("list", "--json", "--phase", "executing"))
    assert only["id"] == running
    assert len(jobs("list", "--json", "--last", "2")) == 2
    text = "\n".join(jobs("list"))
    assert running in text
    assert "1 COMPLETED, 1 EXECUTING, 1 QUEUED" in text

    health = httpx.get(f"{url}/health").json()
    assert (health["jobs_queued"], health["jobs_executing"]) == (1, 1)
    assert health["jobs_oldest_wait_s"] >= 0
    metrics = httpx.get(f"{url}/metrics").text
    assert 'skylane_jobs{phase="EXECUTING"} 1.0' in metrics
    assert "skylane_jobs_reachable 1.0" in metrics
    assert "skylane_jobs_oldest_wait_seconds" in metrics

    assert jobs("abort", running) == [f"{running} is stopped"]
    wait_for(url, waiting, "COMPLETED")
    error = httpx.get(f"{url}/tap/async/{running}/error").text
    assert "stopped by the operator" in error
    assert jobs("abort", running) == [f"{running} is ABORTED already"]

    shown = "\n".join(jobs("show", running))
    assert f"parameter    QUERY={ENDLESS}" in shown
    assert "stopped by the operator" in shown
    whole = json.loads("".join(jobs("show", "--json", done)))
    assert ["QUERY", QUICK] in whole["parameters"]
    assert whole["results"][0]["size_bytes"] > 0
    assert "result.csv" in "\n".join(jobs("show", done))

    assert (folder / "results" / done).is_dir()
    assert jobs("delete", done, waiting) == [f"{done} is deleted", f"{waiting} is deleted"]
    assert httpx.get(f"{url}/tap/async/{done}").status_code == 404
    assert not (folder / "results" / done).exists()


def test_a_running_job_can_be_deleted(served, jobs):
    folder, url = served
    running = submit(url, ENDLESS)
    wait_for(url, running, "EXECUTING")
    jobs("delete", running)
    assert httpx.get(f"{url}/tap/async/{running}").status_code == 404
    wait_for(url, submit(url, QUICK), "COMPLETED")
    until = time.monotonic() + 10
    while (folder / "results" / running).exists():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_wrong_calls_are_told(served, jobs):
    assert "there is no job 'nothing'" in jobs("show", "nothing", status=1)[0]
    assert "there is no job" in jobs("abort", "a" * 26, status=1)[0]
    assert "PENDING, QUEUED" in jobs("list", "--phase", "sleeping", status=1)[0]


def test_a_site_that_is_not_there_is_told(tmp_path):
    done = CliRunner().invoke(main, ["jobs", "list", "--site", str(tmp_path / "none")])
    assert "there is no site" in done.output
    assert not (tmp_path / "none").exists()
