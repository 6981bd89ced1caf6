"""What Firefly, pyvo, STILTS and Aladin do with a site, from their first question to the pixels.

Firefly and Aladin are played by their own requests, and by what they look for in the answers.
"""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from urllib.parse import urljoin
from xml.etree import ElementTree as ET

import httpx
import numpy as np
import pytest
import pyvo
from astropy import units as u
from astropy.io import fits, votable
from astropy.time import Time
from mocpy import MOC
from pyvo.dal.adhoc import SodaQuery

pytestmark = [
    pytest.mark.xdist_group("site"),
    pytest.mark.usefixtures("pyvo_sockets"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::astropy.wcs.FITSFixedWarning"),
    # pyvo (1.9) warns of a second queryType, which VODataService allows.
    pytest.mark.filterwarnings("ignore:.*W17.*ParamHTTP"),
]
needs_stilts = pytest.mark.skipif(not shutil.which("stilts"), reason="stilts is not installed")

HERE = "CONTAINS(POINT('ICRS', 150.1, 2.2), s_region)=1"
DATALINK = "application/x-votable+xml;content=datalink"


@pytest.fixture(scope="module")
def client(site):
    with httpx.Client(base_url=site.url, timeout=60, headers={"Origin": "http://x.test"}) as made:
        yield made


def tree(answer: httpx.Response) -> ET.Element:
    assert answer.status_code == 200, answer.text
    root = ET.fromstring(answer.content)
    for element in root.iter():
        # As these clients do, by the names without the namespace.
        element.tag = element.tag.rpartition("}")[2]
    return root


def table(answer: httpx.Response):
    assert answer.status_code == 200, answer.text
    return votable.parse_single_table(io.BytesIO(answer.content)).to_table(use_names_over_ids=True)


def asked(client: httpx.Client, query: str) -> httpx.Response:
    """Ask as Firefly does: by GET."""
    return client.get("/tap/sync", params={"REQUEST": "doQuery", "LANG": "ADQL", "QUERY": query})


# Firefly ---------------------------------------------------------------------------------------


def test_firefly_starts(client):
    tables = table(asked(
        client, "SELECT * FROM tap_schema.schemas INNER JOIN tap_schema.tables"
                " ON tap_schema.schemas.schema_name = tap_schema.tables.schema_name"
    ))  # fmt: skip
    found = set(zip(tables["schema_name"], tables["table_name"], strict=True))
    assert ("ivoa", "ivoa.obscore") in found
    columns = table(
        asked(client, "SELECT * FROM TAP_SCHEMA.columns WHERE table_name like 'ivoa.obscore'")
    )
    assert "column_index" in columns.colnames
    assert client.get("/tap/capabilities").status_code == 200
    names = ("obs_collection", "instrument_name", "facility_name", "dataproduct_subtype")
    with ThreadPoolExecutor(4) as pool:
        queries = [f"SELECT DISTINCT {name} FROM ivoa.obscore" for name in names]
        answers = list(pool.map(lambda query: asked(client, query), queries))
    assert {"demo"} == set(table(answers[0])["obs_collection"])


STCS = re.compile(
    r"(POLYGON|CIRCLE|BOX|POSITION)( (ICRS|FK5|J2000|FK4|GALACTIC|ECLIPTIC))?(( [-+.\deE]+)+)$"
)


def services(answer: httpx.Response) -> dict[str, dict[str, ET.Element]]:
    """Give the parameters of each service that a table describes, by its ID, as clients read it."""
    found = {}
    for resource in tree(answer).iter("RESOURCE"):
        if resource.get("type") == "meta" and resource.get("utype") == "adhoc:service":
            own = {one.get("name"): one for one in resource.findall("PARAM")}
            (group,) = resource.findall("GROUP[@name='inputParams']")
            inputs = {one.get("name"): one for one in group.findall("PARAM")}
            assert own["accessURL"].get("value")
            found[resource.get("ID")] = {"": own, **inputs}
    return found


def fixed(inputs: dict[str, ET.Element]) -> dict[str, str]:
    return {name: one.get("value") for name, one in inputs.items() if name and one.get("value")}


def test_firefly_goes_from_a_row_to_its_cutout(client, site):
    answer = asked(client, f"SELECT * FROM ivoa.obscore WHERE ({HERE})")
    utypes = [one.get("utype", "") for one in tree(answer).iter() if one.tag == "FIELD"]
    assert any(utype.startswith("obscore:") for utype in utypes)
    rows = table(answer)
    assert len(rows) == len(site.dids_around(150.1, 2.2, 1e-9)) > 0
    for name in ("access_url", "access_format", "s_ra", "s_dec", "s_region", "dataproduct_type",
                 "obs_id", "instrument_name", "obs_title", "access_estsize"):  # fmt: skip
        assert name in rows.colnames
    for row in rows:
        assert STCS.match(str(row["s_region"])), row["s_region"]
        assert "votable" in row["access_format"]
        assert "content=datalink" in row["access_format"]
    links = client.get(str(rows[0]["access_url"]))
    listed = table(links)
    assert {"ID", "access_url", "service_def", "error_message", "semantics", "description",
            "content_type", "content_length"} <= set(listed.colnames)  # fmt: skip
    assert len(listed) < 50
    assert listed[0]["semantics"] == "#this"
    assert listed[0]["content_type"] == "image/fits"
    known = services(links)
    for row in listed:
        usable = row["service_def"] in known or row["error_message"]
        assert usable or re.match("(http|ftp)", str(row["access_url"]))
    # The toggle of full image and cutout.
    (cutout,) = (row for row in listed if "cutout" in row["semantics"])
    inputs = known[cutout["service_def"]]
    assert "async" not in inputs[""]["standardID"].get("value")
    (circle,) = (one for one in inputs.values() if isinstance(one, ET.Element)
                 and one.get("xtype") == "circle")  # fmt: skip
    assert circle.get("unit") == "deg"
    params = {**fixed(inputs), circle.get("name"): "150.1 2.2 0.003"}
    made = client.get(inputs[""]["accessURL"].get("value"), params=params)
    with fits.open(io.BytesIO(made.content)) as hdus:
        assert hdus["IMAGE"].data.size > 100


def test_firefly_finds_the_links_of_a_table_by_the_field_s_id(client):
    answer = asked(client, "SELECT TOP 3 obs_publisher_did AS mine, s_ra FROM ivoa.obscore")
    standard = "ivo://ivoa.net/std/DataLink"  # compared with its case
    (inputs,) = (
        one for one in services(answer).values()
        if standard in one[""].get("standardID", ET.Element("none")).get("value", "")
    )  # fmt: skip
    ref = inputs["ID"].get("ref")
    place = [one.get("ID") for one in tree(answer).iter("FIELD")].index(ref)
    rows = table(answer)
    for row in rows:
        links = client.get(inputs[""]["accessURL"].get("value"), params={"ID": row[place]})
        assert set(table(links)["ID"]) == {row["mine"]}
    plain = asked(client, "SELECT TOP 3 s_ra FROM ivoa.obscore")
    assert services(plain) == {}


def test_a_search_around_uploaded_positions_as_firefly_sends_it(client, site):
    upload = "ra_in,dec_in\n150.1,2.2\n10.0,-40.0\n"
    answer = client.post(
        "/tap/sync",
        data={
            "REQUEST": "doQuery", "LANG": "ADQL", "UPLOAD": "upload_table,param:upload_table",
            "QUERY": "SELECT ut.*, o.obs_publisher_did FROM ivoa.obscore AS o,"
                     " TAP_UPLOAD.upload_table AS ut WHERE"
                     " INTERSECTS(o.s_region, CIRCLE('ICRS', ut.ra_in, ut.dec_in, 0.001)) = 1",
        },
        files={"upload_table": ("t.csv", upload, "text/csv")},
    )  # fmt: skip
    rows = table(answer)
    assert set(rows["obs_publisher_did"]) == set(site.dids_around(150.1, 2.2, 0.001))
    assert set(rows["ra_in"]) == {150.1}


def test_firefly_and_aladin_read_the_list_of_hips(client, site):
    answer = client.get("/hips/list")
    blocks = [
        dict(re.findall(r"^(\w+)\s*= ?(.*)$", block, re.MULTILINE))
        for block in answer.text.strip().split("\n\n")
    ]
    assert len(blocks) == 4
    for one in blocks:
        assert {"obs_title", "hips_order", "dataproduct_type", "moc_sky_fraction", "hips_frame",
                "hips_service_url", "creator_did", "hips_release_date", "hips_status",
                "hips_tile_format"} <= set(one)  # fmt: skip
        base = one["hips_service_url"].rstrip("/") + "/"
        told = client.get(urljoin(base, "properties"))
        told_values = dict(re.findall(r"^(\w+)\s*= ?(.*)$", told.text, re.MULTILINE))
        assert told_values["hips_tile_width"] == "512"
        tile_format = one["hips_tile_format"].split()[0].replace("jpeg", "jpg")
        for path in ("properties", "Moc.fits", f"Norder3/Allsky.{tile_format}"):
            got = client.get(urljoin(base, path))
            assert (got.status_code, got.headers["access-control-allow-origin"]) == (200, "*"), path


# pyvo ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def found(site):
    service = pyvo.dal.TAPService(f"{site.url}/tap")
    return service.search(f"SELECT * FROM ivoa.obscore WHERE {HERE}")


def planes(stream) -> list[tuple[int, ...]]:
    with fits.open(io.BytesIO(stream.read())) as hdus:
        return [hdu.shape for hdu in hdus if hdu.data is not None]


def test_pyvo_cuts_by_each_shape_and_band_from_the_answer_alone(found, site):
    row = found[0]
    circle = planes(row.processed(circle=(150.1, 2.2, 0.004)))
    assert len(circle) == 3
    side = 0.004 / np.cos(np.radians(2.2))
    corners = (150.1 - side, 2.196, 150.1 + side, 2.196, 150.1 + side, 2.204, 150.1 - side, 2.204)
    middle = (150.1 - side, 2.201, 150.1 - side, 2.199)
    # pyvo counts the numbers of a polygon by threes, and so takes three corners or six.
    polygon = planes(row.processed(polygon=corners + middle))
    ranged = planes(row.processed(range=(150.1 - side, 150.1 + side, 2.196, 2.204)))
    assert polygon == ranged
    # The image is turned: a square's corners reach further than the circle in it.
    assert (np.array(polygon) > np.array(circle)).all()
    band = ((row["em_min"] * u.m).to(u.m), (row["em_max"] * u.m).to(u.m))
    whole = planes(row.processed(circle=(150.1, 2.2, 0.004), band=band))
    assert whole == circle
    assert row.processed(circle=(150.1, 2.2, 0.004), band=(1e-3, 2e-3)).read() == b""


def test_pyvo_s_soda_query_takes_units(found):
    resource = found.get_adhocservice_by_ivoid("ivo://ivoa.net/std/SODA#sync")
    query = SodaQuery.from_resource([found[0]], resource)
    query.circle = (150.1 * u.deg, 2.2 * u.deg, 14.4 * u.arcsec)
    assert planes(query.execute_stream()) == planes(found[0].processed(circle=(150.1, 2.2, 0.004)))


def test_pyvo_gets_the_dataset_and_its_links(found, site):
    for row, links in zip(found, found.iter_datalinks(), strict=True):
        assert {link["ID"] for link in links} == {row["obs_publisher_did"]}
        (this,) = links.bysemantics("#this", include_narrower=False)
        name = row["obs_publisher_did"].rpartition("?")[2]
        (exposure,) = (e for e in site.survey.exposures if e.path.name == name)
        assert this.getdataset().read() == exposure.path.read_bytes()


def test_pyvo_s_image_access_takes_every_parameter(site, found):
    service = pyvo.dal.SIA2Service(f"{site.url}/sia2")
    row = found[0]
    exact = {
        "pos": (150.1 * u.deg, 2.2 * u.deg, 0.001 * u.deg),
        "band": (row["em_min"] * u.m, row["em_max"] * u.m),
        "time": tuple(Time([row["t_min"] - 1e-5, row["t_max"] + 1e-5], format="mjd")),
        "field_of_view": (0.0 * u.deg, 10 * u.deg),
        "spatial_resolution": (0.0 * u.arcsec, 10 * u.arcsec),
        "exptime": (0 * u.s, 1e6 * u.s),
        "publisher_did": row["obs_publisher_did"],
        "facility": row["facility_name"],
        "collection": row["obs_collection"],
        "instrument": row["instrument_name"],
        "data_type": "image",
        "calib_level": int(row["calib_level"]),
        "target_name": row["target_name"],
        "res_format": DATALINK,
        "maxrec": 10,
    }
    exact = {name: value for name, value in exact.items() if not isinstance(value, str) or value}
    answer = service.search(**exact)
    assert [one["obs_publisher_did"] for one in answer] == [row["obs_publisher_did"]]
    for other in ({"collection": "none"}, {"band": (1e-3 * u.m, 2e-3 * u.m)}, {"calib_level": 4}):
        assert len(service.search(**{**exact, **other})) == 0
    for name, value in (("pol", "I"), ("spectral_resolving_power", (1, 2)),
                        ("timeres", (1 * u.s, 2 * u.s))):  # fmt: skip
        # Nothing is known of these here: no row has them.
        assert len(service.search(**{name: value})) == 0, name
    record = answer[0]
    assert planes(record.processed(circle=(150.1, 2.2, 0.004)))
    assert "#this" in {link["semantics"] for link in record.getdatalink()}


# TOPCAT and STILTS -----------------------------------------------------------------------------


@pytest.mark.stilts
@needs_stilts
def test_stilts_asks_image_access_for_each_row_of_a_table(site, tmp_path):
    path = tmp_path / "targets.csv"
    path.write_text("name,ra,dec\nhere,150.1,2.2\nnowhere,10,-40\n")
    done = subprocess.run(
        ["stilts", "coneskymatch", f"serviceurl={site.url}/sia2/query", "servicetype=sia2",
         f"in={path}", "ifmt=csv", "ra=ra", "dec=dec", "sr=0.001", "find=all", "ofmt=csv"],
        capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert {row["name"] for row in rows} == {"here"}
    assert len(rows) == len(site.dids_around(150.1, 2.2, 0.001))


def test_topcat_activates_the_services_of_a_row(client, found):
    """TOPCAT fills a descriptor from the columns it refers to, and sends what is then known."""
    answer = asked(client, f"SELECT TOP 1 * FROM ivoa.obscore WHERE {HERE}")
    ids = [one.get("ID") for one in tree(answer).iter("FIELD")]
    (row,) = table(answer)
    for name, inputs in services(answer).items():
        params = fixed(inputs) | {
            one: row[ids.index(element.get("ref"))]
            for one, element in inputs.items()
            if one and element.get("ref")
        }
        assert "ID" in params, name
        # Only the ID is known: the links as they are, the whole image, a new job.
        url = inputs[""]["accessURL"].get("value")
        got = client.get(url, params=params)
        assert got.status_code == 200, (name, got.text[:200])


# The traps -------------------------------------------------------------------------------------


def test_sizes_are_in_kilobytes_in_the_catalogue_and_in_bytes_in_links(client, found):
    row = found[0]
    links = table(client.get(str(row["access_url"])))
    size = int(links[0]["content_length"])
    assert str(links["content_length"].unit) == "byte"
    assert size == int(client.head(str(links[0]["access_url"])).headers["content-length"])
    # Of the ObsCore standard: 1 kbyte is 1000 bytes.
    assert abs(int(row["access_estsize"]) - size / 1000) <= 1


def test_media_types_of_links_have_no_blanks(client, found):
    assert {row["access_format"] for row in found} == {DATALINK}
    assert client.get(found[0]["access_url"]).headers["content-type"] == DATALINK
    declared = client.get("/datalink/capabilities").text
    assert "; content=" not in declared


def test_tiles_begin_where_aladin_lite_needs_them(client, site):
    folders = [one for one in (site.folder / "hips").iterdir() if (one / "properties").is_file()]
    assert len(folders) == 4
    for folder in folders:
        values = dict(
            re.findall(r"^(\w+)\s*= ?(.*)$", (folder / "properties").read_text(), re.MULTILINE)
        )
        assert int(values.get("hips_order_min", 0)) == 0
        assert any((folder / "Norder0").rglob("Npix*"))
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\dZ", values["hips_release_date"])


def test_maps_of_coverage_are_what_their_version_says(client, site):
    urls = [f"/hips/{one.name}/Moc.fits" for one in (site.folder / "hips").iterdir()
            if (one / "properties").is_file()]  # fmt: skip
    for url in urls:
        answer = client.get(url)
        assert answer.status_code == 200, url
        with fits.open(io.BytesIO(answer.content)) as hdus:
            header = hdus[1].header
            if header["MOCVERS"].startswith("2"):
                assert (header["MOCDIM"], header["ORDERING"]) in {
                    ("SPACE", "NUNIQ"), ("SPACE", "RANGE"),
                }  # fmt: skip
                assert "MOCORD_S" in header or "MOCORDER" in header
            else:
                assert (header["ORDERING"], "MOCORDER" in header) == ("NUNIQ", True)
        assert not MOC.from_fits(io.BytesIO(answer.content)).empty()


def test_the_database_s_names_are_in_no_error(client):
    for query in ("SELECT nope FROM ivoa.obscore", "SELECT file_id FROM ivoa.obscore",
                  "SELECT * FROM obscore_rtree", "SELECT 1/0 FROM ivoa.obscore"):  # fmt: skip
        text = asked(client, query).text
        for name in ("obscore_rtree VIRTUAL", "sqlite", "apsw", "s_region_shape", "Traceback"):
            assert name not in text, (query, name)


def test_links_hold_no_signature(client, found):
    for row in table(client.get(found[0]["access_url"])):
        parameters = httpx.URL(str(row["access_url"])).params
        assert not {name.lower() for name in parameters} & {"signature", "expires", "sig", "token"}


def resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_memory_stays_flat_under_many_threads(client, site):
    def burst() -> int:
        with ThreadPoolExecutor(16) as pool:
            queries = ["SELECT * FROM ivoa.obscore AS a, ivoa.obscore AS b"] * 100
            assert {answer.status_code for answer in pool.map(partial(asked, client), queries)} <= {
                200, 503,
            }  # fmt: skip
        return resident_bytes(site.process.pid)

    burst()
    warm = burst()
    assert burst() - warm < 32 << 20


DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_of_clients_names_tests_that_are_there():
    page = (DOCS / "clients.md").read_text("utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    assert len(named) > 50
    for path, name in named:
        text = (DOCS.parent / path).read_text("utf-8")
        assert re.search(rf"^def {name}\(", text, re.MULTILINE), (path, name)
    assert re.findall(r"^\| (\d+) \|", page, re.MULTILINE) == [str(n) for n in range(1, 21)]
    # Each line of the tables has a test.
    lines = [line for line in page.splitlines() if line.startswith("|")]
    rows = [line for line in lines if not re.match(r"\|[-|]+$|.*held by \|$", line)]
    assert all("::test_" in line for line in rows)
