"""Names and kinds of the real files, beside the manifest that others have made of them."""

from __future__ import annotations

import csv
from fnmatch import fnmatchcase

import pytest

pytestmark = pytest.mark.realdata

NOT_A_NAME = {"", "_unknown_"}
SPELLED_OTHERWISE = {"f160w": "F160W"}

LEVELS = {
    "hst/HST-HDFS.fits": 3,  # 192 images drizzled into one
    "jwst_nircam/add_wcs_default_acq1.fits": 1,  # level 1b
    "lsst_simulated/7024*": 1,
    "decals_coadd_maps_3600/*": 3,
    "*_oo?_*": 2,
    "sdss_fpc_griz/*": 2,
    "hst/*_flc.fits": 2,
}


def test_telescope_instrument_and_filter_are_those_of_the_manifest(real_rows, real_images):
    text = (real_images.parent / "MANIFEST.tsv").read_text("utf-8")
    checked = 0
    for entry in csv.DictReader(text.splitlines(), delimiter="\t"):
        for product in real_rows.get(entry["path"], ()):
            row = product.row
            if entry["telescope"]:
                assert row["facility_name"] == entry["telescope"], entry["path"]
            # It takes DETECTOR for the instrument where there is no other card.
            if entry["instrument"] and not entry["instrument"].startswith(("S3-", "Mosaic2")):
                assert row["instrument_name"] == entry["instrument"], entry["path"]
            told = SPELLED_OTHERWISE.get(entry["filter"], entry["filter"])
            if len(told) > 1 and told[0] in "ugrizY" and told[1] in " .":
                assert row["filter"] == told[0], entry["path"]
            elif told.startswith("F") and told[1:4].isdigit():
                assert row["filter"] == told, entry["path"]
            checked += 1
    assert checked > 220


def test_calibration_levels(real_rows):
    used = set()
    for path, products in real_rows.items():
        pattern = next((one for one in LEVELS if fnmatchcase(path, one)), None)
        if pattern is not None:
            used.add(pattern)
            assert {product.row["calib_level"] for product in products} == {LEVELS[pattern]}, path
    assert used == set(LEVELS)


def test_masks_have_no_unit_and_weights_not_that_of_their_image(real_rows):
    """The cards of an image are copied to its mask and weight, BUNIT among them."""
    for path, products in real_rows.items():
        if "_ood_" in path or "_oow_" in path or "invvar" in path:
            assert {product.row["o_unit"] for product in products} == {None}, path
    (depth,) = real_rows["decals_coadd_maps_3600/decals-2444p120-depth-g.fits.gz"]
    assert depth.row["o_unit"] == "1/nanomaggy^2"


@pytest.mark.parametrize(
    ("path", "column"),
    [
        ("projections/herschel_spire.fits.gz", "proposal_id"),  # 'several'
        ("projections/allsky_rosat.fits", "target_name"),  # a file's name on VMS
        ("hst/HST-HDFS.fits", "target_name"),  # a file's name in IRAF
        ("odd/HorseHead.fits", "target_name"),  # 'data'
    ],
)
def test_what_is_no_name_is_left_out(real_rows, path, column):
    (product,) = real_rows[path]
    assert product.row[column] is None
