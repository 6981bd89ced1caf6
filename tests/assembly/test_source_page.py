"""The page on sources tells of the whole protocol, and its example runs."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import sys
import textwrap
import threading
import time
import tomllib
from pathlib import Path

import pytest

from obscore.assembly.line import ingest
from obscore.assembly.live import LiveLine
from obscore.settings import ObsCoreSettings
from obscore.sources import Source
from obscore.sources.choice import configured_source, configured_sources
from obscore.sources.polling import PollingWatch
from vodal.errors import SettingsError, UsageError

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "source.md").read_text("utf-8")
ENOUGH_S = 60.0


def test_the_page_names_all_of_the_protocol():
    names = {name for name in vars(Source) if not name.startswith("_")}
    told = set(re.findall(r"^\| `(\w+)(?:\(\w*\))?` \|", PAGE, re.MULTILINE))
    assert told == names


def settings_of(section: str) -> dict:
    (block,) = re.findall(rf"^    \[{re.escape(section)}\]\n(?:^    .*\n)+", PAGE, re.MULTILINE)
    return tomllib.loads(textwrap.dedent(block))


@pytest.fixture
def site(tmp_path, image_writer, monkeypatch):
    """Give the settings of the page, the pipeline's log, and files."""
    (tmp_path / "python" / "pipelog").mkdir(parents=True)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "python" / "pipelog" / "source.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path / "python")
    log = sqlite3.connect(tmp_path / "log.db", isolation_level=None)
    log.execute("CREATE TABLE products (path TEXT, visit INTEGER, band TEXT, state TEXT)")
    files = [image_writer(tmp_path / "data" / f"{name}.fits") for name in "abc"]
    for number, path in enumerate(files):
        log.execute("INSERT INTO products VALUES (?, ?, 'r', 'done')", (str(path), number))
    given = settings_of("obscore.collections.night.source")["obscore"]
    night = given["collections"]["night"]
    night["source"]["options"]["log"] = str(tmp_path / "log.db")
    night |= settings_of("obscore.collections.night.mapping")["obscore"]["collections"]["night"]
    yield given, log, files
    log.close()
    for name in [one for one in sys.modules if one.startswith("pipelog")]:
        del sys.modules[name]


def test_the_example_is_ingested_as_any_source(site, make_backend):
    given, log, files = site
    settings = ObsCoreSettings.model_validate(given)
    (source,) = configured_sources(settings)
    store = make_backend("sqlite").writer()
    assert ingest(source, store, settings, workers=0).statuses == {"added": 3}
    assert ingest(source, store, settings, workers=0).statuses == {"unchanged": 3}
    log.execute("UPDATE products SET visit = 17 WHERE visit = 1")
    log.execute("DELETE FROM products WHERE visit = 0")
    done = ingest(source, store, settings, workers=0, prune=True)
    assert done.statuses == {"updated": 1, "unchanged": 1, "removed": 1}
    rows = {one.uri: one.observations[0].row for one in store.files_after("", 10)}
    assert set(rows) == {files[1].as_uri(), files[2].as_uri()}
    assert rows[files[1].as_uri()]["obs_id"] == "visit 17"
    assert rows[files[1].as_uri()]["filter"] == "r"
    log.execute("UPDATE products SET state = 'bad'")
    kept = ingest(source, store, settings, workers=0, prune=True)
    assert kept.statuses == {"vanished": 2}
    store.close()


def test_the_example_is_followed_while_it_runs(site, make_backend):
    given, log, files = site
    given["ingest"] = {"poll_seconds": 0.1}
    settings = ObsCoreSettings.model_validate(given)
    (source,) = configured_sources(settings)
    store, told = make_backend("sqlite").writer(), list[tuple[str, str]]()
    line = LiveLine(
        [source], [(PollingWatch([source], 0.1), [source])], store, settings, workers=1, prune=True,
        report=lambda one: told.append((one.status, one.uri.rpartition("/")[2])),
    )  # fmt: skip
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(line.run(stop)))
    thread.start()

    def until(*wanted: tuple[str, str]) -> None:
        end = time.monotonic() + ENOUGH_S
        while not set(wanted) <= set(told):
            assert time.monotonic() < end, told
            time.sleep(0.02)

    try:
        until(*(("added", path.name) for path in files))
        log.execute("UPDATE products SET visit = 17 WHERE visit = 1")
        until(("updated", "b.fits"))
        log.execute("UPDATE products SET state = 'bad' WHERE visit = 0")
        until(("removed", "a.fits"))
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(ENOUGH_S)
        loop.close()
        store.close()
    assert not thread.is_alive()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"class": "pipelog.source.LogSource"}, ValueError, "class"),
        (
            {"class": "nothere:LogSource"},
            SettingsError,
            r"night\.source\.class: the module 'nothere'",
        ),
        ({"class": "pipelog.source:Other"}, SettingsError, r"source\.class: .* has no 'Other'"),
        ({"class": "pathlib:Path"}, SettingsError, r"night\.source\."),
        ({"class": "collections:UserDict"}, SettingsError, r"source\.class: .* lacks .*look.*walk"),
        ({"options": {"lgo": "x"}}, SettingsError, r"night\.source\.options: TypeError: .*'lgo'"),
    ],
)
def test_what_is_wrong_is_told_by_its_key(site, change, error, message):
    given, _, _ = site
    given["collections"]["night"]["source"] |= change
    with pytest.raises(error, match=message):
        configured_source(ObsCoreSettings.model_validate(given), "night")


def test_a_source_that_is_away_stops_a_run_with_a_sentence(site, make_backend, tmp_path):
    settings = ObsCoreSettings.model_validate(site[0])
    (source,) = configured_sources(settings)
    (tmp_path / "log.db").rename(tmp_path / "away.db")
    store = make_backend("sqlite").writer()
    with pytest.raises(UsageError, match="there is no log"):
        ingest(source, store, settings, workers=0)
    store.close()
