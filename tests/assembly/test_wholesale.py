"""A table that changes while it is watched is brought up to date as a run would."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest

from obscore.assembly.line import ingest
from obscore.assembly.live import LiveLine
from obscore.settings import ObsCoreSettings
from obscore.sources.choice import configured_source
from obscore.sources.polling import PollingWatch
from obscore.testing import unstamped

HEAD = "path,obs_id,s_ra,s_dec,s_region,calib_level,dataproduct_type"


@pytest.fixture
def table(tmp_path):
    """Give a function that puts a table of rows, by number and level, in its place at once."""

    def put(rows: dict[int, int], more: str = "") -> None:
        lines = [
            f"{n}.fits,o{n},{n % 300}.5,{n % 60},CIRCLE {n % 300}.5 {n % 60} 0.1,{level},image"
            for n, level in rows.items()
        ]
        (tmp_path / "aside").write_text("\n".join([HEAD, *lines, more]))
        (tmp_path / "aside").rename(tmp_path / "table.csv")

    return put


def settings_of(tmp_path) -> ObsCoreSettings:
    own = {"path": str(tmp_path / "table.csv"), "base": "https://files.example/d"}
    limits = {"poll_seconds": 0.02, "workers": 0}
    return ObsCoreSettings.model_validate(
        {"collections": {"sheet": {"table": own}}, "ingest": limits}
    )


async def until(true: Callable[[], object], running: asyncio.Task[object]) -> None:
    async with asyncio.timeout(60):
        while not true():
            assert not running.done(), running
            await asyncio.sleep(0.01)


def rows(store):
    return {
        file.uri: (file.mapping_digest, [unstamped(one) for one in file.observations])
        for file in store.files_after("", 10_000)
    }


def test_what_changes_comes_and_goes_is_as_after_a_run(tmp_path, table, make_backend):
    settings = settings_of(tmp_path)
    source = configured_source(settings, "sheet")
    store, other = make_backend("sqlite").writer(), make_backend("sqlite").writer()
    reports, notices, told = [], [], []
    line = LiveLine(
        [source], [(PollingWatch([source], 0.02), [source])], store, settings, workers=1,
        prune=True, report=reports.append, notice=notices.append,
        told=lambda summary, waiting: told.append((summary, waiting)),
    )  # fmt: skip

    def statuses() -> Counter[str]:
        return Counter(one.status for one in reports)

    async def main() -> None:
        stop = asyncio.Event()
        running = asyncio.create_task(line.run(stop))
        await until(lambda: any("is looked for again" in one for one in notices), running)
        table(dict.fromkeys(range(600), 2))
        await until(lambda: statuses()["added"] == 600, running)
        # Ten change, ten go, ten come, and one says nowhere where it lies.
        table({n: 3 if n < 10 else 2 for n in range(10, 610)} | dict.fromkeys(range(10), 3),
              ",nowhere,1,1,,2,image\n")  # fmt: skip
        await until(lambda: statuses()["updated"] == 10, running)
        table({n: 3 if n < 10 else 2 for n in range(590)})
        await until(lambda: statuses()["removed"] == 20, running)
        (tmp_path / "table.csv").unlink()
        await until(lambda: len(notices) == 2, running)
        table({n: 3 if n < 10 else 2 for n in range(590)})
        stop.set()
        await running

    asyncio.run(main())
    assert statuses() == {"added": 610, "updated": 10, "removed": 20, "refused": 1}
    assert line.summary.statuses == statuses()
    assert sum(summary.products for summary, _ in told) == 620
    assert {waiting for _, waiting in told} == {0}
    assert [one.reason for one in reports if one.status == "refused"] == ["row:uri"]
    ingest(source, other, settings, workers=0)
    assert rows(store) == rows(other)
    store.close()
    other.close()


def test_a_table_is_told_of_when_it_stays_as_it_is(tmp_path, table):
    source = configured_source(settings_of(tmp_path), "sheet")
    watch = PollingWatch([source], 0.0)
    table({1: 2})
    watch.begin()
    assert watch.changes(0.0) == []
    growing = tmp_path / "table.csv"
    for _ in range(3):
        growing.write_text(growing.read_text() + "\n")
        assert watch.changes(1.5) == []
    (change,) = [*watch.changes(1.5), *watch.changes(1.5)]
    assert change.kind == "missed"
    assert watch.changes(0.0) == []
    watch.close()
