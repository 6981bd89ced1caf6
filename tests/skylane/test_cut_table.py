"""``skylane cut --table``: rows of files, of datasets and of positions; killed and gone on with."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Table

from skylane.testing import refused
from vodal.testing.skies import make_survey

RADIUS = 6e-4


@pytest.fixture(scope="module")
def sky(tmp_path_factory):
    return make_survey(tmp_path_factory.mktemp("sky") / "night", exposures=3, size=256, seed=11)


def rows_of(survey, count):
    """Draw rows, in no order of the files."""
    draw = np.random.default_rng(4)
    which = draw.integers(0, len(survey.exposures), count)
    x, y = draw.integers(20, 236, (2, count))
    places = [
        survey.exposures[n].wcs.all_pix2world(a, b, 0) for n, a, b in zip(which, x, y, strict=True)
    ]
    return Table({
        "file": [str(survey.exposures[n].path) for n in which],
        "ra": [float(place[0]) for place in places], "dec": [float(place[1]) for place in places],
        "radius": np.full(count, RADIUS), "x": x, "y": y,
    })  # fmt: skip


def cut(cli, table, output, *more, code=0, folder=None):
    done = subprocess.run(
        [cli.path, "cut", "--table", table, "-o", output, *more, "--site", folder or table.parent],
        capture_output=True, text=True, check=False, cwd=table.parent,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done.stderr


def check(body, row):
    """Compare a cutout with its original, by astropy."""
    with fits.open(io.BytesIO(body)) as made, fits.open(row["file"]) as whole:
        x, y = (
            slice(int(low) - 1, int(high))
            for low, high in (
                part.split(":") for part in made["IMAGE"].header["CUTSEC"].strip("[]").split(",")
            )
        )
        assert x.start <= row["x"] < x.stop
        assert y.start <= row["y"] < y.stop
        np.testing.assert_array_equal(made["IMAGE"].data, whole["IMAGE"].data[y, x])


@pytest.mark.parametrize("form", ["csv", "ecsv", "vot", "parquet", "fits"])
def test_rows_of_files_become_a_folder(sky, cli, tmp_path, form):
    rows = rows_of(sky, 12)
    rows["file"][7] = "/nowhere/missing.fits"
    rows["ra"][8], rows["dec"][8] = 10.0, -80.0
    table = tmp_path / f"t.{form}"
    if form == "parquet":
        import pyarrow as pa

        pq.write_table(pa.table({name: list(rows[name]) for name in rows.colnames}), table)
    else:
        rows.write(table, format={"vot": "votable", "ecsv": "ascii.ecsv"}.get(form, form))
    told = cut(cli, table, tmp_path / "out", code=3)
    assert "10 cutouts, 1 without overlap, 1 errors of 12" in told
    assert "row 8: UsageError: there is no dataset" in told
    index = pq.read_table(tmp_path / "out" / "index.parquet").to_pylist()
    with (tmp_path / "out" / "index.csv").open() as file:
        assert [row["status"] for row in csv.DictReader(file)] == [r["status"] for r in index]
    assert [row["row"] for row in index] == list(range(1, 13))
    assert [row["status"] for row in index] == [
        *["ok"] * 7, "error", "no overlap", *["ok"] * 3
    ]  # fmt: skip
    for one, row in zip(index, rows, strict=True):
        if one["status"] == "ok":
            body = (tmp_path / "out" / one["file_name"]).read_bytes()
            assert sha256(body).hexdigest() == one["sha256"]
            check(body, row)
    assert len(list((tmp_path / "out").iterdir())) == 12
    left = {one.name for one in (tmp_path / "out.part").iterdir()}
    assert left == {"lock", "request.sha256", "outcomes.jsonl"}


def test_a_killed_run_is_gone_on_with(sky, cli, tmp_path):
    rows, table, output = rows_of(sky, 1500), tmp_path / "t.csv", tmp_path / "out.tar"
    rows.write(table)
    command = [cli.path, "cut", "--table", table, "-o", output, "--site", tmp_path]
    kept: list[bytes] = []
    for number in (1, 2):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
        log = tmp_path / "out.tar.part" / str(number) / "outcomes.jsonl"
        end = time.monotonic() + 120
        while not log.exists() or log.read_bytes().count(b"\n") < len(kept) + 200:
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        before, kept = kept, log.read_bytes().splitlines(keepends=True)
        assert kept[: len(before[:-1])] == before[:-1]
        assert not output.exists()
    assert "with other parameters" in cut(cli, table, output, "-p", "OUTSIDE=nan", code=1)
    cut(cli, table, output)
    with tarfile.open(output) as archive:
        files = {one.name: archive.extractfile(one).read() for one in archive}
    index = list(csv.DictReader(io.StringIO(files.pop("cutouts.csv").decode())))
    assert [int(one["row"]) for one in index] == list(range(1, 1501))
    assert {one["file_name"] for one in index} == set(files)
    # What was made before is there as it was: CUTDATE would tell another time.
    digests = {one["sha256"] for one in index}
    assert {json.loads(line)["sha256"] for line in kept[:-1]} <= digests
    for one in index:
        assert sha256(files[one["file_name"]]).hexdigest() == one["sha256"]
    for one, row in list(zip(index, rows, strict=True))[::50]:
        check(files[one["file_name"]], row)
    assert not (tmp_path / "out.tar.part").exists()


def contents(output):
    """Give the files of a folder or an archive."""
    if output.suffix == ".zip":
        with zipfile.ZipFile(output) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    return {one.name: one.read_bytes() for one in output.iterdir()}


@pytest.mark.parametrize("name", ["out", "out.zip"])
def test_rows_that_failed_are_tried_again(sky, cli, tmp_path, name):
    rows, table, output = rows_of(sky, 8), tmp_path / "t.csv", tmp_path / name
    state = tmp_path / f"{name}.part"
    originals = [str(path) for path in rows["file"]]
    lost, files = tmp_path / "lost.fits", list(originals)
    files[2] = files[5] = str(lost)
    rows["ra"][3], rows["dec"][3] = 10.0, -80.0
    rows["file"] = files
    rows.write(table)
    told = cut(cli, table, output, code=3)
    assert "5 cutouts, 1 without overlap, 2 errors of 8" in told
    assert "--retry" in told
    first = contents(output)
    assert "is there already" in cut(cli, table, output, code=1)
    assert "other parameters" in cut(cli, table, output, "--retry", "-p", "OUTSIDE=nan", code=1)
    assert contents(output) == first
    # One file is found again, the name of the other is mended.
    lost.write_bytes(Path(originals[2]).read_bytes())
    files[5] = originals[5]
    rows["file"] = files
    rows.write(table, overwrite=True)
    told = cut(cli, table, output, "--retry")
    assert "7 cutouts, 1 without overlap, 0 errors of 8" in told
    assert not state.exists()
    second = contents(output)
    text = second["cutouts.csv" if name.endswith(".zip") else "index.csv"].decode()
    index = list(csv.DictReader(io.StringIO(text)))
    assert [one["row"] for one in index] == [str(n) for n in range(1, 9)]
    assert [one["status"] for one in index] == [*["ok"] * 3, "no overlap", *["ok"] * 4]
    rows["file"] = originals
    for one, row in zip(index, rows, strict=True):
        if one["status"] == "ok":
            assert sha256(second[one["file_name"]]).hexdigest() == one["sha256"]
            check(second[one["file_name"]], row)
    # CUTDATE would tell another time.
    kept = [one for one in first if one.endswith(".fits")]
    assert len(kept) == 5
    assert {first[one] for one in kept} <= set(second.values())
    assert "nothing to --retry" in cut(cli, table, output, "--retry", code=1)


def test_positions_find_the_images_of_a_site(sky, cli, tmp_path):
    cli.run("ingest", sky.exposures[0].path.parent, "--site", tmp_path)
    rows, table = rows_of(sky, 5), tmp_path / "t.csv"
    rows["ra", "dec", "radius"].write(table)
    cut(cli, table, tmp_path / "out.zip", "-p", "FORMAT=png")
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        index = list(csv.DictReader(io.StringIO(archive.read("cutouts.csv").decode())))
        pictures = [archive.read(one["file_name"]) for one in index]
    assert {int(one["row"]) for one in index} == {1, 2, 3, 4, 5}
    assert all(body.startswith(b"\x89PNG") for body in pictures)
    # Each row was drawn within one of the images.
    for number, row in enumerate(rows, 1):
        named = [one["obs_publisher_did"] for one in index if int(one["row"]) == number]
        assert any(row["file"].rpartition("/")[2] in did for did in named)


@pytest.mark.parametrize(
    ("content", "more", "sentence"),
    [
        ("ra,dec,radius\n1,2,0.1\n", [], "the table needs a column of identifiers"),
        ("a b c\n", [], "the table needs a column of identifiers"),
        ("file\n/nowhere.fits\n", [], "there is no dataset '/nowhere.fits'"),
        ("file\n", [], "nothing to cut out"),
        ("file\nx\n", ["-p", "CIRCLE=1 2"], "CIRCLE"),
        ("file\nx\n", ["-p", "ID=y"], "ID is a column"),
        ("file\nx\n", ["image.fits"], "the rows name the images"),
        ("# %ECSV 1.0\n# ---\n# datatype: [\n", [], "the ECSV header is no YAML"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path, content, more, sentence):
    table = tmp_path / "t.csv"
    table.write_text(content)
    code = 2 if "image.fits" in more else 1
    arguments = ("cut", "--table", table, "-o", tmp_path / "out", *more, "--site", tmp_path)
    told = refused(*arguments, code=code)
    assert sentence in told
    assert "Traceback" not in told
    assert [one.name for one in tmp_path.iterdir()] == ["t.csv"]


@pytest.mark.skipif(sys.platform != "linux", reason="locks of Linux")
def test_two_at_once_do_not_mix(sky, cli, tmp_path):
    import fcntl

    table = tmp_path / "t.csv"
    rows_of(sky, 2).write(table)
    (tmp_path / "out.part").mkdir()
    with (tmp_path / "out.part" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another process is at work" in cut(cli, table, tmp_path / "out", code=1)
    cut(cli, table, tmp_path / "out")
