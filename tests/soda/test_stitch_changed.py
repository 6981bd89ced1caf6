"""Files that change under their index are stitched as they are now, or not at all."""

from __future__ import annotations

import io
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

sys.path.insert(0, str(Path(__file__).parent))
from soda_files import Products
from test_changed_files import aged, header, write

import soda.files
from soda.files import Files
from soda.selection import Selection
from soda.skies import SkyCache
from soda.source import source_of
from soda.stitch.request import Rules, StitchInput, StitchRequest
from vodal.errors import DataError, ServiceUnavailable
from vodal.regions import Circle

ASKED = StitchRequest(
    Selection(Circle(150.0, 2.0, 0.004)), conserved="brightness", combination="first"
)


@pytest.fixture
def files():
    made = Files(SkyCache())
    yield made
    made.close()


def inputs(*paths):
    products = Products(*paths)
    found = [source_of(one, products.index(one)) for one in products.found.values()]
    return [StitchInput(one) for one in found]


def middle(files, given, asked=ASKED):
    """Stitch, and give the value in the middle and what it was made of."""
    made = files.stitch(given, asked, Rules())
    with fits.open(io.BytesIO(bytes(made.body))) as hdus:
        data = hdus[0].data
        used = hdus["INPUTS"].data["obs_publisher_did"].tolist()
        return float(data[data.shape[0] // 2, data.shape[1] // 2]), used


@pytest.mark.parametrize("kind", ["plain", "rice", "gzip"])
def test_a_replaced_file_is_stitched_as_it_is_now(tmp_path, files, kind):
    paths = [write(tmp_path / f"{name}.fits", k, kind=kind) for k, name in ((3, "a"), (4, "b"))]
    old = inputs(*paths)
    assert middle(files, old)[0] == 3.0
    # Every byte of the pixels lies elsewhere now.
    write(paths[0], 8, kind=kind, cards={"HISTORY": "x" * 3000})
    for _ in range(2):
        assert middle(files, old) == (8.0, [old[0].source.did])


@pytest.mark.parametrize("kind", ["plain", "rice"])
def test_a_set_back_time_of_modification_hides_nothing(tmp_path, files, kind):
    path = write(tmp_path / "a.fits", 3, kind=kind, cards={"OBJECT": "first"})
    about = path.stat()
    old = inputs(path)
    assert middle(files, old)[0] == 3.0
    other = write(tmp_path / "b.fits", 8, kind=kind, cards={"OBJECT": "second"}, ra=150.001)
    assert other.stat().st_size == about.st_size
    other.replace(path)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    made = files.stitch(old, ASKED, Rules())
    with fits.open(io.BytesIO(bytes(made.body))) as hdus:
        assert hdus[0].header["OBJECT"] == "second"
        data = hdus[0].data
    # Its new coordinates count: the old image would not reach the circle's western edge alike.
    fresh = Files(SkyCache()).stitch(inputs(path), ASKED, Rules())
    np.testing.assert_array_equal(data, fits.getdata(io.BytesIO(bytes(fresh.body))))


def test_an_image_that_came_into_the_region_since_is_there(tmp_path, files):
    """By its old index it would not be read at all."""
    path = write(tmp_path / "a.fits", 3, ra=150.026)
    old = inputs(path)
    assert files.stitch(old, ASKED, Rules()) is None
    write(path, 8, ra=150.019)
    data = fits.getdata(io.BytesIO(bytes(files.stitch(old, ASKED, Rules()).body)))
    np.testing.assert_allclose(data[np.isfinite(data)], 8.0, rtol=1e-6)


def camera(path, values, *, shift=0):
    """Write a file of several detectors side by side."""
    hdus = [fits.PrimaryHDU()]
    for k, value in enumerate(values):
        own = header(ra=150.0 + 0.02 * k)
        own.update({"HISTORY": "x" * shift} if shift else {})
        data = np.full((200, 200), value, np.float32)
        hdus.append(fits.ImageHDU(data, own, name=f"CCD{k}"))
    fits.HDUList(hdus).writeto(path, overwrite=True)
    return aged(path)


def test_of_a_camera_that_changed_all_detectors_are_indexed_by_one_look(
    tmp_path, files, monkeypatch
):
    path = camera(tmp_path / "camera.fits", (1.0, 2.0, 3.0))
    other = write(tmp_path / "other.fits", 9, ra=150.3)
    old = inputs(path, other)
    scans = []
    scan = soda.files.open_scanned
    monkeypatch.setattr(
        soda.files, "open_scanned",
        lambda uri, **given: (scans.append(uri), scan(uri, **given))[1],
    )  # fmt: skip
    camera(path, (5.0, 6.0, 7.0), shift=4000)
    wide = StitchRequest(Selection(Circle(150.02, 2.0, 0.04)), conserved="brightness")
    made = files.stitch(old, wide, Rules())
    data = fits.getdata(io.BytesIO(bytes(made.body)))
    assert {5.0, 6.0, 7.0} <= set(np.unique(np.round(data[np.isfinite(data)], 3)))
    assert scans == [path.resolve().as_uri()]


def test_another_image_under_the_name_is_named_and_not_stitched(tmp_path, files):
    paths = [write(tmp_path / f"{name}.fits", 3) for name in "ab"]
    old = inputs(*paths)
    write(paths[1], 8, ra=151.0)
    with pytest.raises(DataError, match=r"b\.fits holds another image than when it was catalogued"):
        files.stitch(old, ASKED, Rules())
    whole = paths[1].read_bytes()
    paths[1].write_bytes(whole[: len(whole) // 2])
    aged(paths[1])
    with pytest.raises(DataError, match=r"b\.fits changed since it was catalogued and cannot be"):
        files.stitch(old, ASKED, Rules())


def test_a_file_that_is_being_written_is_told(tmp_path, files):
    path = write(tmp_path / "a.fits", 3)
    old = inputs(path, write(tmp_path / "b.fits", 4))
    write(path, 8, cards={"HISTORY": "x" * 3000})
    os.utime(path, (time.time(), time.time()))
    with pytest.raises(ServiceUnavailable, match=r"a\.fits is being written"):
        files.stitch(old, ASKED, Rules())


def test_a_file_that_changes_while_it_is_stitched(tmp_path, files, monkeypatch):
    import soda.stitch.make as making

    paths = [write(tmp_path / f"{name}.fits", k) for k, name in ((3, "a"), (4, "b"))]
    old = inputs(*paths)
    asked = StitchRequest(ASKED.selection, conserved="brightness", combination="mean")
    new = write(tmp_path / "new.fits", 5, cards={"HISTORY": "x" * 3000}).read_bytes()
    reading, changes = making.good_pixels, [new]

    def changed_meanwhile(*given):
        if changes:
            # In place: a file that is renamed stays what it was for who has it open.
            paths[1].write_bytes(changes.pop())
            aged(paths[1])
        return reading(*given)

    monkeypatch.setattr(making, "good_pixels", changed_meanwhile)
    assert middle(files, old, asked)[0] == 4.0  # of 3 and 5
    assert not changes
