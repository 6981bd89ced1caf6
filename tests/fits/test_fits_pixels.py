"""Sections read through the byte index, held against astropy's reading of the whole image."""

from __future__ import annotations

import gzip
import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from vodal.errors import DataError
from vodal.fits.index import HduIndex
from vodal.fits.opening import open_pixels
from vodal.fits.pixels import physical, read_section, read_sections
from vodal.fits.scan import scan_file
from vodal.storage import LocalReader, RangeReader

QUICK = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

TYPES = ["u1", "i2", "i4", "i8", "f4", "f8"]


class Counting(RangeReader):
    """Counts what is read."""

    def __init__(self, path: Path) -> None:
        self.inner = LocalReader(path)
        self.ranges: list[tuple[int, int]] = []

    def stat(self) -> Any:
        return self.inner.stat()

    def read(self, offset: int, length: int) -> bytes:
        self.ranges.append((offset, length))
        return self.inner.read(offset, length)

    def read_many(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        return [self.read(*one) for one in ranges]

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.inner.__exit__(None, None, None)


def whole(hdu: HduIndex) -> tuple[slice, ...]:
    return tuple(slice(0, size) for size in hdu.shape)


def same(one: np.ndarray, two: np.ndarray) -> bool:
    if one.dtype.newbyteorder("=") != two.dtype.newbyteorder("="):
        return False
    return np.array_equal(one, two, equal_nan=one.dtype.kind == "f")


@st.composite
def sections(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[slice, ...]:
    parts = []
    for size in shape:
        start = draw(st.integers(0, size))
        stop = draw(st.integers(start, size + 3))
        whole_axis = draw(st.booleans())
        parts.append(slice(0, size) if whole_axis else slice(start, stop))
    return tuple(parts)


@QUICK
@given(data=st.data())
def test_a_section_of_a_plain_image_is_that_of_the_array(
    tmp_path: Path, data: st.DataObject
) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=4)))
    dtype = data.draw(st.sampled_from(TYPES))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    pixels = (rng.normal(0, 50, shape)).astype(dtype)
    path = tmp_path / "a.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(pixels)]).writeto(path, overwrite=True)
    hdu = scan_file(path).hdus[1]
    section = data.draw(sections(shape))
    with LocalReader(path) as reader:
        found = read_section(reader, hdu, section)
    assert found.dtype == np.dtype(dtype)
    assert same(found, pixels[section])


COMPRESSIONS = ["RICE_1", "GZIP_1", "GZIP_2", "HCOMPRESS_1", "PLIO_1", "NOCOMPRESS"]


@st.composite
def compressed(draw: st.DrawFn) -> fits.CompImageHDU:
    """Make an image of any compression, type, tiling and quantisation that astropy writes."""
    kind = draw(st.sampled_from(COMPRESSIONS))
    dtype = draw(st.sampled_from(["u1", "i2", "i4", "f4", "f8"]))
    if kind == "HCOMPRESS_1":
        shape = (draw(st.integers(8, 20)), draw(st.integers(8, 20)))
        tile = shape
        assume(dtype != "u1")
    else:
        shape = tuple(draw(st.lists(st.integers(1, 14), min_size=1, max_size=4)))
        tile = tuple(draw(st.integers(1, size)) for size in shape)
    assume(kind != "PLIO_1" or dtype in {"u1", "i2", "i4"})
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    pixels = np.abs(rng.normal(60, 20, shape)).astype(dtype)
    settings_: dict[str, Any] = {}
    if dtype[0] == "f":
        level = draw(st.sampled_from([0.0, 4.0, 16.0])) if kind.startswith("GZIP") else 16.0
        settings_["quantize_level"] = level
        settings_["quantize_method"] = draw(st.sampled_from([-1, 1, 2]))
        settings_["dither_seed"] = draw(st.integers(1, 10000))
        # NaN and exact zeros have their own rules in quantisation.
        if kind != "HCOMPRESS_1":
            pixels.flat[rng.integers(0, pixels.size, 2)] = np.nan
        pixels.flat[rng.integers(0, pixels.size, 2)] = 0.0
        assume(kind != "NOCOMPRESS")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fits.CompImageHDU(
            pixels, compression_type=kind, tile_shape=tile, name="T", **settings_
        )


@QUICK
@given(hdu=compressed(), data=st.data())
def test_a_section_of_a_compressed_image_is_that_of_astropys_array(
    tmp_path: Path, hdu: fits.CompImageHDU, data: st.DataObject
) -> None:
    path = tmp_path / "c.fits"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path, overwrite=True)
            with fits.open(path) as hdus:
                truth = np.array(hdus[1].data)
        except Exception:  # noqa: BLE001 - combinations that astropy cannot write
            assume(False)
    one = scan_file(path).hdus[1]
    assert one.kind == "compressed"
    section = data.draw(sections(one.shape))
    with LocalReader(path) as reader:
        assert same(read_section(reader, one, whole(one)), truth)
        assert same(read_section(reader, one, section), truth[section])


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
def test_unsigned_conventions_keep_exact_integers(tmp_path: Path, dtype: str) -> None:
    limits = np.iinfo(dtype) if dtype[0] in "ui" else np.finfo(dtype)
    pixels = np.array([[limits.min, 0, 1], [limits.max, 7, 3]], dtype)
    path = tmp_path / "a.fits"
    fits.HDUList([fits.PrimaryHDU(pixels)]).writeto(path)
    hdu = scan_file(path).hdus[0]
    with LocalReader(path) as reader:
        found = physical(read_section(reader, hdu, whole(hdu)), hdu.image_header)
    assert same(found, pixels)


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "i8", "f4", "f8"])
@pytest.mark.parametrize(
    "cards",
    [
        {"BSCALE": 2.5, "BZERO": -3.0},
        {"BZERO": 10.0},
        {"BSCALE": 0.5, "BLANK": 5},
        {"BLANK": 5},
    ],
)
def test_scaling_and_blanks_are_those_of_astropy(
    tmp_path: Path, dtype: str, cards: dict[str, float]
) -> None:
    path = tmp_path / "a.fits"
    hdu = fits.PrimaryHDU(np.arange(12).reshape(3, 4).astype(dtype))
    hdu.writeto(path)
    raw = path.read_bytes()
    # astropy would apply the cards when they are set: they are written over blanks of the header.
    lines = "".join(f"{key:8}= {value!r:>20}".ljust(80) for key, value in cards.items())
    end = raw.index(b"END     ")
    path.write_bytes(raw[:end] + (lines + "END").encode().ljust(2880 - end) + raw[2880:])
    one = scan_file(path).hdus[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with fits.open(path) as hdus:
            truth = np.array(hdus[0].data)
    with LocalReader(path) as reader:
        found = physical(read_section(reader, one, whole(one)), one.image_header)
    assert same(found, truth)


def test_zscale_and_zblank_as_cards_serve_all_tiles(tmp_path: Path) -> None:
    pixels = np.random.default_rng(2).normal(10, 1, (8, 16)).astype(np.float32)
    pixels[2, 3] = np.nan
    source = tmp_path / "a.fits"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hdu = fits.CompImageHDU(pixels, compression_type="RICE_1", tile_shape=(8, 16))
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(source)
        with fits.open(source) as hdus:
            truth = np.array(hdus[1].data)
    one = scan_file(source).hdus[1]
    assert one.tiles is not None
    assert one.tiles.zscale is not None
    assert one.tiles.zzero is not None
    header = one.header.copy()
    header["ZSCALE"], header["ZZERO"] = float(one.tiles.zscale[0]), float(one.tiles.zzero[0])
    bare = replace(
        one, cards=header.tostring(endcard=False, padding=False),
        tiles=replace(one.tiles, zscale=None, zzero=None),
    )  # fmt: skip
    with LocalReader(source) as reader:
        assert same(read_section(reader, bare, whole(bare)), truth)


def test_only_the_needed_bytes_are_read(tmp_path: Path) -> None:
    data = np.arange(2000 * 3000, dtype=np.float32).reshape(2000, 3000)
    data = np.concatenate([data, data], axis=1)
    fits.PrimaryHDU(data).writeto(tmp_path / "plain.fits")
    hdu = scan_file(tmp_path / "plain.fits").hdus[0]
    section = np.s_[100:110, 200:260]
    with Counting(tmp_path / "plain.fits") as reader:
        assert same(read_section(reader, hdu, section), data[section])
        # Whether what lies between the rows is read along is for the reader to say.
        assert [length for _, length in reader.ranges] == [60 * 4] * 10
    tiled = fits.CompImageHDU(
        data[:512, :512].astype(np.int32), compression_type="GZIP_1", tile_shape=(64, 64)
    )
    fits.HDUList([fits.PrimaryHDU(), tiled]).writeto(tmp_path / "tiled.fits")
    hdu = scan_file(tmp_path / "tiled.fits").hdus[1]
    with Counting(tmp_path / "tiled.fits") as reader:
        found = read_section(reader, hdu, np.s_[60:70, 0:64])
        assert same(found, data[60:70, 0:64].astype(np.int32))
        assert len(reader.ranges) == 2


def test_wide_rows_are_read_one_by_one(tmp_path: Path) -> None:
    data = np.arange(20 * 40000, dtype=np.int32).reshape(20, 40000)
    fits.PrimaryHDU(data).writeto(tmp_path / "a.fits")
    hdu = scan_file(tmp_path / "a.fits").hdus[0]
    with Counting(tmp_path / "a.fits") as reader:
        assert same(read_section(reader, hdu, np.s_[3:9, 10:30]), data[3:9, 10:30])
        assert [length for _, length in reader.ranges] == [80] * 6


def test_several_planes_are_read_together(tmp_path: Path) -> None:
    planes = [np.full((30, 30), k, np.int16) for k in range(3)]
    hdus = [fits.PrimaryHDU(), *(fits.ImageHDU(plane) for plane in planes)]
    fits.HDUList(hdus).writeto(tmp_path / "a.fits")
    index = scan_file(tmp_path / "a.fits")
    with LocalReader(tmp_path / "a.fits") as reader:
        found = read_sections(reader, [(index.hdus[k], np.s_[3:5, 4:9]) for k in (1, 2, 3)])
    assert [int(plane[0, 0]) for plane in found] == [0, 1, 2]
    assert found[0].shape == (2, 5)


def test_a_gzip_is_read_in_the_offsets_of_its_plain_stream(tmp_path: Path) -> None:
    data = np.random.default_rng(5).normal(0, 1, (50, 60))
    fits.PrimaryHDU(data).writeto(tmp_path / "a.fits")
    path = tmp_path / "a.fits.gz"
    path.write_bytes(gzip.compress((tmp_path / "a.fits").read_bytes()))
    index = scan_file(path)
    with open_pixels(path.as_uri(), index) as reader:
        assert same(read_section(reader, index.hdus[0], np.s_[10:20, :]), data[10:20])
        assert reader.stat().version == index.version
        with pytest.raises(DataError, match="ends before"):
            reader.read(10**9, 10)
    with pytest.raises(DataError, match="holds more than 1000 bytes"):
        open_pixels(path.as_uri(), index, limit_bytes=1000)


def test_a_file_that_changed_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    fits.PrimaryHDU(np.ones((5, 5))).writeto(path)
    index = scan_file(path)
    os.utime(path, ns=(1, 1))
    with pytest.raises(DataError, match="changed since it was catalogued"):
        open_pixels(path.as_uri(), index)


@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_a_damaged_tile_is_named_and_the_others_are_read(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(1)
    data = np.abs(rng.normal(300, 90, (48, 32))).astype(np.int16)
    path = tmp_path / "a.fits"
    hdu = fits.CompImageHDU(data, compression_type=kind, tile_shape=(16, 32))
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    one = scan_file(path).hdus[1]
    assert one.tiles is not None
    cut = one.tiles.lengths.copy()
    cut[1] = 3
    short = replace(one, tiles=replace(one.tiles, lengths=cut))
    with LocalReader(path) as reader:
        assert same(read_section(reader, short, np.s_[32:48, :]), data[32:48])
        with pytest.raises(DataError, match="HDU 1: tile 1 is damaged"):
            read_section(reader, short, np.s_[:, :])


@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_random_bytes_for_a_tile_never_crash(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(7)
    data = np.abs(rng.normal(300, 90, (16, 64))).astype(np.int16)
    path = tmp_path / "a.fits"
    hdu = fits.CompImageHDU(data, compression_type=kind, tile_shape=(16, 64))
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    index = scan_file(path)
    one = index.hdus[1]
    assert one.tiles is not None
    raw = bytearray(path.read_bytes())
    start, length = int(one.tiles.offsets[0]), int(one.tiles.lengths[0])
    named = 0
    for _ in range(200):
        broken = raw.copy()
        for at in rng.integers(0, length, 3):
            broken[start + at] = rng.integers(0, 256)
        path.write_bytes(broken)
        with LocalReader(path) as reader:
            try:
                found = read_section(reader, one, whole(one))
            except DataError as error:
                named += "tile 0 is damaged" in error.message
            else:
                named += found.shape == (16, 64)
    assert named == 200


def test_the_header_of_a_compressed_image_is_that_of_the_image_inside(tmp_path: Path) -> None:
    header = fits.Header([("OBJECT", "M 31", "target"), ("CRVAL1", 10.5), ("EXTNAME", "SCI")])
    header.add_history("made")
    header["LONGTEXT"] = "y" * 120
    data = np.zeros((6, 7), np.float32)
    path = tmp_path / "a.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(data, header)]).writeto(path)
    found = scan_file(path).hdus[1].image_header
    assert list(found)[:7] == ["XTENSION", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "PCOUNT",
                               "GCOUNT"]  # fmt: skip
    assert found["XTENSION"] == "IMAGE"
    assert (found["BITPIX"], found["NAXIS1"], found["NAXIS2"]) == (-32, 7, 6)
    assert (found["OBJECT"], found.comments["OBJECT"]) == ("M 31", "target")
    assert found["EXTNAME"] == "SCI"
    assert found["LONGTEXT"] == "y" * 120
    assert list(found["HISTORY"]) == ["made"]
    assert not [key for key in found if key.startswith(("Z", "TTYPE", "TFORM", "TFIELDS"))]
    with fits.open(path) as hdus:
        theirs = hdus[1].header
        assert {key: found[key] for key in theirs if key and key != "HISTORY"} == {
            key: theirs[key] for key in theirs if key and key != "HISTORY"
        }
