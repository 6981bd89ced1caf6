"""World coordinates: frames, axis orders, distortions, and what is refused."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial import chebyshev, legendre, polynomial

from vodal.errors import DataError
from vodal.fits.index import FileIndex
from vodal.fits.scan import scan_file
from vodal.fits.wcs import (
    celestial_axes,
    icrs_to_pixel,
    load_wcs,
    pixel_scale_arcsec,
    pixel_to_icrs,
    sky_wcs,
)
from vodal.storage import LocalReader

BASE: dict[str, Any] = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 2.0, "CRPIX1": 25.0,
    "CRPIX2": 20.0, "CD1_1": -1e-4, "CD1_2": 2e-5, "CD2_1": 2e-5, "CD2_2": 1e-4,
}  # fmt: skip


def index_of(
    tmp_path: Path, cards: dict[str, Any], shape: tuple[int, ...] = (40, 50), *others: Any
) -> FileIndex:
    hdu = fits.PrimaryHDU(np.zeros(shape, np.uint8))
    for key, value in cards.items():
        if value is not None:
            hdu.header[key] = value
    path = tmp_path / "w.fits"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fits.HDUList([hdu, *others]).writeto(path, overwrite=True)
    return scan_file(path)


def wcs_of(tmp_path: Path, shape: tuple[int, ...] = (40, 50), **cards: Any) -> WCS:
    return load_wcs(index_of(tmp_path, {**BASE, **cards}, shape).hdus[0])


FRAMES = [
    ({"RADESYS": "ICRS"}, "icrs", {}),
    ({"RADESYS": "FK5", "EQUINOX": 2000.0}, "fk5", {"equinox": "J2000"}),
    ({"RADESYS": "FK5", "EQUINOX": 1975.0}, "fk5", {"equinox": "J1975"}),
    ({"EQUINOX": 2000.0}, "fk5", {"equinox": "J2000"}),
    ({"EPOCH": 1950.0}, "fk4", {"equinox": "B1950"}),
    ({"RADESYS": "FK4"}, "fk4", {"equinox": "B1950"}),
    ({"RADECSYS": "FK4", "EQUINOX": 1975.0}, "fk4", {"equinox": "B1975"}),
    ({"RADESYS": "FK4-NO-E"}, "fk4noeterms", {"equinox": "B1950"}),
    ({"CTYPE1": "GLON-CAR", "CTYPE2": "GLAT-CAR"}, "galactic", {}),
    ({"CTYPE1": "ELON-TAN", "CTYPE2": "ELAT-TAN"}, "barycentricmeanecliptic", {}),
    ({"CTYPE1": "SLON-TAN", "CTYPE2": "SLAT-TAN"}, "supergalactic", {}),
]


@pytest.mark.parametrize(("cards", "frame", "options"), FRAMES)
def test_every_frame_comes_out_as_icrs(
    tmp_path: Path, cards: dict[str, Any], frame: str, options: dict[str, str]
) -> None:
    wcs = wcs_of(tmp_path, **cards)
    x, y = np.meshgrid(np.linspace(-0.5, 49.5, 5), np.linspace(-0.5, 39.5, 4))
    ra, dec = pixel_to_icrs(wcs, x, y)
    lon, lat = wcs.all_pix2world(x, y, 0)
    truth = SkyCoord(lon, lat, unit="deg", frame=frame, **options).icrs
    found = SkyCoord(ra, dec, unit="deg")
    assert found.separation(truth).max().arcsec < 1e-6
    back_x, back_y = icrs_to_pixel(wcs, ra, dec)
    # The terms of aberration in FK4 are undone to a few microarcseconds.
    assert np.abs(back_x - x).max() < 1e-4
    assert np.abs(back_y - y).max() < 1e-4


def test_apparent_positions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="GAPPT"):
        wcs_of(tmp_path, RADESYS="GAPPT")


def test_celestial_axes_may_be_any_two_in_any_order(tmp_path: Path) -> None:
    flat = wcs_of(tmp_path, CD1_2=0.0, CD2_1=0.0)
    cards = {
        "CTYPE1": "DEC--TAN", "CRVAL1": 2.0, "CRPIX1": 20.0, "CDELT1": 1e-4,
        "CTYPE2": "STOKES", "CRVAL2": 1.0, "CRPIX2": 1.0, "CDELT2": 1.0,
        "CTYPE3": "FREQ", "CRVAL3": 1e9, "CRPIX3": 1.0, "CDELT3": 1e6,
        "CTYPE4": "RA---TAN", "CRVAL4": 150.0, "CRPIX4": 25.0, "CDELT4": -1e-4,
    }  # fmt: skip
    index = index_of(tmp_path, cards, (50, 2, 1, 40))
    wcs = load_wcs(index.hdus[0])
    assert celestial_axes(wcs) == (0, 3)
    assert sky_wcs(wcs).naxis == 2
    ra, dec = pixel_to_icrs(flat, [3.0, 10.0], [5.0, 7.0])
    # Its first celestial axis is the declination.
    other_ra, other_dec = pixel_to_icrs(wcs, [5.0, 7.0], [3.0, 10.0])
    assert np.allclose(ra, other_ra, atol=1e-12)
    assert np.allclose(dec, other_dec, atol=1e-12)
    x, y = icrs_to_pixel(wcs, ra, dec)
    assert np.allclose(x, [5.0, 7.0], atol=1e-6)
    assert np.allclose(y, [3.0, 10.0], atol=1e-6)


def test_the_sky_of_a_cube_is_distorted_by_tpv_as_that_of_a_plane(tmp_path: Path) -> None:
    distorted = {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", "PV1_1": 1.0, "PV1_4": 0.3,
                 "PV2_1": 1.0, "PV2_5": -0.2, "PV1_7": 0.5}  # fmt: skip
    spectral = {"CTYPE3": "FREQ", "CRVAL3": 1e9, "CRPIX3": 1.0, "CD3_3": 1e6}
    plane = wcs_of(tmp_path, **distorted)
    cube = wcs_of(tmp_path, (3, 40, 50), **distorted, **spectral)
    x, y = np.array([0.0, 49.0, 20.0]), np.array([39.0, 0.0, 10.0])
    assert np.allclose(pixel_to_icrs(cube, x, y), pixel_to_icrs(plane, x, y), rtol=0, atol=1e-12)
    undistorted = pixel_to_icrs(wcs_of(tmp_path), x, y)
    assert not np.allclose(pixel_to_icrs(cube, x, y), undistorted, rtol=0, atol=1e-8)
    # The other way round too: a cube whose sky changes with the channel has none of its own.
    tied = wcs_of(tmp_path, (3, 40, 50), **distorted, **spectral, CD1_3=1e-5)
    with pytest.raises(DataError, match="cannot be separated"):
        pixel_to_icrs(tied, x, y)


def tabular(tmp_path: Path, size: int, **cards: Any) -> FileIndex:
    """Write an image whose positions are in a table, for every second pixel."""
    v, u = np.mgrid[0:size:2, 0:size:2]
    places = np.stack([150.0 - u / 3600 - v * v * 1e-8, 2.0 + v / 3600], -1)
    rows, columns = v.shape
    column = fits.Column("P", f"{places.size}D", dim=f"(2,{columns},{rows})", array=places[None])
    table = fits.BinTableHDU.from_columns([column], name="PLACES", ver=1)
    sky: dict[str, Any] = {}
    for axis, name in ((1, "RA---TAB"), (2, "DEC--TAB")):
        sky |= {f"CTYPE{axis}": name, f"CRVAL{axis}": 1.0, f"CRPIX{axis}": 1.0,
                f"CDELT{axis}": 0.5, f"PS{axis}_0": "PLACES", f"PS{axis}_1": "P",
                f"PV{axis}_1": 1.0, f"PV{axis}_2": 1.0, f"PV{axis}_3": float(axis)}  # fmt: skip
    return index_of(tmp_path, {**sky, **cards}, (size, size), table)


def test_a_sky_that_is_in_a_table_is_interpolated(tmp_path: Path) -> None:
    index = tabular(tmp_path, 40)
    with LocalReader(tmp_path / "w.fits") as reader:
        wcs = load_wcs(index.hdus[0], index, reader)
    x, y = np.array([0.0, 7.0, 8.0]), np.array([0.0, 3.0, 38.0])
    ra, dec = pixel_to_icrs(wcs, x, y)
    squares = np.array([0.0, (4 + 16) / 2, 38.0**2])
    assert np.allclose(ra, 150.0 - x / 3600 - squares * 1e-8, rtol=0, atol=1e-11)
    assert np.allclose(dec, 2.0 + y / 3600, rtol=0, atol=1e-11)
    assert np.allclose(icrs_to_pixel(wcs, ra, dec), (x, y), atol=1e-6)
    # CDELT counts in the table's places, not in degrees.
    assert pixel_scale_arcsec(wcs) == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize("cards", [{"PV2_2": 3.0}, {"PV2_3": 1.0}, {"PS2_1": "Q"}])
def test_axes_of_a_table_that_do_not_belong_together_are_refused(
    tmp_path: Path, cards: dict[str, Any]
) -> None:
    index = tabular(tmp_path, 10, **cards)
    with (
        LocalReader(tmp_path / "w.fits") as reader,
        pytest.raises(DataError, match=r"numbers \(PVi_3\)"),
    ):
        load_wcs(index.hdus[0], index, reader)


def test_shapes_of_arrays_are_kept(tmp_path: Path) -> None:
    wcs = wcs_of(tmp_path)
    ra, dec = pixel_to_icrs(wcs, np.zeros((2, 3, 4)), 5.0)
    assert ra.shape == dec.shape == (2, 3, 4)
    x, _ = icrs_to_pixel(wcs, ra[0], 2.0)
    assert x.shape == (3, 4)
    assert pixel_to_icrs(wcs, 1.0, 2.0)[0].shape == ()


def test_the_far_side_of_the_sky_has_no_pixel(tmp_path: Path) -> None:
    wcs = wcs_of(tmp_path)
    x, y = icrs_to_pixel(wcs, [150.0, 330.0], [2.0, -2.0])
    assert np.isfinite(x[0])
    assert np.isnan(x[1])
    assert np.isnan(y[1])


def sip_cards(strength: float) -> dict[str, Any]:
    return {
        "CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 3, "B_ORDER": 3,
        "A_2_0": 3e-4 * strength, "A_0_3": -2e-6 * strength, "B_1_1": -2e-4 * strength,
        "B_3_0": 3e-6 * strength,
    }  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(
    ra=st.floats(0, 360), dec=st.floats(-90, 90), strength=st.floats(-1, 1),
    angle=st.floats(0, 6.3),
)  # fmt: skip
def test_pixels_come_back_through_distortion_anywhere(
    ra: float, dec: float, strength: float, angle: float
) -> None:
    header = fits.Header(list({**BASE, **sip_cards(strength)}.items()))
    c, s = 1e-4 * np.cos(angle), 1e-4 * np.sin(angle)
    header["CRVAL1"], header["CRVAL2"] = ra, dec
    header["CD1_1"], header["CD1_2"], header["CD2_1"], header["CD2_2"] = -c, s, s, c
    wcs = WCS(header)
    x, y = np.meshgrid(np.linspace(-0.5, 49.5, 6), np.linspace(-0.5, 39.5, 6))
    back_x, back_y = icrs_to_pixel(wcs, *pixel_to_icrs(wcs, x, y))
    assert np.abs(back_x - x).max() < 1e-4
    assert np.abs(back_y - y).max() < 1e-4


def test_where_a_distortion_cannot_be_inverted_there_is_no_pixel(tmp_path: Path) -> None:
    wcs = wcs_of(tmp_path, **sip_cards(30.0))
    ra = 150.0 + np.linspace(-3, 3, 41)
    x, y = icrs_to_pixel(wcs, ra, np.full_like(ra, 2.0))
    good = np.isfinite(x)
    assert not good.all()
    back_ra, _ = pixel_to_icrs(wcs, x[good], y[good])
    assert np.abs(back_ra - ra[good]).max() < 1e-5


def test_the_pixel_scale_follows_the_distortion(tmp_path: Path) -> None:
    wcs = wcs_of(tmp_path, **sip_cards(1.0))
    linear = 3600.0 * np.sqrt(1e-8 + 4e-10)
    assert pixel_scale_arcsec(wcs) == pytest.approx(linear, rel=1e-9)
    assert pixel_scale_arcsec(wcs, 24.0, 19.0) == pytest.approx(linear, rel=1e-3)
    assert pixel_scale_arcsec(wcs, 49.0, 19.0) > 1.003 * linear


# --- TNX and ZPX ---------------------------------------------------------------------------------

BASES = {1: chebyshev.chebval2d, 2: legendre.legval2d, 3: polynomial.polyval2d}


def surface(kind: int, cross: int, rng: np.random.Generator) -> tuple[str, Any]:
    """Give a correction surface as text, and as a function of (xi, eta)."""
    x_order, y_order = 4, 3
    low_x, high_x, low_y, high_y = -0.006, 0.005, -0.004, 0.007
    matrix = np.zeros((x_order, y_order))
    numbers = []
    for n in range(y_order):
        for m in range(x_order):
            if cross == 1 or (cross == 2 and m + n <= 3) or (cross == 0 and 0 in {m, n}):
                # A power of degrees is tiny: its coefficients are larger in proportion.
                size = 1e-4 * (300.0 ** (m + n) if kind == 3 else 1.0)
                matrix[m, n] = round(rng.normal() * size, 12)
                numbers.append(f"{matrix[m, n]:.12g}")
    head = f"{kind}. {x_order}. {y_order}. {cross}. {low_x} {high_x} {low_y} {high_y}"

    def value(xi: np.ndarray, eta: np.ndarray) -> np.ndarray:
        if kind != 3:
            xi = (2 * xi - (low_x + high_x)) / (high_x - low_x)
            eta = (2 * eta - (low_y + high_y)) / (high_y - low_y)
        return BASES[kind](xi, eta, matrix)

    return f'"{head} {" ".join(numbers)} "', value


def wat(axis: int, text: str) -> dict[str, str]:
    return {f"WAT{axis}_{k // 68 + 1:03d}": text[k : k + 68] for k in range(0, len(text), 68)}


@pytest.mark.parametrize("kind", [1, 2, 3])
@pytest.mark.parametrize("cross", [0, 1, 2])
@pytest.mark.parametrize("projection", ["TNX", "ZPX"])
def test_iraf_distortions_are_applied(
    tmp_path: Path, kind: int, cross: int, projection: str
) -> None:
    rng = np.random.default_rng(kind * 10 + cross)
    radial = {"TNX": "", "ZPX": "projp0=0. projp1=1. projp3=40. "}[projection]
    lng_text, lng = surface(kind, cross, rng)
    lat_text, lat = surface(kind, cross, rng)
    low = projection.lower()
    wcs = wcs_of(
        tmp_path,
        CTYPE1=f"RA---{projection}", CTYPE2=f"DEC--{projection}",
        **wat(1, f"wtype={low} axtype=ra {radial}lngcor = {lng_text}"),
        **wat(2, f"wtype={low} axtype=dec {radial}latcor = {lat_text}"),
    )  # fmt: skip
    x, y = (v.ravel() for v in np.meshgrid(np.linspace(-0.5, 49.5, 6), np.linspace(-0.5, 39.5, 5)))
    u, v = x + 1 - BASE["CRPIX1"], y + 1 - BASE["CRPIX2"]
    xi = BASE["CD1_1"] * u + BASE["CD1_2"] * v
    eta = BASE["CD2_1"] * u + BASE["CD2_2"] * v
    plain = WCS(naxis=2)
    code = {"TNX": "TAN", "ZPX": "ZPN"}[projection]
    plain.wcs.ctype = [f"RA---{code}", f"DEC--{code}"]
    plain.wcs.crval, plain.wcs.crpix = [BASE["CRVAL1"], BASE["CRVAL2"]], [1.0, 1.0]
    if projection == "ZPX":
        plain.wcs.set_pv([(2, 1, 1.0), (2, 3, 40.0)])
    ra, dec = plain.wcs_pix2world(xi + lng(xi, eta), eta + lat(xi, eta), 0)
    found_ra, found_dec = pixel_to_icrs(wcs, x, y)
    assert np.abs(found_ra - ra).max() * 3600 < 1e-6
    assert np.abs(found_dec - dec).max() * 3600 < 1e-6
    undistorted, _ = plain.wcs_pix2world(xi, eta, 0)
    assert np.abs(undistorted - ra).max() * 3600 > 0.05


@pytest.mark.parametrize(
    ("cards", "words"),
    [
        ({}, "is missing: no WAT1"),
        (wat(1, 'wtype=tnx lngcor = "1. 4. 4. 2. 0. 1. 0. 1. 5."'), "WAT2 cards|is cut"),
        (wat(1, "wtype=tnx") | wat(2, 'wtype=tnx latcor = "1. 4. 4. 2. 0. 1. 0. 1. 5."'), "cut"),
        (wat(1, "wtype=tnx") | wat(2, 'wtype=tnx latcor = "1. 4. x 2."'), "holds 'x'"),
        (wat(1, "wtype=tnx") | wat(2, 'wtype=tnx latcor = "1. 4. 4."'), "cut"),
        (wat(1, "wtype=tnx") | wat(2, 'wtype=tnx latcor = "9. 1. 1. 2. 0. 1. 0. 1. 5."'),
         "unknown form"),
        (wat(1, "wtype=tnx") | wat(2, 'wtype=tnx latcor = "1. 1. 1. 2. 1. 1. 0. 1. 5."'),
         "unknown form"),
    ],
)  # fmt: skip
def test_a_broken_iraf_distortion_is_refused_not_dropped(
    tmp_path: Path, cards: dict[str, str], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        wcs_of(tmp_path, CTYPE1="RA---TNX", CTYPE2="DEC--TNX", **cards)


# --- tables in other HDUs ------------------------------------------------------------------------


def lookup_file(tmp_path: Path) -> FileIndex:
    table = fits.ImageHDU(
        np.random.default_rng(0).normal(0, 0.5, (5, 6)).astype(np.float32), name="WCSDVARR"
    )
    table.header["CRPIX1"] = table.header["CRPIX2"] = 1.0
    table.header["CRVAL1"] = table.header["CRVAL2"] = 1.0
    table.header["CDELT1"] = table.header["CDELT2"] = 10.0
    cards = dict(BASE)
    for axis in (1, 2):
        cards |= {
            f"CPDIS{axis}": "LOOKUP", f"DP{axis}.EXTVER": 1.0, f"DP{axis}.NAXES": 2.0,
            f"DP{axis}.AXIS.1": 1.0, f"DP{axis}.AXIS.2": 2.0,
        }  # fmt: skip
    hdu = fits.PrimaryHDU(np.zeros((40, 50), np.uint8))
    for key, value in cards.items():
        if "." in key:
            name, _, field = key.partition(".")
            hdu.header.append((name, f"{field}: {value}"), end=True)
        else:
            hdu.header[key] = value
    fits.HDUList([hdu, table]).writeto(tmp_path / "w.fits")
    return scan_file(tmp_path / "w.fits")


def test_lookup_tables_in_other_hdus_are_read(tmp_path: Path) -> None:
    index = lookup_file(tmp_path)
    with LocalReader(tmp_path / "w.fits") as reader:
        wcs = load_wcs(index.hdus[0], index, reader)
    with fits.open(tmp_path / "w.fits") as hdus:
        truth = WCS(hdus[0].header, hdus)
    assert wcs.has_distortion
    x, y = np.random.default_rng(1).uniform(0, 40, (2, 50))
    ra, dec = pixel_to_icrs(wcs, x, y)
    assert np.allclose([ra, dec], truth.all_pix2world(x, y, 0), atol=1e-12, rtol=0)
    with pytest.raises(DataError, match="need the file's HDU WCSDVARR"):
        load_wcs(index.hdus[0])


def test_a_lookup_table_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    index = lookup_file(tmp_path)
    alone = FileIndex(index.size_bytes, index.version, "", index.hdus[:1])
    with LocalReader(tmp_path / "w.fits") as reader, pytest.raises(DataError):
        load_wcs(index.hdus[0], alone, reader)


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cards", "words"),
    [
        ({"CTYPE1": None, "CTYPE2": None}, "no celestial coordinates"),
        ({"CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN"}, "no celestial.*HPLN-TAN"),
        ({"CTYPE1": "RA", "CTYPE2": "DEC"}, "no celestial"),
        ({"CTYPE2": "LINEAR"}, "only one celestial axis"),
        ({"CTYPE2": "GLAT-TAN"}, "broken|no pair"),
        ({"CTYPE1": "RA---XYZ", "CTYPE2": "DEC--XYZ"}, "projection 'XYZ'"),
        ({"CTYPE2": "DEC--SIN"}, "broken"),
        ({"CRVAL1": "150.0"}, "CRVAL1 is the text '150.0'"),
        ({"CRVAL2": None}, "CRVAL2 is missing"),
        ({"CRVAL2": 123.4}, "broken"),
        ({"CD1_1": 0.0, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 0.0}, "singular"),
        ({"CD1_1": 1e-4, "CD1_2": 1e-4, "CD2_1": 1e-4, "CD2_2": 1e-4}, "singular|Singular"),
        ({"CD1_1": 1e-4, "CD1_2": 1e-4, "CD2_1": 1e-4, "CD2_2": 1.000000000001e-4}, "singular"),
        ({key: None for key in BASE if key.startswith("CD")}, "neither CD nor CDELT"),
        ({"CUNIT1": "parsec"}, "broken"),
        ({"WCSAXES": 99999}, "WCSAXES is 99999"),
        ({**sip_cards(1.0), "A_ORDER": 99999}, "A_ORDER is 99999"),
        ({**sip_cards(1.0), "B_ORDER": "x"}, "B_ORDER is x"),
        ({"CTYPE3": "WAVE-TAB", "PS3_0": "T", "PS3_1": "c", "PV3_3": 2147483648.0, "WCSAXES": 3},
         "PV3_3 is 2147483648"),
        ({"RADESYS": "FK5", "EQUINOX": 20000.0}, "EQUINOX is 20000"),
    ],
)  # fmt: skip
def test_broken_coordinates_are_refused_by_name(
    tmp_path: Path, cards: dict[str, Any], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        wcs_of(tmp_path, **cards)


def test_celestial_axes_outside_the_array_are_refused(tmp_path: Path) -> None:
    cards = {
        "WCSAXES": 3, "CTYPE1": "FREQ", "CRVAL1": 1e9, "CDELT1": 1e6, "CRPIX1": 1.0,
        "CTYPE2": "RA---TAN", "CRVAL2": 10.0, "CRPIX2": 1.0, "CDELT2": 1e-4,
        "CTYPE3": "DEC--TAN", "CRVAL3": 10.0, "CRPIX3": 1.0, "CDELT3": 1e-4,
    }  # fmt: skip
    with pytest.raises(DataError, match="not among the image's axes"):
        load_wcs(index_of(tmp_path, cards).hdus[0])


def test_an_old_spectral_axis_does_not_cost_the_sky(tmp_path: Path) -> None:
    cards = {
        "CTYPE1": "RA---NCP", "CRVAL1": 30.0, "CRPIX1": 3.0, "CDELT1": -0.01,
        "CTYPE2": "DEC--NCP", "CRVAL2": 45.0, "CRPIX2": 3.0, "CDELT2": 0.01,
        "CTYPE3": "FREQ-OHEL", "CRVAL3": 1.4e9, "CRPIX3": 1.0, "CDELT3": 1e6,
    }  # fmt: skip
    wcs = load_wcs(index_of(tmp_path, cards, (2, 5, 5)).hdus[0])
    ra, dec = pixel_to_icrs(wcs, 2.0, 2.0)
    assert (float(ra), float(dec)) == pytest.approx((30.0, 45.0), abs=1e-4)


def test_nothing_is_printed_and_nothing_warns(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # Warnings are errors here; wcslib's fixes and astropy's notes on SIP are common ones.
    index = index_of(
        tmp_path,
        {**BASE, **sip_cards(1.0), "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN",
         "DATE-OBS": "05/06/98", "MJD-OBS": 1.0, "CUNIT1": "DEG", "RADECSYS": "FK5"},
    )  # fmt: skip
    faults: list[BaseException] = []

    def load() -> None:
        try:
            for _ in range(20):
                load_wcs(index.hdus[0])
        except BaseException as error:  # noqa: BLE001 - handed to the main thread
            faults.append(error)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


TPV = {1: (1.0, 1.0), 2: (0.01, -0.02), 4: (0.02, 0.01), 5: (-0.01, 0.03), 6: (0.03, -0.015)}
"""By term: of the longitude and of the latitude, each with its own coordinate first."""


def tpv_place(x: float, y: float) -> tuple[float, float]:
    """Give the position of a place east and north of the reference point in pixels of 0.1 deg."""
    xi, eta = -0.1 * x, 0.1 * y
    first = {1: xi, 2: eta, 4: xi * xi, 5: xi * eta, 6: eta * eta}
    second = {1: eta, 2: xi, 4: eta * eta, 5: eta * xi, 6: xi * xi}
    east = sum(value[0] * first[term] for term, value in TPV.items())
    north = sum(value[1] * second[term] for term, value in TPV.items())
    plane = WCS(naxis=2)
    plane.wcs.ctype, plane.wcs.crval = ["RA---TAN", "DEC--TAN"], [10.0, 40.0]
    ra, dec = plane.wcs_pix2world([[east, north]], 1)[0]
    return float(ra), float(dec)


@pytest.mark.parametrize("wave", [None, 3], ids=["image", "cube"])
@pytest.mark.parametrize("matrix", ["cd", "pc", "arcsec"])
def test_tpv_with_the_latitude_first_is_in_its_own_order(tmp_path, wave, matrix):
    """By the definition of the terms, as wcslib has the axes in one order only."""
    cards: dict[str, Any] = {}
    for axis, name, value, step in ((2, "RA---TPV", 10.0, -0.1), (1, "DEC--TPV", 40.0, 0.1)):
        scale = 3600.0 if matrix == "arcsec" else 1.0
        cards |= {f"CTYPE{axis}": name, f"CRVAL{axis}": value * scale, f"CRPIX{axis}": 1.0}
        cards[f"CD{axis}_{axis}" if matrix == "cd" else f"CDELT{axis}"] = step * scale
        if matrix == "arcsec":
            cards[f"CUNIT{axis}"] = "arcsec"
        for term, values in TPV.items():
            cards[f"PV{axis}_{term}"] = values[2 - axis]
    if wave:
        cards |= {"CTYPE3": "FREQ", "CRVAL3": 1e9, "CRPIX3": 1.0}
        cards["CD3_3" if matrix == "cd" else "CDELT3"] = 1e6
    index = index_of(tmp_path, cards, (4, 40, 50) if wave else (40, 50))
    wcs = load_wcs(index.hdus[0])
    assert celestial_axes(wcs) == (0, 1)
    for x, y in ((0.0, 0.0), (3.0, 5.0), (-4.0, 2.5)):
        # Declination runs along x.
        np.testing.assert_allclose(pixel_to_icrs(wcs, y, x), tpv_place(x, y), rtol=1e-12)
        np.testing.assert_allclose(icrs_to_pixel(wcs, *tpv_place(x, y)), (y, x), atol=1e-6)


def test_tpv_on_other_axes_is_refused(tmp_path):
    cards = {
        "CTYPE1": "RA---TPV", "CTYPE2": "FREQ", "CTYPE3": "DEC--TPV", "CRVAL1": 1.0, "CRVAL3": 2.0,
        "CRVAL2": 1e9, "CD1_1": -0.1, "CD2_2": 1e6, "CD3_3": 0.1, "PV1_1": 1.0, "PV3_1": 1.0,
    }  # fmt: skip
    with pytest.raises(DataError, match="TPV is understood as axes 1 and 2 only"):
        load_wcs(index_of(tmp_path, cards, (8, 4, 8)).hdus[0])
