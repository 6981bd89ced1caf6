"""Outlines on the sky: every pixel's centre inside, whatever the projection and the place."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st

from vodal.errors import DataError
from vodal.fits.footprint import Footprint, footprint
from vodal.fits.wcs import pixel_to_icrs
from vodal.regions import Circle, Polygon
from vodal.testing.skies import make_wcs


def vectors(ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    a, d = np.deg2rad(ra), np.deg2rad(dec)
    return np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], axis=-1)


def separation_deg(points: np.ndarray, centre: np.ndarray) -> np.ndarray:
    return np.rad2deg(
        np.arctan2(np.linalg.norm(np.cross(points, centre), axis=-1), points @ centre)
    )


def winding(polygon: Polygon, points: np.ndarray) -> np.ndarray:
    """Give how often the sides turn around each point, counter-clockwise seen from inside.

    The angles at the point between successive vertices are summed: the plain definition, slow
    and without any projection.
    """
    corners = vectors(*np.array(polygon.vertices).T)
    total = np.zeros(len(points))
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        to_start, to_end = np.cross(points, start), np.cross(points, end)
        # Around the outward direction the turn is clockwise for who looks from inside.
        sine = -np.sum(np.cross(to_start, to_end) * points, axis=-1)
        total += np.arctan2(sine, np.sum(to_start * to_end, axis=-1))
    return np.rint(total / (2 * np.pi))


def centres(wcs: WCS, nx: int, ny: int, step: int = 1) -> np.ndarray:
    x = np.unique(np.r_[0:nx:step, nx - 1])
    y = np.unique(np.r_[0:ny:step, ny - 1])
    points = vectors(*pixel_to_icrs(wcs, *np.meshgrid(x, y))).reshape(-1, 3)
    return points[np.isfinite(points).all(axis=1)]


def assert_holds(found: Footprint, wcs: WCS, nx: int, ny: int, step: int = 1) -> None:
    points = centres(wcs, nx, ny, step)
    centre = vectors(np.array(found.ra_deg), np.array(found.dec_deg))
    assert separation_deg(points, centre).max() <= found.fov_deg / 2 + 1e-12
    if isinstance(found.region, Circle):
        middle = vectors(np.array(found.region.ra_deg), np.array(found.region.dec_deg))
        assert separation_deg(points, middle).max() <= found.region.radius_deg
        return
    assert set(winding(found.region, points)) == {1.0}
    assert winding(found.region, centre[None])[0] == 1.0


def header_of(projection: str, ra: float, dec: float, scale: float, size: tuple[int, int],
              angle: float = 0.0, parity: int = -1) -> fits.Header:  # fmt: skip
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    return fits.Header(
        [
            ("CTYPE1", f"RA---{projection}"), ("CTYPE2", f"DEC--{projection}"),
            ("CRVAL1", ra), ("CRVAL2", dec), ("CRPIX1", (size[0] + 1) / 2),
            ("CRPIX2", (size[1] + 1) / 2), ("CD1_1", parity * c), ("CD1_2", s),
            ("CD2_1", -parity * s), ("CD2_2", c), ("RADESYS", "ICRS"),
        ]
    )  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    projection=st.sampled_from(["TAN", "SIN", "ZEA", "ARC", "STG", "TAN-SIP", "TPV"]),
    ra=st.floats(0, 360),
    dec=st.sampled_from([-90.0, -89.99, 89.9, 90.0, 0.0]) | st.floats(-90, 90),
    scale=st.sampled_from([1e-5, 1e-4, 1e-3, 0.02, 0.3]),
    nx=st.integers(1, 40), ny=st.integers(1, 40), angle=st.floats(0, 6.3),
    parity=st.sampled_from([-1, 1]), bend=st.floats(-1, 1),
)  # fmt: skip
def test_every_pixel_centre_is_inside(
    projection: str, ra: float, dec: float, scale: float, nx: int, ny: int, angle: float,
    parity: int, bend: float,
) -> None:  # fmt: skip
    header = header_of(projection, ra, dec, scale, (nx, ny), angle, parity)
    if projection == "TAN-SIP":
        header["A_ORDER"], header["B_ORDER"] = 2, 2
        header["A_2_0"], header["B_0_2"], header["A_1_1"] = bend * 4e-3, -bend * 3e-3, bend * 1e-3
    if projection == "TPV":
        half = scale * 20
        for axis in (1, 2):
            header[f"PV{axis}_1"] = 1.0
            header[f"PV{axis}_4"] = 0.05 * bend / half
            header[f"PV{axis}_7"] = -0.05 * bend / half**2
    wcs = WCS(header)
    found = footprint(wcs, nx, ny)
    assert isinstance(found.region, Polygon)
    assert_holds(found, wcs, nx, ny)
    assert found.pixel_scale_arcsec == pytest.approx(3600 * scale, rel=0.3)


@settings(max_examples=60, deadline=None)
@given(
    projection=st.sampled_from(["CAR", "MER", "CEA", "SFL", "AIT", "MOL", "HPX", "COE"]),
    ra=st.floats(0, 360), scale=st.sampled_from([0.01, 0.5, 4.0]),
    nx=st.integers(2, 90), ny=st.integers(2, 50), shift=st.floats(-60, 60),
)  # fmt: skip
def test_maps_of_any_width_are_held(
    projection: str, ra: float, scale: float, nx: int, ny: int, shift: float
) -> None:
    header = header_of(projection, ra, 0.0, scale, (nx, ny))
    header["CRPIX2"] += shift / scale
    if projection == "COE":
        header["PV2_1"], header["PV2_2"] = 45.0, 10.0
    wcs = WCS(header)
    if not len(centres(wcs, nx, ny)):
        return
    assert_holds(footprint(wcs, nx, ny), wcs, nx, ny)


def test_the_winding_is_counter_clockwise_north_up_east_left() -> None:
    for parity in (-1, 1):
        wcs = WCS(header_of("TAN", 10.0, 0.0, 0.01, (10, 10), parity=parity))
        region = footprint(wcs, 10, 10).region
        assert isinstance(region, Polygon)
        # On the page east is left: x = -ra. The shoelace area is positive counter-clockwise.
        x, y = (-np.array(region.vertices)[:, 0], np.array(region.vertices)[:, 1])
        assert np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) > 0.0


def test_straight_edges_need_four_vertices_only() -> None:
    wcs = make_wcs(150.0, 2.0, 1024, 0.4, distorted=False)
    found = footprint(wcs, 1024, 1024)
    assert isinstance(found.region, Polygon)
    assert len(found.region.vertices) == 4
    assert (found.ra_deg, found.dec_deg) == pytest.approx((150.0, 2.0))
    assert found.fov_deg == pytest.approx(1024 * 0.4 / 3600 * 2**0.5, rel=1e-4)
    assert found.pixel_scale_arcsec == pytest.approx(0.4, rel=1e-4)


@pytest.mark.parametrize("place", [(0.0, 0.0), (359.99, 45.0), (12.0, 90.0), (77.0, -89.99)])
def test_a_distorted_exposure_is_followed_within_half_a_pixel(place: tuple[float, float]) -> None:
    size = 1024
    wcs = make_wcs(*place, size, 0.4, 17.0)
    found = footprint(wcs, size, size)
    assert isinstance(found.region, Polygon)
    assert len(found.region.vertices) < 60
    assert_holds(found, wcs, size, size, step=16)
    # Just outside the array is outside the polygon.
    edge = np.linspace(0, size - 1, 200)
    outside = np.concatenate(
        [
            vectors(*pixel_to_icrs(wcs, edge, np.full(200, -1.01))),
            vectors(*pixel_to_icrs(wcs, np.full(200, size + 0.01), edge)),
        ]
    )
    assert not winding(found.region, outside).any()


def test_a_parallel_of_a_wide_map_is_followed() -> None:
    wcs = WCS(header_of("CAR", 0.0, 0.0, 0.05, (800, 400)))
    wcs.wcs.crval, wcs.wcs.crpix = [180.0, 0.0], [400.5, -999.5]
    found = footprint(wcs, 800, 400)
    assert isinstance(found.region, Polygon)
    assert found.dec_deg == pytest.approx(60.0)
    assert_holds(found, wcs, 800, 400, step=5)


@pytest.mark.parametrize(
    ("projection", "size", "scale"),
    [("CAR", (360, 180), 1.0), ("AIT", (360, 180), 1.0), ("MOL", (360, 180), 1.0),
     ("ZEA", (240, 240), 1.0), ("TSC", (360, 270), 1.0)],
)  # fmt: skip
def test_a_whole_sky_is_a_circle_of_all_of_it(
    projection: str, size: tuple[int, int], scale: float
) -> None:
    found = footprint(WCS(header_of(projection, 30.0, 0.0, scale, size)), *size)
    assert isinstance(found.region, Circle)
    assert found.region.radius_deg == 180.0
    assert found.fov_deg == 360.0


def test_a_cap_around_the_pole_in_a_cylindrical_map_is_a_circle() -> None:
    wcs = WCS(header_of("CAR", 0.0, 0.0, 1.0, (360, 10)))
    wcs.wcs.crpix = [180.5, -79.5]
    found = footprint(wcs, 360, 10)
    assert isinstance(found.region, Circle)
    assert found.region.radius_deg < 180.0
    assert_holds(found, wcs, 360, 10)


def test_an_image_with_corners_off_the_sky_is_held_by_a_circle() -> None:
    wcs = WCS(header_of("SIN", 100.0, 40.0, 1.0, (100, 100)))
    found = footprint(wcs, 100, 100)
    assert isinstance(found.region, (Circle, Polygon))
    assert_holds(found, wcs, 100, 100)
    wcs = WCS(header_of("SIN", 100.0, 40.0, 1.0, (130, 130)))
    found = footprint(wcs, 130, 130)
    assert isinstance(found.region, Circle)
    assert_holds(found, wcs, 130, 130)


def test_no_pixel_on_the_sky_is_refused() -> None:
    wcs = WCS(header_of("SIN", 100.0, 40.0, 1.0, (10, 10)))
    wcs.wcs.crpix = [500.0, 500.0]
    with pytest.raises(DataError, match="no pixel of the image"):
        footprint(wcs, 10, 10)
    with pytest.raises(DataError, match="no pixels"):
        footprint(wcs, 0, 10)


def test_a_distortion_that_folds_the_image_is_refused() -> None:
    header = header_of("TAN-SIP", 100.0, 40.0, 1e-4, (200, 200))
    header["A_ORDER"], header["B_ORDER"] = 3, 3
    header["A_3_0"], header["B_0_3"] = -2e-4, 0.0
    with pytest.raises(DataError, match="folds"):
        footprint(WCS(header), 200, 200)
