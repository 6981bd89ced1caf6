"""Where every product of every real file lies, beside astropy's world coordinates alone."""

from __future__ import annotations

import csv
import warnings
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

pytestmark = pytest.mark.realdata

ALONG_EDGE = 65
"""Pixels along each edge whose centres and outer corners are looked for."""
CIRCLES = {"projections/allsky_rosat.fits"}
"""Images that no polygon within a hemisphere can outline."""


@dataclass(frozen=True)
class Sky:
    """A product's pixels on the sky, by astropy."""

    path: str
    row: dict
    wcs: WCS
    nx: int
    ny: int

    def vectors(self, x, y):
        """Give unit vectors of 0-based pixels; NaN off the projection."""
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            icrs = self.wcs.pixel_to_world(np.asarray(x, float), np.asarray(y, float)).icrs
            return np.moveaxis(icrs.cartesian.xyz.value, 0, -1)

    def edge(self, margin):
        """Give places along the array's outline, moved outwards from the outer pixel centres."""
        xs = np.unique(np.linspace(0, self.nx - 1, ALONG_EDGE).round())
        ys = np.unique(np.linspace(0, self.ny - 1, ALONG_EDGE).round())
        low, right, top = -margin, self.nx - 1 + margin, self.ny - 1 + margin
        x = np.concatenate([xs, xs, 0 * ys + low, 0 * ys + right, [low, low, right, right]])
        y = np.concatenate([0 * xs + low, 0 * xs + top, ys, ys, [low, top, low, top]])
        return x, y

    def outline(self):
        """Give places along the outer edges of the outer pixels, in order."""
        t = np.linspace(0.0, 1.0, 4 * ALONG_EDGE)[:-1]
        x, y = t * self.nx - 0.5, t * self.ny - 0.5
        low, right, top = np.full_like(t, -0.5), 0 * t + self.nx - 0.5, 0 * t + self.ny - 0.5
        across, up = self.nx - 1.0 - x, self.ny - 1.0 - y
        return np.concatenate([x, right, across, low]), np.concatenate([low, y, top, up])

    def within(self, *, every=False):
        """Give centres of pixels all over the array."""
        step = 1 if every else max(1, max(self.nx, self.ny) // 24)
        x, y = np.meshgrid(np.arange(0, self.nx, step), np.arange(0, self.ny, step))
        return x.ravel(), y.ravel()

    @cached_property
    def centre(self):
        return self.vectors((self.nx - 1) / 2, (self.ny - 1) / 2)

    @cached_property
    def scale_deg(self):
        """Give the side of a square of the middle pixel's area."""
        x, y = (self.nx - 1) / 2, (self.ny - 1) / 2
        right = self.vectors(x + 0.5, y) - self.vectors(x - 0.5, y)
        up = self.vectors(x, y + 0.5) - self.vectors(x, y - 0.5)
        return np.rad2deg(np.sqrt(np.linalg.norm(np.cross(right, up))))

    @cached_property
    def widest_deg(self):
        """Give the longer side of the largest pixel at the corners and the middle."""
        x, y = np.meshgrid(np.linspace(0, self.nx - 1, 3), np.linspace(0, self.ny - 1, 3))
        across = angle_deg(self.vectors(x + 0.5, y), self.vectors(x - 0.5, y))
        up = angle_deg(self.vectors(x, y + 0.5), self.vectors(x, y - 0.5))
        return max(across.max(), up.max())


def polygon_of(sky):
    """Give the vertices of s_region as unit vectors; None of a circle."""
    kind, *numbers = sky.row["s_region"].replace("ICRS", "").split()
    values = np.array(numbers, float)
    return vector(values[::2], values[1::2]) if kind == "POLYGON" else None


def vector(lon_deg, lat_deg):
    lon, lat = np.deg2rad(lon_deg), np.deg2rad(lat_deg)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def angle_deg(a, b):
    cross = np.linalg.norm(np.cross(a, b), axis=-1)
    return np.rad2deg(np.arctan2(cross, np.sum(a * b, axis=-1)))


@pytest.fixture(scope="module")
def skies(real_rows, real_images):
    """Give the products with the coordinates that astropy reads from the same file."""
    found = []
    for path, products in real_rows.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with fits.open(real_images / path) as file:
                for product in products:
                    header = file[product.hdus[0]].header.copy()
                    if header["CTYPE1"] == "FREQ-OHEL":  # of AIPS, before FITS paper III
                        header["CTYPE1"] = header["CUNIT1"] = ""
                    wcs = WCS(header, file)
                    sizes = [header[f"NAXIS{k + 1}"] for k in sorted({wcs.wcs.lng, wcs.wcs.lat})]
                    sky = wcs if wcs.naxis == 2 else wcs.celestial
                    found.append(Sky(path, dict(product.row), sky, *sizes))
    return found


@pytest.fixture(scope="module")
def outlined(skies):
    """Give the products whose footprint is a polygon, with the polygon in unit vectors."""
    found = [(sky, polygon_of(sky)) for sky in skies]
    return [(sky, polygon) for sky, polygon in found if polygon is not None]


def flat(vectors, centre):
    """Project to the plane that touches the sphere at ``centre``: great circles become lines."""
    east = np.cross([0.0, 0.0, 1.0], centre)
    east /= np.linalg.norm(east)
    depth = vectors @ centre
    assert (depth > 0).all()
    return np.stack([vectors @ east, vectors @ np.cross(centre, east)], axis=-1) / depth[..., None]


def are_inside(points, polygon):
    """Tell which points of a plane lie inside a polygon: edges to the right are odd in number."""
    (x0, y0), (x1, y1) = polygon.T, np.roll(polygon, -1, axis=0).T
    x, y = points[:, 0, None], points[:, 1, None]
    crosses = (y0 > y) != (y1 > y)
    with np.errstate(all="ignore"):
        right = x < x0 + (y - y0) * (x1 - x0) / (y1 - y0)
    return (crosses & right).sum(axis=1) % 2 == 1


def test_centres_scales_and_sizes(skies):
    for sky in skies:
        row = sky.row
        assert (row["s_xel1"], row["s_xel2"]) == (sky.nx, sky.ny), sky.path
        assert row["s_pixel_scale"] == pytest.approx(sky.scale_deg * 3600, rel=1e-6), sky.path
        off_deg = angle_deg(sky.centre, vector(row["s_ra"], row["s_dec"]))
        assert off_deg < 1e-6 * sky.scale_deg + 1e-12, sky.path
    assert len(skies) > 220


def test_footprint_holds_every_pixel_centre(outlined):
    for sky, polygon in outlined:
        points = np.concatenate([sky.vectors(*sky.edge(0.0)), sky.vectors(*sky.within())])
        assert are_inside(flat(points, sky.centre), flat(polygon, sky.centre)).all(), sky.path
    assert len(outlined) > 220


def test_footprint_exceeds_the_outline_by_less_than_a_pixel(outlined):
    for sky, polygon in outlined:
        following = np.roll(polygon, -1, axis=0)
        along = np.linspace(0.0, 1.0, 9)[:-1, None, None]
        lines = (polygon * (1 - along) + following * along).reshape(-1, 3)
        outline = sky.vectors(*sky.outline())
        near = angle_deg(lines[:, None], outline[None]).min(axis=1)
        # Half a step between places on the outline is the nearest that one can be sure of.
        step = angle_deg(outline, np.roll(outline, -1, axis=0)).max() / 2
        is_out = ~are_inside(flat(lines, sky.centre), flat(outline, sky.centre))
        assert (near[is_out] < sky.widest_deg + step).all(), sky.path


def test_vertices_run_counter_clockwise_from_inside(outlined):
    """DALI 1.1 section 3.3.7: north up and east to the left, the inside is on the left."""
    for sky, polygon in outlined:
        x, y = flat(polygon, sky.centre).T
        east_to_the_right = np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) / 2
        assert east_to_the_right < 0, sky.path


def test_field_of_view_is_the_circle_around_the_footprint(outlined, skies):
    for sky, polygon in outlined:
        radius = angle_deg(polygon, vector(sky.row["s_ra"], sky.row["s_dec"])).max()
        assert sky.row["s_fov"] == pytest.approx(2 * radius, rel=1e-6), sky.path
    circles = {sky.path: sky.row for sky in skies if sky.row["s_region"].startswith("CIRCLE")}
    assert set(circles) == CIRCLES
    for sky in skies:
        if sky.path in circles:
            *_, ra, dec, radius = sky.row["s_region"].split()
            places = sky.vectors(*sky.within(every=True))
            apart = angle_deg(
                places[np.isfinite(places).all(axis=-1)], vector(float(ra), float(dec))
            )
            assert apart.max() <= float(radius), sky.path
            assert sky.row["s_fov"] == pytest.approx(min(2 * float(radius), 360.0))


def test_positions_are_those_of_the_manifest(skies, real_images):
    """The manifest was made by others; its positions leave some distortions out."""
    own = {}
    for sky in skies:
        own.setdefault(sky.path, []).append(vector(sky.row["s_ra"], sky.row["s_dec"]))
    checked = 0
    manifest = (real_images.parent / "MANIFEST.tsv").read_text("utf-8").splitlines()
    for entry in csv.DictReader(manifest, delimiter="\t"):
        if entry["path"] not in own or not entry["ra_icrs"]:
            continue
        told = [float(entry["ra_icrs"]), float(entry["dec_icrs"])]
        if entry["path"] == "distortion/tanflip.fits":
            told.reverse()  # it has the declination first, as the file's axes are
        off_deg = min(angle_deg(place, vector(*told)) for place in own[entry["path"]])
        assert off_deg * 3600 < 3.0, entry["path"]
        checked += 1
    assert checked > 200
