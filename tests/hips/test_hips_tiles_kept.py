"""How tiles are kept, as files and in packs: one suite for both; what is true of packs alone."""

from __future__ import annotations

import contextlib
import itertools
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from hips.names import tile_path
from hips.tiles.opening import open_tiles, tiles_in_the_making
from hips.tiles.pack import PackWriter, read_directory
from hips.tiles.packed import PackedTree, pack_path, parse_layout, roots_of
from hips.tiles.tree import TileTree
from vodal.errors import DataError

TOP = 5
DEEPEST = {7: {16 * 300 + 3, 16 * 300 + 9, 16 * 301}, 6: {4 * 300, 4 * 300 + 2, 4 * 301}}


def content(order: int, npix: int, extension: str) -> bytes:
    return f"{order}/{npix}.{extension}".encode() * (npix % 7 + 1)


def fill(tiles, shard: int, mark: bytes = b"") -> dict[int, set[int]]:
    """Put in a shard as a build does; give its tiles."""
    made: dict[int, set[int]] = {TOP: {shard}}
    with tiles.filling(TOP, shard) as sink:
        for order in (7, 6):
            made[order] = {n for n in DEEPEST[order] if n >> 2 * (order - TOP) == shard}
            for npix in sorted(made[order]):
                for extension in ("fits", "png"):
                    sink.write(order, npix, extension, content(order, npix, extension) + mark)
        for extension in ("fits", "png"):
            sink.write(TOP, shard, extension, content(TOP, shard, extension) + mark)
    return made


def whole(tiles) -> dict[int, set[int]]:
    """Put in two shards and the orders above them; give all tiles."""
    wanted: dict[int, set[int]] = {}
    for shard in (300, 301):
        for order, numbers in fill(tiles, shard).items():
            wanted.setdefault(order, set()).update(numbers)
    for order in range(TOP - 1, -1, -1):
        wanted[order] = {npix >> 2 for npix in wanted[order + 1]}
        for npix in wanted[order]:
            for extension in ("fits", "png"):
                tiles.write(order, npix, extension, content(order, npix, extension))
    tiles.prune(wanted)
    return wanted


@pytest.fixture(params=["tree", "packed"])
def make(request, tmp_path):
    """Give what makes empty tiles of one kind in a folder of some name."""

    def new(name="one"):
        folder = tmp_path / request.param / name
        folder.mkdir(parents=True)
        return tiles_in_the_making(folder, request.param, TOP)

    return new


def test_what_is_put_in_is_there_and_nothing_else(make):
    tiles = make()
    wanted = whole(tiles)
    for each in (tiles, open_tiles(tiles.folder), pickle.loads(pickle.dumps(tiles))):
        for order in range(9):
            for extension in ("fits", "png", "jpg"):
                there = sorted(wanted.get(order, ())) if extension != "jpg" else []
                assert each.tiles(order, extension) == there
                for npix in there:
                    assert each.read(order, npix, extension) == content(order, npix, extension)
                    with each.find(order, npix, extension) as found:
                        assert found.size_bytes == len(content(order, npix, extension))
                        assert found.read() == content(order, npix, extension)
        for missing in ((7, 0, "fits"), (7, 16 * 300, "fits"), (7, 16 * 300 + 3, "webp"),
                        (0, 11, "png"), (19, 5, "fits")):  # fmt: skip
            assert each.read(*missing) is None
            assert each.find(*missing) is None


def test_a_tile_that_is_open_stays_what_it_was(make):
    tiles = make()
    whole(tiles)
    key = (7, 16 * 300 + 3, "fits")
    with tiles.find(*key) as before:
        fill(tiles, 300, b"other")
        with tiles.find(*key) as after:
            assert before.read() == content(*key)
            assert after.read() == content(*key) + b"other"
            assert before.tag != after.tag


def test_unwanted_tiles_go(make):
    tiles = make()
    wanted = whole(tiles)
    shard = {k: {n for n in v if n >> 2 * (k - TOP) == 300} for k, v in wanted.items() if k >= TOP}
    stay = {**{k: {300 >> 2 * (TOP - k)} for k in range(TOP)}, **shard}
    tiles.prune(stay)
    for order in range(8):
        assert set(tiles.tiles(order, "png")) == stay[order]
    tiles.clear()
    assert all(open_tiles(tiles.folder).tiles(k, "fits") == [] for k in range(8))


def test_a_tile_above_the_shards_is_made_anew(make):
    tiles = make()
    wanted = whole(tiles)
    tiles.write(4, 75, "png", b"new")
    assert tiles.read(4, 75, "png") == b"new"
    tiles.prune(wanted)
    assert tiles.read(4, 75, "png") == b"new"
    assert tiles.read(4, 75, "fits") == content(4, 75, "fits")
    assert tiles.read(3, 18, "png") == content(3, 18, "png")


@pytest.mark.parametrize("other", ["tree", "packed"])
def test_tiles_are_taken_from_another_hips(make, tmp_path, other):
    (tmp_path / "served").mkdir()
    served = tiles_in_the_making(tmp_path / "served", other, TOP)
    wanted = whole(served)
    tiles = make()
    size = tiles.take(served, 2, 4, ("fits", "png"))
    assert size == sum(len(content(2, 4, extension)) for extension in ("fits", "png"))
    assert tiles.read(2, 4, "png") == content(2, 4, "png")
    with pytest.raises(FileNotFoundError):
        tiles.take(served, 2, 5, ("fits",))
    shard = {k: {n for n in v if n >> 2 * (k - TOP) == 300} for k, v in wanted.items() if k >= TOP}
    taken = tiles.take_shard(served, TOP, 300, shard, ("fits", "png"))
    assert taken == (type(tiles) is type(served))
    for order, numbers in shard.items():
        assert tiles.tiles(order, "png") == (sorted(numbers) if taken else [])
    with tiles.filling(TOP, 300) as sink:
        for order, numbers in shard.items():
            for npix in numbers:
                sink.take(served, order, npix, ("fits", "png"))
    fill(served, 300, b"other")
    assert tiles.read(7, 16 * 300 + 3, "fits") == content(7, 16 * 300 + 3, "fits")


def test_a_hips_that_is_kept_another_way_is_begun_anew(tmp_path):
    wanted = {TOP: {300}}
    for kind, top in (("tree", 5), ("packed", 5), ("packed", 4), ("tree", 4)):
        tiles = tiles_in_the_making(tmp_path, kind, top)
        assert open_tiles(tmp_path) == tiles
        assert all(tiles.tiles(order, "fits") == [] for order in range(8))
        with tiles.filling(top, 300) as sink:
            sink.write(top, 300, "fits", b"x")
        tiles.prune({top: {300}})
        again = tiles_in_the_making(tmp_path, kind, top)
        assert again.read(top, 300, "fits") == b"x"
    assert wanted


def test_packs_are_few_and_any_unzip_makes_the_tree_of_them(tmp_path):
    packed = tiles_in_the_making(tmp_path, "packed", TOP)
    tree = TileTree(tmp_path / "tree")
    whole(packed)
    whole(tree)
    packs = sorted(tmp_path.rglob("*.zip"))
    assert [str(p.relative_to(tmp_path)) for p in packs] == [
        "Packs/Norder0/Dir0/Npix0.zip",
        "Packs/Norder1/Dir0/Npix1.zip",
        "Packs/Norder5/Dir0/Npix300.zip",
        "Packs/Norder5/Dir0/Npix301.zip",
    ]
    out = tmp_path / "out"
    for pack in packs:
        # -C 'cat' would do; Python's own command is there on every machine.
        subprocess.run([sys.executable, "-m", "zipfile", "-e", str(pack), str(out)], check=True)
        with zipfile.ZipFile(pack) as file:
            assert file.testzip() is None
            assert {info.compress_type for info in file.infolist()} == {zipfile.ZIP_STORED}

    def files(folder: Path) -> dict[str, bytes]:
        return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("Npix*")}

    assert files(out) == files(tmp_path / "tree")


def test_the_same_tiles_give_the_same_packs_at_any_time(tmp_path, monkeypatch):
    bytes_of = []
    for name, when in (("a", 1e9), ("b", 1.7e9)):
        monkeypatch.setattr("time.time", lambda when=when: when)
        (tmp_path / name).mkdir()
        whole(tiles_in_the_making(tmp_path / name, "packed", TOP))
        packs = sorted((tmp_path / name).rglob("*.zip"))
        bytes_of.append([p.read_bytes() for p in packs])
    assert bytes_of[0] == bytes_of[1]


def test_a_pack_in_the_making_is_not_seen_and_an_error_leaves_the_one_before(tmp_path):
    tiles = tiles_in_the_making(tmp_path, "packed", TOP)
    wanted = whole(tiles)
    before = (tmp_path / pack_path(TOP, 300)).read_bytes()
    with contextlib.suppress(FileNotFoundError), tiles.filling(TOP, 300) as sink:
        sink.write(7, 16 * 300, "fits", b"x" * 100)
        assert tiles.read(7, 16 * 300, "fits") is None
        sink.take(TileTree(tmp_path / "none"), 7, 16 * 300, ("png",))
    assert (tmp_path / pack_path(TOP, 300)).read_bytes() == before
    left = tmp_path / "Packs" / "Norder5" / "Dir0" / ".Npix300.zip.part"
    left.write_bytes(b"PK")
    tiles.prune(wanted)
    assert not left.exists()
    assert (tmp_path / pack_path(TOP, 300)).read_bytes() == before


def test_a_shard_of_blank_tiles_is_no_pack(tmp_path):
    tiles = tiles_in_the_making(tmp_path, "packed", TOP)
    fill(tiles, 300)
    with tiles.filling(TOP, 300):
        pass
    assert not list(tmp_path.rglob("Npix*"))


def test_a_pack_is_one_file_with_two_names(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    served = tiles_in_the_making(tmp_path / "a", "packed", TOP)
    wanted = whole(served)
    tiles = tiles_in_the_making(tmp_path / "b", "packed", TOP)
    assert tiles.take_shard(served, TOP, 300, {TOP: wanted[TOP]}, ("fits",))
    assert (tmp_path / "a" / pack_path(TOP, 300)).samefile(tmp_path / "b" / pack_path(TOP, 300))


def test_tiles_of_shards_are_not_written_one_by_one(tmp_path):
    tiles = tiles_in_the_making(tmp_path, "packed", TOP)
    with pytest.raises(ValueError, match="by shard"):
        tiles.write(TOP, 300, "fits", b"x")
    with pytest.raises(ValueError, match="shards are of order 5"), tiles.filling(4, 75):
        pass


def test_a_pack_beyond_four_gigabytes_is_read(tmp_path):
    """A tile whose place needs ZIP64, in a file with a hole in place of the data before it."""
    path = tmp_path / "Npix0.zip"
    with PackWriter(path) as pack:
        pack.write(1, 0, "fits", b"near")
        file = pack._zip.fp
        hole = (5 << 30) - file.tell()
        file.seek(hole, os.SEEK_CUR)
        pack._zip.start_dir = file.tell()
        pack.write(1, 1, "fits", b"far")
    assert path.stat().st_size > 5 << 30
    folder = tmp_path / "hips"
    tiles = PackedTree(folder, (0, 1))
    tiles.path(1, 0).parent.mkdir(parents=True)
    path.rename(tiles.path(1, 0))
    with zipfile.ZipFile(tiles.path(1, 0)) as file:
        assert file.read(tile_path(1, 1, "fits")) == b"far"
    entry = read_directory(*_ranges(tiles.path(1, 0)))[1, 1, "fits"]
    assert entry.offset >= 5 << 30
    os.link(tiles.path(1, 0), tiles.path(1, 1))
    assert tiles.read(1, 1, "fits") == b"far"
    assert tiles.read(1, 0, "fits") == b"near"


def _ranges(path: Path):
    def read(offset: int, length: int) -> bytes:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(length)

    return read, path.stat().st_size


@pytest.mark.parametrize("count", [1, 2000])
def test_a_directory_longer_than_what_is_read_at_once(tmp_path, count):
    path = tmp_path / "x.zip"
    with PackWriter(path) as pack:
        for npix in range(count):
            pack.write(9, npix, "fits", b"%d" % npix)
    read, size = _ranges(path)
    directory = read_directory(read, size)
    assert len(directory) == count
    assert directory[9, count - 1, "fits"].size_bytes == len(str(count - 1))


def test_what_is_no_pack_is_told(tmp_path):
    tiles = tiles_in_the_making(tmp_path, "packed", TOP)
    whole(tiles)
    pack = tmp_path / pack_path(TOP, 300)
    good = pack.read_bytes()
    for bad in (b"", b"PK", good[:-30], good[: len(good) // 2], b"x" * 100000):
        pack.unlink()
        pack.write_bytes(bad)
        with pytest.raises(DataError, match="pack of tiles"):
            tiles.read(7, 16 * 300 + 3, "fits")
    pack.unlink()
    with zipfile.ZipFile(pack, "w") as file:
        info = zipfile.ZipInfo(tile_path(7, 16 * 300 + 3, "fits"))
        info.extra = b"\x99\x99\x04\x00abcd"
        file.writestr(info, b"of another program")
    with pytest.raises(DataError, match="not written as packs are"):
        tiles.read(7, 16 * 300 + 3, "fits")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"roots": []}', '{"roots": [1]}',
                                  '{"roots": [0, 30]}', '{"roots": 5}', "null"])  # fmt: skip
def test_a_layout_that_is_none_is_told(tmp_path, text):
    with pytest.raises(ValueError):
        parse_layout(text)
    (tmp_path / "Packs").mkdir()
    (tmp_path / "Packs" / "layout.json").write_text(text)
    with pytest.raises(DataError, match="cannot be read"):
        open_tiles(tmp_path)


def test_the_packs_of_all_depths_begin_at_order_0():
    for top in range(21):
        roots = roots_of(top)
        assert (roots[0], roots[-1]) == (0, top)
        assert all(0 < b - a <= 4 for a, b in itertools.pairwise(roots))
