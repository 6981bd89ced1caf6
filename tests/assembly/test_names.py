"""Names, identifiers, kinds and sharpness."""

from __future__ import annotations

from urllib.parse import unquote

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from obscore.assembly.identity import publisher_did
from vodal.testing.skies import make_wcs


def test_what_the_header_tells(row_of):
    row = row_of(
        {
            "OBJECT": "M 51",
            "TELESCOP": "Skylane 1.2m",
            "INSTRUME": "DemoCam",
            "OBSID": "x-12",
            "FILTER": "r",
            "PROPID": "2026A-1",
            "BUNIT": "adu",
            "DATE": "2026-03-04T05:06:07.25",
        }
    )
    assert row["target_name"] == "M 51"
    assert row["facility_name"] == "Skylane 1.2m"
    assert row["instrument_name"] == "DemoCam"
    assert row["obs_id"] == "x-12"
    assert row["proposal_id"] == "2026A-1"
    assert row["obs_title"] == "M 51, r, DemoCam, Skylane 1.2m"
    assert row["obs_creation_date"] == "2026-03-04T05:06:07"
    assert (row["o_ucd"], row["o_unit"]) == ("phot.count", "adu")
    assert row["obs_collection"] == "deep"
    assert row["obs_publisher_did"] == "ivo://skylane.example/deep?image.fits"
    assert row["access_format"] == "application/x-votable+xml;content=datalink"
    assert row["access_estsize"] == 6  # two blocks of 2880 bytes
    assert "access_url" not in row
    assert (row["s_xel1"], row["s_xel2"]) == (10, 8)
    assert row["s_pixel_scale"] == pytest.approx(0.5)
    assert row["calib_level"] == 2


@pytest.mark.parametrize("word", ["", "  ", "unknown", "ANY", "n/a", "_unknown_"])
def test_words_that_name_nothing(row_of, word):
    assert row_of({"OBJECT": word})["target_name"] is None


def test_second_choice_of_target(row_of):
    assert row_of({"OBJECT": "data", "TARGNAME": "NGC104"})["target_name"] == "NGC104"


def test_observation_without_identifier_is_named_by_its_path(row_of):
    assert row_of(name="image.fits.fz")["obs_id"] == "image"


@pytest.mark.parametrize(
    ("cards", "arcsec"),
    [
        ({"SEEING": 0.9}, 0.9),
        ({"SEEING": (3.8, "Average FWHM (pixels)")}, 1.9),
        ({"FWHM": (4.0, "Median FWHM in pixels")}, 2.0),
        ({"FWHM": (1.5, "[arcsec] of stars")}, 1.5),
        ({"FWHM": 4.0}, None),
        ({"SEEING": 0.0}, None),
        ({"SEEING": -9.0}, None),
        ({"BMAJ": 0.004, "BMIN": 0.001}, 7.2),
        ({"BMAJ": (20.0, "[arcsec]"), "BMIN": (5.0, "[arcsec]")}, 10.0),
        ({"BMAJ": 0.0, "BMIN": 0.0}, None),
    ],
)
def test_sharpness(row_of, cards, arcsec):
    found = row_of(cards)["s_resolution"]
    assert found is None if arcsec is None else found == pytest.approx(arcsec, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "cards", "subtype", "ucd"),
    [
        ("image.fits", {}, None, "phot.flux"),
        ("c4d_1_ooi_z.fits", {"PRODTYPE": "image"}, None, "phot.flux"),
        ("c4d_1_ood_z.fits", {"PRODTYPE": "image"}, "mask", "meta.code.qual"),
        ("c4d_1_oow_z.fits", {}, "weight", "stat.weight"),
        ("a-w1-invvar-m.fits", {}, "weight", "stat.weight"),
        ("noise_4d.fits", {"BUNIT": "Jy/beam"}, None, "phot.flux.density"),
        ("epoch1.noiseMap.fits", {}, "error", "stat.error;phot.flux"),
        ("x.fits", {"IMTYPE": "depth"}, "weight", "stat.weight"),
        ("x.fits", {"PRODTYPE": "expmap"}, "exposure", "time.duration;obs.exposure"),
        ("x.fits", {"EXTNAME": "VARIANCE"}, "variance", "stat.variance;phot.flux"),
        ("x.fits", {"EXTNAME": "SCI", "BUNIT": "MJy/sr"}, None, "phot.flux.density"),
        ("x.fits", {"BUNIT": "K"}, None, "phot.antennaTemp"),
        ("x.fits", {"BUNIT": "electron/s"}, None, "phot.count"),
    ],
)
def test_planes_in_files_of_their_own(row_of, name, cards, subtype, ucd):
    row = row_of(cards, name=name)
    assert row["dataproduct_subtype"] == subtype
    assert row["o_ucd"] == ucd
    assert row["dataproduct_type"] == "image"


@pytest.mark.parametrize(
    ("cards", "level"),
    [
        ({"PROCTYPE": "raw"}, 1),
        ({"PROCTYPE": "InstCal"}, 2),
        ({"PROCTYPE": "Stacked"}, 3),
        ({"PRODTYPE": "coadd"}, 3),
        ({"NCOMBINE": 5}, 3),
        ({"EXTNAME": "Segment10"}, 1),
    ],
)
def test_calibration_level(row_of, cards, level):
    assert row_of(cards)["calib_level"] == level


def test_a_camera_of_several_chips_makes_a_product_of_each(tmp_path, read_outcome):
    hdus = [fits.PrimaryHDU()]
    hdus[0].header["OBJECT"] = "field"
    for k in range(3):
        header = make_wcs(150.0 + k, 2.0, 10, 0.5, distorted=False).to_header()
        hdus += [
            fits.ImageHDU(np.zeros((10, 10), np.float32), header, name="SCI", ver=k + 1),
            fits.ImageHDU(np.zeros((10, 10), np.int16), header, name="DQ", ver=k + 1),
        ]
    hdus.append(fits.ImageHDU(np.zeros((4, 4), np.float32), name="FOCUS"))
    path = tmp_path / "a b:c.fits"
    fits.HDUList(hdus).writeto(path)
    file = read_outcome(path).file
    assert [o.did for o in file.observations] == [
        f"ivo://skylane.example/deep?a%20b%3Ac.fits:SCI,{k}" for k in (1, 2, 3)
    ]
    assert [o.hdus for o in file.observations] == [(1, 2), (3, 4), (5, 6)]
    assert {o.row["target_name"] for o in file.observations} == {"field"}
    assert [o.row["s_ra"] for o in file.observations] == pytest.approx([150, 151, 152])
    assert file.notes == ("HDU 7 (FOCUS) has no celestial coordinates and was left out",)


def test_a_broken_chip_costs_itself(tmp_path, read_outcome):
    good = make_wcs(150.0, 2.0, 10, 0.5, distorted=False).to_header()
    bad = good.copy()
    bad["PC1_1"], bad["PC2_2"] = 0.0, 0.0
    bad["CRVAL1"] = 152.0
    hdus = [fits.PrimaryHDU()]
    hdus += [fits.ImageHDU(np.zeros((9, 9)), h, name=n) for h, n in ((good, "A"), (bad, "B"))]
    fits.HDUList(hdus).writeto(tmp_path / "two.fits")
    file = read_outcome(tmp_path / "two.fits").file
    assert [o.did for o in file.observations] == ["ivo://skylane.example/deep?two.fits:A,1"]
    assert file.notes[0].startswith("B,1 left out: ")


PATHS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40)


@given(PATHS, PATHS, st.none() | PATHS)
def test_identifiers_are_ascii_and_tell_all_apart(collection, path, label):
    did = publisher_did("a.b", collection, path, label)
    assert did.isascii()
    assert did.isprintable()
    assert " " not in did
    head, _, local = did.partition("?")
    encoded, colon, end = local.partition(":")
    assert unquote(head.removeprefix("ivo://a.b/")) == collection
    assert unquote(encoded) == path
    assert (unquote(end) if colon else None) == label
