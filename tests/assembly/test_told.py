"""Rows made of what a source tells, and their files opened when they are needed."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits

from obscore.assembly.opening import OpeningResolver
from obscore.assembly.read import read_file
from obscore.assembly.rules import is_told, rules_for
from obscore.settings import ObsCoreSettings
from obscore.sources.base import UNKNOWN_SIZE, Candidate, Part
from vodal.errors import DataError, NotFoundError
from vodal.regions import Circle, Polygon
from vodal.storage import FileStat
from vodal.testing.skies import make_wcs

SETTINGS = ObsCoreSettings.model_validate(
    {"collections": {"raw": {"headers": False, "mapping": {"obs_id": "v{fact:visit}"}}}}
)
SQUARE = "POLYGON 10 -1 11 -1 11 0 10 0"


def told(facts, *parts, uri="https://archive.example/raw/7.fits", units=None, version=""):
    return Candidate(
        uri, "raw/7.fits", "raw", FileStat(UNKNOWN_SIZE, version, 1.7e9), facts, parts, units or {}
    )


def rows(candidate, settings=SETTINGS):
    outcome = read_file(candidate, rules_for(settings, "raw"))
    assert outcome.file is not None, outcome.refusal
    assert outcome.file.index is None
    return [dict(one.row) for one in outcome.file.observations], outcome.file


def test_what_follows_from_facts_is_in_the_row():
    facts = {"visit": 7, "s_region": SQUARE, "t_min": 60000.25, "t_exptime": 2.0, "filter": "r",
             "instrument_name": "DECam", "em_xel": None, "target_name": "M 31"}  # fmt: skip
    (row,), file = rows(told(facts, units={"t_exptime": "min"}))
    centre = SkyCoord(10.5 * u.deg, -0.5 * u.deg)
    corner = SkyCoord(10 * u.deg, -1 * u.deg)
    at = SkyCoord(row["s_ra"] * u.deg, row["s_dec"] * u.deg)
    assert at.separation(centre).deg < 1e-4
    assert row["s_fov"] == pytest.approx(2 * at.separation(corner).deg, rel=1e-4)
    # Counter-clockwise as seen from inside the sphere, as ObsCore wants it.
    assert row["s_region"] == "POLYGON ICRS 10 0 11 0 11 -1 10 -1"
    assert (row["t_exptime"], row["t_max"]) == (120.0, pytest.approx(60000.25 + 120 / 86400))
    # DECam's r is 568 to 716 nm at half of its peak.
    assert row["em_min"] == pytest.approx(568e-9, rel=0.03)
    assert row["em_max"] == pytest.approx(716e-9, rel=0.03)
    assert row["obs_id"] == "v7"
    assert row["obs_publisher_did"] == "ivo://skylane.example/raw?raw/7.fits"
    assert row["obs_title"] == "M 31, r, DECam"
    assert (row["dataproduct_type"], row["calib_level"]) == ("image", 2)
    assert (row["access_estsize"], file.size_bytes, file.content_type) == (None, None, "image/fits")


def test_a_region_that_the_source_has_needs_no_text():
    (row,), file = rows(told({"visit": 1}, Part({}, Circle(350.0, 89.5, 1.0))))
    assert row["s_region"] == "CIRCLE ICRS 350 89.5 1"
    assert (row["s_ra"], row["s_dec"], row["s_fov"]) == pytest.approx((350.0, 89.5, 2.0))
    assert file.observations[0].region == Circle(350.0, 89.5, 1.0)


def test_a_footprint_around_which_no_position_lies_within_leaves_it_empty():
    bent = Polygon(((0, 0), (20, 0), (20, 1), (1, 1), (1, 20), (0, 20)))
    (row,), _ = rows(told({"visit": 1}, Part({}, bent)))
    assert (row.get("s_ra"), row.get("s_dec")) == (None, None)
    assert 20 < row["s_fov"] < 40


@pytest.mark.parametrize(
    ("facts", "reason", "word"),
    [
        ({"t_min": 60001.0, "t_max": 60000.0}, "row:order", "t_min"),
        ({"s_region": "POLYGON 1 2 3"}, "row:region:no-area", "s_region"),
        ({"s_region": "POSITION 1 2"}, "row:region:no-area", "point"),
        ({"s_region": SQUARE, "s_ra": 40.0, "s_dec": 0.0}, "row:position", "outside s_region"),
        ({"dataproduct_type": "picture"}, "row:dataproduct-type", "picture"),
        ({"s_ra": 1.0}, "row:position", "go together"),
    ],
)
def test_what_is_not_sound_is_refused_by_the_rules_name(facts, reason, word):
    part = Part({"visit": 3, **facts}, where="row 12")
    refusal = read_file(told({}, part), rules_for(SETTINGS, "raw")).refusal
    assert refusal is not None
    assert refusal.reason == reason
    assert refusal.message.startswith("row 12: ")
    assert word in refusal.message


def test_several_rows_of_a_file_are_told_apart_and_a_bad_one_costs_itself():
    parts = [
        Part({"s_region": SQUARE, "t_min": 60000.0}, hdu="S1", where="row 1"),
        Part({"s_region": "CIRCLE 1 2"}, hdu="S2", where="row 2"),
        Part({"s_region": "CIRCLE 1 2 3"}, hdu="S3,1", where="row 3"),
    ]
    made, file = rows(told({"visit": 9}, *parts))
    assert [row["obs_publisher_did"].rpartition("?")[2] for row in made] == [
        "raw/7.fits:S1", "raw/7.fits:S3,1",
    ]  # fmt: skip
    assert [one.part for one in file.observations] == ["S1", "S3,1"]
    (note,) = (note for note in file.notes if "row 2" in note)
    assert "row:region:" in note


def test_the_digest_follows_all_that_is_told_and_nothing_else():
    rules = rules_for(SETTINGS, "raw")
    one = told({"visit": 1}, Part({"a": 1}, Circle(1, 2, 3), "S1"))
    others = [
        told({"visit": 2}, *one.parts),
        told({"visit": 1}, Part({"a": 2}, Circle(1, 2, 3), "S1")),
        told({"visit": 1}, Part({"a": 1}, Circle(1, 2, 4), "S1")),
        told({"visit": 1}, Part({"a": 1}, Circle(1, 2, 3), "S2")),
        told({"visit": 1}, *one.parts, units={"a": "s"}),
        told({"visit": 1}, *one.parts, version="2"),
    ]
    digests = [rules.digest_of(candidate) for candidate in (one, *others)]
    assert len(set(digests)) == len(digests)
    assert all(map(is_told, digests))
    assert rules.is_unchanged(replace(one), "whatever it was when it was opened", digests[0])
    assert not rules.is_unchanged(others[0], "", digests[0])


# Opened when they are needed

CHIPS = {"S1": (10.0, 1), "S2": (11.0, 2)}
"""Right ascension of each, and the value of its pixels."""


@pytest.fixture(scope="module")
def camera(tmp_path_factory):
    """A file of two chips, each of which has a mask."""
    hdus = [fits.PrimaryHDU()]
    for name, (ra, value) in CHIPS.items():
        header = make_wcs(ra, 5.0, 20, 1.0, distorted=False).to_header()
        hdus += [
            fits.ImageHDU(np.full((20, 20), value, np.int16), header, name=name),
            fits.ImageHDU(np.zeros((20, 20), np.uint8), header, name=f"{name}_MASK"),
        ]
    path = tmp_path_factory.mktemp("camera") / "7.fits"
    fits.HDUList(hdus).writeto(path)
    return path


def catalogue(make_backend, kind, path, parts):
    candidate = told({"visit": 1}, *parts, uri=path.as_uri())
    _, file = rows(candidate)
    backend = make_backend(kind, [file])
    return backend, [one.did for one in file.observations]


@pytest.mark.parametrize(
    ("kind", "named"), list(itertools.product(("sqlite", "postgres"), (True, False)))
)
def test_a_file_is_opened_once_and_the_catalogue_keeps_what_was_found(
    make_backend, camera, tmp_path, kind, named
):
    path = tmp_path / "7.fits"
    path.write_bytes(camera.read_bytes())
    parts = [
        Part(
            {"obs_publisher_did": f"ivo://skylane.example/x?{name}",
             "s_region": f"CIRCLE {ra} 5 0.002"},
            hdu=name.lower() if named else "",
        )
        for name, (ra, _) in CHIPS.items()
    ]  # fmt: skip
    backend, dids = catalogue(make_backend, kind, path, parts)
    store = backend.writer()
    before = store.file_at(path.as_uri())
    resolver = OpeningResolver(backend)
    told_products = resolver.resolve(dids)
    assert [told_products[did].hdus for did in dids] == [(), ()]
    ready = [resolver.ready(told_products[did]) for did in dids]
    assert [one.hdus for one in ready] == [(1, 2), (3, 4)]
    assert {one.size_bytes for one in ready} == {path.stat().st_size}
    resolver.close()
    path.unlink()
    other = OpeningResolver(backend)
    again = other.resolve(dids)
    assert [again[did] for did in dids] == ready
    assert other.index(other.ready(told_products[dids[1]])).hdus[3].name == "S2"
    other.close()
    kept = store.file_at(path.as_uri())
    assert [one.row for one in kept.observations] == [one.row for one in before.observations]
    assert (before.index, kept.mapping_digest) == (None, before.mapping_digest)
    assert not store.complete(kept, "another version")
    store.close()


def test_a_file_that_is_not_there_or_holds_no_such_hdu_is_told_by_name(make_backend, camera):
    missing = camera.with_name("none.fits")
    backend, (did,) = catalogue(make_backend, "sqlite", missing, [Part({})])
    resolver = OpeningResolver(backend)
    product = resolver.resolve([did])[did]
    for _ in range(2):
        with pytest.raises(NotFoundError):
            resolver.index(product)
    resolver.close()
    backend, (did,) = catalogue(make_backend, "sqlite", camera, [Part({}, hdu="S9")])
    resolver = OpeningResolver(backend)
    with pytest.raises(DataError, match="S9"):
        resolver.ready(resolver.resolve([did])[did])
    resolver.close()
