"""Wavelengths of the real files, beside what makers of filters and receivers have published."""

from __future__ import annotations

import warnings
from fnmatch import fnmatchcase

import numpy as np
import pytest
from astropy import constants
from astropy.io import fits

pytestmark = pytest.mark.realdata

# Filter, shortest and longest wavelength at half of the peak in nm, and who says so.
PUBLISHED = {
    "colour_sets/CFHTLS-test_g.fits": ("g", 414, 560, "CFHT: MegaPrime filters, 487 +- 73"),
    "colour_sets/CFHTLS-test_r.fits": ("r", 567, 689, "CFHT: MegaPrime filters, 628 +- 61"),
    "colour_sets/CFHTLS-test_i.fits": ("i", 702, 853, "CFHT: MegaPrime filters, 777 +- 75"),
    "colour_sets/PS1-test_r.fits": ("r", 550, 689, "Tonry et al. 2012, table 4"),
    "colour_sets/PS1-test_i.fits": ("i", 690, 819, "Tonry et al. 2012, table 4"),
    "colour_sets/PS1-test_z.fits": ("z", 818, 922, "Tonry et al. 2012, table 4"),
    "decals_coadd_maps_3600/*-g.fits.gz": ("g", 396, 548, "FILTER: 4720.0 1520.0"),
    "decals_coadd_maps_3600/*-r.fits.gz": ("r", 567.5, 715.5, "FILTER: 6415.0 1480.0"),
    "decals_coadd_maps_3600/*-z.fits.gz": ("z", 850, 1002, "FILTER: 9260.0 1520.0"),
    "decam_i_dithers/*": ("i", 710, 857, "FILTER: 7835.0 1470.0"),
    "*/c4d_*_oo?_g_ls9*.fits": ("g", 396, 548, "FILTER: 4720.0 1520.0"),
    "*/c4d_*_oo?_r_*N*": ("r", 567.5, 715.5, "FILTER: 6415.0 1480.0"),
    "*/c4d_*_oo?_z_ls9*.fits": ("z", 850, 1002, "FILTER: 9260.0 1520.0"),
    "legacysurvey_small/k4m*": ("z", 850, 1002, "the filter is of DECam's z"),
    "derived_lsstlike/ccd*g4*": ("g", 400, 540, "Doi et al. 2010: 4640 +- 700"),
    "sdss_fpc_griz/*-g4-*": ("g", 400, 540, "Doi et al. 2010: 4640 +- 700"),
    "sdss_fpc_griz/*-r4-*": ("r", 550, 690, "Doi et al. 2010: 6122 +- 700"),
    "sdss_fpc_griz/*-i4-*": ("i", 680, 825, "Doi et al. 2010: 7440 +- 750"),
    "distortion/image.fits": ("K", 2030, 2370, "Hewett et al. 2006, table 10"),
    "distortion/sipsample.fits": ("I1", 3175, 3925, "IRAC Instrument Handbook: 3.550 um, 0.750"),
    "distortion/wise-1b-1.fits": ("W1", 3021, 3684, "Jarrett et al. 2011: 3.3526 um, 0.66256"),
    "unwise_epochs/e005/*-w1-*": ("W1", 3021, 3684, "Jarrett et al. 2011: 3.3526 um, 0.66256"),
    "unwise_epochs/e005/*-w2-*": ("W2", 4082, 5124, "Jarrett et al. 2011: 4.6028 um, 1.0423"),
    "distortion/tpv.fits": ("I", 736, 879, "NOAO filter c6028: 8075 +- 711"),
    "hst/*_flc.fits": ("F555W", 453, 609, "WFC3 Instrument Handbook: 5308.4, 1565.4"),
    "hst/xdf*": ("F160W", 1402, 1671, "WFC3 Instrument Handbook: 15369.2, 2682.8"),
    "odd/test0.fits": ("F673N", 670.9, 675.6, "WFPC2 Instrument Handbook: 6732, 47"),
    "jwst_nircam/jw*": ("F200W", 1755, 2227, "JWST User Documentation, NIRCam filters"),
    "lsst_family/act-img.fits": ("i", 693, 842, "Miyazaki et al. 2002: 7671 +- 745"),
    "lsst_simulated/7024*": ("r", 552, 691, "LSST Science Book, table 2.1"),
    "odd/query_images.fits": ("g", 414, 560, "CFHT: MegaPrime filters, 487 +- 73"),
    "twomass_gc_jhk/*_h.fits": ("H", 1537, 1788, "Cohen et al. 2003: 1.662 um, 0.251"),
    "twomass_gc_jhk/*_k.fits": ("Ks", 2028, 2290, "Cohen et al. 2003: 2.159 um, 0.262"),
}
FREQUENCIES = (
    "cubes/1904-66_SIN_cube.fits", "cubes/data/image.fits", "cubes/small_perplanebeam.fits",
    "radio_epochs/epoch*",
)  # fmt: skip


def test_filters_are_as_published(real_rows):
    used = set()
    for path, products in real_rows.items():
        entry = next((one for one in PUBLISHED if fnmatchcase(path, one)), None)
        if entry is None or path.startswith("derived_"):
            continue
        used.add(entry)
        name, low_nm, high_nm, _ = PUBLISHED[entry]
        for row in (product.row for product in products):
            assert row["filter"] == name, path
            # What filter curves of one name differ by, with and without the atmosphere.
            slack_nm = 0.12 * (high_nm - low_nm)
            assert row["em_min"] * 1e9 == pytest.approx(low_nm, abs=slack_nm), path
            assert row["em_max"] * 1e9 == pytest.approx(high_nm, abs=slack_nm), path
    assert used == {one for one in PUBLISHED if not one.startswith("derived_")}


def test_frequencies_become_wavelengths(real_rows, real_images):
    checked = 0
    for path, products in real_rows.items():
        if not any(fnmatchcase(path, one) for one in FREQUENCIES):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = fits.getheader(real_images / path)
        axis = next(k for k in range(1, 5) if header[f"CTYPE{k}"].strip().upper() == "FREQ")
        size = header.get(f"NAXIS{axis}", 1)
        edges = np.array([0.5, size + 0.5]) - header[f"CRPIX{axis}"]
        hertz = header[f"CRVAL{axis}"] + edges * header[f"CDELT{axis}"]
        waves = sorted(constants.c.si.value / hertz)
        (row,) = (product.row for product in products)
        assert [row["em_min"], row["em_max"]] == pytest.approx(waves, rel=1e-9), path
        assert row["em_xel"] == size
        assert row["em_res_power"] == pytest.approx(
            np.mean(waves) / ((waves[1] - waves[0]) / size), rel=1e-5
        )
        checked += 1
    assert checked == 9


def test_every_wavelength_has_a_filter_or_an_axis(real_rows):
    """Who has neither filter nor spectral axis has no wavelengths, but for a card with one."""
    for path, products in real_rows.items():
        for row in (product.row for product in products):
            assert (row["em_min"] is None) == (row["em_max"] is None) == (row["em_xel"] is None)
            if row["em_min"] is not None and row["filter"] is None:
                assert (
                    path.startswith(("cubes/", "radio_epochs/"))
                    or "_msx" in path
                    or ("bolocam" in path)
                ), path
