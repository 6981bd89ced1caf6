"""Answers from kept counts, against the same queries on the rows themselves."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from obscore import adql
from obscore.store.schema import FACET_COLUMNS
from obscore.store.sqlite.engine import prepare_reader
from obscore.store.sqlite.readers import open_reader
from obscore.store.sqlite.store import SqliteStore
from obscore.tap.metadata import PUBLISHED
from obscore.testing import make_file, make_observation

# The slow twin: the same tables, none of which keeps counts.
UNKEPT = adql.Schema(tuple(replace(table, facets=None) for table in PUBLISHED.tables))

TEXTS = [item.name for item in FACET_COLUMNS if item.column.datatype == "char"]
NAMES = ["filter", "instrument_name", "calib_level", "obs_collection", "dataproduct_subtype"]


@pytest.fixture(scope="module")
def connection(tmp_path_factory):
    path = tmp_path_factory.mktemp("facets") / "skylane.db"
    store = SqliteStore(path)
    kinds = [
        {
            "filter": ("g", "r", None, "", "é%")[number % 5],
            "instrument_name": ("A", "a", None)[number % 3],
            "calib_level": number % 4,
            "obs_collection": ("one", "two")[number % 7 == 0],
            "dataproduct_subtype": (None, "x_y")[number % 11 == 0],
        }
        for number in range(200)
    ]
    store.write(
        [
            make_file(f"file:///{number}", make_observation(f"ivo://x/y?{number}", None, **row))
            for number, row in enumerate(kinds)
        ]
    )
    store.close()
    opened = open_reader(path, prepare=prepare_reader)
    yield opened
    opened.close()


def run(connection, query, schema):
    translated = adql.translate(query, schema)
    rows = connection.execute(translated.sql, translated.params | {"base_url": ""}).fetchall()
    return translated, rows


def plain(connection, query):
    """Run a query as no rule has touched it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adql, "rewritten", lambda resolved: resolved)
        return run(connection, query, PUBLISHED)


def is_kept(translated):
    return '"facets"' in translated.sql and '"obscore"' not in translated.sql


KEPT = [
    "SELECT DISTINCT filter FROM ivoa.obscore",
    "SELECT DISTINCT o.instrument_name AS x, UPPER(filter) FROM ivoa.obscore AS o",
    "SELECT DISTINCT filter FROM ivoa.obscore WHERE filter IS NOT NULL ORDER BY filter DESC",
    "SELECT DISTINCT TOP 2 filter FROM ivoa.obscore WHERE calib_level > 1 ORDER BY 1 OFFSET 1",
    "SELECT filter, COUNT(*) FROM ivoa.obscore GROUP BY filter",
    "SELECT COUNT(*) AS n, filter AS f FROM ivoa.obscore GROUP BY filter ORDER BY n DESC, f",
    "SELECT COUNT(filter), COUNT(instrument_name), filter FROM ivoa.obscore GROUP BY filter",
    "SELECT calib_level FROM ivoa.obscore GROUP BY calib_level HAVING COUNT(*) > 50",
    "SELECT COUNT(*) FROM ivoa.obscore",
    "SELECT COUNT(*) FROM ivoa.obscore WHERE filter = 'none of these'",
    "SELECT COUNT(filter) + 1, MIN(filter), MAX(calib_level) FROM ivoa.obscore",
    "SELECT COUNT(DISTINCT filter), AVG(DISTINCT calib_level) FROM ivoa.obscore",
    "SELECT filter FROM ivoa.obscore GROUP BY filter ORDER BY COUNT(*) DESC, filter",
    "SELECT COUNT(*) FROM (SELECT DISTINCT filter FROM ivoa.obscore) AS t",
    "SELECT DISTINCT filter FROM ivoa.obscore UNION SELECT DISTINCT obs_collection FROM obscore",
    "WITH f AS (SELECT filter, COUNT(*) AS n FROM obscore GROUP BY filter) SELECT * FROM f",
    "SELECT COUNT(*) FROM ivoa.obscore HAVING COUNT(*) > 1",
    (
        "SELECT filter, COUNT(*) FROM obscore WHERE filter LIKE 'g%' OR NOT filter IN ('r', 'x')"
        " GROUP BY filter"
    ),
    "SELECT 1 AS one FROM ivoa.obscore WHERE calib_level BETWEEN 1 AND 2 GROUP BY calib_level",
]


@pytest.mark.parametrize("query", KEPT)
def test_a_query_on_counted_columns_reads_the_counts_and_answers_the_same(connection, query):
    kept, rows = run(connection, query, PUBLISHED)
    unkept, expected = run(connection, query, UNKEPT)
    assert is_kept(kept)
    assert not is_kept(unkept)
    assert kept.columns == unkept.columns
    assert Counter(rows) == Counter(expected)
    if "ORDER BY" in query:
        assert rows == expected


@pytest.mark.parametrize(
    "query",
    [
        "SELECT filter FROM ivoa.obscore",
        "SELECT DISTINCT filter, obs_id FROM ivoa.obscore",
        "SELECT DISTINCT filter FROM ivoa.obscore WHERE t_min > 0",
        "SELECT filter, MIN(t_min) FROM ivoa.obscore GROUP BY filter",
        "SELECT COUNT(obs_id) FROM ivoa.obscore",
        "SELECT SUM(calib_level), AVG(calib_level) FROM ivoa.obscore",
        "SELECT DISTINCT a.filter FROM ivoa.obscore AS a, ivoa.obscore AS b",
        "SELECT DISTINCT filter, RAND() * 0 FROM ivoa.obscore",
        (
            "SELECT DISTINCT filter FROM ivoa.obscore AS a WHERE EXISTS"
            " (SELECT 1 FROM ivoa.obscore AS b WHERE a.obs_id = b.filter)"
        ),
        "SELECT filter, COUNT(*) FROM obscore GROUP BY filter HAVING MAX(s_ra) IS NULL",
        "SELECT filter, COUNT(*) FROM ivoa.obscore GROUP BY filter ORDER BY MAX(t_max)",
        "SELECT COUNT(*) FROM ivoa.obscore WHERE 1 = CONTAINS(POINT(1, 1), CIRCLE(s_ra, s_dec, 1))",
    ],
)
def test_a_query_that_needs_more_reads_the_rows(connection, query):
    kept, rows = run(connection, query, PUBLISHED)
    assert '"facets"' not in kept.sql
    assert Counter(rows) == Counter(run(connection, query, UNKEPT)[1])


def test_a_condition_of_an_outer_row_can_ask_the_counts(connection):
    query = (
        "SELECT s.schema_name, COUNT(*) FROM TAP_SCHEMA.schemas AS s JOIN"
        " (SELECT DISTINCT obs_collection AS c FROM ivoa.obscore) AS o ON s.schema_name <> o.c"
        " GROUP BY s.schema_name"
    )
    kept, rows = run(connection, query, PUBLISHED)
    assert is_kept(kept)
    assert Counter(rows) == Counter(run(connection, query, UNKEPT)[1])


columns = st.sampled_from(NAMES)
text_columns = st.sampled_from([name for name in NAMES if name in TEXTS])
conditions = st.recursive(
    st.one_of(
        st.builds("{} IS {}NULL".format, columns, st.sampled_from(["", "NOT "])),
        st.builds(
            "{} {} '{}'".format,
            text_columns,
            st.sampled_from(["=", "<>", "<", ">=", "LIKE", "NOT LIKE", "ILIKE"]),
            st.sampled_from(["g", "A", "", "%", "x_y", "one"]),
        ),
        st.builds("calib_level {} {}".format, st.sampled_from(["<", "="]), st.integers(-1, 4)),
        st.builds("{} IN ('g', 'a', 'two')".format, text_columns),
    ),
    lambda inner: st.one_of(
        st.builds("NOT ({})".format, inner),
        st.builds("({} {} {})".format, inner, st.sampled_from(["AND", "OR"]), inner),
    ),
    max_leaves=4,
)
aggregates = st.one_of(
    st.just("COUNT(*)"),
    st.builds(
        "{}({}{})".format,
        st.sampled_from(["COUNT", "MIN", "MAX"]),
        st.sampled_from(["", "DISTINCT "]),
        columns,
    ),
)


@st.composite
def queries(draw):
    where = f" WHERE {draw(conditions)}" if draw(st.booleans()) else ""
    selected = draw(st.lists(columns, max_size=3, unique=True))
    if draw(st.booleans()):
        assume(selected)
        order = ", ".join(map(str, range(1, len(selected) + 1)))
        return f"SELECT DISTINCT {', '.join(selected)} FROM ivoa.obscore{where} ORDER BY {order}"
    items = [*selected, *draw(st.lists(aggregates, min_size=1, max_size=3))]
    items = draw(st.permutations(items))
    groups = f" GROUP BY {', '.join(selected)}" if selected else ""
    having = ""
    if draw(st.booleans()):
        having = f" HAVING {draw(aggregates)} IS NOT NULL AND COUNT(*) > {draw(st.integers(0, 9))}"
    return f"SELECT {', '.join(items)} FROM ivoa.obscore{where}{groups}{having}"


@settings(max_examples=150, deadline=None)
@given(query=queries())
def test_any_query_on_counted_columns_answers_as_the_rows_do(connection, query):
    kept, rows = run(connection, query, PUBLISHED)
    unkept, expected = run(connection, query, UNKEPT)
    assert is_kept(kept)
    assert kept.columns == unkept.columns
    assert Counter(rows) == Counter(expected)
    if "ORDER BY" in query:
        assert rows == expected


SPLIT = [
    "SELECT COUNT(*), MIN(t_min), MAX(t_max) FROM ivoa.obscore",
    "SELECT MAX(t_max) - MIN(t_min) AS days, COUNT(filter) AS n FROM ivoa.obscore ORDER BY n",
    "SELECT MIN(obs_id) || '-' || MAX(obs_id), MIN(obs_id) FROM ivoa.obscore AS o",
    "SELECT DISTINCT TOP 1 MIN(em_min), MAX(em_max), 7 FROM ivoa.obscore ORDER BY MAX(em_max)",
    "SELECT * FROM (SELECT MIN(t_min) AS a, MAX(t_min) AS b FROM ivoa.obscore) AS t",
]


@pytest.mark.parametrize("query", SPLIT)
def test_extremes_of_a_table_are_looked_up_one_by_one(connection, query):
    split, rows = run(connection, query, PUBLISHED)
    together, expected = plain(connection, query)
    assert rows == expected
    assert split.columns == together.columns
    details = "\n".join(
        row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {split.sql}", split.params)
    )
    assert details.count("SEARCH t1_") >= 2, details
    for alias in re.findall(r"SCAN (t1_\d+)", details):
        assert f'"facets" AS {alias}' in split.sql


@pytest.mark.parametrize(
    "query",
    [
        "SELECT MIN(s_ra), MAX(s_ra) FROM ivoa.obscore",
        "SELECT MIN(t_min), AVG(t_exptime) FROM ivoa.obscore",
        "SELECT MIN(t_min), MAX(t_max) FROM ivoa.obscore WHERE filter = 'g'",
        "SELECT filter, MIN(t_min), MAX(t_max) FROM ivoa.obscore GROUP BY filter",
        "SELECT MIN(t_min), MAX(t_max) FROM ivoa.obscore HAVING COUNT(*) > 1",
        "SELECT MIN(t_min) FROM ivoa.obscore",
        "SELECT MIN(a.t_min), MAX(b.t_max) FROM ivoa.obscore AS a, TAP_SCHEMA.schemas AS b",
    ],
)
def test_other_aggregates_are_left_together(connection, query):
    if "AS b" in query:
        query = query.replace("b.t_max", "b.schema_name")
    split, rows = run(connection, query, PUBLISHED)
    assert split == plain(connection, query)[0]
    assert rows == plain(connection, query)[1]
