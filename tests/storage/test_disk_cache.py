"""Files that can be made again, kept up to a size."""

from __future__ import annotations

import os

from vodal.diskcache import DiskCache


def test_the_folder_keeps_to_its_size(tmp_path):
    folder = DiskCache(tmp_path, 10_000)
    for number in range(40):
        folder.put(f"{number:032x}", "png", bytes(1000))
        assert sum(path.stat().st_size for path in tmp_path.glob("*/*")) <= 11_000
        assert folder.get(f"{number:032x}", "png") is not None
        assert len(list(tmp_path.glob("*/*"))) >= min(number, 6)


def test_what_was_used_longest_ago_goes_first(tmp_path):
    folder = DiskCache(tmp_path, 10_000)
    for number in range(8):
        folder.put(f"{number:032x}", "fits", bytes(1000))
        os.utime(folder.path(f"{number:032x}", "fits"), (1000 + number, 1000 + number))
    assert folder.get(f"{0:032x}", "fits") is not None
    assert folder.has(f"{1:032x}", "fits")
    for number in range(8, 12):
        folder.put(f"{number:032x}", "fits", bytes(1000))
    left = {int(path.stem, 16) for path in tmp_path.glob("*/*")}
    assert {0, 1} <= left
    assert 2 not in left


def test_files_of_other_processes_count(tmp_path):
    one, other = DiskCache(tmp_path, 10_000), DiskCache(tmp_path, 10_000)
    for number in range(40):
        (one if number % 2 else other).put(f"{number:032x}", "png", bytes(500))
    assert sum(path.stat().st_size for path in tmp_path.glob("*/*")) <= 11_000


def test_a_folder_that_cannot_be_written_keeps_nothing(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    folder = DiskCache(blocked / "previews", 1000)
    folder.put("a" * 32, "png", b"x")
    assert folder.get("a" * 32, "png") is None
    assert not folder.has("a" * 32, "png")
