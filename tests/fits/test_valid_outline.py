"""Outlines of the pixels that have a value: what is blank around them is outside."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from scipy.spatial import ConvexHull

from obscore.assembly.read import read_file
from obscore.assembly.rules import rules_for
from obscore.settings import ObsCoreSettings
from obscore.sources import FolderSource
from vodal.errors import BlankError
from vodal.fits import valid
from vodal.fits.footprint import footprint
from vodal.fits.scan import scan_file
from vodal.fits.valid import open_whole, valid_outline
from vodal.regions import Circle, Point, Polygon
from vodal.sphere import contains

NX, NY = 90, 70


def header_of(ra=359.99, dec=-88.0, scale=0.01):
    header = fits.Header()
    header.update(
        CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CRVAL1=ra, CRVAL2=dec, CRPIX1=40.0, CRPIX2=30.0,
        CD1_1=-scale, CD1_2=0.002, CD2_1=0.001, CD2_2=scale, RADESYS="ICRS",
    )  # fmt: skip
    return header


def turned(angle, half=(30.0, 18.0)):
    """Tell which pixels lie in a turned rectangle, with a hole and a gap in it."""
    y, x = np.mgrid[0:NY, 0:NX]
    u = (x - 44) * np.cos(angle) + (y - 34) * np.sin(angle)
    v = (y - 34) * np.cos(angle) - (x - 44) * np.sin(angle)
    inside = (np.abs(u) < half[0]) & (np.abs(v) < half[1])
    return inside & ~((np.abs(u) < 2) | (np.hypot(u - 10, v) < 4))


def write(path, known, form="float", mask=None):
    pixels = np.random.default_rng(1).normal(100, 5, known.shape).astype(np.float32)
    header = header_of()
    if form == "integer":
        pixels = pixels.astype(np.int16)
        pixels[~known] = -999
        header["BLANK"] = -999
    else:
        pixels[~known] = np.nan
    if form == "compressed":
        hdus = [fits.PrimaryHDU(), fits.CompImageHDU(pixels, header, name="IMAGE",
                                                     tile_shape=(16, NX))]  # fmt: skip
    else:
        hdus = [fits.PrimaryHDU(), fits.ImageHDU(pixels, header, name="IMAGE")]
    if mask is not None:
        plane = fits.ImageHDU(mask.astype(np.int32), header_of(), name="MASK")
        plane.header["MP_BAD"], plane.header["HIERARCH MP_NO_DATA"] = 0, 8
        hdus.append(plane)
    fits.HDUList(hdus).writeto(path)
    return path


def outline_of(path, no_data=()):
    index = scan_file(path)
    hdus = tuple(hdu.number for hdu in index.hdus if hdu.kind in {"image", "compressed"})
    hdus = tuple(n for n in hdus if index.hdus[n].shape)
    image = open_whole(path.as_uri(), index, hdus)
    try:
        return valid_outline(image, no_data)
    finally:
        image.close()


def true_hull(known):
    y, x = np.nonzero(known)
    corners = np.concatenate(
        [np.stack([x + a, y + b], 1) for a in (-0.5, 0.5) for b in (-0.5, 0.5)]
    )
    return ConvexHull(corners)


def assert_outlines(outline, known):
    hull = true_hull(known)
    # No corner of the outline is beyond the hull, and the hull is nowhere far beyond the outline.
    beyond = outline @ hull.equations[:, :2].T + hull.equations[:, 2]
    assert beyond.max() < 1e-9
    mine = ConvexHull(outline)
    assert len(mine.vertices) == len(outline)
    missed = hull.points[hull.vertices] @ mine.equations[:, :2].T + mine.equations[:, 2]
    assert missed.max() < 0.25
    x, y = outline.T
    assert np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) > 0


@pytest.mark.parametrize("form", ["float", "integer", "compressed"])
@pytest.mark.parametrize("angle", [0.0, 0.4, 1.2])
def test_a_turned_stack_is_outlined_to_a_part_of_a_pixel(tmp_path, form, angle, monkeypatch):
    known = turned(angle)
    path = write(tmp_path / "a.fits", known, form)
    outline = outline_of(path)
    assert_outlines(outline, known)
    # However few rows are read at a time.
    monkeypatch.setattr(valid, "_STRIP_PIXELS", 3 * NX)
    assert np.array_equal(outline_of(path), outline)


def test_the_footprint_holds_every_valid_pixel_and_nothing_a_pixel_beyond():
    known = turned(0.4)
    hull = true_hull(known)
    wcs = WCS(header_of())
    outline = hull.points[hull.vertices]
    found = footprint(wcs, NX, NY, outline)
    assert isinstance(found.region, Polygon)
    y, x = np.mgrid[0:NY, 0:NX]
    ra, dec = wcs.all_pix2world(x.ravel(), y.ravel(), 0)
    places = np.stack([x.ravel(), y.ravel()], 1)
    away = (places @ hull.equations[:, :2].T + hull.equations[:, 2]).max(axis=1)
    inside = np.array([contains(found.region, Point(*at)) for at in zip(ra, dec, strict=True)])
    assert inside[known.ravel()].all()
    assert not inside[away > 0.5].any()
    assert contains(found.region, Point(found.ra_deg, found.dec_deg))
    assert found.pixel_scale_arcsec == pytest.approx(36, rel=0.02)


def test_bits_of_the_mask_say_where_no_data_are(tmp_path):
    known = turned(0.4)
    mask = np.where(known, 0, 1 << 8) | (np.arange(NX) % 7 == 0)
    path = write(tmp_path / "a.fits", np.ones((NY, NX), bool), mask=mask)
    for told in (["NO_DATA"], [8], ["no_data", "ABSENT"]):
        assert_outlines(outline_of(path, told), known)
    assert_outlines(outline_of(path), np.ones((NY, NX), bool))
    with_bad = outline_of(path, ["NO_DATA", 0])
    assert_outlines(with_bad, known & (np.arange(NX) % 7 != 0))


def test_a_pixel_of_a_cube_counts_that_has_a_value_in_any_plane(tmp_path):
    cube = np.full((3, NY, NX), np.nan, np.float32)
    cube[1, 20:30, 40:50] = 1.0
    cube[2, 35:36, 60:62] = 1.0
    header = header_of()
    header["CTYPE3"], header["CRVAL3"], header["CDELT3"], header["CRPIX3"] = "FREQ", 1e9, 1e6, 1.0
    path = tmp_path / "cube.fits"
    fits.PrimaryHDU(cube, header).writeto(path)
    assert_outlines(outline_of(path), np.isfinite(cube).any(axis=0))


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (4, 1)])
def test_a_few_pixels_have_an_outline(tmp_path, shape):
    known = np.zeros((NY, NX), bool)
    known[12 : 12 + shape[0], 33 : 33 + shape[1]] = True
    outline = outline_of(write(tmp_path / "a.fits", known))
    assert sorted(map(tuple, outline)) == sorted(
        [(32.5, 11.5), (32.5 + shape[1], 11.5), (32.5, 11.5 + shape[0]),
         (32.5 + shape[1], 11.5 + shape[0])]
    )  # fmt: skip


def test_an_image_without_a_value_has_none(tmp_path):
    with pytest.raises(BlankError, match="no pixel"):
        outline_of(write(tmp_path / "a.fits", np.zeros((NY, NX), bool)))


def settings_with(**given):
    return ObsCoreSettings.model_validate({"collections": {"deep": given}})


def read(path, settings):
    (candidate,) = FolderSource(path.parent, collection="deep").walk()
    return read_file(candidate, rules_for(settings, "deep"))


def test_a_collection_asks_for_it(tmp_path):
    known = turned(0.4)
    path = write(tmp_path / "one" / "a.fits", known) if (tmp_path / "one").mkdir() is None else None
    whole = read(path, settings_with()).file.observations[0]
    part = read(path, settings_with(footprint="valid")).file.observations[0]
    wcs = WCS(header_of())
    assert part.region != whole.region
    assert not isinstance(part.region, Circle)
    y, x = np.nonzero(known)
    for at in zip(*wcs.all_pix2world(x, y, 0), strict=True):
        assert contains(part.region, Point(*at))
    corner = Point(*map(float, wcs.all_pix2world(0, 0, 0)))
    assert contains(whole.region, corner)
    assert not contains(part.region, corner)
    assert (part.row["s_xel1"], part.row["s_fov"] < whole.row["s_fov"]) == (NX, True)


def test_an_image_without_a_value_is_refused_by_name(tmp_path):
    path = write(tmp_path / "a.fits", np.zeros((NY, NX), bool))
    assert read(path, settings_with()).file is not None
    refusal = read(path, settings_with(footprint="valid")).refusal
    assert refusal.reason == "blank"


def test_other_outlines_make_the_line_read_files_anew():
    kinds = [{}, {"footprint": "valid"}, {"footprint": "valid", "no_data": ["NO_DATA"]}]
    digests = [rules_for(settings_with(**kind), "deep").digest_for("a.fits") for kind in kinds]
    assert len(set(digests)) == 3
    unused = rules_for(settings_with(no_data=[3]), "deep").digest_for("a.fits")
    assert unused == digests[0]
