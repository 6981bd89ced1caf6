"""Each rule of ObsCore that a row must keep."""

from __future__ import annotations

import pytest
from astropy.io.votable.ucd import check_ucd

from obscore.assembly.check import RULES, check
from obscore.assembly.doubts import DOUBTS, doubts
from obscore.assembly.kind import UCDS
from vodal.regions import Circle

ROW = {
    "dataproduct_type": "cube",
    "calib_level": 2,
    "obs_collection": "deep",
    "obs_id": "x",
    "obs_publisher_did": "ivo://skylane.example/deep?x.fits",
    "access_estsize": 3,
    "s_ra": 150.0,
    "s_dec": 2.0,
    "s_fov": 0.1,
    "s_xel1": 10,
    "s_xel2": -1,
    "t_min": 61000.0,
    "t_max": 61000.0,
    "t_exptime": 0.0,
    "em_min": 4e-7,
    "em_max": 5e-7,
    "pol_states": "/I/Q/",
    "pol_xel": 2,
    "data_rights": "public",
}
REGION = Circle(150.0, 2.0, 0.05)


def test_sound_row():
    assert check(ROW, REGION) is None
    assert check(ROW | {"s_ra": None, "s_dec": None, "t_min": None, "pol_xel": None}, None) is None


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"t_min": "now"}, "types"),
        ({"s_fov": float("nan")}, "types"),
        ({"em_max": float("inf")}, "types"),
        ({"s_xel1": 1.5}, "types"),
        ({"s_xel1": 2**63}, "types"),
        ({"calib_level": True}, "types"),
        ({"target_name": 5}, "types"),
        ({"target_name": "a\nb"}, "types"),
        ({"nonsense": 5}, "types"),
        ({"obs_id": None}, "not-null"),
        ({"obs_collection": ""}, "not-null"),
        ({"obs_publisher_did": "ivo://a/b?c"}, "publisher-did"),
        ({"obs_publisher_did": "http://skylane.example/x"}, "publisher-did"),
        ({"obs_publisher_did": "ivo://skylane.example/a b"}, "publisher-did"),
        ({"dataproduct_type": "picture"}, "dataproduct-type"),
        ({"calib_level": 5}, "calib-level"),
        ({"data_rights": "mine"}, "data-rights"),
        ({"t_min": 61000.1}, "order"),
        ({"em_min": 6e-7}, "order"),
        ({"t_exptime": -1.0}, "not-negative"),
        ({"s_resolution": -0.1}, "not-negative"),
        ({"s_xel1": 0}, "counts"),
        ({"em_xel": -2}, "counts"),
        ({"pol_states": "I/Q"}, "pol-states"),
        ({"pol_states": "/Q/I/"}, "pol-states"),
        ({"pol_states": "/i/"}, "pol-states"),
        ({"pol_states": "//"}, "pol-states"),
        ({"pol_states": "/I/I/"}, "pol-states"),
        ({"pol_xel": 3}, "pol-states"),
        ({"pol_states": None}, "pol-count"),
        ({"o_ucd": "phot flux"}, "ucd"),
        ({"o_ucd": "phot.flux;"}, "ucd"),
        ({"access_format": "FITS"}, "format"),
        ({"obs_creation_date": "28/06/99"}, "timestamps"),
        ({"obs_release_date": "2026-02-30"}, "timestamps"),
        ({"obs_release_date": "2026-03-04T25:00:00"}, "timestamps"),
        ({"s_dec": None}, "position"),
        ({"s_ra": 360.0}, "position"),
        ({"s_dec": 90.5}, "position"),
        ({"s_ra": 150.1}, "position"),
        ({"s_fov": 361.0}, "fov"),
    ],
)
def test_broken_rule_is_named(change, rule):
    broken = check(ROW | change, REGION)
    assert broken is not None
    assert broken.rule == rule
    assert next(iter(change)) in broken.message or broken.message


def test_rules_have_different_names():
    assert len({rule.name for rule in RULES}) == len(RULES)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"dataproduct_type": None}, "no-type"),
        ({"s_resolution": 0.0}, "zero"),
        ({"em_min": 450.0, "em_max": 550e3}, "wavelength"),
        ({"t_exptime": None}, "length"),
        ({"t_max": 61000.001, "t_exptime": 300.0}, "exposure"),
        ({"o_ucd": "phot.brightness"}, "unknown-ucd"),
        ({"o_ucd": "stat.max;phot.flux"}, "unknown-ucd"),  # stat.max comes second only
    ],
)
def test_doubt_is_told_of_a_row_that_keeps_the_rules(change, name):
    row = ROW | change
    assert check(row, REGION) is None
    assert [note.partition(":")[0] for note in doubts(row)] == [name]


def test_no_doubt_about_a_sound_row():
    assert doubts(ROW | {"t_exptime": 0.0, "o_ucd": "phot.flux;em.opt"}) == []
    assert len({doubt.name for doubt in DOUBTS}) == len(DOUBTS)


@pytest.mark.parametrize("ucd", sorted(UCDS))
def test_ucds_of_the_line_are_of_the_vocabulary(ucd):
    assert check_ucd(ucd, check_controlled_vocabulary=True)
