"""From a resolved query to the SQL of SQLite.

Each literal of the user becomes a bound parameter, each name one that the schema declares or that
is made here. The functions beyond SQLite's own are those of `obscore.adql.runtime`.
"""

# ruff: noqa: S608 - no text of the user is ever in the SQL: literals are bound, names are ours

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from obscore.adql import bound as b
from obscore.adql.passes import spatial_index
from obscore.adql.schema import TableDef
from obscore.adql.types import Kind
from vodal.regions import Point, shape_to_bytes
from vodal.sphere import bounding_cap, cap_box

__all__ = ["Printer"]

_LONG_LIST = 500
"""From this length on, a list of literals is handed over as one JSON parameter."""

_WIDE_DEG = 90.0
"""Radius from which the spatial index leaves out too little to be worth asking."""

_HIGHEST = "\ud7ff"
"""Last character whose successor can stand in a text."""

# {0}, {1} are the arguments.
_TEMPLATES = {
    "CEILING": "ceil({0})",
    "DEGREES": "degrees({0})",
    "EXP": "exp({0})",
    "FLOOR": "floor({0})",
    "LOG": "ln({0})",
    "LOG10": "log10({0})",
    "PI": "pi()",
    "POWER": "pow({0}, {1})",
    "RADIANS": "radians({0})",
    # 53 random bits, as many as a number in [0, 1) holds.
    "RAND": "((random() & 9007199254740991) / 9007199254740992.0)",
    "SQRT": "sqrt({0})",
    "ACOS": "acos({0})",
    "ASIN": "asin({0})",
    "ATAN": "atan({0})",
    "ATAN2": "atan2({0}, {1})",
    "COS": "cos({0})",
    "COT": "(1.0 / tan({0}))",
    "SIN": "sin({0})",
    "TAN": "tan({0})",
    "LOWER": "lower({0})",
    "UPPER": "upper({0})",
    "AREA": "sky_area({0})",
    "CENTROID": "sky_centroid({0})",
    "COORD1": "sky_coord1({0})",
    "COORD2": "sky_coord2({0})",
    "COORDSYS": "CASE WHEN {0} IS NOT NULL THEN 'ICRS' END",
    "POINT": "sky_point({0}, {1})",
    "CIRCLE": "sky_circle({0}, {1})",
    "BOX": "sky_box({0}, {1}, {2})",
    "INTERSECTS": "sky_intersects({0}, {1})",
    # ADQL asks whether the first is in the second.
    "CONTAINS": "sky_contains({1}, {0})",
}

_INTEGER_BITS = {"SMALLINT": 16, "INTEGER": 32, "BIGINT": 64}


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _joined(operator: str, parts: Sequence[str]) -> str:
    """Join many conditions as a balanced tree: SQLite bounds the depth of an expression."""
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    left, right = _joined(operator, parts[:middle]), _joined(operator, parts[middle:])
    return f"({left} {operator} {right})"


@dataclass(slots=True)
class Printer:
    """Prints one query, collecting its parameters."""

    params: dict[str, object] = field(default_factory=dict)

    def _param(self, value: object) -> str:
        name = f"p{len(self.params) + 1}"
        self.params[name] = value
        return f":{name}"

    # Queries -----------------------------------------------------------------------------------

    def query(self, query: b.Query, limit: int | None = None) -> str:
        """Print a query.

        Parameters
        ----------
        query
            To print; its result's columns are called c1, c2 ...
        limit
            Most rows to give, whatever the query asks for.
        """
        parts = []
        if query.named:
            named = (f"{item.alias} AS ({self.query(item.query)})" for item in query.named)
            parts.append(f"WITH {', '.join(named)}")
        match query.body:
            case b.Select() as select:
                parts.append(self._select(select))
                if select.top is not None:
                    limit = select.top if limit is None else min(select.top, limit)
            case b.SetQuery() as operation:
                parts.append(self._set(operation, query.kinds))
            case b.Query() as inner:
                parts.append(self._operand(inner, query.kinds))
        if query.order:
            parts.append("ORDER BY " + ", ".join(self._order(term) for term in query.order))
        if limit is not None or query.offset:
            parts.append(f"LIMIT {self._param(-1 if limit is None else limit)}")
        if query.offset:
            parts.append(f"OFFSET {self._param(query.offset)}")
        return " ".join(parts)

    def _order(self, term: b.OrderTerm) -> str:
        by = str(term.by) if isinstance(term.by, int) else self.value(term.by)
        return f"{by} DESC" if term.descending else by

    def _operand(self, query: b.Query, kinds: Sequence[Kind]) -> str:
        """Print a query whose columns are of these kinds."""
        columns = [
            f"CAST(c{i} AS REAL)" if kind is Kind.REAL and own is Kind.INTEGER else f"c{i}"
            for i, (own, kind) in enumerate(zip(query.kinds, kinds, strict=True), 1)
        ]
        names = ", ".join(f"{column} AS c{i}" for i, column in enumerate(columns, 1))
        return f"SELECT {names} FROM ({self.query(query)})"

    def _set(self, operation: b.SetQuery, kinds: Sequence[Kind]) -> str:
        parts = [self._operand(operation.first, kinds)]
        for operator, query in operation.rest:
            parts += [operator, self._operand(query, kinds)]
        return " ".join(parts)

    def _select(self, select: b.Select) -> str:
        outputs = ", ".join(
            f"{self._output(output.value)} AS c{i}" for i, output in enumerate(select.outputs, 1)
        )
        distinct = "DISTINCT " if select.distinct else ""
        tables = [self._from(select.tables[0])]
        for table in select.tables[1:]:
            # SQLite joins a comma's sides from the left like any others; only the outer joins
            # that keep rows of their right side tell the difference.
            printed = self._from(table)
            tables.append(f"({printed})" if _keeps_right(table) else printed)
        parts = [f"SELECT {distinct}{outputs} FROM {', '.join(tables)}"]
        if select.where is not None:
            parts.append(f"WHERE {self.condition(select.where)}")
        if select.groups:
            parts.append("GROUP BY " + ", ".join(self._group(value) for value in select.groups))
        if select.having is not None:
            parts.append(f"HAVING {self.condition(select.having)}")
        return " ".join(parts)

    def _group(self, value: b.Value) -> str:
        # A bare parameter or number would be a position, or nothing to group by.
        printed = self.value(value)
        return f"({printed} IS NULL), {printed}" if isinstance(value, b.Literal) else printed

    def _output(self, value: b.Value) -> str:
        """Print a column of a result, so that it is what its metadata says."""
        printed = self.value(value)
        if value.kind is Kind.GEOMETRY:
            return f"sky_text({printed})"
        if isinstance(value, b.Use | b.Literal):
            return printed
        if value.kind is Kind.REAL:
            return f"CAST({printed} AS REAL)"
        counted = isinstance(value, b.Aggregate) and value.name != "SUM"
        if value.kind is Kind.INTEGER and not counted:
            return f"adql_int({printed})"
        return printed

    # FROM --------------------------------------------------------------------------------------

    def _from(self, table: b.From) -> str:
        match table:
            case b.Relation(alias, source):
                match source:
                    case TableDef():
                        return f"{_quoted(source.physical)} AS {alias}"
                    case b.Named():
                        return f"{source.alias} AS {alias}"
                    case b.Query():
                        return f"({self.query(source)}) AS {alias}"
            case b.Joined(kind, left, right, condition):
                other = self._from(right)
                if isinstance(right, b.Joined):
                    other = f"({other})"
                on = "1" if condition is None else self.condition(condition)
                return f"{self._from(left)} {kind} JOIN {other} ON {on}"

    # Conditions --------------------------------------------------------------------------------

    def condition(self, condition: b.Condition) -> str:
        """Print a condition."""
        match condition:
            case b.Compare(operator, left, right):
                return f"({self.value(left)} {operator} {self.value(right)})"
            case b.Between():
                return self._between(condition)
            case b.InValues() | b.InQuery():
                return self._in(condition)
            case b.Like():
                return self._like(condition)
            case b.IsNull(operand, negated):
                return f"({self.value(operand)} IS {'NOT ' if negated else ''}NULL)"
            case b.Exists(query):
                return f"EXISTS ({self.query(query)})"
            case b.NotThat(operand):
                return f"(NOT {self.condition(operand)})"
            case b.AllOf(operands) | b.AnyOf(operands):
                operator = "AND" if isinstance(condition, b.AllOf) else "OR"
                return _joined(operator, [self.condition(operand) for operand in operands])
            case b.Nearby():
                return self._nearby(condition)

    def _between(self, condition: b.Between) -> str:
        operand, low = self.value(condition.operand), self.value(condition.low)
        between = "NOT BETWEEN" if condition.negated else "BETWEEN"
        return f"({operand} {between} {low} AND {self.value(condition.high)})"

    def _in(self, condition: b.InValues | b.InQuery) -> str:
        operand = self.value(condition.operand)
        if isinstance(condition, b.InQuery):
            members = self.query(condition.query)
        else:
            members = self._list(condition.values)
        return f"({operand} {'NOT IN' if condition.negated else 'IN'} ({members}))"

    def _list(self, values: Sequence[b.Value] | Sequence[int | float | str]) -> str:
        if isinstance(values, list):
            if len(values) > _LONG_LIST:
                return f"SELECT value FROM json_each({self._param(json.dumps(values))})"
            return ", ".join(self._param(value) for value in values)
        return ", ".join(self.value(value) for value in values if isinstance(value, b.Value))

    def _like(self, condition: b.Like) -> str:
        function = "adql_ilike" if condition.any_case else "adql_like"
        operand = self.value(condition.operand)
        exact = f"{function}({operand}, {self.value(condition.pattern)})"
        if condition.negated:
            return f"(NOT {exact})"
        prefix = _prefix(condition)
        if prefix is None:
            return exact
        # What starts with a known text lies in a range, which an index finds.
        low, high = self._param(prefix), self._param(prefix[:-1] + chr(ord(prefix[-1]) + 1))
        return f"({operand} >= {low} AND {operand} < {high} AND {exact})"

    def _nearby(self, nearby: b.Nearby) -> str:
        spatial = spatial_index(nearby.relation)
        assert spatial is not None
        shape, margin = nearby.shape, nearby.margin_deg
        if isinstance(shape, b.ShapeValue) and (margin is None or isinstance(margin, b.Literal)):
            centre, radius_deg = bounding_cap(shape.shape)
            if margin is not None and isinstance(margin.value, int | float):
                radius_deg += max(0.0, min(180.0, float(margin.value)))
            if radius_deg > _WIDE_DEG:
                return "1"
            bounds = [self._param(bound) for bound in cap_box(centre, radius_deg)]
        else:
            printed = self.value(shape), "0" if margin is None else self.value(margin)
            bounds = [f"sky_bound({printed[0]}, {printed[1]}, {k})" for k in range(6)]
        tests = " AND ".join(
            f"{axis}min <= {bounds[2 * i + 1]} AND {axis}max >= {bounds[2 * i]}"
            for i, axis in enumerate("xyz")
        )
        key = f"{nearby.relation.alias}.{_quoted(spatial.key)}"
        return f"({key} IN (SELECT id FROM {_quoted(spatial.rtree)} WHERE {tests}))"

    # Values ------------------------------------------------------------------------------------

    def value(self, value: b.Value) -> str:
        """Print a value; a geometry as its packed bytes."""
        match value:
            case b.Literal(literal):
                return "NULL" if literal is None else self._param(literal)
            case b.ShapeValue(shape):
                return self._param(shape_to_bytes(shape))
            case b.Use(relation, item):
                return _column(relation, item)
            case b.Operation(first, rest):
                parts = [self.value(first)]
                for operator, operand in rest:
                    parts += [operator, self.value(operand)]
                return f"({' '.join(parts)})"
            case b.Minus(operand):
                return f"(-{self.value(operand)})"
            case b.Aggregate():
                return self._aggregate(value)
            case b.Cast():
                return self._cast(value)
            case b.Function():
                return self._function(value)

    def _aggregate(self, value: b.Aggregate) -> str:
        if value.argument is None:
            return "count(*)"
        argument = self.value(value.argument)
        distinct = "DISTINCT " if value.distinct else ""
        if value.name != "SUM" or value.kind is not Kind.INTEGER or _is_narrow(value.argument):
            return f"{value.name.lower()}({distinct}{argument})"
        # sum() of SQLite fails where whole numbers overflow: halves do not.
        if value.distinct:
            return f"iif(count({argument}), CAST(total(DISTINCT {argument}) AS INTEGER), NULL)"
        return f"(sum({argument} >> 32) * 4294967296 + sum({argument} & 4294967295))"

    def _cast(self, value: b.Cast) -> str:
        operand = self.value(value.operand)
        match value.target:
            case "CHAR" | "VARCHAR":
                text = f"CAST({operand} AS TEXT)"
                if value.length is None:
                    return text
                return f"substr({text}, 1, {self._param(value.length)})"
            case "SMALLINT" | "INTEGER" | "BIGINT":
                return f"adql_cast_int({operand}, {_INTEGER_BITS[value.target]})"
            case "TIMESTAMP":
                return f"adql_cast_timestamp({operand})"
            case "POINT" | "CIRCLE" | "POLYGON":
                return f"sky_parse({operand}, '{value.target.lower()}')"
            case _:
                return f"adql_cast_real({operand})"

    def _function(self, value: b.Function) -> str:
        arguments = value.arguments
        match value.name:
            case "SHAPE":
                return self._shape(arguments[0])
            case "DISTANCE":
                return self._distance(arguments[0], arguments[1])
            case "CONTAINS" | "INTERSECTS":
                return self._predicate(value)
            case _:
                pass
        printed = [self.value(argument) for argument in arguments]
        match value.name:
            case "ABS":
                whole = value.kind is Kind.INTEGER and not _is_narrow(arguments[0])
                return f"{'adql_abs' if whole else 'abs'}({printed[0]})"
            case "MOD":
                if value.kind is Kind.INTEGER:
                    return f"({printed[0]} % {printed[1]})"
                return f"mod({printed[0]}, {printed[1]})"
            case "ROUND" | "TRUNCATE":
                name = "round" if value.name == "ROUND" else "trunc"
                prefix = "adql_" if len(arguments) > 1 else ""
                return f"{prefix}{name}({', '.join(printed)})"
            case "COALESCE":
                # SQLite wants two arguments at least.
                return f"coalesce({', '.join([*printed, 'NULL'])})"
            case "POLYGON":
                return f"sky_polygon({', '.join(printed)})"
            case _:
                return _TEMPLATES[value.name].format(*printed)

    def _shape(self, source: b.Value) -> str:
        if isinstance(source, b.Use):
            spatial = spatial_index(source.relation)
            if spatial is not None and source.field.name == spatial.region_column:
                return f"{source.relation.alias}.{_quoted(spatial.region_sql)}"
        xtype = (source.column.xtype or "").lower().removeprefix("adql:")
        return f"sky_parse({self.value(source)}, {self._param(xtype)})"

    def _distance(self, first: b.Value, second: b.Value) -> str:
        ends = [self._coordinates(first), self._coordinates(second)]
        if ends[0] is not None and ends[1] is not None:
            return f"sky_distance({', '.join([*ends[0], *ends[1]])})"
        return f"sky_separation({self.value(first)}, {self.value(second)})"

    def _coordinates(self, point: b.Value) -> list[str] | None:
        match point:
            case b.Function("POINT", arguments):
                return [self.value(argument) for argument in arguments]
            case b.ShapeValue(Point(ra_deg, dec_deg)):
                return [self._param(ra_deg), self._param(dec_deg)]
            case _:
                return None

    def _predicate(self, value: b.Function) -> str:
        first, second = value.arguments
        if value.name == "INTERSECTS" and _is_point(second):
            first, second = second, first
        if _is_point(first):
            # The commonest test of all needs no packed point for each row.
            position = self._coordinates(first)
            assert position is not None
            return f"sky_holds({self.value(second)}, {position[0]}, {position[1]})"
        return _TEMPLATES[value.name].format(self.value(first), self.value(second))


def _is_point(value: b.Value) -> bool:
    return isinstance(value, b.Function) and value.name == "POINT"


def _keeps_right(table: b.From) -> bool:
    return isinstance(table, b.Joined) and (
        table.kind in {"RIGHT", "FULL"} or _keeps_right(table.left)
    )


def _is_narrow(value: b.Value) -> bool:
    """Whether a value is a column whose numbers are of 32 bits at most."""
    return isinstance(value, b.Use) and value.column.datatype != "long"


def _column(relation: b.Relation, item: b.Field) -> str:
    if item.definition is None:
        return f"{relation.alias}.c{item.number}"
    if item.definition.sql is not None:
        return f"({item.definition.sql.replace('{alias}', relation.alias)})"
    return f"{relation.alias}.{_quoted(item.name)}"


def _prefix(condition: b.Like) -> str | None:
    """Give the text that a column must start with to fit a pattern."""
    if condition.any_case or not isinstance(condition.operand, b.Use):
        return None
    if not isinstance(condition.pattern, b.Literal) or not isinstance(
        pattern := condition.pattern.value, str
    ):
        return None
    prefix = pattern.partition("%")[0].partition("_")[0]
    return prefix if prefix and prefix[-1] < _HIGHEST else None
