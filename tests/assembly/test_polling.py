"""Polling of sources of any kind: what is told of them, and the running line on one."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from obscore.assembly.live import LiveLine
from obscore.assembly.report import FileReport
from obscore.settings import ObsCoreSettings
from obscore.sources import Candidate, Facts, Problem, Source
from obscore.sources.polling import PollingWatch
from obscore.sources.seen import Seen
from obscore.sources.watch import Change
from vodal.errors import UsageError
from vodal.storage import stat_local

ENOUGH_S = 60.0
VERSIONS = st.dictionaries(st.text("abc/é", max_size=3), st.sampled_from("123"), max_size=12)


class Shelf(Source):
    """Files that are told of, as by a table on a server: they appear whole, with facts."""

    collection, place, under_uri, passed_over = "shelf", "a shelf", "file:///", 0
    is_remote, is_scattered = True, True

    def __init__(self) -> None:
        self.files: dict[Path, Facts] = {}
        self.closed: set[str] = set()
        self.is_away = False

    @override
    def walk(self) -> Iterator[Candidate | Problem]:
        if self.is_away:
            raise UsageError("the shelf is not there")
        yield from (Problem(uri, "unreadable", "it is locked") for uri in sorted(self.closed))
        for path in sorted(self.files):
            if not path.as_uri().startswith(tuple(self.closed)):
                yield self._candidate(path)

    def _candidate(self, path: Path) -> Candidate:
        return Candidate(path.as_uri(), path.name, "shelf", stat_local(path), self.files[path])

    @override
    def holds(self, uri: str) -> bool:
        return uri.startswith("file:")

    @override
    def exists(self, uri: str) -> bool:
        return any(path.as_uri() == uri for path in self.files)

    @override
    def look(self, uri: str) -> Candidate | Problem | None:
        raise AssertionError("a source on a server is not asked for single files")

    @override
    def quiet_s(self, candidate: Candidate) -> float:
        return float("inf")

    @override
    def why_away(self, known: int) -> str:
        return "it is away" if self.is_away else ""


@given(st.lists(VERSIONS, max_size=5))
def test_what_walks_have_met_is_as_with_dictionaries(walks):
    seen, before = Seen(), dict[str, str]()
    for walk in walks:
        walked = seen.round()
        met = sorted(walk.items())
        news = set[str]()
        for start in range(0, len(met), 3):
            news |= walked.news(met[start : start + 3])
        assert news == {uri for uri, version in met if before.get(uri) != version}
        closed = ["a/"]
        gone = set(walked.gone(closed))
        assert gone == {uri for uri in before if uri not in walk and not uri.startswith("a/")}
        before = {uri: version for uri, version in before.items() if uri not in gone} | walk
        assert (walked.total, len(seen)) == (len(walk), len(before))
    seen.close()


@pytest.fixture
def shelf(tmp_path, image_writer) -> Shelf:
    made = Shelf()
    for name in ("a", "b", "c"):
        path = image_writer(tmp_path / name / f"{name}.fits")
        made.files[path] = {"visit": 1}
    return made


def test_changes_are_told_with_what_was_met(shelf):
    watch = PollingWatch([shelf], 0.0)
    watch.begin()
    a, b, c = shelf.files
    assert watch.changes(0.0) == []
    shelf.files[a] = {"visit": 2}
    b.write_bytes(b"other")
    told = watch.changes(0.0)
    assert told == [Change("begun", a.as_uri()), Change("begun", b.as_uri())]
    assert [one.found.facts for one in told] == [{"visit": 2}, {"visit": 1}]
    del shelf.files[b]
    assert watch.changes(0.0) == [Change("gone", b.as_uri())]
    # What cannot be looked into has not gone, and is told of once.
    shelf.closed = {c.parent.as_uri() + "/"}
    assert watch.changes(0.0) == [Change("begun", c.parent.as_uri() + "/")]
    assert watch.changes(0.0) == []
    shelf.closed = set()
    assert watch.changes(0.0) == []
    shelf.is_away = True
    assert watch.changes(0.0) == [Change("missed", "file:///")]
    assert watch.changes(0.0) == []
    shelf.is_away = False
    assert watch.changes(0.0) == [Change("missed", "file:///")]
    watch.close()


def test_an_interrupted_walk_tells_of_nothing_that_is_gone(shelf):
    watch = PollingWatch([shelf], 0.0)
    watch.begin()
    del shelf.files[next(iter(shelf.files))]
    watch.interrupt()
    assert watch.changes(0.0) == []
    watch.close()


def test_the_running_line_follows_a_source_on_a_server(shelf, make_backend, image_writer):
    """Its files are read when they are met, changed facts make new rows, and what goes is told."""
    limits = {"poll_seconds": 0.05, "settle_seconds": 1.0, "incomplete_seconds": 0.2}
    mapping = {"obs_id": "fact:visit"}
    settings = ObsCoreSettings.model_validate({"ingest": limits, "mapping": mapping})
    reports, notices = list[FileReport](), list[str]()
    store = make_backend("sqlite").writer()
    line = LiveLine(
        [shelf], [(PollingWatch([shelf], 0.05), [shelf])], store, settings, workers=1, prune=True,
        report=reports.append, notice=notices.append,
    )  # fmt: skip
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(line.run(stop)))
    thread.start()

    def told() -> list[tuple[str, str]]:
        return [(one.status, one.path or one.uri.rpartition("/")[2]) for one in reports]

    def until(*wanted: tuple[str, str]) -> None:
        end = time.monotonic() + ENOUGH_S
        while not set(wanted) <= set(told()):
            assert time.monotonic() < end, (wanted, told(), notices)
            time.sleep(0.02)

    try:
        a, b, c = shelf.files
        until(("added", "a.fits"), ("added", "b.fits"), ("added", "c.fits"))
        shelf.files[a] = {"visit": 7}
        until(("updated", "a.fits"))
        (found,) = [one for one in store.files_after("", 10) if one.uri == a.as_uri()]
        assert found.observations[0].row["obs_id"] == "7"
        short = image_writer(a.parent / "short.fits")
        short.write_bytes(short.read_bytes()[:2880])
        shelf.files = {**shelf.files, short: {}}
        until(("refused", "short.fits"))
        shelf.is_away = True
        shelf.files = {a: {"visit": 7}, c: {"visit": 1}}
        while not notices:
            time.sleep(0.02)
        assert notices == ["the shelf is not there; it is looked for again"]
        assert set(store.known_files()) == {a.as_uri(), b.as_uri(), c.as_uri()}
        shelf.is_away = False
        until(("removed", "b.fits"))
        assert set(store.known_files()) == {a.as_uri(), c.as_uri()}
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(ENOUGH_S)
        loop.close()
        store.close()
    assert not thread.is_alive()
    assert len(reports) == len(set(told()))
