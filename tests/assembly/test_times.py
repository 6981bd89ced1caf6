"""Times of all the ways of writing them."""

from __future__ import annotations

import pytest
from astropy.time import Time

from obscore.mapping.dates import read_moment
from vodal.fits.timescale import from_utc, to_utc

START = Time("2026-03-04T05:06:07.5", scale="utc").mjd
SECOND = 1.0 / 86400.0


@pytest.mark.parametrize(
    "cards",
    [
        {"MJD-OBS": START},
        {"DATE-OBS": "2026-03-04T05:06:07.5"},
        {"DATE-OBS": "2026-03-04T05:06:07.5Z"},
        {"DATE-OBS": "2026-03-04 05:06:07.5"},
        {"DATE-OBS": "2026/03/04", "UT": "05:06:07.5"},
        {"DATE-OBS": "2026-03-04", "TIME-OBS": "5:06:07.5"},
        {"DATE-OBS": "2026-03-04", "UTSTART": 5.102083333333},
        {"DATE-OBS": "20260304", "UTC-OBS": "05:06:07.500"},
        {"DATE-OBS": "2026-063T05:06:07.5"},
        {"DATE-BEG": "2026-03-04T05:06:07.5", "MJD-OBS": START + 3.0},
        {"MJD-OBS": int(START), "DATE-OBS": "2026-03-04T05:06:07.5"},
        {"JD": str(START + 2400000.5)},
        {"EXPSTART": START},
        {"DATE-AVG": "2026-03-04T05:06:22.5"},
        {"MJD_OBS": (START + 15 * SECOND, "[d] midpoint of the exposure")},
        {"JD": (START + 15 * SECOND + 2400000.5, "median jd of all observations")},
        {"DATE-OBS": "2026-03-04T05:06:44.5", "TIMESYS": "TAI"},
        {"DATE-OBS": "2026-03-04T05:07:16.684", "TIMESYS": "TT"},
        {"DATE-OBS": "2026-03-04T05:06:25.5", "TIMESYS": "GPS"},
        {"DATE-OBS": "2026-03-04", "UT-STR": "05:06:07.5", "TIMESYS": "TAI"},
        {"DATE-OBS": "2026-03-04", "TAIHMS": "05:06:44.5"},
        {"MJD-OBS": START, "TIMESYS": "UTC approximate"},
    ],
)
def test_start_and_end(row_of, cards):
    row = row_of(cards | {"EXPTIME": 30.0})
    assert row["t_min"] == pytest.approx(START, abs=0.01 * SECOND)
    assert row["t_max"] == pytest.approx(START + 30 * SECOND, abs=0.01 * SECOND)
    assert row["t_exptime"] == row["t_resolution"] == 30.0
    assert row["t_xel"] == 1
    assert row["notes"] == ()


@pytest.mark.parametrize(
    ("cards", "seconds"),
    [
        ({"EXPTIME": 12.5}, 12.5),
        ({"EXPOSURE": (50.0, "Exposure time minutes")}, 3000.0),
        ({"EXPTIME": (250.0, "[ms] shutter open")}, 0.25),
        ({"EXPTIME": (2, "[min] length")}, 120.0),
        ({"XPOSURE": 7.0}, 7.0),
        ({"EXPTIME": 0.0, "EXPOSURE": 9.0}, 9.0),
        ({"EXPTIME": 1.0, "TEXPTIME": 330624.5}, 330624.5),
        ({"EXPTIME": 30.0, "TEXPTIME": 600.0}, 30.0),
        ({"EXPTIME": "1.5D2"}, 150.0),
        ({"EXPTIME": "long"}, None),
        ({"EXPTIME": -1.0}, None),
        ({}, None),
    ],
)
def test_exposure_time(row_of, cards, seconds):
    assert row_of(cards)["t_exptime"] == seconds


@pytest.mark.parametrize(
    "cards",
    [
        {"MJD-END": START + 60 * SECOND},
        {"DATE-END": "2026-03-04T05:07:07.5"},
        {"EXPEND": START + 60 * SECOND},
        {"TELAPSE": 60.0},
    ],
)
def test_told_end_goes_before_exposure_time(row_of, cards):
    row = row_of(cards | {"MJD-OBS": START, "EXPTIME": 30.0})
    assert row["t_max"] == pytest.approx(START + 60 * SECOND, abs=0.01 * SECOND)
    assert row["t_exptime"] == 30.0


def test_end_before_start_is_not_believed(row_of):
    row = row_of({"MJD-OBS": START, "MJD-END": START - 1.0, "EXPTIME": 30.0})
    assert row["t_max"] == pytest.approx(START + 30 * SECOND)
    assert "before its start" in row["notes"][0]


def test_date_alone_is_the_whole_day(row_of):
    row = row_of({"DATE-OBS": "2006-03-22", "EXPTIME": 30.0})
    assert (row["t_min"], row["t_max"]) == (53816.0, 53817.0)
    assert row["notes"] == ("the time of day of the observation is not known",)


def test_old_dates_are_of_the_last_century(row_of):
    row = row_of({"DATE-OBS": "24/04/55", "UT": "06:58:00.00"})
    assert row["t_min"] == pytest.approx(Time("1955-04-24T06:58:00", scale="tai").mjd)


@pytest.mark.parametrize(
    "cards",
    [
        {"MJD-OBS": 0.0},
        {"DATE-OBS": "1970-01-01T00:00:00"},
        {"TIME-MID": "1969-12-31T23:59:51.999918240Z"},
        {"DATE-OBS": "2000-01-01T11:58:55.816"},
        {"MJD-OBS": 2461103.7},
        {"DATE-OBS": "2206-01-01T01:00:00"},
        {"DATE-OBS": "yesterday"},
        {"DATE-OBS": "2026-13-01"},
        {"DATE-OBS": "99/99/99"},
    ],
)
def test_dates_that_cannot_be_are_left_out_with_a_note(row_of, cards):
    row = row_of(cards)
    assert row["t_min"] is None
    assert row["t_max"] is None
    assert len(row["notes"]) == 1


@pytest.mark.parametrize("scale", ["tai", "tt", "tdb", "tcg", "tcb"])
@pytest.mark.parametrize("mjd", [41500.25, 57754.0, 57753.99999, 61103.5])
def test_scales_against_astropy(scale, mjd):
    assert to_utc(mjd, scale) == pytest.approx(
        Time(mjd, format="mjd", scale=scale).utc.mjd, abs=1e-9
    )
    assert from_utc(to_utc(mjd, scale), scale) == pytest.approx(mjd, abs=1e-9)


@pytest.mark.parametrize(
    "text", ["", "T", "2026-02-30", "2025-366", "12:00", "2026-01-01T25:61:00"]
)
def test_no_date(text):
    assert read_moment(text) is None
