"""Presets on real files, and on headers written from the observatories' descriptions.

What is expected of a real file is what its archive publishes for it, or what its own header says.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from astropy.time import Time

from obscore.assembly.read import read_file
from obscore.assembly.rules import rules_for
from obscore.mapping.document import preset, preset_names
from obscore.mapping.rules import rules_of
from obscore.settings import ObsCoreSettings
from obscore.sources import Candidate, FolderSource

DECAM = {"facility_name": "CTIO Blanco 4m", "instrument_name": "DECam", "filter": "z",
         "obs_id": "ct4m20150411t035000", "proposal_id": "2014B-0404", "calib_level": 2,
         "target_name": "DECaLS_9568_z", "t_exptime": 114.0}  # fmt: skip
HST = {"facility_name": "HST", "calib_level": 2}

REAL = [
    ("decam", "decam_dithers_grz/c4d_150411_035242_ooi_z_ls9.N3.fits", DECAM),
    ("decam", "decam_dithers_grz/c4d_150411_035242_ood_z_ls9.N3.fits",
     DECAM | {"dataproduct_subtype": "mask", "o_ucd": "meta.code.qual"}),
    ("decam", "decam_dithers_grz/c4d_150411_035242_oow_z_ls9.N3.fits",
     DECAM | {"dataproduct_subtype": "weight", "o_ucd": "stat.weight"}),
    ("hst", "hst/2chipA.fits.gz",
     HST | {"obs_id": "j94f05bgq", "instrument_name": "ACS/WFC", "target_name": "NGC104",
            "proposal_id": "10368", "filter": "F606W", "t_exptime": 400.0,
            "t_min": 53436.28571938, "t_max": 53436.29036114}),
    ("hst", "hst/sample_svm_flc.fits",
     HST | {"obs_id": "ib4606c6q", "instrument_name": "WFC3/UVIS", "proposal_id": "11665",
            "filter": "F555W", "t_exptime": 170.0}),
    ("hst", "hst/HST-HDFS.fits",
     {"obs_id": "u535050br", "instrument_name": "WFPC2", "proposal_id": "8058", "calib_level": 3}),
    ("hst", "hst/xdf_hst_wfc3ir_60mas_f160w_sci.fits",
     {"instrument_name": "WFC3/IR", "filter": "F160W", "t_exptime": 330624.3918430004}),
    ("jwst", "jwst_nircam/jw01324001001-01324-o001_t001_nircam_clear-f200w_i2d_stamp.fits",
     {"obs_id": "jw01324001001-01324-o001_t001_nircam_clear-f200w", "facility_name": "JWST",
      "target_name": "ABELL2744", "calib_level": 3, "filter": "F200W",
      "t_min": Time("2022-11-11T02:54:39.739").mjd}),
    ("jwst", "jwst_nircam/add_wcs_default_acq1.fits",
     {"calib_level": 1, "facility_name": "JWST", "proposal_id": "1019", "t_exptime": 13.266}),
    ("sdss", "sdss_fpc_griz/fpC-004192-g4-0300.fit.gz",
     {"obs_id": "004192-4-0300", "facility_name": "SDSS 2.5m", "filter": "g", "calib_level": 2,
      "instrument_name": "SDSS imaging camera", "target_name": "stripe 82 S",
      "t_exptime": 53.907456, "data_rights": "public", "o_ucd": "phot.count",
      "t_min": Time("2003-10-19T04:48:21.31", scale="tai").utc.mjd}),
    ("sdss", "sdss_fpc_griz/fpC-006377-r4-0399.fit.gz",
     {"obs_id": "006377-4-0399", "filter": "r"}),
    ("hsc", "lsst_family/example-calexp.fits.gz",
     {"facility_name": "Subaru", "instrument_name": "HSC", "filter": "i", "calib_level": 2,
      "obs_id": "HSCA90398600", "proposal_id": "o13015", "target_name": "STRIPE82L",
      "t_exptime": 30.0}),
    ("lsstcam", "lsst_simulated/7024032100720-R22-S11-det094.fits.fz",
     {"facility_name": "Rubin:Simonyi", "instrument_name": "LSSTCam", "filter": "r",
      "calib_level": 1, "obs_id": "MC_S_20240321_000720-R22_S11",
      "t_min": Time("2024-03-21T17:54:19.147", scale="tai").utc.mjd}),
    ("unwise", "unwise_epochs/e000/unwise-1866p257-w1-img-m.fits",
     {"facility_name": "WISE", "filter": "W1", "calib_level": 3, "obs_id": "1866p257",
      "em_min": 3.035e-6, "em_max": 3.671e-6, "dataproduct_subtype": None}),
    ("unwise", "unwise_epochs/e005/unwise-1866p257-w2-invvar-m.fits.gz",
     {"filter": "W2", "calib_level": 3, "dataproduct_subtype": "weight"}),
]  # fmt: skip

ZTF = {"OBSMJD": 58861.3127546, "EXPTIME": 30.0, "FILTERID": 1, "FILTER": "ZTF_g",
       "INSTRUME": "ZTF/MOSAIC", "TELESCOP": "P48"}  # fmt: skip
ZTF_ROW = {"obs_id": "ztf_20200113312755_000512_zg_c03_o_q2", "filter": "g",
           "instrument_name": "ZTF", "t_min": 58861.3127546, "t_exptime": 30.0,
           "t_max": 58861.3127546 + 30 / 86400, "em_min": 408.7e-9}  # fmt: skip
RUBIN = {"OBSID": "MC_O_20250420_000123", "RAFTBAY": "R22", "CCDSLOT": "S11", "INSTRUME": "lsstCam",
         "FILTER": "r_57", "TIMESYS": "TAI", "DATE-BEG": "2025-04-21T04:00:37.0",
         "EXPTIME": 30.0}  # fmt: skip
RUBIN_ROW = {"obs_id": "MC_O_20250420_000123-R22_S11", "facility_name": "Rubin:Simonyi",
             "instrument_name": "LSSTCam", "filter": "r", "em_min": 552e-9,
             "t_min": Time("2025-04-21T04:00:00").mjd}  # fmt: skip
ESO_PRODUCT = {"PRODCATG": "SCIENCE.IMAGE", "ARCFILE": "ADP.2015-05-11T12:09:30.123.fits",
               "PROG_ID": "179.A-2004(E)", "OBJECT": "VIDEO", "TELESCOP": "ESO-VISTA",
               "INSTRUME": "VIRCAM", "FILTER": "Ks", "MJD-OBS": 55932.25,
               "MJD-END": 55932.27, "EXPTIME": 600.0, "TEXPTIME": 1200.0,
               "PSF_FWHM": 0.9}  # fmt: skip
ESO_RAW = {"HIERARCH ESO DPR CATG": "SCIENCE", "HIERARCH ESO OBS PROG ID": "60.A-9100(A)",
           "HIERARCH ESO OBS TARG NAME": "NGC 253", "OBJECT": "OBJECT",
           "ARCFILE": "VIRCA.2012-01-06T06:00:00.000.fits", "TELESCOP": "VISTA",
           "HIERARCH ESO INS FILT1 NAME": "J", "INSTRUME": "VIRCAM"}  # fmt: skip
HST_CARDS = {"ROOTNAME": "IB4606C6Q", "TELESCOP": "HST", "INSTRUME": "WFC3", "DETECTOR": "IR",
             "PROPOSID": 11665, "FILTER": "F160W", "EXPTIME": 100.0}  # fmt: skip
JWST = {"TELESCOP": "JWST", "INSTRUME": "NIRCAM", "EXP_TYPE": "NRC_IMAGE", "PROGRAM": "01345",
        "TARGPROP": "EGS1", "TARGNAME": "N/A", "EFFEXPTM": 311.366, "FILTER": "F115W"}  # fmt: skip
JWST_NAME = "jw01345001001_02201_00001_nrca1"
JWST_ROW = {"obs_id": JWST_NAME, "instrument_name": "NIRCAM/IMAGE", "proposal_id": "1345",
            "target_name": "EGS1", "t_exptime": 311.366, "filter": "F115W"}  # fmt: skip
SDSS = {"RUN": 3900, "CAMCOL": 6, "FRAME": 680, "FILTER": "r", "STRIPE": 82, "STRIP": "N",
        "BUNIT": "nanomaggy", "EXPTIME": "53.907456"}  # fmt: skip
HSC = {"EXP-ID": "HSCE00903986", "FRAMEID": "HSCA90398600", "FILTER01": "HSC-G",
       "INSTRUME": "Hyper Suprime-Cam", "TELESCOP": "Subaru"}  # fmt: skip
DECAM_CARDS = {"OBSID": "ct4m20150411t035000", "PROCTYPE": "Stacked", "PRODTYPE": "image"}

WRITTEN = [
    ("decam", "c4d_150411_035242_osi_z_v1.fits", DECAM_CARDS, {"calib_level": 3}),
    ("ztf", "ztf_20200113312755_000512_zg_c03_o_q2_sciimg.fits", ZTF, ZTF_ROW | {"calib_level": 2}),
    ("ztf", "ztf_20200113312755_000512_zg_c03_o_q2_mskimg.fits", ZTF,
     ZTF_ROW | {"dataproduct_subtype": "mask"}),
    ("ztf", "ztf_20200113312755_000512_zg_c03_o_q2_sciunc.fits", ZTF,
     ZTF_ROW | {"dataproduct_subtype": "error"}),
    ("ztf", "ztf_20200113312755_000512_zg_c03_o_q2_scimrefdiffimg.fits", ZTF,
     ZTF_ROW | {"calib_level": 3, "dataproduct_subtype": "difference"}),
    ("ztf", "ztf_20200113312755_000512_zg_c03_o.fits", ZTF, {"calib_level": 1}),
    ("ztf", "ztf_000512_zg_c03_q2_refimg.fits", ZTF,
     {"calib_level": 3, "obs_id": "ztf_000512_zg_c03_q2_refimg"}),
    ("ztf", "ztf_000512_zg_c03_q2_refcov.fits", ZTF, {"dataproduct_subtype": "exposure"}),
    ("ztf", "ztf_000512_zg_c03_q2_refunc.fits", ZTF, {"dataproduct_subtype": "error"}),
    ("lsstcam", "MC_O_20250420_000123_R22_S11.fits", RUBIN,
     RUBIN_ROW | {"calib_level": 1, "dataproduct_subtype": "lsst.raw"}),
    ("lsstcam", "raw/a.fits", RUBIN, RUBIN_ROW | {"calib_level": 1, "o_ucd": "phot.count"}),
    ("lsstcam", "visit_image/a.fits", RUBIN,
     RUBIN_ROW | {"calib_level": 2, "dataproduct_subtype": "lsst.visit_image"}),
    ("lsstcam", "preliminary_visit_image/a.fits", RUBIN,
     {"calib_level": 2, "dataproduct_subtype": "lsst.preliminary_visit_image"}),
    ("lsstcam", "difference_image/a.fits", RUBIN, {"calib_level": 3}),
    ("lsstcam", "deep_coadd/r/a.fits", {"FILTER": "r"},
     {"calib_level": 3, "filter": "r", "o_ucd": "phot.flux.density", "t_min": None,
      "dataproduct_subtype": "lsst.deep_coadd"}),
    ("lsstcam", "template_coadd/a.fits", {}, {"calib_level": 3}),
    ("comcam", "CC_O_20241101_000123_R22_S11.fits", RUBIN | {"INSTRUME": "comCam"},
     {"instrument_name": "LSSTComCam", "facility_name": "Rubin:Simonyi", "calib_level": 1}),
    ("latiss", "AT_O_20250420_000123_R00_S00.fits",
     {"OBSID": "AT_O_20250420_000123", "FILTER": "SDSSr_65mm~empty", "INSTRUME": "LATISS"},
     {"instrument_name": "LATISS", "facility_name": "Rubin:1.2m", "filter": "r",
      "em_min": 552e-9, "obs_id": "AT_O_20250420_000123"}),
    ("eso", "a.fits", ESO_PRODUCT,
     {"obs_id": "ADP.2015-05-11T12:09:30.123", "proposal_id": "179.A-2004(E)",
      "target_name": "VIDEO", "filter": "Ks", "calib_level": 2, "t_exptime": 600.0,
      "t_max": 55932.27, "s_resolution": 0.9, "instrument_name": "VIRCAM"}),
    ("eso", "a.fits", ESO_PRODUCT | {"NCOMBINE": 12, "PROG_ID": "MULTI", "PROGID1": "1.A-1(A)"},
     {"calib_level": 3, "proposal_id": "1.A-1(A)"}),
    ("eso", "a.fits", ESO_PRODUCT | {"PRODCATG": "ANCILLARY.WEIGHTMAP"},
     {"dataproduct_subtype": "weight", "o_ucd": "stat.weight"}),
    ("eso", "a.fits", ESO_RAW,
     {"calib_level": 1, "proposal_id": "60.A-9100(A)", "target_name": "NGC 253", "filter": "J",
      "obs_id": "VIRCA.2012-01-06T06:00:00.000"}),
    ("hst", "ib4606c6q_raw.fits", HST_CARDS,
     {"calib_level": 1, "obs_id": "ib4606c6q", "instrument_name": "WFC3/IR"}),
    ("hst", "u2eq0201t_d0m.fits", HST_CARDS, {"calib_level": 1}),
    ("hst", "ib4606c6q_flt.fits", HST_CARDS, {"calib_level": 2, "t_exptime": 100.0}),
    ("hst", "ib4606c6q_crj.fits", HST_CARDS, {"calib_level": 2}),
    ("hst", "ib4606060_drz.fits", HST_CARDS, {"calib_level": 3}),
    ("hst", "ib4606060_drz_wht.fits", HST_CARDS, {"dataproduct_subtype": "weight"}),
    ("jwst", f"{JWST_NAME}_uncal.fits", JWST, JWST_ROW | {"calib_level": 1}),
    ("jwst", f"{JWST_NAME}_ramp.fits", JWST, JWST_ROW | {"calib_level": 1}),
    ("jwst", f"{JWST_NAME}_rate.fits", JWST, JWST_ROW | {"calib_level": 2}),
    ("jwst", f"{JWST_NAME}_cal.fits", JWST, JWST_ROW | {"calib_level": 2}),
    ("jwst", f"{JWST_NAME}_o001_crf.fits", JWST, JWST_ROW | {"calib_level": 2}),
    ("jwst", f"{JWST_NAME}_i2d.fits", JWST, JWST_ROW | {"calib_level": 2}),
    ("jwst", "jw01345-o001_t021_nircam_clear-f115w_i2d.fits", JWST,
     JWST_ROW | {"calib_level": 3, "obs_id": "jw01345-o001_t021_nircam_clear-f115w"}),
    ("sdss", "301/3900/6/frame-r-003900-6-0680.fits", SDSS,
     {"obs_id": "003900-6-0680", "calib_level": 2, "target_name": "stripe 82 N",
      "o_ucd": "phot.flux.density"}),
    ("hsc", "HSCA90398600.fits", HSC,
     {"calib_level": 1, "obs_id": "HSCE00903986", "filter": "g", "em_min": 405.6e-9}),
    ("hsc", "CORR-0903986-050.fits", HSC, {"calib_level": 2}),
    ("hsc", "deepCoadd/HSC-G/9813/4,4.fits", HSC,
     {"calib_level": 3, "dataproduct_subtype": "coadd"}),
    ("hsc", "calexp-HSC-G-9813-4,4.fits", HSC, {"calib_level": 2}),
    ("hsc", "deepCoadd-results/deepCoadd_calexp-HSC-G-9813.fits", HSC, {"calib_level": 3}),
    ("unwise", "186/1866p257/unwise-1866p257-w3-n-m.fits", {}, {"dataproduct_subtype": "exposure"}),
    ("unwise", "186/1866p257/unwise-1866p257-w4-std-m.fits", {},
     {"dataproduct_subtype": "error", "filter": "W4"}),
]  # fmt: skip

SKIPPED = [
    ("jwst", "jw01345-o001_t021_nircam_clear-f115w_segm.fits"),
    ("sdss", "fpM-004192-g4-0300.fit"),
    ("hsc", "det-0903986-050.fits"),
    ("lsstcam", "MC_C_20240918_000013_R00_SG0_guider.fits"),
    ("ztf", "ztf_20200113312755_000000_bi_c03_b.fits"),
]


def rules_of_preset(name, folder):
    given = {"collections": {"deep": {"folder": str(folder), "preset": name}}}
    return rules_for(ObsCoreSettings.model_validate(given), "deep")


def check_row(name, folder, path, expected):
    (candidate,) = FolderSource(folder, collection="deep", start=path).walk()
    assert isinstance(candidate, Candidate)
    outcome = read_file(candidate, rules_of_preset(name, folder))
    assert outcome.file is not None, outcome.refusal
    for observation in outcome.file.observations:
        for column, told in expected.items():
            value = told
            found = observation.row[column]
            if isinstance(value, float):
                # Two milliseconds, where it is a moment.
                is_moment = column in {"t_min", "t_max"}
                value = pytest.approx(float(value), rel=0 if is_moment else 1e-7,
                                      abs=2e-8 if is_moment else 0)  # fmt: skip
            assert found == value, column
    assert not [note for note in outcome.file.notes if "mapping" in note]


@pytest.mark.realdata
@pytest.mark.parametrize(("name", "path", "expected"), REAL)
def test_real_file(real_images, name, path, expected):
    check_row(name, real_images, real_images / path, expected)


@pytest.mark.parametrize(("name", "path", "cards", "expected"), WRITTEN)
def test_written_header(image_writer, tmp_path, name, path, cards, expected):
    check_row(name, tmp_path, image_writer(tmp_path / path, cards), expected)


@pytest.mark.parametrize(("name", "path"), SKIPPED)
def test_left_out(tmp_path, name, path):
    assert rules_of_preset(name, tmp_path).skips(path)


def test_no_rule_for_some_files_goes_untested():
    paths = [(name, path) for name, path, *_ in (*REAL, *WRITTEN, *SKIPPED)]
    for name in preset_names():
        for rule in preset(name).files:
            fitting = [path for one, path in paths if one == name and rule.fits(path)]
            # The three cameras of one observatory share their rules.
            assert fitting or name in {"comcam", "latiss"}, (name, rule.pattern)


def test_images_of_a_kind_are_left_in(tmp_path):
    for name, path, *_ in (*REAL, *WRITTEN):
        assert not rules_of_preset(name, tmp_path).skips(path), (name, path)


def test_page_tells_what_each_preset_sets():
    page = (Path(__file__).parents[2] / "docs" / "presets.md").read_text("utf-8")
    lines = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}
    assert list(lines) == list(preset_names())
    for name, line in lines.items():
        document = preset(name)
        told = {column for rule in document.files for column in rules_of(rule.mapping)}
        told |= {*rules_of(document.mapping), *document.bands}
        told |= {rule.pattern for rule in document.files if rule.skip}
        assert [one for one in sorted(told) if f"`{one}`" not in line] == []
