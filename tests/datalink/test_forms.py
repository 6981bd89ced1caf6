"""Some HDUs of files, and what is compressed made plain: astropy and fitsverify are the judges."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import warnings

import httpx
import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Mount

from datalink.app import create_files_app
from datalink.form import Form
from datalink.layout import CopiedBytes, UnpackedPixels, WrittenBytes, lay_out
from datalink.names import encode_segment
from datalink.settings import DatalinkSettings
from datalink.slabs import Slabs
from datalink.unpacking import unpack_of
from vodal.errors import DataError, TooLargeError, UsageError
from vodal.fits.index import HduIndex, TileIndex
from vodal.fits.opening import open_scanned
from vodal.fits.scan import scan_file
from vodal.params import Params
from vodal.testing.server import serve

pytestmark = pytest.mark.xdist_group("forms")

DID = "ivo://example.org/survey?{}"


def _write(path):
    rng = np.random.default_rng(5)
    primary = fits.PrimaryHDU()
    primary.header["OBSERVER"] = "Bessel"
    primary.header["NEXTEND"] = 7
    sky = rng.normal(100, 9, (70, 90)).astype(np.float32)
    sky[3, 4] = np.nan
    table = np.rec.fromarrays([np.arange(5), np.array(["x"] * 5)], names="a,b")
    fits.HDUList(
        [
            primary,
            fits.CompImageHDU(sky, name="SCI", tile_shape=(16, 25)),
            fits.CompImageHDU(rng.integers(0, 9, (70, 90)).astype(np.int32), name="MASK"),
            fits.ImageHDU(sky**2, name="VAR"),
            fits.CompImageHDU(
                rng.integers(0, 60000, (5, 30, 40)).astype(np.uint16), name="CUBE",
                compression_type="GZIP_2", tile_shape=(2, 7, 40),
            ),
            fits.BinTableHDU(table, name="CAT"),
            fits.ImageHDU(sky[:9, :9], name="PSF"),
            fits.ImageHDU(sky[:9, 9:18], name="PSF", ver=2),
        ]
    ).writeto(path, checksum=True)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forms")
    _write(folder / "mef.fits.fz")
    (folder / "mef.fits.gz").write_bytes(gzip.compress((folder / "mef.fits.fz").read_bytes()))
    image = fits.PrimaryHDU(np.arange(600, dtype=np.int16).reshape(20, 30))
    image.header["BUNIT"] = "adu"
    image.header["CRPIX1"] = 3.0
    image.header["TELESCOP"] = "Meridian"
    extra = fits.ImageHDU(np.ones((4, 4), np.float64), name="EXTRA")
    fits.HDUList([image, extra]).writeto(folder / "plain.fits", checksum=True)
    (folder / "plain.fits.gz").write_bytes(gzip.compress((folder / "plain.fits").read_bytes()))
    return folder


@pytest.fixture(scope="module")
def server(folder, make_resolver, tmp_path_factory):
    resolver = make_resolver()
    for path in sorted(folder.iterdir()):
        resolver.add_fits(DID.format(path.name), path)
    files = create_files_app(resolver, DatalinkSettings(), cache=tmp_path_factory.mktemp("cache"))
    site = Starlette(
        routes=[Mount("/files", files)], lifespan=lambda _: files.router.lifespan_context(files)
    )
    with serve(site) as running:
        yield running.url


@pytest.fixture
def get(server):
    with httpx.Client(timeout=60) as client:

        def get(name, params=(), method="GET", **headers):
            named = {key.replace("_", "-"): value for key, value in headers.items()}
            url = f"{server}/files/{encode_segment(DID.format(name))}"
            return client.request(method, url, params=params, headers=named)

        yield get


def opened(body):
    return fits.open(io.BytesIO(body), checksum=True)


def faults_of(body, path):
    """Let fitsverify judge; gives what it complains of."""
    path.write_bytes(body)
    done = subprocess.run(["fitsverify", "-e", path], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout


def assert_same(found, expected):
    """Compare data and the cards that matter of an HDU with those that astropy gives."""
    assert found.name == expected.name
    assert found.ver == expected.ver
    if isinstance(expected, fits.BinTableHDU):
        assert found.data.tobytes() == expected.data.tobytes()
        return
    if expected.data is None:
        assert found.data is None
        return
    assert found.data.dtype.newbyteorder("=") == expected.data.dtype.newbyteorder("=")
    np.testing.assert_array_equal(found.data, expected.data)


@pytest.mark.parametrize("name", ["mef.fits.fz", "mef.fits.gz"])
@pytest.mark.parametrize(
    ("asked", "numbers"),
    [
        (["SCI"], [1]),
        (["var"], [3]),
        (["PSF,2"], [7]),
        (["PSF"], [6]),
        (["5", "2"], [2, 5]),
        (["0", "CAT"], [0, 5]),
        (["PRIMARY"], [0]),
        (["MASK", "mask", "2"], [2]),
    ],
)
def test_hdus_come_as_they_are_stored(get, folder, tmp_path, name, asked, numbers):
    answer = get(name, {"HDU": asked})
    assert answer.status_code == 200
    assert int(answer.headers["content-length"]) == len(answer.content)
    stored = (folder / "mef.fits.fz").read_bytes()
    index = scan_file(folder / "mef.fits.fz")
    with opened(answer.content) as found, fits.open(folder / "mef.fits.fz") as expected:
        assert found[0].header["OBSERVER"] == "Bessel"
        assert len(found) == len(set(numbers) | {0})
        for one, number in zip(found[0 if 0 in numbers else 1 :], numbers, strict=True):
            assert type(one) is type(expected[number])
            assert_same(one, expected[number])
            hdu = index.hdus[number]
            end = hdu.data_offset + hdu.data_length
            assert stored[hdu.header_offset : end] in answer.content
    assert faults_of(answer.content, tmp_path / "x.fits") == ""


@pytest.mark.parametrize("name", ["mef.fits.fz", "mef.fits.gz", "plain.fits", "plain.fits.gz"])
def test_the_plain_form_has_the_pixels_that_astropy_gives(get, folder, tmp_path, name):
    answer = get(name, {"COMPRESSION": "none"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/fits"
    assert int(answer.headers["content-length"]) == len(answer.content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with opened(answer.content) as found, fits.open(folder / name) as expected:
            assert len(found) == len(expected)
            for one, wanted in zip(found, expected, strict=True):
                assert not isinstance(one, fits.CompImageHDU)
                assert_same(one, wanted)
    assert faults_of(answer.content, tmp_path / "x.fits") == ""


def test_both_together(get, folder):
    answer = get("mef.fits.fz", {"HDU": ["SCI", "CUBE"], "compression": "NONE"})
    with opened(answer.content) as found, fits.open(folder / "mef.fits.fz") as expected:
        assert [one.name for one in found] == ["PRIMARY", "SCI", "CUBE"]
        assert_same(found[1], expected[1])
        assert_same(found[2], expected[4])
        assert "CHECKSUM" not in found[1].header
        assert "ZHECKSUM" not in found[1].header


def test_an_image_that_is_not_asked_for_leaves_its_other_cards(get):
    with opened(get("plain.fits", {"HDU": "EXTRA"}).content) as found:
        assert found[0].data is None
        assert found[0].header["TELESCOP"] == "Meridian"
        assert not {"BUNIT", "CRPIX1", "CHECKSUM", "NAXIS1"} & set(found[0].header)
        assert found[1].data.tolist() == np.ones((4, 4)).tolist()


def test_a_gzip_comes_as_what_it_holds(get, folder):
    answer = get("plain.fits.gz", {"COMPRESSION": "none"})
    assert answer.content == (folder / "plain.fits").read_bytes()


@pytest.mark.parametrize(
    ("name", "params", "saved"),
    [
        ("mef.fits.fz", {"HDU": "SCI"}, "mef_SCI.fits.fz"),
        ("mef.fits.fz", {"HDU": "VAR"}, "mef_VAR.fits"),
        ("mef.fits.fz", {"HDU": ["PSF,2", "0"]}, "mef_0_PSF-2.fits"),
        ("mef.fits.fz", {"HDU": list("01234")}, "mef_5-hdus.fits.fz"),
        ("mef.fits.fz", {"COMPRESSION": "none"}, "mef.fits"),
        ("plain.fits.gz", {"COMPRESSION": "none"}, "plain.fits"),
        ("plain.fits.gz", {"HDU": "0"}, "plain_0.fits"),
    ],
)
def test_files_have_names_of_their_own(get, name, params, saved):
    answer = get(name, params, "HEAD")
    assert answer.headers["content-disposition"] == f'attachment; filename="{saved}"'


FORMS = [
    ("mef.fits.fz", {"HDU": ["SCI", "VAR"]}),
    ("mef.fits.fz", {"COMPRESSION": "none"}),
    ("mef.fits.gz", {"HDU": "CUBE", "COMPRESSION": "none"}),
    ("plain.fits.gz", {"COMPRESSION": "none"}),
]


@pytest.mark.parametrize(("name", "params"), FORMS)
def test_conditions_and_head_hold_for_forms(get, name, params):
    whole, stored = get(name, params), get(name, method="HEAD")
    etag = whole.headers["etag"]
    assert etag != stored.headers["etag"]
    assert whole.headers["last-modified"] == stored.headers["last-modified"]
    told = get(name, params, "HEAD")
    assert told.content == b""
    for header in ("content-length", "content-type", "etag", "content-disposition"):
        assert told.headers[header] == whole.headers[header]
    assert get(name, params, If_None_Match=etag).status_code == 304
    assert get(name, params, If_Match=stored.headers["etag"]).status_code == 412
    size = len(whole.content)
    rest = get(name, params, Range=f"bytes={size // 2}-", If_Range=etag)
    assert (rest.status_code, rest.content) == (206, whole.content[size // 2 :])
    other = get(name, params, Range="bytes=9-", If_Range=stored.headers["etag"])
    assert (other.status_code, other.content) == (200, whole.content)


@pytest.mark.parametrize(("name", "params"), FORMS)
def test_any_range_of_a_form_is_its_slice(get, name, params):
    whole = get(name, params).content

    @settings(max_examples=8, deadline=None)
    @given(st.integers(0, len(whole) - 1), st.integers(1, 30_000))
    def check(start, length):
        answer = get(name, params, Range=f"bytes={start}-{start + length - 1}")
        assert answer.status_code == 206
        assert answer.content == whole[start : start + length]

    check()


def test_several_ranges_are_for_what_costs_no_more(get):
    ranges = {"Range": "bytes=0-9,3000-3009"}
    stored = get("mef.fits.fz", {"HDU": "SCI"}, **ranges)
    assert stored.headers["content-type"].startswith("multipart/byteranges")
    plain = get("mef.fits.fz", {"COMPRESSION": "none"}, **ranges)
    assert (plain.status_code, plain.headers["content-type"]) == (200, "image/fits")


@pytest.mark.parametrize("asked", ["NOSUCH", "8", "PSF,3", "99999999999", "SCI,x", ","])
def test_an_hdu_that_is_not_there_is_told_with_those_that_are(get, asked):
    answer = get("mef.fits.fz", {"HDU": asked})
    assert answer.status_code == 400
    assert answer.text.startswith(f"UsageError: HDU '{asked}' is not in the file")
    assert "0, 1 (SCI), 2 (MASK), 3 (VAR), 4 (CUBE), 5 (CAT), 6 (PSF), 7 (PSF,2)" in answer.text


def test_a_compression_that_is_not_there_is_told(get):
    answer = get("mef.fits.fz", {"COMPRESSION": "bzip2"})
    assert answer.status_code == 400
    assert "COMPRESSION takes 'none'" in answer.text
    with pytest.raises(UsageError):
        Form.of(Params([("COMPRESSION", "none"), ("COMPRESSION", "stored")]))


def test_a_file_that_changed_is_looked_at_anew(resolver, tmp_path):
    path = tmp_path / "x.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.ones((3, 7)), name="A")]).writeto(path)
    os.utime(path, (1, 1))
    resolver.add_fits("ivo://a/b", path)
    more = [fits.ImageHDU(np.zeros((30, 300)), name="B"), fits.ImageHDU(np.eye(3), name="A")]
    fits.HDUList([fits.PrimaryHDU(), *more]).writeto(path, overwrite=True)
    files = create_files_app(resolver, DatalinkSettings(), cache=tmp_path / "cache")
    with serve(Starlette(routes=[Mount("/files", files)])) as running:
        answer = httpx.get(f"{running.url}/files/{encode_segment('ivo://a/b')}?HDU=A")
    with opened(answer.content) as found:
        assert found["A"].data.tolist() == np.eye(3).tolist()


shapes = st.lists(st.integers(1, 9), min_size=1, max_size=4)


@settings(max_examples=60)
@given(st.data())
def test_slabs_follow_each_other_and_cut_no_flat_tile(data):
    shape = tuple(data.draw(shapes))
    tile = tuple(data.draw(st.integers(1, size)) for size in shape)
    slabs = Slabs(_compressed(shape, tile))
    plain = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    offset, found = 0, b""
    while offset < plain.nbytes:
        slab = slabs.at(offset, data.draw(st.integers(1, 100)))
        assert slab.start == offset < slab.stop
        assert slabs.at(slab.stop - 1, 10_000).start <= slab.stop - 1
        found += plain[slab.section].tobytes()
        offset = slab.stop
        assert len(found) == offset
    assert found == plain.tobytes()


def _compressed(shape, tile):
    nothing = np.zeros(0, np.int64)
    tiles = TileIndex(tile, nothing, nothing, nothing.astype(np.uint8))
    return HduIndex(1, "compressed", "", 1, 0, 2880, 2880, 0, 16, shape, "", tiles)


def test_tiles_that_cannot_be_unpacked_in_turn_are_refused():
    with pytest.raises(TooLargeError, match="COMPRESSION=none: the tiles of HDU 1"):
        Slabs(_compressed((1000, 40_000, 40_000), (1000, 64, 64)))
    assert Slabs(_compressed((8000, 8000), (8000, 8000))).at(5, 1).stop == 128_000_000


def _plain_bytes(index, reader):
    """Put the plain form of a whole file together."""
    for one in lay_out(index, range(len(index.hdus)), plain=True):
        match one:
            case WrittenBytes():
                yield one.data
            case CopiedBytes():
                yield reader.read(one.offset, one.length)
            case UnpackedPixels():
                slabs, at = Slabs(one.hdu), 0
                while at < one.length:
                    slab = slabs.at(at, 1 << 22)
                    yield unpack_of(reader, one.hdu, slab.section).tobytes()
                    at = slab.stop


@pytest.mark.realdata
def test_real_images_have_the_pixels_that_astropy_gives(real_images):
    compared = 0
    for path in sorted(real_images.rglob("*.fits.fz"))[::8]:
        if path.stat().st_size > 20_000_000:
            continue
        index, reader = open_scanned(path.as_uri())
        with reader, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                body = b"".join(_plain_bytes(index, reader))
            except DataError:
                continue  # a tile is damaged
            with opened(body) as found, fits.open(path) as expected:
                assert len(found) == len(expected)
                for one, wanted in zip(found, expected, strict=True):
                    if isinstance(wanted, fits.CompImageHDU):
                        np.testing.assert_array_equal(one.data, wanted.data)
                        compared += 1
    assert compared
