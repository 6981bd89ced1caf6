"""Several server processes of one site: counted together, replaced one by one, ended together."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import time
from collections import defaultdict
from pathlib import Path

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from skylane.servers import SharedMetrics


@pytest.fixture(scope="module")
def pair(tmp_path_factory, cli):
    """A site with one image, served by two processes."""
    from vodal.testing.skies import make_survey

    folder = tmp_path_factory.mktemp("pair")
    survey = make_survey(folder / "data" / "night", exposures=1, size=128, seed=3)
    cli.run("ingest", folder / "data" / "night", "--site", folder)
    process, url = cli.start(folder, "--workers", "2")
    query = {"LANG": "ADQL", "RESPONSEFORMAT": "csv",
             "QUERY": "SELECT obs_publisher_did FROM ivoa.obscore"}  # fmt: skip
    did = httpx.post(f"{url}/tap/sync", data=query).raise_for_status().text.split()[1].strip('"')
    ra, dec = (float(one) for one in survey.exposures[0].wcs.all_pix2world(60, 60, 0))
    yield url, process, {"ID": did, "CIRCLE": f"{ra} {dec} 0.002"}
    if process.poll() is None:
        cli.stop(process)


def until(condition, limit_s=240.0):
    end = time.monotonic() + limit_s
    while not (found := condition()):
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.1)
    return found


def processes(pid) -> tuple[list[int], list[int]]:
    """Give the server processes, and the cutout workers of all."""
    servers, workers = [], []
    for one in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            line = " ".join(one.cmdline())
            if "vodal.pool.worker" in line:
                workers.append(one.pid)
            elif "spawn_main" in line:
                servers.append(one.pid)
    return servers, workers


def ask(url, params, connection="close") -> int:
    """Ask once, by a connection of its own, which any of the servers may take."""
    headers = {"Connection": connection}
    return httpx.get(f"{url}/soda/sync", params=params, headers=headers, timeout=60).status_code


def counted(url) -> dict[str, float]:
    """Give the cutouts that were given, by server process."""
    page = httpx.get(f"{url}/metrics", headers={"Connection": "close"}, timeout=60).text
    found: dict[str, float] = defaultdict(float)
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if sample.name == "skylane_soda_cutouts_total" and sample.labels["outcome"] == "ok":
                found[sample.labels["server"]] += sample.value
    return found


def test_any_process_tells_what_all_count(pair):
    url, process, params = pair
    until(lambda: len(counted(url)) == 2)
    before = sum(counted(url).values())
    for number in range(1, 13):
        assert ask(url, params) == 200
        assert sum(counted(url).values()) == before + number
    servers, _ = processes(process.pid)
    assert set(counted(url)) == {str(pid) for pid in servers}
    page = httpx.get(f"{url}/metrics").text
    idle = re.findall(r'skylane_soda_workers\{server="(\d+)",state="idle"\} (\d)', page)
    assert sorted(idle) == sorted((str(pid), "2") for pid in servers)
    steps = set(re.findall(r'skylane_soda_step_seconds_bucket\{le="\+Inf".*?step="(\w+)"', page))
    assert steps == {"find", "queue", "index", "read", "decode", "resample", "encode"}


def test_a_server_process_that_is_killed_is_replaced_with_its_workers(pair):
    url, process, params = pair
    servers, workers = until(lambda: (p := processes(process.pid)) and len(p[1]) == 4 and p)
    doomed = {one.pid for one in psutil.Process(servers[0]).children()} & set(workers)
    assert len(doomed) == 2
    os.kill(servers[0], signal.SIGKILL)
    until(lambda: not any(psutil.pid_exists(pid) for pid in doomed))
    until(lambda: servers[0] not in counted(url) and len(counted(url)) == 2)
    now, all_workers = processes(process.pid)
    assert servers[0] not in now
    assert servers[1] in now
    assert len(all_workers) == 4
    for _ in range(6):
        assert ask(url, params) == 200


def test_a_process_that_does_not_answer_is_left_out(tmp_path):
    import asyncio

    async def scenario():
        own = SharedMetrics(lambda: b"# TYPE a counter\na_total 3.0\n", tmp_path)
        with socket.socket(socket.AF_UNIX) as silent:
            silent.bind(str(tmp_path / "1"))
            silent.listen()
            with socket.socket(socket.AF_UNIX) as dead:
                dead.bind(str(tmp_path / "2"))
            async with own.told():
                page = await own.page()
        assert page.decode().splitlines()[-1] == f'a_total{{server="{os.getpid()}"}} 3.0'
        # Who was killed is not asked again.
        assert [one.name for one in tmp_path.iterdir()] == ["1"]

    asyncio.run(scenario())


def test_nothing_is_left_when_the_first_process_is_killed(pair):
    url, process, _ = pair
    servers, workers = until(lambda: (p := processes(process.pid)) and len(p[1]) == 4 and p)
    process.kill()
    process.wait()
    until(lambda: not any(psutil.pid_exists(pid) for pid in (*servers, *workers)))
    host, port = url.removeprefix("http://").split(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=5)
    for folder in Path("/tmp").glob("skylane-*"):
        if {one.name for one in folder.iterdir()} <= {str(pid) for pid in servers}:
            folder.rmdir()
