"""Queries made from the grammar: each is taken, printed without the user's words, and runs.

A strategy follows the standard's productions and keeps to types and scopes, so that every query it
draws is right: one that is refused, or that the database refuses, is a fault of ours.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from obscore import adql
from vodal.errors import QueryError

QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]

MARK = "zQ7"
"""In every name and text of the user, and in no SQL."""

INT, REAL, TEXT, SHAPE = "int", "real", "text", "shape"

TABLES = {
    "test.numbers": {
        "id": INT, "i": INT, "j": INT, "x": REAL, "y": REAL, "a": TEXT, "b": TEXT,
    },
    "ivoa.obscore": {
        "obs_id": TEXT, "calib_level": INT, "s_ra": REAL, "s_dec": REAL, "s_region": SHAPE,
        "access_estsize": INT, "access_url": TEXT, "t_min": REAL,
    },
    "TAP_UPLOAD.targets": {
        "ra": REAL, "dec": REAL, "name": TEXT, '"Mixed Case"': INT, "shape": SHAPE,
    },
    "TAP_SCHEMA.columns": {"table_name": TEXT, '"size"': INT, "column_index": INT},
}  # fmt: skip

NO_VALUE = re.compile(
    r"is outside \[|width and height must be within|there is no position|cells of order|"
    r"three or more different vertices|must not be NULL"
)
"""What is said of constants that have no value: a declination of 1000."""

UNITS = {"s_ra": "rad", "s_dec": "arcmin", "t_min": "h", "x": "km", "y": "Angstrom"}
"""Columns with a unit, and another one."""


@dataclass
class Writer:
    """Draws the words of one query."""

    draw: Callable[[int, int], int]
    """Gives a whole number within two bounds."""
    names: int = 0
    named: dict[str, dict[str, str]] = field(default_factory=dict)
    """Queries of WITH, by name."""
    relations: int = 0

    # Choices -----------------------------------------------------------------------------------

    def pick(self, choices):
        return choices[self.draw(0, len(choices) - 1)]

    def maybe(self, of=2):
        return self.draw(0, of - 1) == 0

    def many(self, make, most, least=1):
        return [make() for _ in range(self.draw(least, most))]

    def name(self):
        self.names += 1
        return self.pick([f"{MARK}_{self.names}", f'"{MARK} ""{self.names}"" ;--"'])

    def case(self, word):
        return self.pick([word, word.lower(), word.capitalize()])

    # Values ------------------------------------------------------------------------------------

    def value(self, kind, scope, depth, aggregates=()):
        """Give a value expression; ``aggregates`` are the columns that aggregates may use."""
        columns = [name for name, has in scope if has == kind]
        if depth <= 0:
            return self.pick(columns) if columns and self.maybe() else self.literal(kind)
        if aggregates and kind != SHAPE and self.maybe(3):
            return self.aggregate(kind, aggregates, depth - 1)
        make = {INT: self.integer, REAL: self.real, TEXT: self.text, SHAPE: self.shape}[kind]
        inner = lambda want: self.value(want, scope, depth - 1, aggregates)  # noqa: E731
        if columns and self.maybe():
            return self.pick(columns)
        return make(inner, scope)

    def literal(self, kind):
        if kind == TEXT:
            return self.pick([f"'{MARK}''s'", "''", f"'{MARK}%_'", f"'ü{MARK}'", "NULL"])
        if kind == INT:
            return self.pick(["0", "1", "7", "-3", "9223372036854775807", "+5", "NULL"])
        if kind == REAL:
            return self.pick(["0.5", "1.", ".25", "1e3", "2.5E-3", "-1e300", "180"])
        return self.pick([
            "POINT(10, 0.5)", "CIRCLE('ICRS', 10, 0.5, 3)", "BOX('', 10, 0, 2, 2)",
            "POLYGON(9, 0, 11, 0, 10, 2)", "REGION('CIRCLE ICRS 10 0 5')",
            "CIRCLE(POINT(10, 0.5), 20)", "POLYGON(POINT(9, 0), POINT(11, 0), POINT(10, 2))",
            "ivo_healpix_center(3, 100)", "CAST('10 0.5' AS POINT)",
        ])  # fmt: skip

    def number(self, inner):
        return inner(self.pick([INT, REAL]))

    def integer(self, inner, _scope):
        return self.pick([
            lambda: f"{inner(INT)} + {inner(INT)}",
            lambda: f"({inner(INT)} - {inner(INT)}) * {inner(INT)}",
            lambda: f"({inner(INT)}) / ({inner(INT)})",
            lambda: f"-({inner(INT)})",
            lambda: f"{self.case('ABS')}({inner(INT)})",
            lambda: f"MOD({inner(INT)}, {inner(INT)})",
            lambda: f"CAST({self.number(inner)} AS {self.pick(['SMALLINT', 'INTEGER', 'BIGINT'])})",
            lambda: f"CAST({inner(TEXT)} AS BIGINT)",
            lambda: f"COALESCE({inner(INT)}, NULL, {inner(INT)})",
            lambda: f"CONTAINS({inner(SHAPE)}, {inner(SHAPE)})",
            lambda: f"INTERSECTS({inner(SHAPE)}, {inner(SHAPE)})",
            lambda: f"{self.pick(['CONTAINS', 'INTERSECTS'])}({inner(SHAPE)}, "
            f"MOC({self.pick([chr(39) + '2/33-45 5/7' + chr(39), '4, CIRCLE(10, 0, 5)'])}))",
            lambda: f"ivo_healpix_index(5, {inner(REAL)}, {inner(REAL)})",
            lambda: f"ivo_healpix_index(5, {self.point(inner)})",
            lambda: f"ivo_nocasematch({inner(TEXT)}, {inner(TEXT)})",
            lambda: f"ivo_hasword({inner(TEXT)}, {inner(TEXT)})",
            lambda: f"ivo_hashlist_has({inner(TEXT)}, {inner(TEXT)})",
            lambda: "ivo_interval_overlaps({}, {}, {}, {})".format(
                *(self.number(inner) for _ in range(4))
            ),
        ])()  # fmt: skip

    def real(self, inner, scope):
        with_unit = [
            (name, UNITS[bare]) for name, kind in scope
            if kind == REAL and (bare := name.rpartition(".")[2]) in UNITS
        ]  # fmt: skip
        choices = [
            lambda: f"{inner(REAL)} {self.pick(['+', '-', '*', '/'])} {self.number(inner)}",
            lambda: f"({inner(REAL)})",
            lambda: f"{self.pick(FUNCTIONS_OF_ONE)}({self.number(inner)})",
            lambda: f"{self.pick(['POWER', 'ATAN2', 'MOD'])}({inner(REAL)}, {self.number(inner)})",
            lambda: f"{self.pick(['ROUND', 'TRUNCATE'])}({inner(REAL)}, {self.pick(['2', '-1'])})",
            lambda: self.pick(["PI()", "RAND()", "RAND(5)"]),
            lambda: f"CAST({self.number(inner)} AS {self.pick(['REAL', 'DOUBLE PRECISION'])})",
            lambda: f"CAST({inner(TEXT)} AS REAL)",
            lambda: f"COALESCE({inner(REAL)}, {self.number(inner)})",
            lambda: f"DISTANCE({self.point(inner)}, {self.point(inner)})",
            lambda: "DISTANCE({}, {}, {}, {})".format(*(inner(REAL) for _ in range(4))),
            lambda: f"AREA({inner(SHAPE)})",
            lambda: f"{self.pick(['COORD1', 'COORD2'])}({self.point(inner)})",
            lambda: f"{self.pick(['ivo_to_jd', 'ivo_to_mjd'])}(CAST({inner(TEXT)} AS TIMESTAMP))",
            lambda: f"ivo_hms_to_degrees({inner(TEXT)})",
            lambda: f"ivo_normal_random({inner(REAL)}, 1)",
        ]
        if with_unit:
            name, unit = self.pick(with_unit)
            choices.append(lambda: f"IN_UNIT({name}, '{unit}')")
        return self.pick(choices)()

    def text(self, inner, _scope):
        return self.pick([
            lambda: f"{inner(TEXT)} || {inner(TEXT)}",
            lambda: f"{self.pick(['LOWER', 'UPPER'])}({inner(TEXT)})",
            lambda: f"CAST({inner(self.pick([INT, TEXT]))} AS {self.pick(['CHAR', 'VARCHAR(4)'])})",
            lambda: f"COALESCE({inner(TEXT)}, {inner(TEXT)})",
            lambda: f"COORDSYS({inner(SHAPE)})",
            lambda: f"({inner(TEXT)})",
        ])()  # fmt: skip

    def point(self, inner):
        return self.pick([
            lambda: f"POINT({inner(REAL)}, {inner(REAL)})",
            lambda: f"POINT('ICRS', {self.number(inner)}, {inner(REAL)})",
            lambda: f"CENTROID({inner(SHAPE)})",
            lambda: f"ivo_healpix_center(4, {inner(INT)})",
            lambda: f"ivo_epoch_prop_pos({inner(REAL)}, {inner(REAL)}, NULL, 3, {inner(REAL)}, "
            "NULL, 2000, 2010)",
        ])()  # fmt: skip

    def shape(self, inner, _scope):
        return self.pick([
            lambda: self.point(inner),
            lambda: f"CIRCLE({self.pick(['', chr(39) * 2 + ', '])}{self.point(inner)}, "
            f"{inner(REAL)})",
            lambda: f"CIRCLE({inner(REAL)}, {inner(REAL)}, {inner(REAL)})",
            lambda: f"BOX({self.point(inner)}, {inner(REAL)}, {inner(REAL)})",
            lambda: f"POLYGON({inner(REAL)}, 0, 2, {inner(REAL)}, 3, 4)",
            lambda: f"POLYGON({', '.join(self.point(inner) for _ in range(3))})",
            lambda: f"ivo_geom_transform('ICRS', 'GALACTIC', {inner(SHAPE)})",
            lambda: f"COALESCE({inner(SHAPE)}, {inner(SHAPE)})",
        ])()  # fmt: skip

    def aggregate(self, kind, scope, depth):
        quantity = self.pick(["", "", "DISTINCT ", "ALL "])
        if kind == INT:
            inside = self.pick([INT, REAL, TEXT])
            return self.pick([
                lambda: "COUNT(*)",
                lambda: f"COUNT({quantity}{self.value(inside, scope, depth)})",
                lambda: f"{self.pick(['SUM', 'MIN', 'MAX'])}({quantity}"
                f"{self.value(INT, scope, depth)})",
            ])()  # fmt: skip
        if kind == TEXT:
            return self.pick([
                lambda: f"{self.pick(['MIN', 'MAX'])}({self.value(TEXT, scope, depth)})",
                lambda: f"ivo_string_agg({self.value(TEXT, scope, depth)}, '{MARK}')",
            ])()  # fmt: skip
        return f"{self.pick(['AVG', 'SUM', 'MIN'])}({quantity}{self.value(REAL, scope, depth)})"

    # Conditions --------------------------------------------------------------------------------

    def condition(self, scope, depth, aggregates=()):
        inner = lambda want: self.value(want, scope, depth - 1, aggregates)  # noqa: E731
        no = self.pick(["", "NOT "])
        if depth > 1 and self.maybe(3):
            parts = [self.condition(scope, depth - 1, aggregates) for _ in range(2)]
            return self.pick([
                f"({parts[0]}) AND {parts[1]}", f"({parts[0]} OR {parts[1]})",
                f"NOT ({parts[0]})", f"({parts[0]}) OR NOT ({parts[1]})",
            ])  # fmt: skip
        kind = self.pick([INT, REAL, TEXT])
        choices = [
            lambda: (
                f"{inner(kind)} {self.pick(['=', '<>', '!=', '<', '<=', '>', '>='])} {inner(kind)}"
            ),
            lambda: f"{inner(kind)} {no}BETWEEN {inner(kind)} AND {inner(kind)}",
            lambda: f"{inner(kind)} {no}IN ({', '.join(self.many(lambda: inner(kind), 3))})",
            lambda: f"{inner(TEXT)} {no}{self.pick(['LIKE', 'ILIKE'])} {inner(TEXT)}",
            lambda: f"{inner(kind)} IS {no}NULL",
            lambda: (
                f"{self.pick(['1', '0'])} = {self.pick(['CONTAINS', 'INTERSECTS'])}"
                f"({inner(SHAPE)}, {inner(SHAPE)})"
            ),
            lambda: f"DISTANCE({self.point(inner)}, {self.point(inner)}) < {inner(REAL)}",
        ]
        if depth > 1 and self.relations < 12:
            sought = TEXT if kind == TEXT else self.pick([INT, REAL])
            choices += [
                lambda: f"{no}EXISTS ({self.query(depth - 2, outer=scope)[0]})",
                lambda: f"{inner(kind)} {no}IN ({self.query(depth - 2, [sought], scope)[0]})",
            ]
        return self.pick(choices)()

    # Tables ------------------------------------------------------------------------------------

    def table(self, depth):
        """Give a table with an alias: text, and its columns by name."""
        self.relations += 1
        alias = self.name()
        if depth > 0 and self.maybe(4):
            query, columns = self.query(depth - 1)
            return f"({query}) {self.pick(['AS ', ''])}{alias}", alias, columns
        if self.named and self.maybe(3):
            name = self.pick(list(self.named))
            return f"{name} AS {alias}", alias, self.named[name]
        name = self.pick(list(TABLES))
        return f"{name} {self.pick(['AS ', ''])}{alias}", alias, TABLES[name]

    def source(self, depth):
        """Give a FROM clause and the columns that can be named in it."""
        first, alias, columns = self.table(depth)
        scope = [(f"{alias}.{name}", kind) for name, kind in columns.items()]
        if depth <= 0 or self.relations > 10 or self.maybe():
            if self.maybe():
                scope += list(columns.items())
            return first, scope
        second, other, more = self.table(depth - 1)
        both = scope + [(f"{other}.{name}", kind) for name, kind in more.items()]
        shared = [
            name for name, kind in columns.items() if more.get(name) == kind and kind != SHAPE
        ]
        kind = self.pick(["", "INNER ", "LEFT ", "RIGHT OUTER ", "FULL ", "FULL OUTER "])
        if shared and self.maybe():
            using = shared[: self.draw(1, len(shared))]
            both += [(name, columns[name]) for name in using]
            text = f"{first} {kind}JOIN {second} USING ({', '.join(using)})"
            return self.pick([text, f"({text})"]), both
        if self.maybe(4):
            return f"{first}, {second}", both
        text = f"{first} {kind}JOIN {second} ON {self.condition(both, depth)}"
        return self.pick([text, f"({text})"]), both

    # Queries -----------------------------------------------------------------------------------

    def select(self, depth, kinds, outer):
        """Give a SELECT without ORDER BY: text, columns by name, values by name."""
        tables, scope = self.source(depth)
        seen = scope + [(name, kind) for name, kind in outer if "." in name]
        where = f" WHERE {self.condition(seen, depth)}" if self.maybe() else ""
        wanted = kinds or [self.pick([INT, REAL, TEXT, SHAPE]) for _ in range(self.draw(1, 3))]
        grouped = depth > 0 and self.maybe(3)
        having = group = ""
        inside, free, aggregates = seen, seen, ()
        if grouped:
            keys = [item for item in self.many(lambda: self.pick(scope), 2) if item[1] != SHAPE]
            inside, free, aggregates = keys, keys, [item for item in scope if item[1] != SHAPE]
            if not aggregates:
                grouped, inside, free = False, seen, seen
            else:
                if keys:
                    group = f" GROUP BY {', '.join(name for name, _ in keys)}"
                if not keys or self.maybe(3):
                    having = f" HAVING {self.condition(inside, depth, aggregates)}"
        outputs = {}
        for kind in wanted:
            outputs[self.name()] = (self.value(kind, free, depth, aggregates), kind)
        distinct = self.pick(["", "", "ALL ", "DISTINCT "])
        top = self.pick(["", "", "TOP 5 "])
        listed = ", ".join(
            f"{value}{self.pick([' AS ', ' '])}{name}" for name, (value, _) in outputs.items()
        )
        text = f"SELECT {distinct}{top}{listed} FROM {tables}{where}{group}{having}"
        return text, {name: kind for name, (_, kind) in outputs.items()}

    def query(self, depth, kinds=None, outer=()):
        """Give a select_expression and its columns by name."""
        text, columns = self.select(max(depth, 0), kinds, outer)
        if depth > 0 and self.relations < 10 and self.maybe(4):
            # Columns of a set agree in kind, geometries leaving it as text like any others.
            wanted = list(columns.values())
            operator = self.pick(["UNION", "EXCEPT", "INTERSECT"])
            every = self.pick(["", " ALL"])
            other, _ = self.select(0, wanted, outer)
            text = f"{text} {operator}{every} {self.pick([other, f'({other})'])}"
        known = [name for name, kind in columns.items() if kind != SHAPE]
        if known and self.maybe(3):
            terms = self.many(
                lambda: (
                    self.pick(
                        [
                            *known,
                            *(f"COALESCE({n}, {n})" for n in known),
                            *(str(list(columns).index(n) + 1) for n in known),
                        ]
                    )
                    + self.pick(["", " ASC", " DESC"])
                ),
                2,
            )
            text += f" ORDER BY {', '.join(terms)}"
            if self.maybe():
                text += " OFFSET 1"
        return text, columns

    def whole(self):
        """Give a query_specification."""
        parts = []
        for _ in range(max(0, self.draw(-2, 2))):
            name = self.name()
            query, columns = self.query(1)
            parts.append(f"{name} AS ({query})")
            self.named[name] = columns
        query, _ = self.query(self.draw(0, 3))
        head = f"WITH {', '.join(parts)} " if parts else ""
        return f"{head}{query}{self.pick(['', ';', f' -- {MARK}', chr(10)])}"


FUNCTIONS_OF_ONE = [
    "ABS", "CEILING", "DEGREES", "EXP", "FLOOR", "LOG", "LOG10", "RADIANS", "ROUND", "SQRT",
    "TRUNCATE", "ACOS", "ASIN", "ATAN", "COS", "COT", "SIN", "TAN",
]  # fmt: skip


@st.composite
def queries(draw):
    return Writer(lambda low, high: draw(st.integers(low, high))).whole()


@pytest.fixture(scope="module")
def hasty(database):
    """Give the database with a deadline for each query."""
    steps = 0

    def too_long():
        nonlocal steps
        steps += 1
        return steps % 40 == 0

    database.set_progress_handler(too_long, 20_000)
    yield database
    database.set_progress_handler(None, 0)


PYTHON = {"int": int, "long": int, "short": int, "float": float, "double": float}


def check(query, schema, database):
    """Translate and run a query; tells whether it has a value."""
    try:
        translated = adql.translate(query, schema, limit=20)
    except QueryError as error:
        if NO_VALUE.search(error.message):
            return False
        raise
    assert MARK not in translated.sql
    names = [column.name.lower() for column in translated.columns]
    assert len(set(names)) == len(names)
    try:
        rows = database.execute(translated.sql, translated.params | {"base_url": "x"}).fetchall()
    except apsw.InterruptError:
        return True  # the deadline
    for row in rows:
        for value, column in zip(row, translated.columns, strict=True):
            assert value is None or type(value) is PYTHON.get(column.datatype, str), column
    return True


@settings(max_examples=40, deadline=None, suppress_health_check=QUIET)
@given(query=queries())
def test_right_queries_are_taken_and_run(query, schema, hasty):
    check(query, schema, hasty)


def test_many_right_queries_are_taken_and_run(schema, hasty):
    """As above, drawn faster, the same ones each time."""
    good = 0
    for seed in range(600):
        query = Writer(random.Random(seed).randint).whole()
        try:
            good += check(query, schema, hasty)
        except Exception as error:
            raise AssertionError(query) from error
    assert good > 350


# Both databases ------------------------------------------------------------------------------

BY_CHANCE = re.compile(r"\b(RAND|IVO_NORMAL_RANDOM|TOP|OFFSET)\b", re.IGNORECASE)
"""What gives other rows each time."""


def rows_in_common_form(rows):
    """Sort rows, their numbers rounded to what two ways of computing agree on."""
    return sorted((tuple(map(rounded, row)) for row in rows), key=repr)


def rounded(value):
    if isinstance(value, float):
        return 0.0 if abs(value) < 1e-9 else float(f"{value:.9g}")
    return value


def test_both_databases_give_the_same(hasty, postgres, both):
    compared = 0
    for seed in range(1_000, 2_000):
        query = Writer(random.Random(seed).randint).whole()
        try:
            answers = both(query)
        except QueryError:
            continue
        except Exception as error:
            raise AssertionError(query) from error
        if None in answers or BY_CHANCE.search(query):
            continue
        one, two = map(rows_in_common_form, answers)
        assert one == two, query
        compared += 1
    assert compared > 200
