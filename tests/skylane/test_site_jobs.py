"""Asynchronous jobs of a whole site, served by several processes that are killed."""

from __future__ import annotations

import time

import httpx
import psutil


def submit(url: str) -> str:
    """Run a small job; gives its path on the site."""
    answer = httpx.post(
        f"{url}/tap/async",
        data={"LANG": "ADQL", "PHASE": "RUN", "RESPONSEFORMAT": "csv",
              "QUERY": "SELECT table_name FROM tap_schema.tables"},
    )  # fmt: skip
    assert answer.status_code == 303, answer.text
    return answer.headers["location"].removeprefix(url)


def rows(url: str, job: str) -> list[str]:
    end = time.monotonic() + 30
    while (phase := httpx.get(f"{url}{job}/phase").text) != "COMPLETED":
        assert phase in {"QUEUED", "EXECUTING"}
        assert time.monotonic() < end
        time.sleep(0.05)
    return httpx.get(f"{url}{job}/results/result").text.split()


def test_jobs_and_results_outlive_the_servers(tmp_path, cli):
    process, url = cli.start(tmp_path, "--workers", "2")
    try:
        jobs = [submit(url) for _ in range(6)]
        found = [rows(url, job) for job in jobs]
        assert all("ivoa.obscore" in names for names in found)
    finally:
        parent = psutil.Process(process.pid)
        for one in [*parent.children(recursive=True), parent]:
            one.kill()
        process.wait(20)
    process, url = cli.start(tmp_path)
    try:
        assert [rows(url, job) for job in jobs] == found
        assert httpx.delete(url + jobs[0]).status_code == 303
        assert httpx.get(url + jobs[0]).status_code == 404
        assert len(list((tmp_path / "results").iterdir())) == 5
    finally:
        cli.stop(process)
