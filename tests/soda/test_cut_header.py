from __future__ import annotations

import io
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

sys.path.insert(0, str(Path(__file__).parent))
from soda_files import assert_same_sky, section, verify, write

from soda.cut import cutout, cutout_file, file_source
from soda.output import parse_output
from soda.selection import PixelRange, Selection
from vodal.errors import DataError
from vodal.fits.headers import text_cards
from vodal.params import Params
from vodal.regions import Circle
from vodal.testing.skies import make_wcs


def image(size=64, *, distorted=True, **cards):
    wcs = make_wcs(200.0, -30.0, size, 1.0, distorted=distorted)
    hdu = fits.PrimaryHDU(np.arange(size * size, dtype=np.float32).reshape(size, size))
    hdu.header.update(wcs.to_header(relax=True))
    hdu.header.update(cards)
    return hdu


def cut(path, radius_arcsec=8.0, ra=200.0, dec=-30.0):
    made = cutout_file(path, Selection(Circle(ra, dec, radius_arcsec / 3600)))
    return fits.open(io.BytesIO(bytes(made.body)))


def test_cards_are_kept_to_the_letter(tmp_path):
    hdu = image()
    hdu.header["HIERARCH ESO TEL AIRM"] = (1.25, "airmass")
    hdu.header["LONG"] = "x" * 100 + "'quoted'" + "y" * 60
    hdu.header["GAIN"] = (1.5e0, "e-/adu")
    hdu.header["COMMENT"] = "what the observer said"
    hdu.header["HISTORY"] = "flat-fielded"
    hdu.header["COMPLEX"] = (complex(1, 2), "a complex number")
    hdu.header["BOOL"] = True
    path = write(tmp_path / "a.fits", hdu)
    original = path.read_bytes()
    with cut(path) as out, fits.open(path) as before:
        ours, theirs = out[0].header, before[0].header
        for card in theirs.cards:
            if card.keyword in {"NAXIS1", "NAXIS2", "CRPIX1", "CRPIX2", "EXTEND"}:
                continue
            if card.keyword in {"COMMENT", "HISTORY", ""}:
                assert card.value in ours[card.keyword]
            else:
                assert ours[card.keyword] == card.value, card.keyword
        assert "HIERARCH ESO TEL AIRM" in str(ours)
    assert original == path.read_bytes()


def test_what_would_be_untrue_is_left_out(tmp_path):
    hdu = image(
        DATAMIN=0.0,
        DATAMAX=4095.0,
        DATASEC="[1:64,1:64]",
        TRIMSEC="[3:60,1:64]",
        CCDSEC="[1:64, 1:64]",
        DETSECA="[1:64,1:64]",
        EXPSEC=12.0,
        OBSSEC="south",
    )
    hdu.add_checksum()
    path = write(tmp_path / "a.fits", hdu)
    with cut(path) as out:
        header = out[0].header
        for keyword in ("DATAMIN", "DATAMAX", "DATASEC", "TRIMSEC", "CCDSEC", "DETSECA",
                        "CHECKSUM", "DATASUM"):  # fmt: skip
            assert keyword not in header
        assert header["EXPSEC"] == 12.0
        assert header["OBSSEC"] == "south"


def test_the_continuation_of_a_dropped_card_goes_with_it(tmp_path):
    hdu = image(CUTSTEN="POLYGON ICRS " + "z" * 200, AFTER=1)
    path = write(tmp_path / "a.fits", hdu)
    with cut(path) as out:
        assert "zzz" not in out[0].header.tostring()
        assert out[0].header["AFTER"] == 1


def test_all_alternate_coordinates_move(tmp_path):
    hdu = image(distorted=False)  # astropy reads no alternates beside SIP
    alternate = make_wcs(200.001, -30.001, 64, 1.0, 12.0, distorted=False)
    hdu.header.update(alternate.to_header(key="B"))
    for axis in (1, 2):
        hdu.header[f"CTYPE{axis}P"] = "LINEAR"
        hdu.header[f"CRVAL{axis}P"] = 1000.0 * axis
        hdu.header[f"CDELT{axis}P"] = 2.0
        hdu.header[f"LTV{axis}"] = -3.0
        hdu.header[f"LTM{axis}_{axis}"] = 1.0
    path = write(tmp_path / "a.fits", hdu)
    with cut(path) as out, fits.open(path) as before:
        header = out[0].header
        for key in (" ", "B", "P"):
            assert_same_sky(out[0], before[0], out, before, key)
        y, x = (part.start for part in section(header))
        assert x > 0
        assert y > 0
        assert (header["LTV1"], header["LTV2"]) == (-3.0 - x, -3.0 - y)
        # A reference pixel that was not given is 0, and moved.
        assert header["CRPIX1P"] == -x


def test_axes_of_which_an_alternate_tells_nothing_move_as_well(tmp_path):
    """Their reference pixel is 0 and their step 1 (FITS paper I, table 1)."""
    pixels = np.arange(4 * 64 * 64, dtype=np.int32).reshape(4, 64, 64)
    hdu = fits.PrimaryHDU(pixels, make_wcs(200.0, -30.0, 64, 1.0, distorted=False).to_header())
    hdu.header.update(make_wcs(200.001, -30.0, 64, 1.0, 12.0, distorted=False).to_header(key="B"))
    del hdu.header["WCSAXES"], hdu.header["WCSAXESB"]
    path = write(tmp_path / "a.fits", hdu)
    made = cutout_file(path, Selection(pixels=(PixelRange(5, 9), None, PixelRange(3, 4))))
    with fits.open(io.BytesIO(bytes(made.body))) as out, fits.open(path) as before:
        for key in (" ", "B"):
            assert WCS(out[0].header, key=key).naxis == 3
            assert_same_sky(out[0], before[0], out, before, key)


def test_an_axis_beyond_wcsaxes_gets_no_reference_pixel(tmp_path):
    pixels = np.arange(4 * 64 * 64, dtype=np.int32).reshape(4, 64, 64)
    hdu = fits.PrimaryHDU(pixels, make_wcs(200.0, -30.0, 64, 1.0, distorted=False).to_header())
    path = write(tmp_path / "a.fits", hdu)
    made = cutout_file(path, Selection(pixels=(PixelRange(5, 9), None, PixelRange(3, 4))))
    with fits.open(io.BytesIO(bytes(made.body))) as out:
        assert out[0].header["WCSAXES"] == 2
        assert "CRPIX3" not in out[0].header


def test_physical_coordinates_are_those_of_the_original(tmp_path):
    path = write(tmp_path / "a.fits", image())
    with cut(path) as out:
        y, x = (part.start for part in section(out[0].header))
        assert (out[0].header["LTV1"], out[0].header["LTM1_1"]) == (-x, 1.0)
        assert (out[0].header["LTV2"], out[0].header["LTM2_2"]) == (-y, 1.0)


def test_where_it_comes_from_is_told_and_a_cut_of_a_cut_tells_its_own(tmp_path):
    path = write(tmp_path / "a.fits", image())
    with cut(path, 20.0) as out:
        assert out[0].header["CUTHDU"] == 0
        assert out[0].header["CUTBY"].startswith("Skylane")
        assert out[0].header["CUTSTEN"].startswith("CIRCLE ICRS 200 -30")
        out.writeto(tmp_path / "b.fits")
    with cut(tmp_path / "b.fits", 5.0) as out:
        assert str(out[0].header).count("CUTSEC") == 1
        assert str(out[0].header).count("CUTDATE") == 1


@pytest.mark.parametrize("form", ["fits", "fits-gzip"])
def test_an_ascii_table_that_goes_along_is_filled_with_blanks(tmp_path, form):
    column = fits.Column("X", "F8.3", array=np.arange(5.0), ascii=True)
    path = write(tmp_path / "a.fits", image(), fits.TableHDU.from_columns([column], name="STARS"))
    assert verify(path) == ""
    output = parse_output(Params([("FORMAT", form)]))
    out = tmp_path / "b.fits"
    out.write_bytes(cutout_file(path, Selection(tables=True), output=output).body)
    assert verify(out) == ""
    with fits.open(out) as cut:
        np.testing.assert_array_equal(cut["STARS"].data["X"], np.arange(5.0))


def source_of_file(path, did=""):
    return replace(file_source(path), did=did)


def ranges(*pairs):
    return Selection(pixels=tuple(PixelRange(*pair) for pair in pairs))


@pytest.mark.parametrize("form", ["fits", "fits-rice"])
def test_a_cut_of_a_cut_tells_of_the_first_original(tmp_path, form):
    path = write(
        tmp_path / "a.fits", fits.PrimaryHDU(), fits.ImageHDU(image().data, image().header)
    )
    source = source_of_file(path, "ivo://x/y?a.fits")
    output = parse_output(Params([("FORMAT", form)]))
    second = tmp_path / "b.fits"
    second.write_bytes(cutout(source, ranges((11, 50), (21, 60)), output=output).body)
    again = fits.open(io.BytesIO(bytes(cutout_file(second, ranges((6, 9), (3, 30))).body)))
    direct = fits.open(io.BytesIO(bytes(cutout(source, ranges((16, 19), (23, 50))).body)))
    for keyword in ("CUTHDU", "CUTSEC", "CRPIX1", "LTV1", "LTV2"):
        assert again[1].header[keyword] == direct[1].header[keyword]
    assert direct[1].header["CUTSEC"] == "[16:19,23:50]"
    assert again[0].header["CUTID"] == "ivo://x/y?a.fits"
    # As a dataset of its own it is the original.
    own = cutout(source_of_file(second, "ivo://x/y?b.fits"), ranges((6, 9), (3, 30)))
    own = fits.open(io.BytesIO(bytes(own.body)))
    assert own[0].header["CUTID"] == "ivo://x/y?b.fits"
    assert own[1].header["CUTSEC"] == "[6:9,3:30]"


def test_pixels_of_an_original_that_are_no_more_those_of_the_image_are_not_told(tmp_path):
    for text in ("[1:32,1:32]", "[1:64]", "none", "[5:1,2:2]"):
        path = write(tmp_path / "a.fits", image(CUTSEC=text, CUTHDU=3))
        made = fits.open(io.BytesIO(bytes(cutout_file(path, ranges((2, 5), (7, 7))).body)))
        assert (made[0].header["CUTSEC"], made[0].header["CUTHDU"]) == ("[2:5,7:7]", 0)


@pytest.mark.parametrize("length", [1, 60, 68, 69, 80, 150, 500])
@pytest.mark.parametrize("letter", ["x", "'"])
def test_texts_of_any_length_are_read_back(length, letter):
    text = letter * length
    header = fits.Header.fromstring("".join(text_cards("CUTID", text, "dataset")))
    assert header["CUTID"] == text


def test_tpv_and_fixed_and_free_numbers(tmp_path):
    hdu = fits.PrimaryHDU(np.zeros((64, 64), np.int16))
    text = ""
    for keyword, value in (
        ("CTYPE1", "'RA---TPV'"), ("CTYPE2", "'DEC--TPV'"), ("CRVAL1", "10.0"), ("CRVAL2", "5."),
        ("CRPIX1", "3.2E1"), ("CRPIX2", " +32.5 / here"), ("CD1_1", "-0.0003"), ("CD2_2", "3.E-4"),
        ("PV1_0", "0.0"), ("PV1_1", "1.0"), ("PV1_4", "0.01"), ("PV2_0", "0.0"), ("PV2_1", "1.0"),
        ("PV2_5", "0.02"),
    ):  # fmt: skip
        text += f"{keyword:<8}= {value}".ljust(80)
    head = hdu.header.tostring(endcard=False, padding=False) + text + "END".ljust(80)
    head = head.ljust(-(-len(head) // 2880) * 2880)
    path = tmp_path / "a.fits"
    path.write_bytes(head.encode() + bytes(5760) + bytes(2880))
    with cut(path, 10.0, 10.0, 5.0) as out, fits.open(path) as before:
        assert_same_sky(out[0], before[0], out, before)
        assert out[0].header["NAXIS1"] < 30


def lookup_file(path, *, sizes=((17, 17), (17, 17))):
    """Write an image whose distortion is in tables, as HST's are."""
    wcs = make_wcs(50.0, 10.0, 128, 0.5, distorted=True)
    image_hdu = fits.ImageHDU(np.zeros((128, 128), np.float32), wcs.to_header(relax=True))
    image_hdu.name = "SCI"
    tables = []
    rng = np.random.default_rng(2)
    for axis, size in enumerate(sizes, 1):
        table = fits.ImageHDU(rng.normal(0, 0.3, size).astype(np.float32), name="WCSDVARR")
        table.ver = axis
        for k in (1, 2):
            table.header[f"CRPIX{k}"], table.header[f"CRVAL{k}"] = 1.0, 1.0
            table.header[f"CDELT{k}"] = 8.0
        tables.append(table)
        image_hdu.header[f"CPDIS{axis}"] = "LOOKUP"
        image_hdu.header[f"CPERR{axis}"] = 0.5
        for record in (f"EXTVER: {axis}.0", "NAXES: 2.0", "AXIS.1: 1.0", "AXIS.2: 2.0"):
            image_hdu.header.append(fits.Card(f"DP{axis}", record), end=True)
    d2im = fits.ImageHDU(np.linspace(-0.2, 0.2, 128, dtype=np.float32).reshape(1, 128))
    d2im.name, d2im.ver = "D2IMARR", 1
    for k in (1, 2):
        d2im.header[f"CRPIX{k}"], d2im.header[f"CRVAL{k}"], d2im.header[f"CDELT{k}"] = 1.0, 1.0, 1.0
    image_hdu.header["D2IMDIS1"] = "LOOKUP"
    image_hdu.header["D2IMERR1"] = 0.2
    for record in ("EXTVER: 1.0", "NAXES: 2.0", "AXIS.1: 1.0", "AXIS.2: 2.0"):
        image_hdu.header.append(fits.Card("D2IM1", record), end=True)
    return write(path, fits.PrimaryHDU(), image_hdu, *tables, d2im)


def test_distortions_in_tables_go_along(tmp_path):
    path = lookup_file(tmp_path / "a.fits")
    with fits.open(path) as before:
        wcs = WCS(before[1].header, before)
        assert wcs.cpdis1 is not None
        ra, dec = wcs.all_pix2world(90.0, 40.0, 0)
        with cut(path, 6.0, float(ra), float(dec)) as out:
            assert [hdu.name for hdu in out[1:]] == ["SCI", "WCSDVARR", "WCSDVARR", "D2IMARR"]
            assert_same_sky(out[1], before[1], out, before)
            out.writeto(tmp_path / "cut.fits")
    assert verify(tmp_path / "cut.fits") == ""


def test_distortions_in_compressed_tables_go_along(tmp_path):
    plain, packed = lookup_file(tmp_path / "a.fits"), tmp_path / "a.fits.fz"
    subprocess.run(["fpack", "-g", "-q", "0", "-O", packed, plain], check=True)
    with fits.open(plain) as before, cut(packed, 6.0, 50.001, 10.001) as out:
        assert [hdu.name for hdu in out[1:]] == ["SCI", "WCSDVARR", "WCSDVARR", "D2IMARR"]
        assert_same_sky(out[1], before[1], out, before)
        np.testing.assert_array_equal(out["WCSDVARR", 2].data, before["WCSDVARR", 2].data)


def test_a_distortion_that_cannot_be_cut_is_named(tmp_path):
    path = write(tmp_path / "a.fits", image(CQDIS1="LOOKUP"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(DataError):
            cutout_file(path, Selection(Circle(200.0, -30.0, 0.01)))
