"""Columns that a site adds: declared, filled, changed and taken away by its commands."""

from __future__ import annotations

import csv

import httpx
import pytest

from skylane.settings import load_settings
from skylane.site import SiteFolder, create_app
from skylane.testing import call, refused
from vodal.filetypes import stem_of
from vodal.testing.asgi import AppClient
from vodal.testing.skies import make_survey

SETTINGS = """
[obscore.columns.airmass]
datatype = "double"
ucd = "obs.airMass"
rule = { keyword = "AIRMASS", default = 1.5 }
"""


@pytest.fixture
def site(tmp_path):
    """Give a site's folder beside a folder of two exposures, which are catalogued."""
    make_survey(tmp_path / "night", exposures=2, size=64, seed=5)
    folder = tmp_path / "site"
    call("ingest", tmp_path / "night", "--workers", 0, "--site", folder)
    return folder


def test_columns_come_and_go_with_the_settings(site, tmp_path):
    def ingest():
        return call("ingest", tmp_path / "night", "--workers", 0, "--site", site)

    def airmasses():
        query = "SELECT airmass, COUNT(*) FROM ivoa.obscore GROUP BY airmass"
        return call("query", query, "--format", "csv", "--site", site).split()[1:]

    (site / "skylane.toml").write_text(SETTINGS)
    # Before a run, the store alone is brought to what is declared.
    said = call("store", "upgrade", "--site", site)
    assert "ivoa.obscore has the new column airmass" in said
    assert "The next ingest makes the rows of all files anew" in said
    assert airmasses() == [",2"]
    assert "2 updated" in ingest()
    assert airmasses() == ["1.5,2"]
    assert "2 unchanged" in ingest()

    (site / "skylane.toml").write_text(SETTINGS.replace("ucd", 'description = "Of air"\nucd'))
    assert "describes otherwise the column airmass" in ingest()
    assert airmasses() == ["1.5,2"]
    exported = call("table", "export", "ivoa.obscore", "--site", site)
    assert "description: Of air" in exported

    (site / "skylane.toml").write_text("")
    said = ingest()
    assert "ivoa.obscore has no longer the column airmass" in said
    assert "airmass" in refused("query", "SELECT airmass FROM ivoa.obscore", "--site", site)

    # As it was: what the run before made of the same settings is not taken for these rows.
    (site / "skylane.toml").write_text(SETTINGS)
    assert "2 updated" in ingest()
    assert airmasses() == ["1.5,2"]


def test_a_dry_run_adds_no_column_and_tells_its_values(site, tmp_path):
    (site / "skylane.toml").write_text(SETTINGS)
    told = call("ingest", tmp_path / "night", "--dry-run", "--explain", "--site", site)
    assert "airmass" in told
    assert "obscore.columns.airmass.rule" in told
    call("ingest", tmp_path / "night", "--dry-run", "--workers", 0, "--site", site)
    assert "airmass" in refused("query", "SELECT airmass FROM ivoa.obscore", "--site", site)


RULES = """
[[datalink.links]]
semantics = "#documentation"
url = "https://example.org/air/{airmass}?of={obs_id}"

[[datalink.links]]
semantics = "#auxiliary"
file = "{file:stem}.{airmass}.log"
"""


def test_rules_of_links_know_them(site, tmp_path):
    (site / "skylane.toml").write_text(SETTINGS + RULES)
    call("store", "upgrade", "--site", site)
    app = AppClient(create_app(SiteFolder(site), load_settings(site, {})))
    query = "SELECT obs_publisher_did AS did, obs_id, access_url FROM ivoa.obscore"
    rows = call("query", query, "--format", "csv", "--site", site).split()[1:]
    (did, obs_id, _), _ = (row.split(",") for row in rows)
    images = sorted(path for path in (tmp_path / "night").iterdir() if path.suffix != ".log")
    for path in images:
        path.with_name(f"{stem_of(path.name)}.1.5.log").write_text(f"log of {path.name}")

    def links() -> list[dict[str, str]]:
        params = {"ID": [row.split(",")[0] for row in rows], "RESPONSEFORMAT": "csv"}
        answer = app.get("/datalink/links", params=params)
        return list(csv.DictReader(answer.text.splitlines()))

    # The column is there, and has no values before the next run.
    assert not [one for one in links() if "example.org/air" in one["access_url"]]
    call("ingest", tmp_path / "night", "--workers", 0, "--site", site)
    found = [one for one in links() if one["ID"] == did]
    urls = {one["semantics"]: one["access_url"] for one in found if one["access_url"]}
    assert urls["#documentation"] == f"https://example.org/air/1.5?of={obs_id}"
    beside = [one["access_url"] for one in found if "/beside/" in one["access_url"]]
    assert len(beside) == 1
    answer = app.get(beside[0])
    assert answer.status_code == 200
    assert answer.text.startswith("log of ")


def test_faults_are_said_before_anything_is_done(site, tmp_path):
    (site / "skylane.toml").write_text("[obscore.columns.s_ra]\ndatatype = 'double'")
    said = refused("ingest", tmp_path / "night", "--site", site)
    assert "obscore.columns.s_ra" in said
    assert "ivoa.obscore has a column s_ra already" in said
    (site / "skylane.toml").write_text("[obscore.mapping]\nairmass = 'keyword:AIRMASS'")
    said = refused("ingest", tmp_path / "night", "--site", site)
    assert "obscore.mapping.airmass: unknown key" in said


def test_a_server_that_runs_sees_columns_as_they_are_declared(site, tmp_path, cli):
    # Where a configuration cannot be read, what it adds is not known, and no column goes.
    butler = "[obscore.collections.dp1.butler]\nrepository = 'repo'\nconfig = 'none.yaml'\n"
    (site / "skylane.toml").write_text(butler)
    assert "the file cannot be read" in refused("ingest", "--site", site)
    process, url = cli.start(site)
    try:
        assert "no column of ivoa.obscore is taken away" in (site / "server.log").read_text()
        query = {
            "LANG": "ADQL",
            "RESPONSEFORMAT": "csv",
            "QUERY": "SELECT airmass FROM ivoa.obscore",
        }
        assert httpx.post(f"{url}/tap/sync", data=query).status_code == 400
        (site / "skylane.toml").write_text(SETTINGS)
        call("ingest", tmp_path / "night", "--workers", 0, "--site", site)
        assert httpx.post(f"{url}/tap/sync", data=query).text.split() == ["airmass", "1.5", "1.5"]
        (site / "skylane.toml").write_text("")
        call("store", "upgrade", "--site", site)
        said = httpx.post(f"{url}/tap/sync", data=query)
        assert said.status_code == 400
        assert "airmass" in said.text
    finally:
        cli.stop(process)
