"""The command line, as an operator runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import httpx
import pytest

from vodal.testing.skies import make_survey


def test_ingest_reports_bad_files_and_changes_nothing_the_second_time(tmp_path, cli):
    data = tmp_path / "night"
    survey = make_survey(data, exposures=3, size=128, seed=3)
    (data / "page.fits").write_text("<html>not found</html>")
    (data / "empty.fits").touch()
    whole = survey.exposures[0].path.read_bytes()
    (data / "cut.fits").write_bytes(whole[: len(whole) // 2])
    site = tmp_path / "site"
    first = cli.run("ingest", data, "--site", site)
    assert "3" in first.stdout
    entries = {e["uri"].rpartition("/")[2]: e for e in cli.report_of(site)}
    assert {name for name, e in entries.items() if e["status"] == "refused"} == {
        "page.fits", "empty.fits", "cut.fits"
    }  # fmt: skip
    assert all(e.get("reason") for e in entries.values() if e["status"] == "refused")
    time.sleep(1.1)  # the next report gets a name of its own
    cli.run("ingest", data, "--site", site)
    statuses = [e["status"] for e in cli.report_of(site)]
    assert statuses.count("unchanged") == 3
    assert not {"added", "updated"} & set(statuses)
    # A changed file is updated, a vanished one reported.
    survey.exposures[1].path.unlink()
    os.utime(survey.exposures[2].path)
    time.sleep(1.1)
    cli.run("ingest", data, "--site", site)
    by_status = {e["status"]: e["uri"] for e in cli.report_of(site)}
    assert by_status["vanished"].endswith(survey.exposures[1].path.name)
    assert by_status["updated"].endswith(survey.exposures[2].path.name)


def test_errors_are_one_sentence_and_no_traceback(tmp_path, cli):
    (tmp_path / "skylane.toml").write_text("[soda]\nworkerz = 2\n")
    done = subprocess.run([cli.path, "serve", "--site", str(tmp_path)],
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 1
    assert "soda.workerz" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "command",
    [(), ("ingest",), ("serve",), ("demo",), ("init",), ("hips", "build"), ("query",), ("cut",)],
)
def test_every_command_explains_itself(command, cli):
    assert "Usage:" in cli.run(*command, "--help").stdout


def test_a_killed_cutout_worker_is_replaced(tmp_path, cli):
    data = tmp_path / "night"
    make_survey(data, exposures=1, size=128, seed=5)
    cli.run("ingest", data, "--site", tmp_path / "site")
    process, url = cli.start(tmp_path / "site")
    try:
        rows = httpx.post(
            f"{url}/tap/sync",
            data={
                "LANG": "ADQL",
                "RESPONSEFORMAT": "csv",
                "QUERY": "SELECT obs_publisher_did, s_ra, s_dec FROM ivoa.obscore",
            },
        ).text
        did, ra, dec = rows.splitlines()[1].replace('"', "").split(",")
        params = {"ID": did, "CIRCLE": f"{ra} {dec} 0.003"}
        assert httpx.get(f"{url}/soda/sync", params=params).status_code == 200
        children = subprocess.run(
            ["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False
        ).stdout.split()
        assert children
        for child in children:
            os.kill(int(child), signal.SIGKILL)
        answers = [httpx.get(f"{url}/soda/sync", params=params, timeout=60) for _ in range(3)]
        assert answers[-1].status_code == 200
        assert all(a.status_code in {200, 503} for a in answers)
    finally:
        cli.stop(process)
