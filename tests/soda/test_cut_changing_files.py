"""Files that change under a cutout, and a disk that is full: an error, never other pixels."""

from __future__ import annotations

import gzip
import io
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

sys.path.insert(0, str(Path(__file__).parent))
from soda_files import Products, section

from soda.cut import cutout
from soda.selection import Selection
from soda.source import source_of
from vodal.errors import ChangedError, ServiceUnavailable
from vodal.regions import Circle
from vodal.testing.skies import make_wcs

KINDS = ["narrow", "wide", "RICE_1", "GZIP_2", "gzip"]
PLACE = (40.0, 5.0)


@pytest.fixture(params=KINDS)
def file(request, tmp_path):
    """An image of a kind, the bytes of another like it, and what it is cut by."""
    nx = 40_000 if request.param == "wide" else 200  # rows that are read one by one
    pair = []
    for factor in (1, 2):
        wcs = make_wcs(*PLACE, 200, 1.0, distorted=False)
        data = (np.arange(200 * nx, dtype=np.int32) % 977 * factor).reshape(200, nx)
        hdu = fits.ImageHDU(data, wcs.to_header(), name="X")
        if "_" in request.param:
            hdu = fits.CompImageHDU(data, wcs.to_header(), "X", request.param, (20, 50))
        path = tmp_path / f"{factor}.fits"
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
        pair.append(path.read_bytes())
    one, two = pair
    path = tmp_path / "a.fits"
    if request.param == "gzip":
        one, two = gzip.compress(one, 1), gzip.compress(two, 1)
    # Of one size, as only the time of change tells that they are two.
    size = max(len(one), len(two))
    two = two.ljust(size, b"\0")
    path.write_bytes(one.ljust(size, b"\0"))
    os.utime(path, ns=(10**18, 10**18))
    products = Products(path)
    ((did, product),) = products.found.items()
    return path, two, source_of(product, products.indexes[did])


def cut(source):
    return cutout(source, Selection(Circle(*PLACE, 20.0 / 3600)))


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_file_that_is_written_while_it_is_read_is_refused(file, monkeypatch, moment):
    path, other, source = file
    assert cut(source) is not None
    written = []

    def write():
        if not written:
            written.append(True)
            with path.open("r+b") as stream:
                stream.write(other)

    for name in ("pread", "preadv"):
        reading = getattr(os, name)

        def late(*given, reading=reading):
            if moment == "before":
                write()
            found = reading(*given)
            write()
            return found

        monkeypatch.setattr(os, name, late)
    with pytest.raises(ChangedError, match="changed since"):
        cut(source)
    assert written


def test_a_file_that_is_replaced_while_it_is_read_gives_what_was_asked_for(file, monkeypatch):
    path, other, source = file
    expected = bytes(cut(source).body)
    beside = path.with_name("b.fits")
    beside.write_bytes(other)
    for name in ("pread", "preadv"):
        reading = getattr(os, name)

        def late(*given, reading=reading):
            if beside.exists():
                beside.replace(path)
            return reading(*given)

        monkeypatch.setattr(os, name, late)
    found = bytes(cut(source).body)
    assert not beside.exists()
    with fits.open(io.BytesIO(found)) as one, fits.open(io.BytesIO(expected)) as two:
        np.testing.assert_array_equal(one["X"].data, two["X"].data)
        assert section(one["X"].header) == section(two["X"].header)
    with pytest.raises(ChangedError, match="changed since"):
        cut(source)


def test_a_full_disk_is_a_reason_to_come_back(tmp_path, monkeypatch):
    wcs = make_wcs(*PLACE, 200, 1.0, distorted=False)
    stream = io.BytesIO()
    fits.PrimaryHDU(np.ones((200, 200), np.int32), wcs.to_header()).writeto(stream)
    path = tmp_path / "a.fits.gz"
    path.write_bytes(gzip.compress(stream.getvalue(), 1))
    products = Products(path)
    ((did, product),) = products.found.items()
    source = source_of(product, products.indexes[did])
    full = Path("/dev/full").open("r+b", buffering=0)  # noqa: SIM115 - as the temporary file
    with monkeypatch.context() as patched:
        patched.setattr(tempfile, "TemporaryFile", lambda **_: full)
        with pytest.raises(ServiceUnavailable, match="no room"):
            cut(source)
    assert full.closed
    assert cut(source) is not None
