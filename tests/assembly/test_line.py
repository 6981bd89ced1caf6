"""Runs of the assembly line: what is read, written, left alone, refused and removed."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from obscore.assembly.line import ingest
from obscore.assembly.report import json_lines
from obscore.settings import ObsCoreSettings
from obscore.sources import FolderSource
from obscore.store.choice import make_backend
from obscore.store.settings import StoreSettings
from vodal.errors import ArchiveError, UsageError
from vodal.regions import Point
from vodal.sphere import contains

DEFAULT = ObsCoreSettings()


def run(folder, store, settings=DEFAULT, *, workers=0, **options):
    """Ingest a folder as the collection 'deep'; give the summary and the reports by path."""
    reports = []
    source = FolderSource(folder, collection="deep")
    summary = ingest(source, store, settings, workers=workers, report=reports.append, **options)
    names = [report.path or report.uri.rsplit("/", 1)[-1] for report in reports]
    return summary, dict(zip(names, reports, strict=True))


@pytest.fixture
def folder(tmp_path, image_writer):
    root = tmp_path / "data"
    image_writer(root / "a.fits", {"EXPTIME": 1.0})
    image_writer(root / "sub" / "b.fits", {"EXPTIME": 2.0})
    image_writer(root / "sub" / "c.fits", {"EXPTIME": 3.0})
    return root


def test_survey_becomes_rows_that_are_true(survey, memory_store):
    summary, reports = run(survey.folder, memory_store, workers=2)
    assert summary.statuses == {"added": 9}
    assert summary.products == 9
    rows = {row["obs_publisher_did"]: row for row in memory_store.rows()}
    observations = {o.did: o for f in memory_store.files.values() for o in f.observations}
    bands = {"g": (400e-9, 540e-9), "r": (555e-9, 690e-9), "i": (685e-9, 825e-9)}
    for exposure in survey.exposures:
        did = f"ivo://skylane.example/deep?{exposure.path.name}"
        row, observation = rows[did], observations[did]
        assert reports[exposure.path.name].dids == (did,)
        assert observation.hdus == (1, 2, 3)
        assert row["t_min"] == pytest.approx(exposure.mjd_start, abs=1e-8)
        assert row["t_max"] - row["t_min"] == pytest.approx(exposure.exposure_s / 86400)
        assert row["t_exptime"] == exposure.exposure_s
        assert (row["em_min"], row["em_max"]) == pytest.approx(bands[exposure.band])
        assert row["filter"] == exposure.band
        ra, dec = exposure.wcs.all_pix2world(127.5, 127.5, 0)
        assert row["s_ra"] == pytest.approx(float(ra), abs=1e-7)
        assert row["s_dec"] == pytest.approx(float(dec), abs=1e-7)
        assert (row["s_xel1"], row["s_xel2"]) == (256, 256)
        assert row["s_resolution"] == 0.9
        assert row["s_pixel_scale"] == pytest.approx(0.4, rel=0.01)
        assert row["calib_level"] == 2
        assert row["target_name"] == "Demo Field"
        assert row["o_unit"] == "adu"
        # Pixels half a pixel inside the edge are in the footprint, those a pixel outside are not.
        for x in (0.0, 100.0, 255.0):
            for y, inside in ((0.0, True), (255.0, True), (-1.5, False), (256.5, False)):
                at = [float(v) for v in exposure.wcs.all_pix2world(x, y, 0)]
                assert contains(observation.region, Point(*at)) is inside, (x, y)


def test_running_twice_changes_nothing(folder, memory_store):
    summary, _ = run(folder, memory_store)
    assert summary.statuses == {"added": 3}
    before, writes = dict(memory_store.files), list(memory_store.writes)
    summary, _ = run(folder, memory_store)
    assert summary.statuses == {"unchanged": 3}
    assert memory_store.files == before
    assert memory_store.writes == writes


def test_unchanged_files_are_not_opened(folder, memory_store):
    run(folder, memory_store)
    for path in folder.rglob("*.fits"):
        about = path.stat()
        path.write_bytes(b"x" * about.st_size)
        os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    summary, _ = run(folder, memory_store)
    assert summary.statuses == {"unchanged": 3}


def test_a_changed_file_is_updated(folder, memory_store, image_writer):
    run(folder, memory_store)
    image_writer(folder / "a.fits", {"EXPTIME": 77.0, "OBJECT": "new"})
    summary, reports = run(folder, memory_store)
    assert summary.statuses == {"unchanged": 2, "updated": 1}
    assert reports["a.fits"].status == "updated"
    assert memory_store.rows()[0]["t_exptime"] == 77.0


def test_changed_settings_read_anew_what_they_concern(folder, memory_store):
    run(folder, memory_store)
    other = {"collections": {"wide": {"calib_level": 3}}}
    summary, _ = run(folder, memory_store, ObsCoreSettings.model_validate(other))
    assert summary.statuses == {"unchanged": 3}
    own = {"collections": {"deep": {"mapping": {"facility_name": "X"}}}}
    summary, _ = run(folder, memory_store, ObsCoreSettings.model_validate(own))
    assert summary.statuses == {"updated": 3}
    assert {row["facility_name"] for row in memory_store.rows()} == {"X"}


def test_a_file_that_turns_bad_loses_its_rows(folder, memory_store):
    run(folder, memory_store)
    (folder / "a.fits").write_bytes((folder / "a.fits").read_bytes()[:3000])
    summary, reports = run(folder, memory_store)
    assert summary.reasons == {"truncated": 1}
    assert reports["a.fits"].notes == ("the rows it had are withdrawn",)
    assert len(memory_store.files) == 2


def test_vanished_files_are_reported_and_removed_only_on_demand(folder, memory_store):
    run(folder, memory_store)
    (folder / "a.fits").unlink()
    for _ in range(2):
        summary, reports = run(folder, memory_store)
        assert summary.statuses == {"unchanged": 2, "vanished": 1}
        assert reports["a.fits"].message == "the file is not there any more"
        assert summary.files == 2
    assert len(memory_store.files) == 3
    summary, _ = run(folder, memory_store, prune=True, dry_run=True)
    assert summary.statuses["vanished"] == 1
    summary, _ = run(folder, memory_store, prune=True)
    assert summary.statuses == {"unchanged": 2, "removed": 1}
    assert len(memory_store.files) == 2


def test_an_empty_folder_is_taken_for_a_lost_mount(folder, memory_store):
    run(folder, memory_store)
    shutil.rmtree(folder)
    folder.mkdir()
    summary, reports = run(folder, memory_store, prune=True)
    assert summary.statuses == {"vanished": 3}
    assert "mounted" in reports["a.fits"].message
    assert len(memory_store.files) == 3
    folder.rmdir()
    with pytest.raises(UsageError, match="no folder"):
        run(folder, memory_store, prune=True)


def test_what_cannot_be_looked_into_has_not_vanished(folder, memory_store, monkeypatch):
    run(folder, memory_store)
    scandir = os.scandir

    def locked(path: str) -> object:
        if path == str(folder / "sub"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    # Permissions themselves do not keep root, whom tests may run as, from reading.
    monkeypatch.setattr("obscore.sources.fits.os.scandir", locked)
    summary, _ = run(folder, memory_store, prune=True)
    assert summary.statuses == {"unchanged": 1, "refused": 1}
    assert summary.reasons == {"unreadable": 1}
    assert len(memory_store.files) == 3


def test_a_tree_that_was_moved_keeps_its_identifiers(folder, memory_store, tmp_path):
    run(folder, memory_store)
    dids = {row["obs_publisher_did"] for row in memory_store.rows()}
    folder.rename(tmp_path / "elsewhere")
    summary, reports = run(tmp_path / "elsewhere", memory_store)
    assert summary.statuses == {"added": 3}
    assert "moved here from file://" in reports["a.fits"].notes[0]
    assert {row["obs_publisher_did"] for row in memory_store.rows()} == dids
    assert all("elsewhere" in uri for uri in memory_store.files)


def test_an_identifier_that_is_taken_refuses_one_file(folder, memory_store, tmp_path):
    run(folder, memory_store)
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy" / "a.fits").rename(tmp_path / "copy" / "d.fits")
    summary, reports = run(tmp_path / "copy", memory_store)
    assert summary.statuses == {"added": 1, "refused": 2}
    assert summary.reasons == {"identifier": 2}
    assert "already taken" in reports["sub/b.fits"].message
    assert len(memory_store.files) == 4


def test_dry_run_writes_nothing(folder, memory_store):
    summary, _ = run(folder, memory_store, dry_run=True)
    assert summary.statuses == {"added": 3}
    assert memory_store.files == {}
    told = "\n".join(summary.lines())
    assert "3 to be added" in told
    assert "would be written" in told


def test_batches(tmp_path, memory_store, image_writer):
    for k in range(7):
        image_writer(tmp_path / f"{k}.fits")
    settings = {"ingest": {"batch_files": 3, "batch_seconds": 1000}}
    run(tmp_path, memory_store, ObsCoreSettings.model_validate(settings))
    assert memory_store.writes == [3, 3, 1]
    settings = {"authority": "else.where", "ingest": {"batch_seconds": 1e-9}}
    run(tmp_path, memory_store, ObsCoreSettings.model_validate(settings))
    assert memory_store.writes[3:] == [1] * 7


def test_bad_files_are_named_and_cost_nobody_else(folder, memory_store, image_writer):
    good = (folder / "a.fits").read_bytes()
    (folder / "empty.fits").write_bytes(b"")
    (folder / "page.fits").write_bytes(b"<!DOCTYPE html><html>404</html>")
    (folder / "cut.fits").write_bytes(good[:2800])
    (folder / "short.fits").write_bytes(good[:3100])
    (folder / "cut.fits.gz").write_bytes(gzip.compress(good)[:-20])
    (folder / "noise.fits").write_bytes(np.random.default_rng(1).bytes(20000))
    (folder / "odd.fits").write_bytes(
        good.replace(b"BITPIX  =                  -32", b"BITPIX  =                   99")
    )
    image_writer(folder / "nowhere.fits", sky=False)
    image_writer(folder / "wrong.fits", {"PC1_1": 0.0, "PC1_2": 0.0})
    image_writer(folder / "pole.fits", {"CRVAL2": 123.0, "LATPOLE": 10.0})
    image_writer(folder / "Norder3" / "Dir0" / "Npix7.fits")
    fits.HDUList([fits.PrimaryHDU()]).writeto(folder / "nothing.fits")
    (folder / "log.txt").write_text("no image")
    os.mkfifo(folder / "pipe.fits")
    summary, reports = run(folder, memory_store, workers=2)
    assert summary.statuses == {"added": 3, "refused": 13}
    assert summary.passed_over == 1
    expected = {
        "empty.fits": "empty",
        "page.fits": "not-fits",
        "cut.fits": "truncated",
        "short.fits": "truncated",
        "cut.fits.gz": "truncated",
        "noise.fits": "not-fits",
        "odd.fits": "damaged",
        "nowhere.fits": "no-position",
        "wrong.fits": "bad-position",
        "pole.fits": "bad-position",
        "Norder3/Dir0/Npix7.fits": "hips-tile",
        "nothing.fits": "no-image",
        "pipe.fits": "not-a-file",
    }
    assert {p: r.reason for p, r in reports.items() if r.status == "refused"} == expected
    assert all(r.message for r in reports.values() if r.status == "refused")
    assert summary.reasons == Counter(expected.values())


def test_report_is_json_lines(folder, memory_store, tmp_path):
    (folder / "page.fits").write_bytes(b"<html>")
    with json_lines(tmp_path / "report.jsonl") as report:
        ingest(FolderSource(folder), memory_store, DEFAULT, workers=0, report=report)
    records = [json.loads(line) for line in (tmp_path / "report.jsonl").read_text().splitlines()]
    by_path = {record["path"]: record for record in records}
    assert by_path["page.fits"]["status"] == "refused"
    assert by_path["page.fits"]["reason"] == "not-fits"
    assert by_path["a.fits"] == {
        "file": (folder / "a.fits").as_uri(),
        "path": "a.fits",
        "collection": "data",
        "status": "added",
        "dids": ["ivo://skylane.example/data?a.fits"],
    }


def test_progress_ends_with_all_files_done(folder, memory_store):
    calls = []
    run(folder, memory_store, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (3, 3)
    assert all(done <= total for done, total in calls)


def test_files_left_out_by_the_settings(folder, memory_store):
    run(folder, memory_store)
    deep = {"files": [{"pattern": "sub/*", "skip": True}, {"pattern": "sub/c*"}]}
    settings = ObsCoreSettings.model_validate({"collections": {"deep": deep}})
    summary, reports = run(folder, memory_store, settings, prune=True)
    assert reports["sub/b.fits"].status == "skipped"
    assert summary.statuses == {"unchanged": 2, "skipped": 1, "removed": 1}
    assert len(memory_store.files) == 2


def slow_file(path: Path, megabytes: int) -> Path:
    """Write a gzip of zeros that takes some time to walk over."""
    header = fits.Header(
        [("SIMPLE", True), ("BITPIX", 8), ("NAXIS", 2), ("NAXIS1", 1 << 20), ("NAXIS2", megabytes)]
    )
    member = gzip.compress(bytes(1 << 25), 1)
    path.write_bytes(
        gzip.compress(header.tostring().encode(), 1)
        + member * (megabytes // 32)
        + gzip.compress(bytes(-(megabytes << 20) % 2880), 1)
    )
    return path


def test_a_file_that_takes_too_long_costs_itself(folder, memory_store):
    slow_file(folder / "slow.fits.gz", 32_000)
    settings = ObsCoreSettings.model_validate({"ingest": {"file_seconds": 1.0}})
    began = time.monotonic()
    summary, reports = run(folder, memory_store, settings, workers=1)
    assert time.monotonic() - began < 20
    assert summary.statuses == {"added": 3, "refused": 1}
    assert reports["slow.fits.gz"].reason == "timeout"


def test_a_process_that_dies_costs_one_file(folder, memory_store):
    slow = slow_file(folder / "sub" / "aslow.fits.gz", 32_000)
    killed = []

    def kill_reader() -> None:
        """Kill each process of ours that has the slow file open: with others, then alone."""
        deadline = time.monotonic() + 100
        while time.monotonic() < deadline and len(killed) < 2:
            for task in Path("/proc/self/task").iterdir():
                for child in (task / "children").read_text().split():
                    try:
                        opened = {str(fd.readlink()) for fd in Path(f"/proc/{child}/fd").iterdir()}
                    except OSError:
                        continue
                    if str(slow) in opened and child not in killed:
                        os.kill(int(child), signal.SIGKILL)
                        killed.append(child)
            time.sleep(0.01)

    thread = threading.Thread(target=kill_reader)
    thread.start()
    summary, reports = run(folder, memory_store, workers=1)
    thread.join()
    assert len(set(killed)) == 2
    assert summary.statuses == {"added": 3, "refused": 1}
    assert reports["sub/aslow.fits.gz"].reason == "crashed"


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("seconds", [1e-9, 1000.0])
def test_a_store_that_fails_ends_the_run(folder, memory_store, workers, seconds, monkeypatch):
    def full(_files: object) -> None:
        raise ArchiveError("the disk is full")

    monkeypatch.setattr(memory_store, "write", full)
    settings = ObsCoreSettings.model_validate({"ingest": {"batch_seconds": seconds}})
    with pytest.raises(ArchiveError, match="disk is full"):
        run(folder, memory_store, settings, workers=workers)
    assert memory_store.files == {}


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_with_the_real_store(survey, tmp_path, kind, request):
    url = request.getfixturevalue("postgres_url") if kind == "postgres" else ""
    backend = make_backend(StoreSettings(url=url), tmp_path / "store.db")
    backend.prepare()
    store = backend.writer()
    try:
        assert run(survey.folder, store, workers=1)[0].statuses == {"added": 9}
        assert run(survey.folder, store)[0].statuses == {"unchanged": 9}
        shutil.copytree(survey.folder, tmp_path / "copy")
        assert run(tmp_path / "copy", store)[0].reasons == {"identifier": 9}
    finally:
        store.close()
