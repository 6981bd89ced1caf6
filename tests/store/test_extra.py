"""Columns that a site adds to ``ivoa.obscore``, in stores of every kind."""

from __future__ import annotations

from dataclasses import replace

import pytest

from obscore.columns import COLUMN_NAMES, ObsCoreColumn
from obscore.explain.explanation import Finding
from obscore.store import extra as stored
from obscore.store.copy import copy_catalogue
from obscore.store.postgres import store as postgres_store
from obscore.testing import make_file, make_observation
from vodal.errors import ReplacedError, ServiceUnavailable, UsageError
from vodal.regions import Circle
from vodal.tables.columns import Column

KINDS = ("sqlite", "postgres")


def added(name, datatype="double", *, indexed=False, **more):
    arraysize = "*" if datatype == "char" else None
    column = Column(name, datatype, arraysize, **more)
    return ObsCoreColumn(column, mandatory=False, nullable=True, indexed=indexed)


AIRMASS = added("airmass", unit=None, ucd="obs.airMass", description="At the start")
VISIT = added("visit", "long", indexed=True)
NIGHT = added("night", "char")
FLAGS = [added("good", "boolean"), added("chip", "short"), added("seq", "int"),
         added("seeing", "float", unit="arcsec")]  # fmt: skip


def files(count=700, **values):
    """Give files whose every third product lacks all that is given by a function of its number."""
    return [
        make_file(
            f"file:///x/{n:04}.fits",
            make_observation(
                f"ivo://x/y?{n}", Circle(10.0, 5.0, 0.1), position=(10.0, 5.0), obs_id=f"{n:04}",
                **({} if n % 3 == 2 else {name: of(n) for name, of in values.items()}),
            ),
        )
        for n in range(count)
    ]  # fmt: skip


@pytest.fixture(params=KINDS)
def backend(request, make_backend):
    return make_backend(request.param)


@pytest.fixture
def writer(backend):
    opened = backend.writer()
    yield opened
    opened.close()


@pytest.fixture
def ask(backend):
    """Give a function that runs a query as the service does; gives names and rows."""
    engine = backend.engine(connections=1, wait_s=10.0, batch_rows=300)

    def run(query):
        schema = engine.published(renewed=True).schema
        translated = engine.translate(query, schema)
        batches = engine.batches(translated, translated.columns, base_url="http://x")
        columns = [column.name for column in translated.columns]
        rows = [tuple(row.values()) for batch in batches for row in batch.to_pylist()]
        return columns, rows

    run.engine = engine
    yield run
    engine.close()


def test_values_come_back_in_queries_of_every_kind(writer, ask):
    declared = [AIRMASS, VISIT, NIGHT, *FLAGS]
    names = tuple(item.name for item in declared)
    assert writer.declare(declared).added == names
    made = files(
        airmass=lambda n: 1.0 + n / 1000, visit=lambda n: 2**40 + n,
        night=lambda n: f"n\u00e9 {n % 4}", good=lambda n: n % 2 == 0,
        chip=lambda n: n % 30 - 15, seq=lambda n: n, seeing=lambda _: 0.5,
    )  # fmt: skip
    writer.write(made)
    columns, rows = ask("SELECT * FROM ivoa.obscore ORDER BY obs_id")
    assert tuple(columns) == COLUMN_NAMES + names
    assert [row[len(COLUMN_NAMES) :] for row in rows] == [
        tuple(file.observations[0].row.get(name) for name in names) for file in made
    ]
    assert ask("SELECT obs_id FROM ivoa.obscore WHERE airmass > 1.69 ORDER BY airmass DESC")[1] == [
        (f"{n:04}",) for n in range(699, 690, -1) if n % 3 != 2
    ]
    _, counted = ask(
        "SELECT night, COUNT(*), MAX(seq) FROM ivoa.obscore GROUP BY night ORDER BY night"
    )
    assert counted[0] == (None, 233, None)
    assert sum(row[1] for row in counted) == 700
    assert [row[0] for row in counted[1:]] == [f"n\u00e9 {n}" for n in range(4)]
    assert ask("SELECT COUNT(*) FROM ivoa.obscore WHERE good = 1 AND chip IS NOT NULL")[1] == [
        (233,)
    ]
    read = [one for file in writer.files_after("", 1000) for one in file.observations]
    for one, file in zip(read, made, strict=True):
        wanted = file.observations[0].row
        assert {name: one.row[name] for name in names} == {name: wanted.get(name) for name in names}


def test_tap_schema_tells_of_them(writer, ask):
    writer.declare([AIRMASS, VISIT])
    _, rows = ask(
        "SELECT column_name, datatype, ucd, description, indexed, std, column_index"
        " FROM TAP_SCHEMA.columns WHERE table_name = 'ivoa.obscore' ORDER BY column_index"
    )
    count = len(COLUMN_NAMES)
    assert rows[count:] == [
        ("airmass", "double", "obs.airMass", "At the start", 0, 0, count),
        ("visit", "long", None, None, 1, 0, count + 1),
    ]


def test_an_index_answers_conditions(writer, ask):
    writer.declare([AIRMASS, VISIT])
    writer.write(files(2000, airmass=lambda n: n / 100, visit=lambda n: n))
    if hasattr(writer, "address"):
        writer.turn(lambda session: session(stored.text("ANALYZE obscore")))

    def finding(column):
        schema = ask.engine.published(renewed=True).schema
        query = f"SELECT obs_id FROM ivoa.obscore WHERE {column} = 3"
        (reading,) = ask.engine.explain(ask.engine.translate(query, schema)).readings
        return reading.finding

    assert (finding("visit"), finding("airmass")) == (Finding.INDEX, Finding.ALL)
    changes = writer.declare([replace(AIRMASS, indexed=True), replace(VISIT, indexed=False)])
    assert changes == ((), (), ("airmass", "visit"))
    assert (finding("visit"), finding("airmass")) == (Finding.ALL, Finding.INDEX)
    assert ask("SELECT COUNT(visit) FROM ivoa.obscore")[1] == [(1334,)]


def test_columns_come_and_go_on_a_store_with_rows(writer, ask):
    writer.write(files(3))
    known = writer.known_files()
    assert writer.declare([]) == ((), (), ())
    assert writer.declare([NIGHT, AIRMASS]) == (("night", "airmass"), (), ())
    assert writer.declare([NIGHT, AIRMASS]) == ((), (), ())
    # All files count as changed, so that a run gives them the values.
    now = writer.known_files()
    assert {one.mapping_digest for one in known.values()} == {"digest"}
    assert {one.mapping_digest for one in now.values()} == {"digest+"}
    writer.write(files(3, night=lambda n: f"n{n}", airmass=lambda _: 1.5))
    assert writer.declare([AIRMASS, NIGHT]) == ((), (), ())
    columns, rows = ask("SELECT * FROM ivoa.obscore ORDER BY obs_id")
    assert columns[-2:] == ["airmass", "night"]
    assert [row[-2:] for row in rows] == [(1.5, "n0"), (1.5, "n1"), (None, None)]
    described = added("airmass", ucd="obs.airMass", description="Of all")
    assert writer.declare([described, NIGHT]).described == ("airmass",)
    assert writer.extra_columns() == (described, NIGHT)
    scaled = added("airmass", unit="%")
    assert writer.declare([scaled]) == (("airmass",), ("airmass", "night"), ())
    assert ask("SELECT airmass FROM ivoa.obscore")[1] == [(None,)] * 3
    assert writer.declare([]).removed == ("airmass",)
    assert tuple(ask("SELECT * FROM ivoa.obscore")[0]) == COLUMN_NAMES


def test_a_query_of_a_column_that_went_meanwhile_is_to_be_asked_again(writer, ask):
    writer.declare([AIRMASS])
    writer.write(files(3, airmass=lambda _: 1.5))
    engine = ask.engine
    translated = engine.translate(
        "SELECT airmass FROM ivoa.obscore", engine.published(renewed=True).schema
    )
    writer.declare([])
    # The next one is not taken for it.
    writer.declare([added("seeing")])
    with pytest.raises(ReplacedError, match="ask again"):
        list(engine.batches(translated, translated.columns, base_url=""))


def test_a_row_has_changed_if_an_added_value_has(writer, ask):
    writer.declare([AIRMASS])

    def stamps(**values):
        writer.write(files(4, **values))
        return dict(ask("SELECT obs_id, last_modified FROM ivoa.obscore")[1])

    first = stamps(airmass=lambda _: 1.5)
    assert stamps(airmass=lambda _: 1.5) == first
    later = stamps(airmass=lambda n: 1.5 if n else 1.6)
    assert [key for key in first if later[key] != first[key]] == ["0000"]


def test_what_does_not_fit_is_refused_by_its_name(writer):
    writer.declare([added("chip", "short"), NIGHT, added("name", "char", indexed=True)])
    for values, words in (
        ({"chip": 40_000}, "chip of a product of file:///a is no short"),
        ({"name": "x" * 3000}, "name of a product of file:///a is longer than"),
    ):
        file = make_file("file:///a", make_observation("ivo://x/y?a", None, **values))
        with pytest.raises(UsageError, match=words):
            writer.write([file])
    assert writer.known_files() == {}
    file = make_file("file:///a", make_observation("ivo://x/y?a", None, night="a\0b", chip=None))
    writer.write([file])
    assert writer.file_at("file:///a").observations[0].row["night"] == "a?b"


@pytest.mark.parametrize(("one", "other"), [("sqlite", "postgres"), ("postgres", "sqlite")])
def test_copies_have_them(one, other, make_backend):
    source, target = (make_backend(kind).writer() for kind in (one, other))
    try:
        source.declare([AIRMASS, VISIT])
        source.write(files(5, airmass=lambda n: n / 7, visit=lambda n: n))
        target.declare([added("visit", "char")])
        copy_catalogue(source, target)
        assert target.extra_columns() == (AIRMASS, VISIT)
        assert target.files_after("", 10) == source.files_after("", 10)
        # One that lacks a column is no copy that can be gone on with as it is.
        target.declare([AIRMASS])
        assert copy_catalogue(source, target, resume=True).files == 5
        assert copy_catalogue(source, target, resume=True).files == 0
        assert target.files_after("", 10) == source.files_after("", 10)
    finally:
        source.close()
        target.close()


def test_columns_are_not_changed_beneath_a_long_query(make_backend, monkeypatch):
    backend = make_backend("postgres", files(2000))
    monkeypatch.setattr(postgres_store, "_SQL_LOCK_SOON", "SET LOCAL lock_timeout = '50ms'")
    monkeypatch.setattr(postgres_store, "_LOCK_TRIES", 2)
    engine = backend.engine(connections=1, wait_s=10.0, batch_rows=300)
    writer = backend.writer()
    schema = engine.published().schema
    translated = engine.translate("SELECT a.* FROM ivoa.obscore AS a, ivoa.obscore AS b", schema)
    running = engine.batches(translated, translated.columns, base_url="")
    next(running)
    with pytest.raises(ServiceUnavailable, match="cannot be changed while long queries read it"):
        writer.declare([AIRMASS])
    assert writer.extra_columns() == ()
    running.close()
    engine.close()
    assert writer.declare([AIRMASS]).added == ("airmass",)
    writer.close()
