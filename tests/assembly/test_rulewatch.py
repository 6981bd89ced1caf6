"""Rules that change while the line runs are taken up if they are right, each change told once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from obscore.assembly.live import LiveLine
from obscore.assembly.recording import RecordedRun
from obscore.assembly.rulebook import RuleBook
from obscore.assembly.rulewatch import RuleWatch
from obscore.settings import ObsCoreSettings
from obscore.sources import FolderSource
from obscore.sources.polling import PollingWatch
from obscore.store.runs import list_runs, mapping_text
from vodal.errors import SettingsError

LIMITS = {"settle_seconds": 0.0, "poll_seconds": 0.02}


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110 - it tells in no other way
            await asyncio.sleep(0.01)


def settings_of(folder: Path, **more: object) -> ObsCoreSettings:
    deep = {"folder": str(folder), **more}
    return ObsCoreSettings.model_validate({"collections": {"deep": deep}, "ingest": LIMITS})


@pytest.fixture
def put(tmp_path: Path) -> Callable[[str], None]:
    """Give a function that puts a mapping beside the data, whole."""

    def write(text: str) -> None:
        aside = tmp_path / "aside"
        aside.write_text(text)
        aside.rename(tmp_path / "skylane-mapping.toml")

    return write


def test_each_change_of_a_mapping_beside_the_data_is_told_once(tmp_path, put) -> None:
    put("mapping = { obs_title = 'from {stem}' }")
    book = RuleBook(settings_of(tmp_path))
    first = book.of("deep")
    notices: list[str] = []
    watch = RuleWatch(book, notices.append)
    assert watch.look() == []
    put("# the same\nmapping = { obs_title = 'from {stem}' }")
    assert watch.look() == []
    assert not notices

    put("mapping = { obs_title = 'of {stem}' }")
    assert watch.look() == ["deep"]
    second = book.of("deep")
    assert second.mapping_for("a.fits")["obs_title"].rule.template == "of {stem}"
    put("mapping = { obs_titl = 'of {stem}' }")
    assert [watch.look(), watch.look()] == [[], []]
    assert book.of("deep") is second
    put("mapping = { obs_title = 'from {stem}' }")
    assert watch.look() == ["deep"]
    assert book.of("deep") == first
    plain, wrong, again = notices
    assert plain == again
    assert "the rules of collection 'deep' have changed; its rows are made by the new" in plain
    assert "those that were read before still hold: " in wrong
    assert "skylane-mapping.toml: mapping.obs_titl: unknown key" in wrong


def test_rules_that_were_wrong_at_the_start_are_taken_up_when_they_are_mended(tmp_path, put):
    put("mapping = { obs_titl = 'x' }")
    book = RuleBook(settings_of(tmp_path))
    with pytest.raises(SettingsError):
        book.of("deep")
    assert "mapping.obs_titl" in book.renew()["deep"]
    put("mapping = { obs_title = 'x' }")
    assert book.renew() == {"deep": ""}
    assert "obs_title" in book.of("deep").mapping_for("a.fits")


def test_of_settings_rules_alone_are_taken_up(tmp_path):
    given = [settings_of(tmp_path)]

    def anew() -> ObsCoreSettings:
        if not given:
            raise SettingsError("skylane.toml: nonsense: unknown key")
        return given[0]

    book = RuleBook(given[0], anew=anew)
    old = book.of("deep")
    given[0] = settings_of(tmp_path, calib_level=3)
    assert book.renew() == {"deep": ""}
    assert book.of("deep").calib_level == 3
    given[0] = settings_of(tmp_path / "other")
    assert "what it is made of cannot change while it runs" in book.renew()["deep"]
    given[0] = settings_of(tmp_path).model_copy(
        update=ObsCoreSettings.model_validate({"columns": {"mine": {"datatype": "int"}}}).__dict__
        | {"collections": settings_of(tmp_path).collections}
    )
    assert "columns that are added to ivoa.obscore cannot change" in book.renew()["deep"]
    given.clear()
    assert book.renew() == {"deep": "skylane.toml: nonsense: unknown key"}
    assert (book.of("deep").calib_level, old.calib_level) == (3, 2)


def test_the_running_line_makes_rows_anew_by_the_rules_that_hold(
    tmp_path, put, image_writer, make_backend
):
    data = tmp_path / "data"
    for name in ("a.fits", "b.fits"):
        image_writer(data / name)
    put("mapping = { obs_title = 'first {stem}' }")
    (tmp_path / "skylane-mapping.toml").rename(data / "skylane-mapping.toml")
    settings, source = settings_of(data), FolderSource(data, collection="deep")
    book = RuleBook(settings)
    store = RecordedRun(make_backend("sqlite").writer(), book, "watch", "here")
    notices: list[str] = []
    line = LiveLine(
        [source], [(PollingWatch([source], 0.02), [source])], store, settings,
        workers=1, book=book, notice=notices.append,
    )  # fmt: skip

    def titles() -> set[object]:
        files = store.files_after("", 10)
        return {one.row["obs_title"] for file in files for one in file.observations}

    def change(text: str) -> None:
        put(text)
        (tmp_path / "skylane-mapping.toml").rename(data / "skylane-mapping.toml")

    async def main() -> None:
        stop = asyncio.Event()
        running = asyncio.create_task(line.run(stop))
        await until(lambda: titles() == {"first a", "first b"} or running.done())
        change("mapping = { obs_titl = 'second {stem}' }")
        await until(lambda: any("mapping.obs_titl" in one for one in notices))
        assert titles() == {"first a", "first b"}
        change("mapping = { obs_title = 'second {stem}' }")
        await until(lambda: titles() == {"second a", "second b"} or running.done())
        change("mapping = { obs_title = 'first {stem}' }")
        await until(lambda: titles() == {"first a", "first b"} or running.done())
        stop.set()
        await running

    asyncio.run(main())
    runs = store.turn(lambda session: list_runs(session, 10))
    texts = [
        store.turn(lambda session: mapping_text(session, run.mappings["deep"]))  # noqa: B023
        for run in runs
    ]
    assert ["first" in text for text in texts] == [True, False, True]
    store.close()
