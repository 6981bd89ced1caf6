"""Explanations tell the truth: each card they name has that value, and does give the column's."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from astropy.io import fits

from obscore.assembly.explain import explain_file, origins_of
from obscore.assembly.read import read_file
from obscore.assembly.rules import rules_for
from obscore.assembly.trace import MAPPING, Trace
from obscore.columns import COLUMN_NAMES
from obscore.settings import ObsCoreSettings
from obscore.sources import Candidate, FolderSource

DECAM = ObsCoreSettings.model_validate({"collections": {"deep": {"preset": "decam"}}})


def candidate_of(path, **facts):
    (candidate,) = FolderSource(path.parent, collection="deep", start=path).walk()
    return replace(candidate, facts=facts)


def explained(path, mapping=None, settings=None, **facts):
    """Give the columns of the one product by name, and the whole."""
    deep = {"collections": {"deep": {"mapping": mapping or {}}}}
    settings = settings or ObsCoreSettings.model_validate(deep)
    origins = explain_file(candidate_of(path, **facts), rules_for(settings, "deep"))
    (product,) = origins.products
    return {origin.column: origin for origin in product.columns}, origins


def told(origin):
    return [(look.name, look.where, look.value) for look in origin.sources]


CARDS = {"OBJECT": "M 51", "EXPTIME": (30.0, "[s] exposure"), "DATE-OBS": "2026-03-04T05:06:07.5",
         "FILTER": "r", "INSTRUME": "DECam", "PROPID": "a long title of a programme",
         "PROGID": "42-A", "MYEXP": 90000, "CHIP": 3.0}  # fmt: skip


def test_what_the_steps_tell(tmp_path, image_writer):
    columns, origins = explained(image_writer(tmp_path / "a.fits", CARDS))
    assert told(columns["target_name"]) == [("OBJECT", "HDU 0", "M 51")]
    assert told(columns["t_exptime"]) == [("EXPTIME", "HDU 0", 30.0)]
    assert columns["t_exptime"].sources[0].unit == "s"
    assert told(columns["t_min"]) == [("DATE-OBS", "HDU 0", "2026-03-04T05:06:07.5")]
    assert "MJD-OBS" in columns["t_min"].missing
    assert columns["t_max"].how == ("t_min + t_exptime",)
    assert told(columns["em_min"])[-1] == ("FILTER", "HDU 0", "r")
    assert columns["em_min"].how == ("filter r, by the table of bands: DECam",)
    assert told(columns["proposal_id"]) == [("PROGID", "HDU 0", "42-A")]
    assert [look.name for look in columns["proposal_id"].passed_over] == ["PROPID"]
    assert columns["obs_id"].how == ("the file's path",)
    assert columns["s_ra"].how == ("the world coordinates of HDU 0: RA---TAN, DEC--TAN",)
    assert columns["calib_level"].how == ("that of the collection",)
    assert not any(origin.rule for origin in columns.values())
    assert origins.refusal is None


@pytest.mark.parametrize(
    ("rule", "names", "how"),
    [
        ({"keyword": ["NONE", "MYEXP"], "unit": "ms"}, ["MYEXP"], ["90000 ms"]),
        ({"keyword": "CHIP", "factor": 2, "offset": 1}, ["CHIP"], ["by factor and offset: 7"]),
        ("expr:{MYEXP} / {CHIP}", ["MYEXP", "CHIP"], ["{MYEXP} / {CHIP}"]),
        ("expr:coalesce({MYEXP}, {CHIP})", ["MYEXP"], ["coalesce({MYEXP}, {CHIP})"]),
        ({"keyword": "CHIP", "table": {"3": 7}}, ["CHIP"], ["'3' in the table: 7"]),
        ({"match": "([0-9]+)"}, [], ["'([0-9]+)' in the path"]),
        ("{MYEXP}", ["MYEXP"], ["the template '{MYEXP}'"]),
        ({"fact": "visit"}, ["fact:visit"], []),
        (12, [], ["a constant"]),
        ({"keyword": "NONE", "default": 3}, [], ["the default"]),
        ({"keyword": "OBJECT", "default": 3}, [], ["the default"]),
    ],
)
def test_what_a_rule_tells(tmp_path, image_writer, rule, names, how):
    path = image_writer(tmp_path / "a12.fits", CARDS)
    columns, _ = explained(path, {"t_exptime": rule}, visit=42)
    origin = columns["t_exptime"]
    assert origin.by_rule
    assert origin.rule == "obscore.collections.deep.mapping.t_exptime"
    assert [look.name for look in origin.sources] == names
    assert list(origin.how) == how
    # What follows from it says so.
    assert [look.where for look in columns["t_resolution"].sources] == [MAPPING]


def test_a_rule_that_finds_nothing_is_told_with_what_serves_instead(tmp_path, image_writer):
    path = image_writer(tmp_path / "a.fits", CARDS)
    columns, _ = explained(path, {"t_exptime": "keyword:NONE", "filter": "V"})
    origin = columns["t_exptime"]
    assert (origin.value, origin.by_rule) == (30.0, False)
    assert origin.rule == "obscore.collections.deep.mapping.t_exptime"
    assert told(origin) == [("EXPTIME", "HDU 0", 30.0)]
    assert origin.missing == ("NONE",)
    assert columns["filter"].by_rule
    assert columns["filter"].how == (
        "a constant", "filter V, by the table of bands: Johnson-Cousins",
    )  # fmt: skip


def test_refusals_and_notes_are_told(tmp_path, image_writer):
    path = image_writer(tmp_path / "a.fits", CARDS)
    columns, origins = explained(path, {"t_max": 1.0, "t_exptime": "keyword:OBJECT"})
    assert origins.refusal.reason == origins.products[0].refusal.reason == "row:order"
    assert columns["t_max"].value == 1.0
    assert origins.products[0].notes == ("mapping of t_exptime: 'M 51' is no number",)
    (tmp_path / "b.fits").write_text("<html>")
    origins = explain_file(candidate_of(tmp_path / "b.fits"), rules_for(DECAM, "deep"))
    assert origins.refusal.reason == "not-fits"
    assert origins.products == ()
    assert json.loads(json.dumps(origins.to_dict()))["refusal"]["reason"] == "not-fits"


def test_rows_of_what_a_source_tells_are_explained(tmp_path, image_writer):
    path = image_writer(tmp_path / "a.fits", CARDS)
    deep = {"headers": False, "mapping": {"obs_id": "v{fact:visit}", "target_name": "fact:none"}}
    settings = ObsCoreSettings.model_validate({"collections": {"deep": deep}})
    facts = {"visit": 7, "t_min": 60000.25, "t_exptime": 86.4, "filter": "r",
             "s_region": "CIRCLE ICRS 10 5 1", "instrument_name": "DECam"}  # fmt: skip
    columns, origins = explained(path, settings=settings, **facts)
    assert origins.refusal is None
    assert told(columns["obs_id"]) == [("fact:visit", "the source", 7)]
    assert columns["t_min"].rule == "the source's column of this name"
    assert told(columns["t_max"]) == [("t_min", MAPPING, 60000.25), ("t_exptime", MAPPING, 86.4)]
    assert [look.name for look in columns["em_min"].sources] == ["filter", "instrument_name"]
    assert columns["em_min"].how == ("filter r, by the table of bands: DECam",)
    assert columns["s_ra"].how == ("s_region",)
    assert columns["target_name"].missing == ("fact:none",)
    for origin in columns.values():
        assert origin.value is None or origin.sources or origin.how, origin


def test_looks_outside_of_any_column_are_found_out():
    trace = Trace("")
    trace.missed("EXPTIME")
    with trace.of("t_exptime"):
        trace.missed("EXPTIME")
        trace.used(("EXPTIME",), "", also=False)
        trace.used(("EXPOSURE",), "", also=False)
    assert trace.astray == [
        "EXPTIME is of no column", "EXPOSURE was not looked at for ('t_exptime',)",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def real(real_images):
    """Give candidate, traces and row of each real file that is published."""
    folder = real_images
    rules = rules_for(DECAM, "deep"), rules_for(ObsCoreSettings(), "deep")
    files = {}
    for item in FolderSource(folder, collection="deep").walk():
        if isinstance(item, Candidate):
            traces = []
            outcome = read_file(item, rules[0 if "decam" in item.relative else 1], traces=traces)
            plain = read_file(item, rules[0 if "decam" in item.relative else 1])
            files[item.relative] = item, traces, outcome, plain
    return files


@pytest.mark.realdata
def test_explaining_changes_nothing(real):
    assert len(real) > 200
    for path, (_, traces, outcome, plain) in real.items():
        assert outcome.refusal == plain.refusal, path
        assert [trace.astray for trace in traces if trace.astray] == [], path
        if outcome.file is not None:
            assert outcome.file.observations == plain.file.observations, path
            assert outcome.file.notes == plain.file.notes, path


def same(card, value):
    if isinstance(card, str):
        return card.strip() == value
    return card == value and isinstance(value, bool) == isinstance(card, bool)


VERBATIM = ("target_name", "facility_name", "instrument_name", "proposal_id", "obs_id", "o_unit")


@pytest.mark.realdata
@pytest.mark.filterwarnings("ignore")
def test_told_cards_have_the_told_values(real):
    """Beside astropy's reading of the same HDU."""
    looked = columns = 0
    for path, (item, traces, outcome, _) in real.items():
        if outcome.file is None:
            continue
        with fits.open(Path(item.uri.removeprefix("file://")), lazy_load_hdus=True) as hdus:
            for product in map(origins_of, traces):
                for origin in product.columns:
                    columns += 1
                    # Nothing comes from nowhere.
                    assert origin.value is None or origin.sources or origin.how, (path, origin)
                    for look in (*origin.sources, *origin.passed_over):
                        if look.where == MAPPING:
                            continue
                        looked += 1
                        header = hdus[int(look.where.removeprefix("HDU "))].header
                        assert same(header[look.name], look.value), (path, origin.column, look)
                    if origin.column in VERBATIM and origin.sources and not origin.how:
                        (look,) = origin.sources
                        assert origin.value == " ".join(str(look.value).split()), (path, origin)
                    for name in origin.missing:
                        if not name.startswith("fact:"):
                            assert missing(hdus, product, name), (path, origin.column, name)
    assert columns > 4000
    assert looked > 4000


def missing(hdus, product, name):
    """Tell whether neither the image's header nor the primary one has a value that is one."""
    words = {"", "unknown", "none", "null", "n/a", "na", "nan", "undefined", "-", "--", "?",
             "not set", "not available", "undef", "tbd", "_unknown_"}  # fmt: skip
    named = [hdu for hdu in hdus if product.label and product.label.startswith(f"{hdu.name},")]
    values = [hdu.header.get(name) for hdu in (hdus[0], *named)]
    return all(
        value is None or isinstance(value, fits.card.Undefined)
        or str(value).strip().lower() in words or value != value  # noqa: PLR0124
        for value in values
    )  # fmt: skip


# Cards that shape the file and the world coordinates, which are not told one by one.
STRUCTURE = re.compile(
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|PCOUNT|GCOUNT|GROUPS|END|EXTNAME|EXTVER|BSCALE|BZERO"
    r"|BLANK|INHERIT|T[A-Z]{4}\d+|TFIELDS|THEAP|Z[A-Z]+\d*|CTYPE.*|CRVAL.*|CRPIX.*|CDELT.*|CD\d.*"
    r"|PC\d.*|PV\d.*|PS\d.*|CUNIT.*|CROTA\d|RADESYS.*|RADECSYS|EQUINOX.*|EPOCH|L[OA][NT]POLE.*"
    r"|WCS.*|[AB]P?_(ORDER|DMAX|\d_\d)|D2IM.*|CPDIS.*|CPERR.*|DP\d.*|DQ\d.*|SPECSYS|VELREF"
    r"|AMD[XY]\d+|PLT.*|PPO\d|CNPIX\d|[XY]PIXELSZ"  # of the Digitized Sky Survey
    r"|MJDREF.*|OBSGEO.*|DATEREF|SIP.*"
)
SMALL = [
    "decam_dithers_grz/c4d_150411_035242_ooi_z_ls9.N3.fits",
    "lsst_family/exposure-version-2.fits",
    "sdss_other/", "unwise_epochs/", "hst/", "radio_epochs/", "cubes/", "projections/", "odd/",
]  # fmt: skip


@pytest.fixture(scope="module")
def few(real):
    """Give some small plain files of many observatories."""
    found = []
    for start in SMALL:
        fitting = [
            item for path, (item, traces, outcome, _) in sorted(real.items())
            if path.startswith(start) and outcome.file is not None and len(traces) == 1
            and path.endswith((".fits", ".fit")) and item.stat.size_bytes < 2_000_000
        ]  # fmt: skip
        found += [(item, origins_of(real[item.relative][1][0])) for item in fitting[:3]]
    assert len(found) > 12
    return found


def copied(item, folder, change):
    """Write a copy with changed headers; ``change`` gets each of them."""
    path = folder / "copy" / item.relative
    path.parent.mkdir(parents=True, exist_ok=True)
    with fits.open(Path(item.uri.removeprefix("file://")), disable_image_compression=True) as hdus:
        for number, hdu in enumerate(hdus):
            change(number, hdu.header)
        hdus.writeto(path, output_verify="ignore", overwrite=True)
    return replace(candidate_of(path), relative=item.relative, stat=item.stat)


def row_of(item):
    rules = rules_for(DECAM if "decam" in item.relative else ObsCoreSettings(), "deep")
    outcome = read_file(item, rules)
    if outcome.file is None:
        return {}
    row = dict(outcome.file.observations[0].row)
    row.pop("access_estsize")
    return row


@pytest.mark.realdata
@pytest.mark.filterwarnings("ignore")
def test_cards_that_are_not_told_change_nothing(few, tmp_path):
    """Nothing is read beside what is told: without all other cards the row is the same."""
    removed = 0
    for item, product in few:
        names = {
            look.name for origin in product.columns
            for look in (*origin.sources, *origin.passed_over)
        }  # fmt: skip

        def strip(_number, header, names=names):
            nonlocal removed
            for keyword in set(header):
                if keyword and keyword not in names and not STRUCTURE.fullmatch(keyword):
                    removed += 1
                    header.remove(keyword, remove_all=True)

        # Plain coordinates may have become still plainer, and be rounded elsewhere on their way.
        stripped = row_of(copied(item, tmp_path, strip))
        assert stripped == pytest.approx(row_of(item), rel=1e-9, abs=0.0), item.relative
    assert removed > 300


def other_value(value):
    """Give a value that is another, of the same form."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value * 0.75 + 1
    if value in {"UTC", "TAI", "TT"}:
        return "TAI" if value == "UTC" else "UTC"
    year = re.match(r"(19|20)\d\d(?=-)", value)
    if year:
        return str(int(year[0]) - 1) + value[4:]
    if re.match(r"\d\d:\d\d", value):
        return value[:1] + str((int(value[1]) + 1) % 3) + value[2:]
    try:
        return str(float(value) * 0.75)
    except ValueError:
        return "Zz" + re.sub(r"\d", lambda digit: str((int(digit[0]) + 1) % 10), value[:60])


@pytest.mark.realdata
@pytest.mark.filterwarnings("ignore")
def test_another_value_of_a_told_card_makes_another_column(few, tmp_path):
    changed = 0
    for item, product in few:
        before = row_of(item)
        by_card = {}
        for origin in product.columns:
            for look in origin.sources:
                # The instrument chooses among tables of bands, which may agree; so may units.
                if look.where != MAPPING and look.name not in {"INSTRUME", "TELESCOP", "BUNIT"}:
                    by_card.setdefault((look.name, look.where, look.value), []).append(origin)
        for (name, where, value), columns in by_card.items():
            # What was not taken may say the same, and would be taken then.
            spare = {look.name for origin in columns for look in origin.passed_over} - {name}

            def alter(number, header, name=name, where=where, value=value, spare=spare):
                for keyword in spare & set(header):
                    header.remove(keyword, remove_all=True)
                if where == f"HDU {number}":
                    header[name] = other_value(value)

            after = row_of(copied(item, tmp_path, alter))
            for origin in columns:
                if origin.column in {"em_res_power", "calib_level", "dataproduct_subtype", "o_ucd"}:
                    continue  # few values, which may agree
                changed += 1
                assert after.get(origin.column) != before[origin.column], (
                    item.relative, origin.column, name,
                )  # fmt: skip
    assert changed > 60


def test_every_column_is_told_or_has_no_value(tmp_path, image_writer):
    columns, _ = explained(image_writer(tmp_path / "a.fits", CARDS))
    row = row_of(candidate_of(tmp_path / "a.fits"))
    for name in COLUMN_NAMES:
        if row.get(name) is not None:
            assert columns[name].value == row[name]
    assert set(row) - set(columns) <= {name for name, value in row.items() if value is None}
