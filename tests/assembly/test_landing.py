"""Which files that have landed may be read, by a clock that the tests set."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from obscore.assembly.landing import Expired, Landing
from obscore.assembly.refusal import Refusal
from obscore.settings import IngestSettings
from obscore.sources import Candidate, FolderSource, Problem
from obscore.sources.writers import is_being_written
from vodal.storage import local_path

SHORT = Refusal("truncated", "the data of HDU 0 ends 3 bytes early")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def source(tmp_path) -> FolderSource:
    (tmp_path / "deep").mkdir()
    return FolderSource(tmp_path / "deep")


@pytest.fixture
def landing(clock) -> Landing:
    return Landing(IngestSettings(settle_seconds=2.0, incomplete_seconds=30.0), clock)


def write(source, name: str, content: bytes) -> str:
    path = source.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path.as_uri()


def due(landing, clock, seconds: float) -> list[tuple[str, str]]:
    """Let time pass in small steps; give what came of it."""
    found = []
    for _ in range(round(seconds / 0.25)):
        clock.now += 0.25
        found += [(type(item).__name__, Path(uri).name) for _, uri, item in landing.due()]
    return found


def test_what_its_writer_has_closed_is_read_at_once(landing, source):
    uri = write(source, "a.fits", b"x" * 10)
    found = landing.arrive(source, uri, whole=True)
    assert isinstance(found, Candidate)
    assert (found.relative, found.stat.size_bytes) == ("a.fits", 10)
    assert len(landing) == 0


def test_what_may_grow_is_read_when_it_has_stayed_the_same(landing, source, clock):
    uri = write(source, "night/a.fits", b"x")
    assert landing.arrive(source, uri, whole=False) is None
    for size in range(2, 6):
        assert due(landing, clock, 1.75) == []
        write(source, "night/a.fits", b"x" * size)
    assert due(landing, clock, 2.0) == []  # that look met another size
    assert due(landing, clock, 2.0) == [("Candidate", "a.fits")]
    assert due(landing, clock, 10.0) == []


def test_a_file_of_its_final_size_that_is_still_written_is_waited_for(landing, source, clock):
    uri = write(source, "a.fits", bytes(100))
    assert landing.arrive(source, uri, whole=False) is None
    for second in range(5):
        os.utime(local_path(uri), ns=(10**18, 10**18 + second))  # as pages are written in place
        assert due(landing, clock, 1.75) == []
    assert due(landing, clock, 4.0) == [("Candidate", "a.fits")]


def test_being_told_again_of_the_same_does_not_begin_the_wait_anew(landing, source, clock):
    uri = write(source, "a.fits", b"x")
    found = []
    for _ in range(10):
        assert landing.arrive(source, uri, whole=False) is None
        found += due(landing, clock, 0.5)
    assert found[0] == ("Candidate", "a.fits")


def test_a_short_file_waits_until_it_changes_or_its_time_is_over(landing, source, clock):
    uri = write(source, "a.fits", b"x")
    candidate = landing.arrive(source, uri, whole=True)
    landing.short(source, candidate, SHORT)
    assert due(landing, clock, 25.0) == []
    write(source, "a.fits", b"xx")
    assert due(landing, clock, 4.25) == [("Candidate", "a.fits")]
    # It is short again, since its last change.
    (candidate,) = source.__class__(source.root, start=source.root / "a.fits").walk()
    landing.short(source, candidate, SHORT)
    assert due(landing, clock, 25.0) == []
    assert due(landing, clock, 8.0) == [("Expired", "a.fits")]
    assert due(landing, clock, 60.0) == []
    # When it changes after that it is a file as any other.
    write(source, "a.fits", b"xxx")
    assert isinstance(landing.arrive(source, uri, whole=True), Candidate)


def test_closing_a_short_file_again_does_not_give_it_more_time(landing, source, clock):
    uri = write(source, "a.fits", b"x")
    found = []
    for _ in range(20):
        landing.short(source, landing.arrive(source, uri, whole=True), SHORT)
        found += due(landing, clock, 2.0)
    assert found[0] == ("Expired", "a.fits")


def test_the_refusal_that_was_waited_for_is_the_one_that_is_told(landing, source, clock):
    uri = write(source, "a.fits", b"x")
    landing.short(source, landing.arrive(source, uri, whole=True), SHORT)
    clock.now += 100.0
    ((_, _, expired),) = landing.due()
    assert isinstance(expired, Expired)
    assert expired.refusal is SHORT


def test_what_changed_while_it_was_read_settles_first(landing, source, clock):
    uri = write(source, "a.fits", b"x")
    candidate = landing.arrive(source, uri, whole=True)
    landing.short(source, candidate, Refusal("changed", "the file changed while it was read"))
    assert due(landing, clock, 1.75) == []
    assert due(landing, clock, 0.5) == [("Candidate", "a.fits")]


def test_files_that_go_are_not_waited_for(landing, source, clock):
    uri = write(source, "a.fits", b"x")
    landing.arrive(source, uri, whole=False)
    local_path(uri).unlink()
    assert due(landing, clock, 5.0) == []
    assert len(landing) == 0
    assert landing.arrive(source, uri, whole=True) is None


@pytest.mark.parametrize(
    "name", [".a.fits", ".a.fits.Xq3d81", "a.fits.tmp", "a.fits.part", ".stage/a.fits", "a.txt"]
)
def test_names_under_which_files_are_written_are_passed_over(landing, source, name):
    uri = write(source, name, b"x")
    assert landing.arrive(source, uri, whole=True) is None
    assert landing.arrive(source, uri, whole=False) is None
    assert len(landing) == 0


def test_a_second_name_of_a_file_is_none_of_its_own(landing, source, tmp_path):
    uri = write(source, "a.fits", b"x")
    assert isinstance(landing.arrive(source, uri, whole=True), Candidate)
    os.link(local_path(uri), source.root / "b.fits")
    (source.root / "c.fits").symlink_to(local_path(uri))
    (tmp_path / "aside.fits").write_bytes(b"x")
    (source.root / "d.fits").symlink_to(tmp_path / "aside.fits")
    assert isinstance(landing.arrive(source, uri, whole=True), Candidate)
    for name in ("b.fits", "c.fits"):
        found = landing.arrive(source, (source.root / name).as_uri(), whole=True)
        assert isinstance(found, Problem)
        assert (found.reason, "a.fits" in found.message) == ("duplicate", True)
    assert isinstance(
        landing.arrive(source, (source.root / "d.fits").as_uri(), whole=True), Candidate
    )
    # The other name is the first when that one is gone.
    local_path(uri).unlink()
    found = landing.arrive(source, (source.root / "b.fits").as_uri(), whole=True)
    assert isinstance(found, Candidate)


def test_at_the_start_old_files_are_ready_and_young_ones_settle(source, clock):
    write(source, "a.fits", b"x")
    (candidate,) = source.walk()
    patient = Landing(IngestSettings(settle_seconds=3600.0), clock)
    assert patient.resume(source, candidate) is None
    assert len(patient) == 1
    hasty = Landing(IngestSettings(settle_seconds=0.0), clock)
    assert hasty.resume(source, candidate) is candidate


@pytest.fixture
def foreign(monkeypatch):
    """Have the kernel not tell who writes, as of files of another user."""
    monkeypatch.setattr("obscore.assembly.landing.is_being_written", lambda _: None)


def test_what_a_process_has_open_for_writing_is_waited_for_however_long_it_pauses(
    landing, source, clock
):
    uri = write(source, "a.fits", b"x" * 100)
    for whole in (False, True):
        with local_path(uri).open("r+b"):
            assert landing.arrive(source, uri, whole=whole) is None
            assert due(landing, clock, 100.0) == []
            (candidate,) = source.walk()
            assert landing.resume(source, candidate) is None
        assert due(landing, clock, 2.5) == [("Candidate", "a.fits")]
        landing.forget(uri)
    with local_path(uri).open("rb"):
        assert isinstance(landing.arrive(source, uri, whole=True), Candidate)


def test_without_the_kernels_word_the_end_of_writing_is_waited_for_that_will_be_told(
    landing, source, clock, foreign
):
    uri = write(source, "a.fits", b"x")
    assert landing.arrive(source, uri, whole=False, opened=True) is None
    assert due(landing, clock, 29.0) == []
    assert isinstance(landing.arrive(source, uri, whole=True), Candidate)
    landing.forget(uri)
    # It will not be told of what was there before, nor, for sure, of all that is made.
    assert landing.arrive(source, uri, whole=False) is None
    assert due(landing, clock, 2.5) == [("Candidate", "a.fits")]
    landing.forget(uri)
    assert landing.arrive(source, uri, whole=False, opened=True) is None
    assert due(landing, clock, 32.5) == [("Candidate", "a.fits")]


def test_a_writer_in_another_process_is_known_until_it_ends(source):
    uri = write(source, "a.fits", b"x")
    path = str(local_path(uri))
    assert is_being_written(path) is False
    hold = "import sys; file = open(sys.argv[1], 'ab'); print(flush=True); sys.stdin.read()"
    writer = subprocess.Popen(
        [sys.executable, "-c", hold, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    writer.stdout.readline()
    assert is_being_written(path) is True
    writer.kill()
    writer.communicate()
    assert is_being_written(path) is False
    assert is_being_written(f"{path}.none") is None
    # Others open the file meanwhile without noticing, nor does this process.
    stop = time.monotonic() + 0.3
    asking = threading.Thread(
        target=lambda: [
            is_being_written(path) for _ in iter(lambda: time.monotonic() < stop, False)
        ]
    )
    asking.start()
    while time.monotonic() < stop:
        with local_path(uri).open("ab") as file:
            file.write(b"x")
    asking.join()
    assert is_being_written(path) is False
