"""Outlines of the header alone are those that wcslib's coordinates give."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st

from vodal.errors import DataError
from vodal.fits.footprint import Footprint, footprint
from vodal.fits.index import HduIndex
from vodal.fits.plainoutline import plain_footprint
from vodal.fits.planes import group_planes
from vodal.fits.scan import scan_file
from vodal.fits.tangent import tangent_plane
from vodal.fits.wcs import claims_sky, load_wcs
from vodal.regions import Polygon

DEGREES = 1e-9


def image(cards: dict[str, Any], nx: int = 60, ny: int = 40) -> HduIndex:
    header = fits.Header()
    for keyword, value in {"NAXIS": 2, "NAXIS1": nx, "NAXIS2": ny, **cards}.items():
        if value is not None:
            header.append((keyword, value), end=True)
    return HduIndex(
        number=0, kind="image", name="", extver=1, header_offset=0, header_length=2880,
        data_offset=2880, data_length=0, bitpix=-32, shape=(ny, nx),
        cards=header.tostring(endcard=False, padding=False),
    )  # fmt: skip


def quick(hdu: HduIndex) -> Footprint | None:
    tangent = tangent_plane(hdu)
    return None if tangent is None else plain_footprint(tangent, hdu.shape[1], hdu.shape[0])


def assert_same(found: Footprint, hdu: HduIndex) -> None:
    ny, nx = hdu.shape
    expected = footprint(load_wcs(hdu), nx, ny)
    assert isinstance(found.region, Polygon)
    assert isinstance(expected.region, Polygon)
    assert len(found.region.vertices) == len(expected.region.vertices)
    places = np.array([(found.ra_deg, found.dec_deg), *found.region.vertices])
    wanted = np.array([(expected.ra_deg, expected.dec_deg), *expected.region.vertices])
    off = np.abs(places - wanted)
    off[:, 0] = np.minimum(off[:, 0], 360.0 - off[:, 0]) * np.cos(np.radians(wanted[:, 1]))
    assert off.max() < DEGREES
    assert found.fov_deg == pytest.approx(expected.fov_deg, abs=DEGREES)
    # The general way takes differences of positions in degrees, whose digits end at 6e-14.
    assert found.pixel_scale_arcsec == pytest.approx(
        expected.pixel_scale_arcsec, rel=1e-10 + 3e-13 / (expected.pixel_scale_arcsec / 3600.0)
    )


def linear(ra: float, dec: float, scale: float, angle: float = 0.3, parity: int = -1,
           nx: int = 60, ny: int = 40, *, pc: bool = False) -> dict[str, Any]:  # fmt: skip
    c, s = np.cos(angle), np.sin(angle)
    matrix = {"1_1": parity * c, "1_2": s, "2_1": -parity * s, "2_2": c}
    cards: dict[str, Any] = {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": ra, "CRVAL2": dec,
        "CRPIX1": nx / 2, "CRPIX2": ny / 2,
    }  # fmt: skip
    if pc:
        cards |= {"CDELT1": scale, "CDELT2": scale}
        return cards | {f"PC{pair}": value for pair, value in matrix.items()}
    return cards | {f"CD{pair}": scale * value for pair, value in matrix.items()}


def sip(order: int, bend: float, seed: int, reach: float) -> dict[str, Any]:
    """Give polynomials whose terms move places at the edge by about ``bend`` of their distance."""
    rng = np.random.default_rng(seed)
    cards: dict[str, Any] = {
        "CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": order, "B_ORDER": order,
    }  # fmt: skip
    for name in "AB":
        for i in range(order + 1):
            for j in range(order + 1 - i):
                if i + j >= 2:
                    cards[f"{name}_{i}_{j}"] = bend * rng.normal() / order**2 / reach ** (i + j - 1)
    return cards


def tpv(order: int, bend: float, seed: int, reach_deg: float) -> dict[str, Any]:
    """Give polynomials that move places so far away by about ``bend`` of their distance."""
    rng = np.random.default_rng(seed)
    cards: dict[str, Any] = {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV"}
    first = {1: 0, 2: 4, 3: 7, 4: 12, 5: 17}
    for axis in (1, 2):
        cards |= {f"PV{axis}_0": 0.1 * bend * reach_deg, f"PV{axis}_1": 1.0 + bend / 10,
                  f"PV{axis}_2": -bend / 20, f"PV{axis}_3": 0.0}  # fmt: skip
        for power in range(2, order + 1):
            for term in range(power + 1):
                value = bend * rng.normal() / order**2 / reach_deg ** (power - 1)
                cards[f"PV{axis}_{first[power] + term}"] = value
    return cards


FRAMES: list[dict[str, Any]] = [
    {}, {"RADESYS": "ICRS"}, {"RADESYS": "FK5", "EQUINOX": 2000.0}, {"EQUINOX": 2000.0},
    {"RADESYS": "FK5", "EQUINOX": 1990.5}, {"RADESYS": "FK5"}, {"RADECSYS": "FK5"},
    {"RADESYS": "ICRS", "EQUINOX": 2000}, {"LONPOLE": 180, "LATPOLE": 20.0},
    {"CUNIT1": "deg", "CUNIT2": "deg", "WCSAXES": 2}, {"CTYPE1": "GLON-TAN", "CTYPE2": "GLAT-TAN"},
    {"EPOCH": 1976.2, "EQUINOX": 2000.0}, {"EQUINOX": 2000, "EPOCH": 0}, {"RESTFRQ": 1e9},
    {"VELOSYS": 3.0, "SSYSOBS": "TOPOCENT", "SPECSYS": "x", "ZSOURCE": 1.0},
    {"DATE-OBS": "31/02/97", "MJD-OBS": 1.0, "TIMESYS": "XYZ", "TELESCOP": "HST", "DATE": "never"},
]  # fmt: skip


@settings(max_examples=250, deadline=None)
@given(
    ra=st.floats(-360, 720), dec=st.sampled_from([-89.98, 89.98, 0.0]) | st.floats(-89.9, 89.9),
    scale=st.sampled_from([1e-6, 1e-5, 1e-4, 1e-3, 0.1]), angle=st.floats(0, 6.3),
    parity=st.sampled_from([-1, 1]), nx=st.integers(1, 400), ny=st.integers(1, 400),
    pc=st.booleans(), frame=st.sampled_from(FRAMES), order=st.integers(1, 5),
    bend=st.sampled_from([0.0, 1e-4, 0.03, 0.3, 3.0]), seed=st.integers(0, 99),
    shift=st.sampled_from([0.0, 0.5, -300.0, 4000.0]), after=st.booleans(),
)  # fmt: skip
def test_places_are_those_of_wcslib(
    ra: float, dec: float, scale: float, angle: float, parity: int, nx: int, ny: int, *, pc: bool,
    frame: dict[str, Any], order: int, bend: float, seed: int, shift: float, after: bool,
) -> None:  # fmt: skip
    cards = linear(ra, dec, scale, angle, parity, nx, ny, pc=pc) | frame
    cards["CRPIX1"] += shift
    if order > 1 and "GLON" not in cards["CTYPE1"]:
        reach = max(nx, ny) + abs(shift)
        cards |= tpv(order, bend, seed, reach * scale) if after else sip(order, bend, seed, reach)
    hdu = image(cards, nx, ny)
    found = quick(hdu)
    if pc and order > 1 and after and "GLON" not in cards["CTYPE1"]:
        assert found is None  # wcslib bends before CDELT scales
        return
    assert tangent_plane(hdu) is not None
    if bend < 0.1 and 1e-6 < scale < 0.01 and min(nx, ny) > 20:
        assert found is not None
    if found is not None:
        assert_same(found, hdu)


@settings(max_examples=120, deadline=None)
@given(
    ra=st.floats(0, 360), dec=st.floats(-80, 80), angle=st.floats(0, 6.3),
    steps=st.tuples(*[st.sampled_from([-3e-4, -1e-4, 1e-4, 2e-4])] * 2),
    form=st.sampled_from(["PC", "PC of the diagonal", "PC left out", "CROTA", "CD"]),
    distortion=st.sampled_from(["", "SIP", "TPV"]), order=st.integers(2, 5),
    bend=st.sampled_from([1e-4, 0.03]), seed=st.integers(0, 99),
)  # fmt: skip
def test_steps_matrices_and_turns_mean_what_astropy_reads(
    ra: float, dec: float, angle: float, steps: tuple[float, float], form: str, distortion: str,
    order: int, bend: float, seed: int,
) -> None:  # fmt: skip
    nx, ny = 60, 40
    cards: dict[str, Any] = linear(ra, dec, 1e-4, angle, pc=True) | {
        "CDELT1": steps[0], "CDELT2": steps[1],
    }  # fmt: skip
    if distortion == "SIP":
        cards |= sip(order, bend, seed, 60.0)
    elif distortion == "TPV":
        # wcslib (8.2) bends before CDELT scales: in pixels, where there is no CD.
        cards |= tpv(order, bend, seed, 0.02 if form == "CD" else 120.0)
    pairs = ("1_1", "1_2", "2_1", "2_2")
    match form:
        case "CD":
            for pair in pairs:
                cards[f"CD{pair}"] = steps[int(pair[0]) - 1] * cards.pop(f"PC{pair}")
            cards |= {"CDELT1": None, "CDELT2": None}
        case "PC of the diagonal":
            cards |= {"PC1_2": None, "PC2_1": None, "PC1_1": 0.5, "PC2_2": 1.5}
        case "PC left out" | "CROTA":
            cards |= {f"PC{pair}": None for pair in pairs}
            if form == "CROTA":
                cards |= {"CROTA1": 0.0, "CROTA2": float(np.degrees(angle))}
    hdu = image(cards, nx, ny)
    found = quick(hdu) or footprint(load_wcs(hdu), nx, ny)
    header = fits.Header({key: value for key, value in cards.items() if value is not None})
    wcs = WCS(header)
    wanted = wcs.all_pix2world([[(nx - 1) / 2, (ny - 1) / 2]], 0)[0]
    off = np.abs(np.array([found.ra_deg, found.dec_deg]) - wanted)
    assert min(off[0], 360.0 - off[0]) < 1e-9
    assert off[1] < 1e-9
    assert isinstance(found.region, Polygon)
    corners = wcs.all_pix2world([[-0.5, -0.5], [nx - 0.5, -0.5], [nx - 0.5, ny - 0.5],
                                 [-0.5, ny - 0.5]], 0)  # fmt: skip
    vertices = np.array(found.region.vertices)
    for corner in corners:
        apart = np.abs(vertices - corner)
        apart[:, 0] = np.minimum(apart[:, 0], 360.0 - apart[:, 0])
        assert apart.max(axis=1).min() < 1e-9


ODD: list[dict[str, Any]] = [
    {"CTYPE1": "RA---SIN", "CTYPE2": "DEC--SIN"}, {"CTYPE1": "DEC--TAN", "CTYPE2": "RA---TAN"},
    {"CTYPE2": "DEC--SIN"}, {"CTYPE1": "GLON-TAN"}, {"CTYPE1": "RA---TAN-SIP"}, {"CTYPE2": None},
    {"CRVAL1": None}, {"CRVAL2": 90.0}, {"CRVAL2": 91.0}, {"CRVAL1": "150.0"}, {"CRPIX1": None},
    {"LONPOLE": 170.0}, {"LATPOLE": 45.0}, {"CD1_1": 0.0}, {"CD2_1": None}, {"CD2_2": "1e-4"},
    {"CD1_1": 1e-4, "CD1_2": 1e-4, "CD2_1": 1e-4, "CD2_2": 1e-4}, {"CDELT1": 3.0, "CDELT2": 0.0},
    {"PC1_1": 0.5}, {"CROTA2": 20.0}, {"CROTA1": 0.0, "CROTA2": 0}, {"CROTA2": -0.0},
    {f"CD{pair}": None for pair in ("1_1", "1_2", "2_1", "2_2")} | {"CDELT1": 1e-4, "CDELT2": 1e-4},
    {"CUNIT1": "arcsec"}, {"CUNIT1": "", "CUNIT2": ""},
    {"PV1_1": 1.0}, {"PV2_1": 0.3}, {"RADESYS": "FK4"}, {"EQUINOX": 1950.0}, {"EPOCH": 1950.0},
    {"EQUINOX": 3000.0}, {"RADESYS": "ICRS", "EQUINOX": 1950.0}, {"EQUINOX": "J2000"},
    {"RADESYS": "GAPPT"}, {"RADESYS": "FK5", "RADECSYS": "FK4"}, {"RADESYS": "nonsense"},
    {"NAXIS": 3}, {"WCSAXES": 3}, {"CTYPE3": "FREQ", "CRVAL3": 1.0}, {"A_ORDER": 2},
    {"CPDIS1": "LOOKUP", "DP1": "EXTVER: 1"}, {"WAT1_001": "wtype=tnx"}, {"VELREF": 257},
    sip(3, 0.01, 1, 60.0), {**sip(2, 0.01, 2, 60.0), "AP_ORDER": 2, "BP_ORDER": 2},
    {"AP_ORDER": 2}, {"A_ORDER": 1}, {"A_DMAX": 0.1}, {"B_ORDER": 4}, {"B_1_1": "x"},
    tpv(3, 0.01, 1, 0.01), tpv(5, 0.03, 2, 0.01) | {"PV1_3": 1e-3}, {"PV2_1": None},
    {"PV1_40": 1.0}, {"PV1_5": 3.0}, {"PV2_39": 1e-4}, {"PV1_01": 2.0}, {"PV1_31": 1e9},
    {"A_0_0": 0.5, "B_1_0": 0.01, "A_3_3": 9.0}, {"MJDREF": "x"}, {"PLTRAH": 3},
]  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(
    changes=st.lists(st.sampled_from(ODD), min_size=1, max_size=3), pc=st.booleans(),
    twice=st.booleans(),
)  # fmt: skip
def test_what_is_unusual_is_left_alone_or_read_alike(
    changes: list[dict[str, Any]], *, pc: bool, twice: bool
) -> None:
    cards = linear(150.0, 2.0, 1e-4, pc=pc)
    for change in changes:
        cards |= change
    hdu = image(cards)
    if twice:
        hdu = replace(hdu, cards=hdu.cards + fits.Card("CRPIX1", 7.0).image)
    found = quick(hdu)
    if found is not None:
        assert_same(found, hdu)  # nor does the general way refuse it


@pytest.mark.parametrize(
    "change",
    [{"RADESYS": "FK4"}, {"PV1_1": 1.0}, {"CRVAL2": 90.0}, {"LONPOLE": 10.0}, {"CTYPE3": "FREQ"}],
)
def test_unusual_headers_are_not_taken(change: dict[str, Any]) -> None:
    assert tangent_plane(image(linear(10.0, 20.0, 1e-4))) is not None
    assert tangent_plane(image(linear(10.0, 20.0, 1e-4) | change)) is None


@settings(max_examples=60, deadline=None)
@given(
    ra=st.floats(0, 360), dec=st.floats(-89.9, 89.9), angle=st.floats(0, 6.3),
    scale=st.sampled_from([1e-5, 1e-3, 0.3]), shift=st.sampled_from([0.0, 25.0, -60.0]),
)  # fmt: skip
def test_the_edges_of_a_gnomonic_projection_are_great_circles(
    ra: float, dec: float, angle: float, scale: float, shift: float
) -> None:
    cards = linear(ra, dec, scale, angle)
    cards["CRPIX2"] += shift
    wcs = WCS(fits.Header(cards))
    along = np.linspace(0.0, 1.0, 33)[:, None]
    corners = np.array([(-0.5, -0.5), (59.5, -0.5), (59.5, 39.5), (-0.5, 39.5)])
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        world = np.radians(wcs.all_pix2world((1.0 - along) * start + along * end, 0)).T
        flat = np.cos(world[1])
        places = np.stack(
            [flat * np.cos(world[0]), flat * np.sin(world[0]), np.sin(world[1])], axis=-1
        )
        normal = np.cross(places[0], places[-1] - places[0])
        off = np.abs(places @ normal) / np.linalg.norm(normal)
        # To some millionths of a pixel: positions in degrees have no more digits.
        assert off.max() < 1e-5 * np.radians(scale)


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 360), st.floats(-89.9, 89.9), st.sampled_from([1e-6, 1e-4, 1e-2]))
def test_the_scale_at_the_reference_is_that_of_the_matrix(
    ra: float, dec: float, scale: float
) -> None:
    found = quick(image(linear(ra, dec, scale) | {"CRPIX1": 30.5, "CRPIX2": 20.5}))
    assert found is not None
    # Of the chords of half a pixel to each side.
    assert found.pixel_scale_arcsec == pytest.approx(3600.0 * scale, rel=1e-12 + scale**2 / 1e4)


def test_a_distortion_that_may_fold_is_left_to_the_general_way() -> None:
    cards = linear(10.0, 20.0, 1e-4) | {
        "CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 2, "B_ORDER": 2,
        "A_2_0": 0.03, "B_0_2": 0.0,
    }  # fmt: skip
    hdu = image(cards)
    assert quick(hdu) is None
    with pytest.raises(DataError, match="folds"):
        footprint(load_wcs(hdu), 60, 40)


def test_bends_get_vertices_until_sides_keep_to_the_edges() -> None:
    cards = linear(10.0, 20.0, 1e-4, nx=4000, ny=4000) | sip(3, 0.05, 3, 2000.0)
    hdu = image(cards, 4000, 4000)
    found = quick(hdu)
    assert found is not None
    assert isinstance(found.region, Polygon)
    assert 16 <= len(found.region.vertices) <= 64
    assert_same(found, hdu)


@pytest.mark.realdata
def test_plain_images_of_telescopes_take_the_quick_way(real_images: Path) -> None:
    taken = plain = 0
    for path in sorted(real_images.rglob("*.f*")):
        try:
            index = scan_file(path)
        except DataError:
            continue
        for group in group_planes(index):
            hdu = index.hdus[group.hdus[0]]
            if not claims_sky(hdu.image_values):
                continue
            plain += str(hdu.image_values.get("CTYPE1", "")).startswith("RA---TAN")
            found = quick(hdu)
            if found is not None:
                taken += 1
                assert_same(found, hdu)
    assert taken > plain / 3
