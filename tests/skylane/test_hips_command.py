"""HiPS from the command line."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from distributed import LocalCluster

from hips.testing import served_files
from vodal.testing.skies import make_survey


@pytest.mark.xdist_group("dask")
def test_the_command_builds_on_a_cluster(tmp_path, cli):
    make_survey(tmp_path / "data", exposures=3, size=96, seed=5)
    site = tmp_path / "site"
    cli.run("ingest", tmp_path / "data", "--site", site)
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0",
    ) as cluster:  # fmt: skip
        address = cluster.scheduler_address
        done = cli.run("hips", "build", "--scheduler", address, "--site", site)
    assert "tiles" in done.stdout
    made = sorted(p.name for p in (site / "hips").iterdir() if not p.name.startswith("."))
    assert made
    there = {name: served_files(site / "hips" / name) for name in made}
    shutil.rmtree(site / "hips")
    cli.run("hips", "build", "--workers", "1", "--site", site)
    assert there == {name: served_files(site / "hips" / name) for name in made}
    both = subprocess.run(
        [cli.path, "hips", "build", "--scheduler", address, "--workers", "2", "--site", site],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert both.returncode == 1
    assert "--workers are processes here" in both.stderr
