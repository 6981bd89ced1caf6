"""Several cutouts in one answer, with tar, unzip, astropy and fitsverify as judges."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
import sys
import tarfile
import zipfile
from hashlib import sha256
from pathlib import Path

import httpx
import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from soda_files import (
    Products,
    assert_same_pixels,
    assert_same_product,
    assert_same_sky,
    section,
    verify,
)
from test_soda_service import served

from soda.groups import grouped
from soda.metrics import STEPS
from soda.outcomes import Outcome, Status
from vodal.archives import Entry, StreamedZip, TarArchive, ZipArchive
from vodal.testing.skies import make_wcs


@pytest.fixture(scope="module")
def products(survey):
    return Products(*(exposure.path for exposure in survey.exposures))


@pytest.fixture(scope="module")
def site(products):
    with served(products, max_output_bytes=3_000_000, max_combinations=20, max_streams=2) as site:
        yield site


@pytest.fixture(scope="module")
def asked(products, survey):
    """Parameters of six combinations, of which the last two have no overlap or dataset."""
    dids = list(products.found)[:2]
    ra, dec = (float(value) for value in survey.exposures[0].wcs.all_pix2world(128, 128, 0))
    return {
        "ID": [*dids, "ivo://nobody/nothing"],
        "CIRCLE": [f"{ra} {dec} 0.003", f"{ra} {dec} 0.001"],
        "POS": ["CIRCLE 0 -80 0.1"],
    }


def ask(site, **params):
    return httpx.get(f"{site.url}/sync", params=params, timeout=60)


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def tar_files(content):
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return {one.name: archive.extractfile(one).read() for one in archive}


@pytest.mark.parametrize(
    ("given_by", "kind"),
    [
        ({"MULTI": "tar"}, "application/x-tar"),
        ({"MULTI": "zip"}, "application/zip"),
        ({"RESPONSEFORMAT": "application/zip"}, "application/zip"),
    ],
)
def test_an_archive_of_all_combinations(site, asked, survey, tmp_path, given_by, kind):
    answer = ask(site, **asked, **given_by)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == kind
    if kind == "application/zip":
        archive = zipfile.ZipFile(io.BytesIO(answer.content))
        assert archive.testzip() is None
        files = {name: archive.read(name) for name in archive.namelist()}
    else:
        files = tar_files(answer.content)
        listed = subprocess.run(
            ["tar", "tf", "-"], input=answer.content, capture_output=True, check=True
        )
        assert listed.stdout.decode().split() == list(files)
    index = rows_of(files.pop("cutouts.csv").decode())
    assert [row["number"] for row in index] == [str(n) for n in range(1, 10)]
    by_status = {}
    for row in index:
        by_status.setdefault(row["status"], []).append(row)
    assert {status: len(rows) for status, rows in by_status.items()} == {
        "ok": 4, "no overlap": 2, "error": 3,
    }  # fmt: skip
    assert all(r["message"].startswith("UsageError: there is no dataset")
               for r in by_status["error"])  # fmt: skip
    assert [row["file_name"] for row in by_status["ok"]] == list(files)
    for row in by_status["ok"]:
        body = files[row["file_name"]]
        assert (str(len(body)), sha256(body).hexdigest()) == (row["content_length"], row["sha256"])
        assert_same_product(body, row["obs_publisher_did"], survey, tmp_path)


def test_one_fits_file_of_all_combinations(site, asked, products, survey, tmp_path):
    answer = ask(site, **asked, MULTI="mef")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/fits"
    path = tmp_path / "all.fits"
    path.write_bytes(answer.content)
    assert verify(path) == ""
    with fits.open(path) as cuts:
        head = cuts[0].header
        assert cuts[0].data is None
        assert (head["NCUTASK"], head["NCUTS"]) == (9, 4)
        missing = {key: head[key] for key in head if key.startswith("NOCUT")}
        assert sorted(missing) == ["NOCUT001", "NOCUT004", "NOCUT007", "NOCUT008", "NOCUT009"]
        assert "POS=Circle" in missing["NOCUT001"] or "POS=CIRCLE" in missing["NOCUT001"]
        assert "no dataset" in missing["NOCUT009"]
        names = [(hdu.name, hdu.ver) for hdu in cuts[1:]]
        assert len(set(names)) == len(names) == 16
        for number, (place, size) in {
            2: (0, 3e-3),
            3: (0, 1e-3),
            5: (1, 3e-3),
            6: (1, 1e-3),
        }.items():
            group = [hdu for hdu in cuts[1:] if hdu.header["CUTNUM"] == number]
            did = list(products.found)[place]
            assert [hdu.name for hdu in group] == ["CUTOUT", "IMAGE", "MASK", "VARIANCE"]
            assert group[0].header["CUTID"] == did
            assert {"CUTDATE", "CUTBY"} <= set(group[0].header)
            assert f"{size:g}" in group[0].header["CUTSTEN"]
            original = next(e.path for e in survey.exposures if did.endswith(e.path.name))
            with fits.open(original) as whole:
                for hdu in group[1:]:
                    assert cuts[hdu.name, hdu.ver] is hdu
                    assert_same_pixels(hdu, whole[hdu.name])
                    assert_same_sky(hdu, whole[hdu.name], cuts, whole)


def test_a_single_image_and_lookup_tables_in_one_file(tmp_path):
    wcs = make_wcs(40.0, 5.0, 64, 0.5, distorted=False)
    rng = np.random.default_rng(3)
    paths = []
    plain = tmp_path / "plain.fits"
    fits.PrimaryHDU(rng.normal(size=(64, 64)), wcs.to_header()).writeto(plain)
    paths.append(plain)
    for number in (1, 2):
        header = wcs.to_header()
        header["CPDIS1"], header["CPDIS2"] = "LOOKUP", "LOOKUP"
        hdus = [fits.PrimaryHDU(rng.normal(size=(64, 64)), header)]
        for axis in (1, 2):
            hdus[0].header.set(f"DP{axis}.EXTVER", axis)
            hdus[0].header[f"DP{axis}"] = f"EXTVER: {axis}"
            hdus[0].header.append((f"DP{axis}", "NAXES: 2"))
            hdus[0].header.append((f"DP{axis}", "AXIS.1: 1"))
            hdus[0].header.append((f"DP{axis}", "AXIS.2: 2"))
            table = fits.ImageHDU(
                rng.normal(size=(9, 9)).astype(np.float32) * number, name="WCSDVARR", ver=axis
            )
            for key, value in {"CRPIX": 1.0, "CRVAL": 1.0, "CDELT": 8.0}.items():
                table.header[f"{key}1"], table.header[f"{key}2"] = value, value
            hdus.append(table)
        path = tmp_path / f"table{number}.fits"
        fits.HDUList(hdus).writeto(path)
        paths.append(path)
    products = Products(*paths)
    with served(products) as site:
        answer = ask(site, ID=list(products.found), CIRCLE="40 5 0.002", MULTI="mef")
    assert answer.status_code == 200, answer.text
    path = tmp_path / "all.fits"
    path.write_bytes(answer.content)
    assert verify(path) == ""
    with fits.open(path) as cuts:
        assert [hdu.name for hdu in cuts] == [
            "PRIMARY", "CUTOUT", *["CUTOUT", "WCSDVARR", "WCSDVARR"] * 2
        ]  # fmt: skip
        assert len({(hdu.name, hdu.ver) for hdu in cuts}) == 8
        images = [hdu for hdu in cuts if hdu.name == "CUTOUT"]
        for image, original in zip(images, paths, strict=True):
            with fits.open(original) as whole:
                np.testing.assert_array_equal(image.data, whole[0].data[section(image.header)])
                # Each by its own tables.
                assert_same_sky(image, whole[0], cuts, whole)


def test_what_is_named_alike_gets_versions_of_its_own():
    twice = fits.HDUList(
        [fits.PrimaryHDU(), *(fits.ImageHDU(np.eye(3, dtype="i2"), name="A", ver=7) for _ in "ab")]
    )
    body = io.BytesIO()
    twice.writeto(body)
    outcomes = [Outcome(n, 0, "d", "", Status.OK) for n in (1, 2)]
    made = b"".join(grouped(outcomes, [1, 2], lambda _: bytearray(body.getvalue())))
    with fits.open(io.BytesIO(made)) as cuts:
        cuts.verify("exception")
        assert len({(hdu.name, hdu.ver) for hdu in cuts}) == 7


def test_nothing_at_all_is_204_or_the_first_error(site, products):
    did = next(iter(products.found))
    for packing in ("mef", "tar", "zip"):
        nowhere = ["0 -80 0.1", "0 -81 0.1"]
        answer = ask(site, ID=did, CIRCLE=nowhere, MULTI=packing)
        assert (answer.status_code, answer.content) == (204, b"")
        answer = ask(site, ID=["ivo://a/b", "ivo://a/c"], MULTI=packing)
        assert answer.status_code == 404
        assert answer.text.startswith("UsageError: there is no dataset 'ivo://a/b'")


@pytest.mark.parametrize(
    ("more", "status", "word"),
    [
        ({"MULTI": "rar"}, 400, "MULTI takes one of mef, tar, zip"),
        ({"MULTI": "files"}, 400, "/async"),
        ({"MULTI": "tar", "RESPONSEFORMAT": "application/zip"}, 400, "both"),
        ({"MULTI": "tar", "CIRCLE": [f"1 2 {n}" for n in range(1, 22)]}, 413, "20 combinations"),
        ({"MULTI": "tar", "CIRCLE": "1 2"}, 400, "CIRCLE"),
        ({"CIRCLE": ["1 2 3", "1 2 4"]}, 400, "MULTI=tar"),
    ],
)
def test_errors_name_the_parameter(site, products, more, status, word):
    answer = ask(site, ID=next(iter(products.found)), **more)
    assert answer.status_code == status
    assert word in answer.text


def test_one_file_over_the_limit_is_refused(site, products):
    answer = ask(site, ID=list(products.found), MULTI="mef")
    assert answer.status_code == 413
    assert "limit of one file" in answer.text
    # Each of the files alone is below the limit, so that an archive has them all.
    answer = ask(site, ID=list(products.found), MULTI="tar")
    assert len(tar_files(answer.content)) == len(products.found) + 1


def test_answers_beyond_the_limit_are_told_to_come_back(site, products):
    dids = list(products.found)
    with (
        httpx.Client(timeout=60) as client,
        client.stream("GET", f"{site.url}/sync", params={"ID": dids, "MULTI": "tar"}) as first,
        client.stream("GET", f"{site.url}/sync", params={"ID": dids, "MULTI": "zip"}) as second,
    ):
        # Neither is read, so that both stay under way.
        assert (first.status_code, second.status_code) == (200, 200)
        third = ask(site, ID=dids, MULTI="tar")
        assert third.status_code == 503
        assert int(third.headers["retry-after"]) > 0
        assert third.text.startswith("ServiceUnavailable: ")
        # One cutout is made all the same.
        assert ask(site, ID=dids[0]).status_code == 200
    # Both clients have gone, and make room.
    for _ in range(100):
        if ask(site, ID=dids[0], MULTI="tar").status_code == 200:
            break
    else:
        pytest.fail("there is no room again")


@given(
    st.lists(st.tuples(st.text("abc-_.é/", min_size=1, max_size=120), st.binary(max_size=2000)),
             max_size=6, unique_by=lambda item: item[0].strip("./")),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_archives_hold_what_was_put_in(files):
    files = [(name.strip("./") or "x", data) for name, data in files]
    for archive in (TarArchive(1.7e9), ZipArchive(1.7e9), StreamedZip(1.7e9)):
        out, entries = bytearray(), []
        for name, data in files:
            crc = zipfile.crc32(data)
            entries.append(Entry(name, len(data), crc, len(out)))
            out += archive.head(name, len(data), crc) + data + archive.tail(len(data), crc)
        out += b"".join(archive.end(entries, len(out)))
        if archive.extension == "tar":
            assert list(tar_files(out).items()) == files
        else:
            found = zipfile.ZipFile(io.BytesIO(out))
            assert [(m.filename, found.read(m)) for m in found.infolist()] == files


def test_a_zip_of_more_files_than_its_first_form_can_count(tmp_path):
    archive, path = ZipArchive(1.7e9), tmp_path / "many.zip"
    entries, offset = [], 0
    with path.open("wb") as file:
        for number in range(70_000):
            head = archive.head(f"{number}.fits", 1, zipfile.crc32(b"x"))
            entries.append(Entry(f"{number}.fits", 1, zipfile.crc32(b"x"), offset))
            offset += file.write(head + b"x")
        for piece in archive.end(entries, offset):
            file.write(piece)
    with zipfile.ZipFile(path) as found:
        assert len(found.namelist()) == 70_000
        assert found.read("69999.fits") == b"x"
    if shutil.which("unzip"):
        subprocess.run(["unzip", "-tqq", path], check=True)


@pytest.mark.parametrize("form", [ZipArchive, StreamedZip])
def test_a_zip_beyond_four_gigabytes(tmp_path, form):
    archive, path = form(1.7e9), tmp_path / "large.zip"
    size = (1 << 32) + 7
    crc = 0
    with path.open("wb") as file:
        file.write(archive.head("hole", size, 0xDEADBEEF))
        file.seek(size, 1)
        file.write(archive.tail(size, 0xDEADBEEF))
        offset = file.tell()
        crc = zipfile.crc32(b"after")
        file.write(archive.head("after", 5, crc) + b"after" + archive.tail(5, crc))
        end = file.tell()
        entries = [Entry("hole", size, 0xDEADBEEF, 0), Entry("after", 5, crc, offset)]
        for piece in archive.end(entries, end):
            file.write(piece)
    with zipfile.ZipFile(path) as found:
        assert [info.file_size for info in found.infolist()] == [size, 5]
        assert found.read("after") == b"after"


def test_each_of_several_cutouts_is_counted(products, asked):
    with served(products, max_output_bytes=3_000_000) as site:
        files = tar_files(ask(site, MULTI="tar", **asked).content)
        bodies = [body for name, body in files.items() if name != "cutouts.csv"]

        def count(name, **labels):
            return site.value(name, {"mode": "multi", **labels})

        rows = [row["status"] for row in rows_of(files["cutouts.csv"].decode())]
        for outcome, status in (("ok", "ok"), ("empty", "no overlap"), ("refused", "error")):
            found = count("skylane_soda_cutouts_total", outcome=outcome)
            assert found == rows.count(status) > 0
        assert count("skylane_soda_cutout_bytes_sum") == sum(map(len, bodies))
        for step in STEPS:
            assert count("skylane_soda_step_seconds_count", step=step) == len(bodies)
        assert site.value("skylane_soda_cutouts_total", {"mode": "sync", "outcome": "ok"}) == 0
