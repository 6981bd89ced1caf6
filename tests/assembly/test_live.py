"""The running line: what lands is catalogued when it is whole, as a run would catalogue it."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from obscore.assembly.line import ingest
from obscore.assembly.live import LiveLine
from obscore.assembly.report import FileReport, Summary
from obscore.settings import ObsCoreSettings
from obscore.sources import FolderSource
from obscore.sources.inotify import InotifyWatch
from obscore.sources.polling import PollingWatch
from obscore.store.base import Backend, Store
from obscore.testing import unstamped
from vodal.errors import ArchiveError, ServiceUnavailable
from vodal.fits.scan import scan_file

ENOUGH_S = 90.0
LIMITS = {"settle_seconds": 0.3, "incomplete_seconds": 1.5, "poll_seconds": 0.1, "batch_files": 50}
DEEP = {"files": [{"pattern": "skipped/*", "skip": True}]}
SETTINGS = ObsCoreSettings.model_validate({"collections": {"deep": DEEP}, "ingest": LIMITS})


class Running:
    """A line in a thread, until it is told to stop."""

    def __init__(
        self, root: Path, store: Store, how: str = "inotify", *, workers: int = 1, **options: bool
    ) -> None:
        self.root, self.store = root, store
        self.reports: list[FileReport] = []
        self.batches: list[tuple[Summary, int]] = []
        self.notices: list[str] = []
        self.error: BaseException | None = None
        source = FolderSource(root, collection="deep")
        watch = PollingWatch([source], 0.1) if how == "polling" else InotifyWatch([source])
        self._line = LiveLine(
            [source], [(watch, [source])], store, SETTINGS, workers=workers,
            report=self.reports.append, notice=self.notices.append,
            told=lambda summary, waiting: self.batches.append((summary, waiting)), **options,
        )  # fmt: skip
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._ready.wait(ENOUGH_S)

    def _run(self) -> None:
        async def main() -> None:
            self._stop, self._loop = asyncio.Event(), asyncio.get_running_loop()
            self._ready.set()
            await self._line.run(self._stop)

        try:
            asyncio.run(main())
        except BaseException as error:  # noqa: BLE001 - told to the test
            self.error = error

    def stop(self) -> Summary:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(ENOUGH_S)
        assert not self._thread.is_alive()
        return self._line.summary

    def until(self, true: Callable[[], object], what: str = "") -> None:
        end = time.monotonic() + ENOUGH_S
        while not true():
            assert self._thread.is_alive(), self.error
            assert time.monotonic() < end, (what, self.reports[-5:], self.notices)
            time.sleep(0.02)

    def known(self, path: Path) -> bool:
        return path.as_uri() in self.store.known_among([path.as_uri()])

    def told_of(self, path: Path) -> list[tuple[str, str]]:
        uri = path.as_uri()
        return [(report.status, report.reason) for report in self.reports if report.uri == uri]


def contents(store: Store) -> dict[str, object]:
    """Give all that a store holds, but for its internal numbers."""
    files = store.files_after("", 100_000)
    return {
        file.uri: (
            file.collection, file.mapping_digest, file.modified_unix_s, file.index.to_bytes(),
            [unstamped(one) for one in file.observations],
        )
        for file in files
    }  # fmt: skip


def fresh_contents(root: Path, backend: Backend) -> dict[str, object]:
    """Give what a plain run over a folder puts into an empty store."""
    store = backend.writer()
    ingest(FolderSource(root, collection="deep"), store, SETTINGS, workers=0)
    made = contents(store)
    store.close()
    return made


@pytest.fixture(scope="module")
def image(tmp_path_factory, write_image) -> bytes:
    """Give the bytes of an image of 16 kB."""
    return write_image(tmp_path_factory.mktemp("image") / "a.fits", shape=(40, 60)).read_bytes()


@pytest.fixture(
    scope="module",
    params=["inotify-sqlite", "inotify-postgres", "polling-sqlite"],
)
def line(request, tmp_path_factory, make_backend):
    how, kind = request.param.split("-")
    root = tmp_path_factory.mktemp("live") / "deep"
    root.mkdir()
    store = make_backend(kind).writer()
    running = Running(root, store, how)
    yield running
    running.stop()
    store.close()
    assert running.error is None


def test_a_file_is_catalogued_when_it_is_whole_and_never_before(line, image):
    path = line.root / "slow" / "a.fits"
    path.parent.mkdir()
    most = len(image) - 2880 - 10  # the last pixels lie there: padding is not waited for
    with path.open("wb") as file:
        for start in range(0, most, len(image) // 6):
            file.write(image[start : min(start + len(image) // 6, most)])
            file.flush()
            time.sleep(0.12)
            assert not line.known(path)
        time.sleep(0.8)  # longer than it takes to settle
        assert not line.known(path)
        file.write(image[most:])
    line.until(lambda: line.known(path), "whole")
    line.until(lambda: line.told_of(path), "report")
    assert line.told_of(path) == [("added", "")]
    (found,) = [one for one in line.store.files_after("", 1000) if one.uri == path.as_uri()]
    assert found.index.to_bytes() == scan_file(path).to_bytes()


def test_a_file_of_its_full_size_waits_for_its_writer_whether_that_ends_well_or_dies(line, image):
    folder = line.root / "preallocated"
    folder.mkdir()
    hold = "import sys; file = open(sys.argv[1], 'wb'); file.write(sys.stdin.buffer.read({}));"
    hold += " file.flush(); print(flush=True); sys.stdin.read()"
    writers = {
        folder / name: subprocess.Popen(
            [sys.executable, "-c", hold.format(len(image)), str(folder / name)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for name in ("closed.fits", "killed.fits")
    }  # fmt: skip
    for writer in writers.values():
        writer.stdin.write(image)
        writer.stdin.flush()
        writer.stdout.readline()
    time.sleep(4 * LIMITS["settle_seconds"])
    assert not any(line.known(path) for path in writers)
    closed, killed = writers
    writers[closed].communicate()
    line.until(lambda: line.known(closed), "closed")
    assert not line.known(killed)
    writers[killed].kill()
    writers[killed].communicate()
    line.until(lambda: line.known(killed), "killed")
    line.until(lambda: line.told_of(closed) and line.told_of(killed))
    assert line.told_of(closed) == line.told_of(killed) == [("added", "")]


def test_a_file_without_its_last_padding_is_taken_when_nobody_adds_it(line, image):
    path, mended = line.root / "unfilled.fits", line.root / "filled.fits"
    short = image[: len(image) - 100]
    path.write_bytes(short)
    mended.write_bytes(short)
    time.sleep(0.8)
    assert not line.known(path)
    assert not line.known(mended)
    mended.write_bytes(image)
    line.until(lambda: line.known(path) and line.known(mended))
    line.until(lambda: line.told_of(path) and line.told_of(mended))
    notes = {one.uri: one.notes for one in line.reports}
    assert [note for note in notes[path.as_uri()] if "is not filled" in note]
    assert notes[mended.as_uri()] == ()


def test_a_short_file_is_refused_after_its_time_and_taken_when_it_is_mended(line, image):
    path = line.root / "short.fits"
    path.write_bytes(image[:5000])
    time.sleep(0.6)
    assert line.told_of(path) == []
    line.until(lambda: line.told_of(path), "refused")
    assert line.told_of(path) == [("refused", "truncated")]
    path.write_bytes(image)
    line.until(lambda: line.known(path), "mended")
    line.until(lambda: len(line.told_of(path)) == 2, "told")
    assert line.told_of(path)[1] == ("added", "")


def test_temporary_names_are_passed_over_and_files_left_out_stay_out(line, image):
    folder = line.root / "names"
    (folder / ".stage").mkdir(parents=True)
    (line.root / "skipped").mkdir()
    names = [".a.fits.Xq3d81", "a.fits.tmp", ".stage/c.fits"]
    for name in names:
        (folder / name).write_bytes(image)
    (line.root / "skipped" / "a.fits").write_bytes(image)
    (folder / ".a.fits.Xq3d81").rename(folder / "b.fits")
    line.until(lambda: line.known(folder / "b.fits"))
    known = line.store.known_files(folder.as_uri() + "/")
    assert set(known) == {(folder / "b.fits").as_uri()}
    assert not line.known(line.root / "skipped" / "a.fits")


def test_bad_files_are_told_of_once(line, image):
    bad = line.root / "page.fits"
    bad.write_bytes(b"<html>not found</html>")
    line.until(lambda: line.told_of(bad))
    good = line.root / "beside.fits"
    good.write_bytes(image)
    line.until(lambda: line.known(good))
    time.sleep(0.5)
    assert line.told_of(bad) == [("refused", "not-fits")]


def test_replaced_and_rewritten_files_are_updated(line, image, write_image, tmp_path):
    path = line.root / "again.fits"
    path.write_bytes(image)
    line.until(lambda: line.known(path))
    other = write_image(tmp_path / "other.fits", {"OBJECT": "M 31"}, shape=(30, 30))
    shutil.move(other, line.root / "again.fits.tmp")
    (line.root / "again.fits.tmp").rename(path)

    def title() -> object:
        (found,) = [one for one in line.store.files_after("", 1000) if one.uri == path.as_uri()]
        return found.observations[0].row["target_name"]

    line.until(lambda: title() == "M 31")
    path.write_bytes(image)
    line.until(lambda: title() is None)
    line.until(lambda: len(line.told_of(path)) == 3)
    assert line.told_of(path) == [("added", ""), ("updated", ""), ("updated", "")]


def test_files_that_vanish_are_told_of_and_stay_as_after_a_run(line, image):
    path, moved = line.root / "gone.fits", line.root / "elsewhere" / "gone.fits"
    path.write_bytes(image)
    line.until(lambda: line.known(path))
    moved.parent.mkdir()
    path.rename(moved)
    line.until(lambda: line.known(moved))
    line.until(lambda: ("vanished", "") in line.told_of(path))
    assert line.known(path)
    # A file that goes and comes back at once has not vanished.
    moved.unlink()
    moved.write_bytes(image)
    time.sleep(1.5)
    assert ("vanished", "") not in line.told_of(moved)


def test_a_burst_is_catalogued_as_a_run_would(line, image, make_backend):
    folder = line.root / "burst"
    folder.mkdir()
    names = [folder / f"{number:03d}.fits" for number in range(150)]
    for name in names:
        name.write_bytes(image)
    line.until(lambda: len(line.store.known_files(folder.as_uri() + "/")) == len(names))
    line.until(lambda: line.told_of(names[-1]))
    made = {
        uri: found
        for uri, found in contents(line.store).items()
        if uri.startswith(folder.as_uri() + "/")
    }
    wanted = fresh_contents(line.root, make_backend("sqlite"))
    assert made == {uri: wanted[uri] for uri in made}
    assert len(made) == len(names)
    # Batches grew with the backlog.
    sizes = [summary.statuses["added"] for summary, _ in line.batches]
    assert max(sizes) > 1
    assert max(sizes) <= LIMITS["batch_files"]
    assert [line.told_of(name) for name in names] == [[("added", "")]] * len(names)


@pytest.fixture
def run_line(make_backend):
    """Give a function that runs a line on a folder, with a store of its own or a given one."""
    running: list[Running] = []

    def start(root: Path, store: Store | None = None, how: str = "inotify", **options) -> Running:
        running.append(Running(root, store or make_backend("sqlite").writer(), how, **options))
        return running[-1]

    yield start
    for one in running:
        one.stop()
        one.store.close()


def put(root: Path, image: bytes, names: Sequence[str]) -> list[Path]:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(image)
    return [root / name for name in names]


def test_a_start_finds_what_came_changed_and_went_meanwhile(tmp_path, image, run_line):
    root = tmp_path / "deep"
    a, b, c = put(root, image, ["a.fits", "b.fits", "sub/c.fits"])
    first = run_line(root)
    first.until(lambda: len(first.store.known_files()) == 3)
    summary = first.stop()
    assert summary.statuses == {"added": 3}
    a.unlink()
    os.utime(b, ns=(10**18, 10**18))
    (d,) = put(root, image, ["sub/d.fits"])
    second = run_line(root, first.store)
    second.until(lambda: second.known(d) and second.told_of(a) and second.told_of(b))
    assert (second.told_of(a), second.told_of(b)) == ([("vanished", "")], [("updated", "")])
    assert second.told_of(c) == []
    assert second.stop().statuses == {"vanished": 1, "updated": 1, "added": 1}


def test_pruning_removes_what_vanishes_but_not_all_of_a_folder_that_is_away(
    tmp_path, image, run_line
):
    root = tmp_path / "deep"
    a, b, c, d = put(root, image, ["a.fits", "sub/b.fits", "sub/c.fits", "d.fits"])
    line = run_line(root, prune=True)
    line.until(lambda: len(line.store.known_files()) == 4)
    a.unlink()
    line.until(lambda: line.told_of(a)[-1:] == [("removed", "")])
    shutil.move(root / "sub", tmp_path / "sub")
    line.until(lambda: line.told_of(b)[-1:] == line.told_of(c)[-1:] == [("removed", "")])
    assert set(line.store.known_files()) == {d.as_uri()}
    # What comes back is taken again, although it has not changed.
    shutil.move(tmp_path / "sub", root / "sub")
    line.until(lambda: line.known(b) and line.known(c))
    root.rename(tmp_path / "unmounted")
    root.mkdir()
    time.sleep(2.5)
    assert len(line.store.known_files()) == 3


def test_without_room_for_watches_folders_are_looked_through(
    tmp_path, image, run_line, monkeypatch
):
    from inotify_simple import INotify

    add_watch = INotify.add_watch

    def limited(self: INotify, path: str, mask: int) -> int:
        if "many" in str(path):
            raise OSError(errno.ENOSPC, "No space left on device")
        return add_watch(self, path, mask)

    monkeypatch.setattr("inotify_simple.INotify.add_watch", limited)
    root = tmp_path / "deep"
    (a,) = put(root, image, ["a.fits"])
    line = run_line(root)
    line.until(lambda: line.known(a))
    assert line.notices == []
    (b,) = put(root, image, ["many/b.fits"])
    line.until(lambda: line.known(b))
    (c,) = put(root, image, ["c.fits"])
    line.until(lambda: line.known(c))
    (notice,) = line.notices
    assert "fs.inotify.max_user_watches" in notice
    assert "every 0.1 s" in notice


def test_a_store_that_is_away_for_a_while_loses_nothing(tmp_path, image, run_line, monkeypatch):
    monkeypatch.setattr("obscore.assembly.outbox._PATIENCE_S", (0.05,))
    root = tmp_path / "deep"
    root.mkdir()
    line = run_line(root)
    write, left = line.store.write, [3]

    def flaky(files: object) -> object:
        if left[0]:
            left[0] -= 1
            raise ServiceUnavailable("the database does not answer")
        return write(files)

    monkeypatch.setattr(line.store, "write", flaky)
    paths = put(root, image, [f"{number}.fits" for number in range(5)])
    line.until(lambda: len(line.store.known_files()) == 5)
    line.until(lambda: all(line.told_of(path) for path in paths))
    assert [line.told_of(path) for path in paths] == [[("added", "")]] * 5
    assert len(line.notices) == 3


def test_a_store_that_fails_ends_the_line(tmp_path, image, run_line, monkeypatch):
    root = tmp_path / "deep"
    root.mkdir()
    line = run_line(root)

    def full(_files: object) -> None:
        raise ArchiveError("the disk is full")

    monkeypatch.setattr(line.store, "write", full)
    put(root, image, ["a.fits"])
    end = time.monotonic() + ENOUGH_S
    while line.error is None and time.monotonic() < end:
        time.sleep(0.05)
    assert isinstance(line.error, ArchiveError)


def test_stopping_finishes_the_files_in_hand(tmp_path, image, run_line):
    root = tmp_path / "deep"
    put(root, image, [f"{number:03d}.fits" for number in range(80)])
    line = run_line(root, workers=2)
    line.until(lambda: line.batches)
    summary = line.stop()
    assert line.error is None
    assert summary.statuses == {"added": len(line.store.known_files())}
    again = run_line(root, line.store)
    again.until(lambda: len(again.store.known_files()) == 80)
    assert again.stop().statuses["added"] == 80 - summary.statuses["added"]
