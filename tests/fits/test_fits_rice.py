"""Compiled decoding of RICE_1 held against astropy's, to the bit; damaged streams."""

from __future__ import annotations

import ctypes
import mmap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.io.fits.hdu.compressed._codecs import Rice1
from astropy.io.fits.hdu.compressed._compression import CfitsioException
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from vodal.errors import DataError
from vodal.fits import rice
from vodal.fits.index import HduIndex
from vodal.fits.pixels import read_section, read_sections
from vodal.fits.scan import scan_file
from vodal.fits.tiled import rice as loading
from vodal.storage import LocalReader

MANY = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(autouse=True, scope="module")
def _loaded() -> None:
    loading.wait()
    assert loading.loaded is not None


@contextmanager
def at_the_edge(data: bytes) -> Iterator[int]:
    """Put bytes right before memory that must not be touched; gives their address."""
    page = mmap.PAGESIZE
    room = -(-max(1, len(data)) // page) * page
    memory = mmap.mmap(-1, room + page)
    held = ctypes.c_char.from_buffer(memory)
    start = ctypes.addressof(held)
    libc = ctypes.CDLL(None, use_errno=True)
    memory[room - len(data) : room] = data
    assert libc.mprotect(ctypes.c_void_p(start + room), ctypes.c_size_t(page), 0) == 0
    try:
        yield start + room - len(data)
    finally:
        libc.mprotect(ctypes.c_void_p(start + room), ctypes.c_size_t(page), 3)
        del held
        memory.close()


def decoded(data: bytes, width: int, block: int, count: int) -> np.ndarray | None:
    """Decode values by compiled code; None if the stream ends too early."""
    values = np.full(count + 8, 77, np.int32)
    with at_the_edge(data) as start:
        whole = rice.decode_values(start, start + len(data), 8 * width, block, values, count)
    assert (values[count:] == 77).all()
    return values[:count] if whole else None


@st.composite
def values_of(draw: st.DrawFn, width: int) -> np.ndarray:
    """Draw values of every texture: constant, smooth, noisy, as wild as they can be."""
    count = draw(st.integers(1, 400))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    low, high = (0, 256) if width == 1 else (-(1 << (8 * width - 1)), 1 << (8 * width - 1))
    spread = draw(st.sampled_from([0, 1, 5, 300, 70000, high]))
    values = rng.integers(-spread, spread + 1, count) + draw(st.integers(low, high - 1))
    wild = draw(st.sampled_from([0, 0, 2, count]))
    values[rng.integers(0, count, wild)] = rng.integers(low, high, wild)
    return np.clip(values, low, high - 1)


@MANY
@given(data=st.data(), width=st.sampled_from([1, 2, 4]))
def test_values_are_those_of_astropys_codec(data: st.DataObject, width: int) -> None:
    values = data.draw(values_of(width))
    block = data.draw(st.sampled_from([1, 2, 8, 16, 31, 32, 33, 64, 500]))
    stored = values.astype(f"u{width}" if width == 1 else f"i{width}")
    codec = Rice1(blocksize=block, bytepix=width, tilesize=len(values))
    stream = codec.encode(stored)
    try:
        codec.decode(np.frombuffer(stream, np.uint8))
    except CfitsioException:
        # A few wild values in a long block are longer than the room that its encoder has.
        assume(False)
    count = data.draw(st.integers(1, len(values)))
    assert np.array_equal(decoded(stream, width, block, count), values[:count])


@MANY
@given(data=st.data(), width=st.sampled_from([1, 2, 4]))
def test_a_damaged_stream_gives_values_or_none_within_its_bytes(
    data: st.DataObject, width: int
) -> None:
    stream = data.draw(st.binary(max_size=300))
    block, count = data.draw(st.sampled_from([1, 16, 32, 400])), data.draw(st.integers(1, 300))
    found = decoded(stream, width, block, count)
    assert found is None or len(found) == count
    # More bytes never take away a value.
    more = decoded(stream + bytes(8), width, block, count)
    if found is not None:
        assert np.array_equal(found, more)


@MANY
@given(data=st.data())
def test_a_cut_stream_is_refused(data: st.DataObject) -> None:
    values = data.draw(values_of(4)).astype(np.int32)
    stream = Rice1(blocksize=32, bytepix=4, tilesize=len(values)).encode(values)
    # The last byte holds no more than seven bits of filling.
    assert decoded(stream[:-1], 4, 32, len(values)) is None
    assert decoded(stream, 4, 32, len(values)) is not None


@st.composite
def images(draw: st.DrawFn) -> fits.CompImageHDU:
    kind = draw(st.sampled_from(["u1", "i2", "i4", "f4", "f8"]))
    shape = tuple(draw(st.lists(st.integers(1, 40), min_size=1, max_size=3)))
    shape = (*[1] * draw(st.integers(0, 1)), *shape)
    tile = tuple(draw(st.integers(1, size)) for size in shape)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    pixels = np.abs(rng.normal(60, 20, shape)).astype(kind)
    options: dict[str, Any] = {}
    if kind[0] == "f":
        options["quantize_level"] = 16.0
        options["quantize_method"] = draw(st.sampled_from([-1, 1, 2]))
        options["dither_seed"] = draw(st.integers(1, 10000))
        pixels.flat[rng.integers(0, pixels.size, 3)] = np.nan
        pixels.flat[rng.integers(0, pixels.size, 3)] = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fits.CompImageHDU(pixels, compression_type="RICE_1", tile_shape=tile, **options)


def by_tiles(hdu: HduIndex, raw: bytes) -> np.ndarray:
    """Put an image together from tiles that the slower twin has decoded."""
    decoder = hdu.tile_decoder
    tiles = decoder.tiles
    out = np.empty(hdu.shape, decoder.decode(0, part(hdu, raw, 0)).dtype)
    counts = [-(-size // step) for size, step in zip(hdu.shape, tiles.tile_shape, strict=True)]
    for number, place in enumerate(np.ndindex(*counts)):
        values = decoder.decode(number, part(hdu, raw, number))
        steps = zip(place, tiles.tile_shape, values.shape, strict=True)
        out[tuple(slice(k * step, k * step + side) for k, step, side in steps)] = values
    return out


def part(hdu: HduIndex, raw: bytes, number: int) -> bytes:
    assert hdu.tiles is not None
    start = int(hdu.tiles.offsets[number])
    return raw[start : start + int(hdu.tiles.lengths[number])]


def bits(values: np.ndarray) -> bytes:
    return np.ascontiguousarray(values, values.dtype.newbyteorder(">")).tobytes()


@MANY
@given(hdu=images(), data=st.data())
def test_pixels_are_those_of_the_slower_way(
    tmp_path: Path, hdu: fits.CompImageHDU, data: st.DataObject
) -> None:
    path = tmp_path / "a.fits"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path, overwrite=True)
    one = scan_file(path).hdus[1]
    truth = by_tiles(one, path.read_bytes())
    section = []
    for size in one.shape:
        start = data.draw(st.integers(0, size - 1))
        section.append(slice(start, data.draw(st.integers(start + 1, size))))
    native = read(path, one, tuple(section))
    assert bits(native) == bits(truth[tuple(section)])
    stored = np.empty(native.shape, native.dtype.newbyteorder(">"))
    with LocalReader(path) as reader:
        read_sections(reader, [(one, tuple(section))], [stored])
    assert bits(stored) == bits(native)


def read(path: Path, hdu: HduIndex, section: tuple[slice, ...]) -> np.ndarray:
    with LocalReader(path) as reader:
        return read_section(reader, hdu, section)


@pytest.mark.parametrize("method", [1, 2])
def test_dithering_of_long_rows_begins_anew_as_often_as_need_be(
    tmp_path: Path, method: int
) -> None:
    pixels = np.random.default_rng(3).normal(0, 1, (3, 31000)).astype(np.float32)
    pixels[:, ::77] = 0.0
    hdu = fits.CompImageHDU(
        pixels, compression_type="RICE_1", quantize_method=method, dither_seed=9999
    )
    path = tmp_path / "a.fits"
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    one = scan_file(path).hdus[1]
    truth = by_tiles(one, path.read_bytes())
    assert bits(read(path, one, np.s_[:, :])) == bits(truth)
    assert bits(read(path, one, np.s_[1:3, 29000:30500])) == bits(truth[1:3, 29000:30500])


@pytest.mark.parametrize("seed", [0, -5, 10001, 2**40])
def test_a_seed_beyond_the_standards_is_taken_for_one_within(tmp_path: Path, seed: int) -> None:
    pixels = np.random.default_rng(3).normal(0, 1, (4, 50)).astype(np.float32)
    path = tmp_path / "a.fits"
    fits.HDUList(
        [fits.PrimaryHDU(), fits.CompImageHDU(pixels, quantize_method=1, dither_seed=7)]
    ).writeto(path)
    with fits.open(path, mode="update", disable_image_compression=True) as hdus:
        hdus[1].header["ZDITHER0"] = seed
    one = scan_file(path).hdus[1]
    assert bits(read(path, one, np.s_[:, :])) == bits(by_tiles(one, path.read_bytes()))


@pytest.mark.parametrize("kind", ["i2", "f4"])
def test_blank_values_of_a_column_are_those_of_the_slower_way(tmp_path: Path, kind: str) -> None:
    pixels = np.random.default_rng(1).normal(60, 20, (8, 80)).astype(kind)
    path = tmp_path / "a.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(pixels, tile_shape=(4, 80))]).writeto(path)
    one = scan_file(path).hdus[1]
    assert one.tiles is not None
    values = one.tile_decoder._stored(part(one, path.read_bytes(), 0), (4, 80))
    # As if the table had a column ZBLANK that names the value of a pixel of the first tile.
    blanks = np.array([int(values[2, 3]), -999], np.int64)
    cards = one.cards + "BLANK   =                   -7".ljust(80)
    changed = replace(one, cards=cards, tiles=replace(one.tiles, zblank=blanks))
    found = read(path, changed, np.s_[:, :])
    assert bits(found) == bits(by_tiles(changed, path.read_bytes()))
    assert np.isnan(found[2, 3]) if kind == "f4" else found[2, 3] == -7


def test_a_damaged_tile_is_refused_also_where_others_are_whole(tmp_path: Path) -> None:
    pixels = np.random.default_rng(3).integers(0, 999, (8, 60)).astype(np.int32)
    path = tmp_path / "a.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(pixels, tile_shape=(2, 60))]).writeto(path)
    one = scan_file(path).hdus[1]
    assert one.tiles is not None
    lengths = one.tiles.lengths.copy()
    lengths[2] -= 3
    short = replace(one, tiles=replace(one.tiles, lengths=lengths))
    with pytest.raises(DataError, match="HDU 1: tile 2 is damaged"):
        read(path, short, np.s_[:, :])
    # What is damaged behind all that is wanted is not looked at.
    assert np.array_equal(read(path, short, np.s_[4:5, 0:20]), pixels[4:5, :20])
