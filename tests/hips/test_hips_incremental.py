"""A HiPS made again, of other images, after a kill or in shares: the tiles of a whole build."""

from __future__ import annotations

import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from astropy.io import fits

from hips.behind import dids_behind
from hips.build import build
from hips.check import check_hips
from hips.collection import build_collection
from hips.names import tile_path
from hips.part import Part
from hips.properties import parse_properties
from hips.recipe import BUILD_FOLDER
from hips.settings import HipsSettings
from hips.testing import served_files as files
from vodal.errors import UsageError
from vodal.testing.skies import make_wcs

SETTINGS = HipsSettings(order_shard=1, order=11)


def save(path, number, *, level=100.0, **cards):
    """Write one of a row of overlapping images, each a noise of its own."""
    wcs = make_wcs(40.0 + 0.03 * number, 10.0, 120, 1.0, 7.0 * number)
    data = np.random.default_rng(number).normal(level, 5.0, (120, 120)).astype(np.float32)
    header = wcs.to_header(relax=True)
    header.update(cards)
    fits.PrimaryHDU(data, header).writeto(path / f"{number}.fits", overwrite=True)
    return path / f"{number}.fits"


def make(shelf, output, **options):
    return build(
        shelf.items, shelf.index, output, options.pop("settings", SETTINGS), name="one",
        title="A test", creator_did="ivo://test.example/hips/one", **options,
    )  # fmt: skip


def from_nothing(shelf, output, kept):
    """Make the whole HiPS anew by the recipe that another was made by."""
    shutil.rmtree(output, ignore_errors=True)
    (output / "one" / BUILD_FOLDER).mkdir(parents=True)
    shutil.copy(kept / BUILD_FOLDER / "recipe.json", output / "one" / BUILD_FOLDER)
    return make(shelf, output)


@pytest.fixture
def row(tmp_path, shelf):
    """Put six images in a row."""
    for number in range(6):
        shelf.put(save(tmp_path, number))
    return shelf


def inodes(folder):
    """Give what tells the files of the deepest tiles apart."""
    deepest = folder / "Norder11"
    return {str(p.relative_to(folder)): p.stat().st_ino for p in deepest.rglob("Npix*")}


def drop(shelf, name):
    shelf.items[:] = [product for product in shelf.items if product.file_name != name]


def test_new_changed_and_retracted_images_give_the_tiles_of_a_whole_build(row, tmp_path):
    one = tmp_path / "hips" / "one"
    first = make(row, tmp_path / "hips")
    for change in ("new", "changed", "retracted", "all at once"):
        before = inodes(one)
        if change in {"new", "all at once"}:
            row.put(save(tmp_path, 6 if change == "new" else 9))
        if change in {"changed", "all at once"}:
            drop(row, "1.fits")
            row.put(save(tmp_path, 1, level=900.0 if change == "changed" else -3.0))
        if change in {"retracted", "all at once"}:
            drop(row, "5.fits" if change == "retracted" else "4.fits")
        summary = make(row, tmp_path / "hips")
        whole = from_nothing(row, tmp_path / "whole", one)
        assert files(one) == files(tmp_path / "whole" / "one"), change
        assert check_hips(one) == []
        assert 0 < summary.rendered < whole.rendered
        after = inodes(one)
        same = [name for name in before if after.get(name) == before[name]]
        assert len(same) > len(before) // 4, change
        assert summary.order == first.order


def test_nothing_new_renders_nothing_and_keeps_the_release(row, tmp_path):
    one = tmp_path / "hips" / "one"
    make(row, tmp_path / "hips")
    text = (one / "properties").read_text()
    text = re.sub(r"(hips_(?:release|creation)_date *= ).*", r"\g<1>2001-02-03T04:05Z", text)
    (one / "properties").write_text(text)
    before = inodes(one)
    summary = make(row, tmp_path / "hips")
    assert summary.rendered == 0
    assert inodes(one) == before
    values = parse_properties((one / "properties").read_text())
    assert values["hips_release_date"] == "2001-02-03T04:05Z"
    drop(row, "3.fits")
    make(row, tmp_path / "hips")
    values = parse_properties((one / "properties").read_text())
    assert values["hips_release_date"] > "2020"
    assert values["hips_creation_date"] == "2001-02-03T04:05Z"


def test_other_settings_and_a_fresh_start_make_every_tile(row, tmp_path):
    make(row, tmp_path / "hips")
    whole = make(row, tmp_path / "hips", fresh=True)
    other = make(
        row, tmp_path / "hips", settings=HipsSettings(order_shard=1, order=11, kernel="lanczos3")
    )
    assert whole.rendered == other.rendered > 1


def test_shares_make_what_one_build_makes(row, tmp_path):
    make(row, tmp_path / "whole")
    total = 0
    for number in (2, 3, 1):
        part = make(row, tmp_path / "hips", part=Part(number, 3))
        assert not (tmp_path / "hips" / "one").exists()
        total += part.rendered
    summary = make(row, tmp_path / "hips")
    assert summary.rendered == 0
    assert total > 3
    assert files(tmp_path / "hips" / "one") == files(tmp_path / "whole" / "one")
    assert sorted(p.name for p in (tmp_path / "hips").iterdir()) == [".one.lock", "one"]


def test_parts_cover_everything_once():
    for total in (0, 1, 5, 17):
        for count in (1, 2, 3, 8):
            parts = [list(range(total))[Part(n, count).of(total)] for n in range(1, count + 1)]
            assert [n for part in parts for n in part] == list(range(total))


@pytest.mark.parametrize("text", ["", "0/3", "4/3", "1", "1/0", "a/b", "-1/3", "1/2/3"])
def test_what_is_no_part_is_refused(text):
    assert Part.parse("2/8") == Part(2, 8)
    with pytest.raises(UsageError, match="1/8 is the first of eight"):
        Part.parse(text)


def test_a_damaged_image_is_not_tried_again_until_it_changes(row, tmp_path, monkeypatch):
    path = tmp_path / "2.fits"
    drop(row, "2.fits")
    row.put(save(tmp_path, 2))
    whole = path.read_bytes()
    product = row.items[-1]
    path.write_bytes(whole[: len(whole) // 2])
    first = make(row, tmp_path / "hips")
    assert [skipped.did for skipped in first.skipped] == [product.did]
    second = make(row, tmp_path / "hips")
    assert second.rendered == 0
    assert second.skipped == first.skipped
    path.write_bytes(whole)
    drop(row, "2.fits")
    row.put(path)
    third = make(row, tmp_path / "hips")
    assert third.skipped == ()
    assert third.rendered > 0
    from_nothing(row, tmp_path / "whole", tmp_path / "hips" / "one")
    assert files(tmp_path / "hips" / "one") == files(tmp_path / "whole" / "one")


def test_an_image_without_zero_point_does_not_change_the_others(tmp_path, shelf):
    for number in range(3):
        shelf.put(save(tmp_path, number, MAGZERO=24.0))
    make(shelf, tmp_path / "hips")
    before = files(tmp_path / "hips" / "one")
    shelf.put(save(tmp_path, 3))
    summary = make(shelf, tmp_path / "hips")
    assert [skipped.file_name for skipped in summary.skipped] == ["3.fits"]
    assert "zero point" in summary.skipped[0].reason
    assert files(tmp_path / "hips" / "one") == before


def test_the_images_behind_a_tile_are_those_that_reach_it(row, tmp_path):
    summary = make(row, tmp_path / "hips")
    one = tmp_path / "hips" / "one"
    alone = {}
    for product in list(row.items):
        row.items[:], kept = [product], list(row.items)
        make(row, tmp_path / product.file_name[0], settings=HipsSettings(order=summary.order))
        alone[product.did] = tmp_path / product.file_name[0] / "one"
        row.items[:] = kept
    for order in range(summary.order + 1):
        for path in (one / f"Norder{order}").rglob("Npix*.fits"):
            npix = int(path.stem[4:])
            behind = set(dids_behind(one, order, npix, 1000))
            seen = {
                did for did, folder in alone.items()
                if (folder / tile_path(order, npix, "fits")).exists()
            }  # fmt: skip
            # An image that ends just outside a tile may be named too, never one that is missing.
            assert seen <= behind
            assert order > 8 or seen == behind
    assert dids_behind(one, 3, 5, 1000) == []


SCRIPT = """
import pickle, sys
from pathlib import Path
from hips.build import build
from hips.settings import HipsSettings
if __name__ == "__main__":
    items, indexes, output = pickle.loads(Path(sys.argv[1]).read_bytes())
    print("start", flush=True)
    build(items, lambda p: indexes[p.did], output, HipsSettings(order_shard=1, order=11),
          name="one", title="A test", creator_did="ivo://test.example/hips/one", workers=2)
    print("done", flush=True)
"""


def test_a_killed_build_goes_on_where_it_was(row, tmp_path):
    script, arguments = tmp_path / "make.py", tmp_path / "arguments"
    script.write_text(SCRIPT)
    settings = HipsSettings(order_shard=1, order=11)
    arguments.write_bytes(pickle.dumps((row.items, row.indexes, tmp_path / "hips")))
    whole = make(row, tmp_path / "whole", settings=settings)
    records = tmp_path / "hips" / ".one.building" / BUILD_FOLDER / "records"
    kills = 0
    for wanted in (1, 4, 9):
        process = subprocess.Popen(
            [sys.executable, str(script), str(arguments)],
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        while process.poll() is None:
            if records.is_dir() and len(list(records.glob("*.json"))) >= wanted:
                os.killpg(process.pid, signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.005)
        process.wait()
        if (tmp_path / "hips" / "one").exists():
            break
    assert kills
    summary = make(row, tmp_path / "hips", settings=settings)
    assert summary.rendered < whole.rendered
    assert files(tmp_path / "hips" / "one") == files(tmp_path / "whole" / "one")
    assert sorted(p.name for p in (tmp_path / "hips").iterdir()) == [".one.lock", "one"]


def test_colours_change_where_a_band_does(tmp_path, shelf):
    mix = {"collection": "demo", "red": {"i": 2, "r": 1}, "green": "r", "blue": ["g", "r"]}
    settings = HipsSettings(
        order_shard=1, order=11,
        color={"demo-color": {"collection": "demo"}, "demo-mix": {**mix, "cuts": "5% 95%"}},
    )  # fmt: skip
    colors = ("demo-color", "demo-mix")
    for band, em in {"g": 4.8e-7, "r": 6.2e-7, "i": 7.5e-7}.items():
        (tmp_path / band).mkdir()
        for number in range(4):
            path = save(tmp_path / band, number, level=em * 1e8)
            did = f"ivo://test.example/{band}/{number}"
            shelf.put(path, did=did, filter=band, em_min=em - 6e-8, em_max=em + 6e-8)
    left_out = shelf.items.pop(0)
    build_collection(shelf, shelf, "demo", tmp_path / "hips", settings)
    before = {name: inodes(tmp_path / "hips" / name) for name in colors}
    shelf.items.insert(0, left_out)
    build_collection(shelf, shelf, "demo", tmp_path / "hips", settings)
    for name in colors:
        after = inodes(tmp_path / "hips" / name)
        same = [tile for tile, inode in before[name].items() if after[tile] == inode]
        assert 0 < len(same) < len(before[name])
    for name in ("demo-g", "demo-r", "demo-i", *colors):
        folder = tmp_path / "whole" / name
        (folder / BUILD_FOLDER).mkdir(parents=True)
        for kept in (f"{BUILD_FOLDER}/recipe.json", "color.json"):
            if (tmp_path / "hips" / name / kept).exists():
                shutil.copy(tmp_path / "hips" / name / kept, folder / kept)
    build_collection(shelf, shelf, "demo", tmp_path / "whole", settings)
    for name in ("demo-g", "demo-r", "demo-i", *colors):
        assert files(tmp_path / "hips" / name) == files(tmp_path / "whole" / name)
        assert check_hips(tmp_path / "hips" / name) == []
