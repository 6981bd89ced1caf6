"""The real files, through the real server: every row is findable, fetchable and cuttable."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import httpx
import numpy as np
import pytest
from astropy.io import fits

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.xdist_group("site"),
    # What astropy says of the originals while it reads them for comparison.
    pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyWarning"),
]

STATUSES = {"added", "refused"}


@pytest.fixture(scope="module")
def real_site(real_images, tmp_path_factory, cli):
    folder = tmp_path_factory.mktemp("real")
    cli.run("ingest", real_images, "--site", folder)
    process, url = cli.start(folder)
    yield url, cli.report_of(folder), real_images
    cli.stop(process)


def _rows(url: str) -> list[dict[str, str]]:
    query = "SELECT * FROM ivoa.obscore ORDER BY obs_publisher_did"
    answer = httpx.post(
        f"{url}/tap/sync", data={"LANG": "ADQL", "RESPONSEFORMAT": "csv", "QUERY": query}
    )
    assert answer.status_code == 200
    return list(csv.DictReader(io.StringIO(answer.text)))


def test_every_file_ends_as_rows_or_as_a_refusal_with_its_reason(real_site):
    url, report, images = real_site
    named = [p for p in images.rglob("*") if p.is_file() and ".fit" in p.name.lower()]
    assert len(report) == len(named)
    assert {entry["status"] for entry in report} == STATUSES
    assert all(e["reason"] and e["message"] for e in report if e["status"] == "refused")
    dids = [did for entry in report for did in entry.get("dids", ())]
    assert sorted(dids) == [row["obs_publisher_did"] for row in _rows(url)]
    assert len(dids) > 200


def test_every_row_is_found_at_its_own_place(real_site):
    url, _report, _images = real_site
    with httpx.Client() as client:
        for row in _rows(url)[::9]:
            query = (
                "SELECT obs_publisher_did FROM ivoa.obscore WHERE 1 = "
                f"CONTAINS(POINT({row['s_ra']}, {row['s_dec']}), s_region)"
            )
            answer = client.post(
                f"{url}/tap/sync", data={"LANG": "ADQL", "RESPONSEFORMAT": "csv", "QUERY": query}
            )
            assert row["obs_publisher_did"] in answer.text, row["obs_publisher_did"]


def test_every_file_comes_back_as_it_is(real_site):
    url, report, _images = real_site
    with httpx.Client() as client:
        for entry in report[::5]:
            for did in entry.get("dids", ())[:1]:
                links = client.get(f"{url}/datalink/links", params={"ID": did}).text
                target = links.split("<TD>")[2].split("</TD>")[0]
                path = Path(httpx.URL(entry["file"]).path)
                assert client.get(target).content == path.read_bytes(), did


def test_every_row_can_be_cut_at_its_centre(real_site):
    url, report, _images = real_site
    files = {did: httpx.URL(e["file"]).path for e in report for did in e.get("dids", ())}
    compared = 0
    with httpx.Client(timeout=60) as client:
        for row in _rows(url):
            did = row["obs_publisher_did"]
            radius = max(3 * float(row["s_pixel_scale"] or 1) / 3600, 1e-6)
            circle = f"{row['s_ra']} {row['s_dec']} {min(radius, 90)}"
            answer = client.get(f"{url}/soda/sync", params={"ID": did, "CIRCLE": circle})
            # 500 is the archive's own fault, told in a sentence: a corrupt tile, say.
            assert answer.status_code in {200, 500}, (did, answer.status_code, answer.text[:200])
            if answer.status_code == 500:
                assert "corrupt" in files[did] or "broken" in files[did], (did, answer.text)
                continue
            with fits.open(io.BytesIO(answer.content)) as cut:
                pieces = [hdu for hdu in cut if hdu.is_image and hdu.data is not None]
                assert pieces, did
                if "corrupt" not in files[did]:
                    compared += _is_part_of(pieces[0].data, files[did])
    assert compared > 100


def _is_part_of(piece: np.ndarray, path: str) -> bool:
    """Tell whether a cutout stands in the file's own pixels, found by its middle row."""
    with fits.open(path, memmap=False) as whole:
        for hdu in whole:
            if not hdu.is_image or hdu.data is None or hdu.data.ndim != piece.ndim:
                continue
            plane = hdu.data
            if plane.ndim != 2 or min(piece.shape) < 2:
                return False
            row = piece[piece.shape[0] // 2]
            found = _same(plane[:, : plane.shape[1] - row.size + 1], row[0]).nonzero()
            for at, value in enumerate(row):
                stays = _same(plane[found[0], found[1] + at], value)
                found = found[0][stays], found[1][stays]
            if found[0].size:
                return True
    return False


def _same(pixels: np.ndarray, value: float) -> np.ndarray:
    return np.isnan(pixels) if np.isnan(value) else pixels == value
