from __future__ import annotations

import warnings

import numpy as np
import pytest
from astropy.wcs import WCS, Sip
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from soda import boundary, skyblocks
from soda.box import Box
from soda.distance import signed_distance, unit_vectors
from soda.skyimage import SkyImage, compiled
from vodal.fits.wcs import pixel_scale_arcsec, pixel_to_icrs
from vodal.regions import Circle, Point, Polygon, Range
from vodal.sphere import contains
from vodal.testing.skies import make_wcs


@pytest.fixture(autouse=True, params=[True, False], ids=["compiled", "arrays"])
def way(request, monkeypatch):
    """Search by compiled code, and by arrays."""
    compiled.wait()
    assert compiled.loaded is not None
    if not request.param:
        monkeypatch.setattr(SkyImage, "box", SkyImage.box_by_arrays)
        monkeypatch.setattr(compiled, "_module", None)


def sky(code, nx, ny, ra, dec, scale_deg, rotation_deg=0.0, *, swap=False):
    wcs = WCS(naxis=2)
    names = [f"RA---{code}", f"DEC--{code}"]
    wcs.wcs.crpix = [nx / 2 + 0.5, ny / 2 + 0.5]
    angle = np.deg2rad(rotation_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = scale_deg * np.array([[-1.0, 0.0], [0.0, 1.0]]) @ turn
    value = [ra, dec]
    if swap:
        names.reverse()
        value.reverse()
        matrix = matrix[::-1]
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.cd = names, value, matrix
    wcs.wcs.radesys = "ICRS"
    if code == "CAR":
        # The projection is true to scale along the equator only with the reference there.
        wcs.wcs.crval = [ra, 0.0] if not swap else [0.0, ra]
    wcs.wcs.set()
    return wcs


@st.composite
def images(draw):
    nx, ny = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    ra, dec = draw(st.floats(0, 359.9)), draw(st.floats(-90, 90))
    rotation = draw(st.floats(0, 360))
    kind = draw(st.sampled_from(["TAN", "SIP", "SIN", "CAR", "AIT", "ZEA", "HPX"]))
    if kind == "SIP":
        return SkyImage(make_wcs(ra, dec, max(nx, ny), 20.0, rotation), nx, ny)
    if kind == "HPX":
        return SkyImage(
            sky("HPX", nx, ny, ra, 0.0, 360.0 / 60, draw(st.sampled_from([0, 45]))), nx, ny
        )
    if kind in {"CAR", "AIT", "ZEA"} and draw(st.booleans()):
        scale = 360.0 / max(nx, 30)
    else:
        scale = draw(st.sampled_from([1e-5, 0.01, 0.5]))
    return SkyImage(sky(kind, nx, ny, ra, dec, scale, rotation, swap=draw(st.booleans())), nx, ny)


@st.composite
def stencils(draw, image):
    """Draw stencils of about the image's own scale, on it, across its edge and off it."""
    x = draw(st.floats(-0.5, image.nx - 0.5))
    y = draw(st.floats(-0.5, image.ny - 0.5))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ra, dec = pixel_to_icrs(image.sky, np.array([x]), np.array([y]))
    assume(np.isfinite(ra[0]))
    ra, dec = float(ra[0]), float(dec[0])
    pixel = pixel_scale_arcsec(image.sky) / 3600
    radius = min(pixel * draw(st.sampled_from([0.01, 0.4, 1.0, 5.0, 20.0, 200.0])), 170.0)
    away = draw(st.sampled_from([0.0, 0.0, 0.9, 1.1, 3.0]))
    dec = float(np.clip(dec + away * radius, -90, 90))
    match draw(st.sampled_from(["circle", "polygon", "range"])):
        case "circle":
            return Circle(ra, dec, radius)
        case "range":
            width = min(radius / max(np.cos(np.deg2rad(dec)), 1e-3), 180.0)
            return Range((ra - width) % 360, (ra + width) % 360,
                         max(dec - radius, -90), min(dec + radius, 90))  # fmt: skip
    size = np.tan(np.deg2rad(min(radius, 60.0)))
    count = draw(st.integers(3, 7))
    centre = unit_vectors(np.array([ra]), np.array([dec]))[0]
    east = np.cross([0.1, 0.2, 0.97], centre)
    east /= np.linalg.norm(east)
    north = np.cross(centre, east)
    corners = []
    for k in range(count):
        # Every second corner drawn in, which makes it concave.
        reach = size * (draw(st.floats(0.15, 1.0)) if k % 2 else 1.0)
        angle = 2 * np.pi * (k + draw(st.floats(0, 0.6))) / count
        a, b, c = centre + reach * (np.cos(angle) * east + np.sin(angle) * north)
        corners.append((float(np.rad2deg(np.arctan2(b, a)) % 360),
                        float(np.rad2deg(np.arctan2(c, np.hypot(a, b))))))  # fmt: skip
    return Polygon(tuple(corners))


def inside(image, stencil):
    """Tell which pixel centres are in a stencil, one by one."""
    y, x = np.mgrid[: image.ny, : image.nx]
    ra, dec = pixel_to_icrs(image.sky, x, y)
    mask = np.zeros(x.shape, bool)
    for place in np.argwhere(np.isfinite(ra)):
        i, j = place
        mask[i, j] = contains(stencil, Point(float(ra[i, j]), float(dec[i, j])))
    return mask, x, y


@given(images())
@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
def test_compiled_code_draws_the_same_circles(image):
    assume(np.isfinite(image._samples).all())
    found = skyblocks.measure(image._samples, float(image._size))
    expected = image.table_by_arrays()
    radius = 17
    np.testing.assert_array_equal(
        np.delete(found, radius, axis=1), np.delete(expected, radius, axis=1)
    )
    np.testing.assert_allclose(found[:, radius], expected[:, radius], rtol=1e-13)


@given(st.data())
@settings(deadline=None, max_examples=120, suppress_health_check=list(HealthCheck))
def test_the_box_holds_every_pixel_that_is_met_and_hardly_more(data):
    image = data.draw(images())
    stencil = data.draw(stencils(image))
    box = image.box(signed_distance(stencil))
    check(image, stencil, box)


@given(st.data())
@settings(deadline=None, max_examples=300, suppress_health_check=list(HealthCheck))
def test_compiled_code_finds_the_box_that_arrays_find(data):
    image = data.draw(images())
    distance = signed_distance(data.draw(stencils(image)))
    found, truth = image.box(distance), image.box_by_arrays(distance)
    # Numbers are rounded otherwise, which may tell a touch from a miss.
    if found is None or truth is None:
        one = found or truth
        assert one is None or min(one.x1 - one.x0, one.y1 - one.y0) == 1
    else:
        for side in ("x0", "x1", "y0", "y1"):
            assert abs(getattr(found, side) - getattr(truth, side)) <= 1


@given(st.data())
@settings(deadline=None, max_examples=200, suppress_health_check=list(HealthCheck))
def test_distances_of_compiled_code_are_those_of_arrays(data):
    image = data.draw(images())
    measure = signed_distance(data.draw(stencils(image)))
    points = np.random.default_rng(data.draw(st.integers(0, 99))).normal(0, 1, (50, 3))
    near = image.vectors(
        np.random.default_rng(1).uniform(0, image.nx, 50), np.full(50, image.ny / 2)
    )
    points = np.concatenate([points, near[np.isfinite(near[:, 0])]])
    points /= np.linalg.norm(points, axis=1)[:, None]
    found = [boundary.distance(measure.numbers, *point) for point in points]
    assert found == pytest.approx(measure.by_arrays(points), abs=1e-12, rel=1e-9)


@pytest.mark.parametrize("side", [3, 256, 3000])
def test_stencils_of_a_large_image_are_searched_by_compiled_code(side, monkeypatch):
    image = SkyImage(make_wcs(150.0, 2.0, 4096, 0.22, distorted=side < 3000), 4096, 4096)
    ra, dec = pixel_to_icrs(image.sky, np.array([2000.3]), np.array([1990.7]))
    place, radius = (float(ra[0]), float(dec[0])), side / 2 * 0.22 / 3600
    corners = [(place[0] - radius, place[1] - radius), (place[0] + radius, place[1] - radius),
               (place[0], place[1] + radius)]  # fmt: skip
    some = [Circle(*place, radius), Polygon(tuple(corners)),
            Range(place[0] - radius, place[0] + radius, place[1] - radius, place[1])]  # fmt: skip
    truths = [image.box_by_arrays(signed_distance(stencil)) for stencil in some]
    if SkyImage.box is not SkyImage.box_by_arrays:
        monkeypatch.setattr(SkyImage, "box_by_arrays", None)
    assert [image.box(signed_distance(stencil)) for stencil in some] == truths


def cropped(image, box):
    """Give the part of an image's sky that a cutout has, as its header tells it."""
    part = image.sky.deepcopy()
    part.wcs.crpix = np.array(image.sky.wcs.crpix) - [box.x0, box.y0]
    if part.sip is not None:
        sip = part.sip
        part.sip = Sip(sip.a, sip.b, sip.ap, sip.bp, np.array(sip.crpix) - [box.x0, box.y0])
    part.wcs.set()
    return SkyImage(part, box.x1 - box.x0, box.y1 - box.y0)


@given(st.data())
@settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))
def test_a_cut_of_a_cut_has_the_same_pixels(data):
    image = data.draw(images())
    distance = signed_distance(data.draw(stencils(image)))
    box = image.box(distance)
    assume(box is not None and _whole(image))
    low = data.draw(st.integers(0, box.x0)), data.draw(st.integers(0, box.y0))
    high = data.draw(st.integers(box.x1, image.nx)), data.draw(st.integers(box.y1, image.ny))
    first = Box(low[0], high[0], low[1], high[1])
    for outer in (box, first):
        found = cropped(image, outer).box(distance)
        assert found is not None
        assert (found.x0 + outer.x0, found.x1 + outer.x0) == (box.x0, box.x1)
        assert (found.y0 + outer.y0, found.y1 + outer.y0) == (box.y0, box.y1)


@given(st.data())
@settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
def test_the_outermost_lines_of_the_box_are_met_and_those_beyond_are_not(data):
    image = data.draw(images())
    stencil = data.draw(stencils(image))
    assume(_whole(image))
    box = image.box(signed_distance(stencil))
    if box is None:
        assert nearest(image, stencil, 0, image.nx, 0, image.ny) > -1e-9
        return
    for line in ((box.x0, box.x0 + 1, 0, image.ny), (box.x1 - 1, box.x1, 0, image.ny),
                 (0, image.nx, box.y0, box.y0 + 1), (0, image.nx, box.y1 - 1, box.y1)):  # fmt: skip
        assert nearest(image, stencil, *line) < 2e-6
    for beyond in ((0, box.x0, 0, image.ny), (box.x1, image.nx, 0, image.ny),
                   (0, image.nx, 0, box.y0), (0, image.nx, box.y1, image.ny)):  # fmt: skip
        if beyond[0] < beyond[1] and beyond[2] < beyond[3]:
            assert nearest(image, stencil, *beyond) > -1e-9


def nearest(image, stencil, x0, x1, y0, y1):
    """Find how near places of some pixels come to a stencil, in pixels, by looking ever closer."""
    distance = signed_distance(stencil).by_arrays
    steps = np.linspace(0.0, 1.0, 9)
    u, v = np.meshgrid(x0 + (x1 - x0) * np.linspace(0, 1, 4 * (x1 - x0) + 1),
                       y0 + (y1 - y0) * np.linspace(0, 1, 4 * (y1 - y0) + 1))  # fmt: skip
    size, found = 0.25, np.inf
    u, v = u.ravel(), v.ravel()
    for _ in range(13):
        apart = distance(image.vectors(u, v))
        best = np.argsort(apart)[:40]
        found = min(found, float(apart[best[0]]))
        du, dv = np.meshgrid(size * (2 * steps - 1), size * (2 * steps - 1))
        u = np.clip(u[best][:, None] + du.ravel(), x0, x1).ravel()
        v = np.clip(v[best][:, None] + dv.ravel(), y0, y1).ravel()
        size /= 3
    return found / np.deg2rad(pixel_scale_arcsec(image.sky) / 3600)


def _whole(image):
    """Tell whether all of an image is on the sky, and its pixels are not torn or crushed there."""
    u, v = np.meshgrid(np.arange(2 * image.nx + 1) / 2, np.arange(2 * image.ny + 1) / 2)
    vectors = image.vectors(u, v)
    pixel = np.deg2rad(pixel_scale_arcsec(image.sky) / 3600)
    ways = [np.linalg.norm(np.diff(vectors, axis=k), axis=-1) / pixel for k in (0, 1)]
    return np.isfinite(vectors).all() and all(w.min() > 0.1 and w.max() < 3.0 for w in ways)


def check(image, stencil, box):
    mask, x, y = inside(image, stencil)
    if mask.any():
        assert box is not None
        assert box.x0 <= x[mask].min()
        assert box.x1 > x[mask].max()
        assert box.y0 <= y[mask].min()
        assert box.y1 > y[mask].max()
    if box is not None:
        assert 0 <= box.x0 < box.x1 <= image.nx
        assert 0 <= box.y0 < box.y1 <= image.ny
        # No side is farther out than a pixel whose corners come near the stencil.
        near = _near(image, stencil)
        assert near.any()
        assert box.x0 >= x[near].min() - 1
        assert box.x1 <= x[near].max() + 2
        assert box.y0 >= y[near].min() - 1
        assert box.y1 <= y[near].max() + 2


def _near(image, stencil):
    """Tell which pixels have a sample within a fifth of their size of the stencil."""
    steps = np.linspace(0.0, 1.0, 5)
    u = np.arange(image.nx)[None, :, None, None] + steps[None, None, None, :]
    v = np.arange(image.ny)[:, None, None, None] + steps[None, None, :, None]
    vectors = image.vectors(*np.broadcast_arrays(u, v))
    seen = np.isfinite(vectors[..., 0])
    flat = np.where(seen[..., None], vectors, [0.0, 0.0, 1.0]).reshape(-1, 3)
    distance = np.where(seen, signed_distance(stencil)(flat).reshape(seen.shape), np.inf)
    centre = vectors[:, :, 2:3, 2:3]
    reach = np.linalg.norm(vectors - centre, axis=-1)
    size = np.where(np.isfinite(reach), reach, 0.0).max(axis=(2, 3))
    size = np.where(size > 0, size, size.max())
    return (distance <= 0.5 * size[:, :, None, None]).any(axis=(2, 3))


def test_a_stencil_in_one_pixel_gives_that_pixel():
    wcs = make_wcs(359.9999, 12.0, 100, 1.0, 30.0)
    image = SkyImage(wcs, 100, 100)
    ra, dec = pixel_to_icrs(wcs, np.array([41.1]), np.array([17.8]))
    for radius in (0.0, 0.05 / 3600):
        stencil = Circle(float(ra[0]), float(dec[0]), radius)
        assert image.box(signed_distance(stencil)) == Box(41, 42, 18, 19)


def test_the_decision_on_overlap_is_sharp_at_the_edge():
    wcs = make_wcs(10.0, 20.0, 64, 1.0, 0.0, distorted=False)
    image = SkyImage(wcs, 64, 64)
    for x, y in ((-5.5, 20.0), (68.5, 20.0), (31.0, -5.5), (31.0, 68.5)):
        ra, dec = pixel_to_icrs(wcs, np.array([x]), np.array([y]))
        centre = float(ra[0]), float(dec[0])
        assert image.box(signed_distance(Circle(*centre, 4.7 / 3600))) is None
        assert image.box(signed_distance(Circle(*centre, 5.1 / 3600))) is not None


def test_larger_than_the_image_is_the_image():
    for dec in (-90.0, 0.0, 89.999):
        image = SkyImage(make_wcs(0.0, dec, 300, 0.3), 300, 200)
        for stencil in (Circle(5.0, dec, 8.0), Range(0.0, 360.0, -90.0, 90.0), Circle(0, 0, 180)):
            assert image.box(signed_distance(stencil)) == Box(0, 300, 0, 200)


def test_the_far_side_of_the_sky_is_no_overlap():
    image = SkyImage(make_wcs(0.0, 45.0, 300, 0.3), 300, 200)
    assert image.box(signed_distance(Circle(180.0, -45.0, 80.0))) is None


@pytest.mark.parametrize("code", ["AIT", "ZEA", "HPX", "CAR", "MOL"])
def test_maps_of_the_whole_sky(code):
    image = SkyImage(sky(code, 180, 90, 0.0, 0.0, 2.7), 180, 90)
    for place in ((0.0, 0.0), (179.9, 30.0), (180.1, -30.0), (77.0, 89.5), (10.0, -90.0)):
        stencil = Circle(*place, 8.0)
        check(image, stencil, image.box(signed_distance(stencil)))


def test_what_touches_a_column_and_to_the_last_digit_no_row_has_a_box_all_the_same():
    turn = {"PC1_1": -0.981627183447664, "PC1_2": -0.19080899537654497}
    bend = {
        "PV1_1": 1.0, "PV1_2": 0.007513966404579657, "PV1_4": -0.00025538381090905,
        "PV1_5": 0.006525056443681696, "PV1_6": -0.0065095367373002, "PV1_7": -0.01829492447097619,
        "PV1_10": 0.016785105600620333, "PV2_1": 1.0, "PV2_2": -0.02066348086209916,
        "PV2_4": -0.01058935585812809, "PV2_5": -0.00619572054474921,
        "PV2_6": 0.003415585625238252, "PV2_7": 0.013269220094636065,
        "PV2_10": 0.003076528710048842,
    }  # fmt: skip
    header = {
        "CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", "CRVAL1": 0.0, "CRVAL2": 0.0, "CRPIX1": 0.0,
        "CRPIX2": 0.0, "CDELT1": -2.7777777777777e-05, "CDELT2": 3.05555555555555e-05,
        **turn, "PC2_1": -turn["PC1_2"], "PC2_2": turn["PC1_1"], **bend,
    }  # fmt: skip
    stencil = Circle(3.2099087609047084e-05, -2.4010079434317518e-05, 2.913357911583712e-07)
    for nx, ny in ((7, 1), (1, 7)):
        box = SkyImage(WCS(header), nx, ny).box(signed_distance(stencil))
        assert box is None or (box.x0 < box.x1 and box.y0 < box.y1)
