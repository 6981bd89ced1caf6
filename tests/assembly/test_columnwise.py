"""Rows made column by column are those that are made one by one, with all notes and refusals."""

from __future__ import annotations

import gc
import logging
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obscore.assembly.columnwise import make_columns, make_rows_of
from obscore.assembly.digests import digests_of
from obscore.assembly.garbage import few_looks
from obscore.assembly.rules import rules_for
from obscore.assembly.told import make_rows
from obscore.settings import ObsCoreSettings
from obscore.sources.base import UNKNOWN_SIZE, Candidate, Part
from obscore.sources.columns import CandidateColumns
from vodal.regions import Circle, Polygon
from vodal.storage import FileStat

MAPPINGS = (
    {},
    {"target_name": "{fact:kind} {name}", "t_min": {"fact": "mjd, t_min", "scale": "tai"},
     "s_resolution": {"fact": "seeing", "factor": 3600.0, "default": 1.5}, "calib_level": 3,
     "em_min": {"fact": "em_min", "unit": "GHz"}, "proposal_id": {"match": r"\d+"},
     "dataproduct_subtype": {"fact": "kind", "table": {"1": "one", "a": "two", "*": "any"}},
     "t_exptime": {"fact": "t_exptime", "unit": "min"}, "obs_id": "fact:t_min",
     "filter": {"fact": "filter", "table": {"r": "SDSS r"}},
     "s_pixel_scale": {"expr": "{fact:seeing} * 2 + 1"}},
    {"airmass": {"fact": "seeing", "factor": 2.0}, "good": "expr:{fact:seeing} > 1",
     "night": "n{fact:kind}", "chip": {"fact": "mjd", "default": 7}},
)  # fmt: skip
EXTRA = {
    "airmass": {"datatype": "double"}, "seeing": {"datatype": "float", "unit": "arcsec"},
    "kind": {"datatype": "char"}, "mjd": {"datatype": "long"}, "night": {"datatype": "char"},
    "good": {"datatype": "boolean"}, "chip": {"datatype": "short"},
    "ended": {"datatype": "char", "xtype": "timestamp", "rule": "fact:obs_release_date"},
}  # fmt: skip
RULES = [
    rules_for(
        ObsCoreSettings.model_validate(
            {
                "columns": EXTRA if "good" in mapping else {},
                "collections": {"raw": {"headers": False, "mapping": mapping}},
            }
        ),
        "raw",
    )
    for mapping in MAPPINGS
]

OF_SOME = rules_for(
    ObsCoreSettings.model_validate(
        {"collections": {"raw": {"headers": False, "files": [
            {"pattern": "raw/*", "mapping": {"proposal_id": "{name}"}}]}}}
    ),
    "raw",
)  # fmt: skip

numbers = st.one_of(
    st.none(), st.floats(-10, 400),
    st.sampled_from([0.0, -0.0, math.nan, math.inf, 1e-300, 60000.5]),
    st.integers(-3, 99999), st.sampled_from(["", "12", "2026-03-04T05:06:07", "x", True, 2**70]),
)  # fmt: skip
reals = st.one_of(st.floats(0, 1e5), st.none())
texts = st.sampled_from([None, "", "a", "M  31 ", "r", "1", 1, 1.0, True, "\n", "é\x01", "F814W"])
squares = st.tuples(
    st.sampled_from([0.0, 0.05, 10.0, 10.123456789012, 359.99, 200.5]),
    st.sampled_from([-90.0, -89.99, -30.25, 0.0, 45.0, 89.5]),
    st.sampled_from([1e-9, 0.01, 0.1, 1.0, 40.0]), st.booleans(), st.booleans(), st.integers(0, 4),
)  # fmt: skip


def square(ra, dec, half, turned, low, form):
    places = [(ra - half, dec - half), (ra + half, dec - half), (ra + half, dec + half),
              (ra - half, dec + half)]  # fmt: skip
    places = [(a % 360, max(-90.0, min(90.0, b))) for a, b in places]
    if turned:
        places.reverse()
    if form == 1:
        places.append(places[0])
    if form == 2:
        places[1], places[2] = places[2], places[1]
    word = ("POLYGON ICRS", "Polygon", "POLYGON", "polygon J2000", "POLYGON ICRS")[form]
    words = " ".join(f"{a:.10g} {b:.12g}" if form != 4 else f"{a!r} {b!r}" for a, b in places)
    return f"{word} {words}", places, (ra, dec if low else dec + 2 * half)


@st.composite
def candidates(draw):
    """Files of some kinds, of which most are plain."""
    kind = draw(st.integers(0, 3))
    columns = {
        "t_min": reals, "t_exptime": reals, "filter": texts, "target_name": texts, "kind": texts,
        "seeing": numbers,
    }  # fmt: skip
    if kind:
        columns |= {
            "mjd": numbers, "t_min": numbers, "t_max": numbers, "t_exptime": numbers,
            "em_min": numbers, "em_max": numbers, "s_xel1": numbers, "calib_level": numbers,
            "o_ucd": texts, "o_unit": texts, "pol_states": st.sampled_from([None, "/I/Q/", "I"]),
            "obs_publisher_did": st.sampled_from([None, "ivo://a.b/c?d", "x"]),
            "obs_release_date": st.sampled_from([None, "2026-01-01", "soon"]),
            "dataproduct_type": st.sampled_from([None, "cube", "image", "picture"]),
            "em_xel": numbers, "access_estsize": numbers, "instrument_name": texts,
        }  # fmt: skip
        columns = {name: columns[name] for name in draw(st.sets(st.sampled_from(sorted(columns))))}
    found = []
    for number in range(draw(st.integers(1, 6))):
        facts = {name: draw(cells) for name, cells in columns.items()}
        region = None
        if draw(st.integers(0, 5)):
            text, places, (ra, dec) = square(*draw(squares))
            facts |= {"s_ra": draw(st.sampled_from([ra, ra, ra, None])), "s_dec": dec}
            as_region = draw(st.integers(0, 3))
            facts |= {"s_region": None if as_region == 0 else text}
            if as_region == 0 and len(set(places)) >= 3:
                region = draw(st.sampled_from([Polygon(tuple(places)), Circle(ra, 10.0, 1.0)]))
        path = draw(
            st.sampled_from([f"raw/{number}.fits", f"a b/ü{number}.fits.fz", f"x/./{number}"])
        )
        part = Part(facts, region, draw(st.sampled_from(["", "", "S1"])), f"row {number}")
        parts = (part,) * (2 if draw(st.integers(0, 9)) == 9 else 1)
        units = {"t_exptime": "min", "em_max": "um", "seeing": "arcmin"} if kind == 3 else {}
        stat = FileStat(draw(st.sampled_from([UNKNOWN_SIZE, 2881])), "v", 1.7e9)
        uri = f"https://archive.example/{path}"
        found.append(Candidate(uri, path, "raw", stat, {"mjd": 5.0}, parts, units))
    return found


def without_nothing(outcome):
    """Give an outcome whose rows lack the columns without a value."""
    if outcome.file is None:
        return repr(outcome.refusal)
    rows = [
        sorted((name, repr(value)) for name, value in one.row.items() if value is not None)
        for one in outcome.file.observations
    ]
    rest = [(one.region, one.part, one.hdus) for one in outcome.file.observations]
    file = outcome.file
    told = (file.uri, file.file_name, file.content_type, file.mapping_digest, file.told_size_bytes)
    return rows, rest, file.notes, told


@pytest.fixture(autouse=True)
def nothing_gives_up():
    """No block as a whole is left to the slow twin."""

    class Fails(logging.Handler):
        def emit(self, record):
            raise AssertionError(record.getMessage())

    handler, logger = Fails(), logging.getLogger("obscore.assembly.columnwise.make")
    logger.addHandler(handler)
    yield
    logger.removeHandler(handler)


@settings(max_examples=300, deadline=None)
@given(candidates(), st.sampled_from(RULES))
def test_all_is_as_if_it_were_made_one_by_one(found, rules):
    wanted = [without_nothing(make_rows(candidate, rules)) for candidate in found]
    assert list(map(without_nothing, make_rows_of(found, rules))) == wanted


def in_columns(found):
    """Give the files of a table that says of each what the source of some says of its product."""
    parts = [one.parts[0] for one in found]
    names = dict.fromkeys(name for one in parts for name in one.facts)
    facts = {name: [one.facts.get(name) for one in parts] for name in names}
    hdus = [one.hdu for one in parts]
    return CandidateColumns(
        "raw", found[0].stat, [one.uri for one in found], [one.relative for one in found], facts,
        [one.where for one in parts], hdus if any(hdus) else None, found[0].units,
    )  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(candidates(), st.sampled_from([*RULES, OF_SOME]))
def test_files_in_columns_are_as_if_each_was_told_of_alone(found, rules):
    columns = in_columns(found)
    wanted = [without_nothing(make_rows(candidate, rules)) for candidate in columns]
    assert list(map(without_nothing, make_rows_of(columns, rules))) == wanted
    assert digests_of(columns, rules) == list(map(rules.digest_of, columns))


def plain(number, **more):
    text, _, (ra, dec) = square(10.0 + number, 20.0, 0.1, number % 2, True, 0)
    facts = {"t_min": 60000.0 + number, "t_exptime": 30.0, "filter": "r", "target_name": "M 31",
             "s_region": text, "s_ra": ra, "s_dec": dec, "em_min": 3e5, "seeing": 1.0,
             **more}  # fmt: skip
    path = f"raw/{number}.fits"
    return Candidate(f"https://archive.example/{path}", path, "raw",
                     FileStat(UNKNOWN_SIZE, "", 1.7e9), {}, (Part(facts),))  # fmt: skip


def test_garbage_is_looked_for_as_before_when_the_last_run_has_ended():
    before, runs = gc.get_threshold(), [few_looks(), few_looks()]
    for run in runs:
        run.__enter__()
    runs[0].__exit__(None, None, None)
    assert gc.get_threshold() > before
    runs[1].__exit__(None, None, None)
    assert gc.get_threshold() == before


def test_what_is_plain_needs_no_slow_twin_and_what_is_not_costs_itself():
    for rules in RULES:
        found = [plain(number) for number in range(8)]
        found[3] = plain(3, s_ra=200.0)
        made = make_columns(found, rules)
        assert [numbers for numbers, _ in made.columns] == [[0, 1, 2, 4, 5, 6, 7]]
        assert [number for number, _ in made.others] == [3]
        assert make_rows_of(found, rules)[3].refusal.reason == "row:position"
