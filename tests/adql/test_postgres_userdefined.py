"""Functions of texts and cells in PostgreSQL: they give what those in Python give."""

from __future__ import annotations

import random

import psycopg
import pytest

from obscore.adql.postgres.install import functions_sql
from obscore.adql.postgres.shapes import shape_array
from obscore.adql.userdefined import dates, epochs, frames, healpix, sexagesimal, words
from obscore.adql.userdefined.catalogue import USER_FUNCTIONS
from vodal.errors import UsageError
from vodal.regions import Circle, Point, Range
from vodal.sphere import box_polygon, distance_deg


@pytest.fixture(scope="module")
def postgres(fresh_postgres):
    with psycopg.connect(fresh_postgres(), autocommit=True) as connection:
        connection.execute(functions_sql())
        yield connection


def in_python(function, *arguments):
    try:
        return function(*arguments)
    except (UsageError, ValueError, TypeError):
        return None


DATES = [
    "2020-02-29", "2021-02-29", "1900-02-29", "2000-02-29", "2020-04-31", "2020-12-31",
    "2020-01-01T10:20", "2020-01-01T10:20Z", "2020-01-01 10:20:30.500Z", "2020-01-01T10:20:60",
    "2020-01-01T10:20:30.000", "2020-01-01T24:00:00", "2020-13-01", "0000-01-01", "0001-01-01",
    "9999-12-31T23:59:59.999999999999", " 2020-01-01\n", "2020-1-1", "yesterday", "",
    "2020-01-01T10:20:30.1234567890123", "2020-01-01T10", "2020-01-01T10:20:30+01:00",
]  # fmt: skip


def asked(postgres, function, *arguments):
    places = ", ".join(["%s"] * len(arguments))
    (found,) = postgres.execute(f"SELECT adql.{function}({places})", arguments).fetchone()
    return found


def test_times_are_brought_into_one_form(postgres):
    for text in DATES:
        assert asked(postgres, "cast_timestamp", text) == in_python(dates.timestamp, text), text
        for name, function in (
            ("ivo_to_mjd", dates.modified_julian_date),
            ("ivo_to_jd", dates.julian_date),
        ):
            assert asked(postgres, name, text) == in_python(function, text), text


ANGLES = [
    "3:34:45.4", "3h34m45.4s", "3H34M45.4S", "033445.4", "24:00:00", "0:60:00", "0:0:60", "3:34",
    "-00:15:00", "+0d15m0s", "359:59:59.999", "360:0:0", "--1:0:0", " 1:2:3 ", "", "x", "1:2:3.",
]  # fmt: skip


def test_sexagesimal_angles_agree(postgres):
    for text in ANGLES:
        hours = asked(postgres, "ivo_hms_to_degrees", text)
        assert hours == in_python(sexagesimal.degrees_of_hms, text), text
        degrees = asked(postgres, "ivo_dms_to_degrees", text)
        assert degrees == in_python(sexagesimal.degrees_of_dms, text), text


TEXTS = [
    "", " ", "abc", "ABC def", "a_b-c", "a#B#c", "#", "b", "B", "ünï Ü", "Ünï", "x[y]z`",
    "red#green", "Miller and Urey have", "miller", "a  b\tc\nd", "{q}~",
]  # fmt: skip


def test_words_and_items_agree(postgres):
    for one in TEXTS:
        for two in TEXTS:
            assert asked(postgres, "ivo_hasword", one, two) == words.has_words(one, two), (one, two)
            item = asked(postgres, "ivo_hashlist_has", one, two)
            assert item == words.has_item(one, two), (one, two)


def test_cells_agree(postgres):
    rng = random.Random(2)
    for _ in range(400):
        order = rng.randint(-1, 30)
        lon, lat = rng.uniform(-400, 800), rng.choice([rng.uniform(-91, 91), 41.9, -41.9, 90.0])
        cell = asked(postgres, "ivo_healpix_index", order, lon, lat)
        assert cell == in_python(healpix.index, order, lon, lat)
        number = rng.randrange(-1, 12 * 4 ** max(order, 0) + 1)
        centre = in_python(healpix.center, order, number)
        found = asked(postgres, "ivo_healpix_center", order, min(number, 2**63 - 1))
        if centre is None:
            assert found is None
        else:
            assert distance_deg(*found[5:7], *centre) < 1e-12
            array = shape_array(Point(*centre))
            assert asked(postgres, "ivo_healpix_index", order, array) == number


def test_transformed_shapes_agree(postgres):
    rng = random.Random(6)
    for _ in range(60):
        one, two = rng.choice(frames.FRAMES), rng.choice(frames.FRAMES)
        ra, dec = rng.uniform(0, 360), rng.uniform(-90, 90)
        for shape in (
            Point(ra, dec), Circle(ra, dec, 3), box_polygon(ra, dec, 4, 2), Range(1, 2, 3, 4),
        ):  # fmt: skip
            found = asked(postgres, "ivo_geom_transform", one, two, shape_array(shape))
            wanted = in_python(frames.transformed, one, two, shape)
            if wanted is None:
                assert found is None
            else:
                assert found == pytest.approx(shape_array(wanted), abs=1e-11)


def test_positions_at_other_epochs_agree(postgres):
    rng = random.Random(8)
    for _ in range(60):
        given = [
            rng.uniform(0, 360), rng.uniform(-91, 91), rng.uniform(0, 300),
            *(rng.uniform(-3000, 3000) for _ in range(2)), rng.uniform(-200, 200),
            rng.uniform(1900, 2030), rng.uniform(-5000, 9000),
        ]  # fmt: skip
        found = asked(postgres, "ivo_epoch_prop_pos", *given)
        wanted = in_python(epochs.position_at, *given)
        if wanted is None:
            assert found is None
        else:
            assert distance_deg(*found[5:7], wanted.ra_deg, wanted.dec_deg) < 1e-11


def test_random_numbers_are_normal(postgres):
    rows = postgres.execute(
        "SELECT adql.ivo_normal_random(10, 2) FROM generate_series(1, 500)"
    ).fetchall()
    numbers = [row[0] for row in rows]
    assert len(set(numbers)) == 500
    assert sum(numbers) / 500 == pytest.approx(10, abs=0.6)
    assert sum((x - 10) ** 2 for x in numbers) / 500 == pytest.approx(4, abs=1.5)


def test_every_function_of_python_is_there_or_printed_otherwise(postgres):
    rows = postgres.execute(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'adql'::regnamespace"
    ).fetchall()
    there = {row[0] for row in rows}
    for form in USER_FUNCTIONS:
        # Those without an implementation are operators or aggregates of the database.
        assert form.compute is None or form.name in there, form.name
