"""Every real file ends as the right row or the right refusal."""

from __future__ import annotations

import gzip
from collections import Counter

import pytest

from obscore.assembly.line import ingest
from obscore.settings import ObsCoreSettings
from obscore.sources import FolderSource

pytestmark = pytest.mark.realdata

REFUSED = {
    "broken/S11.fits": "not-fits",  # a Git LFS pointer
    "broken/geminiann11015a_wcs.fits": "no-image",
    "broken/issue49test.fits": "no-image",
    "broken/ticket2233.fits": "no-image",
    "broken/zerowidth.fits": "no-image",  # random groups
    "compression/compressed_float_bzero.fits": "no-image",  # one axis
    "compression/compressed_image.fits": "no-position",
    "compression/compressed_with_nan.fits": "no-position",
    "compression/test_gzip_compressed_image.fits.fz": "no-position",
    "compression/test_rice_dither2_seed42.fits": "no-position",
    "compression/test_rice_dither2_seed42.fits.fz": "no-position",
    "derived_broken/dev_badcrc.fits.gz": "damaged",
    "derived_broken/dev_crval_string.fits": "bad-position",
    "derived_broken/dev_dec_out_of_range.fits": "bad-position",
    "derived_broken/dev_empty.fits": "empty",
    "derived_broken/dev_html_error_page.fits": "not-fits",
    "derived_broken/dev_naxis1_negative.fits": "damaged",
    "derived_broken/dev_naxis1_too_big.fits": "truncated",
    "derived_broken/dev_one_axis_celestial.fits": "bad-position",
    "derived_broken/dev_singular_cd.fits": "bad-position",
    "derived_broken/dev_truncated.fits.gz": "truncated",
    "derived_broken/dev_truncated_data.fits": "truncated",
    "derived_broken/dev_truncated_header.fits": "truncated",
    "derived_broken/dev_truncated_heap.fits.fz": "truncated",
    "derived_broken/dev_unknown_ctype.fits": "bad-position",
    "distortion/image_with_distortion_map.fits": "no-position",
    "hips_reference/IRAC4/Norder3/Dir0/Npix300.fits": "hips-tile",
    "hips_reference/IRAC4/Norder3/Dir0/Npix301.fits": "hips-tile",
    "hips_reference/Planck-HFI143/Norder3/Dir0/Npix271.fits": "hips-tile",
    "hips_reference/Planck-HFI143/Norder3/Dir0/Npix280.fits": "hips-tile",
    "lsst_family/scienceMI.fits": "no-position",
    "lsst_raw_nowcs/3019032200002-R10-S22-det035.fits": "no-position",
    "lsst_raw_nowcs/3019053000001-R22-S00-det000.fits": "no-position",
    "lsst_raw_nowcs/MC_C_20240918_000013_R00_SG0_guider.fits": "no-position",
    "odd/M51.fits": "no-position",
    "odd/arange.fits": "no-position",
    "odd/blank.fits": "no-position",
    "odd/efz20040301.000010_s.fits": "no-position",  # the Sun
    "odd/fixed-1890.fits": "no-position",
    "odd/image.fits": "no-position",
    "odd/slice.fits": "no-position",
    "projections/Npix418374.fits": "hips-tile",  # with dummy coordinates
    "projections/teste-sem-wcs.fits": "no-position",
    "sdss_other/reprojected_sdss_g.fits.bz2": "not-fits",
    "sdss_other/reprojected_sdss_r.fits.bz2": "not-fits",
}


@pytest.fixture(scope="module")
def line(real_images, new_memory_store):
    """Run the line over all files; give summary, reports by path and rows by path."""
    store, reports = new_memory_store(), {}
    source = FolderSource(real_images, collection="real")
    summary = ingest(
        source,
        store,
        ObsCoreSettings(),
        workers=2,
        report=lambda report: reports.__setitem__(report.path, report),
    )
    rows = {
        reports_path: [dict(o.row) for o in store.files[report.uri].observations]
        for reports_path, report in reports.items()
        if report.uri in store.files
    }
    again = ingest(source, store, ObsCoreSettings(), workers=0)
    return summary, reports, rows, again


def test_all_files_are_accounted_for(line, real_images):
    summary, reports, rows, again = line
    files = [path for path in real_images.rglob("*") if path.is_file()]
    assert summary.files + summary.passed_over == len(files)
    assert len(rows) == summary.statuses["added"]
    assert set(rows) | {p for p, r in reports.items() if r.status == "refused"} == set(reports)
    assert again.statuses["unchanged"] == len(rows)


def test_every_refusal_is_the_right_one(line):
    reports = line[1]
    assert {p: r.reason for p, r in reports.items() if r.status == "refused"} == REFUSED


def test_most_exposures_have_filter_and_time(line):
    rows = [row for group in line[2].values() for row in group]
    for row in rows:
        if row["instrument_name"] in {"DECam", "Mosaic3", "90prime"}:
            assert row["filter"] in {"g", "r", "i", "z"}
            assert 3e-7 < row["em_min"] < row["em_max"] < 1.1e-6
            assert row["t_min"] is not None
            assert row["facility_name"] is not None


def test_planes_in_files_of_their_own_are_told_from_images(line):
    for path, rows in line[2].items():
        told = {row["dataproduct_subtype"] for row in rows}
        if "_ood_" in path:
            assert told == {"mask"}, path
        elif "_oow_" in path or "invvar" in path:
            assert told == {"weight"}, path
        elif "_ooi_" in path or "-img-" in path:
            assert told == {None}, path


NAMED = [
    ("colour_sets/m101.fits", {"t_min": 35221.290278, "t_exptime": 3000.0}),
    ("cubes/small_perplanebeam.fits", {"em_xel": 11, "em_min": 0.00330399}),
    ("cubes/ra_pol_freq_dec.fits", {"s_xel1": 35, "s_xel2": 41, "em_xel": 16}),
    ("cubes/casalike.fits", {"pol_states": "/I/Q/U/V/", "em_xel": 2, "dataproduct_type": "cube"}),
    ("cubes/data/image.fits", {"em_min": 0.217898, "s_resolution": 5.4, "pol_states": "/I/"}),
    ("cubes/Central_Datacube_bkg.fits", {"em_min": 6.04937e-7, "o_ucd": "phot.flux.density"}),
    ("cubes/l1448_13co.fits", {"em_min": None, "dataproduct_type": "cube"}),
    ("decals_coadd_maps_3600/decals-2444p120-depth-g.fits.gz",
     {"dataproduct_subtype": "weight", "calib_level": 3, "t_min": 56885.060909}),
    ("decam_dithers_grz/c4d_150411_035242_ooi_z_ls9.N3.fits",
     {"t_min": 57123.15972285, "t_max": 57123.161042294, "em_min": 8.5e-7, "em_max": 1.002e-6,
      "obs_id": "ct4m20150411t035000", "proposal_id": "2014B-0404", "s_resolution": 1.18019}),
    ("derived_broken/dev_zeroed_block.fits", {"filter": "z", "em_min": 8.5e-7}),
    ("derived_position/npole_c4d_180128_083845_ooi_r_ls9.N3.fits", {"s_dec": 89.98996}),
    ("distortion/sipsample.fits", {"filter": "I1", "em_min": 3.18e-6}),
    ("distortion/tanflip.fits", {"s_ra": 52.55385, "s_dec": -28.74189}),
    ("distortion/wise-1b-1.fits", {"filter": "W1", "t_min": 55358.0767661, "t_exptime": 7.7}),
    ("hst/HST-HDFS.fits", {"filter": "F606W", "t_min": 51084.28141423, "proposal_id": "8058"}),
    ("hst/Cut_HSC1.fits", {"t_min": None, "dataproduct_type": "cube"}),
    ("hst/Cut_HST1.fits", {"t_min": 53077.0, "t_max": 53078.0}),
    ("jwst_nircam/jw01324001001-01324-o001_t001_nircam_clear-f200w_i2d_stamp.fits",
     {"filter": "F200W", "t_min": 59894.121293272, "t_max": 59894.226799329}),
    ("lsst_family/HSC-0908120-056-small.fits", {"filter": None, "t_min": None}),
    ("lsst_family/example-calexp.fits.gz",
     {"t_min": 56598.2211561659, "filter": "i", "instrument_name": "Hyper Suprime-Cam"}),
    ("lsst_family/exposure-version-2.fits", {"t_min": 58868.52365741, "t_exptime": 30.0}),
    ("odd/HorseHead.fits", {"filter": "R", "t_exptime": 3900.0}),
    ("projections/allsky_rosat.fits", {"s_fov": 360.0}),
    ("projections/gc_bolocam_gps.fits", {"em_min": 0.00112, "s_resolution": 33.0}),
    ("projections/herschel_spire.fits.gz", {"filter": "PLW", "t_max": 55194.676447}),
    ("sdss_fpc_griz/fpC-004192-g4-0300.fit.gz", {"t_min": 52931.19988, "filter": "g"}),
    ("twomass_gc_jhk/gc_2mass_k.fits", {"filter": "Ks", "em_min": 2.01e-6}),
]  # fmt: skip


@pytest.mark.parametrize(("path", "expected"), NAMED, ids=[path for path, _ in NAMED])
def test_named_file(line, path, expected):
    (row,) = line[2][path]
    for column, value in expected.items():
        if isinstance(value, float):
            assert row[column] == pytest.approx(value, rel=2e-6, abs=5e-6 if value > 1e4 else 0)
        else:
            assert row.get(column) == value, column


def test_cameras_of_several_chips(line):
    products = Counter({path: len(rows) for path, rows in line[2].items() if len(rows) > 1})
    assert products == {
        "hst/2chipA.fits.gz": 2,
        "hst/2chipB.fits.gz": 2,
        "hst/sample_ipppssoot_flc.fits": 2,
        "hst/sample_svm_flc.fits": 2,
        "lsst_simulated/7024032100720-R22-S11-det094.fits.fz": 16,
        "odd/test0.fits": 3,
    }
    segments = line[2]["lsst_simulated/7024032100720-R22-S11-det094.fits.fz"]
    assert {row["calib_level"] for row in segments} == {1}
    assert segments[0]["obs_publisher_did"].endswith(".fits.fz:SEGMENT10,1")


def test_tile_compressed_file_compressed_once_more(line, real_images, tmp_path, read_outcome):
    name = "decam_rice_triples/c4d_130105_065255_ooi_r_a1-N15.fits.fz"
    path = tmp_path / "x.fits.fz.gz"
    path.write_bytes(gzip.compress((real_images / name).read_bytes()))
    (observation,) = read_outcome(path).file.observations
    assert observation.row["obs_publisher_did"].endswith("?x.fits.fz.gz")
    (plain,) = line[2][name]
    same = ("s_region", "t_min", "em_min", "filter", "obs_id", "s_xel1")
    assert {one: observation.row[one] for one in same} == {one: plain[one] for one in same}
