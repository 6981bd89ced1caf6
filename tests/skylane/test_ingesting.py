"""Sources that cannot be read cost their own collections: the others are catalogued."""

from __future__ import annotations

import json
import signal

import pytest
from click.testing import CliRunner

from skylane.cli import main
from vodal.testing.archive import serve_archive
from vodal.testing.skies import make_survey

SETTINGS = """
[storage]
http_hosts = ["{host}"]
timeout_s = 2.0
attempts = 1
[storage.s3]
buckets = ["away"]
endpoint = "http://127.0.0.1:9"
anonymous = true
[obscore.ingest]
workers = 0
poll_seconds = 0.2
[obscore.collections.dp1.butler]
repository = "{folder}/repo"
config = "{folder}/none.yaml"
[obscore.collections.later.butler]
repository = "{folder}/repo"
collections = ["c"]
dataset_types = ["raw"]
[obscore.collections.bucket]
folder = "s3://away/night/"
[obscore.collections.listed]
manifest = "{url}/list.txt"
[obscore.collections.sheet]
table = {{ path = "{folder}/sheet.csv" }}
[obscore.collections.broken]
table = {{ path = "{folder}/broken.parquet" }}
[obscore.collections.own]
source = {{ class = "nothere:Source" }}
[obscore.collections.wrong]
folder = "{folder}/wrong"
[obscore.collections.unmounted]
folder = "{folder}/unmounted"
[obscore.collections.zenith]
folder = "{folder}/zenith"
"""
TOLD = {
    "broken": "broken.parquet: the Parquet file cannot be read",
    "bucket": "127.0.0.1 does not answer",
    "dp1": "none.yaml: the file cannot be read",
    "later": "there is no Butler repository",
    "listed": "list.txt cannot be read",
    "own": "own.source.class: the module 'nothere'",
    "sheet": "there is no table",
    "unmounted": "is no folder and no file",
    "wrong": "skylane-mapping.toml: mapping.titl: unknown key",
}


@pytest.fixture
def site(tmp_path):
    """Give a site whose every source but the last is away or wrong, each in its own way."""
    folder = tmp_path / "site"
    folder.mkdir()
    make_survey(tmp_path / "zenith", exposures=1, size=64, seed=3)
    (tmp_path / "wrong").mkdir()
    (tmp_path / "wrong" / "skylane-mapping.toml").write_text("mapping = { titl = 'x' }")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no")
    (tmp_path / "www").mkdir()
    with serve_archive(tmp_path / "www") as archive:
        (folder / "skylane.toml").write_text(
            SETTINGS.format(folder=tmp_path, url=archive.url, host=archive.host)
        )
        yield folder


def lines_of(folder):
    (report,) = (folder / "reports").iterdir()
    return [json.loads(line) for line in report.read_text().splitlines()]


def test_each_is_told_of_and_the_last_is_catalogued(site, tmp_path):
    done = CliRunner().invoke(main, ["ingest", "--site", str(site)])
    assert done.exit_code == 3, done.output
    assert "1 added" in done.output
    assert "Traceback" not in done.output
    refused = {one["collection"]: one for one in lines_of(site) if one["status"] == "refused"}
    assert {name: one["reason"] for name, one in refused.items()} == dict.fromkeys(TOLD, "source")
    for name, words in TOLD.items():
        assert words in refused[name]["message"], name
        assert f"{name} is left out: " in done.output

    # One that is named alone is the whole run.
    alone = CliRunner().invoke(main, ["ingest", "--site", str(site), "--collection", "sheet"])
    assert alone.exit_code == 1
    assert "Error: there is no table" in alone.output
    # A folder that has nothing to do with them is none the worse.
    whole = CliRunner().invoke(main, ["ingest", "--site", str(site), str(tmp_path / "zenith")])
    assert (whole.exit_code, "1 unchanged" in whole.output) == (0, True), whole.output


def test_a_watch_goes_on_with_the_others_and_takes_up_what_comes_back(site, tmp_path, cli):
    watcher = cli.watcher(site)
    try:
        watcher.until(lambda: "1 added" in watcher.said)
        watcher.until(lambda: all(words in watcher.said for words in TOLD.values()))
        make_survey(tmp_path / "late", exposures=1, size=64, seed=4)
        (tmp_path / "late").rename(tmp_path / "unmounted")
        watcher.until(lambda: watcher.said.count("1 added") == 2)
    finally:
        code = watcher.end(signal.SIGTERM)
    assert code == 3
    told = {one["collection"] for one in lines_of(site) if one.get("reason") == "source"}
    assert told == {"dp1", "own"}
