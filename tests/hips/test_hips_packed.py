"""A HiPS in packs: made again, moved between the ways of keeping, broken off, in colour."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from astropy.io import fits

from hips.build import build
from hips.check import check_hips
from hips.collection import build_collection
from hips.recipe import BUILD_FOLDER
from hips.settings import HipsSettings
from hips.testing import served_files
from hips.tiles.opening import open_tiles
from hips.tiles.packed import PackedTree
from hips.tiles.tree import TileTree
from vodal.testing.skies import make_wcs

PACKED = HipsSettings(order_shard=1, order=10, storage="packed")
TREE = HipsSettings(order_shard=1, order=10)


def save(path, number, *, level=100.0):
    """Write one of a row of overlapping images, each a noise of its own."""
    wcs = make_wcs(40.0 + 0.15 * number, 10.0, 100, 2.0, 7.0 * number)
    data = np.random.default_rng(number).normal(level, 5.0, (100, 100)).astype(np.float32)
    header = wcs.to_header(relax=True)
    fits.PrimaryHDU(data, header).writeto(path / f"{number}.fits", overwrite=True)
    return path / f"{number}.fits"


def make(shelf, output, settings=PACKED, **options):
    return build(
        shelf.items, shelf.index, output, settings, name="one", title="A test",
        creator_did="ivo://test.example/hips/one", **options,
    )  # fmt: skip


def tiles_of(folder, order=10, formats=("fits", "png")):
    """Give the bytes of all tiles, by order, number and extension."""
    tiles = open_tiles(folder)
    return {
        (k, npix, extension): tiles.read(k, npix, extension)
        for k in range(order + 1)
        for extension in formats
        for npix in tiles.tiles(k, extension)
    }


def from_nothing(shelf, output, kept):
    """Make the whole HiPS anew by the recipe that another was made by."""
    (output / "one" / BUILD_FOLDER).mkdir(parents=True)
    shutil.copy(kept / BUILD_FOLDER / "recipe.json", output / "one" / BUILD_FOLDER)
    return make(shelf, output)


@pytest.fixture
def row(tmp_path, shelf):
    """Put four images in a row."""
    for number in range(4):
        shelf.put(save(tmp_path, number))
    return shelf


def test_packs_hold_the_tiles_of_a_tree_and_grow_as_a_whole_build_makes_them(row, tmp_path):
    one = tmp_path / "hips" / "one"
    make(row, tmp_path / "hips")
    tree = make(row, tmp_path / "tree", TREE).path
    assert tiles_of(one) == tiles_of(tree)
    for name in ("Moc.fits", "preview.jpg", "Norder3/Allsky.fits", "Norder3/Allsky.png"):
        assert (one / name).read_bytes() == (tree / name).read_bytes()
    assert check_hips(one) == []
    assert not list(one.rglob("Npix*.fits"))
    before = {path: path.stat().st_ino for path in (one / "Packs" / "Norder9").rglob("*.zip")}
    row.put(save(tmp_path, 4))
    row.items[:] = [product for product in row.items if product.file_name != "0.fits"]
    row.items[:] = [product for product in row.items if product.file_name != "1.fits"]
    row.put(save(tmp_path, 1, level=300.0))
    summary = make(row, tmp_path / "hips")
    whole = from_nothing(row, tmp_path / "whole", one)
    assert served_files(one)[0] == served_files(tmp_path / "whole" / "one")[0]
    assert 0 < summary.rendered < whole.rendered
    after = {path: path.stat().st_ino for path in (one / "Packs" / "Norder9").rglob("*.zip")}
    assert any(after.get(path) == inode for path, inode in before.items())
    assert any(after.get(path) != inode for path, inode in before.items())
    again = make(row, tmp_path / "hips")
    assert again.rendered == 0
    assert served_files(one)[0] == served_files(tmp_path / "whole" / "one")[0]


def test_another_way_of_keeping_takes_the_tiles_as_they_are(row, tmp_path, monkeypatch):
    one = tmp_path / "hips" / "one"
    make(row, tmp_path / "hips", TREE)
    tree = served_files(one)[0]
    tiles = tiles_of(one)
    monkeypatch.setattr("hips.schedule.decode", None)  # no image is read again
    make(row, tmp_path / "hips")
    assert isinstance(open_tiles(one), PackedTree)
    assert tiles_of(one) == tiles
    monkeypatch.undo()
    from_nothing(row, tmp_path / "whole", one)
    assert served_files(one)[0] == served_files(tmp_path / "whole" / "one")[0]
    make(row, tmp_path / "hips", TREE)
    assert isinstance(open_tiles(one), TileTree)
    assert served_files(one)[0] == tree


def test_a_build_broken_off_at_any_step_of_packing_goes_on(row, tmp_path, monkeypatch):
    whole = make(row, tmp_path / "whole").path
    gather = PackedTree._gather
    for left in (0, 1, 2):
        count = iter(range(100))

        def fail(self, path, stay, loose, count=count, left=left):
            if next(count) >= left:
                raise KeyboardInterrupt
            gather(self, path, stay, loose)

        monkeypatch.setattr(PackedTree, "_gather", fail)
        with pytest.raises(KeyboardInterrupt):
            make(row, tmp_path / "hips")
        assert not (tmp_path / "hips" / "one").exists()
    monkeypatch.undo()
    summary = make(row, tmp_path / "hips")
    assert summary.rendered == 0
    assert served_files(tmp_path / "hips" / "one")[0] == served_files(whole)[0]


def test_colours_are_made_from_packs_into_packs(tmp_path, shelf):
    for band, em in {"g": 4.8e-7, "r": 6.2e-7, "i": 7.5e-7}.items():
        (tmp_path / band).mkdir()
        for number in range(2):
            path = save(tmp_path / band, number, level=em * 1e8)
            did = f"ivo://test.example/{band}/{number}"
            shelf.put(path, did=did, filter=band, em_min=em - 6e-8, em_max=em + 6e-8)
    build_collection(shelf, shelf, "demo", tmp_path / "tree", TREE)
    build_collection(shelf, shelf, "demo", tmp_path / "hips", PACKED)
    color, tree = (tmp_path / name / "demo-color" for name in ("hips", "tree"))
    assert tiles_of(color, formats=("png",)) == tiles_of(tree, formats=("png",))
    assert len(tiles_of(color, formats=("png",))) > 20
    assert check_hips(color) == []
    before = served_files(color)[0]
    inodes = {path: path.stat().st_ino for path in (color / "Packs" / "Norder8").rglob("*.zip")}
    build_collection(shelf, shelf, "demo", tmp_path / "hips", PACKED)
    assert served_files(color)[0] == before
    assert all(path.stat().st_ino == inode for path, inode in inodes.items())
