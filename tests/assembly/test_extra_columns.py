"""Columns that a site adds: what settings may declare, and what fills them."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import ValidationError

from obscore.assembly.bands import band_table
from obscore.assembly.context import Subject
from obscore.assembly.explain import explain_file
from obscore.assembly.extra import MOST_COLUMNS, declared_columns
from obscore.assembly.line import ingest
from obscore.assembly.mapping import apply_mapping
from obscore.assembly.rules import rules_for
from obscore.mapping.document import BESIDE
from obscore.settings import ObsCoreSettings
from obscore.sources.base import Candidate
from obscore.sources.choice import source_of
from obscore.sources.fits import FolderSource
from vodal.errors import SettingsError
from vodal.storage import FileStat


def settings_with(columns, **obscore):
    return ObsCoreSettings.model_validate({"columns": columns, **obscore})


CARDS = {"AIRMASS": 1.25, "CHIP": 31, "GOOD": True, "ENDED": "2026-03-04T05:06:07", "SKY": 3600.0,
         "OBSERVER": "A  B", "ODD": "odd", "BIG": 70000, "BITS": 3.0}  # fmt: skip


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        ({"datatype": "double", "rule": "keyword:AIRMASS"}, 1.25),
        ({"datatype": "float", "rule": 0.1}, 0.10000000149011612),
        ({"datatype": "float", "rule": 1e300}, None),
        ({"datatype": "double", "unit": "deg", "rule": {"keyword": "SKY", "unit": "arcsec"}}, 1.0),
        ({"datatype": "short", "rule": "keyword:CHIP"}, 31),
        ({"datatype": "short", "rule": "keyword:BIG"}, None),
        ({"datatype": "int", "rule": "keyword:BIG"}, 70000),
        ({"datatype": "long", "rule": "expr:{BIG} * 1000000"}, 70_000_000_000),
        ({"datatype": "char", "rule": "keyword:OBSERVER"}, "A B"),
        ({"datatype": "char", "rule": "{OBSERVER}/{CHIP}"}, "A B/31"),
        ({"datatype": "char", "xtype": "timestamp", "rule": "keyword:ENDED"}, CARDS["ENDED"]),
        ({"datatype": "char", "xtype": "timestamp", "rule": "keyword:ODD"}, None),
        ({"datatype": "boolean", "rule": "keyword:GOOD"}, 1),
        ({"datatype": "boolean", "rule": "expr:{CHIP} > 100"}, 0),
        ({"datatype": "boolean", "rule": {"keyword": "NONE", "default": True}}, 1),
        ({"datatype": "boolean", "rule": {"keyword": "CHIP", "table": {"31": False}}}, 0),
        ({"datatype": "boolean", "rule": "keyword:BITS"}, None),
        ({"datatype": "char", "rule": {"match": r"(im\w+)"}}, "image"),
        ({"datatype": "double", "rule": "keyword:NONE"}, None),
        ({"datatype": "double"}, None),
    ],
)
def test_the_rule_of_a_column_fills_it(row_of, declared, value):
    row = row_of(CARDS, settings=settings_with({"mine": declared}))
    assert row.get("mine") == value
    assert type(row.get("mine")) is type(value)
    is_odd = value is None and declared.get("rule", "keyword:NONE") != "keyword:NONE"
    assert any(note.startswith("mapping of mine: ") for note in row["notes"]) is is_odd


def test_rules_of_mappings_go_before_the_declaration(tmp_path, image_writer, memory_store):
    for name in ("a.fits", "b.fits"):
        image_writer(tmp_path / name, CARDS)
    columns = {
        "one": {"datatype": "char", "rule": "declared"}, "two": {"datatype": "char"},
        "three": {"datatype": "char", "rule": "declared"},
    }  # fmt: skip
    (tmp_path / BESIDE).write_text(
        'mapping = { one = "beside", two = "beside" }\n'
        'files = [{ pattern = "b*", mapping = { three = "b" } }]'
    )
    settings = settings_with(
        columns, collections={"deep": {"folder": str(tmp_path), "mapping": {"two": "own"}}}
    )
    ingest(FolderSource(tmp_path, collection="deep"), memory_store, settings, workers=0)
    assert [[row[name] for name in columns] for row in memory_store.rows()] == [
        ["beside", "own", "declared"], ["beside", "own", "b"],
    ]  # fmt: skip


def test_what_a_column_of_a_table_is_called_is_where_it_goes(tmp_path, memory_store):
    table = tmp_path / "products.ecsv"
    table.write_text(
        "# %ECSV 1.0\n# ---\n# datatype:\n"
        "# - {name: uri, datatype: string}\n# - {name: s_ra, datatype: float64}\n"
        "# - {name: s_dec, datatype: float64}\n# - {name: s_region, datatype: string}\n"
        "# - {name: seeing, datatype: float64, unit: deg}\n# - {name: grade, datatype: string}\n"
        "uri s_ra s_dec s_region seeing grade\n"
        'https://a.example/1.fits 10.0 5.0 "CIRCLE ICRS 10 5 0.1" 0.001 A\n'
        'https://a.example/2.fits 11.0 5.0 "CIRCLE ICRS 11 5 0.1" "" ""\n'
    )
    columns = {"seeing": {"datatype": "double", "unit": "arcsec"}, "grade": {"datatype": "char"}}
    settings = settings_with(columns, collections={"deep": {"table": str(table)}})

    def run(settings):
        source = source_of(table, settings)
        return ingest(source, memory_store, settings, workers=0).statuses

    assert run(settings) == {"added": 2}
    rows = memory_store.rows()
    assert [(row.get("seeing"), row.get("grade")) for row in rows] == [(pytest.approx(3.6), "A"),
                                                               (None, None)]  # fmt: skip
    assert run(settings) == {"unchanged": 2}
    # Another unit makes other values of the same table.
    columns["seeing"]["unit"] = "arcmin"
    assert run(settings_with(columns, collections={"deep": {"table": str(table)}})) == {
        "updated": 2
    }
    assert memory_store.rows()[0]["seeing"] == pytest.approx(0.06)


def test_an_explanation_tells_where_the_value_came_from(tmp_path, image_writer):
    image_writer(tmp_path / "a.fits", CARDS)
    settings = settings_with(
        {
            "airmass": {"datatype": "double", "rule": "keyword:AIRMASS"},
            "mine": {"datatype": "char"},
        },
        collections={"deep": {"mapping": {"mine": "{CHIP}"}}},
    )
    (candidate,) = FolderSource(tmp_path, collection="deep").walk()
    origins = explain_file(candidate, rules_for(settings, "deep"))
    told = {one.column: one for one in origins.products[0].columns}
    assert (told["airmass"].value, told["airmass"].rule) == (1.25, "obscore.columns.airmass.rule")
    assert [look.name for look in told["airmass"].sources] == ["AIRMASS"]
    assert (told["mine"].value, told["mine"].rule) == (
        "31",
        "obscore.collections.deep.mapping.mine",
    )


@pytest.mark.parametrize(
    ("columns", "place", "words"),
    [
        ({"Airmass": {"datatype": "double"}}, "columns.Airmass.[key]", "is no name of a column"),
        ({"s_ra": {"datatype": "double"}}, "columns.s_ra.[key]", "has a column s_ra already"),
        ({"distance": {"datatype": "double"}}, "columns.distance.[key]", "is a word of ADQL"),
        ({"a": {}}, "columns.a.datatype", "Field required"),
        ({"a": {"datatype": "text"}}, "columns.a.datatype", "'boolean', 'short', 'int', 'long'"),
        ({"a": {"datatype": "char", "unit": "s"}}, "columns.a", "unit is for numbers"),
        ({"a": {"datatype": "int", "unit": "furlongs"}}, "columns.a", "'furlongs' is no unit"),
        ({"a": {"datatype": "int", "ucd": "obs.airmas"}}, "columns.a", "is no UCD1+"),
        ({"a": {"datatype": "int", "xtype": "timestamp"}}, "columns.a", "datatype is char"),
        ({"a": {"datatype": "int", "description": "\n"}}, "columns.a", "cannot be printed"),
        ({"a": {"datatype": "int", "rule": "many"}}, "columns.a", "'many' is none"),
        ({"a": {"datatype": "boolean", "rule": 1}}, "columns.a", "is true or false"),
        ({"a": {"datatype": "boolean", "rule": "expr:lower({X})"}}, "columns.a", "is a text"),
        ({"a": {"datatype": "boolean", "rule": {"keyword": "X", "factor": 2}}}, "columns.a",
         "is a truth value; unit, factor"),
        ({"a": {"datatype": "int", "rule": {"keywrd": "X"}}}, "columns.a.rule.keywrd",
         "not permitted"),
    ],
)  # fmt: skip
def test_faults_of_a_declaration_are_named_by_their_key(columns, place, words):
    with pytest.raises(ValidationError) as caught:
        settings_with(columns)
    (fault,) = caught.value.errors()
    assert ".".join(map(str, fault["loc"])) == place
    assert words in fault["msg"]


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({"mine": "many"}, "obscore.collections.deep.mapping.mine: the column is a number"),
        ({"mine": {"keyword": "X", "unit": "kg"}}, "mapping.mine: 'kg' cannot be converted to s"),
    ],
)
def test_rules_are_held_against_the_column(mapping, words):
    settings = settings_with({"mine": {"datatype": "double", "unit": "s"}},
                             collections={"deep": {"mapping": mapping}})  # fmt: skip
    with pytest.raises(SettingsError, match=words):
        rules_for(settings, "deep")


def test_rules_of_columns_that_there_are_not_are_refused():
    stray = {"mapping": {"mine": "x"}}
    for mapping in (stray, {"files": [{"pattern": "*", **stray}]}):
        with pytest.raises(ValidationError, match=r"mapping\.mine\n.*not permitted"):
            settings_with({"other": {"datatype": "char"}}, collections={"deep": mapping})
    # What a Butler's configuration declares is known when that is read.
    butler = {"repository": "repo", "collections": ["c"],
              "dataset_types": {"raw": {"extra_columns": {"lsst_visit": 1}}}}  # fmt: skip
    deep = {"butler": butler, "mapping": {"lsst_visit": 2}}
    assert rules_for(settings_with({}, collections={"deep": deep}), "deep").columns["lsst_visit"]
    deep["mapping"] = {"lsst_visti": 2}
    with pytest.raises(SettingsError, match=r"deep\.mapping\.lsst_visti: unknown key"):
        rules_for(settings_with({}, collections={"deep": deep}), "deep")


def butler_of(name, **extra):
    butler = {"repository": "repo", "collections": ["c"], "dataset_types": {"raw": {}},
              "extra_columns": extra}  # fmt: skip
    return {name: {"butler": butler}}


def test_all_columns_of_a_site_are_declared_together():
    settings = settings_with(
        {"seeing": {"datatype": "float"}, "visit": {"datatype": "long", "description": "Ours"}},
        collections=butler_of("a", visit=3, tract={"template": "{tract}", "type": "int"})
        | butler_of("b", tract=1, good=True),
    )  # fmt: skip
    declared = declared_columns(settings).columns
    assert [(one.name, one.column.datatype, one.column.description) for one in declared] == [
        ("seeing", "float", None), ("visit", "long", "Ours"), ("tract", "long", None),
        ("good", "boolean", None),
    ]  # fmt: skip
    other = settings_with({}, collections=butler_of("a", tract=1) | butler_of("b", tract="x"))
    declared = declared_columns(other)
    assert [one.column.datatype for one in declared.columns] == ["long"]
    assert list(declared.faults) == ["b"]
    assert "tract is char, and long in the collection a; declare" in declared.faults["b"]


def test_there_is_an_end_to_columns():
    many = {f"c{n}": {"datatype": "int"} for n in range(MOST_COLUMNS + 1)}
    with pytest.raises(SettingsError, match=r"the site adds 501 columns .* which takes 500"):
        declared_columns(settings_with(many))
    del many["c0"]
    assert len(declared_columns(settings_with(many)).columns) == MOST_COLUMNS


def test_settings_and_rules_cross_processes():
    settings = settings_with({"mine": {"datatype": "char", "rule": "x"}}, mapping={"mine": "y"})
    assert pickle.loads(pickle.dumps(settings)) == settings
    rules = rules_for(settings, "deep")
    other = pickle.loads(pickle.dumps(rules))
    assert other == rules
    assert other.mapping_for("a")["mine"] == rules.mapping_for("a")["mine"]


LIMITS = {"short": 2**15, "int": 2**31, "long": 2**63}
values = st.one_of(
    st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.just(2**63), st.none(),
    st.sampled_from([2**15, -(2**15), 2**31 - 1, 2**63 - 1, 1e39, -1e39, "T", "false", "1e2"]),
)  # fmt: skip
DATATYPES = ("boolean", "short", "int", "long", "float", "double", "char")
RULES = {
    datatype: rules_for(settings_with({"mine": {"datatype": datatype}}), "deep")
    for datatype in DATATYPES
}


@hypothesis_settings(max_examples=300, deadline=None)
@given(st.sampled_from(DATATYPES), values)
def test_whatever_is_told_the_value_is_one_of_the_column(datatype, told):
    candidate = Candidate("file:///a", "a", "deep", FileStat(0, "", 0.0), {"mine": told})
    subject = Subject(candidate=candidate, rules=RULES[datatype], bands=band_table())
    value = apply_mapping(subject, {}).get("mine")
    match datatype:
        case "char":
            assert value is None or (isinstance(value, str) and value.isprintable())
        case "float" | "double":
            assert value is None or (type(value) is float and abs(value) < float("inf"))
        case "boolean":
            assert value in {None, 0, 1}
        case _:
            assert value is None or -LIMITS[datatype] <= value < LIMITS[datatype]
            if isinstance(told, int) and not isinstance(told, bool) and abs(told) < 2**52:
                assert value == (told if abs(told) < LIMITS[datatype] else value)
