"""Jobs of cutouts over the wire; astropy, tar and pyvo are the judges."""

from __future__ import annotations

import io
import os
import re
import signal
import sys
import tarfile
import time
import xml.etree.ElementTree as ET
import zipfile
from hashlib import sha256
from pathlib import Path
from urllib.parse import unquote

import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits, votable
from pyvo.io.uws import parse_job

sys.path.insert(0, str(Path(__file__).parent))
from soda_files import DID, assert_same_pixels, assert_same_product, verify

from soda.parameters import of_resource
from vodal.testing.skies import make_wcs


@pytest.fixture(scope="module")
def dids(survey):
    return [DID.format(exposure.path.name) for exposure in survey.exposures]


@pytest.fixture(scope="module")
def place(survey):
    return tuple(float(v) for v in survey.exposures[0].wcs.all_pix2world(128, 128, 0))


def index_of(server, job_id):
    table = pq.read_table(io.BytesIO(server.result(job_id, "index").content))
    return table.to_pylist()


def test_each_combination_is_one_result(job_server, dids, place, survey, tmp_path):
    ra, dec = place
    job_id = job_server.submit(
        {"ID": [*dids[:2], "ivo://nobody/x"],
         "CIRCLE": [f"{ra} {dec} 0.002", f"{ra} {dec} 0.001", "0 -80 0.1"]}
    )  # fmt: skip
    job = job_server.until(job_id, "COMPLETED", "ERROR")
    assert job["phase"] == "COMPLETED"
    told = {name: job[name] for name in ("cutouts", "done", "made", "noOverlap", "errors")}
    assert told == {"cutouts": "9", "done": "9", "made": "4", "noOverlap": "2", "errors": "3"}
    results = job_server.results(job_id)
    rows = index_of(job_server, job_id)
    assert [row["number"] for row in rows] == list(range(1, 10))
    for row in rows:
        name = next(name for name in results if re.match(rf"{row['number']}_", name))
        answer = httpx.get(results[name]["href"])
        assert answer.headers["content-type"].partition(";")[0] == results[name]["mime-type"]
        assert len(answer.content) == int(results[name]["size"])
        if row["status"] == "ok":
            assert results[name]["mime-type"] == "image/fits"
            assert sha256(answer.content).hexdigest() == row["sha256"]
            assert row["file_name"] in unquote(answer.headers["content-disposition"])
            assert_same_product(answer.content, row["obs_publisher_did"], survey, tmp_path)
        else:
            assert results[name]["mime-type"] == "text/plain"
            assert answer.text.startswith("UsageError: ")
            assert row["obs_publisher_did"] in answer.text
    assert len(results) == 10
    assert int(job["bytes"]) == sum(row["content_length"] or 0 for row in rows)
    assert {row["status"] for row in rows[6:]} == {"error"}
    assert "POS=CIRCLE 0 -80 0.1" in rows[2]["region"]


@pytest.mark.parametrize("packing", [None, "mef", "tar"])
def test_the_format_is_that_of_each_cutout(job_server, dids, place, tmp_path, packing):
    given = {"ID": dids[:2], "CIRCLE": f"{place[0]} {place[1]} 0.002",
             "RESPONSEFORMAT": "fits-rice"}  # fmt: skip
    job_id = job_server.submit(given | ({"MULTI": packing} if packing else {}))
    assert job_server.until(job_id, "COMPLETED", "ERROR")["phase"] == "COMPLETED"
    rows = index_of(job_server, job_id)
    assert [row["file_name"].endswith(".fits.fz") for row in rows] == [True, True]
    results = job_server.results(job_id)
    if packing is None:
        assert [one["mime-type"] for one in results.values()][:2] == [
            "image/fits;compression=rice"
        ] * 2
    if packing == "mef":
        path = tmp_path / "all.fits"
        path.write_bytes(job_server.result(job_id, "cutouts").content)
        assert verify(path) == ""
        with fits.open(path) as cuts:
            images = [hdu for hdu in cuts if isinstance(hdu, fits.CompImageHDU)]
            assert len(images) == 6
            assert {hdu.header["CUTNUM"] for hdu in images} == {1, 2}


def test_pyvo_reads_a_job(job_server, dids, place):
    job_id = job_server.submit({"ID": dids[0], "CIRCLE": f"{place[0]} {place[1]} 0.002"})
    job_server.until(job_id, "COMPLETED")
    job = parse_job(io.BytesIO(job_server.get(job_id).content))
    assert job.phase == "COMPLETED"
    assert [result.id_ for result in job.results][1] == "index"
    assert unquote(job.results[0].href).endswith(job.results[0].id_)


def test_capabilities_have_the_jobs(job_server):
    root = ET.fromstring(httpx.get(f"{job_server.url}/capabilities").content)
    found = {one.get("standardID"): one.findtext("interface/accessURL")
             for one in root.iter("capability")}  # fmt: skip
    assert found["ivo://ivoa.net/std/SODA#async-1.0"] == f"{job_server.url}/async"


@pytest.mark.parametrize("packing", ["tar", "zip", "mef", "files"])
def test_combinations_put_together(job_server, dids, place, survey, tmp_path, packing):
    ra, dec = place
    given = {"ID": dids[:3], "CIRCLE": [f"{ra} {dec} 0.002", "0 -80 0.1"], "MULTI": packing}
    job_id = job_server.submit(given)
    assert job_server.until(job_id, "COMPLETED", "ERROR")["phase"] == "COMPLETED"
    results = job_server.results(job_id)
    assert list(results) == (["index"] if packing == "files" else ["cutouts", "index"])
    rows = [row for row in index_of(job_server, job_id) if row["status"] == "ok"]
    assert [row["number"] for row in rows] == [1, 3, 5]
    if packing == "mef":
        path = tmp_path / "all.fits"
        path.write_bytes(job_server.result(job_id, "cutouts").content)
        assert verify(path) == ""
        with fits.open(path) as cuts:
            assert [hdu.header["CUTNUM"] for hdu in cuts[1:]] == [1] * 4 + [3] * 4 + [5] * 4
            for number, did in zip((1, 3, 5), dids, strict=False):
                original = next(e.path for e in survey.exposures if did.endswith(e.path.name))
                with fits.open(original) as whole:
                    assert_same_pixels(cuts["IMAGE", number], whole["IMAGE"])
        return
    if packing == "files":
        files = {r["file_name"]: job_server.get(f"{job_id}/files/{r['file_name']}").content
                 for r in rows}  # fmt: skip
        assert job_server.get(f"{job_id}/files/..%2Foutcomes.jsonl").status_code == 404
        assert job_server.get(f"{job_id}/files/nothing").status_code == 404
    else:
        content = io.BytesIO(job_server.result(job_id, "cutouts").content)
        if packing == "zip":
            archive = zipfile.ZipFile(content)
            files = {name: archive.read(name) for name in archive.namelist()}
        else:
            with tarfile.open(fileobj=content) as archive:
                files = {one.name: archive.extractfile(one).read() for one in archive}
        assert list(files)[-1] == "cutouts.csv"
    for row in rows:
        body = files[row["file_name"]]
        assert (len(body), sha256(body).hexdigest()) == (row["content_length"], row["sha256"])
        assert_same_product(body, row["obs_publisher_did"], survey, tmp_path)


def test_a_job_that_cannot_be_done_ends_with_the_errors_text(job_server, dids):
    # Only the file tells that there is no such axis.
    job_id = job_server.submit({"ID": dids[0], "POL": "I"})
    job_server.until(job_id, "ERROR")
    assert "UsageError: POL" in job_server.error(job_id)
    assert job_server.results(job_id) == {}


@pytest.mark.parametrize(
    ("given", "status", "word"),
    [
        ({}, 400, "UsageError: the parameter ID is missing"),
        ({"ID": ["ivo://nobody/x", "ivo://nobody/y"]}, 404, "no dataset 'ivo://nobody/x' here"),
        ({"ID": "DID", "MULTI": "rar"}, 400, "UsageError: MULTI takes one of"),
        (
            {"ID": "DID", "CIRCLE": [f"1 2 {n}" for n in range(1, 32)]},
            413,
            "more than 30 combinations",
        ),
    ],
)
def test_what_is_wrong_for_certain_is_refused_at_once(job_server, dids, given, status, word):
    given = {name: dids[0] if value == "DID" else value for name, value in given.items()}
    answer = httpx.post(f"{job_server.url}/async", data={"PHASE": "RUN", **given}, timeout=60)
    assert (answer.status_code, word in answer.text) == (status, True)


BAD = {
    "CIRCLE": "here and there", "POLYGON": "1 2 3 4", "POS": "BOX 1 2 3 4", "BAND": "red",
    "TIME": "2 1", "POL": "unknown", "PIXELS": "[a:b]", "HDU": "SCI,x", "TABLES": "some",
    "KIND": "BODY", "RESPONSEFORMAT": "image/gif", "QUANTIZE": "0", "TILE": "x", "OUTSIDE": "black",
    "STRETCH": "cubic", "CUTS": "9 1", "COLORMAP": "jet", "INVERT": "2", "SIZE": "0",
    "ORIENT": "up", "SAMPLING": "nearest", "COMBINE": "all", "Q": "-1", "MULTI": "rar",
}  # fmt: skip
"""A value of each parameter that no dataset could be asked with."""


@pytest.mark.parametrize("name", [one.name for one in of_resource("sync") if one.name in BAD])
def test_a_bad_value_of_any_parameter_starts_no_job(job_server, dids, name):
    jobs = f"{job_server.url}/async"
    given = {"ID": dids[0], name: BAD[name]}
    made = httpx.post(jobs, data={"PHASE": "RUN", **given}, timeout=60)
    assert (made.status_code, made.text[:12]) == (400, "UsageError: ")
    assert name in made.text
    assert "location" not in made.headers
    if name == "MULTI":
        return
    # One that was made before is told to run, and mended.
    job = httpx.post(jobs, data=given, timeout=60).headers["location"]
    refused = httpx.post(f"{job}/phase", data={"PHASE": "RUN"}, timeout=60)
    assert (refused.status_code, name in refused.text) == (400, True)
    assert job_server.job(job.rpartition("/")[2])["phase"] == "PENDING"


def test_no_parameter_is_left_out_of_what_may_be_wrong():
    assert {one.name for one in of_resource("sync")} - {"ID", "FORMAT", "PIXEL_n"} == set(BAD)


def test_a_job_without_overlap_tells_so(job_server, dids):
    job_id = job_server.submit({"ID": dids[0], "CIRCLE": "0 -80 0.1"})
    job_server.until(job_id, "COMPLETED")
    results = job_server.results(job_id)
    assert list(results) == ["1_no-overlap", "index"]
    text = job_server.result(job_id, "1_no-overlap").text
    assert text.startswith("UsageError: no pixel")


def test_files_together_over_the_limit_end_the_job(start, survey, dids, tmp_path):
    server = start([e.path for e in survey.exposures], jobs={"max_result_bytes": 1_000_000})
    for packing in ({}, {"MULTI": "tar"}, {"MULTI": "mef"}):
        job_id = server.submit({"ID": dids[:4], **packing})
        server.until(job_id, "ERROR")
        assert "limit of one job (max_result_bytes)" in server.error(job_id)
        assert not list((tmp_path / "jobs" / "results" / job_id).rglob("*.*"))


def test_a_full_disk_ends_the_job_and_serves_nothing(start, survey, dids, tmp_path):
    server = start([e.path for e in survey.exposures], file_limit=1_500_000)
    job_id = server.submit({"ID": dids[:6], "MULTI": "tar"})
    server.until(job_id, "ERROR")
    assert re.match("(ServiceUnavailable|Error): ", server.error(job_id))
    assert server.results(job_id) == {}
    assert not list((tmp_path / "jobs" / "results" / job_id).rglob("*.*"))
    # What needs less is made all the same.
    job_id = server.submit({"ID": dids[0], "CIRCLE": "0 -80 0.1"})
    server.until(job_id, "COMPLETED")


@pytest.fixture(scope="module")
def slow(tmp_path_factory):
    """Files whose cutouts take some time: thirty, each of about 50 ms."""
    folder = tmp_path_factory.mktemp("slow")
    rng = np.random.default_rng(0)
    paths = []
    data = rng.integers(0, 1 << 20, (1000, 1000)).astype(np.int32)
    for number in range(2):
        wcs = make_wcs(40.0, 5.0 + number, 1000, 0.5)
        path = folder / f"slow{number}.fits"
        fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(
            data, wcs.to_header(relax=True), compression_type="HCOMPRESS_1", name="IMAGE")
        ]).writeto(path)  # fmt: skip
        paths.append(path)
    return paths


def slow_job(packing="tar", each=15):
    """Parameters of thirty cutouts of the slow files, of which each has fifteen."""
    dids = [DID.format(f"slow{number}.fits") for number in range(2)]
    bands = [f"4e-7 {4.5e-7 + 1e-10 * n:.5g}" for n in range(each)]
    return {"ID": dids, "BAND": bands, "MULTI": packing}


def files_of(server, job_id):
    with tarfile.open(fileobj=io.BytesIO(server.result(job_id, "cutouts").content)) as archive:
        return {one.name: archive.extractfile(one).read() for one in archive}


def check_slow(server, job_id, slow, packing):
    rows = index_of(server, job_id)
    assert [row["number"] for row in rows] == list(range(1, 31))
    assert {row["status"] for row in rows} == {"ok"}
    if packing == "tar":
        files = files_of(server, job_id)
        assert len(files) == 31
    else:
        files = {r["file_name"]: server.get(f"{job_id}/files/{r['file_name']}").content
                 for r in rows}  # fmt: skip
    expected = {}
    for path in slow:
        with fits.open(path) as whole:
            expected[DID.format(path.name)] = whole["IMAGE"].data
    for row in rows:
        body = files[row["file_name"]]
        assert sha256(body).hexdigest() == row["sha256"]
        with fits.open(io.BytesIO(body)) as cut:
            np.testing.assert_array_equal(cut["IMAGE"].data, expected[row["obs_publisher_did"]])


def wait_for(condition, limit_s=30.0):
    end = time.monotonic() + limit_s
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def lines(tmp_path, job_id):
    """Count what the first run of a job has noted as done."""
    log = tmp_path / "jobs" / "results" / job_id / "1" / "outcomes.jsonl"
    return log.read_bytes().count(b"\n") if log.exists() else 0


def table(server, job_id):
    answer = server.get(f"{job_id}/cutouts", RESPONSEFORMAT="votable/td")
    assert answer.status_code == 200
    return votable.parse_single_table(io.BytesIO(answer.content)).to_table()


@pytest.mark.parametrize(("queue", "packing"), [("sqlite", "tar"), ("postgres", "files")])
def test_a_job_goes_on_at_another_server_after_kill_9(start, slow, request, packing, queue,
                                                      tmp_path):  # fmt: skip
    settings = {"jobs": {"concurrency": 1}}
    if queue == "postgres":
        settings["queue"] = request.getfixturevalue("postgres_url")
    one, two = start(slow, **settings), start(slow, **settings)
    two.suspend()
    job_id = one.submit(slow_job(packing))
    wait_for(lambda: lines(tmp_path, job_id) >= 3)
    for pid in one.state()["pids"]:
        os.kill(pid, signal.SIGSTOP)
    states = list(table(one, job_id)["status"])
    one.kill()
    assert len(states) == 30
    assert {"ok", "pending"} == set(states)
    folder = tmp_path / "jobs" / "results" / job_id
    kept = lines(tmp_path, job_id)
    assert 3 <= kept < 30
    # Half a line at the end of the log, and half a file, as a loss of power leaves them.
    with (folder / "1" / "outcomes.jsonl").open("ab") as log:
        log.write(b'{"number": 17, "ro')
    began = {path.name: path.stat().st_mtime_ns for path in (folder / "1" / "files").iterdir()}
    two.go_on()
    job = two.until(job_id, "COMPLETED", "ERROR", "ABORTED")
    assert job["phase"] == "COMPLETED"
    check_slow(two, job_id, slow, packing)
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == ["2"]
    if packing == "files":
        # What was made is kept, to the file.
        now = {path.name: path.stat().st_mtime_ns for path in (folder / "2" / "files").iterdir()}
        same = [name for name in began if now.get(name) == began[name]]
        assert len(same) >= kept


def test_a_damaged_archive_is_gone_on_with_before_the_damage(start, slow, tmp_path):
    one = start(slow)
    job_id = one.submit(slow_job())
    wait_for(lambda: lines(tmp_path, job_id) >= 6)
    one.kill()
    folder = tmp_path / "jobs" / "results" / job_id / "1"
    with (folder / "cutouts.tar.part").open("r+b") as archive:
        archive.seek(3 * 4_010_000)
        archive.write(b"damage")
    two = start(slow)
    two.until(job_id, "COMPLETED")
    check_slow(two, job_id, slow, "tar")


def test_a_job_goes_on_after_an_orderly_stop(start, slow, tmp_path):
    one = start(slow)
    job_id = one.submit(slow_job("files"))
    wait_for(lambda: lines(tmp_path, job_id) >= 2)
    one.stop()
    files = tmp_path / "jobs" / "results" / job_id / "1" / "files"
    kept = {path.name: path.stat().st_mtime_ns for path in files.glob("*.fits")}
    assert kept
    two = start(slow)
    two.until(job_id, "COMPLETED")
    check_slow(two, job_id, slow, "files")
    files = tmp_path / "jobs" / "results" / job_id / "2" / "files"
    assert {name: (files / name).stat().st_mtime_ns for name in kept} == kept


def test_an_aborted_job_frees_the_pool_at_once(start, slow, tmp_path):
    server = start(slow)
    job_id = server.submit(slow_job(each=400))
    wait_for(lambda: lines(tmp_path, job_id))
    httpx.post(f"{server.url}/async/{job_id}/phase", data={"PHASE": "ABORT"})
    assert server.job(job_id)["phase"] == "ABORTED"
    wait_for(lambda: not server.state()["bulk"])
    labels = {"mode": "async", "outcome": "ok"}
    assert server.metric("skylane_soda_cutouts_total", **labels) < 800
    wait_for(lambda: not list((tmp_path / "jobs" / "results" / job_id).rglob("*.*")))


def test_a_job_whose_time_is_over_is_aborted(start, slow):
    server = start(slow, soda={"workers": 1, "job_limit_s": 1})
    # However fast the machine is, nothing comes of it.
    for pid in server.state()["pids"]:
        os.kill(pid, signal.SIGSTOP)
    job_id = server.submit(slow_job())
    server.until(job_id, "ABORTED")
    assert "execution duration" in server.error(job_id)
    assert server.results(job_id) == {}


def test_one_cutout_is_not_kept_waiting_by_a_job(start, slow):
    server = start(slow)
    # More than can be made meanwhile.
    job_id = server.submit(slow_job(each=400))
    wait_for(lambda: server.state()["bulk"])
    given = {"ID": DID.format("slow0.fits"), "CIRCLE": "40 5 0.001"}
    for _ in range(5):
        assert httpx.get(f"{server.url}/sync", params=given, timeout=30).status_code == 200
        assert server.state()["bulk"] <= 1
    assert server.job(job_id)["phase"] == "EXECUTING"
    httpx.post(f"{server.url}/async/{job_id}/phase", data={"PHASE": "ABORT"})
    assert server.job(job_id)["phase"] == "ABORTED"


def test_a_job_survives_workers_being_killed(start, slow, survey):
    files = [*slow, survey.exposures[0].path]
    server = start(files)
    job_id = server.submit({**slow_job("files"), "ID": [DID.format(p.name) for p in files]})
    wait_for(lambda: server.state()["bulk"])
    for pid in server.state()["pids"]:
        os.kill(pid, 9)
    job = server.until(job_id, "COMPLETED")
    assert job["errors"] == "0"
    assert len(index_of(server, job_id)) == 45
