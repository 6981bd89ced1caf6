"""Set operators, groups, orders and joins against the same computed in Python."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from obscore import adql
from vodal.errors import QueryError

QUIET = [HealthCheck.function_scoped_fixture]


# Sets: a query, and the bag of rows that it gives --------------------------------------------


def rows_of(ids):
    """Give the query of some rows of the table of numbers, by their id."""
    listed = ", ".join(map(str, ids)) or "0"
    return f"SELECT i FROM test.numbers WHERE id IN ({listed})", tuple(ids)


def bag_of(ids, numbers):
    return Counter(row[1] for row in numbers if row[0] in ids)


def union(a, b, *, every):
    return a + b if every else Counter(set(a) | set(b))


def difference(a, b, *, every):
    return a - b if every else Counter(set(a) - set(b))


def intersection(a, b, *, every):
    return a & b if every else Counter(set(a) & set(b))


OPERATORS = {"UNION": union, "EXCEPT": difference, "INTERSECT": intersection}

leaves = st.lists(st.integers(1, 7), min_size=1, max_size=5, unique=True).map(rows_of)
operators = st.tuples(st.sampled_from(list(OPERATORS)), st.booleans())


def parenthesised(tree):
    """A row of operands and operators, in parentheses."""
    return f"({written(tree)})", tree


def written(tree):
    first, rest = tree
    words = [first[0]]
    for (name, every), operand in rest:
        words += [f"{name}{' ALL' if every else ''}", operand[0]]
    return " ".join(words)


def chains(inner):
    return st.tuples(inner, st.lists(st.tuples(operators, inner), min_size=1, max_size=3))


trees = chains(st.recursive(leaves, lambda inner: chains(inner).map(parenthesised), max_leaves=4))


def value_of(operand, numbers):
    """Give the bag of an operand: ids of rows, or a chain."""
    _, content = operand
    if all(isinstance(item, int) for item in content):
        return bag_of(content, numbers)
    return evaluated(content, numbers)


def evaluated(tree, numbers):
    """Compute INTERSECT before UNION and EXCEPT, each from the left."""
    first, rest = tree
    terms = [("UNION", True, value_of(first, numbers))]
    for (name, every), operand in rest:
        bag = value_of(operand, numbers)
        if name == "INTERSECT":
            kind, also, left = terms.pop()
            terms.append((kind, also, intersection(left, bag, every=every)))
        else:
            terms.append((name, every, bag))
    total = Counter()
    for name, every, bag in terms:
        total = OPERATORS[name](total, bag, every=every)
    return total


@settings(max_examples=200, deadline=None, suppress_health_check=QUIET)
@given(tree=trees)
def test_set_operators_agree_with_bags(tree, run, numbers):
    found = Counter(row[0] for row in run(written(tree)))
    assert found == evaluated(tree, numbers)


def test_all_keeps_as_many_equal_rows_as_the_standard_says(run):
    names = "SELECT schema_name AS s FROM TAP_SCHEMA.schemas"
    twice = f"{names} UNION ALL {names}"
    once = "SELECT schema_name FROM TAP_SCHEMA.tables"
    assert sorted(run(f"({twice}) EXCEPT ALL ({once})")) == [("TAP_SCHEMA",), ("ivoa",)]
    assert sorted(run(f"({twice}) INTERSECT ALL ({twice})")) == [
        ("TAP_SCHEMA",), ("TAP_SCHEMA",), ("ivoa",), ("ivoa",),
    ]  # fmt: skip
    null = "SELECT i FROM test.numbers WHERE i IS NULL"
    assert run(f"({null} UNION ALL {null}) EXCEPT ALL {null}") == [(None,)]


# Order and groups ----------------------------------------------------------------------------


def test_a_set_is_ordered_by_expressions_over_its_columns(run, numbers):
    query = (
        "SELECT id AS n FROM test.numbers UNION SELECT i FROM test.numbers "
        "ORDER BY ABS(n - 3), n DESC OFFSET 1"
    )
    both = {row[0] for row in numbers} | {row[1] for row in numbers}
    known = sorted((n for n in both if n is not None), key=lambda n: (abs(n - 3), -n))
    assert run(query) == [(n,) for n in known]


def test_different_rows_are_ordered_by_expressions_over_what_is_selected(run, numbers):
    query = "SELECT DISTINCT TOP 4 ABS(i), i FROM test.numbers ORDER BY ABS(i) * 2 DESC, i + 1"
    values = {row[1] for row in numbers if row[1] is not None}
    wanted = sorted(values, key=lambda i: (-abs(i), i))[:4]
    assert run(query) == [(abs(i), i) for i in wanted]


def test_having_and_an_ordering_aggregate_make_one_group_of_all_rows(run):
    assert run("SELECT 1 AS x FROM test.numbers HAVING COUNT(*) > 1") == [(1,)]
    assert run("SELECT 1 AS x FROM test.numbers HAVING COUNT(*) > 99") == []
    assert run("SELECT 1 AS x FROM test.numbers WHERE id > 99 HAVING COUNT(*) = 0") == [(1,)]
    assert run("SELECT DISTINCT 1 AS x FROM test.numbers ORDER BY 1") == [(1,)]
    assert run("SELECT 1 AS x FROM test.numbers ORDER BY MAX(id), 1") == [(1,)]
    assert run("SELECT COUNT(*) FROM test.numbers HAVING MIN(id) = 1 ORDER BY MAX(id)") == [(7,)]
    query = (
        "SELECT a.id FROM test.numbers AS a WHERE EXISTS "
        "(SELECT 1 AS x FROM test.numbers AS b WHERE b.i = a.id HAVING COUNT(*) = 1) ORDER BY 1"
    )
    assert run(query) == [(1,), (2,), (7,)]


# Joins ---------------------------------------------------------------------------------------


def test_joins_wait_for_their_on(run):
    left = (
        "SELECT a.id, b.id, c.id FROM test.numbers AS a LEFT JOIN (test.numbers AS b "
        "JOIN test.numbers AS c ON b.i = c.id) ON a.i = b.id ORDER BY 1, 2, 3"
    )
    assert run(left) == run(left.replace("(test", "test").replace("id)", "id"))
    natural = (
        "SELECT a.id FROM test.numbers AS a JOIN (SELECT id AS k FROM test.numbers) AS b "
        "NATURAL JOIN (SELECT i AS k FROM test.numbers) AS c ON a.id = k ORDER BY 1"
    )
    assert run(natural) == [(1,), (2,), (7,)]


def test_a_join_in_parentheses_can_have_a_name(run):
    query = (
        "SELECT j.k, j.id, j.b FROM ((SELECT id AS k, b FROM test.numbers) AS x "
        "JOIN (SELECT i AS k, id FROM test.numbers) AS y USING (k)) AS j ORDER BY 1"
    )
    assert run(query) == [(1, 2, "ABC"), (2, 6, "a%c"), (7, 4, "it's")]


def test_a_join_can_stand_in_the_place_of_a_sub_query(run):
    some = "(SELECT schema_name FROM TAP_SCHEMA.schemas) AS a"
    none = "(SELECT a AS schema_name FROM test.numbers) AS b"
    query = "SELECT id FROM test.numbers WHERE id = 1 AND EXISTS ({} NATURAL JOIN {})"
    assert run(query.format(some, some.replace(" a", " c"))) == [(1,)]
    assert run(query.format(some, none)) == []
    query = f"SELECT id FROM test.numbers WHERE id = 1 AND 'ivoa' IN ({some} NATURAL JOIN {none})"
    assert run(query) == []


def test_joins_that_wait_too_deeply_are_refused(schema):
    joins = " JOIN ".join(f"test.numbers AS a{i}" for i in range(2_000))
    with pytest.raises(QueryError, match="joins wait for their ON"):
        adql.translate(f"SELECT a1.id FROM {joins}", schema)


# NATURAL and USING against their definition --------------------------------------------------

NUMBERS_COLUMNS = ("id", "i", "j", "x", "y", "a", "b")


def renamed(rows, columns, alias):
    """Give a sub-query of some columns under other names, and its rows."""
    listed = ", ".join(f"{column} AS {name}" for column, name in columns)
    text = f"(SELECT {listed} FROM test.numbers) AS {alias}"
    places = [NUMBERS_COLUMNS.index(column) for column, _ in columns]
    return text, [name for _, name in columns], [tuple(row[p] for p in places) for row in rows]


def joined(kind, left, right, shared):
    """Join two lists of rows by the standard's rules: names and rows of SELECT *."""
    (_, left_names, left_rows), (_, right_names, right_rows) = left, right
    key = lambda names, row: tuple(row[names.index(name)] for name in shared)  # noqa: E731
    rest = lambda names, row: tuple(  # noqa: E731
        value for name, value in zip(names, row, strict=True) if name not in shared
    )
    nothing = lambda names: (None,) * (len(names) - len(shared))  # noqa: E731
    rows, met = [], set()
    for one in left_rows:
        k = key(left_names, one)
        matches = [
            n for n, two in enumerate(right_rows)
            if None not in k and key(right_names, two) == k
        ]  # fmt: skip
        met.update(matches)
        rows += [k + rest(left_names, one) + rest(right_names, right_rows[n]) for n in matches]
        if not matches and kind in {"LEFT", "FULL"}:
            rows.append(k + rest(left_names, one) + nothing(right_names))
    if kind in {"RIGHT", "FULL"}:
        for n, two in enumerate(right_rows):
            if n not in met:
                rows.append(key(right_names, two) + nothing(left_names) + rest(right_names, two))
    names = list(shared) + [name for name in left_names + right_names if name not in shared]
    return names, rows


@pytest.mark.parametrize("kind", ["INNER", "LEFT", "RIGHT", "FULL"])
@settings(max_examples=30, deadline=None, suppress_health_check=QUIET)
@given(
    whole=st.lists(
        st.tuples(st.sampled_from(["id", "i", "j"]), st.sampled_from(["id", "i", "j"])),
        min_size=1, max_size=2,
    ),
    natural=st.booleans(),
)  # fmt: skip
def test_joins_by_name_agree_with_their_definition(kind, whole, natural, run, numbers, schema):
    shared = [f"k{n}" for n in range(len(whole))]
    keys = list(zip(whole, shared, strict=True))
    left = renamed(numbers, [*((one, k) for (one, _), k in keys), ("a", "p")], "l")
    right = renamed(numbers, [("b", "q"), *((two, k) for (_, two), k in keys)], "r")
    if natural:
        query = f"SELECT * FROM {left[0]} NATURAL {kind} JOIN {right[0]}"
    else:
        query = f"SELECT * FROM {left[0]} {kind} JOIN {right[0]} USING ({', '.join(shared)})"
    names, rows = joined(kind, left, right, shared)
    assert [column.name for column in adql.translate(query, schema).columns] == names
    assert Counter(run(query)) == Counter(rows)


@pytest.mark.parametrize("kind", ["INNER", "LEFT", "FULL"])
def test_a_merged_column_can_be_merged_again(kind, run, numbers):
    parts = [
        renamed(numbers, [(column, "k"), ("a", name)], name)
        for column, name in (("id", "p"), ("i", "q"), ("j", "r"))
    ]
    names, rows = joined(kind, parts[0], parts[1], ["k"])
    names, rows = joined(kind, ("", names, rows), parts[2], ["k"])
    first, second, third = (part[0] for part in parts)
    query = f"SELECT * FROM {first} {kind} JOIN {second} USING (k) {kind} JOIN {third} USING (k)"
    assert Counter(run(query)) == Counter(rows)
    assert Counter(run(f"SELECT k, p, q, r FROM ({query}) AS w")) == Counter(rows)


def test_in_and_not_in_with_null_are_unknown(run):
    where = "SELECT id FROM test.numbers WHERE {} ORDER BY id"
    inner = "(SELECT i FROM test.numbers)"  # which has a NULL
    assert run(where.format(f"id IN {inner}")) == [(1,), (2,), (7,)]
    assert run(where.format(f"id NOT IN {inner}")) == []
    assert run(where.format(f"NOT id IN {inner}")) == []
    assert run(where.format("i NOT IN (0, NULL)")) == []
    assert run(where.format("i IN (0, NULL)")) == [(1,)]
    assert run(where.format("i IN (0, NULL) OR i IS NULL")) == [(1,), (5,)]
    empty = "(SELECT i FROM test.numbers WHERE id > 99)"
    assert len(run(where.format(f"i NOT IN {empty}"))) == 7
    assert run(where.format(f"i IN {empty}")) == []


# Metadata ------------------------------------------------------------------------------------

REGION = ("s_region", "char", None, "pos.outline", None, "adql:REGION", None)
RA = ("s_ra", "double", "deg", "pos.eq.ra", "obscore:Char.s_ra", None, None)
LEVEL = ("calib_level", "int", None, None, None, None, "Calibration level")


THREE = "s_region, s_ra, calib_level"
JOINED = f"(SELECT {THREE} FROM obscore) AS a NATURAL JOIN (SELECT calib_level FROM obscore) AS b"


@pytest.mark.parametrize("query", [
    f"SELECT {THREE} FROM ivoa.obscore",
    f"SELECT q.* FROM (SELECT {THREE} FROM ivoa.obscore) AS q",
    f"SELECT {THREE} FROM (SELECT * FROM (SELECT * FROM obscore) AS q) AS p",
    f"WITH w AS (SELECT {THREE} FROM ivoa.obscore) SELECT * FROM w",
    f"WITH w AS (SELECT * FROM obscore), v AS (SELECT * FROM w) SELECT {THREE} FROM v",
    f"SELECT {THREE} FROM ivoa.obscore UNION SELECT obs_id, s_dec, 1 FROM ivoa.obscore",
    f"(SELECT {THREE} FROM obscore EXCEPT ALL SELECT {THREE} FROM obscore) ORDER BY 2",
    f"SELECT DISTINCT {THREE} FROM obscore ORDER BY s_ra + 1",
    f"SELECT j.* FROM ({JOINED}) AS j",
    f"SELECT {THREE} FROM obscore GROUP BY {THREE}",
])  # fmt: skip
def test_metadata_goes_with_a_column_wherever_it_goes(query, schema):
    columns = adql.translate(query, schema).columns
    found = {
        column.name: (
            column.name, column.datatype, column.unit, column.ucd, column.utype, column.xtype,
            column.description,
        )
        for column in columns
    }  # fmt: skip
    level = LEVEL if "UNION" not in query else (LEVEL[0], "long", *LEVEL[2:])
    assert found == {"s_region": REGION, "s_ra": RA, "calib_level": level}
