"""What expressions and conditions give, against the same written in Python."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

COLUMNS = ("id", "i", "j", "x", "y", "a", "b")
QUIET = [HealthCheck.function_scoped_fixture]


def value(run, expression, where="id = 6"):
    ((result,),) = run(f"SELECT {expression} FROM test.numbers WHERE {where}")
    return result


@pytest.mark.parametrize(("expression", "wanted"), [
    ("1 + 2 * 3", 7),
    ("(1 + 2) * 3", 9),
    ("10 - 4 - 3", 3),
    ("100 / 10 / 5", 2),
    ("-2 * -3", 6),
    ("7 / 2", 3),
    ("-7 / 2", -3),
    ("i / 4", 0),
    ("7 / 2.", 3.5),
    ("1 / 0", None),
    ("1.5 / 0", None),
    ("i / (i - i)", None),
    ("MOD(i, 0)", None),
    ("NULL + 1", None),
    ("9223372036854775807 + 1", None),
    ("(9223372036854775807 - i) + i + i", None),
    ("99999999999999999999", 99999999999999999999.0),
    ("1e308 * 10", math.inf),
    ("EXP(1000)", math.inf),
    ("+5", 5),
    ("+i", 2),
    ("-i", -2),
    ("ABS(-3)", 3),
    ("ABS(-2.5)", 2.5),
    ("CEILING(1.2)", 2.0),
    ("CEILING(2)", 2.0),
    ("CEILING(7) / 2", 3.5),
    ("FLOOR(i + 5) / 2", 3.5),
    ("TRUNCATE(i + 5) / 2", 3.5),
    ("COALESCE(i + 5, 1.5) / 2", 3.5),
    ("FLOOR(-1.2)", -2.0),
    ("LOG(EXP(2))", 2.0),
    ("LOG10(1000)", 3.0),
    ("LOG(0)", None),
    ("LOG(-1)", None),
    ("SQRT(-1)", None),
    ("SQRT(16)", 4.0),
    ("POWER(2, 10)", 1024.0),
    ("POWER(-8, 1.0 / 3)", None),
    ("MOD(7, 3)", 1),
    ("MOD(-7, 3)", -1),
    ("MOD(7.5, 2)", 1.5),
    ("PI()", math.pi),
    ("DEGREES(PI())", 180.0),
    ("RADIANS(180)", math.pi),
    ("ROUND(2.5)", 3.0),
    ("ROUND(-2.5)", -3.0),
    ("ROUND(123.456, 2)", 123.46),
    ("ROUND(125.456, -1)", 130.0),
    ("ROUND(-155, -2)", -200.0),
    ("ROUND(5, -400)", 0.0),
    ("ROUND(1.25, 400)", 1.25),
    ("TRUNCATE(2.9)", 2.0),
    ("TRUNCATE(-2.9)", -2.0),
    ("TRUNCATE(123.456, 2)", 123.45),
    ("TRUNCATE(129.9, -1)", 120.0),
    ("SIN(PI() / 2)", 1.0),
    ("COS(0)", 1.0),
    ("TAN(0)", 0.0),
    ("COT(PI() / 4)", 1.0),
    ("COT(0)", None),
    ("ASIN(2)", None),
    ("ACOS(1)", 0.0),
    ("ATAN2(1, -1)", 3 * math.pi / 4),
    ("LOWER('ABC') || UPPER('def')", "abcDEF"),
    ("LOWER(NULL)", None),
    ("UPPER(LOWER(NULL) || 'a')", None),
    ("'a' || NULL", None),
    ("COALESCE(NULL, NULL, 3)", 3),
    ("COALESCE(NULL, 3, 1.5)", 3.0),
    ("COALESCE(b, 'none')", "none"),
    ("CAST('12' AS INTEGER)", 12),
    ("CAST(' 12.7 ' AS INTEGER)", 12),
    ("CAST('x' AS INTEGER)", None),
    ("CAST(70000 AS SMALLINT)", None),
    ("CAST(-3.9 AS BIGINT)", -3),
    ("CAST(1e30 AS BIGINT)", None),
    ("CAST(9.3e18 AS INTEGER)", None),
    ("CAST('1.5' AS REAL)", 1.5),
    ("CAST(3 AS DOUBLE PRECISION)", 3.0),
    ("CAST(12 AS VARCHAR)", "12"),
    ("CAST('abcdef' AS CHAR(3))", "abc"),
    ("CAST('2020-02-03 04:05:06.7' AS TIMESTAMP)", "2020-02-03T04:05:06.7"),
    ("CAST('2020-02-03' AS TIMESTAMP)", "2020-02-03T00:00:00"),
    ("CAST(COALESCE(b, '2020-02-03 04:05:06.700Z') AS TIMESTAMP)", "2020-02-03T04:05:06.7"),
    ("CAST(COALESCE(b, '2020-02-30') AS TIMESTAMP)", None),
    ("CAST('yesterday' AS TIMESTAMP)", None),
    ("CAST('1 2' AS POINT)", "POSITION ICRS 1 2"),
    ("CAST('1 2 x' AS CIRCLE)", None),
    ("CAST('POINT 1 2' AS CIRCLE)", None),
    ("ABS(-9223372036854775807 - 1)", None),
])  # fmt: skip
def test_expressions(run, expression, wanted):
    result = value(run, expression)
    if isinstance(wanted, float):
        assert result == pytest.approx(wanted, rel=1e-14, abs=1e-15)
        assert isinstance(result, float)
    else:
        assert result == wanted
        assert type(result) is type(wanted)


def test_functions_of_columns_and_of_literals_agree(run):
    for function in ("ABS", "CEILING", "FLOOR", "EXP", "SIN", "COS", "TAN", "COT", "ATAN", "SQRT"):
        assert value(run, f"{function}(x)") == value(run, f"{function}(0.1)")


def test_sums_of_large_numbers_do_not_fail(run):
    assert run("SELECT SUM(j) FROM test.numbers WHERE id IN (1, 2, 7)") == [(-4,)]
    assert run("SELECT SUM(j) FROM test.numbers WHERE id IN (4, 5)") == [(-1,)]
    assert run("SELECT SUM(j) FROM test.numbers WHERE id IN (3, 3, 2)") == [(2**62 - 7,)]
    assert run("SELECT SUM(j + 0), SUM(j) FROM test.numbers WHERE id > 90") == [(None, None)]
    query = "SELECT SUM(t.j) FROM test.numbers AS t, test.numbers AS u WHERE t.id = 5"
    assert run(query) == [(None,)]
    assert run("SELECT ABS(j), -j FROM test.numbers WHERE id = 4") == [(None, None)]
    assert run("SELECT SUM(i), SUM(x), AVG(i), MIN(a) FROM test.numbers WHERE id < 3") == [
        (1, 2.5, 0.5, "a_c")
    ]


def test_times_are_compared_as_times(run):
    query = (
        "SELECT q.t FROM (SELECT CAST('2020-01-01T00:00:00' AS TIMESTAMP) AS t "
        "FROM test.numbers WHERE id = 1) AS q WHERE q.t {}"
    )
    for right in (
        "= '2020-01-01'", "= '2020-01-01 00:00:00.000Z'", "IN ('2020-01-01', 'never')",
        "BETWEEN '2020-01-01T00:00' AND '2020-01-01'", "IN (LOWER('x'), '2020-01-01')",
        "< '2020-01-01T00:00:00.001'", "> CAST('2019-12-31T23:59:59.999' AS TIMESTAMP)",
    ):  # fmt: skip
        assert run(query.format(right)) == [("2020-01-01T00:00:00",)], right
    for right in ("< '2020-01-01'", "> '2020-01-01'", "<> '2020-01-01T00:00:00Z'"):
        assert run(query.format(right)) == [], right


def test_random_numbers_are_in_their_range(run):
    values = [row[0] for row in run("SELECT RAND() FROM ivoa.obscore")]
    assert all(0 <= number < 1 for number in values)
    assert len(set(values)) > 290
    assert 0.3 < sum(values) / len(values) < 0.7


def like(text, pattern):
    """The slow twin: try every split."""
    if not pattern:
        return not text
    if pattern[0] == "%":
        return any(like(text[i:], pattern[1:]) for i in range(len(text) + 1))
    if not text:
        return False
    return pattern[0] in {"_", text[0]} and like(text[1:], pattern[1:])


@settings(max_examples=200, deadline=None, suppress_health_check=QUIET)
@given(text=st.text("abAB%_.*[\n", max_size=8), pattern=st.text("abAB%_.*[\n", max_size=6))
def test_like_agrees_with_its_definition(text, pattern, run):
    literal, like_this = (word.replace("'", "''") for word in (text, pattern))
    query = f"SELECT id FROM test.numbers WHERE id = 1 AND '{literal}' {{}} '{like_this}'"
    assert bool(run(query.format("LIKE"))) == like(text, pattern)
    assert bool(run(query.format("NOT LIKE"))) != like(text, pattern)
    assert bool(run(query.format("ILIKE"))) == like(text.lower(), pattern.lower())


def test_like_of_a_column_agrees_with_its_definition(run, numbers):
    for pattern in ("a%", "A%", "abc", "ab_", "%b%", "%", "", "a\\_c", "ü%", "abc%abc", "it''s"):
        plain = pattern.replace("''", "'")
        wanted = [row[0] for row in numbers if row[5] is not None and like(row[5], plain)]
        query = f"SELECT id FROM test.numbers WHERE a LIKE '{pattern}' ORDER BY id"
        assert [row[0] for row in run(query)] == wanted, pattern


def test_nulls_come_first(run):
    assert run("SELECT id FROM test.numbers ORDER BY x")[0] == (5,)
    assert run("SELECT id FROM test.numbers ORDER BY x DESC")[-1] == (5,)


# Conditions with three truth values, as text and as a function of a row -----------------------

OPERATORS = {
    "=": lambda a, b: a == b,
    "<>": lambda a, b: a != b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def known(function, *values):
    return None if None in values else function(*values)


def column(name):
    index = COLUMNS.index(name)
    return name, lambda row: row[index]


def constant(number):
    return repr(number), lambda _row: number


def computed(first, sign, second):
    table = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b}
    text = f"({first[0]} {sign} {second[0]})"
    return text, lambda row: known(table[sign], first[1](row), second[1](row))


numeric = st.recursive(
    st.one_of(
        st.sampled_from(["id", "i", "y"]).map(column),
        st.integers(-9, 9).map(constant),
        st.floats(-5, 5).map(lambda x: constant(round(x, 2))),
    ),
    lambda inner: st.builds(computed, inner, st.sampled_from("+-*"), inner),
    max_leaves=4,
)
texts = st.one_of(
    st.sampled_from(["a", "b"]).map(column),
    st.sampled_from(["abc", "a_c", "", "it's", "zz", "ünï"]).map(
        lambda text: ("'" + text.replace("'", "''") + "'", lambda _row: text)
    ),
)


def utf8(function):
    return lambda *values: function(
        *(value.encode() if isinstance(value, str) else value for value in values)
    )


def comparison(left, operator, right):
    text = f"{left[0]} {operator} {right[0]}"
    test = utf8(OPERATORS[operator])
    return text, lambda row: known(test, left[1](row), right[1](row))


def between(operand, low, high, word):
    def truth(row):
        x, a, b = operand[1](row), low[1](row), high[1](row)
        return both([known(lambda x, a: x >= a, x, a), known(lambda x, b: x <= b, x, b)])

    text = f"{operand[0]} {word}BETWEEN {low[0]} AND {high[0]}"
    return text, (lambda row: opposite(truth(row))) if word else truth


def member(operand, values, word):
    def truth(row):
        x = operand[1](row)
        return any_of([known(lambda x, v: x == v, x, item[1](row)) for item in values])

    text = f"{operand[0]} {word}IN ({', '.join(item[0] for item in values)})"
    return text, (lambda row: opposite(truth(row))) if word else truth


def null(operand, word):
    text = f"{operand[0]} IS {word}NULL"
    return text, lambda row: (operand[1](row) is None) != bool(word)


def both(truths):
    return False if False in truths else (None if None in truths else True)


def any_of(truths):
    return True if True in truths else (None if None in truths else False)


def opposite(truth):
    return None if truth is None else not truth


maybe_not = st.sampled_from(["", "NOT "])
conditions = st.recursive(
    st.one_of(
        st.builds(comparison, numeric, st.sampled_from(list(OPERATORS)), numeric),
        st.builds(comparison, texts, st.sampled_from(list(OPERATORS)), texts),
        st.builds(between, numeric, numeric, numeric, maybe_not),
        st.builds(member, numeric, st.lists(numeric, min_size=1, max_size=4), maybe_not),
        st.builds(member, texts, st.lists(texts, min_size=1, max_size=4), maybe_not),
        st.builds(null, st.one_of(numeric, texts), maybe_not),
    ),
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=4).map(
            lambda parts: (
                "(" + " AND ".join(part[0] for part in parts) + ")",
                lambda row: both([part[1](row) for part in parts]),
            )
        ),
        st.lists(inner, min_size=2, max_size=4).map(
            lambda parts: (
                "(" + " OR ".join(part[0] for part in parts) + ")",
                lambda row: any_of([part[1](row) for part in parts]),
            )
        ),
        inner.map(lambda part: (f"NOT ({part[0]})", lambda row: opposite(part[1](row)))),
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None, suppress_health_check=QUIET)
@given(condition=conditions)
def test_conditions_agree_with_python(condition, run, numbers):
    text, truth = condition
    query = f"SELECT id FROM test.numbers WHERE {text} ORDER BY id"
    assert [row[0] for row in run(query)] == [row[0] for row in numbers if truth(row) is True]


def test_long_lists_agree_with_short_ones(run):
    many = ", ".join(str(i) for i in range(2, 5000))
    query = f"SELECT id FROM test.numbers WHERE id IN ({many}) ORDER BY id"
    assert [row[0] for row in run(query)] == [2, 3, 4, 5, 6, 7]
    query = (
        f"SELECT id FROM test.numbers WHERE x IN (0.1, {', '.join(f'{i}.5' for i in range(900))})"
    )
    assert sorted(row[0] for row in run(query)) == [2, 6]
    words = ", ".join(f"'w{i}'" for i in range(900))
    query = f"SELECT id FROM test.numbers WHERE a IN ('it''s', {words}, 'ünï') ORDER BY id"
    assert [row[0] for row in run(query)] == [4, 7]


def test_numbers_of_two_kinds_meet_in_a_sub_query(run, numbers):
    ids = {row[0] for row in numbers}
    for value in (2, 2.0, 2.5, 7.0, 7.9, -0.5, 1e30):
        found = run(
            f"SELECT COUNT(*) FROM test.numbers WHERE {value} IN (SELECT id FROM test.numbers)"
        )
        assert found == [(7 if value in ids else 0,)], value
    for left, right in (("x", "id"), ("id", "x"), ("y", "i"), ("i", "y"), ("id * 0.5", "i")):
        one, two = (dict(run(f"SELECT id, {side} FROM test.numbers")) for side in (left, right))
        there = {value for value in two.values() if value is not None}
        wanted = sorted(key for key, value in one.items() if value in there)
        query = (
            f"SELECT id FROM test.numbers WHERE {left} IN "
            f"(SELECT {right} FROM test.numbers WHERE {right} IS NOT NULL) ORDER BY id"
        )
        assert [row[0] for row in run(query)] == wanted, (left, right)


def test_joins_agree_with_python(run):
    left = [(i,) for i in range(1, 8)]
    query = (
        "SELECT a.id, b.id FROM test.numbers AS a {} JOIN test.numbers AS b ON a.id = b.i "
        "ORDER BY 1, 2"
    )
    matches = {(1, 2), (2, 6), (7, 4)}
    key = lambda pair: tuple((item is not None, item) for item in pair)  # noqa: E731
    lone_left = {(i, None) for (i,) in left} - {(a, None) for a, _ in matches}
    lone_right = {(None, i) for (i,) in left} - {(None, b) for _, b in matches}
    for kind, pairs in {
        "INNER": matches,
        "LEFT OUTER": matches | lone_left,
        "RIGHT": matches | lone_right,
        "FULL OUTER": matches | lone_left | lone_right,
    }.items():
        assert run(query.format(kind)) == sorted(pairs, key=key), kind


def test_a_right_join_behind_a_comma_keeps_its_own_side(run):
    query = (
        "SELECT COUNT(*) FROM TAP_UPLOAD.targets AS t, "
        "test.numbers AS a RIGHT JOIN test.numbers AS b ON a.id = b.i AND a.id > 99"
    )
    assert run(query) == [(4 * 7,)]


def test_using_merges_columns(run):
    query = (
        "SELECT schema_name FROM TAP_SCHEMA.schemas FULL JOIN "
        "(SELECT 'new' AS schema_name FROM TAP_SCHEMA.schemas) AS q USING (schema_name) ORDER BY 1"
    )
    assert run(query) == [("TAP_SCHEMA",), ("ivoa",), ("new",), ("new",)]
    names = run(
        "SELECT schema_name, table_name FROM TAP_SCHEMA.schemas NATURAL JOIN "
        "(SELECT schema_name, table_name FROM TAP_SCHEMA.tables) AS t"
    )
    assert len(names) == 2


def test_set_operators_bind_as_the_standard_says(run):
    one, two, three = (
        f"SELECT id FROM test.numbers WHERE id IN ({ids})" for ids in ("1, 2", "2, 3", "3, 4")
    )
    assert run(f"{one} UNION {two} INTERSECT {three} ORDER BY id") == [(1,), (2,), (3,)]
    assert run(f"({one} UNION {two}) INTERSECT {three}") == [(3,)]
    assert run(f"{one} EXCEPT {two} UNION {three} ORDER BY 1") == [(1,), (3,), (4,)]
    assert run(f"{one} EXCEPT ({two} UNION {three}) ORDER BY 1") == [(1,)]
    assert len(run(f"{one} UNION ALL {one}")) == 4


def test_a_correlated_sub_query_sees_the_outer_row(run, numbers):
    query = (
        "SELECT a.id FROM test.numbers AS a WHERE EXISTS "
        "(SELECT * FROM test.numbers AS b WHERE b.i = a.id AND b.id <> a.id) ORDER BY 1"
    )
    ids = [a[0] for a in numbers if any(b[1] == a[0] and b[0] != a[0] for b in numbers)]
    assert [row[0] for row in run(query)] == ids


def test_a_name_of_a_sub_query_hides_a_table(run):
    query = "WITH obscore AS (SELECT 5 AS x FROM test.numbers) SELECT DISTINCT x FROM obscore"
    assert run(query) == [(5,)]
