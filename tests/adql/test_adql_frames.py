"""Frames of positions and times go with a column, and with what is computed of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from obscore import adql
from obscore.adql.schema import ColumnDef, TableDef
from obscore.tap.metadata import PUBLISHED
from vodal.tables.columns import Column
from vodal.tables.frames import ICRS, MJD_UTC, SpaceFrame, TimeFrame

FK5 = SpaceFrame("eq_FK5", equinox="J2000")
TDB = TimeFrame("TDB", "BARYCENTER", "2455197.5")

UPLOAD = TableDef(
    schema="TAP_UPLOAD",
    name="t",
    physical="t",
    columns=(
        ColumnDef(Column("ra", "double", unit="deg", frame=FK5)),
        ColumnDef(Column("dec", "double", unit="deg", frame=FK5)),
        ColumnDef(Column("when", "double", unit="d", frame=TDB)),
        ColumnDef(Column("pos", "char", "*", xtype="adql:POINT", frame=FK5)),
    ),
)
SCHEMA = PUBLISHED.with_tables([UPLOAD])


@pytest.mark.parametrize(
    ("values", "frame"),
    [
        ("s_ra", ICRS),
        ("s_region", ICRS),
        ("t_min AS x", MJD_UTC),
        ("s_fov", None),
        ("em_min", None),
        ("MIN(t_min)", MJD_UTC),
        ("MAX(s_dec)", ICRS),
        ("AVG(t_max)", MJD_UTC),
        ("COUNT(t_max)", None),
        ("SUM(t_exptime)", None),
        ("COALESCE(t_min, t_max)", MJD_UTC),
        ("COALESCE(t_min, 0)", MJD_UTC),
        ("COALESCE(t_min, t_exptime)", None),
        ("CAST(t_min AS REAL)", MJD_UTC),
        ("CAST(t_min AS VARCHAR)", None),
        ("t_max - t_min", None),
        ("IN_UNIT(t_min, 's')", None),
        ("POINT(s_ra, s_dec)", ICRS),
        ("CIRCLE('ICRS', 1, 2, 3)", ICRS),
        ("POLYGON(1, 1, 2, 2, 1, 2)", ICRS),
        ("REGION('CIRCLE ICRS 1 2 3')", ICRS),
        ("CENTROID(s_region)", ICRS),
        ("COORD1(CENTROID(s_region))", ICRS),
        ("DISTANCE(s_ra, s_dec, 1, 2)", None),
        ("ivo_geom_transform('ICRS', 'GALACTIC', POINT(s_ra, s_dec))", SpaceFrame("galactic")),
        ("ivo_geom_transform('ICRS', 'FK5', s_region)", FK5),
        ("ivo_geom_transform('FK4', 'ICRS', s_region)", ICRS),
        ("COORD2(ivo_geom_transform('ICRS', 'ECLIPTIC', POINT(1, 2)))",
         SpaceFrame("ecl_FK5", equinox="J2000")),
        ("obs_id", None),
    ],
)  # fmt: skip
def test_a_value_has_the_frame_of_what_it_is_made_of(values, frame):
    (column,) = adql.translate(f"SELECT {values} FROM ivoa.obscore", SCHEMA).columns
    assert column.frame == frame
    whole = f"SELECT * FROM (SELECT {values} FROM ivoa.obscore) AS q"
    (column,) = adql.translate(whole, SCHEMA).columns
    assert column.frame == frame


@pytest.mark.parametrize(
    ("query", "frames"),
    [
        ('SELECT ra, dec, pos, t."when" FROM TAP_UPLOAD.t', [FK5, FK5, FK5, TDB]),
        ("WITH w AS (SELECT ra AS x FROM TAP_UPLOAD.t) SELECT x FROM w", [FK5]),
        ("SELECT s_ra, t_min FROM ivoa.obscore UNION SELECT s_dec, t_max FROM ivoa.obscore",
         [ICRS, MJD_UTC]),
        # Of rows in two frames none can be named.
        ('SELECT s_ra, t_min FROM ivoa.obscore UNION ALL SELECT ra, "when" FROM TAP_UPLOAD.t',
         [None, None]),
        ("SELECT s_ra, ra FROM ivoa.obscore JOIN TAP_UPLOAD.t ON s_ra = ra", [ICRS, FK5]),
        ("SELECT s_ra FROM ivoa.obscore NATURAL JOIN (SELECT s_ra FROM ivoa.obscore) AS q", [ICRS]),
    ],
)  # fmt: skip
def test_frames_go_through_joins_and_set_operators(query, frames):
    assert [column.frame for column in adql.translate(query, SCHEMA).columns] == frames


def test_a_column_keeps_its_frame_under_another_name():
    column = Column("ra", "double", frame=FK5)
    assert column.called("x") == replace(column, name="x")
