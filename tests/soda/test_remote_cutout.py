"""Cutouts of files on servers: the same as of local ones, in few bytes and one round trip."""

import gzip
import io
import os
import shutil
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

sys.path.insert(0, str(Path(__file__).parent))
from soda_files import Products

from soda.cut import cutout_file
from soda.files import Files
from soda.output import Output
from soda.selection import Selection
from soda.skies import SkyCache
from soda.source import source_of
from vodal.errors import DataError, NotFoundError, ServiceUnavailable
from vodal.fits.opening import open_scanned
from vodal.regions import Circle
from vodal.storage import Storage, StorageSettings
from vodal.testing.archive import serve_archive

SIZE = 1200


def image(kind, folder):
    rng = np.random.default_rng(11)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cdelt = [150.0, 2.0], [SIZE / 2] * 2, [-5e-5, 5e-5]
    header = wcs.to_header()
    data = rng.normal(100, 9, (SIZE, SIZE)).astype(np.float32)
    mask = rng.integers(0, 9, (SIZE, SIZE)).astype(np.int16)
    path = folder / f"{kind}.fits"
    match kind:
        case "plain" | "gzip":
            hdus = [fits.PrimaryHDU(data, header)]
        case "rows":
            hdus = [fits.PrimaryHDU(), fits.CompImageHDU(data, header)]
        case "tiles":
            hdus = [fits.PrimaryHDU(), fits.CompImageHDU(data, header, tile_shape=(100, 100))]
        case "planes":
            hdus = [
                fits.PrimaryHDU(),
                fits.CompImageHDU(data, header, name="IMAGE", tile_shape=(100, 100)),
                fits.CompImageHDU(mask, header, name="MASK"),
                fits.ImageHDU(data**2, header, name="VARIANCE"),
            ]
    fits.HDUList(hdus).writeto(path)
    if kind == "gzip":
        path.write_bytes(gzip.compress(path.read_bytes(), 1))
    return path


KINDS = ("plain", "gzip", "rows", "tiles", "planes")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("remote")
    for kind in KINDS:
        image(kind, made)
    return made


@pytest.fixture
def archive(folder, tmp_path):
    for path in folder.iterdir():
        shutil.copy(path, tmp_path)
    with serve_archive(tmp_path) as running:
        yield running


@pytest.fixture
def storage(archive):
    made = Storage(StorageSettings(http_hosts=(archive.host,), timeout_s=0.5, attempts=3))
    yield made
    made.close()


@pytest.fixture
def files():
    made = Files(SkyCache())
    yield made
    made.close()


def circle(x=SIZE / 2, y=SIZE / 2, radius=60):
    return Selection(
        Circle(150.0 - (x - SIZE / 2) * 5e-5, 2.0 + (y - SIZE / 2) * 5e-5, radius * 5e-5)
    )


def catalogued(path, archive, storage):
    """Give what to cut from, with the index that an assembly line of the archive would make."""
    products = Products(path)
    (product,) = products.found.values()
    uri = f"{archive.url}/{path.name}"
    index, reader = open_scanned(uri, storage=storage)
    reader.__exit__(None, None, None)
    local = products.index(product)
    assert replace(index, version=local.version).to_bytes() == local.to_bytes()
    archive.seen.clear()
    return source_of(replace(product, uri=uri), index, storage)


def pixels(body):
    with fits.open(io.BytesIO(bytes(body))) as hdus:
        return [(hdu.name, np.array(hdu.data)) for hdu in hdus if hdu.data is not None]


def assert_same(found, expected):
    assert len(found) == len(expected) > 0
    for (name, ours), (other, theirs) in zip(found, expected, strict=True):
        assert name == other
        np.testing.assert_array_equal(ours, theirs)


def needed_bytes(source, found):
    """Give the bytes of the tiles that the pixels lie in, and of the pixels of plain images."""
    total = 0
    for number in source.hdus:
        hdu = source.index.hdus[number]
        with fits.open(io.BytesIO(bytes(found.body))) as hdus:
            header = next(
                h.header for h in hdus if h.data is not None and h.name in {hdu.name, "PRIMARY", ""}
            )
        parts = [p.split(":") for p in header["CUTSEC"].strip("[]").split(",")][::-1]
        (y0, y1), (x0, x1) = [(int(a) - 1, int(b)) for a, b in parts]
        if hdu.tiles is None:
            total += (y1 - y0) * (x1 - x0) * abs(hdu.bitpix) // 8
            continue
        height, width = hdu.tiles.tile_shape
        across = -(-SIZE // width)
        total += sum(
            int(hdu.tiles.lengths[row * across + column])
            for row in range(y0 // height, (y1 - 1) // height + 1)
            for column in range(x0 // width, (x1 - 1) // width + 1)
        )
    return total


@pytest.mark.parametrize("kind", KINDS)
def test_a_remote_cutout_is_that_of_the_local_file(archive, storage, files, kind):
    path = archive.folder / f"{kind}.fits"
    source = catalogued(path, archive, storage)
    for place in (circle(), circle(130, 1100, 80), circle(0, 0, 30)):
        expected = pixels(cutout_file(path, place).body)
        assert_same(pixels(files.cut(source, place, Output()).body), expected)
        uri = f"{archive.url}/{kind}.fits"
        assert_same(pixels(cutout_file(uri, place, storage=storage).body), expected)


WARM = [("plain", 3), ("rows", 1), ("tiles", 3), ("planes", 3)]


@pytest.mark.parametrize(("kind", "most"), WARM)
def test_a_warm_cutout_takes_one_round_trip_and_few_bytes(archive, storage, files, kind, most):
    source = catalogued(archive.folder / f"{kind}.fits", archive, storage)
    made = files.cut(source, circle(640, 660, 110), Output())
    requests = len(archive.seen)
    assert 1 <= requests <= most
    assert all("if-match" in item.headers for item in archive.seen)
    assert archive.bytes_sent() <= 1.2 * needed_bytes(source, made)
    # All requests must be on their way before the first is answered: one round trip.
    archive.together = threading.Barrier(requests)
    again = files.cut(source, circle(640, 660, 110), Output())
    archive.together = None
    assert_same(pixels(again.body), pixels(made.body))
    assert len(archive.seen) == 2 * requests


@pytest.mark.parametrize("lanes", [8, 32])
@pytest.mark.parametrize("kind", ["plain", "planes"])
def test_where_servers_give_one_range_at_a_time_it_is_one_round_trip_too(
    archive, files, kind, lanes
):
    storage = Storage(
        StorageSettings(http_hosts=(archive.host,), several_ranges=False, parallel=lanes)
    )
    path = archive.folder / f"{kind}.fits"
    source = catalogued(path, archive, storage)
    place = circle(640, 660, 110)
    expected = pixels(cutout_file(path, place).body)
    made = files.cut(source, place, Output())
    assert_same(pixels(made.body), expected)
    requests = len(archive.seen)
    assert requests <= lanes
    # What lies between the rows of the plain plane is read along.
    assert archive.bytes_sent() <= needed_bytes(source, made) + 220 * SIZE * 4
    assert archive.bytes_sent() == made.read_bytes
    archive.together = threading.Barrier(requests)
    files.cut(source, place, Output())
    archive.together = None
    storage.close()


def test_a_warm_gzip_is_fetched_once(archive, storage, files):
    source = catalogued(archive.folder / "gzip.fits", archive, storage)
    files.cut(source, circle(), Output())
    sent = archive.bytes_sent()
    for x in (300, 500, 700):
        files.cut(source, circle(x), Output())
    assert archive.bytes_sent() - sent <= 4 * 65_536


@pytest.mark.parametrize("etag", ["strong", "weak", "none"])
@pytest.mark.parametrize("kind", ["plain", "tiles", "gzip"])
def test_a_file_that_changed_on_the_server_is_cut_as_it_is_now(archive, storage, files, kind, etag):
    archive.etag = etag
    path = archive.folder / f"{kind}.fits"
    source = catalogued(path, archive, storage)
    files.cut(source, circle(), Output())
    with fits.open(path) as hdus:
        changed = fits.HDUList([type(hdu)(hdu.data, hdu.header) for hdu in hdus])
        for hdu in changed:
            if hdu.data is not None:
                hdu.data = hdu.data[::-1].copy()
                hdu.header["HISTORY"] = "turned"
        changed.writeto(archive.folder / "new.fits")
    new = archive.folder / "new.fits"
    if kind == "gzip":
        new.write_bytes(gzip.compress(new.read_bytes(), 1))
    new.replace(path)
    os.utime(path, (2e9, 2e9))
    expected = pixels(cutout_file(path, circle()).body)
    assert_same(pixels(files.cut(source, circle(), Output()).body), expected)
    archive.seen.clear()
    assert_same(pixels(files.cut(source, circle(), Output()).body), expected)
    if kind == "plain" and etag == "strong":
        assert len(archive.seen) == 2  # the new index is warm too


def test_a_file_that_changes_between_two_requests_is_never_mixed(archive, storage, files):
    path = archive.folder / "planes.fits"
    source = catalogued(path, archive, storage)
    other = shutil.copy(path, archive.folder / "other.fits")
    with fits.open(other, mode="update") as hdus:
        for hdu in hdus[1:]:
            hdu.data = (hdu.data * 0 + 7).astype(hdu.data.dtype)
    archive.before.extend([None, lambda: Path(other).replace(path)])
    found = pixels(files.cut(source, circle(), Output()).body)
    assert not archive.before
    assert {int(value) for _, plane in found for value in np.unique(plane)} == {7}


def test_a_slow_or_broken_archive_is_told_as_such(archive, storage, files):
    source = catalogued(archive.folder / "rows.fits", archive, storage)
    archive.faults.extend(["broken"] * 3)
    with pytest.raises(ServiceUnavailable, match="does not answer as it should"):
        files.cut(source, circle(), Output())
    archive.faults.extend(["busy"])
    assert files.cut(source, circle(), Output()) is not None
    archive.faults.append("ignores-range")
    with pytest.raises(DataError, match="ignores ranges"):
        files.cut(source, circle(), Output())
    (archive.folder / "rows.fits").unlink()
    with pytest.raises(NotFoundError):
        files.cut(source, circle(), Output())


def test_a_truncated_file_on_a_server_is_an_error(archive, storage, files):
    path = archive.folder / "rows.fits"
    source = catalogued(path, archive, storage)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match="changed since it was catalogued and cannot be read"):
        files.cut(source, circle(), Output())
