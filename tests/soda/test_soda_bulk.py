"""Jobs over tables: each way to send one, positions, rows that are wrong, memory, kill -9."""

from __future__ import annotations

import io
import sys
import tarfile
import time
from hashlib import sha256
from pathlib import Path

import httpx
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits, votable
from astropy.table import Table

sys.path.insert(0, str(Path(__file__).parent))
from soda_files import DID, assert_same_pixels, section


@pytest.fixture(scope="module")
def dids(survey):
    return [DID.format(exposure.path.name) for exposure in survey.exposures]


def written(table: Table, form: str) -> bytes:
    out = io.BytesIO()
    if form == "csv":
        text = io.StringIO()
        table.write(text, format="csv")
        return text.getvalue().encode()
    if form == "parquet":
        pq.write_table(pa.table({name: list(table[name]) for name in table.colnames}), out)
    else:
        table.write(out, format=form)
    return out.getvalue()


def submit(server, table, form="csv", **more):
    content = table if isinstance(table, bytes) else written(table, form)
    files = {"rows": (f"rows.{form}", content)}
    return server.submit({"UPLOAD": "cutouts,param:rows"}, files=files, **more)


def index_of(server, job_id):
    return pq.read_table(io.BytesIO(server.result(job_id, "index").content)).to_pylist()


def tar_of(server, job_id):
    with tarfile.open(fileobj=io.BytesIO(server.result(job_id, "cutouts").content)) as archive:
        return {one.name: archive.extractfile(one).read() for one in archive}


def check(body, did, survey):
    original = next(e.path for e in survey.exposures if did.endswith(e.path.name))
    with fits.open(io.BytesIO(body)) as cut, fits.open(original) as whole:
        assert cut[0].header["CUTID"] == did
        for name in ("IMAGE", "MASK", "VARIANCE"):
            assert_same_pixels(cut[name], whole[name])
        return section(cut["IMAGE"].header), cut["IMAGE"].data.shape


@pytest.mark.parametrize("form", ["csv", "votable", "parquet", "fits"])
def test_rows_of_datasets_places_and_names(job_server, survey, dids, form):
    ra, dec, asked = [], [], []
    for number, exposure in enumerate(survey.exposures):
        x, y = 60 + 10 * number, 200 - 10 * number
        place = exposure.wcs.all_pix2world(x, y, 0)
        ra.append(float(place[0]))
        dec.append(float(place[1]))
        asked.append((x, y))
    # From the last file to the first, each twice, so that the order of work is another.
    order = [*range(len(dids)), *range(len(dids))][::-1]
    table = Table({
        "ID": [dids[n] for n in order], "ra": [ra[n] for n in order],
        "dec": [dec[n] for n in order], "radius": [4e-4 if k % 2 else 8e-4 for k in
                                                  range(len(order))],
        "file_name": [f"target {k}.fits" for k in range(len(order))],
    })  # fmt: skip
    job_id = submit(job_server, table, form)
    job = job_server.until(job_id, "COMPLETED", "ERROR")
    assert job["phase"] == "COMPLETED", job_server.error(job_id)
    rows, files = index_of(job_server, job_id), tar_of(job_server, job_id)
    assert [row["row"] for row in rows] == list(range(1, 19))
    assert [row["file_name"] for row in rows] == [f"target_{k}.fits" for k in range(18)]
    # The cutouts of one file lie together in the archive.
    by_file = [next(r["obs_publisher_did"] for r in rows if r["file_name"] == name)
               for name in list(files)[:-1]]  # fmt: skip
    assert by_file == sorted(by_file)
    for number, row in zip(order, rows, strict=True):
        body = files[row["file_name"]]
        assert (row["status"], row["sha256"]) == ("ok", sha256(body).hexdigest())
        assert row["obs_publisher_did"] == dids[number]
        (in_y, in_x), _ = check(body, dids[number], survey)
        x, y = asked[number]
        assert in_x.start <= x < in_x.stop
        assert in_y.start <= y < in_y.stop


def test_positions_get_every_product_that_shows_them(job_server, survey, dids):
    rng = np.random.default_rng(5)
    ra = 150.1 + rng.uniform(-0.03, 0.03, 40)
    dec = 2.2 + rng.uniform(-0.03, 0.03, 40)
    table = Table({"target_ra": ra, "target_dec": dec, "size": np.full(40, 1.5)})
    for name, ucd in {"target_ra": "pos.eq.ra;meta.main", "target_dec": "pos.eq.dec;meta.main",
                      "size": "phys.angSize"}.items():  # fmt: skip
        table[name].meta["ucd"] = ucd
    table["size"].unit = "arcsec"
    document = votable.from_table(table)
    for field in document.get_first_table().fields:
        field.ucd = table[field.name].meta["ucd"]
    out = io.BytesIO()
    document.to_xml(out)
    job_id = submit(job_server, out.getvalue(), "vot")
    assert job_server.until(job_id, "COMPLETED", "ERROR")["phase"] == "COMPLETED"
    found = {}
    for row in index_of(job_server, job_id):
        if row["status"] == "ok":
            found.setdefault(row["row"], set()).add(row["obs_publisher_did"])
        else:
            assert "no image here shows this position" in row["message"]
    files = tar_of(job_server, job_id)
    assert len(files) == sum(map(len, found.values())) + 1
    for row, (x, y) in enumerate(zip(ra, dec, strict=True), 1):
        expected = set()
        near_edge = set()
        for did, exposure in zip(dids, survey.exposures, strict=True):
            px, py = exposure.wcs.all_world2pix(x, y, 0, quiet=True)
            margin = min(px + 0.5, py + 0.5, 255.5 - px, 255.5 - py)
            if margin > 0:
                expected.add(did)
            if abs(margin) < 3:
                # The outline is straight where the image's edge is curved.
                near_edge.add(did)
        assert found.get(row, set()) ^ expected <= near_edge


def test_rows_that_are_wrong_fail_alone(job_server, survey, dids):
    ra, dec = (float(v) for v in survey.exposures[0].wcs.all_pix2world(128, 128, 0))
    good = f"{ra},{dec},0.001"
    lines = [
        "ID,ra,dec,radius,file_name,BAND", f"{dids[0]},{good},a.fits,", f"{dids[1]},{good},a,",
        f"{dids[2]},{good},../../etc/x,", f"ivo://nobody/x,{good},,", f"{dids[0]},1,95,0.1,,",
        f"{dids[0]},{ra},{dec},-1,,", f"{dids[0]},{ra},{dec},,,", f",{ra},{dec},,,",
        f"{dids[0]},0,-80,0.1,,", f"{dids[0]},{good},,1e-6 2e-6", f"{dids[0]},{good},,2 1",
    ]  # fmt: skip
    job_id = submit(job_server, "\n".join(lines).encode())
    job = job_server.until(job_id, "COMPLETED", "ERROR")
    assert job["phase"] == "COMPLETED", job_server.error(job_id)
    rows = index_of(job_server, job_id)
    told = [(row["row"], row["status"]) for row in rows]
    status = dict(told)
    assert [status[n] for n in (1, 2, 3, 7)] == ["ok"] * 4
    assert [status[n] for n in (4, 5, 6, 8, 11)] == ["error"] * 5
    assert [status[n] for n in (9, 10)] == ["no overlap"] * 2
    messages = {row["row"]: row["message"] for row in rows}
    for row, word in {4: "no dataset", 5: "95", 6: "radius", 8: "no radius", 11: "BAND"}.items():
        assert messages[row].startswith("UsageError: ")
        assert word in messages[row]
    names = [row["file_name"] for row in rows if row["status"] == "ok"]
    assert names[:2] == ["a.fits", "a_000002.fits"]
    assert all("/" not in name and not name.startswith(".") for name in names)
    assert set(tar_of(job_server, job_id)) == {*names, "cutouts.csv"}


def test_the_cutouts_of_a_job_are_counted(start, survey, dids):
    server = start([e.path for e in survey.exposures])
    table = big_table(survey, dids, 70)
    table["ID"] = [*table["ID"][:-2], "ivo://nobody/x", dids[0]]
    table["ra"][-1], table["dec"][-1] = 0.0, -80.0
    job_id = submit(server, table)
    assert server.until(job_id, "COMPLETED", "ERROR")["phase"] == "COMPLETED"
    rows = index_of(server, job_id)
    for outcome, count in (("ok", 68), ("empty", 1), ("refused", 1)):
        labels = {"mode": "async", "outcome": outcome}
        assert server.metric("skylane_soda_cutouts_total", **labels) == count
    total = sum(row["content_length"] or 0 for row in rows)
    assert server.metric("skylane_soda_cutout_bytes_sum", mode="async") == total
    assert server.metric("skylane_soda_step_seconds_count", mode="async", step="read") == 68
    needed = server.metric("skylane_soda_needed_bytes_total")
    assert 0 < needed <= server.metric("skylane_soda_read_bytes_total")


@pytest.mark.parametrize(
    ("table", "more", "word"),
    [
        (b"x,y\n1,2\n", {}, "UPLOAD: the table needs a column of identifiers"),
        (b"x,y\n1,2\n", {}, "; it has x, y"),
        (b"ID\nivo://a/b\n", {"ID": "ivo://a/b"}, "ID and UPLOAD exclude each other"),
        (b"ID\nivo://a/b\n", {"MULTI": "rar"}, "MULTI takes"),
        (b"ID\nivo://a/b\n", {"CIRCLE": "1 2"}, "CIRCLE"),
        (b"ID\nivo://a/b\n", {"UPLOAD": "other,param:none"}, "no part 'none'"),
        (b"\x00\x01", {}, "UPLOAD cutouts"),
        (b"ID\n", {}, "nothing to cut out"),
    ],
)
def test_a_table_that_is_no_use_is_refused_at_once(job_server, table, more, word):
    params = {"UPLOAD": "cutouts,param:rows", **more}
    files = {"rows": ("rows.csv", table)}
    answer = httpx.post(
        f"{job_server.url}/async", data={"PHASE": "RUN", **params}, files=files, timeout=60
    )
    assert answer.status_code == 400
    assert answer.text.startswith("UsageError: ")
    assert word in answer.text
    # And where it is told to run later; then it can be mended.
    answer = httpx.post(f"{job_server.url}/async", data=params, files=files, timeout=60)
    if "MULTI" in more:
        # How results are put together is read as soon as it is said.
        assert (answer.status_code, word in answer.text) == (400, True)
        return
    assert answer.status_code == 303
    job_id = answer.headers["location"].rpartition("/")[2]
    answer = httpx.post(f"{job_server.url}/async/{job_id}/phase", data={"PHASE": "RUN"}, timeout=60)
    assert (answer.status_code, word in answer.text) == (400, True)
    assert job_server.job(job_id)["phase"] == "PENDING"


def test_a_job_that_was_refused_can_be_mended(job_server, dids):
    answer = httpx.post(
        f"{job_server.url}/async", data={"UPLOAD": "t,param:rows", "BAND": "2 1"},
        files={"rows": ("rows.csv", f"ID\n{dids[0]}\n".encode())}, timeout=60,
    )  # fmt: skip
    job = answer.headers["location"]
    assert httpx.post(f"{job}/phase", data={"PHASE": "RUN"}, timeout=60).status_code == 400
    httpx.post(f"{job}/parameters", data={"BAND": "-Inf +Inf"}, timeout=60)
    assert httpx.post(f"{job}/phase", data={"PHASE": "RUN"}, timeout=60).status_code == 303
    job_id = job.rpartition("/")[2]
    assert job_server.until(job_id, "COMPLETED", "ERROR")["phase"] == "COMPLETED"


def test_a_table_of_nothing_known_ends_the_job(job_server):
    job_id = submit(job_server, b"ID\nivo://a/b\n")
    job_server.until(job_id, "ERROR")
    assert "there is no dataset 'ivo://a/b'" in job_server.error(job_id)


def test_more_rows_than_the_limit_are_refused(start, survey, dids):
    server = start([e.path for e in survey.exposures], soda={"max_cutouts": 5})
    answer = httpx.post(
        f"{server.url}/async", data={"PHASE": "RUN", "UPLOAD": "t,param:rows"},
        files={"rows": ("rows.csv", written(Table({"ID": dids[:6]}), "csv"))}, timeout=60,
    )  # fmt: skip
    assert answer.status_code == 413
    assert "UPLOAD: the table asks for more than 5 cutouts" in answer.text
    # Rows of positions, of which each may have several images, are counted as they are found.
    table = big_table(survey, dids, 5)["ra", "dec", "radius"]
    job_id = submit(server, table)
    server.until(job_id, "ERROR")
    assert "more than 5 cutouts" in server.error(job_id)


def big_table(survey, dids, count):
    """Small cutouts, in no order of the files."""
    rng = np.random.default_rng(8)
    which = rng.integers(0, len(dids), count)
    x, y = rng.uniform(10, 245, (2, count))
    ra, dec = np.empty(count), np.empty(count)
    for number, exposure in enumerate(survey.exposures):
        mine = which == number
        ra[mine], dec[mine] = exposure.wcs.all_pix2world(x[mine], y[mine], 0)
    return Table({"ID": [dids[n] for n in which], "ra": ra, "dec": dec,
                  "radius": np.full(count, 2e-4)})  # fmt: skip


def test_a_table_goes_on_after_kill_9_without_the_rows_that_are_done(start, survey, dids, tmp_path):
    files = [e.path for e in survey.exposures]
    one, two = start(files), start(files)
    two.suspend()
    table = big_table(survey, dids, 1500)
    job_id = submit(one, table, "parquet")
    log = tmp_path / "jobs" / "results" / job_id / "1" / "outcomes.jsonl"
    end = time.monotonic() + 60
    while not log.exists() or log.read_bytes().count(b"\n") < 300:
        assert time.monotonic() < end
        time.sleep(0.02)
    one.kill()
    kept = log.read_bytes().splitlines(keepends=True)
    assert len(kept) < 1500
    two.go_on()
    assert two.until(job_id, "COMPLETED", "ERROR")["phase"] == "COMPLETED"
    log = tmp_path / "jobs" / "results" / job_id / "2" / "outcomes.jsonl"
    whole = kept if kept[-1].endswith(b"\n") else kept[:-1]
    # Word for word: hardly any time of making is the same twice.
    assert log.read_bytes().startswith(b"".join(whole))
    rows, made = index_of(two, job_id), tar_of(two, job_id)
    assert [row["row"] for row in rows] == list(range(1, 1501))
    for row in rows:
        assert sha256(made[row["file_name"]]).hexdigest() == row["sha256"]
    for row, asked in list(zip(rows, table, strict=True))[::100]:
        assert row["obs_publisher_did"] == asked["ID"]
        check(made[row["file_name"]], asked["ID"], survey)


def test_memory_does_not_grow_with_the_rows(start, survey, dids, tmp_path):
    server = start([e.path for e in survey.exposures])
    process = psutil.Process(server.process.pid)

    def run(count):
        job_id = submit(server, big_table(survey, dids, count), "parquet")
        most = 0
        while server.job(job_id)["phase"] in {"QUEUED", "EXECUTING"}:
            most = max(most, process.memory_info().rss)
            time.sleep(0.05)
        assert server.job(job_id)["phase"] == "COMPLETED"
        return most, sum(int(r["size"]) for r in server.results(job_id).values())

    run(300)
    few, _ = run(300)
    many, size = run(3000)
    assert size > 60_000_000
    assert many - few < size / 3
