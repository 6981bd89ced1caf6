"""Rows of a Butler beside those that LSST's own exporter makes of the same configuration."""

from __future__ import annotations

import logging

import pytest
import yaml
from lsst.daf.butler import Butler
from lsst.dax.obscore import ExporterConfig, ObscoreExporter

from obscore.assembly.read import read_file
from obscore.assembly.rules import rules_for
from obscore.settings import ObsCoreSettings
from obscore.sources.base import Problem
from obscore.sources.choice import configured_sources
from vodal.errors import UsageError
from vodal.regions import parse_shape

pytestmark = pytest.mark.xdist_group("butler")

CONFIGURATION = """
facility_name: Observatory
facility_map:
  Cam: "Observatory:Big"
obs_collection: Survey.1
collections: ["Cam/all"]
use_butler_uri: false
fallback_instrument: Cam
obs_publisher_did_fmt: "ivo://observatory.example/images?repo=main&id={id}"
dataset_types:
  raw:
    dataproduct_type: image
    dataproduct_subtype: survey.raw
    calib_level: 1
    obs_id_fmt: "{records[exposure].obs_id}-{visit:06d}-{records[detector].full_name}"
    o_ucd: phot.count
    access_format: image/fits
    datalink_url_fmt: "https://links.example/{obs_id}"
    s_xel: [44, 42]
    extra_columns:
      obs_title:
        template: "{dataset_type} - {band} - {records[exposure].timespan.begin.utc.isot}Z"
      proposal_id: "P1"
  visit_image:
    dataproduct_type: image
    dataproduct_subtype: survey.visit_image
    calib_level: 2
    obs_id_fmt: "{records[visit].name}"
    o_ucd: phot.flux.density
    obs_collection: Survey.1.calibrated
    extra_columns:
      obs_title: {template: "{obs_id} {calib_level} {records[visit].exposure_time:.1f} {run}"}
      t_resolution: {template: "{records[visit].exposure_time}", type: float}
  deep_coadd:
    dataproduct_type: image
    calib_level: 3
    obs_id_fmt: "{skymap}-{tract}-{patch}"
extra_columns:
  lsst_visit: {template: "{visit}", type: int, doc: Visit}
  lsst_tract: {template: "{tract}", type: int}
  obs_title: {template: "{skymap} {tract}", type: string}
  pol_xel: 1
spectral_ranges:
  r: [551.0e-9, 689.1e-9]
  i1: [690.0e-9, 818.8e-9]
  i: [1.0e-9, 2.0e-9]
"""
OURS = {"access_url", "access_format", "s_region", "s_ra", "s_dec", "s_fov"}
"""Columns that differ by intent, or in their last digits."""
FOLLOW = {"t_resolution", "t_xel", "em_xel", "em_res_power"}
"""Columns that follow from others and that LSST leaves empty."""


def settings_of(tmp_path, repository, configuration, **own):
    path = tmp_path / "obscore.yaml"
    text = configuration if isinstance(configuration, str) else yaml.safe_dump(configuration)
    path.write_text(text)
    butler = {"repository": repository.root, "config": str(path), **own.pop("butler", {})}
    return ObsCoreSettings(
        authority="observatory.example", collections={"images": {"butler": butler, **own}}
    )


def walked(settings):
    (source,) = configured_sources(settings)
    found = list(source.walk())
    problems = [one for one in found if isinstance(one, Problem)]
    return [one for one in found if not isinstance(one, Problem)], problems


def rows_of(settings):
    """Make the rows as the line does; gives them by identifier, with what was no file."""
    candidates, problems = walked(settings)
    rules = rules_for(settings, "images")
    rows = {}
    for candidate in candidates:
        outcome = read_file(candidate, rules)
        assert outcome.file is not None, outcome.refusal
        for one in outcome.file.observations:
            rows[one.did] = dict(one.row)
    return rows, problems


def exported(repository, configuration):
    """Give the rows of LSST's exporter by identifier."""
    logging.getLogger("lsst").setLevel(logging.ERROR)
    config = ExporterConfig.model_validate(yaml.safe_load(configuration))
    with Butler.from_config(repository.root) as butler:
        rows = list(ObscoreExporter(butler, config).iter_records())
    return {row["obs_publisher_did"]: row for row in rows}


def assert_same(ours, theirs):
    """Compare two rows column by column."""
    theirs = {**theirs, "filter": theirs["em_filter_name"]}
    for name in sorted((set(theirs) & set(ours)) - OURS):
        if theirs[name] is None and name in FOLLOW:
            continue
        if isinstance(theirs[name], float):
            assert ours[name] == pytest.approx(theirs[name], rel=1e-14), name
        else:
            assert ours[name] == theirs[name], name
    given = {name for name, value in theirs.items() if value is not None}
    strays = {"em_filter_name", "lsst_visit", "lsst_tract"}
    assert given - strays - {"access_url"} <= set(ours) | {"access_format"}
    # LSST's centre is that of the circle around the outline, ours that of its area.
    assert ours["s_ra"] == pytest.approx(theirs["s_ra"], abs=1e-6)
    assert ours["s_dec"] == pytest.approx(theirs["s_dec"], abs=1e-6)
    assert ours["s_fov"] == pytest.approx(theirs["s_fov"], rel=1e-4)
    outline = parse_shape(ours["s_region"]).vertices
    numbers = [float(word) for word in theirs["s_region"].split()[2:]]
    corners = list(zip(numbers[::2], numbers[1::2], strict=True))
    # From inside the sphere, and so the other way round.
    start = min(range(len(outline)), key=lambda at: abs(outline[at][0] - corners[-1][0]) % 360
                + abs(outline[at][1] - corners[-1][1]))  # fmt: skip
    turned = [outline[(start + step) % len(outline)] for step in range(len(outline))]
    assert turned == [pytest.approx(corner, abs=6e-7) for corner in reversed(corners)]


def test_rows_are_those_of_the_exporter(repository, tmp_path):
    ours, problems = rows_of(settings_of(tmp_path, repository, CONFIGURATION))
    theirs = exported(repository, CONFIGURATION)
    assert len(theirs) == 14
    assert set(ours) == set(theirs)
    for did, row in theirs.items():
        assert_same(ours[did], row)
    # The exporter says nothing of an exposure that is no visit.
    assert [one.reason for one in problems] == ["no-position", "no-position"]
    assert "exposure 104" in problems[0].message
    titles = {row["obs_title"] for row in ours.values()}
    assert "raw - r - 2026-01-01T03:00:23.000000Z" in titles
    assert "map 7" in titles


CONSTRAINED = yaml.safe_load(CONFIGURATION) | {
    "where": {"where": "instrument = 'Cam' AND detector = first", "bind": {"first": 2}},
    "dataset_type_constraints": {
        "visit_image": [{"where": "instrument = 'Cam' AND visit = 102"},
                        {"where": "instrument = 'Cam' AND visit > 101 AND detector = 1"}],
        "deep_coadd": [{"where": "instrument = 'Cam' AND visit = 102",
                        "extra_dims": ["visit", "patch"]}],
    },
}  # fmt: skip


def test_constraints_take_what_the_exporter_takes(repository, tmp_path):
    text = yaml.safe_dump(CONSTRAINED)
    ours, _ = rows_of(settings_of(tmp_path, repository, text))
    theirs = exported(repository, text)
    assert {row["lsst_visit"] for row in theirs.values()} == {101, 102, 103, None}
    assert set(ours) == set(theirs)
    candidates, _ = walked(settings_of(tmp_path, repository, text))
    # Of a dataset that two constraints take there is one row.
    assert len(candidates) == len(theirs)


def small(**more):
    kinds = {"visit_image": {"dataproduct_type": "image", "calib_level": 2}}
    return {"facility_name": "O", "collections": ["Cam/all"], "dataset_types": kinds, **more}


@pytest.mark.parametrize(
    ("change", "runs", "count"),
    [
        ({}, {"Cam/first", "Cam/second"}, 6),
        ({"collections": ["Cam/first"]}, {"Cam/first"}, 6),
        ({"collections": ["Cam/first", "Cam/second"]}, {"Cam/first"}, 6),
        ({"collections": ["Cam/*st"]}, {"Cam/first"}, 6),
        ({"collections": ["best"]}, {"Cam/first"}, 6),
        ({"collections": ["best"], "collection_type": "TAGGED"}, {"Cam/first"}, 6),
        ({"collections": ["Cam/(first|second)"], "collection_type": "RUN"},
         {"Cam/first", "Cam/second"}, 8),
        ({"collections": ["first"], "collection_type": "RUN"}, None, 0),
        ({"collections": [], "collection_type": "RUN"}, {"Cam/first", "Cam/second"}, 8),
    ],
)  # fmt: skip
def test_collections_are_searched_as_the_butler_does(repository, tmp_path, change, runs, count):
    settings = settings_of(tmp_path, repository, small(**change))
    if runs is None:
        with pytest.raises(UsageError, match=r"butler.collections: the repository has none of"):
            walked(settings)
        return
    candidates, problems = walked(settings)
    assert not problems
    assert {one.facts["run"] for one in candidates} == runs
    assert len(candidates) == count


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"collections": ["none"]}, "butler.collections: .*none"),
        ({"collections": ["Cam/first"], "collection_type": "TAGGED"},
         "butler.collections: Cam/first is no TAGGED collection but a RUN"),
        ({"collections": ["("], "collection_type": "RUN"}, "no regular expression"),
        ({"dataset_types": {"none": {"calib_level": 1}}},
         "butler.dataset_types: the repository has no dataset type none"),
        ({"where": {"where": "visit >"}}, "butler.where: "),
        ({"where": {"where": "colour = 3"}}, "butler.where: .*colour"),
        ({"dataset_type_constraints": {"visit_image": [{"where": "detector = x"}]}},
         "butler.dataset_type_constraints.visit_image: .*x"),
        ({"dataset_types": {"visit_image": {"obs_id_fmt": "{tract}"}}},
         "obs_id_fmt of visit_image names tract, which no dataset of this type has"),
        ({"dataset_types": {"visit_image": {"obs_id_fmt": "{records[visit].nme}"}}},
         r"names records\[visit\].nme"),
        ({"obs_publisher_did_fmt": "ivo://a.b/{uuid}"}, "obs_publisher_did_fmt names uuid"),
    ],
)  # fmt: skip
def test_what_the_repository_does_not_have_is_told_with_its_key(repository, tmp_path, change, told):
    settings = settings_of(tmp_path, repository, small(**change))
    with pytest.raises(UsageError, match=told) as fault:
        walked(settings)
    assert fault.value.message.startswith("obscore.collections.images.butler")


def test_a_dataset_type_that_is_not_there_yet_is_a_problem_beside_others(repository, tmp_path):
    kinds = {**small()["dataset_types"], "later": {"calib_level": 1}}
    candidates, problems = walked(settings_of(tmp_path, repository, small(dataset_types=kinds)))
    assert len(candidates) == 6
    assert [(one.uri, one.reason) for one in problems] == [("butler:later/", "no-dataset-type")]


@pytest.mark.parametrize("place", ["none", "none/butler.yaml", "."])
def test_a_repository_that_is_not_there_is_told(repository, tmp_path, place):
    own = {"repository": str(tmp_path / place)}
    settings = settings_of(tmp_path, repository, small(), butler=own)
    with pytest.raises(UsageError, match="repository: there is no Butler repository"):
        walked(settings)


def test_the_size_of_batches_does_not_matter(repository, tmp_path):
    whole, _ = walked(settings_of(tmp_path, repository, CONFIGURATION))
    few, _ = walked(settings_of(tmp_path, repository, CONFIGURATION, butler={"batch_size": 3}))
    assert whole == few


def test_a_warp_covers_what_visit_and_patch_share(repository, tmp_path):
    (warp,), _ = walked(settings_of(tmp_path, repository, small(dataset_types={"warp": {}})))
    region = warp.parts[0].region
    ref = next(ref for ref in repository.refs.values() if ref.datasetType.name == "warp")
    with Butler.from_config(repository.root) as butler:
        both = butler.registry.expandDataId(ref.dataId).region
    from lsst.sphgeom import LonLat, UnitVector3d

    from vodal.regions import Point
    from vodal.sphere import contains

    for step in range(400):
        ra, dec = -0.02 + 0.002 * (step % 20), 20.0 + 0.003 * (step // 20)
        inside = both.contains(UnitVector3d(LonLat.fromDegrees(ra, dec)))
        assert contains(region, Point(ra, dec)) == inside
    assert warp.facts["obs_id"] == "v102"


def test_the_mapping_takes_facts_and_goes_before(repository, tmp_path):
    mapping = {
        "obs_title": "{fact:dataset_type} {fact:visit} {fact:detector.full_name}"
        " {fact:visit.timespan.end.scale}",
        "proposal_id": "fact:visit.science_program, physical_filter",
        "t_min": "fact:visit.timespan.begin",
        "target_name": "fact:visit.nothing",
        "t_exptime": {"fact": "visit.exposure_time", "factor": 2.0},
    }  # fmt: skip
    settings = settings_of(
        tmp_path, repository, small(),
        mapping=mapping, files=[{"pattern": "visit_image/Cam/second/*", "mapping": {
            "calib_level": 3}}],
    )  # fmt: skip
    rows, _ = rows_of(settings)
    plain, _ = rows_of(settings_of(tmp_path, repository, small()))
    by_title = {row["obs_title"]: (did, row) for did, row in rows.items()}
    did, row = by_title["visit_image 103 R1_S00 tai"]
    assert row["proposal_id"] == "r1"
    assert row["t_min"] == pytest.approx(plain[did]["t_min"], rel=1e-14)
    assert row["t_exptime"] == 66.0
    # What finds nothing leaves the column to what the dataset tells.
    assert row["target_name"] == "field 103"
    assert {row["calib_level"] for row in rows.values()} == {2, 3}
    assert did == f"ivo://observatory.example/images?id={did[-36:]}"
    assert plain[did]["obs_id"] == "v103"


def test_rows_of_headers_keep_what_the_registry_says(repository, tmp_path):
    settings = settings_of(tmp_path, repository, small(), headers=True)
    rows, _ = rows_of(settings)
    told, _ = rows_of(settings_of(tmp_path, repository, small()))
    assert set(rows) == set(told)
    for did, row in rows.items():
        # The registry's word counts for what it knows, the header's for the rest.
        for name in ("t_min", "t_exptime", "target_name", "obs_id", "instrument_name"):
            assert row[name] == told[did][name]
        assert (row["s_xel1"], told[did].get("s_xel1")) == (40, None)
        assert row["s_pixel_scale"] == pytest.approx(1.0, rel=1e-3)
