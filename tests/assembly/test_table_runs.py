"""Tables by column, in processes of their own: the same catalogue as file by file."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from obscore.assembly import line
from obscore.assembly.line import ingest
from obscore.assembly.readers import MakingReaders, PoolReaders
from obscore.assembly.rules import rules_for
from obscore.settings import ObsCoreSettings
from obscore.sources.choice import configured_sources
from obscore.sources.columns import CandidateColumns
from obscore.sources.table import rows as table_rows
from obscore.store.sqlite.store import SqliteStore
from obscore.testing import unstamped
from vodal.errors import ArchiveError
from vodal.pool import WarmPool

COUNT = 260


def columns() -> dict[str, list[object]]:
    """Give a table whose rows are plain but for some."""
    number = range(COUNT)
    corners = [
        [(at % 300 + 0.1, 10.1), (at % 300 + 0.3, 10.1), (at % 300 + 0.3, 10.3),
         (at % 300 + 0.1, 10.3)] for at in number
    ]  # fmt: skip
    made = {
        "path": [f"night {at // 50}/{at}.fits" for at in number],
        "s_ra": [at % 300 + 0.2 for at in number],
        "s_dec": [10.2] * COUNT,
        "s_region": [
            "POLYGON ICRS " + " ".join(f"{a:g} {b:g}" for a, b in some[:: 1 - 2 * (at % 2)])
            for at, some in enumerate(corners)
        ],
        "t_min": [60000.0 + at for at in number],
        "t_exptime": [30.0 + at % 7 for at in number],
        "filter": ["gri"[at % 3] for at in number],
        "target_name": [f"field {at % 9}" for at in number],
    }
    made["s_dec"][3] = 80.0  # outside
    made["path"][60] = ""  # nowhere
    made["path"][150] = made["path"][149]  # two products of one file, which must differ
    made["s_region"][100] = "CIRCLE ICRS 100.2 10.2 0.5"
    made["path"][199] = made["path"][198] = made["path"][7]  # scattered
    return made


def write(folder: Path, table: dict[str, list[object]]) -> ObsCoreSettings:
    pq.write_table(pa.table(table), folder / "table.parquet")
    own = {"path": str(folder / "table.parquet"), "base": "https://archive.example/d"}
    return ObsCoreSettings.model_validate({"collections": {"raw": {"table": own}}})


class OneByOne:
    """A source that gives what another does, and nothing by column."""

    def __init__(self, source) -> None:
        self._source = source

    def __getattr__(self, name: str):
        if name == "pages":
            raise AttributeError(name)
        return getattr(self._source, name)


def run(store, settings, *, slowly=False, **options):
    (source,) = configured_sources(settings)
    told = []
    source = OneByOne(source) if slowly else source
    summary = ingest(source, store, settings, report=told.append, **options)
    return summary, sorted(told, key=lambda one: (one.uri, one.message))


def content(store) -> list[object]:
    return [
        replace(file, run_id=None, observations=tuple(map(unstamped, file.observations)))
        for file in store.files_after("", 10_000)
    ]


@pytest.fixture(params=[PoolReaders, MakingReaders])
def processes_at_once(request, monkeypatch):
    """Rows are made in processes from the first on, or once one is there; dozens at a time."""
    monkeypatch.setattr(line, "_FEW", 0)
    monkeypatch.setattr(line, "MakingReaders", request.param)
    monkeypatch.setattr(table_rows, "_BATCH_ROWS", 40)


def test_a_table_by_column_is_the_catalogue_of_its_files_one_by_one(tmp_path, processes_at_once):
    table = columns()
    quick, slow = SqliteStore(tmp_path / "quick.db"), SqliteStore(tmp_path / "slow.db")
    for is_changed in (False, True):
        if is_changed:
            table["filter"][20:120] = table["filter"][21:121]
            table["t_exptime"][230:240] = [-1.0] * 10
        settings = write(tmp_path, table)
        summary, told = run(quick, settings, workers=1)
        wanted, each = run(slow, settings, slowly=True, workers=0)
        assert told == each
        assert replace(summary, seconds=0.0, refused=[]) == replace(wanted, seconds=0.0, refused=[])
        assert content(quick) == content(slow)
    assert summary.statuses["updated"] > 50
    assert summary.statuses["unchanged"] > 100
    assert summary.reasons.keys() == {
        "row:scattered", "row:position", "row:uri", "identifier", "row:not-negative"
    }  # fmt: skip
    quick.close()
    slow.close()


def test_rows_are_made_here_until_a_process_has_started(tmp_path, monkeypatch):
    settings = write(tmp_path, columns())
    monkeypatch.setattr(table_rows, "_BATCH_ROWS", 40)
    (source,) = configured_sources(settings)
    page = next(page for page in list(source.pages()) if isinstance(page, CandidateColumns))
    rules = rules_for(settings, "raw")

    async def make():
        async with MakingReaders(1, settings.ingest) as readers:
            here = await readers.make(page, rules)
            assert readers._pool.stats.answered == 0
            await readers._start
            return here, await readers.make(page, rules), readers._pool.stats.answered

    here, there, answered = asyncio.run(make())
    assert here == there
    assert here.columns
    assert answered == 1


def test_a_process_that_cannot_start_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(line, "_FEW", 0)
    monkeypatch.setattr(table_rows, "_BATCH_ROWS", 5)
    settings = write(tmp_path, columns())

    class Failing(MakingReaders):
        def __init__(self, *args):
            super().__init__(*args)
            self._pool = WarmPool(1, preload=("no_such_module",), name="header reading")

        async def make(self, candidates, rules):
            await asyncio.wait([self._start])
            return await super().make(candidates, rules)

    monkeypatch.setattr(line, "MakingReaders", Failing)
    store = SqliteStore(tmp_path / "a.db")
    with pytest.raises(ArchiveError, match="could not start"):
        run(store, settings, workers=1)
    store.close()


class Deadly:
    """What the process dies of that is given it."""

    def __reduce__(self):
        return (os._exit, (3,))


def test_a_row_that_a_process_dies_of_costs_itself_alone(tmp_path):
    settings = write(tmp_path, columns())
    (source,) = configured_sources(settings)
    page = next(iter(source.pages()))
    some = page[:3]
    facts = {**some[0].parts[0].facts, "deadly": None}
    deadly = CandidateColumns(
        "raw", some[0].stat, [one.uri for one in some], [one.relative for one in some],
        {name: [one.parts[0].facts.get(name) for one in some] for name in facts},
        ["row 1", "row 2", "row 3"],
    )  # fmt: skip
    deadly.facts["deadly"][1] = Deadly()

    async def make():
        limits = settings.ingest
        async with PoolReaders(1, limits) as readers:
            return await readers.make(deadly, rules_for(settings, "raw"))

    made = asyncio.run(make())
    assert not made.columns
    outcomes = dict(made.others)
    assert outcomes[1].refusal.reason == "crashed"
    assert outcomes[0].file.uri == some[0].uri
    assert outcomes[2].file.uri == some[2].uri
