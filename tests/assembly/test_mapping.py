"""The declarative mapping: what it sets, and what it refuses when settings are loaded."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from obscore.assembly.bands import band_table
from obscore.assembly.context import Subject
from obscore.assembly.mapping import apply_mapping
from obscore.assembly.rules import rules_for
from obscore.columns import COLUMN_NAMES, COLUMNS, COLUMNS_BY_NAME
from obscore.mapping.rules import ColumnMapping, ColumnRule
from obscore.settings import ObsCoreSettings
from obscore.sources.base import Candidate
from vodal.regions import shape_text
from vodal.storage import FileStat


def settings_with(mapping, **collection):
    deep = {"mapping": mapping, **collection}
    return ObsCoreSettings.model_validate({"collections": {"deep": deep}})


CARDS = {
    "MYEXP": 90000,
    "OBJECT": "M 51",
    "BAND": "r",
    "WAVELO": 5000.0,
    "CHIP": 3.0,
    "MYDATE": "2026-03-04T05:06:07.5",
    "FREQHI": 1.5,
    "TIMESYS": "TT",
}


@pytest.mark.parametrize(
    ("column", "rule", "value"),
    [
        ("t_exptime", "keyword:MYEXP", 90000.0),
        ("t_exptime", {"keyword": "MYEXP", "unit": "ms"}, 90.0),
        ("t_exptime", {"keyword": "MYEXP", "factor": 0.001, "offset": 1}, 91.0),
        ("t_exptime", {"keyword": ["NONE", "MYEXP"]}, 90000.0),
        ("t_exptime", "keyword:NONE, MYEXP", 90000.0),
        ("t_exptime", 12, 12.0),
        ("t_exptime", {"keyword": "NONE", "default": 7}, 7.0),
        ("t_exptime", {"keyword": "NONE"}, None),
        ("t_exptime", "keyword:OBJECT", None),
        ("obs_title", "{OBJECT} in {BAND} ({path}, {stem}, {collection})",
         "M 51 in r (e1/x_w2_img.fits, x_w2_img, deep)"),
        ("facility_name", "The Observatory", "The Observatory"),
        ("target_name", {"keyword": "OBJECT", "table": {"M 51": "NGC 5194"}}, "NGC 5194"),
        ("target_name", {"keyword": "OBJECT", "table": {"M 1": "x"}}, "M 51"),
        ("instrument_name", {"keyword": "CHIP", "table": {"3": "Chip C"}}, "Chip C"),
        ("filter", {"match": "_(w[12])_"}, "W2"),
        ("filter", "V", "V"),
        ("em_min", {"keyword": "WAVELO", "unit": "Angstrom"}, 5e-7),
        ("em_min", {"keyword": "FREQHI", "unit": "GHz"}, 0.19986163866666667),
        ("calib_level", 3, 3),
        ("calib_level", {"match": "img", "table": {"img": 3}}, 3),
        ("t_min", "keyword:MYDATE", 61103.21258680556),
        ("t_min", "2026-03-04", 61103.0),
        ("obs_collection", "Deep Survey", "Deep Survey"),
        ("s_region", "CIRCLE ICRS 150 2 1", "CIRCLE ICRS 150 2 1"),
        ("data_rights", "public", "public"),
        ("obs_publisher_did", "ivo://other.org/x?{stem}", "ivo://other.org/x?x_w2_img"),
        ("obs_id", "fact:empty, visit", "42"),
        ("obs_title", "{fact:visit.name} of {OBJECT}", "night one of M 51"),
        ("obs_title", "{fact:absent} x", "M 51"),
        ("t_exptime", {"fact": "visit.exposure", "unit": "ms"}, 30.0),
        ("t_exptime", "expr:{MYEXP} / 1000 + 1", 91.0),
        ("t_exptime", {"expr": "{MYEXP} * 2", "unit": "ms"}, 180.0),
        ("t_exptime", {"expr": "{NONE} + 1", "default": 3}, 3.0),
        ("t_exptime", "expr:coalesce({NONE}, {fact:visit.exposure}) / 1000", 30.0),
        ("t_min", "expr:{MYDATE}", 61103.21258680556),
        ("t_min", {"expr": "mjd({MYDATE}) * 86400", "unit": "s"}, 61103.21258680556),
        ("t_min", {"keyword": "MYDATE", "scale": "tai"}, 61103.21258680556 - 37 / 86400),
        ("t_min", {"value": 61103.5, "scale": "gps"}, 61103.5 - 18 / 86400),
        ("t_min", {"keyword": "MYDATE", "scale": "timesys"}, 61103.21258680556 - 69.184 / 86400),
        ("t_min", {"value": 1e7, "scale": "tt"}, None),
        ("obs_title", "expr:'chip ' + text({CHIP}) + ' of ' + lower({OBJECT})", "chip 3 of m 51"),
        ("obs_title", "expr:split({stem}, '_', 2)", "w2"),
        ("calib_level", "expr:3 if contains({path}, 'img') else 2", 3),
        ("target_name", {"keyword": "OBJECT", "table": {"M 1": "x", "*": "other"}}, "other"),
        ("instrument_name", {"keyword": "CHIP", "table": {"3.00": "C"}}, "C"),
        ("em_min", {"keyword": "BAND", "table": {"r": 620}, "unit": "nm"}, 6.2e-7),
        ("em_min", {"expr": "{BAND}", "table": {"r": 620}, "unit": "nm"}, 6.2e-7),
    ],
)  # fmt: skip
def test_rule(row_of, tmp_path, column, rule, value, image_writer, read_outcome):
    from obscore.assembly.read import read_file
    from obscore.assembly.rules import rules_for
    from obscore.sources import FolderSource

    image_writer(tmp_path / "e1" / "x_w2_img.fits", CARDS)
    (candidate,) = FolderSource(tmp_path, collection="deep").walk()
    mapping = {column: rule} | ({"em_max": 1.0} if column == "em_min" else {})
    facts = {"visit": 42, "visit.name": "night one", "visit.exposure": 30000.0, "empty": ""}
    candidate = replace(candidate, facts=facts)
    outcome = read_file(candidate, rules_for(settings_with(mapping), "deep"))
    assert outcome.file is not None, outcome.refusal
    row = outcome.file.observations[0].row
    assert row[column] == (pytest.approx(value) if isinstance(value, float) else value)


def test_what_is_mapped_is_built_upon(row_of):
    row = row_of(
        {"MYBAND": "i", "START": 61103.5},
        settings=settings_with(
            {"filter": "keyword:MYBAND", "t_min": "keyword:START", "t_exptime": 86.4}
        ),
    )
    assert row["em_min"] == pytest.approx(685e-9)
    assert row["t_max"] == pytest.approx(61103.501)


def test_the_narrower_rule_goes_first(row_of):
    settings = ObsCoreSettings.model_validate(
        {
            "mapping": {"target_name": "all", "facility_name": "all"},
            "collections": {
                "deep": {
                    "mapping": {"target_name": "collection"},
                    "files": [
                        {"pattern": "image*", "mapping": {"obs_title": "first"}},
                        {"pattern": "*.fits", "mapping": {"obs_title": "second"}},
                        {"pattern": "other*", "mapping": {"obs_title": "third"}},
                    ],
                }
            },
        }
    )
    row = row_of(settings=settings)
    assert (row["facility_name"], row["target_name"]) == ("all", "collection")
    assert row["obs_title"] == "second"


def test_value_that_does_not_fit_is_noted(row_of):
    row = row_of(
        {"MYEXP": "long", "EXPTIME": 5.0}, settings=settings_with({"t_exptime": "keyword:MYEXP"})
    )
    assert row["t_exptime"] == 5.0
    assert row["notes"] == ("mapping of t_exptime: 'long' is no number",)


@pytest.mark.parametrize(
    ("mapping", "place", "words"),
    [
        ({"t_exptme": "keyword:X"}, "t_exptme", "not permitted"),
        ({"access_url": "http://x"}, "access_url", "cannot be set"),
        ({"access_format": "image/fits"}, "access_format", "cannot be set"),
        ({"t_exptime": {"keyword": "X", "unit": "parsec"}}, "t_exptime", "converted to s"),
        ({"t_exptime": {"keyword": "X", "unit": "furlong/x"}}, "t_exptime", "no known unit"),
        ({"t_exptime": {"keyword": "X", "value": 3}}, "t_exptime", "one of keyword"),
        ({"t_exptime": {}}, "t_exptime", "one of keyword"),
        ({"t_exptime": {"keywrd": "X"}}, "t_exptime.keywrd", "not permitted"),
        ({"t_exptime": "many"}, "t_exptime", "is a number"),
        ({"t_exptime": "keyword:bad key"}, "t_exptime", "no FITS keyword"),
        ({"target_name": {"keyword": "X", "unit": "s"}}, "target_name", "is a text"),
        ({"target_name": 5}, "target_name", "is a text"),
        ({"obs_title": "{OBJECT"}, "obs_title", "braces"),
        ({"obs_title": "{object}"}, "obs_title", "names 'object'"),
        ({"filter": {"match": "("}}, "filter", "regular expression"),
        ({"calib_level": 7}, "calib_level", "0, 1, 2, 3 or 4"),
        ({"calib_level": 1.5}, "calib_level", "whole number"),
        ({"dataproduct_type": "picture"}, "dataproduct_type", "none of image, cube"),
        ({"t_exptime": [3]}, "t_exptime", "valid dictionary"),
        ({"t_exptime": "expr:{EXPTIME} +"}, "t_exptime", "a value is missing before the end"),
        ({"t_exptime": "expr:{exptime} + 1"}, "t_exptime", "expression names 'exptime'"),
        ({"t_exptime": {"expr": "secs({EXPTIME})"}}, "t_exptime", "no function 'secs'"),
        ({"t_exptime": {"expr": "min()"}}, "t_exptime", "min takes 1 to 50 arguments, not 0"),
        (
            {"t_exptime": "expr:lower({X})"},
            "t_exptime",
            "is a number, and the expression is a text",
        ),
        ({"t_exptime": "expr:{stem} * 2"}, "t_exptime", "takes numbers, and is given a text"),
        ({"obs_title": "expr:{X} > 2"}, "obs_title", "the expression is a condition"),
        ({"t_exptime": {"expr": "1", "keyword": "X"}}, "t_exptime", "one of keyword"),
        ({"t_exptime": {"keyword": "X", "scale": "tai"}}, "t_exptime", "scale is for t_min"),
        ({"t_min": {"keyword": "X", "scale": "sidereal"}}, "t_min.scale", "'utc', 'tai'"),
        ({"em_min": {"keyword": "X", "table": {"r": "red"}}}, "em_min", "is a number"),
        ({"obs_id": {"keyword": "X", "table_column": "a"}}, "obs_id", "is of a table_file"),
    ],
)
def test_faults_are_named_by_their_key(mapping, place, words):
    with pytest.raises(ValidationError) as caught:
        settings_with(mapping)
    faults = caught.value.errors()
    assert [".".join(map(str, fault["loc"])) for fault in faults] == [
        f"collections.deep.mapping.{place}"
    ]
    assert words in faults[0]["msg"]


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"authority": "x"}, "authority"),
        ({"authority": "a b c"}, "authority"),
        ({"bands": {"r": {"min_nm": 5, "max_nm": 4}}}, "bands.r"),
        ({"collections": {"deep": {"calib_level": 9}}}, "collections.deep.calib_level"),
        ({"collections": {"deep": {"files": [{"patern": "x"}]}}},
         "collections.deep.files.0.pattern"),
        ({"ingest": {"workers": -1}}, "ingest.workers"),
    ],
)  # fmt: skip
def test_other_faults(settings, place):
    with pytest.raises(ValidationError) as caught:
        ObsCoreSettings.model_validate(settings)
    assert ".".join(map(str, caught.value.errors()[0]["loc"])) == place


NUMBERS = [item for item in COLUMNS if item.column.datatype != "char"]


@pytest.mark.parametrize("item", NUMBERS, ids=lambda item: item.name)
def test_every_number_takes_a_unit(item):
    other = {"d": "h", "s": "min", "m": "um", "deg": "arcmin", "arcsec": "mas", "kbyte": "byte"}
    unit = other.get(item.column.unit, "%")
    assert settings_with({item.name: {"keyword": "X", "unit": unit}})
    with pytest.raises(ValidationError, match="'mag' cannot be converted to"):
        settings_with({item.name: {"keyword": "X", "unit": "mag"}})


@pytest.mark.parametrize(
    ("unit", "value"),
    [("nm", 500.0), ("Angstrom", 5000.0), ("THz", 599.584916), ("eV", 2.479683968664),
     ("cm-1", 20000.0), ("K", None), ("km/s", None)],
)  # fmt: skip
def test_what_becomes_a_wavelength(unit, value, row_of):
    mapping = {"em_min": {"value": value or 1.0, "unit": unit}, "em_max": 1.0}
    if value is None:
        with pytest.raises(ValidationError, match=f"'{unit}' cannot be converted to m"):
            settings_with(mapping)
        return
    assert row_of(settings=settings_with(mapping))["em_min"] == pytest.approx(5e-7, rel=1e-9)


def test_an_expression_without_a_result_is_noted(row_of):
    mapping = {"t_exptime": "expr:1 / {ZERO}", "target_name": "expr:{NONE} + 'x'"}
    row = row_of({"ZERO": 0, "EXPTIME": 5.0, "OBJECT": "M 1"}, settings=settings_with(mapping))
    assert (row["t_exptime"], row["target_name"]) == (5.0, "M 1")
    assert row["notes"] == ("mapping of t_exptime: division by zero",)


def test_settings_know_every_column_and_cross_processes():
    assert tuple(ColumnMapping.model_fields) == COLUMN_NAMES
    settings = settings_with({"t_exptime": {"keyword": "X", "unit": "ms"}})
    assert pickle.loads(pickle.dumps(settings)) == settings


def test_a_rule_that_breaks_the_row_refuses_the_file(tmp_path, image_writer, read_outcome):
    path = image_writer(tmp_path / "x.fits")
    refusal = read_outcome(path, settings_with({"s_ra": 10.0})).refusal
    assert refusal.reason == "row:position"
    assert "outside s_region" in refusal.message
    refusal = read_outcome(path, settings_with({"t_min": 9.0, "t_max": 8.0})).refusal
    assert refusal.reason == "row:order"


@pytest.mark.parametrize(("text", "reason"), [
    ("CIRCLE nonsense", "row:region:text"),
    ("POLYGON ICRS 1 0 2 0 3 0", "row:region:no-area"),
    ("POLYGON ICRS 1 0 2 0 3 NaN", "row:region:not-finite"),
])  # fmt: skip
def test_a_footprint_that_is_none_is_refused_by_the_name_of_its_fault(
    tmp_path, image_writer, read_outcome, text, reason
):
    path = image_writer(tmp_path / "x.fits")
    assert read_outcome(path, settings_with({"s_region": text})).refusal.reason == reason


def test_text_and_region_of_a_mended_footprint_are_the_same(tmp_path, image_writer, read_outcome):
    path = image_writer(tmp_path / "x.fits")
    plain = read_outcome(path, ObsCoreSettings()).file.observations[0]
    assert plain.row["s_region"] == shape_text(plain.region)
    (a, b, c, d) = (f"{ra!r} {dec!r}" for ra, dec in plain.region.vertices)
    crossed = f"POLYGON FK5 {a} {c} {b} {d}"
    file = read_outcome(path, settings_with({"s_region": crossed})).file
    assert "s_region: the polygon's sides crossed" in " ".join(file.notes)
    (mended,) = file.observations
    assert mended.row["s_region"] == shape_text(mended.region)
    assert set(mended.region.vertices) == set(plain.region.vertices)


def test_other_facts_of_a_file_make_other_rows():
    rules = rules_for(ObsCoreSettings(), "deep")
    plain = rules.digest_for("a.fits")
    told = [rules.digest_for("a.fits", facts) for facts in ({"visit": 1}, {"visit": 2})]
    assert len({plain, *told}) == 3
    assert rules.digest_for("a.fits", {"b": 1, "a": None}) == rules.digest_for(
        "a.fits", {"a": None, "b": 1}
    )


_texts = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["2026-03-04T05:06:07", "2026-03-04", "0001-01-01", "9999-12-31T23:59:59",
                     "1e308", "-1D400", "nan", "inf", "12:30:00", "T", "1/1/99", "2026-366"]),
)  # fmt: skip
_values = st.one_of(
    st.booleans(), st.integers(), st.integers(-5, 5), st.just(10**400), _texts,
    st.floats(), st.sampled_from([1e308, -1e308, 5e-324, 61000.5, 0.0]),
)  # fmt: skip
_sources = st.sampled_from(
    ["fact:a", "fact:b, a", "{fact:a}", "x{fact:a}{fact:b}", "expr:{fact:a} + {fact:b}",
     "expr:{fact:a} / {fact:b}", "expr:{fact:a} ** {fact:b}", "expr:coalesce({fact:a}, {fact:b})",
     "expr:number({fact:a}) - floor(number({fact:b}))", "expr:-{fact:a}"]
)  # fmt: skip
_more = st.fixed_dictionaries(
    {},
    optional={
        "factor": st.sampled_from([1e300, -2.0, 0.0, 1e-300]),
        "offset": st.sampled_from([1e308, -1.0]),
        "table": st.sampled_from([{"1": 3}, {"*": 1e308}, {"0": 0, "61000.5": 2}]),
        "unit": st.sampled_from(["s", "h", "nm", "GHz", "eV", "d", "deg", "byte", "%"]),
        "scale": st.sampled_from(["tai", "tdb", "tcb", "gps", "timesys"]),
        "default": st.just(1),
    },
)


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(NUMBERS), _sources, _more, _values, _values)
@example(COLUMNS_BY_NAME["t_min"], "fact:a", {"factor": 1e300, "table": {"*": 1e308}}, False, 0)
def test_no_value_breaks_a_rule_for_numbers(item, source, more, a, b):
    given_rule = ColumnRule.model_validate(source).model_dump(exclude_none=True) | more
    try:
        rules = rules_for(settings_with({item.name: given_rule}), "deep")
    except ValidationError:
        return  # a unit or a scale that is not for this column
    candidate = Candidate("file:///a", "a", "deep", FileStat(0, "", 0.0), {"a": a, "b": b})
    subject = Subject(candidate=candidate, rules=rules, bands=band_table())
    made = apply_mapping(subject, rules.mapping_for("a"))
    value = made.get(item.name)
    if value is not None:
        assert isinstance(value, int if item.column.datatype in {"int", "long"} else float)
        assert math.isfinite(value)
    assert all(len(note) < 300 for note in subject.notes)
