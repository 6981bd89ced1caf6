"""The command line, as an operator runs it."""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import click
import httpx
import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner

from skylane.cli import main
from skylane.listening import listen
from skylane.testing import call, refused
from vodal.errors import SettingsError
from vodal.testing.archive import nginx_listing, serve_archive
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
    entries = {e["file"].rpartition("/")[2]: e for e in cli.report_of(site)}
    assert {name for name, e in entries.items() if e["status"] == "refused"} == {
        "page.fits", "empty.fits", "cut.fits"
    }  # fmt: skip
    assert all(e.get("reason") for e in entries.values() if e["status"] == "refused")
    cli.run("ingest", data, "--site", site)
    statuses = [e["status"] for e in cli.report_of(site)]
    assert statuses.count("unchanged") == 3
    assert not {"added", "updated"} & set(statuses)
    # A changed file is updated, a vanished one reported.
    survey.exposures[1].path.unlink()
    os.utime(survey.exposures[2].path)
    cli.run("ingest", data, "--site", site)
    by_status = {e["status"]: e["file"] for e in cli.report_of(site)}
    assert by_status["vanished"].endswith(survey.exposures[1].path.name)
    assert by_status["updated"].endswith(survey.exposures[2].path.name)


def test_addresses_and_lists_are_places_that_settings_must_allow(tmp_path):
    make_survey(tmp_path / "www" / "night", exposures=1, size=64, seed=3)
    site = tmp_path / "site"
    site.mkdir()
    with serve_archive(tmp_path / "www") as archive:
        archive.listing = nginx_listing
        place = f"{archive.url}/night/"
        command = ["ingest", place, "--site", str(site), "--workers", "0"]
        told = CliRunner().invoke(main, command)
        assert told.exit_code == 1
        assert "storage.http_hosts" in told.output
        (site / "skylane.toml").write_text(f'[storage]\nhttp_hosts = ["{archive.host}"]\n')
        told = CliRunner().invoke(main, command)
        assert (told.exit_code, "1 added" in told.output) == (0, True), told.output
        image = next((tmp_path / "www" / "night").iterdir()).name
        (tmp_path / "list.txt").write_text(f"{place}{image}\n")
        told = CliRunner().invoke(main, ["ingest", str(tmp_path / "list.txt"), *command[2:]])
        assert "1 added" in told.output, told.output
    told = CliRunner().invoke(main, ["ingest", str(tmp_path / "none"), "--site", str(site)])
    assert told.exit_code == 2


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


def test_the_demo_prepares_a_survey_once(tmp_path, cli):
    first = cli.run("demo", "--no-serve", "--site", tmp_path)
    assert "40 added" in first.stdout
    assert (tmp_path / "hips" / "demo-color" / "properties").is_file()
    again = cli.run("demo", "--no-serve", "--site", tmp_path)
    assert "40 unchanged" in again.stdout


def test_the_demo_takes_a_folder_of_ones_own(tmp_path, cli):
    data = tmp_path / "mine"
    make_survey(data, exposures=4, size=128, seed=9)
    cli.run("demo", "--no-serve", "--site", tmp_path / "site", "--data", data)
    assert (tmp_path / "site" / "hips" / "mine-color" / "properties").is_file()


def test_init_writes_settings_that_load(tmp_path, cli):
    cli.run("init", "--site", tmp_path)
    assert "max_output_bytes" in (tmp_path / "skylane.toml").read_text()
    cli.run("query", "SELECT COUNT(*) AS n FROM ivoa.obscore", "--site", tmp_path)


def test_query_and_cut_work_without_a_server(tmp_path, cli):
    survey = make_survey(tmp_path / "night", exposures=1, size=128, seed=5)
    site = tmp_path / "site"
    cli.run("ingest", tmp_path / "night", "--site", site)
    cli.run("query", "SELECT obs_publisher_did FROM ivoa.obscore", "--site", site,
            "-o", tmp_path / "rows.csv")  # fmt: skip
    did = (tmp_path / "rows.csv").read_text().split()[1].strip('"')
    said = cli.run("query", "SELECT * FROM ivoa.obscore WHERE s_fov > 1", "--explain",
                   "--site", site).stdout  # fmt: skip
    assert said.startswith("1. ivoa.obscore: ")
    assert "row by row: s_fov > 1\n" in said
    call("query", "SELECT * FROM ivoa.obscore WHERE s_fov > 1", "--explain", "--site", site,
         "-o", tmp_path / "plan.csv")  # fmt: skip
    assert "s_fov > 1" in (tmp_path / "plan.csv").read_text()
    whole = fits.getdata(survey.exposures[0].path, "MASK")
    ra, dec = survey.exposures[0].wcs.all_pix2world(60, 60, 0)
    for image in (did, survey.exposures[0].path):
        cli.run("cut", image, "--circle", f"{ra} {dec} 0.002", "--site", site,
                "-o", tmp_path / "out.fits")  # fmt: skip
        piece = fits.getdata(tmp_path / "out.fits", "MASK")
        x = 60 - piece.shape[1] // 2
        y = 60 - piece.shape[0] // 2
        np.testing.assert_array_equal(piece, whole[y : y + piece.shape[0], x : x + piece.shape[1]])
        call("cut", image, "--circle", f"{ra} {dec} 0.002", "--site", site,
             "-p", "OUTSIDE=nan", "-o", tmp_path / "out.fits.fz")  # fmt: skip
        with fits.open(tmp_path / "out.fits.fz") as packed:
            assert packed["IMAGE"].shape == piece.shape
            assert np.isnan(packed["IMAGE"].data[0, 0])
            np.testing.assert_array_equal(packed["MASK"].data, piece)


def test_cut_takes_urls_and_writes_to_standard_output(tmp_path, cli):
    survey = make_survey(tmp_path / "night", exposures=2, size=128, seed=5)
    (tmp_path / "packed.fits.gz").write_bytes(gzip.compress(survey.exposures[0].path.read_bytes()))
    shutil.copy(survey.exposures[1].path, tmp_path / "b.fits.fz")
    with serve_archive(tmp_path) as archive:
        for exposure, name in zip(survey.exposures, ("packed.fits.gz", "b.fits.fz"), strict=True):
            ra, dec = exposure.wcs.all_pix2world(60, 60, 0)
            where = ("--circle", f"{ra} {dec} 0.002")
            call("cut", exposure.path, *where, "-o", tmp_path / "local.fits")
            call("cut", f"{archive.url}/{name}", *where, "-o", tmp_path / "remote.fits")
            url = f"{archive.url}/{name}"
            done = subprocess.run(
                [sys.executable, "-m", "skylane", "cut", url, *where, "-o", "-"],
                capture_output=True, check=True,
            )  # fmt: skip
            assert done.stderr == b""  # progress is for terminals
            (tmp_path / "piped.fits").write_bytes(done.stdout)
            for found in ("remote.fits", "piped.fits"):
                for plane in ("IMAGE", "MASK"):
                    np.testing.assert_array_equal(
                        fits.getdata(tmp_path / found, plane),
                        fits.getdata(tmp_path / "local.fits", plane),
                    )
        call("cut", f"{archive.url}/b.fits.fz", *where, "--header", "-o", tmp_path / "h.fits")
        assert (tmp_path / "h.fits").stat().st_size % 2880 == 0
        none = f"{archive.url}/none.fits"
        done = subprocess.run(
            [sys.executable, "-m", "skylane", "cut", none, "-o", "-"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (1, "")
        assert "none.fits is not there" in done.stderr
        for image, said in (
            ("https://", "address"),
            ("s3://survey", "s3://bucket/key"),
            ("none.fits", "there is no file 'none.fits'"),
            ("ivo://example.org/none", "no file and no product"),
        ):
            site = tmp_path / "site"
            assert said in refused("cut", image, "-o", "-", "--site", site)


def test_files_and_a_collection_become_one_image(tmp_path, cli):
    survey = make_survey(tmp_path / "night", exposures=6, size=128, seed=5)
    site, out = tmp_path / "site", tmp_path / "out.fits"
    cli.run("ingest", tmp_path / "night", "--site", site)
    files = [one.path for one in survey.exposures if one.band == "r"]
    circle = "{} {} 0.01".format(*survey.centre)
    cli.run("cut", *files, "--stitch", "--circle", circle, "--site", site, "-o", out)
    stitched = fits.getdata(out)
    assert np.isfinite(stitched).any()
    assert fits.getdata(out, "INPUTS")["obs_publisher_did"].tolist() == [f.name for f in files]
    call("cut", "--stitch", "-p", "COLLECTION=night", "-p", "FILTER=r", "--circle", circle,
         "--site", site, "-o", out)  # fmt: skip
    np.testing.assert_allclose(fits.getdata(out), stitched, rtol=1e-6)
    dids = fits.getdata(out, "INPUTS")["obs_publisher_did"].tolist()
    assert all(did.startswith("ivo://") for did in dids)
    call("cut", dids[0], files[1], "--stitch", "--circle", circle, "--site", site, "-o", out)
    np.testing.assert_allclose(fits.getdata(out), stitched, rtol=1e-6)
    packed = tmp_path / "one of them.fits.gz"
    packed.write_bytes(gzip.compress(files[0].read_bytes()))
    with serve_archive(tmp_path) as archive:
        urls = [f"{archive.url}/one%20of%20them.fits.gz", f"{archive.url}/night/{files[1].name}"]
        for images in (urls, (urls[0], dids[1]), (packed, urls[1])):
            call("cut", *images, "--stitch", "--circle", circle, "--site", site, "-o", out)
            np.testing.assert_allclose(fits.getdata(out), stitched, rtol=1e-6)
        names = fits.getdata(out, "INPUTS")["obs_publisher_did"].tolist()
        assert names == [packed.name, files[1].name]
    call("cut", *files, "--stitch", "--site", site, "-o", tmp_path / "all.png")
    assert (tmp_path / "all.png").read_bytes().startswith(b"\x89PNG")
    message = "cut takes one image; with --stitch several become one"
    assert message in refused("cut", *files, "--site", site, "-o", out, code=2)
    for words, message in (
        (("--stitch",), "the parameter ID is missing"),
        (
            (*files, "--stitch", "--band", "1 2"),
            "BAND, TIME and POL choose among images of the site",
        ),
        ((*files, "--stitch", "--circle", "0 -60 0.001"), "no image has pixels"),
        ((*files, "none.fits", "--stitch"), "there is no file 'none.fits'"),
        ((*files, "ivo://example.org/none", "--stitch"), "no dataset 'ivo://example.org/none'"),
    ):
        assert message in refused("cut", *words, "--site", site, "-o", out)


def test_several_server_processes_serve_one_site(tmp_path, cli):
    make_survey(tmp_path / "night", exposures=1, size=64, seed=5)
    cli.run("ingest", tmp_path / "night", "--site", tmp_path / "site")
    process, url = cli.start(tmp_path / "site", "--workers", "2")
    try:
        query = {"LANG": "ADQL", "RESPONSEFORMAT": "csv",
                 "QUERY": "SELECT COUNT(*) AS n FROM ivoa.obscore"}  # fmt: skip
        answers = {httpx.post(f"{url}/tap/sync", data=query).text.split()[1] for _ in range(8)}
        assert answers == {"1"}
    finally:
        cli.stop(process)


def test_answers_do_not_wait_for_the_clients_acknowledgement():
    with (
        listen("127.0.0.1", 0, 60.0) as listener,
        socket.create_connection(listener.getsockname()),
        listener.accept()[0] as taken,
    ):
        # By this number asyncio knows a connection whose small pieces it must not hold back.
        assert taken.proto == socket.IPPROTO_TCP


def test_two_sites_that_start_at_once_do_not_share_a_port():
    with listen("127.0.0.1", 0, 60.0) as first:
        port = first.getsockname()[1]
        with pytest.raises(SettingsError, match=f"127.0.0.1:{port}"):
            listen("127.0.0.1", port, 60.0)
        socket.create_connection(("127.0.0.1", port), timeout=5).close()


def test_a_taken_port_is_told(tmp_path, cli):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [cli.path, "serve", "--site", str(tmp_path), "--port", str(port)],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    assert done.returncode == 1
    assert f"127.0.0.1:{port}" in done.stderr
    assert "--port" in done.stderr


def test_a_site_that_cannot_start_says_why_and_ends(tmp_path, cli):
    # Each Python that is started with a program as an argument, as workers are, ends at once.
    stop = "import os, sys\nif sys.argv[:1] == ['-c']:\n    os._exit(3)\n"
    (tmp_path / "sitecustomize.py").write_text(stop)
    done = subprocess.run(
        [cli.path, "serve", "--site", str(tmp_path), "--port", "0"],
        capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
    )  # fmt: skip
    assert done.returncode == 1
    assert "the site cannot start: a worker process ended while it started" in done.stderr
    assert "Traceback" not in done.stderr


def commands_of(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, one in group.commands.items():
        yield (*path, name)
        if isinstance(one, click.Group):
            yield from commands_of(one, (*path, name))


def test_the_help_of_each_command_is_text_alone_and_keeps_the_lines_of_examples():
    names = list(commands_of(main))
    assert ("hips", "build") in names
    for path in names:
        told = CliRunner().invoke(main, [*path, "--help"])
        assert told.exit_code == 0, path
        assert "\\b" not in told.output, path
        assert all(one.isprintable() for one in told.output.splitlines()), path
    told = CliRunner().invoke(main, ["ingest", "--help"]).output
    assert "\n            skylane ingest --dry-run --explain" in told
