"""Functions of texts and cells in PostgreSQL: they give what those in Python give."""

from __future__ import annotations

import psycopg
import pytest

from obscore.adql.postgres.install import functions_sql
from obscore.adql.userdefined import dates
from vodal.errors import UsageError


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


def test_times_are_brought_into_one_form(postgres):
    for text in DATES:
        (found,) = postgres.execute("SELECT adql.cast_timestamp(%s)", (text,)).fetchone()
        assert found == in_python(dates.timestamp, text), text
