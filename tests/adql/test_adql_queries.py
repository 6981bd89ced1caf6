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
