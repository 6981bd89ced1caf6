"""Builds on a Dask cluster: the tiles of a build here, workers that die, clusters that fail."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time

import dask
import pytest
from distributed import LocalCluster

from hips.build import build
from hips.cluster import ClusterCrew
from hips.crew import Crew
from hips.settings import HipsSettings
from hips.testing import served_files
from vodal.errors import DataError, ServiceUnavailable, UsageError
from vodal.testing.skies import make_survey

pytestmark = pytest.mark.xdist_group("dask")

SETTINGS = HipsSettings(order_shard=1, order=12, background="match")


@pytest.fixture(scope="module")
def cluster():
    """Give a cluster of two workers, processes with two threads each."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        LocalCluster(
            n_workers=2, threads_per_worker=2, processes=True, dashboard_address="127.0.0.1:0",
        ) as made,
    ):  # fmt: skip
        yield made


@pytest.fixture
def row(tmp_path, shelf):
    """Put six images on the shelf, two and two of which overlap."""
    for exposure in make_survey(tmp_path / "data", exposures=6, size=256, seed=4).exposures:
        shelf.put(exposure.path)
    return shelf


def make(shelf, output, crew=None, **options):
    return build(
        shelf.items, shelf.index, output, SETTINGS, name="one", title="A test",
        creator_did="ivo://test.example/hips/one", crew=crew, **options,
    )  # fmt: skip


def roots(number):
    if number == 3:
        raise DataError("three is no number")
    return math.sqrt(number)


def die(number):
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def die_once(folder):
    """Kill the first worker that does this."""
    try:
        (folder / "died").touch(exist_ok=False)
    except FileExistsError:
        return os.getpid()
    os.kill(os.getpid(), signal.SIGKILL)
    return None


def wait_for_file(path):
    while not path.exists():
        time.sleep(0.02)


def test_a_cluster_gives_byte_for_byte_the_build_of_this_machine(cluster, row, tmp_path):
    with Crew(1) as crew:
        make(row, tmp_path / "here", crew)
    with ClusterCrew(cluster.scheduler_address, tmp_path / "there") as crew:
        summary = make(row, tmp_path / "there", crew)
        assert summary.images == 6
        assert not summary.skipped
        # An image more, and what is there is not made again.
        assert make(row, tmp_path / "there", crew).rendered == 0
    assert served_files(tmp_path / "there" / "one") == served_files(tmp_path / "here" / "one")
    assert [p.name for p in (tmp_path / "there").iterdir() if "dask" in p.name] == []


def test_results_and_errors_come_back_with_their_arguments(cluster, tmp_path):
    with ClusterCrew(cluster.scheduler_address, tmp_path) as crew:
        assert crew.workers == 4
        got = dict(crew.results(roots, range(30)))
    assert isinstance(got.pop(3), DataError)
    assert got == {number: math.sqrt(number) for number in range(30) if number != 3}


def test_the_work_of_a_worker_that_dies_is_done_by_another(cluster, row, tmp_path):
    with Crew(1) as crew:
        make(row, tmp_path / "here", crew)
    steps = []

    def kill_in_the_middle(done, _total):
        steps.append(done)
        if done == 20:
            os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)

    with ClusterCrew(cluster.scheduler_address, tmp_path / "there") as crew:
        future = crew.submit(die_once, tmp_path)
        crew.first([future])
        assert future.result() > 0
        summary = make(row, tmp_path / "there", crew, progress=kill_in_the_middle)
    assert 20 in steps
    assert summary.images == 6
    assert served_files(tmp_path / "there" / "one") == served_files(tmp_path / "here" / "one")


def test_work_that_kills_its_workers_is_told_in_a_sentence(cluster, tmp_path):
    with (
        ClusterCrew(cluster.scheduler_address, tmp_path) as crew,
        pytest.raises(ServiceUnavailable, match=r"died one after another .* hips\.cache_mb"),
    ):
        list(crew.results(die, [1]))


def test_a_worker_without_the_folder_is_told(cluster, tmp_path, row):
    class Elsewhere(ClusterCrew):
        """One whose folder only this process sees."""

        def __enter__(self):
            return self

    with (
        Elsewhere(cluster.scheduler_address, tmp_path / "hips") as crew,
        pytest.raises(ServiceUnavailable, match=r"does not see the folder .*/hips; all machines"),
    ):
        make(row, tmp_path / "hips", crew)
    assert not (tmp_path / "hips" / "one").exists()


def test_what_waits_is_not_begun_when_the_build_is_broken_off(cluster, tmp_path):
    (tmp_path / "hips").mkdir()
    with ClusterCrew(cluster.scheduler_address, tmp_path / "hips") as crew:
        blocked = [crew.submit(wait_for_file, tmp_path / "go") for _ in range(4)]
        time.sleep(0.5)
        waiting = [crew.submit((tmp_path / f"late-{n}").touch) for n in range(8)]
        next((tmp_path / "hips").glob(".dask-*")).unlink()
        (tmp_path / "go").touch()
    assert all(future.done() for future in [*blocked, *waiting])
    assert list(tmp_path.glob("late-*")) == []


def test_what_is_no_scheduler_is_told(tmp_path):
    with pytest.raises(UsageError, match=r"'here' is neither the address .* nor a scheduler file"):
        ClusterCrew("here", tmp_path)
    with pytest.raises(ServiceUnavailable, match=r"no Dask scheduler answers at tcp://127"):
        ClusterCrew("tcp://127.0.0.1:9", tmp_path, connect_s=1.0)
    (tmp_path / "scheduler.json").write_text("{}")
    with pytest.raises(UsageError, match=r"scheduler.json is no scheduler file"):
        ClusterCrew(str(tmp_path / "scheduler.json"), tmp_path)


@pytest.fixture
def lone_scheduler(tmp_path):
    """Start a scheduler without workers; give its process and its file."""
    file = tmp_path / "scheduler.json"
    process = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port",
         "0", "--dashboard-address", "127.0.0.1:0", "--scheduler-file", file],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while not file.exists() or not file.stat().st_size:
            assert process.poll() is None
            time.sleep(0.05)
        yield process, file
    finally:
        process.kill()
        process.wait()


def test_a_cluster_without_workers_is_no_hang(lone_scheduler, tmp_path):
    _, file = lone_scheduler
    with (
        ClusterCrew(str(file), tmp_path, workers_s=1.0) as crew,
        pytest.raises(ServiceUnavailable, match=r"has had no worker for 1 s"),
    ):
        list(crew.results(roots, range(3)))


def test_a_scheduler_that_goes_is_told(lone_scheduler, tmp_path):
    process, file = lone_scheduler
    with ClusterCrew(str(file), tmp_path) as crew:
        future = crew.submit(roots, 4)
        process.kill()
        with pytest.raises(ServiceUnavailable, match=r"scheduler .* has gone|cannot do its part"):
            crew.error_of(future)
