"""What watches tell of changes in real folders."""

from __future__ import annotations

import errno
import os
import shutil
import time
from pathlib import Path

import pytest

from obscore.sources import FolderSource
from obscore.sources.inotify import InotifyWatch
from obscore.sources.polling import PollingWatch
from obscore.sources.watch import Change, ExhaustedError, Watch, is_remote
from vodal.storage import local_path

ENOUGH_S = 20.0


@pytest.fixture
def root(tmp_path) -> Path:
    (tmp_path / "data" / "night1").mkdir(parents=True)
    (tmp_path / "data" / "old.fits").write_bytes(b"old")
    return tmp_path / "data"


@pytest.fixture(params=["inotify", "polling"])
def watch(request, root):
    source = FolderSource(root)
    made: Watch = (
        InotifyWatch([source]) if request.param == "inotify" else PollingWatch([source], 0.02)
    )
    made.begin()
    yield made
    made.close()


@pytest.fixture
def inotify(root):
    made = InotifyWatch([FolderSource(root)])
    made.begin()
    yield made
    made.close()


def uri(path: Path) -> str:
    return path.as_uri()


def told(watch: Watch, *wanted: Change) -> list[Change]:
    """Give all that is told until the wanted were."""
    found: list[Change] = []
    until = time.monotonic() + ENOUGH_S
    while not set(wanted) <= set(found):
        assert time.monotonic() < until, (wanted, found)
        found += watch.changes(0.05)
    return found


def paths(watch: Watch, *wanted: Path) -> set[str]:
    """Give the paths of files that are there, until the wanted were told of."""
    found: set[str] = set()
    until = time.monotonic() + ENOUGH_S
    while not {str(path) for path in wanted} <= found:
        assert time.monotonic() < until, (wanted, found)
        changes = watch.changes(0.05)
        found |= {
            str(local_path(one.uri)) for one in changes if one.kind in {"whole", "opened", "begun"}
        }
    return found


def quiet(watch: Watch) -> list[Change]:
    """Give what is told although it should not be."""
    return [change for _ in range(6) for change in watch.changes(0.05)]


def test_new_changed_and_gone_files_are_told_of(watch, root):
    assert quiet(watch) == []
    (root / "night1" / "a.fits").write_bytes(b"a")
    assert paths(watch, root / "night1" / "a.fits") == {str(root / "night1" / "a.fits")}
    (root / "old.fits").write_bytes(b"older")
    assert paths(watch, root / "old.fits") == {str(root / "old.fits")}
    (root / "old.fits").unlink()
    told(watch, Change("gone", uri(root / "old.fits")))
    (root / "night1" / "a.fits").rename(root / "b.fits")
    assert paths(watch, root / "b.fits") == {str(root / "b.fits")}


def test_files_in_new_folders_are_told_of_however_fast_they_come(watch, root):
    deep = root / "night2" / "ccd" / "01"
    deep.mkdir(parents=True)
    (deep / "a.fits").write_bytes(b"a")
    paths(watch, deep / "a.fits")
    (deep / "b.fits").write_bytes(b"b")
    assert paths(watch, deep / "b.fits") == {str(deep / "b.fits")}


def test_a_folder_that_is_moved_in_or_renamed_brings_its_files(watch, root, tmp_path):
    staged = tmp_path / "staged"
    (staged / "sub").mkdir(parents=True)
    (staged / "sub" / "a.fits").write_bytes(b"a")
    staged.rename(root / "night3")
    paths(watch, root / "night3" / "sub" / "a.fits")
    (root / "night3").rename(root / "night4")
    paths(watch, root / "night4" / "sub" / "a.fits")
    (root / "night4" / "sub" / "b.fits").write_bytes(b"b")
    assert paths(watch, root / "night4" / "sub" / "b.fits") == {
        str(root / "night4" / "sub" / "b.fits")
    }


def test_linked_folders_are_watched_once(watch, root, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (root / "link").symlink_to(outside)
    (root / "loop").symlink_to(root)
    (outside / "a.fits").write_bytes(b"a")
    assert paths(watch, root / "link" / "a.fits") == {str(root / "link" / "a.fits")}
    (root / "c.fits").write_bytes(b"c")
    assert paths(watch, root / "c.fits") == {str(root / "c.fits")}


def test_a_root_that_comes_back_is_watched_again(watch, root, tmp_path):
    root.rename(tmp_path / "away")
    quiet(watch)
    (tmp_path / "away").rename(root)
    (root / "a.fits").write_bytes(b"a")
    until = time.monotonic() + ENOUGH_S
    found: list[Change] = []
    while not any(one.kind == "missed" or one.uri == uri(root / "a.fits") for one in found):
        assert time.monotonic() < until
        found += watch.changes(0.05)
    (root / "b.fits").write_bytes(b"b")
    paths(watch, root / "b.fits")


def test_an_emptied_root_is_a_lost_disk_to_polling(root):
    (root / "b.fits").write_bytes(b"b")
    watch = PollingWatch([FolderSource(root)], 0.01)
    watch.begin()
    shutil.move(root / "old.fits", root.parent)
    shutil.move(root / "b.fits", root.parent)
    assert quiet(watch) == []
    for name in ("old.fits", "b.fits"):
        shutil.move(root.parent / name, root)
    assert quiet(watch) == []


def test_a_file_is_whole_when_its_writer_closes_it_and_not_before(inotify, root):
    path = root / "a.fits"
    with path.open("wb") as file:
        for _ in range(5):
            file.write(b"x" * 2880)
            file.flush()
        assert quiet(inotify) == [Change("opened", uri(path))]
    assert told(inotify, Change("whole", uri(path))) == [Change("whole", uri(path))]
    with path.open("ab") as file:
        file.write(b"y")
    told(inotify, Change("whole", uri(path)))


def test_what_is_written_under_another_name_is_told_of_when_it_is_renamed(inotify, root, tmp_path):
    for number, name in enumerate((".a.fits.Xq3d81", "a.fits.tmp", "a.fits.part")):
        (root / name).write_bytes(b"a")
        assert quiet(inotify) == []
        final = root / f"{number}.fits"
        (root / name).rename(final)
        assert told(inotify, Change("whole", uri(final))) == [Change("whole", uri(final))]
    (tmp_path / "aside.fits").write_bytes(b"a")
    (tmp_path / "aside.fits").rename(root / "moved.fits")
    told(inotify, Change("whole", uri(root / "moved.fits")))
    (tmp_path / "aside.fits").write_bytes(b"a")
    os.link(tmp_path / "aside.fits", root / "linked.fits")
    told(inotify, Change("whole", uri(root / "linked.fits")))


def test_a_folder_that_goes_takes_its_files_with_it(inotify, root, tmp_path):
    (root / "night1").rename(tmp_path / "away")
    told(inotify, Change("gone", uri(root / "night1") + "/"))
    (tmp_path / "away" / "a.fits").write_bytes(b"a")
    assert quiet(inotify) == []


def test_more_events_than_the_kernel_keeps_mean_that_anything_may_have_happened(inotify, root):
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if most > 100_000:
        pytest.skip(f"the kernel keeps {most} events")
    for _ in range(most // 3 + 10):
        with (root / "a.fits").open("wb"):
            pass
        (root / "a.fits").unlink()
    found = told(inotify, Change("missed", uri(root) + "/"))
    assert len(found) > most // 2


def test_the_limit_of_watches_is_named(root, monkeypatch):
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("inotify_simple.INotify.add_watch", full)
    watch = InotifyWatch([FolderSource(root)])
    with pytest.raises(ExhaustedError, match=r"fs\.inotify\.max_user_watches.* 'sysctl fs"):
        watch.begin()
    watch.close()


MOUNTS = """\
22 1 254:1 / / rw,relatime - ext4 /dev/vda1 rw
40 22 0:35 / /data rw,relatime shared:2 - nfs4 server:/export rw
41 40 254:2 / /data/scratch\\040disk rw,relatime - xfs /dev/vdb rw
42 22 0:40 / /mnt/far rw - fuse.sshfs host:/ rw
43 22 0:41 / /mnt/farther rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("folder", "remote"),
    [
        ("/home/x", False),
        ("/data", True),
        ("/data/deep/night", True),
        ("/data/scratch disk/night", False),
        ("/database", False),
        ("/mnt/far/x", True),
        ("/mnt/farther/x", False),
    ],
)
def test_network_file_systems_are_known_by_their_mounts(folder, remote):
    assert is_remote(Path(folder), MOUNTS) is remote


def test_the_folders_of_tests_are_local(tmp_path):
    assert is_remote(tmp_path) is False
