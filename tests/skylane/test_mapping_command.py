"""``skylane mapping``, and a mapping beside the data as a user of the command line has it."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from obscore.columns import COLUMN_NAMES
from obscore.mapping.document import BESIDE, preset_names
from skylane.cli import main
from vodal.testing.skies import make_survey


@pytest.fixture
def run():
    def call(*args, code=0):
        done = CliRunner().invoke(main, [str(arg) for arg in args])
        assert done.exit_code == code, done.output
        assert not isinstance(done.exception, Exception)
        return done.output

    return call


def test_presets_are_listed_shown_and_checked(run, tmp_path):
    lines = run("mapping", "presets").splitlines()
    assert [line.split()[0] for line in lines] == list(preset_names())
    copy = tmp_path / BESIDE
    copy.write_text(run("mapping", "show", "decam"), "utf-8")
    said = run("mapping", "check", copy)
    assert said.startswith(f"{copy}: sets calib_level, dataproduct_subtype, ")
    assert "2 rules for some files" in said
    assert "there is no preset 'deccam'; there are" in run("mapping", "show", "deccam", code=1)
    copy.write_text("[mapping]\nt_exptim = 3", "utf-8")
    said = run("mapping", "check", copy, code=1)
    assert said == f"Error: {copy}: mapping.t_exptim: unknown key\n"
    copy.write_text(
        'files = [{pattern = "*", mapping.obs_id = {fact = "x", table_file = "t.csv"}}]'
    )
    said = run("mapping", "check", copy, code=1)
    assert f"Error: {copy}: files.0.mapping.obs_id: {tmp_path / 't.csv'} cannot be read" in said


def test_the_site_s_collections_are_checked(run, tmp_path):
    settings = tmp_path / "skylane.toml"
    assert "name a file, or give collections" in run("mapping", "check", "--site", tmp_path, code=1)
    settings.write_text('[obscore.collections.deep]\npreset = "decam"\n', "utf-8")
    assert run("mapping", "check", "--site", tmp_path).startswith("deep: sets calib_level, ")
    settings.write_text('[obscore.collections.deep]\npreset = "x"\n', "utf-8")
    said = run("mapping", "check", "--site", tmp_path, code=1)
    assert "obscore.collections.deep.preset.0: Value error, there is no preset 'x'" in said


def test_a_folder_with_its_mapping_is_ingested_without_settings(run, tmp_path):
    data, site = tmp_path / "night", tmp_path / "site"
    make_survey(data, exposures=1, size=64, seed=3)
    (data / BESIDE).write_text("mapping = { obs_title = '{stem} of {collection}' }", "utf-8")
    run("ingest", data, "--workers", 0, "--site", site)
    query = "SELECT obs_title FROM ivoa.obscore"
    assert " of night" in run("query", query, "-f", "csv", "--site", site)
    (data / BESIDE).write_text("mapping = { obs_titl = 'x' }", "utf-8")
    said = run("ingest", data, "--workers", 0, "--site", site, code=1)
    assert said.endswith(f"Error: {data / BESIDE}: mapping.obs_titl: unknown key\n")


def test_a_file_is_explained_and_nothing_written(run, tmp_path):
    data, site = tmp_path / "night", tmp_path / "site"
    site.mkdir()
    (exposure,) = make_survey(data, exposures=1, size=64, seed=3).exposures
    path = exposure.path
    (data / BESIDE).write_text(
        "mapping = { obs_title = '{OBJECT} by night', t_exptime = 'keyword:NONE', s_fov = -1 }",
        "utf-8",
    )
    said = " ".join(run("ingest", "--dry-run", "--explain", path, "--site", site).split())
    assert f"{path.name} of the collection night" in said
    assert "obs_title Demo Field by night" in said
    assert "mapping.obs_title" in said.replace(" ", "")
    assert f"EXPTIME = {exposure.exposure_s}" in said
    assert "mapping.t_exptimefoundnothing" in said.replace(" ", "")
    assert "refused: row:not-negative: s_fov is -1, less than 0" in said
    assert not list(site.iterdir())
    told = json.loads(run("ingest", "--explain", path, "--format", "json", "--site", site))
    assert told["refusal"]["reason"] == "row:not-negative"
    (product,) = told["products"]
    columns = {one["column"]: one for one in product["columns"]}
    assert set(columns) <= set(COLUMN_NAMES)
    assert columns["obs_title"]["rule"] == f"{data / BESIDE}: mapping.obs_title"
    (source,) = columns["t_exptime"]["sources"]
    assert (source["name"], source["value"]) == ("EXPTIME", exposure.exposure_s)
    assert columns["t_exptime"]["missing"] == ["NONE"]
    assert "name one" in run("ingest", "--explain", "--site", site, code=1)
    assert "--format goes with --explain" in run("ingest", data, "--format", "json", code=2)
    assert "takes no --watch" in run("ingest", data, "--explain", "--prune", code=2)


def test_a_row_of_a_table_is_explained(run, tmp_path):
    data = tmp_path / "data"
    exposures = make_survey(data, exposures=2, size=64, seed=3).exposures
    rows = [f"{one.path.name},30,{number},5,CIRCLE {number} 5 1" for number, one in
            enumerate(exposures)]  # fmt: skip
    (data / "t.csv").write_text("\n".join(["file,seconds,s_ra,s_dec,s_region", *rows]), "utf-8")
    (tmp_path / "skylane.toml").write_text(
        f"""
        [obscore.collections.told]
        table = "{data / "t.csv"}"
        mapping.t_exptime = "fact:seconds"
        """,
        "utf-8",
    )
    options = ("--explain", "--format", "json", "--site", tmp_path, "--collection", "told")
    told = json.loads(run("ingest", exposures[1].path, *options))
    assert told["path"] == exposures[1].path.name
    columns = {one["column"]: one for one in told["products"][0]["columns"]}
    (source,) = columns["t_exptime"]["sources"]
    assert (source["name"], source["value"]) == ("fact:seconds", 30)
    assert columns["s_ra"]["rule"] == "the source's column of this name"
    assert columns["s_ra"]["value"] == 1.0
    said = run("ingest", data / "t.csv", "--explain", "--site", tmp_path)
    assert [path in said for path in (exposures[0].path.name, exposures[1].path.name)] == [True] * 2
    said = run("ingest", tmp_path / "skylane.toml", *options, code=1)
    assert "the source of the collection told has no file" in said
