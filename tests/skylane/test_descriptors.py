"""The services that answers tell of, as clients use them: by their parameters."""

from __future__ import annotations

import io
import shutil
import subprocess

import httpx
import numpy as np
import pytest
import pyvo
from astropy.io import fits
from lxml import etree
from PIL import Image
from pyvo.dal.adhoc import DatalinkQuery

from datalink.testing import links_faults
from soda.parameters import of_resource

pytestmark = [
    pytest.mark.xdist_group("site"),
    pytest.mark.usefixtures("pyvo_sockets"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::astropy.wcs.FITSFixedWarning"),
]

SODA = "ivo://ivoa.net/std/SODA#sync"


@pytest.fixture(scope="module")
def rows(site):
    query = "SELECT * FROM ivoa.obscore WHERE 1 = CONTAINS(POINT(150.1, 2.2), s_region)"
    return pyvo.dal.TAPService(f"{site.url}/tap").search(query)


def told(resource) -> set[str]:
    return {param.name for group in resource.groups for param in group.entries}


def declared(resource) -> set[str]:
    return {one.name for one in of_resource(resource) if one.told}


def test_answers_tell_all_that_the_services_take(rows):
    cutout = rows.get_adhocservice_by_ivoid(SODA)
    stitched = rows.get_adhocservice_by_id("soda-stitched")
    assert told(cutout) == declared("sync") >= {"QUANTIZE", "TILE", "INVERT", "Q", "COMBINE"}
    assert told(stitched) == declared("stitched")
    jobs = rows.get_adhocservice_by_id("soda-async")
    assert told(jobs) == declared("sync")
    assert [one.ID for one in rows.iter_adhocservices()] == [
        "datalink-links", "soda-sync", "soda-async", "soda-stitched",
    ]  # fmt: skip


def test_descriptors_follow_the_identifier_under_any_alias(site):
    def described(path, **params):
        answer = httpx.get(site.url + path, params=params).raise_for_status()
        tree = etree.fromstring(answer.content)
        names = {one.get("ID"): one.get("name") for one in tree.iterfind(".//{*}FIELD")}
        refs = tree.xpath("//*[@utype='adhoc:service']//*[local-name()='PARAM'][@name='ID']/@ref")
        standards = tree.xpath("//*[@name='standardID']/@value")
        return {names[ref] for ref in refs}, {one.partition("#")[0] for one in standards}

    told = {"ivo://ivoa.net/std/DataLink", "ivo://ivoa.net/std/SODA"}
    for alias in ('"my id"', "s_dec", "did"):
        query = f"SELECT TOP 1 s_ra, obs_publisher_did AS {alias} FROM ivoa.obscore"
        found = described("/tap/sync", LANG="ADQL", QUERY=query)
        assert found == ({alias.strip('"')}, told)
    found, standards = described("/sia2/query", MAXREC="1")
    assert found == {"obs_publisher_did"}
    assert standards >= told
    query = "SELECT TOP 1 s_ra, obs_id FROM ivoa.obscore"
    assert described("/tap/sync", LANG="ADQL", QUERY=query) == (set(), set())


def test_processed_takes_the_extensions(rows):
    circle = (150.1, 2.2, 0.004)
    plain = rows[0].processed(circle=circle).read()
    with fits.open(io.BytesIO(plain)) as hdus:
        shape = hdus["IMAGE"].shape
    packed = rows[0].processed(
        circle=circle, RESPONSEFORMAT="fits-rice", QUANTIZE=16, TILE=(32, 32), outside="nan"
    )
    with fits.open(io.BytesIO(packed.read()), disable_image_compression=True) as hdus:
        header = hdus["IMAGE"].header
        assert (header["ZTILE1"], header["ZTILE2"]) == (32, 32)
        assert (header["ZNAXIS1"], header["ZNAXIS2"]) == shape[::-1]
    picture = rows[0].processed(
        circle=circle, RESPONSEFORMAT="png", SIZE=40, INVERT=1, STRETCH="linear", CUTS="minmax"
    )
    inverse = rows[0].processed(
        circle=circle, RESPONSEFORMAT="png", SIZE=40, STRETCH="linear", CUTS="minmax"
    )
    a, b = (
        np.asarray(Image.open(io.BytesIO(one.read())).convert("LA")).astype(int)
        for one in (picture, inverse)
    )
    assert max(a.shape) == 40
    # Blank pixels are transparent.
    shown = a[..., 1] == 255
    assert shown.any()
    assert np.abs(a[shown, 0] + b[shown, 0] - 255).max() <= 1
    pixels = rows[0].processed(PIXELS="[11:20,31:50]", HDU="IMAGE")
    with fits.open(io.BytesIO(pixels.read())) as hdus:
        assert hdus["IMAGE"].shape == (20, 10)


def test_three_rows_in_colour_by_the_descriptor(rows):
    service = rows.get_adhocservice_by_ivoid(SODA)
    query = DatalinkQuery.from_resource(
        [rows[0], rows[1], rows[2]], service, COMBINE="rgb", Q=4, CIRCLE=(150.1, 2.2, 0.004)
    )
    picture = Image.open(io.BytesIO(query.execute_stream().read()))
    assert picture.mode in {"RGB", "RGBA"}


def test_rows_are_stitched_by_the_descriptor(rows):
    service = rows.get_adhocservice_by_id("soda-stitched")
    same = [row for row in rows if row["filter"] == rows[0]["filter"]]
    query = DatalinkQuery.from_resource(
        same, service, CIRCLE=(150.1, 2.2, 0.004), PIXSCALE=1.5, PROJ="SIN", NPIX=(20, 30),
        ROTATION=30, STACK="median",
    )  # fmt: skip
    with fits.open(io.BytesIO(query.execute_stream().read())) as hdus:
        assert hdus[0].shape == (30, 20)
        assert hdus[0].header["CTYPE1"] == "RA---SIN"
        names = set(hdus["INPUTS"].data["obs_publisher_did"].tolist())
        assert names <= {row["obs_publisher_did"] for row in same}


def test_links_tell_the_services_of_the_dataset(rows):
    links = rows[0].getdatalink()
    assert [link["semantics"] for link in links].count("#cutout") == 1
    procs = {proc["service_def"]: proc for proc in links.iter_procs()}
    semantics = {name: proc.semantics for name, proc in procs.items()}
    assert semantics == {
        "soda-sync": "#cutout", "soda-async": "#proc", "soda-stitched": "#proc",
    }  # fmt: skip
    names = {param.name for param in procs["soda-stitched"].input_params}
    assert names == declared("stitched") - {"POL"}
    stream = procs["soda-stitched"].process(circle=(150.1, 2.2, 0.003), FRAME="galactic")
    with fits.open(io.BytesIO(stream.read())) as hdus:
        assert hdus[0].header["CTYPE1"] == "GLON-TAN"
        assert hdus[0].header["CUTID"] == rows[0]["obs_publisher_did"]
    cut = procs["soda-sync"].process(circle=(150.1, 2.2, 0.003), OUTSIDE="mask")
    with fits.open(io.BytesIO(cut.read())) as hdus:
        assert "OUTSIDE" in hdus


@pytest.mark.stilts
@pytest.mark.skipif(not shutil.which("stilts"), reason="stilts is not installed")
def test_stilts_finds_no_fault_in_them(site, rows, tmp_path):
    url = httpx.URL(
        f"{site.url}/datalink/links", params={"ID": list(rows["obs_publisher_did"][:2])}
    )
    assert links_faults(str(url)) == []
    table = tmp_path / "answer.vot"
    answer = httpx.get(
        f"{site.url}/tap/sync", params={"LANG": "ADQL", "QUERY": "SELECT TOP 2 * FROM ivoa.obscore"}
    )
    table.write_bytes(answer.content)
    done = subprocess.run(
        ["stilts", "votlint", f"votable={table}"],
        capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert not done.stdout.strip(), done.stdout
