"""Catalogues copied between stores of every kind."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from obscore.store.copy import copy_catalogue
from obscore.store.runs import begin_run, keep_mapping
from obscore.store.tombstones import Why
from obscore.testing import make_catalogue, make_file, make_observation
from vodal.errors import ArchiveError, ServiceUnavailable, UsageError
from vodal.regions import Circle, Range

FILES = [
    *make_catalogue(1020, products_per_file=1),
    make_file(
        "file:///odd",
        make_observation("ivo://x/y?odd", None, calib_level=0, filter=None, obs_title="it's é"),
        make_observation("ivo://x/y?wide", Range(0.0, 360.0, -10.0, 90.0), s_xel1=2**40),
        make_observation("ivo://x/y?circle", Circle(1 / 3, -89.99, 0.1), position=(1 / 3, 0.1)),
    ),
    make_file("file:///none"),
]
"""More than two pages."""


@pytest.fixture
def opened():
    """Close what a test opens."""
    stores = []

    def open_case(case):
        stores.append(case.open())
        return stores[-1]

    yield open_case
    for store in stores:
        store.close()


def content(store):
    return list(
        itertools.chain.from_iterable(
            store.files_after(uri, 1000)
            for uri in ("", "file:///survey/exp0000500.fits", "file:///survey/exp0001000.fits")
        )
    )


@pytest.mark.parametrize(("one", "other"), [("sqlite", "postgres"), ("postgres", "sqlite")])
def test_a_copy_is_equal_to_the_last_bit(one, other, make_case, opened):
    source_case, target_case = make_case(one), make_case(other)
    source, target = opened(source_case), opened(target_case)
    source.write([replace(file, run_id=1) for file in FILES])
    source.remove([FILES[0].uri], Why("vanished"))
    source.retract([FILES[1].observations[0].did], Why("retracted", "wrong", "ann"))
    source.write(FILES[:2])
    source.turn(lambda session: keep_mapping(session, "d", "text"))
    source.turn(lambda session: begin_run(session, "ingest", "skylane ingest", "1", "2026-01-01"))
    told = []
    done = copy_catalogue(source, target, progress=lambda *of: told.append(of))
    assert (done.files, done.products, done.passed_over) == (1022, 1022, 0)
    assert told[-1] == (1022, 1022)
    assert len(told) == 3
    written = {file.uri: file for file in source.files_after("", 2000)}
    assert list(written) == sorted(file.uri for file in FILES)
    assert {file.uri: file for file in target.files_after("", 2000)} == written
    assert source_case.counts() == target_case.counts()
    for table in ("facets", "tombstones", "mappings", "runs"):
        rows = f"SELECT * FROM {table} ORDER BY 1"
        assert source_case.rows(rows) == target_case.rows(rows), table
        assert source_case.rows(rows)
    # What was retracted stays away from the copy too.
    assert target.write(FILES[:2]) == {FILES[1].observations[0].did}


def test_files_are_read_back_as_they_were_written(store):
    store.write(FILES)
    read = {file.uri: file for file in store.files_after("", 2000)}
    for file in FILES:
        back = read[file.uri]
        assert (back.index, back.mapping_digest) == (file.index, file.mapping_digest)
        assert [item.region for item in back.observations] == [
            item.region for item in file.observations
        ]
        for now, then in zip(back.observations, file.observations, strict=True):
            assert now.hdus == then.hdus
            assert {name: now.row[name] for name in then.row} == dict(then.row)
    assert [file.uri for file in store.files_after("file:///odd", 2)] == [
        "file:///survey/exp0000000.fits", "file:///survey/exp0000001.fits",
    ]  # fmt: skip
    assert store.files_after("file:///z", 2) == []


class Failing:
    """Writes some batches, then fails."""

    def __init__(self, store, batches: int) -> None:
        self._store, self._left = store, batches

    def __getattr__(self, name):
        return getattr(self._store, name)

    def write(self, files):
        if not self._left:
            raise ServiceUnavailable("gone")
        self._left -= 1
        self._store.write(files)


def test_a_copy_that_was_interrupted_is_resumed(case, make_case, opened):
    source, target = opened(make_case("sqlite")), opened(case)
    source.write(FILES)
    with pytest.raises(ServiceUnavailable):
        copy_catalogue(source, Failing(target, 1))
    assert len(target.known_files()) == 500
    with pytest.raises(UsageError, match=r"holds 500 files already; .* --resume"):
        copy_catalogue(source, target)
    # Meanwhile one that was copied has changed.
    changed = make_file("file:///odd", make_observation("ivo://x/y?odd", None), version="v2")
    source.write([changed])
    done = copy_catalogue(source, target, resume=True)
    assert (done.files, done.passed_over) == (523, 499)
    assert target.known_files() == source.known_files()


def test_a_source_that_is_written_to_meanwhile_is_told(make_case, opened):
    source, target = opened(make_case("sqlite")), opened(make_case("sqlite"))
    source.write(FILES[:600])
    late = make_file("file:///a", make_observation("ivo://x/y?late", None))
    with pytest.raises(ArchiveError, match=r"1 files differ .* file:///a first"):
        copy_catalogue(source, target, progress=lambda *_: source.write([late]))
    copy_catalogue(source, target, resume=True)
    assert target.known_files() == source.known_files()
