"""Ranges of pixels, chosen HDUs, tables that go along, and headers alone."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

sys.path.insert(0, str(Path(__file__).parent))
from cubes import cube
from soda_files import (
    Products,
    assert_same_pixels,
    assert_same_sky,
    section,
    verify,
    write,
)

from soda.cut import cutout, cutout_file
from soda.selection import HduChoice, Interval, PixelRange, Selection
from soda.source import source_of
from vodal.errors import UsageError
from vodal.regions import Circle
from vodal.testing.skies import make_wcs

R = PixelRange


def opened(made):
    return fits.open(io.BytesIO(bytes(made.body)))


def image_of(size, name, factor=1, **options):
    wcs = make_wcs(40.0, 5.0, size, 0.5)
    data = (np.arange(size * size) * factor).reshape(size, size).astype(np.float32)
    return fits.ImageHDU(data, wcs.to_header(relax=True), name=name, **options)


def table_of(name, values, **options):
    return fits.BinTableHDU.from_columns(
        [fits.Column("A", "J", array=np.array(values))], name=name, **options
    )


@pytest.fixture
def path(tmp_path):
    mask = fits.ImageHDU(np.arange(10000, dtype=np.int16).reshape(100, 100), name="MASK")
    return write(tmp_path / "a.fits", fits.PrimaryHDU(), image_of(100, "SCI"), mask,
                 table_of("PSF", [1, 2, 3]), image_of(50, "BACKGROUND"),
                 table_of("HISTORY", [4]))  # fmt: skip


def check(made, path, tmp_path):
    """Compare all images of a cutout with the original's; gives the cutout's headers."""
    (tmp_path / "cut.fits").write_bytes(made.body)
    assert verify(tmp_path / "cut.fits") == ""
    with fits.open(tmp_path / "cut.fits") as out, fits.open(path) as original:
        for hdu in out:
            if "CUTHDU" in hdu.header:
                before = original[hdu.header["CUTHDU"]]
                assert_same_pixels(hdu, before)
                if "CTYPE1" in before.header:
                    assert_same_sky(hdu, before, out, original)
        return [hdu.header.copy() for hdu in out]


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        ((R(11, 30), R(5, 5)), "[11:30,5:5]"),
        ((R(-5, 30), R(91, 400)), "[1:30,91:100]"),
        ((None, R(3, 4)), "[1:100,3:4]"),
        ((R(7, 9),), "[7:9,1:100]"),
    ],
)
def test_ranges_of_pixels_are_clipped_to_the_image(path, tmp_path, pixels, expected):
    headers = check(cutout_file(path, Selection(pixels=pixels)), path, tmp_path)
    assert [header.get("EXTNAME") for header in headers] == [None, "SCI", "MASK"]
    assert [header.get("CUTSEC") for header in headers] == [None, expected, expected]


def test_ranges_and_a_stencil_give_what_they_share(path, tmp_path):
    stencil = Circle(40.0, 5.0, 20 * 0.5 / 3600)
    (_, whole, _, _) = check(cutout_file(path, Selection(stencil)), path, tmp_path)
    y, x = section(whole)
    pixels = (R(1, 50), R(60, 100))
    _, both, mask = check(cutout_file(path, Selection(stencil, pixels=pixels)), path, tmp_path)
    assert section(both) == section(mask) == (slice(59, y.stop), slice(x.start, 50))
    assert cutout_file(path, Selection(stencil, pixels=(R(1, x.start),))) is None
    assert cutout_file(path, Selection(pixels=(R(101, 200),))) is None


def test_ranges_of_a_cube_cut_its_flat_mask(tmp_path):
    hdu = cube(("ra", "spectral", "dec"))
    mask = fits.ImageHDU(hdu.data[:, 0].astype(np.int16), name="MASK")
    path = write(tmp_path / "a.fits", hdu, mask)
    made = cutout_file(path, Selection(pixels=(R(2, 3), R(4, 9), R(5, 6))))
    with opened(made) as out:
        np.testing.assert_array_equal(out[0].data, hdu.data[4:6, 3:9, 1:3])
        np.testing.assert_array_equal(out[1].data, hdu.data[4:6, 0, 1:3])
    both = Selection(band_m=Interval(2.95e-3, 2.98e-3), pixels=(None, R(4, 9)))
    with opened(cutout_file(path, both)) as out:
        band = cutout_file(path, Selection(band_m=both.band_m))
        with opened(band) as wide:
            full = section(wide[0].header)[1]
        assert section(out[0].header)[1] == slice(max(3, full.start), min(9, full.stop))
    with pytest.raises(UsageError, match="PIXELS names 4 axes, but the image has 3: 7 x 12 x 6"):
        cutout_file(path, Selection(pixels=(None,) * 4))


def test_a_range_and_states_with_a_step(tmp_path):
    path = write(tmp_path / "a.fits", cube(sizes={"stokes": 4}))
    made = cutout_file(path, Selection(pol=("I", "U"), pixels=(None, None, None, R(2, 4))))
    with opened(made) as out, fits.open(path) as before:
        np.testing.assert_array_equal(out[0].data, before[0].data[2:3])
        assert round(WCS(out[0].header).all_pix2world([[0, 0, 0, 0]], 0)[0, 3]) == 3


@pytest.mark.parametrize(
    ("choices", "names"),
    [
        ((HduChoice(1),), ["SCI"]),
        ((HduChoice(name="MASK"),), ["MASK"]),
        ((HduChoice(name="SCI", extver=1), HduChoice(4)), ["SCI", "BACKGROUND"]),
        ((HduChoice(name="SCI"), HduChoice(name="PSF")), ["SCI", "PSF"]),
        ((HduChoice(name="PSF"),), ["PSF"]),
    ],
)
def test_chosen_hdus(path, tmp_path, choices, names):
    stencil = Circle(40.0, 5.0, 10 * 0.5 / 3600)
    headers = check(cutout_file(path, Selection(stencil, hdus=choices)), path, tmp_path)
    assert [header.get("EXTNAME") for header in headers[1:]] == names


def test_an_hdu_that_is_not_there_is_told_with_those_that_are(path):
    with pytest.raises(UsageError, match=r"HDU: 'SCI,2' is not part .*1 \(SCI,1\), 2 \(MASK,1\)"):
        cutout_file(path, Selection(hdus=(HduChoice(name="SCI", extver=2),)))
    with pytest.raises(UsageError, match=r"HDU: 0 is not part"):
        cutout_file(path, Selection(hdus=(HduChoice(0),)))


def test_ranges_count_in_the_chosen_hdu(path):
    chosen = Selection(pixels=(R(2, 4), R(3, 3)), hdus=(HduChoice(name="BACKGROUND"),))
    with opened(cutout_file(path, chosen)) as out, fits.open(path) as before:
        np.testing.assert_array_equal(out[1].data, before["BACKGROUND"].data[2:3, 1:4])


def test_tables_go_along_when_asked(path, tmp_path):
    stencil = Circle(40.0, 5.0, 10 * 0.5 / 3600)
    plain = check(cutout_file(path, Selection(stencil)), path, tmp_path)
    assert [header.get("EXTNAME") for header in plain[1:]] == ["SCI", "MASK", "BACKGROUND"]
    made = cutout_file(path, Selection(stencil, tables=True))
    headers = check(made, path, tmp_path)
    assert [header.get("EXTNAME") for header in headers[1:]] == [
        "SCI", "MASK", "PSF", "BACKGROUND", "HISTORY",
    ]  # fmt: skip
    with opened(made) as out, fits.open(path) as before:
        for name in ("PSF", "HISTORY"):
            np.testing.assert_array_equal(out[name].data, before[name].data)
    assert cutout_file(path, Selection(Circle(0.0, 0.0, 1.0), tables=True)) is None


@pytest.mark.parametrize("numbered", [True, False])
def test_tables_of_another_image_stay(tmp_path, numbered):
    """A camera's file: two chips, each with its own PSF, and one log of the whole file."""
    hdus = [fits.PrimaryHDU()]
    for k in (1, 2):
        wcs = make_wcs(40.0 + 0.05 * k, 5.0, 60, 0.5)
        chip = fits.ImageHDU(np.full((60, 60), k, np.int16), wcs.to_header(relax=True))
        chip.name, chip.ver = "SCI", k
        hdus += [chip, table_of("PSF", [k], ver=k if numbered else 1)]
    path = write(tmp_path / "a.fits", *hdus, table_of("LOG", [9]))
    products = Products(path)
    assert len(products.found) == 2
    for did, product in products.found.items():
        k = int(did[-1])
        source = source_of(product, products.index(product))
        with opened(cutout(source, Selection(tables=True))) as out:
            assert [hdu.name for hdu in out] == ["PRIMARY", "SCI", "PSF", "LOG"]
            assert out["PSF"].data["A"].tolist() == [k]
            assert (out["SCI"].data == k).all()


def test_headers_alone(path, tmp_path):
    stencil = Circle(40.0, 5.0, 10 * 0.5 / 3600)
    full = cutout_file(path, Selection(stencil, tables=True))
    made = cutout_file(path, Selection(stencil, tables=True, header_only=True), limit_bytes=100)
    (tmp_path / "heads.fits").write_bytes(made.body)
    assert verify(tmp_path / "heads.fits") == ""
    with opened(made) as heads, opened(full) as whole:
        assert [hdu.name for hdu in heads] == [hdu.name for hdu in whole]
        structure = {"NAXIS2", "CUTDATE"}
        for head, hdu in zip(heads, whole, strict=True):
            assert hdu.is_image == head.is_image
            assert head.header.get("NAXIS2", 0) == 0
            assert not head.is_image or head.data is None or head.data.size == 0
            if not head.is_image:
                assert head.columns.names == hdu.columns.names
            for card in hdu.header.cards:
                if card.keyword not in structure:
                    assert head.header[card.keyword] == card.value, card.keyword
        np.testing.assert_allclose(
            WCS(heads["SCI"].header).all_pix2world([[3.0, 4.0]], 0),
            WCS(whole["SCI"].header).all_pix2world([[3.0, 4.0]], 0),
            rtol=1e-14,
        )
    assert len(made.body) < len(full.body)
