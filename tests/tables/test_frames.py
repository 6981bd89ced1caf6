"""COOSYS and TIMESYS: written, read by others, and read back."""

from __future__ import annotations

import io
import re
import sys
import warnings
from pathlib import Path

import pytest
from astropy.io import fits, votable

sys.path.insert(0, str(Path(__file__).parent))
from table_cases import batch_of, stilts, written

from vodal.tables.columns import Column
from vodal.tables.fits import write_fits
from vodal.tables.frames import ICRS, MJD_UTC, SpaceFrame, TimeFrame, frame_ids
from vodal.tables.parquet import write_parquet
from vodal.tables.readers.fields import make_frame
from vodal.tables.readers.limits import ReadLimits
from vodal.tables.readers.read import read_table
from vodal.tables.votable import write_votable

FK5 = SpaceFrame("eq_FK5", "J2000", "J2015.5")
GALACTIC = SpaceFrame("galactic")
TDB = TimeFrame("TDB", "BARYCENTER", "2455197.5")
ISO = TimeFrame("TT", "TOPOCENTER")

COLUMNS = (
    Column("s_ra", "double", unit="deg", frame=ICRS),
    Column("frame-icrs", "double", unit="deg", frame=ICRS),
    Column("ra5", "double", unit="deg", frame=FK5),
    Column("lon", "double", unit="deg", frame=GALACTIC),
    Column("t_min", "double", unit="d", frame=MJD_UTC),
    Column("bjd", "double", unit="d", frame=TDB),
    Column("at", "char", "*", xtype="timestamp", frame=ISO),
    Column("flux", "double"),
)
VALUES = [[1.5], [2.0], [3.0], [4.0], [60000.0], [1.0], ["2020-01-01T00:00:00"], [0.1]]


def test_each_field_points_to_its_frame_in_order(tmp_path):
    data = written(write_votable, COLUMNS, batch_of(COLUMNS, VALUES))
    with warnings.catch_warnings():
        # astropy 8.0 knows the terms of later versions and says so.
        warnings.simplefilter("ignore")
        read = votable.parse(io.BytesIO(data))
    (resource,) = read.resources
    systems = {c.ID: (c.system, c.equinox, c.epoch) for c in resource.coordinate_systems}
    times = {t.ID: (t.timescale, t.refposition) for t in resource.time_systems}
    refs = {field.name: field.ref for field in read.get_first_table().fields}
    assert systems[refs["s_ra"]] == systems[refs["frame-icrs"]] == ("ICRS", None, None)
    assert systems[refs["ra5"]] == ("eq_FK5", "J2000", "J2015.5")
    assert systems[refs["lon"]] == ("galactic", None, None)
    assert times[refs["t_min"]] == ("UTC", "UNKNOWN")
    assert times[refs["bjd"]] == ("TDB", "BARYCENTER")
    assert times[refs["at"]] == ("TT", "TOPOCENTER")
    assert refs["flux"] is None
    origins = re.findall(rb'<TIMESYS[^>]*timeorigin="([^"]*)"', data)
    assert origins == [b"MJD-origin", b"2455197.5"]
    path = tmp_path / "frames.vot"
    path.write_bytes(data)
    assert stilts("votlint", f"votable={path}") == ""


@pytest.mark.parametrize("write", [write_votable, write_parquet])
def test_frames_are_read_back(write, tmp_path):
    source = tmp_path / "table"
    source.write_bytes(written(write, COLUMNS, batch_of(COLUMNS, VALUES)))
    table = read_table(source, tmp_path / "read.arrow", "t", ReadLimits())
    assert [column.frame for column in table.columns] == [column.frame for column in COLUMNS]


@pytest.mark.parametrize(
    ("element", "attributes", "frame"),
    [
        ("COOSYS", {"system": "ICRS", "epoch": "J2016.0"}, SpaceFrame("ICRS", None, "J2016.0")),
        ("COOSYS", {"system": "FK4", "equinox": "B1950"}, SpaceFrame("eq_FK4", "B1950")),
        ("COOSYS", {"system": "eq_FK5", "equinox": "<J2000>"}, SpaceFrame("eq_FK5")),
        ("COOSYS", {"system": "mine"}, None),
        ("COOSYS", {}, None),
        ("TIMESYS", {"timescale": "TT", "refposition": "GEOCENTER"}, TimeFrame("TT", "GEOCENTER")),
        ("TIMESYS", {"timescale": "TT"}, None),
        ("TIMESYS", {"timescale": "T" * 99, "refposition": "UNKNOWN"}, None),
        (
            "TIMESYS",
            {"timescale": "UTC", "refposition": "UNKNOWN", "timeorigin": "yesterday"},
            TimeFrame("UTC", "UNKNOWN"),
        ),
    ],
)
def test_what_is_no_frame_of_the_standard_is_passed_over(element, attributes, frame):
    assert make_frame(element, attributes) == frame


def test_a_fits_header_has_a_frame_where_there_is_one_of_its_kind():
    both = [COLUMNS[0], COLUMNS[4]]
    data = written(write_fits, both, batch_of(both, [[1.0], [2.0]]))
    header = fits.getheader(io.BytesIO(data), 1)
    assert (header["RADESYS"], header["TIMESYS"], header["MJDREF"]) == ("ICRS", "UTC", 0.0)
    header = fits.getheader(io.BytesIO(written(write_fits, COLUMNS, batch_of(COLUMNS, VALUES))), 1)
    assert not {"RADESYS", "TIMESYS", "MJDREF"} & set(header)


def test_equal_frames_have_one_id():
    ids = frame_ids([None, FK5, ICRS, FK5, SpaceFrame("ICRS")])
    assert list(ids.values()) == ["frame-1", "frame-icrs"]
    assert len(set(frame_ids([FK5, GALACTIC, MJD_UTC, TDB, ISO, ICRS]).values())) == 6
