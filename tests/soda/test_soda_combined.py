"""Jobs of which each result is made of several datasets, over the wire."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))
from soda_files import DID, verify


@pytest.fixture(scope="module")
def dids(survey):
    return [DID.format(one.path.name) for one in survey.exposures if one.band == "r"]


@pytest.fixture(scope="module")
def circles(survey):
    ra, dec = survey.centre
    return [f"{ra} {dec} 0.004", f"{ra} {dec} 0.003", "0 -80 0.001"]


def ended(server, params, files=None):
    job_id = server.submit(params, files)
    return job_id, server.until(job_id, "COMPLETED", "ERROR")


def rows_of(server, job_id):
    return pq.read_table(io.BytesIO(server.result(job_id, "index").content)).to_pylist()


def test_a_stitched_image_of_each_circle(job_server, dids, circles, tmp_path):
    given = {"ID": dids, "STACK": "median", "COVERAGE": "1"}
    job_id, job = ended(job_server, {**given, "CIRCLE": circles, "COMBINE": "stitch"})
    assert job["phase"] == "COMPLETED"
    told = [job[name] for name in ("cutouts", "done", "made", "noOverlap", "errors")]
    assert told == ["3", "3", "2", "1", "0"]
    rows = rows_of(job_server, job_id)
    assert [row["status"] for row in rows] == ["ok", "ok", "no overlap"]
    results = job_server.results(job_id)
    for number, circle in enumerate(circles[:2], 1):
        name = next(name for name in results if name.startswith(f"{number}_stitched_"))
        assert results[name]["mime-type"] == "image/fits"
        body = httpx.get(results[name]["href"]).content
        path = tmp_path / "one.fits"
        path.write_bytes(body)
        assert verify(path) == ""
        answer = httpx.get(
            f"{job_server.url}/stitched", params={**given, "CIRCLE": circle}, timeout=60
        )
        with fits.open(path) as job_hdus, fits.open(io.BytesIO(answer.content)) as hdus:
            assert [hdu.name for hdu in job_hdus] == ["PRIMARY", "COVERAGE", "INPUTS"]
            for one, other in zip(job_hdus, hdus, strict=True):
                assert one.data.tobytes() == other.data.tobytes()
        assert rows[number - 1]["obs_publisher_did"] == " ".join(dids)
        assert rows[number - 1]["region"] == f"POS=CIRCLE {circle}"


def test_a_collection_in_one_file(job_server, circles, tmp_path):
    given = {"COLLECTION": "survey", "CIRCLE": circles, "COMBINE": "stitch", "MULTI": "mef"}
    job_id, job = ended(job_server, given)
    assert job["phase"] == "COMPLETED", job_server.error(job_id)
    path = tmp_path / "all.fits"
    path.write_bytes(job_server.result(job_id, "cutouts").content)
    assert verify(path) == ""
    with fits.open(path) as hdus:
        assert [hdu.header["CUTNUM"] for hdu in hdus[1:]] == [1, 1, 2, 2]
        assert "no pixel" in hdus[0].header["NOCUT003"]
        assert len(hdus["INPUTS", 2].data) >= 1
    assert rows_of(job_server, job_id)[0]["region"].startswith("COLLECTION=survey POS=CIRCLE ")


def test_pictures_in_colour(job_server, dids, circles):
    given = {"ID": [dids[0], dids[0], dids[1]], "COMBINE": "rgb", "SIZE": "40"}
    job_id, job = ended(job_server, {**given, "CIRCLE": circles})
    assert job["phase"] == "COMPLETED"
    results = job_server.results(job_id)
    name = next(name for name in results if name.startswith("1_color_"))
    assert results[name]["mime-type"] == "image/png"
    body = httpx.get(results[name]["href"]).content
    answer = httpx.get(f"{job_server.url}/sync", params={**given, "CIRCLE": circles[0]}, timeout=60)
    pictures = [np.asarray(Image.open(io.BytesIO(one))) for one in (body, answer.content)]
    assert max(pictures[0].shape[:2]) == 40
    np.testing.assert_array_equal(*pictures)
    assert rows_of(job_server, job_id)[2]["status"] == "no overlap"


def test_one_that_fails_spoils_no_other_and_all_spoil_the_job(job_server, dids, survey):
    ra, dec = survey.centre
    large = {"ID": dids, "COMBINE": "stitch", "PIXSCALE": "0.02"}
    circles = [f"{ra} {dec} 0.0005", f"{ra} {dec} 0.02"]
    job_id, job = ended(job_server, {**large, "CIRCLE": circles})
    assert job["phase"] == "COMPLETED"
    rows = rows_of(job_server, job_id)
    assert [row["status"] for row in rows] == ["ok", "error"]
    assert "PIXSCALE" in rows[1]["message"]
    job_id, job = ended(job_server, {**large, "CIRCLE": circles[1]})
    assert job["phase"] == "ERROR"
    assert job_server.error(job_id).startswith("UsageError: the image of ")
    job_id, job = ended(job_server, {"ID": [*dids, "ivo://nobody/x"], "COMBINE": "stitch"})
    assert job["phase"] == "ERROR"
    assert "there is no dataset 'ivo://nobody/x'" in job_server.error(job_id)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"COMBINE": "stitch"}, "ID is missing; give it once or more, or a COLLECTION"),
        ({"COMBINE": "stitch", "ID": "a", "PROJ": "HPX"}, "PROJ may be"),
        ({"COMBINE": "stitch", "ID": "a", "PIXELS": "[1:2,1:2]"}, "PIXELS is not for stitched"),
        ({"COMBINE": "stitch", "ID": "a", "BAND": ["1 2", "2 3"]}, "BAND may be given only once"),
        ({"COMBINE": "stitch", "ID": "a", "MULTI": "mef", "RESPONSEFORMAT": "png"}, "MULTI=mef"),
        ({"COMBINE": "rgb", "ID": ["a", "b"]}, "ID three times"),
        ({"COMBINE": "rgb", "ID": ["a"] * 3, "RESPONSEFORMAT": "fits"}, "png, jpeg or webp"),
        ({"COMBINE": "rgb", "ID": ["a"] * 3, "CIRCLE": [f"1 2 {k}" for k in range(1, 32)]},
         "given 31 times, for one result each; at most 30"),
        ({"COMBINE": "rgb", "UPLOAD": "t,param:t"}, "COMBINE=rgb takes no UPLOAD"),
        ({"COMBINE": "stitch", "UPLOAD": "t,param:t"}, "COMBINE=stitch takes no UPLOAD"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_before_there_is_a_job(job_server, given, message):
    files = {"t": ("t.csv", b"ra,dec\n1,2\n")} if "UPLOAD" in given else None
    answer = httpx.post(
        f"{job_server.url}/async", data={"PHASE": "RUN", **given}, files=files, timeout=60
    )
    assert answer.status_code in {400, 413}
    assert message in answer.text


def test_parameters_may_come_one_by_one(job_server, dids, circles):
    answer = httpx.post(f"{job_server.url}/async", data={"COMBINE": "stitch"}, timeout=60)
    assert answer.status_code == 303
    url = answer.headers["location"]
    for more in ({"ID": dids}, {"CIRCLE": circles[0]}):
        assert httpx.post(f"{url}/parameters", data=more, timeout=60).status_code == 303
    refused = httpx.post(f"{url}/parameters", data={"COMBINE": "rgb", "UPLOAD": "t,param:t"})
    assert refused.status_code == 400
    httpx.post(f"{url}/phase", data={"PHASE": "RUN"}, timeout=60)
    job = job_server.until(url.rpartition("/")[2], "COMPLETED", "ERROR")
    assert (job["phase"], job["made"]) == ("COMPLETED", "1")


def test_a_job_goes_on_where_another_process_left_it(start, survey, dids, circles):
    files = [one.path for one in survey.exposures]
    first = start(files, soda={"workers": 1})
    ra, dec = survey.centre
    parts = [f"{ra} {dec} {0.002 + 1e-5 * k}" for k in range(24)]
    job_id = first.submit({"ID": dids, "CIRCLE": parts, "COMBINE": "stitch", "STACK": "median",
                           "PIXSCALE": "0.05"})  # fmt: skip
    while int(first.job(job_id, "1").get("done") or 0) < 2:
        pass
    first.kill()
    second = start(files, soda={"workers": 1})
    job = second.until(job_id, "COMPLETED", "ERROR", limit_s=120)
    assert (job["phase"], job["made"]) == ("COMPLETED", "24")
    rows = rows_of(second, job_id)
    assert [row["number"] for row in rows] == list(range(1, 25))
    assert len(second.results(job_id)) == 25
