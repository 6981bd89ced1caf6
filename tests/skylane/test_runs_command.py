"""``skylane runs``, ``skylane where-from``: a row is traced to its file, run and mapping."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from obscore.assembly.recording import RecordedRun
from obscore.assembly.rulebook import RuleBook
from obscore.store.runs import find_run, origin_of
from skylane.folder import SiteFolder
from skylane.settings import load_settings
from skylane.testing import call, refused
from vodal.testing.skies import make_wcs

SETTINGS = """
[obscore.collections.deep]
folder = "{folder}"
[obscore.collections.deep.mapping]
obs_title = "{title}"
"""


@pytest.fixture
def site(tmp_path) -> Path:
    folder = tmp_path / "deep"
    folder.mkdir()
    for number in range(2):
        header = make_wcs(40.0, 5.0 + number, 30, 1.0, distorted=False).to_header()
        fits.PrimaryHDU(np.zeros((30, 30), np.int16), header).writeto(folder / f"{number}.fits")
    settle(tmp_path, "first")
    return tmp_path


def settle(site: Path, title: str) -> None:
    text = SETTINGS.format(folder=site / "deep", title=title)
    (site / "skylane.toml").write_text(text)


def told(site: Path, number: int) -> dict[str, str]:
    lines = call("runs", "show", number, "--site", site).splitlines()
    return {line[:11].strip(): line[11:] for line in lines}


def mapping(site: Path, number: int) -> dict:
    text = call("runs", "show", number, "--mapping", "--site", site)
    return json.loads(text[text.index("\n{") :])["deep"]["layers"][0]["mapping"]


def test_a_row_is_traced_to_its_file_run_and_mapping(site):
    assert "no run has been recorded" in call("runs", "--site", site)
    call("ingest", "--workers", "0", "--site", site)
    call("ingest", "--workers", "0", "--site", site)
    settle(site, "second")
    (site / "deep" / "1.fits").unlink()
    call("ingest", "--workers", "0", "--site", site)
    listed = call("runs", "--site", site).splitlines()
    assert [line.split()[:2] for line in listed[1:]] == [[n, "ingest"] for n in ("3", "2", "1")]
    assert told(site, 1)["files"] == "2 added"
    assert told(site, 2)["files"] == "2 unchanged"
    third = told(site, 3)
    assert third["files"] == "1 updated, 1 vanished"
    assert third["begun"] < third["ended"]
    assert third["program"].startswith("skylane ")
    assert mapping(site, 1)["obs_title"] == {
        "place": "obscore.collections.deep.mapping.obs_title", "value": "first",
    }  # fmt: skip
    assert mapping(site, 3)["obs_title"]["value"] == "second"

    from_third = call("where-from", "ivo://skylane.example/deep?0.fits", "--site", site)
    assert f"file       {(site / 'deep' / '0.fits').as_uri()}" in from_third
    assert "run        3 (ingest)" in from_third
    assert "run        1 (ingest)" in call(
        "where-from", "ivo://skylane.example/deep?1.fits", "--site", site
    )


def test_a_run_that_was_killed_has_no_end_and_the_counts_that_it_had(site):
    settings = load_settings(site)
    store = SiteFolder(site).prepare(settings.store).writer()
    run = RecordedRun(store, RuleBook(settings.obscore), "watch", "skylane ingest --watch")
    assert store.turn(lambda session: find_run(session, run.number)).ended is None
    assert "not yet, or it was killed" in told(site, run.number)["ended"]
    run.end()
    assert store.turn(lambda session: find_run(session, run.number)).ended is not None
    store.close()


def test_what_a_copy_or_an_older_program_wrote_has_no_run(site):
    from obscore.testing import make_file, make_observation
    from vodal.regions import Circle

    store = SiteFolder(site).prepare(load_settings(site).store).writer()
    store.write([make_file("file:///a", make_observation("ivo://x/y?a", Circle(1.0, 1.0, 0.1)))])
    assert store.turn(lambda session: origin_of(session, "ivo://x/y?a")).run is None
    store.close()
    assert "before runs were recorded" in call("where-from", "ivo://x/y?a", "--site", site)


def test_what_is_not_there_is_told(site):
    assert "there is no run 7" in refused("runs", "show", "7", "--site", site)
    assert "there is no product 'ivo://x/y'" in refused("where-from", "ivo://x/y", "--site", site)
    call("ingest", "--workers", "0", "--site", site)
    did = "ivo://skylane.example/deep?0.fits"
    call("retract", did, "--reason", "blurred", "--site", site)
    said = refused("where-from", did, "--site", site)
    assert f"{did} was retracted on " in said
    assert said.rstrip().endswith(": blurred")
