"""The main job, end to end: from a folder of FITS to pixels, through the real server.

One test for each promise; the truth is what made the survey, and astropy's own reading of it.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import xml.etree.ElementTree as ET

import httpx
import numpy as np
import pytest
import pyvo
from astropy.io import fits
from astropy.wcs import WCS

from datalink.testing import links_faults

pytestmark = [
    pytest.mark.xdist_group("site"),
    # Warnings of the clients about themselves are not ours to mend.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::astropy.wcs.FITSFixedWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

AROUND = "1 = CONTAINS(POINT(150.1, 2.2), s_region)"


@pytest.fixture(scope="module")
def tap(site) -> pyvo.dal.TAPService:
    return pyvo.dal.TAPService(f"{site.url}/tap")


def _exposure(site, did: str):
    name = did.rpartition("?")[2]
    return next(e for e in site.survey.exposures if e.path.name == name)


def test_every_exposure_became_a_row_with_what_is_true_of_it(site, tap):
    rows = tap.search("SELECT * FROM ivoa.obscore")
    assert len(rows) == len(site.survey.exposures)
    for row in rows:
        truth = _exposure(site, row["obs_publisher_did"])
        ra, dec = truth.wcs.all_pix2world(159.5, 159.5, 0)
        assert row["s_ra"] == pytest.approx(float(ra), abs=1e-7)
        assert row["s_dec"] == pytest.approx(float(dec), abs=1e-7)
        assert row["t_min"] == pytest.approx(truth.mjd_start, abs=1e-8)
        assert row["t_max"] == pytest.approx(truth.mjd_start + truth.exposure_s / 86400, abs=1e-8)
        assert row["t_exptime"] == pytest.approx(truth.exposure_s)
        assert row["filter"] == truth.band
        middle = {"g": 477e-9, "r": 621e-9, "i": 754e-9}[truth.band]
        assert row["em_min"] < middle < row["em_max"]
        assert (row["s_xel1"], row["s_xel2"]) == (320, 320)
        assert row["s_resolution"] == pytest.approx(0.9)
        assert row["calib_level"] == 2
        assert row["access_estsize"] == pytest.approx(truth.path.stat().st_size / 1000, abs=1)
        assert row["access_format"] == "application/x-votable+xml;content=datalink"


def test_a_geometric_query_finds_what_holds_the_point(site, tap):
    found = set(tap.search(f"SELECT * FROM ivoa.obscore WHERE {AROUND}")["obs_publisher_did"])
    truth = set()
    for exposure in site.survey.exposures:
        x, y = exposure.wcs.all_world2pix(150.1, 2.2, 0)
        if -0.5 <= x <= 319.5 and -0.5 <= y <= 319.5:
            truth.add(exposure.path.name)
    assert {did.rpartition("?")[2] for did in found} == truth
    assert truth


def test_pyvo_goes_from_search_to_pixels(site, tap):
    rows = tap.search(f"SELECT * FROM ivoa.obscore WHERE {AROUND}")
    kinds = set()
    for row in rows:
        truth = _exposure(site, row["obs_publisher_did"])
        links = row.getdatalink()
        semantics = [link["semantics"] for link in links]
        assert "#this" in semantics
        assert semantics.count("#cutout") == 1
        answer = row.processed(circle=(150.1, 2.2, 0.004)).read()
        kinds.add(truth.compressed)
        _compare(truth, answer, 150.1, 2.2)
    assert kinds == {True, False}, "plain and compressed files were both cut"


def _compare(truth, answer: bytes, ra: float, dec: float) -> None:
    """Hold every plane of a cutout against astropy's reading of the original."""
    with fits.open(io.BytesIO(answer)) as cut, fits.open(truth.path) as whole:
        planes = [hdu for hdu in cut if hdu.data is not None]
        assert [hdu.name for hdu in planes] == ["IMAGE", "MASK", "VARIANCE"]
        for hdu in planes:
            original = whole[hdu.name]
            cut_wcs, whole_wcs = WCS(hdu.header), WCS(original.header)
            ny, nx = hdu.data.shape
            at = cut_wcs.all_pix2world([[0, 0], [nx - 1, ny - 1], [nx / 2, 0]], 0)
            there = whole_wcs.all_world2pix(at, 0)
            corner = np.round(there[0]).astype(int)
            np.testing.assert_allclose(there[0], corner, atol=1e-6)
            np.testing.assert_allclose(there[1], corner + np.array([nx - 1, ny - 1]), atol=1e-6)
            x, y = corner
            np.testing.assert_array_equal(hdu.data, original.data[y : y + ny, x : x + nx])
            inside = cut_wcs.all_world2pix(ra, dec, 0)
            assert 0 <= inside[0] <= nx - 1
            assert 0 <= inside[1] <= ny - 1


def test_pyvo_follows_many_rows_by_their_descriptor(site, tap):
    rows = tap.search("SELECT obs_publisher_did, access_url, access_format FROM ivoa.obscore")
    this = [
        [link for link in links if link["semantics"] == "#this"] for links in rows.iter_datalinks()
    ]
    assert [len(links) for links in this] == [1] * len(rows)


@pytest.mark.stilts
@pytest.mark.skipif(not shutil.which("stilts"), reason="stilts is not installed")
def test_stilts_finds_the_same_rows(site, tap):
    query = f"SELECT obs_publisher_did FROM ivoa.obscore WHERE {AROUND} ORDER BY obs_publisher_did"
    done = subprocess.run(
        ["stilts", "tapquery", f"tapurl={site.url}/tap", "sync=true", f"adql={query}",
         "ofmt=csv-noheader"],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == list(tap.search(query)["obs_publisher_did"])


@pytest.mark.stilts
def test_stilts_finds_no_fault_in_the_links(site):
    dids = [row["obs_publisher_did"] for row in site.rows]
    url = httpx.URL(f"{site.url}/datalink/links", params={"ID": [*dids, "ivo://x/unknown", "none"]})
    assert links_faults(str(url)) == []


def test_the_original_comes_back_byte_for_byte(site):
    for row in site.rows[:2]:
        did = row["obs_publisher_did"]
        votable = httpx.get(f"{site.url}/datalink/links", params={"ID": did}).text
        table = pyvo.dal.adhoc.DatalinkResults.from_result_url(
            str(httpx.URL(f"{site.url}/datalink/links", params={"ID": did}))
        )
        this = next(link for link in table if link["semantics"] == "#this")
        whole = httpx.get(this["access_url"])
        original = _exposure(site, did).path.read_bytes()
        assert whole.content == original
        assert whole.headers["content-type"] == "image/fits"
        part = httpx.get(this["access_url"], headers={"Range": "bytes=2880-5759"})
        assert (part.status_code, part.content) == (206, original[2880:5760])
        again = httpx.get(this["access_url"], headers={"If-None-Match": whole.headers["etag"]})
        assert again.status_code == 304
        assert str(site.folder) not in votable


@pytest.mark.parametrize(
    "path",
    ["/files/..%2f..%2fetc%2fpasswd", "/files/%2fetc%2fpasswd", "/files/../skylane.db",
     "/hips/..%2fskylane.db", "/hips/%2e%2e/skylane.db", "/portal/..%2fcli.py",
     "/files/skylane.toml"],
)  # fmt: skip
def test_no_path_of_the_disk_is_reachable(site, path):
    host, port = site.url.removeprefix("http://").split(":")
    import http.client

    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    connection.request("GET", path)  # as it stands, without a client's normalisation
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status in {400, 404}, body[:200]
    assert b"root:" not in body
    assert b"SQLite format" not in body
    assert str(site.folder).encode() not in body


def test_a_cutout_beside_the_image_is_an_empty_204(site):
    did = site.rows[0]["obs_publisher_did"]
    answer = httpx.get(f"{site.url}/soda/sync", params={"ID": did, "CIRCLE": "10 -40 0.01"})
    assert (answer.status_code, answer.content) == (204, b"")


def test_wrong_requests_get_the_standards_errors(site):
    did = site.rows[0]["obs_publisher_did"]
    soda = httpx.get(f"{site.url}/soda/sync", params={"ID": did, "CIRCLE": "1 2 -3"})
    assert soda.status_code == 400
    assert soda.headers["content-type"].startswith("text/plain")
    assert soda.text.startswith("UsageError")
    assert "CIRCLE" in soda.text
    tap = httpx.get(f"{site.url}/tap/sync", params={"LANG": "ADQL", "QUERY": "SELECT nope\nFROM x"})
    assert tap.status_code == 400
    info = ET.fromstring(tap.text).find(".//{*}INFO[@name='QUERY_STATUS']")
    assert info.get("value") == "ERROR"
    assert "line" in info.text
    links = httpx.get(f"{site.url}/datalink/links", params={"ID": "ivo://nobody/none?nothing"})
    assert links.status_code == 200
    assert "NotFoundFault" in links.text


@pytest.mark.aladin
def test_hipsgen_finds_no_error_in_the_hips(site):
    jar = "/usr/share/java/aladin.jar"
    listed = [f for f in (site.folder / "hips").iterdir() if (f / "properties").is_file()]
    assert len(listed) >= 4
    for folder in listed:
        done = subprocess.run(
            ["java", "-Djava.awt.headless=true", "-jar", jar, "-hipsgen", f"out={folder}", "LINT"],
            capture_output=True, text=True, check=False, timeout=200,
        )  # fmt: skip
        text = done.stdout + done.stderr
        assert "ERROR" not in text.upper().replace("0 ERROR", ""), text
        assert "HiPS 1.0" in text, text


def test_the_hips_are_listed_and_served(site):
    records = [b for b in httpx.get(f"{site.url}/hips/list").text.split("\n\n") if b.strip()]
    assert len(records) == 4
    for record in records:
        keys = dict(
            map(str.strip, line.split("=", 1)) for line in record.splitlines() if "=" in line
        )
        base = keys["hips_service_url"].rstrip("/")
        assert base.startswith(site.url)
        assert httpx.get(f"{base}/properties").status_code == 200
        moc = httpx.get(f"{base}/Moc.fits")
        assert moc.content.startswith(b"SIMPLE")
        assert moc.headers["access-control-allow-origin"] == "*"
        assert httpx.get(f"{base}/Norder0/Dir0/Npix999.png").status_code == 404


def test_previews_are_pictures(site):
    did = site.rows[0]["obs_publisher_did"]
    table = pyvo.dal.adhoc.DatalinkResults.from_result_url(
        str(httpx.URL(f"{site.url}/datalink/links", params={"ID": did}))
    )
    preview = next(link for link in table if link["semantics"].startswith("#preview"))
    picture = httpx.get(preview["access_url"])
    assert picture.headers["content-type"] == "image/png"
    assert picture.content.startswith(b"\x89PNG")


def test_texts_and_tables_are_compressed_and_images_are_not(site):
    def coding(path: str, **params: str) -> str | None:
        headers = {"Accept-Encoding": "gzip"}
        answer = httpx.get(site.url + path, params=params, headers=headers)
        assert answer.status_code == 200, answer.text
        assert len(answer.content) > 1000
        return answer.headers.get("content-encoding")

    query = {"LANG": "ADQL", "QUERY": "SELECT * FROM ivoa.obscore"}
    for name in ("votable", "csv", "json", "fits", "arrow", "html"):
        assert coding("/tap/sync", RESPONSEFORMAT=name, **query) == "gzip", name
    assert coding("/tap/sync", RESPONSEFORMAT="parquet", **query) is None
    for path in ("/", "/tap/tables", "/tap/capabilities", "/hips/list", "/metrics"):
        assert coding(path) == "gzip", path
    did = site.rows[0]["obs_publisher_did"]
    assert coding("/datalink/links", ID=did) == "gzip"
    circle = f"{site.rows[0]['s_ra']} {site.rows[0]['s_dec']} 0.01"
    assert coding("/soda/sync", ID=did, CIRCLE=circle) is None
