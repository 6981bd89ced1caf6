"""Which HDUs make up a product."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from vodal.fits.planes import PlaneGroup, group_planes
from vodal.fits.scan import scan_file
from vodal.testing.skies import Survey, make_wcs


def image(
    name: str = "", ver: int | None = None, *, at: float | None = 10.0, shape: Any = (6, 8),
    **cards: Any,
) -> fits.ImageHDU:  # fmt: skip
    header = fits.Header()
    if at is not None:
        header.update(make_wcs(at, 0.0, 8, 0.4, distorted=False).to_header())
    hdu = fits.ImageHDU(np.zeros(shape, np.int16), header)
    if name:
        hdu.header["EXTNAME"] = name
    if ver is not None:
        hdu.header["EXTVER"] = ver
    hdu.header.update(cards)
    return hdu


def groups_of(tmp_path: Path, *hdus: Any) -> tuple[PlaneGroup, ...]:
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(tmp_path / "a.fits", overwrite=True)
    return group_planes(scan_file(tmp_path / "a.fits"))


def brief(groups: tuple[PlaneGroup, ...]) -> list[tuple[str, dict[int, str]]]:
    for group in groups:
        assert set(group.hdus) == set(group.roles)
    return [(group.label, {number: group.roles[number] for number in group.hdus})
            for group in groups]  # fmt: skip


def table() -> fits.BinTableHDU:
    return fits.BinTableHDU.from_columns([fits.Column("x", "J", array=np.arange(3))])


def test_an_exposure_of_the_survey_is_one_product(survey: Survey) -> None:
    for exposure in survey.exposures[:2]:
        groups = group_planes(scan_file(exposure.path))
        assert brief(groups) == [("IMAGE,1", {1: "image", 2: "mask", 3: "variance"})]


def test_a_mask_without_coordinates_belongs_to_a_cube_whose_axes_are_in_another_order(
    tmp_path: Path,
) -> None:
    sky = {"CTYPE1": "RA---SIN", "CTYPE2": "FREQ", "CTYPE3": "DEC--SIN"}
    cube = image("SCI", at=None, shape=(6, 3, 8), **sky)
    groups = groups_of(tmp_path, cube, image("MASK", at=None, shape=(6, 3, 8)))
    assert brief(groups) == [("SCI,1", {1: "image", 2: "mask"})]


def test_planes_of_lsst_are_known_by_exttype_and_tables_are_in_no_product(tmp_path: Path) -> None:
    groups = groups_of(
        tmp_path, image(EXTTYPE="IMAGE"), image(EXTTYPE="MASK"), image(EXTTYPE="VARIANCE"),
        table(), image("PSF", at=None, shape=(3, 3)),
    )  # fmt: skip
    assert brief(groups) == [("1", {1: "image", 2: "mask", 3: "variance"})]


def test_two_chips_of_hubble_are_two_products_without_the_lookup_tables(tmp_path: Path) -> None:
    groups = groups_of(
        tmp_path,
        image("SCI", 1), image("ERR", 1), image("DQ", 1, at=10.001),
        image("SCI", 2, at=10.01), image("ERR", 2, at=10.01), image("DQ", 2, at=None),
        image("D2IMARR", 1, at=None), image("WCSDVARR", 1, at=None), image("WCSDVARR", 2),
        table(),
    )  # fmt: skip
    assert brief(groups) == [
        ("SCI,1", {1: "image", 2: "error", 3: "quality"}),
        ("SCI,2", {4: "image", 5: "error", 6: "quality"}),
    ]


@pytest.mark.parametrize(
    ("names", "roles"),
    [
        (["DATA", "STAT"], ["image", "variance"]),
        (["SCI", "ERR", "DQ", "VAR_POISSON", "WHT", "CON"],
         ["image", "error", "quality", "variance", "weight", "weight"]),
        (["image", "error", "coverage"], ["image", "error", "weight"]),
        (["MASK", "SCI"], ["mask", "image"]),
        (["SCI_N1", "SCI_N1_MASK", "N1_WEIGHT"], ["image", "mask", "weight"]),
        (["CCD1", "SKY"], ["image", "other"]),
        (["DQ"], ["quality"]),
    ],
)  # fmt: skip
def test_roles_are_told_by_names(tmp_path: Path, names: list[str], roles: list[str]) -> None:
    (group,) = groups_of(tmp_path, *(image(name) for name in names))
    assert [group.roles[number] for number in sorted(group.hdus)] == roles
    if "image" in roles:
        assert group.roles[group.hdus[0]] == "image"


def test_a_plane_without_coordinates_belongs_to_the_image_of_its_size(tmp_path: Path) -> None:
    groups = groups_of(
        tmp_path,
        image("SCI", 1), image("MASK", 1, at=None),
        image("SCI", 2, at=20.0), image("MASK", 2, at=None),
        image("SCI", 3, at=30.0, shape=(4, 4)), image("MASK", 3, at=None, shape=(4, 4)),
        image("MASK", 4, at=None, shape=(5, 5)),
        image("RAW", 1, at=None),
    )  # fmt: skip
    assert brief(groups) == [
        ("SCI,1", {1: "image", 2: "mask"}),
        ("SCI,2", {3: "image", 4: "mask"}),
        ("SCI,3", {5: "image", 6: "mask"}),
    ]


def test_without_extver_a_plane_belongs_to_the_image_before_it(tmp_path: Path) -> None:
    groups = groups_of(
        tmp_path,
        image("SCI_A"), image("MASK_A", at=None), image("SCI_B", at=20.0), image("MASK_B", at=None),
    )  # fmt: skip
    assert brief(groups) == [
        ("SCI_A,1", {1: "image", 2: "mask"}),
        ("SCI_B,1", {3: "image", 4: "mask"}),
    ]


def test_cubes_share_the_grid_of_their_celestial_axes(tmp_path: Path) -> None:
    groups = groups_of(
        tmp_path, image("SCI", shape=(3, 6, 8)), image("DQ", shape=(6, 8)),
        image("GROUPDQ", at=None, shape=(2, 3, 6, 8)),
    )  # fmt: skip
    assert brief(groups) == [("SCI,1", {1: "image", 2: "quality", 3: "quality"})]


def test_labels_tell_the_products_of_a_file_apart(tmp_path: Path) -> None:
    groups = groups_of(tmp_path, image("CHIP"), image("CHIP", at=20.0), image("X", 2, at=30.0))
    assert [group.label for group in groups] == ["1", "2", "X,2"]


def test_images_without_coordinates_are_a_product_where_there_are_no_others(
    tmp_path: Path,
) -> None:
    groups = groups_of(
        tmp_path, *(image(f"SEG{k}", at=None) for k in range(3)), image("B", at=None, shape=(2, 9))
    )
    assert brief(groups) == [
        ("SEG0,1", {1: "image", 2: "other", 3: "other"}),
        ("B,1", {4: "image"}),
    ]


def test_what_is_no_picture_is_no_product(tmp_path: Path) -> None:
    assert groups_of(tmp_path) == ()
    assert groups_of(tmp_path, table(), fits.ImageHDU(np.zeros(5)), fits.ImageHDU()) == ()
    empty = fits.ImageHDU(np.zeros((0, 0), np.int16))
    assert groups_of(tmp_path, empty, image("SCI"))[0].hdus == (2,)
