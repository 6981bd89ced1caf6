"""A Butler repository published: rows by TAP, pixels by SODA, what is new and what has gone."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import time

import httpx
import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from rich.console import Console

from datalink.testing import links_faults
from obscore.sources.butler.testing import begin_repository
from skylane.ingesting import ingest_places
from skylane.testing import call

pytestmark = pytest.mark.xdist_group("butler")

CONFIGURATION = """
facility_name: Observatory
obs_collection: Survey.1
collections: ["Cam/first", "Cam/raw"]
obs_publisher_did_fmt: "ivo://observatory.example/images?repo=main&id={id}"
dataset_types:
  raw: {dataproduct_type: image, calib_level: 1, obs_id_fmt: "{records[exposure].obs_id}"}
  visit_image:
    dataproduct_type: image
    calib_level: 2
    obs_id_fmt: "{records[visit].name}"
    extra_columns: {lsst_visit: {template: "{visit}", type: int, doc: Number of the visit}}
extra_columns:
  lsst_detector: {template: "{detector}", type: int}
  survey_year: 1
"""
SETTINGS = """
[obscore]
authority = "observatory.example"

[obscore.ingest]
workers = 0

[obscore.collections.others]
folder = "FOLDER/others"

[obscore.collections.images.butler]
repository = "FOLDER/repo"
config = "FOLDER/obscore.yaml"
"""


PATIENCE_S = 200.0


class Site:
    """A site beside a repository, and what its command line said."""

    def __init__(self, repository) -> None:
        self.repository = repository
        self.folder = repository.folder / "site"
        self.folder.mkdir()
        self.configure(CONFIGURATION)
        settings = SETTINGS.replace("FOLDER", str(repository.folder))
        (self.folder / "skylane.toml").write_text(settings)

    def configure(self, text):
        (self.repository.folder / "obscore.yaml").write_text(text)

    def ingest(self, **options):
        """Run the command; gives what it said and its report by file."""
        said, report = io.StringIO(), self.folder / "report.jsonl"
        console = Console(file=said, width=200)
        self.absent = ingest_places(console, self.folder, (), None, report_path=report, **options)
        lines = [json.loads(line) for line in report.read_text().splitlines()]
        return said.getvalue(), lines

    def query(self, url, query):
        data = {"LANG": "ADQL", "RESPONSEFORMAT": "csv", "QUERY": query}
        answer = httpx.post(f"{url}/tap/sync", data=data)
        assert answer.status_code == 200, answer.text
        return list(csv.DictReader(answer.text.splitlines()))


def statuses(lines, collection="images"):
    """Count the files of a collection by what became of them."""
    told = [line["status"] for line in lines if line["collection"] == collection]
    return {status: told.count(status) for status in set(told)}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Give a site with a repository of one visit, and with a folder of files beside it."""
    made = begin_repository(tmp_path_factory.mktemp("butler"))
    with made.butler() as butler:
        made.add_visit(butler, 101)
        made.add_calibrated(butler, 101, "Cam/first")
    made.write_image("others/plain.fits", 200.0, 10.0)
    return Site(made)


@pytest.fixture(scope="module")
def ingested(site):
    said, lines = site.ingest()
    assert "new columns lsst_detector, lsst_visit, survey_year" in said
    assert statuses(lines) == {"added": 4}
    assert statuses(lines, "others") == {"added": 1}
    return site


@pytest.fixture(scope="module")
def url(ingested, cli):
    process, url = cli.start(ingested.folder)
    yield url
    cli.stop(process)


def test_rows_can_be_queried_by_place_and_by_what_the_registry_says(site, url):
    rows = site.query(url, """
        SELECT * FROM ivoa.obscore WHERE obs_id = 'v101' AND calib_level = 2
        AND CONTAINS(POINT(359.98, 20.04), s_region) = 1""")  # fmt: skip
    (row,) = rows
    path, ref = next(
        (path, ref) for path, ref in site.repository.refs.items()
        if ref.datasetType.name == "visit_image" and ref.dataId["detector"] == 2
    )  # fmt: skip
    assert row["obs_publisher_did"] == f"ivo://observatory.example/images?repo=main&id={ref.id}"
    assert row["obs_collection"] == "Survey.1"
    assert row["instrument_name"] == "Cam"
    assert row["filter"] == "r"
    assert float(row["t_exptime"]) == 31.0
    assert int(row["access_estsize"]) == -(-path.stat().st_size // 1000)
    assert row["access_url"].startswith(url)
    assert (row["lsst_visit"], row["lsst_detector"], row["survey_year"]) == ("101", "2", "1")


def test_columns_that_the_configuration_adds_are_published(site, url):
    rows = site.query(url, """
        SELECT lsst_visit, COUNT(*) AS n FROM ivoa.obscore WHERE lsst_detector IS NOT NULL
        GROUP BY lsst_visit ORDER BY lsst_visit""")  # fmt: skip
    assert [(row["lsst_visit"], row["n"]) for row in rows] == [("", "2"), ("101", "2")]
    told = site.query(url, """
        SELECT column_name, datatype, description FROM TAP_SCHEMA.columns
        WHERE table_name = 'ivoa.obscore' AND column_name LIKE 'lsst%'
        ORDER BY column_index""")  # fmt: skip
    assert [tuple(row.values()) for row in told] == [
        ("lsst_detector", "long", ""), ("lsst_visit", "long", "Number of the visit"),
    ]  # fmt: skip
    # Files of other collections have none.
    query = "SELECT calib_level, survey_year FROM ivoa.obscore WHERE obs_collection = 'others'"
    assert site.query(url, query) == [{"calib_level": "2", "survey_year": ""}]


def test_a_cutout_has_the_pixels_of_the_dataset(site, url):
    row = site.query(url, "SELECT * FROM ivoa.obscore WHERE obs_id = 'v101'")[0]
    where = f"{row['s_ra']} {row['s_dec']} 0.003"
    answer = httpx.get(
        f"{url}/soda/sync", params={"ID": row["obs_publisher_did"], "CIRCLE": where}, timeout=60
    )
    assert answer.status_code == 200, answer.text
    links = httpx.URL(f"{url}/datalink/links", params={"ID": row["obs_publisher_did"]})
    assert links_faults(str(links)) == []
    path = next(
        path for path, ref in site.repository.refs.items()
        if row["obs_publisher_did"].endswith(str(ref.id))
    )  # fmt: skip
    with fits.open(io.BytesIO(answer.content)) as cut, fits.open(path) as whole:
        image = next(hdu for hdu in cut if hdu.data is not None)
        first = WCS(image.header).pixel_to_world(0, 0)
        x, y = (round(float(at)) for at in WCS(whole[0].header).world_to_pixel(first))
        height, width = image.data.shape
        assert 20 < width < 30
        assert 20 < height < 30
        assert np.array_equal(image.data, whole[0].data[y : y + height, x : x + width])
        assert np.array_equal(whole[0].data, site.repository.pixels[path])


def test_runs_take_what_is_new_and_tell_what_has_gone(site, url):
    # A file that a cutout had opened is as unchanged as the others.
    _, lines = site.ingest()
    assert statuses(lines) == {"unchanged": 4}

    with site.repository.butler() as butler:
        site.repository.add_visit(butler, 102)
        site.repository.add_calibrated(butler, 102, "Cam/first")
    _, lines = site.ingest()
    assert statuses(lines) == {"unchanged": 4, "added": 4}
    assert len(site.query(url, "SELECT obs_id FROM ivoa.obscore WHERE obs_id = 'v102'")) == 2

    gone = next(
        ref for ref in site.repository.refs.values()
        if ref.datasetType.name == "visit_image" and ref.dataId["visit"] == 102
    )  # fmt: skip
    with site.repository.butler() as butler:
        butler.pruneDatasets([gone], disassociate=True, unstore=True, purge=True)
    _, lines = site.ingest()
    assert statuses(lines) == {"unchanged": 7, "vanished": 1}
    _, lines = site.ingest(prune=True)
    assert statuses(lines) == {"unchanged": 7, "removed": 1}
    # Files of other collections have not gone.
    assert statuses(lines, "others") == {"unchanged": 1}
    assert len(site.query(url, "SELECT obs_id FROM ivoa.obscore WHERE obs_id = 'v102'")) == 1
    assert len(site.query(url, "SELECT obs_id FROM ivoa.obscore")) == 8


def test_what_is_put_while_it_is_watched_is_there_within_a_poll(site, url, cli):
    with (site.folder / "watch.log").open("w") as log:
        watching = subprocess.Popen(
            [cli.path, "ingest", "--watch", "--prune", "--poll", "0.5", "--site",
             str(site.folder)],
            stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        await_text(site.folder / "watch.log", "Watching")
        with site.repository.butler() as butler:
            site.repository.add_visit(butler, 103)
            site.repository.add_calibrated(butler, 103, "Cam/first")
        query = "SELECT obs_id FROM ivoa.obscore WHERE obs_id = 'v103'"
        await_count(lambda: site.query(url, query), 2)
        gone = [
            ref for ref in site.repository.refs.values()
            if ref.datasetType.name == "visit_image" and ref.dataId["visit"] == 103
        ][:1]  # fmt: skip
        with site.repository.butler() as butler:
            butler.pruneDatasets(gone, disassociate=True, unstore=True, purge=True)
        await_count(lambda: site.query(url, query), 1)
    finally:
        cli.stop(watching)
    assert len(site.query(url, "SELECT obs_id FROM ivoa.obscore WHERE s_ra > 199")) >= 1


def await_text(path, text):
    until = time.monotonic() + PATIENCE_S
    while text not in path.read_text():
        assert time.monotonic() < until, path.read_text()
        time.sleep(0.1)


def await_count(rows, count):
    until = time.monotonic() + PATIENCE_S
    while len(rows()) != count:
        assert time.monotonic() < until, f"{len(rows())} rows, not {count}"
        time.sleep(0.2)


def test_another_configuration_makes_the_rows_anew_that_it_concerns(site, url):
    try:
        site.configure(CONFIGURATION.replace("calib_level: 1,", "calib_level: 0,"))
        _, lines = site.ingest()
        made = statuses(lines)
        assert made["updated"] == 6
        assert set(made) == {"updated", "unchanged"}
    finally:
        site.configure(CONFIGURATION)


def test_a_configuration_with_a_fault_costs_its_own_collection(ingested):
    site = ingested
    visits = "SELECT COUNT(lsst_visit) FROM ivoa.obscore"
    before = call("query", visits, "--format", "csv", "--site", site.folder)
    try:
        site.configure(CONFIGURATION + "facilty_map: {}\n")
        said, lines = site.ingest()
    finally:
        site.configure(CONFIGURATION)
    ((absent, reason),) = ((one.collection, one.message) for one in site.absent)
    assert absent == "images"
    assert "facilty_map: there is no such key" in reason
    assert "images is left out: " in said
    assert "Ingesting others" in said
    refused = [one for one in lines if one["status"] == "refused"]
    assert [(one["collection"], one["reason"]) for one in refused] == [("images", "source")]
    assert [one["message"] for one in refused] == [reason]
    # What it has in the catalogue stays as it is, its columns too.
    assert call("query", visits, "--format", "csv", "--site", site.folder) == before


def test_a_repository_that_is_away_costs_its_own_collection(ingested):
    site, folder = ingested, ingested.repository.folder
    (folder / "repo").rename(folder / "away")
    try:
        _, lines = site.ingest()
    finally:
        (folder / "away").rename(folder / "repo")
    assert [one.collection for one in site.absent] == ["images"]
    assert "there is no Butler repository" in site.absent[0].message
    assert {one["reason"] for one in lines if one["status"] == "refused"} == {"source"}
    assert not any(one["status"] == "vanished" for one in lines)
    assert any(one["collection"] == "others" for one in lines)


def test_without_the_libraries_it_is_said_what_to_install(site, monkeypatch):
    monkeypatch.delitem(sys.modules, "obscore.sources.butler.source")
    monkeypatch.setitem(sys.modules, "lsst.daf.butler", None)
    site.ingest()
    assert "pip install 'skylane[butler]'" in site.absent[0].message
