"""What a query with groups, and what ORDER BY, may name; both databases answer alike."""

from __future__ import annotations

import pytest

from obscore import adql
from vodal.errors import QueryError

INNER = "SELECT m.id FROM test.numbers AS m WHERE"


def test_a_geometry_is_grouped_by_and_given(run):
    query = (
        "SELECT POINT(y, 1) AS p, COUNT(*), COORD1(POINT(y, 1)) AS ra FROM test.numbers "
        "WHERE id IN (1, 4, 7) GROUP BY POINT(y, 1) ORDER BY ra"
    )
    assert run(query) == [
        ("POSITION ICRS 0 1", 1, 0.0),
        ("POSITION ICRS 1.5 1", 1, 1.5),
        ("POSITION ICRS 3 1", 1, 3.0),
    ]
    for shape in (
        "CENTROID(s_region)", "CIRCLE(s_ra, s_dec, 1)", "CAST('1 2' AS POINT)",
        "COALESCE(s_region, CIRCLE(1, 2, 3))", "s_region",
        "ivo_geom_transform('ICRS', 'GALACTIC', POINT(s_ra, s_dec))",
    ):  # fmt: skip
        single = run(f"SELECT {shape} AS g FROM ivoa.obscore")
        grouped = run(f"SELECT {shape} AS g, COUNT(*) FROM ivoa.obscore GROUP BY {shape}")
        assert {row[0] for row in grouped} == {row[0] for row in single}, shape
        assert sum(row[1] for row in grouped) == 300


def test_a_sub_query_in_having_sees_the_columns_of_group_by(run, numbers):
    query = f"SELECT n.i FROM test.numbers AS n GROUP BY n.i HAVING EXISTS ({INNER} m.id = n.i)"
    assert sorted(run(query)) == sorted((row[1],) for row in numbers if row[1] in range(1, 8))
    deeper = f"{INNER} EXISTS (SELECT 1 FROM test.numbers AS k WHERE k.id = n.i AND k.id = 7)"
    query = f"SELECT n.i FROM test.numbers AS n GROUP BY n.i HAVING 1 IN ({deeper})"
    assert run(query) == [(7,)]


@pytest.mark.parametrize("query", [
    f"SELECT n.i FROM test.numbers AS n GROUP BY n.i HAVING EXISTS ({INNER} m.id = n.id)",
    f"SELECT n.i FROM test.numbers AS n GROUP BY n.i HAVING n.i IN ({INNER} m.i > n.id)",
    f"SELECT COUNT(*) FROM test.numbers AS n HAVING 1 IN ({INNER} EXISTS ({INNER} m.i = n.id))",
    f"SELECT n.id + 1 FROM test.numbers AS n GROUP BY n.id + 1 HAVING EXISTS ({INNER} 1 < n.id)",
])  # fmt: skip
def test_a_sub_query_in_having_sees_no_other_column(query, schema):
    with pytest.raises(QueryError) as caught:
        adql.translate(query, schema)
    assert caught.value.message == (
        "a sub-query in HAVING sees only the columns of GROUP BY around it, and id is none of them"
    )
    assert query[caught.value.column - 1 :].startswith("n.id")


def test_order_by_takes_expressions_of_names_that_select_gives(run, numbers):
    ids = [row[0] for row in numbers]
    negative = [(key,) for key in sorted(ids, reverse=True)]
    assert run("SELECT id AS k FROM test.numbers ORDER BY -k") == negative
    far = sorted(((key,) for key in ids), key=lambda row: (abs(row[0] - 4), row[0]))
    assert run("SELECT id AS k FROM test.numbers ORDER BY ABS(k - 4), k") == far
    assert run("SELECT DISTINCT id AS k FROM test.numbers ORDER BY ABS(k - 4), k") == far
    query = (
        "SELECT calib_level AS c, COUNT(*) AS n FROM ivoa.obscore GROUP BY calib_level "
        "ORDER BY n * 0, -c"
    )
    assert [row[0] for row in run(query)] == [3, 2, 1, 0]
    query = (
        "SELECT obs_id, POINT(s_ra, s_dec) AS p FROM ivoa.obscore WHERE s_ra IS NOT NULL "
        "ORDER BY DISTANCE({}, POINT(10, 0)), obs_id"
    )
    assert run(query.format("p")) == run(query.format("POINT(s_ra, s_dec)"))


def test_in_order_by_a_column_comes_before_a_name_that_select_gives(run, numbers):
    order = sorted(numbers, key=lambda row: -row[0])
    assert run("SELECT i AS id FROM test.numbers ORDER BY -id") == [(row[1],) for row in order]


def test_an_aggregate_has_no_name_of_another_within(schema):
    query = "SELECT i, COUNT(*) AS n FROM test.numbers GROUP BY i ORDER BY MAX(n)"
    with pytest.raises(QueryError, match="column 63: an aggregate cannot stand within another"):
        adql.translate(query, schema)


def test_metadata_of_null_are_those_of_what_it_stands_beside(schema):
    for query in (
        "SELECT COALESCE(NULL, s_ra) AS ra FROM ivoa.obscore",
        "SELECT NULL AS ra FROM ivoa.obscore UNION SELECT s_ra FROM ivoa.obscore",
    ):
        (column,) = adql.translate(query, schema).columns
        assert (column.name, column.datatype, column.unit) == ("ra", "double", "deg"), query
    assert column.ucd == "pos.eq.ra"


def test_a_date_is_sought_among_the_times_of_a_sub_query(run):
    times = "SELECT CAST('2020-01-01' AS TIMESTAMP) AS t FROM test.numbers"
    for date in ("2020-01-01", "2020-01-01T00:00:00.000Z"):
        assert len(run(f"SELECT id FROM test.numbers WHERE '{date}' IN ({times})")) == 7
    assert run(f"SELECT id FROM test.numbers WHERE '2020-01-02' IN ({times})") == []


def test_null_is_compared_with_values_of_any_kinds(run):
    for condition in (
        "NULL IN (NULL, id)", "NULL IN ('a', 5)", "NULL NOT IN (1, 2)", "NULL BETWEEN 'a' AND 5",
        "NULL NOT BETWEEN NULL AND a", "COALESCE(NULL, NULL) IN ('a', b)", "-NULL IN (1)",
    ):  # fmt: skip
        for tried in (condition, f"NOT ({condition})"):
            assert run(f"SELECT COUNT(*) FROM test.numbers WHERE {tried}") == [(0,)], tried
