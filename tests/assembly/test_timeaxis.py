"""Times of cubes whose third axis is time, beside astropy.time."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.time import Time, TimeDelta

FIRST = Time("2026-03-04T05:06:07.5", scale="utc")
STEP = TimeDelta(30.0, format="sec")
SAMPLES = 4
SECOND = 1.0 / 86400.0

# The first sample is about FIRST; ``at`` gives CRVAL3, at pixel 1, from that.
AXES = [
    ("tt", {"CTYPE3": "TIME", "TIMESYS": "TT", "MJDREF": 61000.0}, "s", 61000.0),
    ("utc", {"CTYPE3": "TIME", "MJDREFI": 61000, "MJDREFF": 0.25}, "s", 61000.25),
    ("tai", {"CTYPE3": "TAI", "MJDREF": None, "JDREF": 2461000.5}, "d", 61000.0),
    ("tdb", {"CTYPE3": "TDB", "MJDREF": 61000.0, "TIMEUNIT": "d", "TIMEOFFS": 2.0}, "h", 61002.0),
    ("utc", {"CTYPE3": "UTC(NIST)", "MJDREF": None, "DATEREF": "2025-11-21"}, "min", 61000.0),
    ("tt", {"CTYPE3": "TT", "TIMEUNIT": "d"}, None, 0.0),
    ("utc", {"CTYPE3": "GPS", "MJDREF": 61000.0}, "s", 61000.0 - 18 * SECOND),
]  # fmt: skip
IN_A_DAY = {"s": 86400.0, "d": 1.0, "h": 24.0, "min": 1440.0, None: 1.0}


def cards_of(scale, cards, unit, zero_mjd, *, step=STEP):
    value = (getattr(FIRST, scale).mjd - zero_mjd) * IN_A_DAY[unit]
    told = {"CRPIX3": 1.0, "CRVAL3": value, "CDELT3": step.to_value("day") * IN_A_DAY[unit]}
    return cards | told | ({} if unit is None else {"CUNIT3": unit})


@pytest.mark.parametrize("axis", AXES, ids=[one[1]["CTYPE3"] for one in AXES])
@pytest.mark.parametrize("forward", [True, False])
def test_samples_from_begin_to_end(row_of, axis, forward):
    step = STEP if forward else -STEP
    cards = {"DATE-OBS": "2026-03-04T05:00:00", "EXPTIME": 7.0}
    row = row_of(cards | cards_of(*axis, step=step), shape=(SAMPLES, 8, 10))
    ends = sorted([(FIRST - 0.5 * step).utc.mjd, (FIRST + (SAMPLES - 0.5) * step).utc.mjd])
    assert [row["t_min"], row["t_max"]] == pytest.approx(ends, abs=0.01 * SECOND)
    assert row["t_xel"] == SAMPLES
    assert row["t_resolution"] == pytest.approx(30.0)
    assert row["t_exptime"] == 7.0
    assert row["dataproduct_type"] == "cube"
    assert row["notes"] == ()


def test_cards_go_before_an_axis_of_one_sample(row_of):
    axis = cards_of(*AXES[1])
    told = row_of({"DATE-OBS": "2026-03-04T05:00:00", "EXPTIME": 7.0} | axis, shape=(1, 8, 10))
    assert told["t_min"] == pytest.approx(Time("2026-03-04T05:00:00").mjd)
    alone = row_of(axis, shape=(1, 8, 10))
    assert [alone["t_min"], alone["t_max"]] == pytest.approx(
        [(FIRST - 0.5 * STEP).mjd, (FIRST + 0.5 * STEP).mjd], abs=0.01 * SECOND
    )


def test_axis_beyond_the_array(row_of):
    row = row_of({"WCSAXES": 3} | cards_of(*AXES[1]))
    assert row["t_min"] == pytest.approx((FIRST - 0.5 * STEP).mjd, abs=0.01 * SECOND)
    assert row["dataproduct_type"] == "image"


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({"TIMESYS": "MARS"}, "the scale 'MARS' of the time axis is not known"),
        ({"CTYPE3": "LOCAL"}, "the scale 'LOCAL' of the time axis is not known"),
        ({"CUNIT3": "adu"}, "the unit 'adu' of the time axis is not known"),
        ({"MJDREF": 0.0, "CRVAL3": 0.0}, "the time axis is the zero point MJD 0"),
    ],
)
def test_what_cannot_be_read_is_noted_and_left_to_the_cards(row_of, change, note):
    axis = cards_of(*AXES[0]) | change
    row = row_of({"MJD-OBS": 61103.5, "EXPTIME": 30.0} | axis, shape=(SAMPLES, 8, 10))
    assert any(text.startswith(note) for text in row["notes"])
    assert row["t_xel"] is None


def test_table_of_times(image_writer, read_outcome, tmp_path):
    """Gaps between the samples: a -TAB axis (FITS paper III section 6)."""
    moments = np.array([0.0, 10.0, 500.0, 510.0])
    path = image_writer(
        tmp_path / "tab.fits",
        {"CTYPE3": "TIME-TAB", "CUNIT3": "s", "MJDREF": 61000.0, "CRPIX3": 1.0, "CRVAL3": 1.0,
         "CDELT3": 1.0, "PS3_0": "WCS-TABLE", "PS3_1": "COORDS", "PV3_1": 1, "PV3_3": 1},
        shape=(SAMPLES, 8, 10),
    )  # fmt: skip
    column = fits.Column(
        "COORDS", f"{SAMPLES}D", dim=f"(1,{SAMPLES})", array=moments[None, :, None]
    )
    table = fits.BinTableHDU.from_columns([column], name="WCS-TABLE")
    table.header["EXTVER"] = 1
    with fits.open(path, mode="append") as file:
        file.append(table)
    outcome = read_outcome(path)
    assert outcome.file is not None, outcome.refusal
    row = outcome.file.observations[0].row
    # wcslib goes half a sample beyond the ends of a table, by the spacing there.
    assert [row["t_min"], row["t_max"]] == pytest.approx(
        [61000.0 - 5 * SECOND, 61000.0 + 515 * SECOND], abs=0.01 * SECOND
    )
    assert row["t_xel"] == SAMPLES
