"""The private cluster of the tests: fresh databases with pg_sphere."""

from __future__ import annotations

import psycopg


def test_a_fresh_database_has_the_sphere_and_nothing_else(postgres_url):
    with psycopg.connect(postgres_url) as connection:
        (inside,) = connection.execute(
            "SELECT spoint '(10d, 20d)' <@ scircle '<(11d, 20d), 2d>'"
        ).fetchone()
        assert inside
        assert connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        ).fetchone() == (0,)


def test_fresh_databases_are_not_the_same(fresh_postgres):
    one, other = fresh_postgres(), fresh_postgres()
    assert one != other
    with psycopg.connect(one) as connection:
        connection.execute("CREATE TABLE mine (a int)")
    with psycopg.connect(other) as connection:
        assert connection.execute("SELECT to_regclass('mine')").fetchone() == (None,)
