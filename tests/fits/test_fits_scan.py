"""The walk over a file's HDUs, held against astropy's own, and its refusals."""

from __future__ import annotations

import gzip
import io
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from vodal.errors import DataError, NotFoundError, SkylaneError
from vodal.fits.index import FileIndex
from vodal.fits.opening import open_pixels
from vodal.fits.pixels import read_section
from vodal.fits.scan import scan_file


def card(text: str) -> bytes:
    return text.ljust(80).encode("latin-1")


def header(*cards: str) -> bytes:
    data = b"".join(card(text) for text in (*cards, "END"))
    return data.ljust(-(-len(data) // 2880) * 2880)


PRIMARY = header("SIMPLE  =                    T", "BITPIX  =   8", "NAXIS   =   0")


def write(path: Path, *parts: bytes) -> Path:
    path.write_bytes(b"".join(parts))
    return path


def assert_offsets_are_astropys(path: Path, index: FileIndex) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with fits.open(path, disable_image_compression=True, lazy_load_hdus=False) as hdus:
            assert len(hdus) == len(index.hdus)
            for mine, hdu in zip(index.hdus, hdus, strict=True):
                info = hdu.fileinfo()
                assert mine.header_offset == info["hdrLoc"]
                assert mine.data_offset == info["datLoc"]
                padded = -(-mine.data_length // 2880) * 2880
                assert padded == info["datSpan"]
                if mine.kind == "image":
                    assert mine.shape == hdu.shape


def every_kind_of_hdu() -> fits.HDUList:
    rng = np.random.default_rng(3)
    groups = fits.BinTableHDU.from_columns(
        [
            fits.Column("a", "PJ()", array=np.array([[1], [2, 3]], dtype=object)),
            fits.Column("b", "10A", array=["x", "y"]),
        ]
    )
    return fits.HDUList(
        [
            fits.PrimaryHDU(rng.integers(0, 9, (5, 7), np.int16)),
            fits.ImageHDU(rng.random((3, 4, 5)).astype(np.float32), name="sci", ver=2),
            groups,
            fits.CompImageHDU(rng.integers(0, 99, (30, 40), np.int32), name="mask"),
            fits.CompImageHDU(rng.normal(0, 1, (30, 40)).astype(np.float32)),
            fits.ImageHDU(),
            fits.TableHDU.from_columns([fits.Column("t", "I5", array=np.array([1, 2]))]),
        ]
    )


@pytest.mark.parametrize("compress", [False, True])
def test_every_kind_of_hdu_is_where_astropy_finds_it(tmp_path: Path, *, compress: bool) -> None:
    buffer = io.BytesIO()
    every_kind_of_hdu().writeto(buffer)
    plain = buffer.getvalue()
    # The name says nothing: what tells a gzip is its first bytes.
    path = write(tmp_path / "a.fits", gzip.compress(plain) if compress else plain)
    index = scan_file(path)
    assert index.encoding == ("gzip" if compress else "")
    assert [hdu.kind for hdu in index.hdus] == [
        "image", "image", "table", "compressed", "compressed", "empty", "table",
    ]  # fmt: skip
    assert [hdu.name for hdu in index.hdus[:4]] == ["", "SCI", "", "MASK"]
    assert index.hdus[1].extver == 2
    assert index.hdus[4].name == ""
    assert index.hdus[3].shape == (30, 40)
    assert index.hdus[3].bitpix == 32
    assert_offsets_are_astropys(write(tmp_path / "plain.fits", plain), index)
    packed = index.to_bytes()
    assert FileIndex.from_bytes(packed).to_bytes() == packed
    carried = pickle.loads(pickle.dumps(index.packed()))
    assert (carried.version, carried.size_bytes) == (index.version, index.size_bytes)
    assert carried.to_bytes() == packed
    assert FileIndex.to_bytes(carried) == packed


def test_tiles_lie_where_the_descriptors_say(tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(0, 1000, (64, 50), np.int32)
    path = tmp_path / "tiles.fits"
    hdu = fits.CompImageHDU(data, compression_type="GZIP_1", tile_shape=(16, 20))
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    one = scan_file(path).hdus[1]
    assert one.tiles is not None
    assert one.tiles.tile_shape == (16, 20)
    start, length = one.tiles.offsets[4], one.tiles.lengths[4]
    tile = gzip.decompress(path.read_bytes()[start : start + length])
    assert np.array_equal(np.frombuffer(tile, ">i4").reshape(16, 20), data[16:32, 20:40])


@pytest.mark.parametrize(("form", "descriptor"), [("1PB(8)", ">i4"), ("QB", ">i8")])
def test_descriptors_of_both_widths_are_read(tmp_path: Path, form: str, descriptor: str) -> None:
    rows = np.array([[8, 8], [8, 0]], descriptor).tobytes()
    data = np.arange(8, dtype=">i2").reshape(2, 4)
    parts = table(f"TFORM1  = '{form}'", f"NAXIS1  = {len(rows) // 2}", "ZCMPTYPE= 'NOCOMPRESS'")
    heap = data[1].tobytes() + data[0].tobytes()
    path = write(tmp_path / "a.fits", PRIMARY, parts, (rows + heap).ljust(2880, b"\0"))
    index = scan_file(path)
    with open_pixels(path.as_uri(), index) as reader:
        assert np.array_equal(read_section(reader, index.hdus[1], np.s_[:, :]), data)


def test_random_groups_are_passed_over(tmp_path: Path) -> None:
    data = fits.GroupData(
        np.arange(60.0, dtype=np.float32).reshape(3, 4, 5), bitpix=-32, parnames=["u", "v"],
        pardata=[np.zeros(3), np.ones(3)],
    )  # fmt: skip
    path = tmp_path / "groups.fits"
    fits.HDUList([fits.GroupsHDU(data), fits.ImageHDU(np.ones((2, 2)))]).writeto(path)
    index = scan_file(path)
    assert [hdu.kind for hdu in index.hdus] == ["other", "image"]
    assert_offsets_are_astropys(path, index)


def test_what_follows_the_last_hdu_and_a_missing_padding_are_no_faults(tmp_path: Path) -> None:
    image = header(
        "SIMPLE  =  T", "BITPIX  =  8", "NAXIS   =  1", "NAXIS1  =  10"
    )  # fmt: skip
    assert len(scan_file(write(tmp_path / "a", image, bytes(10))).hdus) == 1
    assert len(scan_file(write(tmp_path / "b", image, bytes(2880), b"\0" * 5000)).hdus) == 1
    assert len(scan_file(write(tmp_path / "c", image, bytes(2880), b"junk")).hdus) == 1


HUGE = "9" * 25
IMAGE = ("XTENSION= 'IMAGE   '", "BITPIX  = 16", "NAXIS   = 2")
TABLE = (
    "XTENSION= 'BINTABLE'", "BITPIX  = 8", "NAXIS   = 2", "NAXIS1  = 8", "NAXIS2  = 2",
    "PCOUNT  = 16", "GCOUNT  = 1", "TFIELDS = 1", "TTYPE1  = 'COMPRESSED_DATA'",
    "TFORM1  = '1PB(8)'", "ZIMAGE  = T", "ZCMPTYPE= 'GZIP_1'", "ZBITPIX = 16", "ZNAXIS  = 2",
    "ZNAXIS1 = 4", "ZNAXIS2 = 2",
)  # fmt: skip
HEAP = bytes([0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 8]).ljust(2880, b"\0")


def table(*changes: str) -> bytes:
    cards = {text.split("=")[0]: text for text in (*TABLE, *changes)}
    return header(*cards.values())


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([b""], "an empty file"),
        ([b"<!DOCTYPE html><html></html>"], "an HTML page"),
        ([b"<?xml version='1.0'?><VOTABLE/>"], "an XML document"),
        ([b"version https://git-lfs.github.com/spec/v1\noid sha256:1"], "Git LFS pointer"),
        ([b"BZh91AY&SY"], "bzip2"),
        ([b"\x89PNG\r\n"], "PNG"),
        ([b"hello\n"], "a text file"),
        ([bytes(6000)], "zero bytes only"),
        ([PRIMARY[:1440]], "HDU 0 is cut before its END"),
        ([b"SIMPLE  =   T".ljust(2880)], "HDU 0 is cut before its END"),
        ([PRIMARY, header(*IMAGE, "NAXIS1  = -5", "NAXIS2  = 3")], r"HDU 1: NAXIS1 is negative"),
        ([PRIMARY, header(*IMAGE, "NAXIS1  = 4")], "HDU 1 has no NAXIS2"),
        ([PRIMARY, header(*IMAGE, "NAXIS1  = 'x'", "NAXIS2  = 3")], "not a whole number"),
        ([PRIMARY, header(*IMAGE, "NAXIS1  = 1.5", "NAXIS2  = 3")], "not a whole number"),
        ([PRIMARY, header("XTENSION= 'IMAGE'", "BITPIX  = 17", "NAXIS   = 0")], "BITPIX"),
        ([PRIMARY, header("XTENSION= 'IMAGE'", "BITPIX  = 16", "NAXIS   = 1000")], "over 999"),
        ([PRIMARY, header(*IMAGE, "NAXIS1  = 100", "NAXIS2  = 100"), bytes(2880)],
         "the data of HDU 1 ends 17120 bytes early"),
        ([PRIMARY, header(*IMAGE, f"NAXIS1  = {HUGE}", f"NAXIS2  = {HUGE}")], "bytes early"),
        ([PRIMARY, table("PCOUNT  = 4000"), HEAP], "bytes early"),
        ([PRIMARY, table(f"PCOUNT  = {HUGE}"), HEAP], "in no file"),
        ([PRIMARY, table("PCOUNT  = 12"), HEAP], "tile 1 in HDU 1 points outside the heap"),
        ([PRIMARY, table("ZCMPTYPE= 'ZIP'"), HEAP], "'ZIP' is not supported"),
        ([PRIMARY, table("NAXIS2  = 3"), HEAP], "3 rows for 2 tiles"),
        ([PRIMARY, table("ZTILE1  = 0"), HEAP], "ZTILEn card is zero"),
        ([PRIMARY, table("TFORM1  = 'J'"), HEAP], "COMPRESSED_DATA has the format 'J'"),
        ([PRIMARY, table("TFORM1  = '??'"), HEAP], "no column format"),
        ([PRIMARY, table("TTYPE1  = 'OTHER'"), HEAP], "no COMPRESSED_DATA"),
        ([PRIMARY, table("THEAP   = 9000"), HEAP], "THEAP"),
        ([PRIMARY, table("ZNAXIS1 = 99999999", "ZNAXIS2 = 99999999", "ZTILE2  = 99999999",
                         "NAXIS2  = 1"), HEAP], "too large"),
        ([PRIMARY, table("NAXIS1  = 99999999999", "NAXIS2  = 2"), HEAP], "no table of tiles"),
    ],
)  # fmt: skip
def test_each_fault_is_named(tmp_path: Path, parts: list[bytes], words: str) -> None:
    path = write(tmp_path / "bad.fits", *parts)
    with pytest.raises(DataError, match=words):
        scan_file(path)
    if parts[0].startswith(b"SIMPLE"):
        # The same through gzip, where nothing can be skipped without reading it.
        with pytest.raises(DataError, match=words):
            scan_file(write(tmp_path / "bad.fits.gz", gzip.compress(b"".join(parts))))


def test_descriptors_that_overflow_are_outside_the_heap(tmp_path: Path) -> None:
    rows = np.array([[2**63 - 1, 8], [8, 2**63 - 1]], ">i8").tobytes()
    for row in range(2):
        data = (rows[16 * row :] + rows[: 16 * row]).ljust(2880, b"\0")
        path = write(tmp_path / f"{row}", PRIMARY, table("NAXIS1  = 16", "TFORM1  = '1QB'"), data)
        with pytest.raises(DataError, match="outside the heap"):
            scan_file(path)


def test_a_damaged_gzip_is_named(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    every_kind_of_hdu().writeto(buffer)
    packed = gzip.compress(buffer.getvalue())
    with pytest.raises(DataError, match="truncated"):
        scan_file(write(tmp_path / "cut.gz", packed[:-9]))
    wrong = packed[:-8] + bytes(4) + packed[-4:]
    with pytest.raises(DataError, match="checksum"):
        scan_file(write(tmp_path / "crc.gz", wrong))
    with pytest.raises(DataError, match="another kind"):
        scan_file(write(tmp_path / "tail.gz", packed, b"tail"))
    # Padding with zeros and further members belong to the format.
    half = len(buffer.getvalue()) // 2
    members = gzip.compress(buffer.getvalue()[:half]) + gzip.compress(buffer.getvalue()[half:])
    index = scan_file(write(tmp_path / "two.gz", members, bytes(512)))
    assert len(index.hdus) == len(every_kind_of_hdu())


def test_a_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        scan_file(tmp_path / "none.fits")
    with pytest.raises(SkylaneError):
        scan_file(tmp_path)


@pytest.mark.parametrize(
    "broken",
    [
        "OBJECT  = 'no end of the string",
        "object  = 'lower'",
        "OBS TIME= 12",
        "EXPTIME = 12,5",
        "FILTER  = r",
        "TELESCOP= 'caf\xe9'",
        "AIRMASS = 1.2.3",
        "\xff\xfe\x00\x01",
        "CONTINUE  'nothing to continue'",
        "HIERARCH ESO DET = 'a' / b",
        "HIERARCH  = ",
        "KEY     =                    1D5 / Fortran",
        "NAN     =                  NaN",
        "COMPLEX = (1.0, 2.0)",
        "TOOLONGKEYWORD = 5",
        "A=1",
        "=",
        "DATE-OBS=  2020-01-01T00:00:00",
    ],
)
def test_a_broken_card_never_raises_later(tmp_path: Path, broken: str) -> None:
    path = write(
        tmp_path / "a.fits",
        header("SIMPLE  =   T", "BITPIX  =   8", "NAXIS   =   0", broken, "GOOD    =   5"),
    )
    found = scan_file(path).hdus[0].header
    assert found["GOOD"] == 5
    for one in found.cards:
        _ = one.keyword, one.value, one.comment
    text = found.tostring()
    assert len(text) % 2880 == 0
    copied = found.copy()
    copied["NEW"] = 1
    assert fits.Header.fromstring(copied.tostring())["GOOD"] == 5


def test_control_bytes_and_newlines_in_cards_become_blanks(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.fits",
        header("SIMPLE  =   T", "BITPIX  =   8", "NAXIS   =   0", "COMMENT a\nb\tc\0d"),
    )
    assert scan_file(path).hdus[0].header["COMMENT"][0] == "a b c d"


def test_a_long_string_over_continue_cards_is_kept(tmp_path: Path) -> None:
    value = "x" * 150
    hdu = fits.PrimaryHDU()
    hdu.header["LONG"] = value
    hdu.writeto(tmp_path / "a.fits")
    assert scan_file(tmp_path / "a.fits").hdus[0].header["LONG"] == value
