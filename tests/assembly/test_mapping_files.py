"""Mappings in files of their own: presets, a mapping file, a file beside the data."""

from __future__ import annotations

import pickle

import pytest

from obscore.assembly.line import ingest
from obscore.assembly.rules import rules_for
from obscore.mapping.document import BESIDE, parse_document, preset, preset_names, preset_text
from obscore.settings import ObsCoreSettings
from obscore.sources import FolderSource
from obscore.sources.choice import with_folders
from vodal.errors import SettingsError


def settings_with(folder, site="", **deep):
    given = {"collections": {"deep": {"folder": str(folder), **deep}}}
    return ObsCoreSettings.model_validate(given | ({"mapping": site} if site else {}))


def written(folder, text, name=BESIDE):
    (folder / name).write_text(text, "utf-8")
    return folder / name


def places_of(settings, relative="a.fits"):
    mapping = rules_for(settings, "deep").mapping_for(relative)
    return {column: placed.place for column, placed in mapping.items()}


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_is_sound_and_can_be_copied(name, tmp_path):
    assert preset(name).description
    copy = written(tmp_path, preset_text(name))
    by_name = rules_for(settings_with(tmp_path / "none", preset=name), "deep")
    by_copy = rules_for(settings_with(tmp_path), "deep")
    assert by_name.digest_for("c4d_1_ooi_g_v1.fits") == by_copy.digest_for("c4d_1_ooi_g_v1.fits")
    for column, placed in by_copy.mapping_for("a.fits").items():
        assert placed.place == f"{copy}: mapping.{column}"


def test_the_nearer_place_goes_first(tmp_path):
    beside = written(
        tmp_path,
        """
        preset = "decam"
        mapping = { obs_title = "beside", facility_name = "beside", s_resolution = 1 }
        files = [{ pattern = "a*", mapping = { obs_title = "a", proposal_id = "a" } }]
        """,
    )
    settings = settings_with(
        tmp_path, {"facility_name": "all", "proposal_id": "all"}, mapping={"proposal_id": "own"}
    )
    assert places_of(settings) == {
        "facility_name": "obscore.mapping.facility_name",
        "proposal_id": "obscore.collections.deep.mapping.proposal_id",
        "obs_title": f"{beside}: files.0.mapping.obs_title",
        "s_resolution": f"{beside}: mapping.s_resolution",
        "instrument_name": "preset decam: mapping.instrument_name",
        "obs_id": "preset decam: mapping.obs_id",
        "calib_level": "preset decam: mapping.calib_level",
    }
    assert places_of(settings, "c4d_1_ood_g.fits")["o_ucd"] == "preset decam: files.0.mapping.o_ucd"


@pytest.mark.parametrize("names", [("hst", "sdss"), ("sdss", "hst")])
def test_the_first_preset_goes_before_the_others(tmp_path, names):
    places = places_of(settings_with(tmp_path, preset=list(names)))
    both = set.intersection(*(set(preset(name).mapping.model_fields_set) for name in names))
    assert both
    assert {places[column] for column in both} == {
        f"preset {names[0]}: mapping.{column}" for column in both
    }
    alone = {place.partition(":")[0] for place in places.values()}
    assert alone == {f"preset {name}" for name in names}


def test_a_mapping_file_takes_the_place_of_the_one_beside_the_data(tmp_path):
    written(tmp_path, 'mapping = { obs_title = "beside", target_name = "beside" }')
    other = written(tmp_path, 'mapping = { obs_title = "other" }', "other.toml")
    places = places_of(settings_with(tmp_path, mapping_file=str(other)))
    assert places == {"obs_title": f"{other}: mapping.obs_title"}
    with pytest.raises(SettingsError, match=r"none\.toml cannot be read: No such file"):
        rules_for(settings_with(tmp_path, mapping_file=str(tmp_path / "none.toml")), "deep")


def test_calibration_level_and_bands_of_a_file(tmp_path, image_writer, memory_store):
    image_writer(tmp_path / "a.fits", {"FILTER": "odd", "INSTRUME": "Cam"})
    written(
        tmp_path,
        """
        calib_level = 3
        [bands]
        Odd = { min_nm = 500, max_nm = 600, name = "O" }
        """,
    )

    def row(settings):
        ingest(FolderSource(tmp_path, collection="deep"), memory_store, settings, workers=0)
        return memory_store.rows()[0]

    made = row(settings_with(tmp_path))
    assert (made["calib_level"], made["filter"], made["em_min"]) == (3, "O", 5e-7)
    # The site's own go before, where they are for the instrument.
    site = settings_with(tmp_path, calib_level=1).model_dump()
    band = {"min_nm": 1, "max_nm": 2, "instrument": "Other"}
    made = row(ObsCoreSettings.model_validate(site | {"bands": {"odd": band}}))
    assert (made["calib_level"], made["em_min"]) == (1, 5e-7)
    band["instrument"] = "Cam"
    made = row(ObsCoreSettings.model_validate(site | {"bands": {"odd": band}}))
    assert made["em_min"] == 1e-9


def test_files_left_out_by_a_file_can_be_taken_back(tmp_path):
    written(tmp_path, 'files = [{ pattern = "*_thumb.fits", skip = true }]')
    relative = "raw/x_thumb.fits"
    assert rules_for(settings_with(tmp_path), "deep").skips(relative)
    files = [{"pattern": "raw/*", "mapping": {"calib_level": 1}}]
    assert rules_for(settings_with(tmp_path, files=files), "deep").skips(relative)
    files[0]["skip"] = False
    assert not rules_for(settings_with(tmp_path, files=files), "deep").skips(relative)


def test_a_changed_file_makes_the_next_run_read_what_it_concerns(
    tmp_path, image_writer, memory_store
):
    for name in ("a.fits", "raw/b.fits"):
        image_writer(tmp_path / name)

    def run():
        settings = with_folders(ObsCoreSettings(), [source := FolderSource(tmp_path)])
        return ingest(source, memory_store, settings, workers=0).statuses

    assert run() == {"added": 2}
    written(tmp_path, 'mapping = { obs_title = "x" }')
    assert run() == {"updated": 2}
    assert {row["obs_title"] for row in memory_store.rows()} == {"x"}
    written(tmp_path, '# A remark.\nmapping = { obs_title = "x" }')
    assert run() == {"unchanged": 2}
    rule = '{ pattern = "raw/*", mapping = { obs_title = "raw" } }'
    written(tmp_path, f'mapping = {{ obs_title = "x" }}\nfiles = [{rule}]')
    assert run() == {"updated": 1, "unchanged": 1}
    assert [row["obs_title"] for row in memory_store.rows()] == ["x", "raw"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[mapping]\nt_exptim = 3", ": mapping.t_exptim: unknown key"),
        ("[mapping]\nt_exptime = { keyword = 'X', unit = 'pc' }",
         ": mapping.t_exptime: 'pc' cannot be converted to s"),
        ("[[files]]\nmapping = { obs_id = 3 }\npattern = '*'",
         ": files.0.mapping.obs_id: the column is a text"),
        ("[bands]\nr = { min_nm = 3, max_nm = 2 }", ": bands.r: min_nm must be less"),
        ("[bands]\nr = { min_nm = 1, max_nm = 2, instrument = '(' }", "is no regular expression"),
        ("preset = ['decam', 'deccam']", ": preset.1: there is no preset 'deccam'"),
        ("calib_level = 5", ": calib_level: Input should be less than or equal to 4"),
        ("mapping = x", "Invalid value (at line 1"),
        ("[mapping]\nobs_collection = 'open'",
         ": mapping.obs_collection: rules of access go by it"),
        ("[[files]]\npattern = '*'\nmapping = { obs_release_date = '2000-01-01T00:00:00' }",
         ": files.0.mapping.obs_release_date: rules of access"),
        ("# " + "x" * 1_000_000, "larger than 1 MB"),
    ],
)  # fmt: skip
def test_faults_are_named_by_file_and_key(tmp_path, text, words):
    path = written(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        rules_for(settings_with(tmp_path), "deep")
    assert str(caught.value).startswith(str(path))
    assert words in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path):
    (tmp_path / BESIDE).write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="no text in UTF-8"):
        rules_for(settings_with(tmp_path), "deep")
    (tmp_path / BESIDE).unlink()
    (tmp_path / BESIDE).mkdir()
    with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
        rules_for(settings_with(tmp_path), "deep")


def test_access_columns_may_be_set_by_the_operator(tmp_path):
    text = "mapping = { obs_collection = 'open' }"
    other = written(tmp_path, text, "other.toml")
    assert "obs_collection" in places_of(settings_with(tmp_path, mapping_file=str(other)))
    assert parse_document(text, "x").mapping.obs_collection is not None


def test_rules_cross_processes(tmp_path):
    rules = rules_for(settings_with(tmp_path, preset="decam"), "deep")
    told = rules.digest_for("c4d_1_oow_g.fits")
    other = pickle.loads(pickle.dumps(rules))
    assert other == rules
    assert other.digest_for("c4d_1_oow_g.fits") == told


TABLE = 'name,long,nm,level\n# ours\nr,red,620,3\n12,"a, b",,2\n'


def test_tables_in_files(tmp_path, image_writer, memory_store):
    image_writer(tmp_path / "a.fits", {"MYBAND": "r", "NUMBER": 12.0})
    written(tmp_path, TABLE, "t.csv")
    written(
        tmp_path,
        """
        [mapping]
        obs_title = { keyword = "NUMBER", table_file = "t.csv" }
        em_min = { keyword = "MYBAND", table_file = "t.csv", table_column = "nm", unit = "nm" }
        em_max = 1.0
        target_name = { keyword = "NUMBER", table_file = "t.csv", table_column = "nm" }
        [[files]]
        pattern = "a*"
        mapping.calib_level = { keyword = "MYBAND", table_file = "t.csv", table_column = "level" }
        """,
    )

    def run():
        source = FolderSource(tmp_path, collection="deep")
        return ingest(source, memory_store, settings_with(tmp_path), workers=0).statuses

    assert run() == {"added": 1}
    (row,) = memory_store.rows()
    assert (row["obs_title"], row["calib_level"]) == ("a, b", 3)
    assert row["em_min"] == pytest.approx(6.2e-7)
    assert row["target_name"] is None
    assert run() == {"unchanged": 1}
    written(tmp_path, TABLE.replace("620", "610"), "t.csv")
    assert run() == {"updated": 1}


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("name,nm\nr,620,1\n", "line 2 has 3 values for 2 columns"),
        ("name,nm\nr,1\nr,2\n", "line 3 has 'r' a second time"),
        ("name\nr\n", "has no header with a column 'nm'"),
        ("", "has no header with a column 'nm'"),
        ("name,nm\nr,red\n", "the column is a number, and 'red' is none"),
        ('name,nm\nr,"red\n', "is no CSV: unexpected end of data"),
    ],
)
def test_faults_of_tables_are_named(tmp_path, table, words):
    rule = '{ keyword = "X", table_file = "t.csv", table_column = "nm", unit = "nm" }'
    written(tmp_path, table, "t.csv")
    path = written(tmp_path, f"mapping.em_min = {rule}")
    with pytest.raises(SettingsError) as caught:
        rules_for(settings_with(tmp_path), "deep")
    assert str(caught.value).startswith(f"{path}: mapping.em_min: {tmp_path / 't.csv'}")
    assert words in str(caught.value)


def test_a_mapping_beside_the_data_reads_tables_there_alone(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    written(tmp_path, TABLE, "t.csv")
    (data / "link.csv").symlink_to(tmp_path / "t.csv")
    for name in ("../t.csv", str(tmp_path / "t.csv"), "link.csv"):
        text = f'mapping.obs_title = {{ keyword = "X", table_file = "{name}" }}'
        written(data, text)
        with pytest.raises(SettingsError, match="does not lie beside the mapping"):
            rules_for(settings_with(data), "deep")
        # The operator's own may lie anywhere.
        assert rules_for(
            settings_with(data, mapping_file=str(written(data, text, "m.toml"))), "deep"
        )
