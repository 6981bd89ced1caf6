"""Files that change under their index are cut as they are now, or not at all."""

import gzip
import io
import itertools
import os
import shutil
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

sys.path.insert(0, str(Path(__file__).parent))
from soda_files import Products

from soda.files import Files
from soda.output import Output
from soda.selection import Selection
from soda.skies import SkyCache
from soda.source import source_of
from soda.worker import make_batch
from vodal.errors import DataError, NotFoundError, ServiceUnavailable
from vodal.regions import Circle
from vodal.storage import LocalReader

STENCIL = Selection(Circle(150.0, 2.0, 0.004))


def header(ra=150.0, dec=2.0, size=200):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cdelt = [ra, dec], [size / 2] * 2, [-2e-4, 2e-4]
    return wcs.to_header()


def write(path, value, *, kind="plain", size=200, noise=False, cards=None, **place):
    """Write an image whose pixels are all of one value, or noise around it."""
    data = np.full((size, size), value, np.int16)
    if noise:
        data += np.random.default_rng(value).integers(-9, 9, data.shape).astype(np.int16)
    made = header(size=size, **place)
    made.update(cards or {})
    hdus = [fits.PrimaryHDU(data, made)]
    if kind == "rice":
        hdus = [fits.PrimaryHDU(), fits.CompImageHDU(data, made)]
    fits.HDUList(hdus).writeto(path, overwrite=True)
    if kind == "gzip":
        path.write_bytes(gzip.compress(path.read_bytes(), 1))
    return aged(path)


TIMES = itertools.count(10**18, 10**9)


def aged(path):
    """Give a file a time of its own, long ago: one that was just written counts as unfinished."""
    moment = next(TIMES)
    os.utime(path, ns=(moment, moment))
    return path


def source(path):
    products = Products(path)
    (product,) = products.found.values()
    return source_of(product, products.index(product))


@pytest.fixture
def files():
    made = Files(SkyCache())
    yield made
    made.close()


def values(files, catalogued, selection=STENCIL):
    made = files.cut(catalogued, selection, Output())
    with fits.open(io.BytesIO(bytes(made.body))) as hdus:
        return set(np.unique(next(hdu.data for hdu in hdus if hdu.data is not None)).tolist())


@pytest.mark.parametrize("kind", ["plain", "rice", "gzip"])
@pytest.mark.parametrize("again", ["plain", "rice"])
def test_a_file_that_was_reduced_anew_is_cut_as_it_is_now(tmp_path, files, kind, again):
    path = write(tmp_path / "a.fits", 3, kind=kind)
    old = source(path)
    assert values(files, old) == {3}
    if (kind == "rice") == (again == "rice"):
        write(path, 8, kind=again, cards={"HISTORY": "x" * 3000})
        assert values(files, old) == {8}
        assert values(files, old) == {8}
    else:
        # An image in another HDU is not for a cutout to find; the assembly line will.
        write(path, 8, kind=again)
        with pytest.raises(DataError, match="another image"):
            files.cut(old, STENCIL, Output())


@pytest.mark.parametrize("kind", ["plain", "rice"])
def test_a_set_back_time_of_modification_does_not_hide_a_change(tmp_path, files, kind):
    path = write(tmp_path / "a.fits", 3, kind=kind, cards={"OBJECT": "first"})
    about = path.stat()
    old = source(path)
    assert values(files, old) == {3}
    # More cards before the pixels, and the same number of bytes in all.
    other = write(tmp_path / "b.fits", 8, kind=kind, cards={"OBJECT": "second"}, ra=150.001)
    assert other.stat().st_size == about.st_size
    other.replace(path)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    made = files.cut(old, STENCIL, Output())
    with fits.open(io.BytesIO(bytes(made.body))) as hdus:
        image = hdus[-1]
        assert image.header["OBJECT"] == "second"
        assert set(np.unique(image.data)) == {8}
        place = WCS(image.header).all_pix2world(image.data.shape[1] / 2, image.data.shape[0] / 2, 1)
        np.testing.assert_allclose(place, (150.0, 2.0), atol=4e-4)


def test_the_headers_are_looked_at_once_for_each_state_of_the_file(tmp_path, files, monkeypatch):
    path = write(tmp_path / "a.fits", 3, kind="rice")
    old = source(path)
    files.cut(old, STENCIL, Output())
    taken = []
    original = os.pread
    monkeypatch.setattr(os, "pread", lambda *given: (taken.append(given[1]), original(*given))[1])
    files.cut(old, STENCIL, Output())
    assert len(taken) == 1
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    files.cut(old, STENCIL, Output())
    assert len(taken) == 3


def test_another_image_under_the_name_is_not_cut(tmp_path, files):
    path = write(tmp_path / "a.fits", 3)
    old = source(path)
    for change in ({"ra": 151.0}, {"size": 180}):
        write(path, 8, **change)
        with pytest.raises(DataError, match="holds another image than when it was catalogued"):
            files.cut(old, STENCIL, Output())
    # With a slightly better solution it is the same image, and is cut by its new coordinates.
    write(path, 9, ra=150.0005)
    assert values(files, old) == {9}


@pytest.mark.parametrize("kind", ["plain", "rice", "gzip"])
@pytest.mark.parametrize("part", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_an_error(tmp_path, files, kind, part):
    path = write(tmp_path / "a.fits", 3, kind=kind, noise=True)
    old = source(path)
    files.cut(old, STENCIL, Output())
    os.truncate(path, int(path.stat().st_size * part))
    aged(path)
    with pytest.raises(DataError, match="changed since it was catalogued and cannot be read"):
        files.cut(old, STENCIL, Output())


def test_a_file_that_is_written_in_place_while_it_is_read_is_read_again(
    tmp_path, files, monkeypatch
):
    path = write(tmp_path / "a.fits", 3)
    old = source(path)
    files.cut(old, STENCIL, Output())
    other = write(tmp_path / "b.fits", 8).read_bytes()
    original, times, stamps = LocalReader._fill, [], itertools.count(10**17)

    def fill(self, offset, parts):
        middle = len(parts) // 2
        original(self, offset, parts[:middle])
        if len(times) < changes:
            with path.open("r+b") as file:
                file.write(other)
            times.append(1)
            os.utime(path, ns=(5, next(stamps)))
        original(self, offset + sum(map(len, parts[:middle])), parts[middle:])

    monkeypatch.setattr(LocalReader, "_fill", fill)
    changes = 1
    assert values(files, old) == {8}
    times.clear()
    changes = 10
    with pytest.raises(ServiceUnavailable, match="being written") as info:
        files.cut(old, STENCIL, Output())
    assert info.value.retry_after_s > 0


@pytest.mark.parametrize("kind", ["plain", "rice"])
def test_while_a_file_is_replaced_again_and_again_no_cutout_is_mixed(tmp_path, files, kind):
    path = write(tmp_path / "a.fits", 0, kind=kind)
    versions = [
        write(tmp_path / f"{k}.fits", k, kind=kind, cards={"HISTORY": "x" * 900 * k})
        for k in range(1, 4)
    ]
    old = source(path)
    done = threading.Event()

    def replace():
        turn = 0
        while not done.is_set():
            spare = tmp_path / "spare.fits"
            shutil.copy2(versions[turn % 3], spare)
            spare.replace(path)
            turn += 1

    writer = threading.Thread(target=replace)
    writer.start()
    seen = []
    try:
        for _ in range(60):
            try:
                seen.append(values(files, old))
            except ServiceUnavailable:
                continue
    finally:
        done.set()
        writer.join()
    assert all(len(one) == 1 for one in seen)
    assert values(files, old) <= {1, 2, 3}


def test_a_file_that_was_just_written_may_not_be_whole(tmp_path, files):
    path = write(tmp_path / "a.fits", 3)
    old = source(path)
    with path.open("r+b") as file:
        file.seek(2880)
        file.write(bytes(4000))
    with pytest.raises(ServiceUnavailable, match="being written"):
        files.cut(old, STENCIL, Output())
    write(path, 8)
    assert values(files, old) == {8}


def test_a_file_that_is_gone_is_told_as_such(tmp_path, files):
    path = write(tmp_path / "a.fits", 3)
    old = source(path)
    path.unlink()
    with pytest.raises(NotFoundError, match=r"a\.fits"):
        files.cut(old, STENCIL, Output())


def test_a_batch_from_a_file_that_changed_is_cut_as_it_is_now(tmp_path):
    path = write(tmp_path / "a.fits", 3)
    old = source(path)
    wanted = [(old, STENCIL), (old, Selection(Circle(150.002, 2.0, 0.001)))]
    for value in (3, 8):
        write(path, value, cards={"HISTORY": "x" * 1000 * value})
        answers = make_batch(wanted, 1 << 30, 1 << 30)
        assert len(answers) == 2
        for answer in answers:
            with fits.open(io.BytesIO(bytes(answer.body))) as hdus:
                assert set(np.unique(hdus[0].data)) == {value}
    path.unlink()
    assert all(isinstance(answer, DataError) for answer in make_batch(wanted, 1 << 30, 1 << 30))
