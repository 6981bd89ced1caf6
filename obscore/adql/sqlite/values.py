"""How SQLite computes the values of a query."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from obscore.adql import bound as b
from obscore.adql.printing import is_narrow, is_point, map_predicate, quoted
from obscore.adql.schema import TableDef
from obscore.adql.sqlite.haversine import circle_bounds, circle_test, distance_value
from obscore.adql.types import Kind
from vodal.regions import Circle, Point, shape_to_bytes

__all__ = ["ValuePrinter"]

# {0}, {1} are the arguments, {all} are all of them.
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
    "GEOMETRY_TEXT": "replace(sky_text({0}), 'ICRS', {1})",
    "POINT": "sky_point({0}, {1})",
    "CIRCLE": "sky_circle({0}, {1})",
    "BOX": "sky_box({0}, {1}, {2})",
    "POLYGON": "sky_polygon({all})",
    "INTERSECTS": "sky_intersects({0}, {1})",
    "IVO_NOCASEMATCH": "adql_ilike({0}, {1})",
    "IVO_INTERVAL_OVERLAPS": "({0} <= {1} AND {2} <= {3} AND {0} <= {3} AND {2} <= {1})",
    # ADQL asks whether the first is in the second.
    "CONTAINS": "sky_contains({1}, {0})",
}

_AS_GIVEN = frozenset({"CEILING", "FLOOR", "TRUNCATE", "COALESCE"})
"""Functions that give whole numbers for whole numbers, or a value as it is."""

_INTEGER_BITS = {"SMALLINT": 16, "INTEGER": 32, "BIGINT": 64}

_LONGS = 2.0**63


def reach(value: b.Value) -> float:
    """Give a number that the size of a whole number never exceeds, infinity if there is none."""
    match value:
        case b.Literal(int(literal)):
            return abs(literal)
        case b.Use():
            return 2.0**31 if is_narrow(value) else math.inf
        case b.Minus(operand) | b.Function("ABS", (operand,)):
            return reach(operand)
        case b.Function("CONTAINS" | "INTERSECTS"):
            return 1.0
        case b.Operation(first, rest):
            total = reach(first)
            for sign, operand in rest:
                # Sums before products may hide an overflow only where the total shows it too.
                if sign == "*":
                    total *= max(1.0, reach(operand))
                elif sign != "/":
                    total += reach(operand)
            return total
        case _:
            return math.inf


@dataclass(slots=True)
class ValuePrinter:
    """Prints values, collecting their literals; the base of `printer.Printer`."""

    params: dict[str, object] = field(default_factory=dict)

    def param(self, value: object) -> str:
        """Bind a value; gives the name of its parameter."""
        name = f"p{len(self.params) + 1}"
        self.params[name] = value
        return f":{name}"

    def value(self, value: b.Value) -> str:
        """Print a value; a geometry as its packed bytes."""
        match value:
            case b.Use():  # first, since most values are columns
                return _column(value.relation, value.field)
            case b.Literal(literal):
                return "NULL" if literal is None else self.param(literal)
            case b.ShapeValue() | b.MocValue():
                return self.param(_packed(value))
            case b.Operation() | b.Minus():
                return self._operation(value)
            case b.Aggregate() | b.Tally():
                return self._aggregate(value)
            case b.Cast():
                return self._cast(value)
            case b.Function():
                return self._function(value)

    def _operation(self, value: b.Operation | b.Minus) -> str:
        if isinstance(value, b.Minus):
            printed = f"(-{self.value(value.operand)})"
        else:
            parts = [self.value(value.first)]
            for operator, operand in value.rest:
                parts += [operator, self.value(operand)]
            printed = f"({' '.join(parts)})"
        if value.kind is Kind.INTEGER and reach(value) >= _LONGS:
            # What leaves 64 bits would go on as a double here.
            return f"adql_int({printed})"
        return printed

    def _aggregate(self, value: b.Aggregate | b.Tally) -> str:
        if isinstance(value, b.Tally):
            return self._tally(value)
        if value.argument is None:
            return "count(*)"
        argument = self.value(value.argument)
        if value.delimiter is not None:
            return f"group_concat({argument}, {self.value(value.delimiter)} ORDER BY {argument})"
        distinct = "DISTINCT " if value.distinct else ""
        if value.name != "SUM" or value.kind is not Kind.INTEGER or is_narrow(value.argument):
            return f"{value.name.lower()}({distinct}{argument})"
        # sum() of SQLite fails where whole numbers overflow: halves do not.
        if value.distinct:
            return f"iif(count({argument}), CAST(total(DISTINCT {argument}) AS INTEGER), NULL)"
        return f"adql_int(sum({argument} >> 32) * 4294967296 + sum({argument} & 4294967295))"

    def _tally(self, value: b.Tally) -> str:
        weights = f"sum({self.value(value.weight)})"
        if value.argument is not None:
            weights += f" FILTER (WHERE {self.value(value.argument)} IS NOT NULL)"
        return f"coalesce({weights}, 0)"

    def _cast(self, value: b.Cast) -> str:
        operand = self.value(value.operand)
        match value.target:
            case "CHAR" | "VARCHAR":
                text = f"CAST({operand} AS TEXT)"
                if value.operand.kind is Kind.REAL:
                    text = f"adql_real_text({operand})"
                if value.length is None:
                    return text
                return f"substr({text}, 1, {self.param(value.length)})"
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
        # What SQLite would give as a whole number is none: 7 / 2 is not FLOOR(7) / 2.
        real = value.kind is Kind.REAL and value.name in _AS_GIVEN
        printed = [self._real(item) if real else self.value(item) for item in arguments]
        match value.name:
            case "ABS":
                whole = value.kind is Kind.INTEGER and not is_narrow(arguments[0])
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
            case name:
                # The others have their own name in SQLite too.
                template = _TEMPLATES.get(name, f"{name.lower()}({{all}})")
                return template.format(*printed, all=", ".join(printed))

    def _real(self, value: b.Value) -> str:
        printed = self.value(value)
        return f"CAST({printed} AS REAL)" if value.kind is Kind.INTEGER else printed

    def _shape(self, source: b.Value) -> str:
        if isinstance(source, b.Use):
            spatial = source.relation.spatial
            if spatial is not None and source.field.name == spatial.region_column:
                return f"{source.relation.alias}.{quoted(spatial.region_sql)}"
        xtype = (source.column.xtype or "").lower().removeprefix("adql:")
        return f"sky_parse({self.value(source)}, {self.param(xtype)})"

    def _distance(self, first: b.Value, second: b.Value) -> str:
        ends = [self._coordinates(first), self._coordinates(second)]
        if ends[0] is not None and ends[1] is not None:
            exact = f"sky_distance({', '.join([*ends[0], *ends[1]])})"
            if _is_cheap(first) and _is_cheap(second):
                return distance_value(ends[0], ends[1], exact)
            return exact
        return f"sky_separation({self.value(first)}, {self.value(second)})"

    def _coordinates(self, point: b.Value) -> tuple[str, str] | None:
        match point:
            case b.Function("POINT", (ra, dec)):
                return self.value(ra), self.value(dec)
            case b.ShapeValue(Point(ra_deg, dec_deg)):
                return self.param(ra_deg), self.param(dec_deg)
            case _:
                return None

    def _predicate(self, value: b.Function) -> str:
        first, second = value.arguments
        if isinstance(first, b.MocValue) or isinstance(second, b.MocValue):
            return self._map_predicate(value.name, first, second)
        if value.name == "INTERSECTS" and is_point(second):
            first, second = second, first
        if is_point(first):
            # The commonest test of all needs no packed point for each row.
            position = self._coordinates(first)
            assert position is not None
            exact = f"sky_holds({self.value(second)}, {position[0]}, {position[1]})"
            match second:
                case b.ShapeValue(Circle(ra_deg, dec_deg, radius_deg)) if _is_cheap(first):
                    low, high = circle_bounds(radius_deg)
                    centre = self.param(ra_deg), self.param(dec_deg)
                    return circle_test(position, centre, (self.param(low), self.param(high)), exact)
                case _:
                    return exact
        return _TEMPLATES[value.name].format(self.value(first), self.value(second))

    def _map_predicate(self, name: str, first: b.Value, second: b.Value) -> str:
        """Print a predicate of a coverage map and a geometry."""
        function, moc, shape = map_predicate(name, first, second)
        position = self._coordinates(shape) if is_point(shape) else None
        if position is not None and function != "moc_within":
            return f"moc_holds({self.value(moc)}, {position[0]}, {position[1]})"
        return f"{function}({self.value(moc)}, {self.value(shape)})"


def _is_cheap(point: b.Value) -> bool:
    """Tell whether a point's coordinates can be printed again and again."""
    match point:
        case b.ShapeValue():
            return True
        case b.Function("POINT", arguments):
            return all(
                isinstance(item, b.Literal)
                or (isinstance(item, b.Use) and _is_stored(item.relation, item.field))
                for item in arguments
            )
        case _:
            return False


def _is_stored(relation: b.Relation, item: b.Field) -> bool:
    return isinstance(relation.source, TableDef) and (
        item.definition is not None and (item.definition.sql is None or item.definition.renamed)
    )


def _packed(value: b.ShapeValue | b.MocValue) -> bytes:
    return value.moc.pack() if isinstance(value, b.MocValue) else shape_to_bytes(value.shape)


def _column(relation: b.Relation, item: b.Field) -> str:
    if item.definition is None:
        return f"{relation.alias}.c{item.number}"
    sql = item.definition.sql
    if sql is not None:
        sql = sql.replace("{base_url}", ":base_url").replace("{adql}", "")
        return f"({sql.replace('{alias}', relation.alias)})"
    return f"{relation.alias}.{quoted(item.name)}"
