"""Headers read by the workers of a Dask cluster: the rows of a run here, workers that die."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import threading
import time

import dask
import pytest
from distributed import LocalCluster

from obscore.assembly import cluster as cluster_module
from obscore.assembly.cluster import ClusterReaders
from obscore.assembly.line import ingest
from obscore.assembly.rules import rules_for
from obscore.assembly.timelimit import TimeUpError, time_limit
from obscore.settings import ObsCoreSettings
from obscore.sources import FolderSource
from vodal.errors import ServiceUnavailable, UsageError

pytestmark = pytest.mark.xdist_group("dask")

SETTINGS = ObsCoreSettings()


@pytest.fixture(scope="module")
def dask_cluster():
    """Give a cluster of two workers, processes with two threads each."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        LocalCluster(
            n_workers=2, threads_per_worker=2, processes=True, dashboard_address="127.0.0.1:0",
        ) as made,
    ):  # fmt: skip
        yield made


@pytest.fixture
def folder(tmp_path, survey):
    """Give a folder of images of which one is bad."""
    made = tmp_path / "data"
    made.mkdir()
    for number in range(40):
        exposure = survey.exposures[number % len(survey.exposures)]
        shutil.copy(exposure.path, made / f"{number:02d}{''.join(exposure.path.suffixes)}")
    (made / "bad.fits").write_text("no FITS")
    return made


def run(folder, store, **options):
    reports = {}
    summary = ingest(
        FolderSource(folder), store, SETTINGS,
        report=lambda one: reports.__setitem__(one.path, one), **options,
    )  # fmt: skip
    return summary, reports


def test_a_cluster_gives_the_rows_of_this_machine(dask_cluster, folder, new_memory_store):
    here, there = new_memory_store(), new_memory_store()
    run(folder, here, workers=0)
    summary, reports = run(folder, there, scheduler=dask_cluster.scheduler_address)
    assert summary.statuses == {"added": 40, "refused": 1}
    assert reports["bad.fits"].reason == "not-fits"
    assert sorted(map(repr, there.rows())) == sorted(map(repr, here.rows()))
    indexes = {uri: file.index.to_bytes() for uri, file in there.files.items()}
    assert indexes == {uri: file.index.to_bytes() for uri, file in here.files.items()}
    again, _ = run(folder, there, scheduler=dask_cluster.scheduler_address)
    assert again.statuses == {"unchanged": 40, "refused": 1}


def test_what_a_lost_worker_was_at_is_read_by_another(dask_cluster, folder, new_memory_store):
    store = new_memory_store()
    victim = next(iter(dask_cluster.workers.values())).pid
    seen = []

    def kill(done, _total):
        if done and not seen:
            seen.append(done)
            os.kill(victim, signal.SIGKILL)

    summary, _ = run(folder, store, scheduler=dask_cluster.scheduler_address, progress=kill)
    assert seen
    assert summary.statuses == {"added": 40, "refused": 1}


def test_a_file_that_kills_its_workers_costs_itself(
    dask_cluster, folder, new_memory_store, monkeypatch
):
    monkeypatch.setattr(cluster_module, "_read", die_of_seven)
    summary, reports = run(folder, new_memory_store(), scheduler=dask_cluster.scheduler_address)
    refused = {path: one.reason for path, one in reports.items() if one.status == "refused"}
    seven = next(path for path in reports if path.startswith("07"))
    assert refused == {"bad.fits": "not-fits", seven: "crashed"}
    assert summary.statuses == {"added": 39, "refused": 2}


def die_of_seven(terms, packed):
    """Read as the workers do, but die of the file of number seven."""
    if b"/07." in packed:
        os.kill(os.getpid(), signal.SIGKILL)
    return read(terms, packed)


read = cluster_module._read


def test_a_scheduler_that_goes_ends_the_run_with_a_sentence(folder, new_memory_store, monkeypatch):
    made = LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0")
    monkeypatch.setattr(cluster_module, "LOOK_S", 0.1)
    closer = threading.Timer(1.0, made.close)
    closer.start()
    with pytest.raises(ServiceUnavailable, match="Dask"):
        run(folder, new_memory_store(), scheduler=made.scheduler_address)
    closer.join()


async def read_with(readers, portion):
    async with readers:
        return await readers.read(portion)


def test_a_cluster_without_workers_is_told(folder, monkeypatch):
    monkeypatch.setattr(cluster_module, "LOOK_S", 0.1)
    candidate = next(FolderSource(folder).walk())
    portion = [(candidate, rules_for(SETTINGS, "data"))]
    with LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0") as made:
        readers = ClusterReaders(made.scheduler_address, SETTINGS.ingest, folder, workers_s=0.5)
        with pytest.raises(ServiceUnavailable, match=r"has had no worker for 0\.5 s"):
            asyncio.run(read_with(readers, portion))


def test_workers_that_do_not_see_the_files_are_told(dask_cluster, folder):
    candidate = next(FolderSource(folder).walk())
    portion = [(candidate, rules_for(SETTINGS, "data"))]
    readers = ClusterReaders(dask_cluster.scheduler_address, SETTINGS.ingest, folder / "elsewhere")
    with pytest.raises(ServiceUnavailable, match=r"does not see .*elsewhere; all machines"):
        asyncio.run(read_with(readers, portion))


def test_a_scheduler_that_is_none_is_told(folder, new_memory_store):
    with pytest.raises(UsageError, match="'nonsense' is neither the address"):
        run(folder, new_memory_store(), scheduler="nonsense")
    readers = ClusterReaders("tcp://127.0.0.1:9", SETTINGS.ingest, folder, connect_s=0.5)
    with pytest.raises(ServiceUnavailable, match="no Dask scheduler answers at tcp"):
        asyncio.run(read_with(readers, []))


def test_time_is_up_in_threads_too():
    told = []

    def work():
        try:
            with time_limit(0.05):
                while True:
                    time.sleep(0.001)
        except TimeUpError:
            told.append("up")
        with time_limit(0.05):
            told.append("in time")
        time.sleep(0.1)
        told.append("and nothing after")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(20)
    assert told == ["up", "in time", "and nothing after"]
