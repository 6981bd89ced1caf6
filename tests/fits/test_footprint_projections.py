"""Outlines of any image: every pixel's centre inside, and nothing beyond a pixel from the edges.

The oracle is astropy's own: the array's edges and pixels through `all_pix2world`, their frame
brought to ICRS by `SkyCoord`, distances between unit vectors by brute force.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from astropy.coordinates import FK4, FK5, ICRS, BarycentricMeanEcliptic, Galactic, SkyCoord
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning, InvalidTransformError
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vodal.canonical import canonical
from vodal.errors import DataError
from vodal.fits.footprint import footprint
from vodal.regions import Polygon

CODES = {
    "AZP": {"PV2_1": 2.0, "PV2_2": 20.0}, "SZP": {"PV2_1": 2.0, "PV2_2": 180.0, "PV2_3": 60.0},
    "TAN": {}, "STG": {}, "SIN": {}, "ARC": {}, "ZPN": {"PV2_1": 1.0, "PV2_3": -0.05}, "ZEA": {},
    "AIR": {"PV2_1": 45.0}, "CYP": {"PV2_1": 1.0, "PV2_2": 0.7}, "CEA": {"PV2_1": 0.6}, "CAR": {},
    "MER": {}, "SFL": {}, "PAR": {}, "MOL": {}, "AIT": {}, "COP": {"PV2_1": 45.0, "PV2_2": 25.0},
    "COE": {"PV2_1": 45.0, "PV2_2": 25.0}, "COD": {"PV2_1": 45.0, "PV2_2": 25.0},
    "COO": {"PV2_1": 45.0, "PV2_2": 25.0}, "BON": {"PV2_1": 45.0}, "PCO": {}, "TSC": {}, "CSC": {},
    "QSC": {}, "HPX": {}, "XPH": {},
}  # fmt: skip
"""Those of FITS paper II, HEALPix's and its polar form, with parameters."""
FRAMES = {
    "ICRS": ICRS(), "FK5": FK5(equinox="J2000"), "FK5 1975": FK5(equinox="J1975"),
    "FK4": FK4(equinox="B1950"), "GAL": Galactic(),
    "ECL": BarycentricMeanEcliptic(equinox="J2000"),
}  # fmt: skip
SAMPLES = 160
"""Of each side of the array."""


def header_of(code, frame, crval, offset, size, scale, angle, skew, parity, poles):
    lon, lat = {"GAL": ("GLON", "GLAT"), "ECL": ("ELON", "ELAT")}.get(frame, ("RA--", "DEC-"))
    c, s = np.cos(angle), np.sin(angle)
    matrix = scale * np.array([[c, -s], [s, c]]) @ np.array([[parity, skew], [0.0, 1.0]])
    middle = np.linalg.solve(matrix, offset)
    header = fits.Header(
        [
            ("CTYPE1", f"{lon}-{code}"), ("CTYPE2", f"{lat}-{code}"),
            ("CRVAL1", crval[0]), ("CRVAL2", crval[1]),
            ("CRPIX1", (size[0] + 1) / 2 - middle[0]), ("CRPIX2", (size[1] + 1) / 2 - middle[1]),
            ("CD1_1", matrix[0, 0]), ("CD1_2", matrix[0, 1]),
            ("CD2_1", matrix[1, 0]), ("CD2_2", matrix[1, 1]),
        ]
    )  # fmt: skip
    if frame not in {"GAL", "ECL"}:
        header["RADESYS"] = frame[:4].strip()
        if frame != "ICRS":
            header["EQUINOX"] = {"FK5": 2000.0, "FK5 1975": 1975.0, "FK4": 1950.0}[frame]
    header.update(CODES.get(code[:3], {}))
    for name, value in zip(("LONPOLE", "LATPOLE"), poles, strict=True):
        if value is not None:
            header[name] = value
    return header


class Truth:
    """An image on the sky by astropy alone."""

    def __init__(self, wcs, size, frame):
        self.wcs, self.size, self.frame = wcs, size, FRAMES[frame]
        nx, ny = size
        x, y = np.meshgrid(np.arange(nx), np.arange(ny))
        t = np.linspace(0, 1, SAMPLES, endpoint=False)
        one, nil = np.ones_like(t), np.zeros_like(t)
        edge_x = np.concatenate([t, one, 1 - t, nil]) * nx - 0.5
        edge_y = np.concatenate([nil, t, one, 1 - t]) * ny - 0.5
        near_x, near_y = np.clip(edge_x, 0, nx - 1), np.clip(edge_y, 0, ny - 1)
        # All at once: each change of frames takes a while.
        parts = [(x.ravel(), y.ravel()), (edge_x, edge_y)]
        parts += [(near_x + a, near_y + b) for a, b in ((0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5))]
        every = self.vectors(*(np.concatenate(along) for along in zip(*parts, strict=True)))
        ends = np.cumsum([len(part[0]) for part in parts])[:-1]
        self.centres, self.edge, east, west, north, south = np.split(every, ends)
        sides = [np.linalg.norm(a - b, axis=1) for a, b in ((east, west), (north, south))]
        self.pixel_sizes = np.maximum(*sides)
        """The longer side of the pixel at each place of the edge."""

    def vectors(self, x, y):
        with np.errstate(all="ignore"):
            lon, lat = self.wcs.all_pix2world(x, y, 0)
        lost = ~(np.isfinite(lon) & np.isfinite(lat) & (np.abs(lat) <= 90 + 1e-9))
        places = SkyCoord(
            np.where(lost, 0, lon), np.clip(np.where(lost, 0, lat), -90, 90), unit="deg",
            frame=self.frame,
        ).icrs  # fmt: skip
        found = np.array(places.cartesian.xyz.value).T
        found[lost] = np.nan
        return found

    def turning(self):
        """Give the signs with which the pixels' corners turn."""
        nx, ny = self.size
        x, y = np.meshgrid(np.linspace(-0.5, nx - 0.5, 60), np.linspace(-0.5, ny - 0.5, 60))
        x, y = x.ravel(), y.ravel()
        at = self.vectors(x, y)
        step = 1e-3
        across = np.cross(self.vectors(x + step, y) - at, self.vectors(x, y + step) - at)
        return np.sign(np.sum(across * at, axis=1))


def vectors_of(vertices):
    ra, dec = np.radians(np.array(vertices)).T
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)


def windings(corners, points):
    """Give how often a closed chain of places turns around points, the plain sum of angles."""
    total = np.zeros(len(points))
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        one, two = np.cross(points, start), np.cross(points, end)
        sine = -np.sum(np.cross(one, two) * points, axis=-1)
        total += np.arctan2(sine, np.sum(one * two, axis=-1))
    return np.rint(total / (2 * np.pi))


def chord_deg(chord):
    return np.degrees(2 * np.arcsin(np.clip(chord / 2, 0, 1)))


def excess_pixels(polygon, truth):
    """Give how far the polygon's sides are from the true edge at most, in pixels there."""
    corners = vectors_of(polygon.vertices)
    part = np.linspace(0, 1, 5)[:-1, None, None]
    sides = (1 - part) * corners + part * np.roll(corners, -1, axis=0)
    sides = sides.reshape(-1, 3)
    sides /= np.linalg.norm(sides, axis=1, keepdims=True)
    sizes = truth.pixel_sizes
    worst = 0.0
    start, end = truth.edge, np.roll(truth.edge, -1, axis=0)
    way = end - start
    square = np.maximum(np.sum(way * way, axis=1), 1e-40)
    for side in sides:
        # The nearest place of each piece of the edge: pieces are short enough to be straight.
        part = np.clip(np.sum((side - start) * way, axis=1) / square, 0.0, 1.0)
        away = np.linalg.norm(start + part[:, None] * way - side, axis=1)
        nearest = away.argmin()
        worst = max(worst, float(away[nearest] / sizes[nearest]))
    return worst


def outlined(wcs, size, truth):
    """Give the footprint; None if it is refused, and rightly so."""
    try:
        return footprint(wcs, *size)
    except DataError as error:
        message = error.message
    if "no pixel" in message:
        assert not np.isfinite(truth.centres).all(axis=1).any()
    else:
        assert "folds" in message
        assert {-1.0, 1.0} <= set(truth.turning())
    return None


def check(found, truth):
    """See that a footprint holds what it must, and no more than it may."""
    centres = truth.centres[np.isfinite(truth.centres).all(axis=1)]
    region = found.region
    assert canonical(region).notes == ()
    region = canonical(region).region
    if isinstance(region, Polygon):
        assert set(windings(vectors_of(region.vertices), centres)) == {1.0}
        assert excess_pixels(region, truth) < 1.0
        return
    middle = vectors_of([(region.ra_deg, region.dec_deg)])[0]
    assert chord_deg(np.linalg.norm(centres - middle, axis=1)).max() <= region.radius_deg
    # A circle is for what has no outline: places that are missing, half the sky, poles.
    nx, ny = truth.size
    inside = truth.vectors(np.array([(nx - 1) / 2]), np.array([(ny - 1) / 2]))
    halves = truth.vectors(*(a.ravel() for a in np.mgrid[-0.5:nx:0.5, -0.5:ny:0.5]))
    missing = not np.isfinite(truth.edge).all() or not np.isfinite(halves).all()
    wide = missing or chord_deg(np.linalg.norm(truth.edge - inside, axis=1)).max() > 80
    assert missing or wide or abs(windings(truth.edge, inside)[0]) != 1.0 or meets(truth)


def meets(truth):
    """Tell whether places of the edge that are far apart along it are one on the sky."""
    away = np.sqrt(np.clip(2.0 - 2.0 * truth.edge @ truth.edge.T, 0.0, None))
    steps = np.abs(np.arange(len(away))[:, None] - np.arange(len(away))[None])
    steps = np.minimum(steps, len(away) - steps)
    return bool((away[steps > SAMPLES // 4] < 1e-3 * np.nanmax(away)).any())


places = st.tuples(
    st.sampled_from([0.0, 359.999]) | st.floats(0, 360),
    st.sampled_from([-90.0, -89.99, 0.0, 89.9, 90.0]) | st.floats(-90, 90),
)
SHAPES = {
    "size": st.tuples(st.integers(1, 24), st.integers(1, 24)),
    "scale": st.sampled_from([1e-5, 1e-3, 0.05, 1.0]),
    "angle": st.floats(0, 6.3),
    "skew": st.sampled_from([0.0, 0.3, -0.6]),
    "parity": st.sampled_from([-1.0, 1.0]),
    "frame": st.sampled_from(sorted(FRAMES)),
    "crval": places,
}


@pytest.mark.parametrize("code", CODES)
@settings(max_examples=10, deadline=None, derandomize=True)
@given(
    offset=st.tuples(st.floats(-70, 70), st.floats(-70, 70)) | st.just((0.0, 0.0)),
    poles=st.tuples(st.none() | st.floats(-180, 180), st.none() | st.floats(-90, 90)),
    **SHAPES,
)
def test_every_projection(code, offset, poles, size, scale, angle, skew, parity, frame, crval):
    # wcslib computes CSC in single precision: small pixels would be steps of its rounding.
    assume(code != "CSC" or scale > 1e-2)
    header = header_of(code, frame, crval, offset, size, scale, angle, skew, parity, poles)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FITSFixedWarning)
            wcs = WCS(header)
        wcs.wcs.set()
    except InvalidTransformError:
        # There is no such pole for this reference point; `load_wcs` refuses it.
        assume(False)
    truth = Truth(wcs, size, frame)
    found = outlined(wcs, size, truth)
    if found is None:
        return
    check(found, truth)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    bends=st.lists(st.floats(-1, 1), min_size=6, max_size=6),
    kind=st.sampled_from(["SIP", "TPV"]),
    **SHAPES,
)
def test_polynomial_distortions(bends, kind, size, scale, angle, skew, parity, frame, crval):
    assume(scale < 1.0)
    code = "TAN-SIP" if kind == "SIP" else "TPV"
    header = header_of(code, frame, crval, (0.0, 0.0), size, scale, angle, skew, parity,
                       (None, None))  # fmt: skip
    if kind == "SIP":
        header["A_ORDER"], header["B_ORDER"] = 3, 3
        names = ("A_2_0", "A_1_1", "A_0_3", "B_0_2", "B_2_1", "B_3_0")
        for name, bend in zip(names, bends, strict=True):
            order = int(name[2]) + int(name[4])
            header[name] = 0.4 * bend / 12.0 ** (order - 1)
    else:
        half = 12 * scale
        for axis in (1, 2):
            header[f"PV{axis}_1"] = 1.0
            for number, power, bend in zip((4, 5, 7), (1, 1, 2), bends[axis::2], strict=False):
                header[f"PV{axis}_{number}"] = 0.3 * bend / half**power
    wcs = WCS(header)
    truth = Truth(wcs, size, frame)
    found = outlined(wcs, size, truth)
    if found is None:
        return
    assert len(set(truth.turning()) - {0.0}) == 1
    check(found, truth)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    kind=st.sampled_from(["CPDIS", "D2IM"]), seed=st.integers(0, 10**6),
    cells=st.integers(2, 9), strength=st.sampled_from([0.05, 0.3, 0.8]), **SHAPES,
)  # fmt: skip
def test_lookup_table_distortions(
    kind, seed, cells, strength, size, scale, angle, skew, parity, frame, crval
):
    assume(scale < 1.0)
    size = (size[0] + 30, size[1] + 30)
    header = header_of("TAN", frame, crval, (0.0, 0.0), size, scale, angle, skew, parity,
                       (None, None))  # fmt: skip
    rng = np.random.default_rng(seed)
    hdus = [fits.PrimaryHDU(header=header)]
    card, record = ("CPDIS", "DP") if kind == "CPDIS" else ("D2IMDIS", "D2IM")
    name = "WCSDVARR" if kind == "CPDIS" else "D2IMARR"
    head = hdus[0].header
    for axis in (1, 2):
        head[f"{card}{axis}"] = "LOOKUP"
        head[f"{record}{axis}"] = f"EXTVER: {axis}"
        head.append((f"{record}{axis}", f"NAXES: {2}"), end=True)
        head.append((f"{record}{axis}", "AXIS.1: 1"), end=True)
        head.append((f"{record}{axis}", "AXIS.2: 2"), end=True)
        table = fits.ImageHDU(rng.normal(0, strength, (cells, cells)).astype(np.float32),
                              name=name, ver=axis)  # fmt: skip
        for along in (1, 2):
            table.header[f"CRPIX{along}"], table.header[f"CRVAL{along}"] = 1.0, 1.0
            table.header[f"CDELT{along}"] = (size[along - 1] - 1) / (cells - 1)
        hdus.append(table)
    with warnings.catch_warnings():
        # The header is of no image.
        warnings.simplefilter("ignore", FITSFixedWarning)
        wcs = WCS(head, fits.HDUList(hdus))
    assert wcs.cpdis1 is not None or wcs.det2im1 is not None
    truth = Truth(wcs, size, frame)
    found = outlined(wcs, size, truth)
    if found is None:
        return
    check(found, truth)
