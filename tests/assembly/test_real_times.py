"""Times and exposures of every product of every real file, beside astropy's reading of the cards.

Which card tells what, and on which time scale, is written here once more, from the makers' own
descriptions of their headers; what the line finds must come to the same.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from fnmatch import fnmatchcase

import pytest
from astropy.io import fits
from astropy.time import Time

pytestmark = pytest.mark.realdata

SECOND_D = 1.0 / 86400.0


def mjd(keyword, scale="utc"):
    """Tell of a card with an MJD."""
    return lambda header: Time(float(header[keyword]), format="mjd", scale=scale)


def jd(keyword):
    return lambda header: Time(float(header[keyword]), format="jd", scale="utc")


def iso(keyword, scale="utc", clock=None):
    """Tell of a card with a date in ISO 8601, or of two with date and time of day."""
    return lambda header: Time(
        header[keyword] if clock is None else f"{header[keyword]}T{header[clock]}",
        format="isot",
        scale=scale,
    )


def old(keyword, clock):
    """Tell of a date as day, month and year of the last century, and a time of day."""

    def read(header):
        day, month, year = header[keyword].split("/")
        return Time(f"19{year}-{month}-{day}T{header[clock]}", format="isot", scale="utc")

    return read


def seconds(*keywords, unit=1.0):
    """Tell of the first of some cards with a length of time."""
    return lambda header: next(float(header[key]) * unit for key in keywords if key in header)


def day_of(keyword):
    """Tell of a date without time of day: all that day."""

    def read(header):
        text = header[keyword]
        text = f"{text[:4]}-{text[4:6]}-{text[6:]}" if "-" not in text else text
        return Time(text[:10], format="iso", scale="utc", out_subfmt="date")

    return read


@dataclass(frozen=True)
class Truth:
    start: object = None
    end: object = None
    exposure: object = None
    middle: object = None
    whole_day: object = None


DECAM = Truth(iso("DATE-OBS"), exposure=seconds("EXPTIME"))
MAP = Truth(iso("DATE-OBS"))
"""Radio images tell when they begin, and not how long they took."""
HST = Truth(mjd("EXPSTART"), mjd("EXPEND"), seconds("EXPTIME"))
WISE_EPOCH = Truth(mjd("MJDMIN"), mjd("MJDMAX"))
SDSS = Truth(iso("DATE-OBS", "tai", "TAIHMS"), exposure=seconds("EXPTIME"))
MEGACAM = Truth(iso("DATE-OBS", "utc", "UTC-OBS"), mjd("MJDEND"), seconds("EXPTIME"))
STACK = Truth(exposure=seconds("EXPTIME"))
PLATE = Truth(old("DATE-OBS", "UT"), exposure=seconds("EXPOSURE", unit=60.0))
NOTHING = Truth()

# The first pattern that fits a path counts.
TRUTH = {
    "colour_sets/CFHTLS*": STACK,
    "colour_sets/PS1*": Truth(mjd("MJD-OBS"), exposure=seconds("EXPTIME")),
    "colour_sets/m101.fits": PLATE,
    "compression/CFHTLS*": STACK,
    "compression/m13*": NOTHING,
    "cubes/4axes_obs.fits": Truth(whole_day=day_of("DATE-OBS")),
    "cubes/data/image.fits": Truth(whole_day=day_of("DATE-OBS")),
    "cubes/Central_Datacube_bkg.fits": MAP,
    "cubes/casalike.fits": MAP,
    "cubes/fermi-3fhl-gc-background.fits.gz": MAP,
    "cubes/small_perplanebeam.fits": MAP,
    "cubes/*": NOTHING,
    "decals_coadd_maps_3600/*": Truth(iso("DATEOBS1"), iso("DATEOBS2")),
    "decam_dithers_grz/*": DECAM,
    "decam_i_dithers/*": DECAM,
    "decam_rice_triples/*": DECAM,
    "derived_broken/*": DECAM,
    "derived_compression/*": NOTHING,
    "derived_lsstlike/ccd_*": SDSS,
    "derived_lsstlike/visit_*": DECAM,
    "derived_position/*": DECAM,
    "derived_tab/*": NOTHING,
    "distortion/image.fits": Truth(iso("DATE-OBS"), iso("DATE-END"), seconds("EXP_TIME")),
    "distortion/kelt*": Truth(jd("JD-OBS"), exposure=seconds("EXPTIME")),
    "distortion/sipsample.fits": Truth(mjd("MJD_OBS"), exposure=seconds("EXPTIME")),
    "distortion/tab-time-last-axis.fits": NOTHING,
    "distortion/tanflip.fits": MAP,
    "distortion/tnx.fits": Truth(mjd("MJD-OBS"), exposure=seconds("EXPTIME")),
    "distortion/tpv.fits": Truth(mjd("MJD-OBS"), exposure=seconds("EXPTIME")),
    "distortion/wise-1b-1.fits": Truth(middle=mjd("MJD_OBS"), exposure=seconds("EXPTIME")),
    "hst/Cut_HSC1.fits": NOTHING,
    "hst/Cut_HST1.fits": Truth(whole_day=day_of("DATE-OBS")),
    "hst/dist_lookup.fits.gz": NOTHING,
    "hst/xdf*": Truth(exposure=seconds("TEXPTIME")),  # EXPTIME is that of the unit, electrons/s
    "hst/*": HST,
    "jwst_nircam/add*": Truth(iso("DATE-BEG"), iso("DATE-END"), seconds("DURATION")),
    "jwst_nircam/jw*": Truth(iso("DATE-BEG"), iso("DATE-END"), seconds("EXPTIME")),
    "legacysurvey_small/c4d*": DECAM,
    # The dome's control writes DATE-OBS in whole seconds; the camera's clock MJDSTART, MJDEND.
    "legacysurvey_small/k4m*": Truth(mjd("MJDSTART"), mjd("MJDEND"), seconds("EXPTIME")),
    "legacysurvey_small/ksb*": DECAM,
    "lsst_family/HSC*": NOTHING,
    "lsst_family/act-img.fits": Truth(
        iso("DATE-OBS", "utc", "UT-STR"), iso("DATE-OBS", "utc", "UT-END"), seconds("EXPTIME")
    ),
    "lsst_family/example-calexp.fits.gz": Truth(
        middle=iso("DATE-AVG", "tai"), exposure=seconds("EXPTIME")
    ),
    "lsst_family/exposure-version-2.fits": Truth(
        middle=iso("DATE-AVG", "tai"), exposure=seconds("EXPTIME")
    ),
    "lsst_family/small_MI*": MEGACAM,
    "lsst_simulated/7024*": Truth(iso("DATE-OBS", "tai"), iso("DATE-END", "tai"),
                                  seconds("EXPTIME")),
    "lsst_simulated/calexp.fits": Truth(
        middle=lambda header: Time(header["TIME-MID"].rstrip("Z"), format="isot", scale="utc"),
        exposure=seconds("EXPTIME"),
    ),
    "lsst_simulated/eimage*": Truth(mjd("TAI", "tai"), exposure=seconds("EXPTIME")),
    "odd/13CO*": Truth(iso("DATE-OBS"), iso("DATE-END"), seconds("EXP_TIME")),
    "odd/HorseHead.fits": Truth(iso("DATE-OBS"), exposure=seconds("EXPOSURE", unit=60.0)),
    "odd/blankset16.fits": NOTHING,
    "odd/dss*": PLATE,
    "odd/query_images.fits": MEGACAM,
    "odd/test0.fits": HST,
    "projections/gc_bolocam_gps.fits": Truth(jd("JD")),
    "projections/herschel_spire.fits.gz": Truth(iso("DATE-OBS"), iso("DATE-END")),
    "projections/teste-com-wcs.fits": Truth(iso("DATE-OBS"), exposure=seconds("EXPTIME")),
    "projections/*": NOTHING,
    "radio_epochs/missing_metadata.fits": Truth(whole_day=day_of("DATE-OBS")),
    "radio_epochs/*": MAP,
    "sdss_fpc_griz/*": SDSS,
    "twomass_gc_jhk/*": NOTHING,
    "unwise_epochs/*": WISE_EPOCH,
}  # fmt: skip


def expected(truth, header):
    """Give t_min, t_max and t_exptime."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # UTC before 1960 is dubious to astropy
        return _expected(truth, header)


def _expected(truth, header):
    exposure_s = None if truth.exposure is None else truth.exposure(header)
    half_d = (exposure_s or 0.0) / 2 * SECOND_D
    if truth.whole_day is not None:
        day = truth.whole_day(header).mjd
        return day, day + 1.0, exposure_s
    if truth.middle is not None:
        middle = truth.middle(header).utc.mjd
        return middle - half_d, middle + half_d, exposure_s
    start = None if truth.start is None else truth.start(header).utc.mjd
    if start is None:
        return None, None, exposure_s
    end = start + 2 * half_d if truth.end is None else truth.end(header).utc.mjd
    return start, end, exposure_s


def test_every_time(real_rows, real_images):
    used, wrong = set(), []
    for path, products in real_rows.items():
        pattern = next((one for one in TRUTH if fnmatchcase(path, one)), None)
        assert pattern is not None, f"{path}: say above what its cards tell"
        used.add(pattern)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with fits.open(real_images / path) as file:
                headers = [file[product.hdus[0]].header.copy() for product in products]
                for header in headers:
                    header.extend(file[0].header, unique=True, end=True)
        for header, product in zip(headers, products, strict=True):
            t_min, t_max, exposure_s = expected(TRUTH[pattern], header)
            found = [product.row.get(name) for name in ("t_min", "t_max", "t_exptime")]
            # Cards of one moment differ by so much: some are rounded to 5 digits of a day.
            sound = [
                one == two if None in (one, two) else abs(one - two) <= tolerance
                for one, two, tolerance in zip(
                    found, (t_min, t_max, exposure_s), (5e-6, 5e-6, 1e-6), strict=True
                )
            ]
            if not all(sound):
                wrong.append((path, found, (t_min, t_max, exposure_s)))
    assert wrong == [], "\n".join(map(str, wrong))
    assert used == set(TRUTH)


def test_lengths_go_together(real_rows):
    """An exposure is no longer than the time it was in, but for what several detectors saw."""
    for path, products in real_rows.items():
        for row in (product.row for product in products):
            if None in (row["t_min"], row["t_exptime"]) or "HDFS" in path or "i2d" in path:
                continue
            length_s = (row["t_max"] - row["t_min"]) / SECOND_D
            assert row["t_exptime"] <= length_s + 1.0, path
