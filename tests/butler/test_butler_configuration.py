"""LSST's ObsCore configuration: what is read of it, and what is refused by name."""

from __future__ import annotations

import pytest
import yaml

from obscore.settings import CollectionSettings
from obscore.sources.butler.configuration import configuration_of
from obscore.sources.butler.settings import ButlerSettings
from obscore.sources.butler.templates import MissingError, parse_template
from vodal.errors import SettingsError

KEY = "obscore.collections.dp1.butler"
LEAST = {"facility_name": "Observatory", "collections": ["runs"], "dataset_types": {
    "raw": {"dataproduct_type": "image", "calib_level": 1}}}  # fmt: skip


PLUGINS = "lsst.daf.butler.registry.obscore"


def read(tmp_path, given, **own):
    path = tmp_path / "obscore.yaml"
    path.write_text(given if isinstance(given, str) else yaml.safe_dump(given))
    return configuration_of(ButlerSettings(repository="repo", config=str(path), **own), KEY)


def test_keys_of_the_settings_go_before_those_of_the_file(tmp_path):
    keys = read(tmp_path, LEAST, collections=("other",), facility_map={"Cam": "Big"}).keys
    assert keys.collections == ("other",)
    assert keys.facility_name == "Observatory"
    assert keys.facility_map == {"Cam": "Big"}
    assert keys.dataset_types["raw"].calib_level == 1


def test_the_form_of_a_registry_with_a_live_table_is_read_too(tmp_path):
    manager = {
        **LEAST,
        "version": 3,
        "namespace": "live",
        "collection_type": "RUN",
        "collections": ["raw/.*"],
        "table_name": "obscore",
        "indices": {"a": ["instrument_name"]},
        "spatial_plugins": {"pgs": {"cls": f"{PLUGINS}.pgsphere.PgSphereObsCorePlugin"}},
    }
    made = read(tmp_path, {"cls": "a.b.Manager", "config": manager})
    assert made.keys.collection_type == "RUN"
    (note,) = made.notes
    names = "indices, namespace, spatial_plugins, table_name, version"
    assert note == f"{names} of the configuration have no effect"


def test_what_is_no_column_of_obscore_is_added(tmp_path):
    lsst = {
        "lsst_visit": {"template": "{visit}", "type": "int", "doc": "Number of\n the visit"},
        "em_filter_name": "i", "good": True, "depth": 1,
    }  # fmt: skip
    raw = {**LEAST["dataset_types"]["raw"], "extra_columns": {
        "lsst_run": {"template": "{run}", "length": 8}, "depth": 2.5,
    }}  # fmt: skip
    given = {**LEAST, "dataset_types": {"raw": raw}, "extra_columns": lsst}
    found = read(tmp_path, given)
    assert found.notes == ()
    assert {name: (one.column.datatype, one.column.description)
            for name, one in found.columns.items()} == {
        "lsst_visit": ("long", "Number of the visit"), "good": ("boolean", None),
        "depth": ("double", None), "lsst_run": ("char", None),
    }  # fmt: skip
    raw["extra_columns"]["good"] = "yes"
    with pytest.raises(SettingsError, match="good is boolean for one dataset type and char"):
        read(tmp_path, given)


def test_what_has_no_place_here_is_noted_by_name(tmp_path):
    raw = {**LEAST["dataset_types"]["raw"], "datalink_url_fmt": "https://x/{id}",
           "extra_columns": {"obs_title": "a", "access_url": {"template": "{run}"}}}  # fmt: skip
    notes = read(tmp_path, {**LEAST, "dataset_types": {"raw": raw},
                            "extra_columns": {"Visit": 1}}).notes  # fmt: skip
    assert "Visit, access_url cannot be set in ivoa.obscore here; left out" in notes[0]
    assert "obs_title" not in notes[0]
    assert "datalink_url_fmt" in notes[1]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"facilty_name": "x"}, "facilty_name: there is no such key"),
        ({"use_butler_uri": True}, "use_butler_uri cannot be true"),
        ({"spatial_plugins": {"x": {"cls": "a.Plugin"}}}, "spatial_plugins.x: there is no plugin"),
        ({"dataset_types": {"raw": {"calib_level": 7}}}, "dataset_types.raw.calib_level"),
        ({"dataset_types": {"raw": {"s_xel": [1]}}}, "dataset_types.raw.s_xel"),
        ({"dataset_types": {}}, "dataset_types names no dataset type"),
        ({"collections": []}, "collections names no collection"),
        ({"collection_type": "TAGGED", "collections": ["a", "b"]}, "collections has one name"),
        ({"collection_type": "CHAINED"}, "collection_type"),
        ({"dataset_type_constraints": {"rwa": [{"where": "x"}]}}, "dataset_type_constraints.rwa"),
        ({"spectral_ranges": {"r": [1]}}, "spectral_ranges.r"),
        ({"obs_publisher_did_fmt": "ivo://a/{id"}, "obs_publisher_did_fmt: "),
        ({"extra_columns": {"obs_title": {"template": "{records.__class__}"}}},
         "extra_columns.obs_title: 'records.__class__' is no name"),
        ({"extra_columns": {"obs_title": {"template": "{visit:{width}}"}}}, "within a format"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_key(tmp_path, change, told):
    with pytest.raises(SettingsError) as fault:
        read(tmp_path, {**LEAST, **change})
    assert fault.value.message.startswith(f"{KEY}.config, {tmp_path}/obscore.yaml: ")
    assert told in fault.value.message


@pytest.mark.parametrize(
    ("text", "told"), [("a: [", "no YAML"), ("- a", "no mapping"), ("\xff", "no mapping")]
)
def test_a_file_of_something_else_is_told(tmp_path, text, told):
    with pytest.raises(SettingsError, match=told):
        read(tmp_path, text)
    with pytest.raises(SettingsError, match="cannot be read"):
        configuration_of(ButlerSettings(repository="r", config=str(tmp_path / "none")), KEY)


def test_dataset_types_and_conditions_have_short_forms():
    own = ButlerSettings(
        repository="repo", collections=("runs",), dataset_types=["raw"], where="visit > 3"
    )
    keys = configuration_of(own, KEY).keys
    assert list(keys.dataset_types) == ["raw"]
    assert keys.where.where == "visit > 3"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"repository": "r"}, "give dataset_types"),
        ({"repository": "r", "dataset_types": ["raw"]}, "give collections"),
    ],
)
def test_settings_that_name_nothing_are_refused(given, told):
    with pytest.raises(ValueError, match=told):
        CollectionSettings.model_validate({"butler": given})


class Record:
    name, number = "v1", 30.0


@pytest.mark.parametrize(
    "text",
    ["{visit:06d} {band!r:>8} {records[visit].number:.2f}", "{{{visit}}}", "plain",
     "{records[visit].name!s}-{visit}"],
)  # fmt: skip
def test_templates_are_filled_as_python_does(text):
    names = {"visit": 17, "band": "r", "records": {"visit": Record()}}
    template = parse_template(text)
    assert template.fill(names) == text.format(**names)


@pytest.mark.parametrize(
    "text", ["{tract}", "{records[exposure].name}", "{records[visit].none}", "{band}"]
)
def test_what_is_missing_is_named(text):
    with pytest.raises(MissingError) as fault:
        parse_template(text).fill({"visit": 17, "band": None, "records": {"visit": Record()}})
    assert str(fault.value) == text[1:-1]
