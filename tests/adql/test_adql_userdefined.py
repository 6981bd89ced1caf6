"""User-defined functions: the catalogue's examples, and other programs that compute the same."""

from __future__ import annotations

import math
import random
import re
import warnings

import astropy.units as u
import cdshealpix.nested as cdshealpix
import numpy as np
import pytest
from astropy.coordinates import (
    FK5,
    BarycentricMeanEcliptic,
    FK4NoETerms,
    Galactic,
    Latitude,
    Longitude,
    SkyCoord,
    Supergalactic,
)
from astropy.time import Time
from erfa import ErfaWarning
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from obscore import adql
from obscore.adql.tokens import RESERVED
from obscore.adql.userdefined import dates, epochs, frames, healpix, sexagesimal
from obscore.adql.userdefined.catalogue import NOT_HERE, USER_FUNCTIONS, user_features
from vodal.errors import UsageError
from vodal.regions import Circle, Point, Polygon, parse_shape
from vodal.sphere import contains, distance_deg

QUIET = [HealthCheck.function_scoped_fixture]


def value(run, expression):
    ((result,),) = run(f"SELECT {expression} AS x FROM test.numbers WHERE id = 1")
    return result


EXAMPLES = {
    "ivo_healpix_index(0, 1, 1)": 4,
    "ivo_healpix_index(17, 1, 1)": 81609757711,
    "ivo_healpix_index(17, 359, -1)": 73009064944,
    "ivo_healpix_index(17, POINT('ICRS', 1, 1))": 81609757711,
    "ivo_healpix_index(17, CENTROID(CIRCLE(359, -1, 3)))": 73009064944,
    "ivo_to_jd(CAST('2000-01-02T12:00:00' AS TIMESTAMP))": 2451546.0,
    "ivo_to_jd('1910-12-31T06:00:00')": 2419036.75,
    "ivo_to_jd(NULL)": None,
    "ivo_to_mjd(CAST('2000-01-02T12:00:00' AS TIMESTAMP))": 51545.5,
    "ivo_to_mjd('1910-12-31T06:00:00')": 19036.25,
    "ivo_to_mjd(NULL)": None,
    "ivo_nocasematch('abcabc', 'ab%')": 1,
    "ivo_nocasematch('ABcabc', 'ab__bc')": 1,
    "ivo_nocasematch('abcabc', '%BC')": 1,
    "ivo_nocasematch('abcabc', 'ABCABC')": 1,
    "ivo_nocasematch('abcabc', 'abcab')": 0,
    "ivo_nocasematch(NULL, 'abcab')": None,
    "ivo_hasword('Miller and Urey have', 'miller')": 1,
    "ivo_hasword('shown that a primordial', 'show')": 0,
    "ivo_hasword('shown that a primordial', 'soup')": 0,
    "ivo_hasword('shown that a primordial', 'shown primordial')": 1,
    "ivo_hasword('shown that a primordial', 'shown soup')": 0,
    "ivo_hasword('a-b, (c_D)!', 'd;A')": 1,
    "ivo_hashlist_has('red#green#blue', 'red')": 1,
    "ivo_hashlist_has('Red#green#blue', 'red')": 1,
    "ivo_hashlist_has('red#green#blue', 're')": 0,
    "ivo_hashlist_has('red#green#blue', 'red#green')": 0,
    "ivo_hashlist_has(NULL, 'red')": None,
    "ivo_interval_overlaps(-3, -2, 2, 3)": 0,
    "ivo_interval_overlaps(-2, 55.3, 2, 3)": 1,
    "ivo_interval_overlaps(2, 3, -2, 55.3)": 1,
    "ivo_interval_overlaps(-2, 55.3, 3, 2)": 0,
    "ivo_interval_overlaps(-2, 2, 2, 3)": 1,
    "ivo_interval_overlaps(3, 2, 3, 2)": 0,
    "ivo_hms_to_degrees('3:34:45.4')": 53.689166666666665,
    "ivo_hms_to_degrees('3h34m45.4s')": 53.689166666666665,
    "ivo_hms_to_degrees('3H34M45.4S')": 53.689166666666665,
    "ivo_hms_to_degrees('033445.4')": 53.689166666666665,
    "ivo_hms_to_degrees('3:34')": None,
    "ivo_hms_to_degrees('24:00:00')": None,
    "ivo_dms_to_degrees('42:9:6.768')": 42.15188,
    "ivo_dms_to_degrees('42D9M6.768S')": 42.15188,
    "ivo_dms_to_degrees('420906.768')": 42.15188,
    "ivo_dms_to_degrees('-00:15:00')": -0.25,
    "ivo_dms_to_degrees('+0d15m0s')": 0.25,
    "ivo_dms_to_degrees('0:60:00')": None,
    "ivo_dms_to_degrees('--1:0:0')": None,
}


@pytest.mark.parametrize("expression", EXAMPLES)
def test_the_catalogues_examples(run, expression):
    """Those of constants are computed at once, those of columns by the database."""
    wanted = EXAMPLES[expression]
    found = [value(run, expression)]
    # The same where nothing is constant: numbers and texts come out of a sub-query.
    literals = []

    def column(found):
        if found.group() == "'ICRS'":
            return found.group()
        literals.append(found.group())
        return f"q.v{len(literals) - 1}"

    columns = re.sub(r"'[^']*'|(?<![\w.'])-?[\d.]+", column, expression)
    if "CAST" not in expression and "NULL" not in expression:
        inner = ", ".join(f"{literal} AS v{i}" for i, literal in enumerate(literals))
        query = f"SELECT {columns} FROM (SELECT {inner} FROM test.numbers WHERE id = 1) AS q"
        ((computed,),) = run(query)
        found.append(computed)
    for result in found:
        assert result == (None if wanted is None else pytest.approx(wanted, rel=1e-14))
        assert type(result) is type(wanted)


@pytest.mark.parametrize(("arguments", "wanted"), [
    ("7.606083572, 11.79044105, 125, 300, -428.8, 52.51, 2016.0, 1992.25",
     (7.604061404627978, 11.7932703828279)),
    ("7.606083572, 11.79044105, 125, 300, -428.8, 52.51, 2016.0, 1875.0",
     (7.594068213694308, 11.807251375203935)),
    ("7.606083572, 11.79044105, 125, 300, -428.8, NULL, 2016.0, 1875.0",
     (7.594079587029898, 11.807235464326332)),
    ("7.606083572, 11.79044105, 125, 300, NULL, NULL, 2016.0, 1875.0",
     (7.594080321498365, 11.790440798509207)),
    ("7.606083572, 11.79044105, NULL, 300, -428.8, 52.51, 2016.0, 1875.0",
     (7.594079587020846, 11.807235464339055)),
])  # fmt: skip
def test_positions_at_other_epochs(run, arguments, wanted):
    names = ("a", "b", "c", "d", "e", "f", "g", "h")
    given = ", ".join(
        f"CAST({item} AS DOUBLE PRECISION) AS {name}"
        for item, name in zip(arguments.split(","), names, strict=True)
    )
    columns = ", ".join(f"q.{name}" for name in names)
    for call, source in (
        (f"ivo_epoch_prop_pos({arguments})", "test.numbers"),
        (f"ivo_epoch_prop_pos({columns})", f"(SELECT {given} FROM test.numbers) AS q"),
    ):
        rows = run(f"SELECT TOP 1 COORD1({call}), COORD2({call}) FROM {source}")
        assert rows[0] == pytest.approx(wanted, abs=3e-11)


def test_motion_agrees_with_astropy():
    rng = random.Random(3)
    for _ in range(20):
        ra, dec = rng.uniform(0, 360), rng.uniform(-85, 85)
        parallax, years = rng.uniform(10, 300), rng.uniform(-100, 100)
        pmra, pmdec, velocity = (rng.uniform(-2000, 2000) for _ in range(3))
        velocity /= 20
        star = SkyCoord(
            ra * u.deg, dec * u.deg, distance=1000 / parallax * u.pc,
            pm_ra_cosdec=pmra * u.mas / u.yr, pm_dec=pmdec * u.mas / u.yr,
            radial_velocity=velocity * u.km / u.s, obstime=Time(2000.0, format="jyear"),
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ErfaWarning)  # years of which no leap seconds are known
            moved = star.apply_space_motion(new_obstime=Time(2000.0 + years, format="jyear"))
        mine = epochs.position_at(ra, dec, parallax, pmra, pmdec, velocity, 2000.0, 2000.0 + years)
        away = distance_deg(mine.ra_deg, mine.dec_deg, moved.ra.deg, moved.dec.deg)
        # They keep a relativistic term that the catalogue leaves out.
        assert away < 1e-6


@pytest.mark.parametrize("order", [0, 1, 4, 13, 29])
def test_cells_agree_with_cdshealpix(order):
    rng = np.random.default_rng(order)
    lon = np.concatenate([rng.uniform(0, 360, 500), [0.0, 359.999, 45.0, 1e-9]])
    lat = np.degrees(np.arcsin(rng.uniform(-1, 1, 500)))
    lat = np.concatenate([lat, [89.99999, -89.99999, 41.8, -41.9]])
    cells = cdshealpix.lonlat_to_healpix(Longitude(lon * u.deg), Latitude(lat * u.deg), order)
    assert [healpix.index(order, *at) for at in zip(lon, lat, strict=True)] == cells.tolist()
    centres = cdshealpix.healpix_to_lonlat(cells, order)
    mine = np.array([healpix.center(order, int(cell)) for cell in cells])
    assert np.allclose(mine[:, 1], centres[1].deg, atol=1e-12)
    turn = (mine[:, 0] - centres[0].deg + 180) % 360 - 180
    assert np.allclose(turn, 0, atol=1e-12)


@settings(max_examples=200, deadline=None)
@given(order=st.integers(0, 29), data=st.data())
def test_the_centre_of_a_cell_lies_in_it(order, data):
    cell = data.draw(st.integers(0, 12 * 4**order - 1))
    lon, lat = healpix.center(order, cell)
    assert healpix.index(order, lon, lat) == cell
    assert healpix.index(order, lon + 360, lat) == healpix.index(order, lon - 720, lat)


@pytest.mark.parametrize("call", [
    lambda: healpix.index(30, 1, 1),
    lambda: healpix.index(-1, 1, 1),
    lambda: healpix.index(5, 1, 90.1),
    lambda: healpix.index(5, math.inf, 0),
    lambda: healpix.center(0, 12),
    lambda: healpix.center(0, -1),
])  # fmt: skip
def test_cells_that_are_none_are_refused(call):
    with pytest.raises(UsageError):
        call()


FRAMES = {
    "GALACTIC": (Galactic(), 1e-9),
    "FK5": (FK5(), 1e-9),
    "ECLIPTIC": (BarycentricMeanEcliptic(), 1e-9),
    "SUPER_GALACTIC": (Supergalactic(), 1e-9),
    "FK4": (FK4NoETerms(), 3e-5),
}


@pytest.mark.parametrize("name", FRAMES)
def test_frames_agree_with_astropy(name):
    frame, within = FRAMES[name]
    rng = random.Random(7)
    for _ in range(10):
        point = Point(rng.uniform(0, 360), rng.uniform(-90, 90))
        theirs = SkyCoord(point.ra_deg * u.deg, point.dec_deg * u.deg).transform_to(frame)
        mine = frames.transformed("ICRS", name, point)
        lon, lat = theirs.spherical.lon.deg, theirs.spherical.lat.deg
        assert distance_deg(mine.ra_deg, mine.dec_deg, lon, lat) < within
        back = frames.transformed(name, "ICRS", mine)
        assert distance_deg(back.ra_deg, back.dec_deg, point.ra_deg, point.dec_deg) < 1e-12


def test_the_catalogues_transformations():
    circle = frames.transformed("FK4", "GALACTIC", Circle(189.70303055, 22.96240006, 3))
    assert (circle.ra_deg, circle.dec_deg) == pytest.approx((275.00025405, 84.99996154), abs=1e-8)
    assert circle.radius_deg == 3
    point = frames.transformed("ICRS", "GALACTIC", Point(120, -23))
    assert (point.ra_deg, point.dec_deg) == pytest.approx((241.121831182, 3.62785788087), abs=1e-9)
    polygon = frames.transformed("GALACTIC", "FK5", Polygon(((5, 3), (4, 4), (4.5, 2))))
    assert np.allclose(
        polygon.vertices,
        [(266.44721, -23.107310), (264.95088, -23.434037), (267.09936, -24.051919)],
        atol=7e-6,
    )


def test_transformed_geometries_say_their_frame(run, schema):
    transformed = "ivo_geom_transform('ICRS', 'GALACTIC', POINT(s_ra, s_dec))"
    query = (
        f"SELECT {transformed} AS g, COORDSYS({transformed}), COORD1({transformed}) FROM obscore"
    )
    rows = run(f"{query} WHERE s_ra IS NOT NULL")
    for text, system, lon in rows:
        assert text.startswith("POSITION GALACTIC ")
        assert system == "GALACTIC"
        assert float(text.split()[2]) == pytest.approx(lon, abs=1e-9)
    ucds = [column.ucd for column in adql.translate(query, schema).columns]
    assert ucds == [None, None, "pos.galactic.lon"]
    # A text in another frame is no position of ICRS again, however it goes on.
    inner = f"(SELECT {transformed} AS g FROM obscore) AS q"
    assert run(f"SELECT q.g FROM {inner} WHERE CONTAINS(q.g, CIRCLE(0, 0, 180)) = 1") == []
    back = "ivo_geom_transform('GALACTIC', 'ICRS', POINT(10, 20))"
    assert value(run, back).startswith("POSITION ICRS ")
    assert value(run, "ivo_geom_transform('ICRS', 'ICRS', CIRCLE(1, 2, 3))") == "CIRCLE ICRS 1 2 3"


def test_a_search_in_galactic_coordinates_agrees_with_brute_force(run, sky, plan):
    centre = frames.transformed("GALACTIC", "ICRS", Point(120.0, -60.0))
    wanted = sorted(
        row[4] for row in sky
        if row[7] is not None
        and distance_deg(row[7], row[8], centre.ra_deg, centre.dec_deg) <= 20
    )  # fmt: skip
    assert wanted
    turned = "ivo_geom_transform('GALACTIC', 'ICRS', CIRCLE(120, -60, 20))"
    row = "ivo_geom_transform('ICRS', 'GALACTIC', POINT(s_ra, s_dec))"
    for where in (f"POINT(s_ra, s_dec), {turned}", f"{row}, CIRCLE(120, -60, 20)"):
        query = f"SELECT obs_id FROM ivoa.obscore WHERE CONTAINS({where}) = 1"
        assert sorted(row[0] for row in run(query)) == wanted
    assert "SCAN obscore_rtree VIRTUAL TABLE" in plan(
        f"SELECT obs_id FROM obscore WHERE CONTAINS(POINT(s_ra, s_dec), {turned}) = 1"
    )


def test_regions_are_transformed_as_a_whole(run, sky):
    rows = dict(run(
        "SELECT obs_id, ivo_geom_transform('ICRS', 'GALACTIC', s_region) AS g FROM ivoa.obscore"
    ))  # fmt: skip
    for row in sky:
        shape, text = row[10], rows[row[4]]
        if isinstance(shape, Circle | Polygon):
            turned = parse_shape(text.replace("GALACTIC", "ICRS"))
            point = Point(*shape.vertices[0]) if isinstance(shape, Polygon) else Point(
                shape.ra_deg, shape.dec_deg
            )  # fmt: skip
            there = frames.transformed("ICRS", "GALACTIC", point)
            if isinstance(shape, Circle):
                assert contains(turned, there)
            else:
                assert (
                    min(distance_deg(*v, there.ra_deg, there.dec_deg) for v in turned.vertices)
                    < 1e-9
                )
        else:
            assert text is None


def test_texts_of_a_group_are_joined_in_order(run):
    query = "SELECT ivo_string_agg(table_name, ' <//> ') FROM TAP_SCHEMA.tables"
    assert run(query) == [("TAP_SCHEMA.tables <//> ivoa.obscore",)]
    assert run("SELECT ivo_string_agg(a, ',') FROM test.numbers WHERE id = 5") == [(None,)]
    assert run("SELECT ivo_string_agg(a, ',') FROM test.numbers WHERE id IN (3, 5, 1)") == [
        (",abc",)
    ]
    grouped = run(
        "SELECT instrument_name, ivo_string_agg(obs_id, '#') AS ids FROM ivoa.obscore "
        "WHERE obs_id LIKE 'obs1_' GROUP BY instrument_name "
        "HAVING ivo_string_agg(obs_id, '') <> '' ORDER BY ids"
    )
    assert sum(len(ids.split("#")) for _, ids in grouped) == 10
    assert [ids for _, ids in grouped] == sorted(ids for _, ids in grouped)
    for _, ids in grouped:
        assert ids.split("#") == sorted(ids.split("#"))


def test_overlaps_of_intervals_are_comparisons(run, schema, sky):
    wanted = sorted(
        row[4] for row in sky if row[11] is not None and row[11] <= 59100 and row[11] + 0.5 >= 59050
    )
    for where in (
        "1 = ivo_interval_overlaps(t_min, t_min + 0.5, 59050, 59100)",
        "ivo_interval_overlaps(59050, 59100, t_min, t_min + 0.5) > 0",
    ):
        rows = run(f"SELECT obs_id FROM ivoa.obscore WHERE {where}")
        assert sorted(row[0] for row in rows) == wanted
    where = "ivo_interval_overlaps(t_min, t_min + 0.5, 59050, 59100) = 0"
    rows = run(f"SELECT obs_id FROM ivoa.obscore WHERE {where}")
    dated = [row[4] for row in sky if row[11] is not None]
    assert sorted([*wanted, *(row[0] for row in rows)]) == sorted(dated)
    query = "SELECT s_ra FROM obscore WHERE ivo_interval_overlaps(obs_lo, 9, 1, 5) = 1"
    sql = adql.translate(query.replace("obs_lo", "access_estsize"), schema).sql
    assert sql.count("<=") == 4


def test_random_numbers_are_normal(run):
    numbers = [row[0] for row in run("SELECT ivo_normal_random(10, 2) FROM ivoa.obscore")]
    assert len(set(numbers)) == 300
    assert np.mean(numbers) == pytest.approx(10, abs=0.8)
    assert np.std(numbers) == pytest.approx(2, abs=0.6)


@settings(max_examples=100, deadline=None)
@given(when=st.datetimes())
def test_dates_agree_with_astropy(when):
    text = when.isoformat()
    days = Time(text, scale="tai")
    assert dates.modified_julian_date(text) == pytest.approx(days.mjd, abs=1e-9)
    assert dates.julian_date(text) == pytest.approx(days.jd, abs=2e-9)
    assert dates.timestamp(text) == text.rstrip("0") if when.microsecond else text


@given(first=st.datetimes(), second=st.datetimes(), loose=st.booleans())
def test_timestamps_are_in_the_order_of_their_times(first, second, loose):
    texts = [item.isoformat(timespec="microseconds") for item in (first, second)]
    if loose:
        texts = [f"{text.replace('T', ' ')}Z" for text in texts]
    one, two = (dates.timestamp(text) for text in texts)
    assert (one < two, one == two) == (first < second, first == second)


@pytest.mark.parametrize("text", [
    "", "2020", "2020-13-01", "2020-02-30", "2020-01-01T24:00:00", "2020-01-01T10", "0000-01-01",
    "2020-01-01T10:61:00", "2020-01-01T10:00:61", "2020-01-01T10:00:00+01:00", "20200101",
    "2020-1-1", "٢٠٢٠-01-01",
])  # fmt: skip
def test_what_is_no_date_is_refused(text):
    with pytest.raises(UsageError):
        dates.modified_julian_date(text)


@given(degrees=st.floats(0, 359.9), form=st.sampled_from([":", "dms", ""]))
def test_sexagesimal_angles_are_read_as_they_are_written(degrees, form):
    hours = degrees / 15
    for number, read, letters in (
        (hours, sexagesimal.degrees_of_hms, "hms"),
        (degrees, sexagesimal.degrees_of_dms, "dms"),
    ):
        whole = int(number)
        minutes = int((number - whole) * 60)
        seconds = f"{min(((number - whole) * 60 - minutes) * 60, 59.99):05.2f}"
        if form == "" and whole > 99:
            continue
        text = {
            ":": f"{whole}:{minutes}:{seconds}",
            "dms": f"{whole}{letters[0]}{minutes}m{seconds}s",
            "": f"{whole:02d}{minutes:02d}{seconds}",
        }[form]
        scale = 15 if letters == "hms" else 1
        assert read(text) == pytest.approx(degrees, abs=scale * 0.02 / 3600)


def test_signatures_are_written_as_the_standard_asks():
    pattern = re.compile(
        r"[A-Za-z][A-Za-z0-9_]*\([A-Za-z][\w]* [A-Z ]+(, [A-Za-z][\w]* [A-Z ]+)*\) -> [A-Z ]+"
    )
    for form, description in user_features():
        assert pattern.fullmatch(form), form
        assert description.endswith(".")
    assert len({form for form, _ in user_features()}) == len(USER_FUNCTIONS)
    assert not {item.name.upper() for item in USER_FUNCTIONS} & RESERVED
    assert not {item.name.upper() for item in USER_FUNCTIONS} & set(NOT_HERE)


@pytest.mark.parametrize("form", USER_FUNCTIONS, ids=lambda form: form.signature)
def test_null_gives_null(form, run):
    """But where NULL stands for something, and in aggregates and random numbers of columns."""
    nulls = {
        "INTEGER": "CAST(NULL AS INTEGER)", "BIGINT": "CAST(NULL AS BIGINT)",
        "DOUBLE PRECISION": "CAST(NULL AS REAL)", "VARCHAR": "CAST(NULL AS VARCHAR)",
        "TIMESTAMP": "CAST(NULL AS TIMESTAMP)", "POINT": "CAST(NULL AS POINT)",
        "REGION": "CAST(NULL AS CIRCLE)",
    }  # fmt: skip
    arguments = ["'ICRS'" if item.choices else nulls[item.type] for item in form.parameters]
    query = f"SELECT {form.name}({', '.join(arguments)}) AS x FROM test.numbers"
    assert set(run(query)) == {(None,)}
