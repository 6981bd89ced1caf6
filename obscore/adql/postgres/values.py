"""How PostgreSQL computes the values of a query.

PostgreSQL knows the type of each expression before it runs: a whole number is printed as one of 64
bits, a number as ``float8``, a text with the collation "C" (by its characters' codes), a geometry
as the array of `obscore.adql.postgres.shapes`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from obscore.adql import bound as b
from obscore.adql.postgres.shapes import shape_array
from obscore.adql.printing import is_narrow, is_point, map_predicate
from obscore.adql.types import Kind
from obscore.adql.userdefined.catalogue import forms
from vodal.regions import Point

__all__ = ["ValuePrinter", "any_case", "quoted", "type_of"]

_TYPES = {
    Kind.INTEGER: "bigint",
    Kind.REAL: "float8",
    Kind.TEXT: "text",
    Kind.GEOMETRY: "float8[]",
    Kind.NULL: "text",
}

_BY_CHARACTERS = 'COLLATE "C"'

# {0}, {1} are the arguments.
_TEMPLATES = {
    "CEILING": "ceil({0})",
    "DEGREES": "adql.real_mul({0}, 57.29577951308232)",
    "EXP": "adql.real_exp({0})",
    "FLOOR": "floor({0})",
    "LOG": "adql.real_ln({0})",
    "LOG10": "adql.real_log10({0})",
    "PI": "pi()",
    "POWER": "adql.real_power({0}, {1})",
    "RADIANS": "adql.real_mul({0}, 0.017453292519943295)",
    "RAND": "random()",
    "SQRT": "adql.real_sqrt({0})",
    "ACOS": "adql.real_acos({0})",
    "ASIN": "adql.real_asin({0})",
    "ATAN": "atan({0})",
    "ATAN2": "atan2({0}, {1})",
    "COS": "adql.real_cos({0})",
    "COT": "adql.real_cot({0})",
    "SIN": "adql.real_sin({0})",
    "TAN": "adql.real_tan({0})",
    "LOWER": 'lower({0} COLLATE "C")',
    "UPPER": 'upper({0} COLLATE "C")',
    "AREA": "adql.sky_area({0})",
    "CENTROID": "adql.sky_centroid({0})",
    "COORD1": "adql.sky_coord1({0})",
    "COORD2": "adql.sky_coord2({0})",
    "COORDSYS": "(CASE WHEN {0} IS NOT NULL THEN 'ICRS' END COLLATE \"C\")",
    "GEOMETRY_TEXT": "(replace(adql.sky_text({0}), 'ICRS', {1}) COLLATE \"C\")",
    "POINT": "adql.sky_point({0}, {1})",
    "CIRCLE": "adql.sky_circle({0}, {1})",
    "BOX": "adql.sky_box({0}, {1}, {2})",
    "INTERSECTS": "adql.sky_intersects({0}, {1})",
    "IVO_INTERVAL_OVERLAPS": ("({0} <= {1} AND {2} <= {3} AND {0} <= {3} AND {2} <= {1})::int"),
    # ADQL asks whether the first is in the second.
    "CONTAINS": "adql.sky_contains({1}, {0})",
}

_ARITHMETIC = {"+": "add", "-": "sub", "*": "mul", "/": "div"}

_BY_KIND = {
    ("ABS", Kind.INTEGER): "adql.int_abs",
    ("ABS", Kind.REAL): "abs",
    ("MOD", Kind.INTEGER): "adql.int_mod",
    ("MOD", Kind.REAL): "adql.remainder",
}

_BOUNDS = {"SMALLINT": 2**15, "INTEGER": 2**31, "BIGINT": 2**63}

_PARAMETER_KINDS = {
    "INTEGER": Kind.INTEGER,
    "BIGINT": Kind.INTEGER,
    "DOUBLE PRECISION": Kind.REAL,
    "POINT": Kind.GEOMETRY,
    "REGION": Kind.GEOMETRY,
}
"""Of user-defined functions; all others are texts."""

_FEW = 64
"""Numbers up to which a list is compared with those that are bound already."""


def quoted(name: str) -> str:
    """Write a name of the database; the driver takes a single percent sign for a parameter."""
    return '"' + name.replace('"', '""').replace("%", "%%") + '"'


def any_case(text: str, pattern: str) -> str:
    """Print whether a text fits a pattern in any case."""
    return f"(adql.folded({text}) LIKE adql.folded({pattern}) ESCAPE '')"


def type_of(kind: Kind) -> str:
    """Give the type by which values of a kind are computed; arrays have others each."""
    return _TYPES[kind]


@dataclass(slots=True)
class ValuePrinter:
    """Prints values, collecting their literals; the base of `printer.PostgresPrinter`."""

    params: dict[str, object] = field(default_factory=dict)
    _bound: dict[tuple[str, str], str] = field(default_factory=dict)

    def bind(self, value: object, kind: str) -> str:
        """Bind a value of a type; gives what stands for it.

        Equal values share a parameter: PostgreSQL sees that an expression is that of GROUP BY by
        its parameters' numbers.
        """
        key = (kind, "" if isinstance(value, list) and len(value) > _FEW else repr(value))
        name = self._bound.get(key) if key[1] else None
        if name is None:
            name = f"p{len(self.params) + 1}"
            self.params[name] = value
            self._bound[key] = name
        return f"%({name})s::{kind}"

    # Values ------------------------------------------------------------------------------------

    def value(self, value: b.Value) -> str:
        """Print a value; a geometry as its array."""
        match value:
            case b.Use():  # first, since most values are columns
                return _column(value.relation, value.field)
            case b.Literal(literal):
                return self._literal(literal, value.kind)
            case b.ShapeValue() | b.MocValue():
                return self._constant(value)
            case b.Operation() | b.Minus():
                return self._operation(value)
            case b.Aggregate() | b.Tally():
                return self._aggregate(value)
            case b.Cast():
                return self._cast(value)
            case b.Function():
                return self._function(value)

    def typed(self, value: b.Value, kind: Kind) -> str:
        """Print a value as one of a kind that it can be: NULL as any, a whole number as a real."""
        if kind is Kind.OTHER or value.kind is kind:
            return self.value(value)
        if isinstance(value, b.Literal):
            return self._literal(value.value, kind)
        if value.kind is Kind.NULL or kind is Kind.REAL:
            return f"({self.value(value)})::{_TYPES[kind]}"
        return self.value(value)

    def pair(self, value: b.Value, other: b.Value) -> str:
        """Print a value that is compared with another, so that an index on that can be used."""
        literal = value.value if isinstance(value, b.Literal) else None
        if other.kind is Kind.INTEGER and isinstance(literal, float):
            if literal.is_integer() and -(2.0**63) <= literal < 2.0**63:
                return self.bind(int(literal), "bigint")
            return self.bind(literal, "float8")
        if value.kind is Kind.NULL or (isinstance(literal, int) and other.kind is Kind.REAL):
            return self.typed(value, other.kind)
        return self.value(value)

    def _constant(self, value: b.ShapeValue | b.MocValue) -> str:
        if isinstance(value, b.ShapeValue):
            return self.bind(shape_array(value.shape), "float8[]")
        return self.bind([bound for pair in value.moc.ranges() for bound in pair], "bigint[]")

    def _literal(self, literal: float | str | None, kind: Kind) -> str:
        if literal is None:
            return f"NULL::{_TYPES[kind]}"
        match kind:
            case Kind.REAL:
                return self.bind(float(literal), "float8")
            case Kind.INTEGER:
                return self.bind(int(literal), "bigint")
            case _:
                return f"({self.bind(str(literal), 'text')} {_BY_CHARACTERS})"

    def _operation(self, value: b.Operation | b.Minus) -> str:
        if isinstance(value, b.Minus):
            if value.kind is Kind.REAL:
                return f"(-{self.typed(value.operand, Kind.REAL)})"
            return f"adql.int_neg({self.typed(value.operand, Kind.INTEGER)})"
        if value.rest[0][0] == "||":
            operands = (value.first, *(operand for _, operand in value.rest))
            return f"({' || '.join(self.typed(operand, Kind.TEXT) for operand in operands)})"
        first = value.first
        kind = Kind.REAL if first.kind is Kind.REAL else Kind.INTEGER
        printed = self.typed(first, kind)
        for sign, operand in value.rest:
            if operand.kind is Kind.REAL and kind is Kind.INTEGER:
                printed, kind = f"({printed})::float8", Kind.REAL
            prefix = "real" if kind is Kind.REAL else "int"
            other = self.typed(operand, kind)
            printed = f"adql.{prefix}_{_ARITHMETIC[sign]}({printed}, {other})"
        return printed

    # Aggregates --------------------------------------------------------------------------------

    def _aggregate(self, value: b.Aggregate | b.Tally) -> str:
        if isinstance(value, b.Tally):
            return self._tally(value)
        argument = value.argument
        if argument is None:
            return "count(*)"
        distinct = "DISTINCT " if value.distinct else ""
        if value.delimiter is not None:
            text, delimiter = (self.typed(item, Kind.TEXT) for item in (argument, value.delimiter))
            return f"string_agg({text}, {delimiter} ORDER BY {text})"
        if value.name == "SUM" and value.kind is Kind.INTEGER:
            total = f"sum({distinct}{self.typed(argument, Kind.INTEGER)})"
            return total if is_narrow(argument) else f"adql.whole({total})"
        if value.name == "SUM":
            return f"adql.sum_guarded({distinct}{self.typed(argument, Kind.REAL)})"
        if value.name == "AVG":
            return self._mean(argument, distinct)
        return f"{value.name.lower()}({distinct}{self.value(argument)})"

    def _mean(self, argument: b.Value, distinct: str) -> str:
        """Print a mean that leaves its type as the embedded store's does."""
        if argument.kind is Kind.REAL:
            printed = self.value(argument)
            total = f"adql.sum_guarded({distinct}{printed})"
        else:
            printed = self.typed(argument, Kind.INTEGER)
            total = f"sum({distinct}{printed})::float8"
        return f"adql.real_div({total}, count({distinct}{printed})::float8)"

    def _tally(self, value: b.Tally) -> str:
        weights = f"sum({self.value(value.weight)})"
        if value.argument is not None:
            weights += f" FILTER (WHERE {self.value(value.argument)} IS NOT NULL)"
        return f"coalesce({weights}, 0)::bigint"

    # Casts and functions -----------------------------------------------------------------------

    def _cast(self, value: b.Cast) -> str:
        operand = value.operand
        match value.target:
            case "CHAR" | "VARCHAR":
                text = f"({self.typed(operand, operand.kind)}::text {_BY_CHARACTERS})"
                if value.length is None:
                    return text
                return f"left({text}, {self.bind(min(value.length, 2**31 - 1), 'int')})"
            case "SMALLINT" | "INTEGER" | "BIGINT":
                bound = _BOUNDS[value.target]
                # The function has a form for each type.
                given = f"({self.value(operand)})::{_TYPES[operand.kind]}"
                least, most = self.bind(-bound, "bigint"), self.bind(bound - 1, "bigint")
                return f"adql.cast_int({given}, {least}, {most})"
            case "TIMESTAMP":
                return f"adql.cast_timestamp({self.typed(operand, Kind.TEXT)})"
            case "POINT" | "CIRCLE" | "POLYGON":
                text = self.typed(operand, Kind.TEXT)
                return f"adql.sky_parse({text}, '{value.target.lower()}')"
            case _:
                if operand.kind is Kind.TEXT:
                    return f"adql.number({self.value(operand)})"
                return self.typed(operand, Kind.REAL)

    def _function(self, value: b.Function) -> str:
        arguments = value.arguments
        match value.name:
            case "SHAPE":
                return self._shape(arguments[0])
            case "DISTANCE":
                return self._distance(arguments[0], arguments[1])
            case "CONTAINS" | "INTERSECTS":
                return self._predicate(value)
            case "POLYGON":
                corners = ", ".join(part for item in arguments for part in self._position(item))
                return f"adql.sky_polygon(VARIADIC ARRAY[{corners}])"
            case "COALESCE" | "ABS" | "MOD":
                name = _BY_KIND.get((value.name, value.kind), "coalesce")
                return f"{name}({', '.join(self.typed(item, value.kind) for item in arguments)})"
            case "ROUND" | "TRUNCATE":
                return self._rounded(value)
            case "LOWER" | "UPPER":
                return _TEMPLATES[value.name].format(self.typed(arguments[0], Kind.TEXT))
            case name if name.startswith("IVO_") and name not in _TEMPLATES:
                return self._user_function(value)
            case name:
                printed = [self._argument(item) for item in arguments]
                return _TEMPLATES[name].format(*printed)

    def _argument(self, value: b.Value) -> str:
        """Print an argument where numbers are doubles."""
        return self.typed(value, Kind.REAL) if value.kind.numeric else self.value(value)

    def _rounded(self, value: b.Function) -> str:
        number = self.typed(value.arguments[0], Kind.REAL)
        rounding = value.name == "ROUND"
        if len(value.arguments) == 1:
            return f"{'adql.real_round' if rounding else 'trunc'}({number})"
        digits = self.typed(value.arguments[1], Kind.INTEGER)
        return f"adql.real_scaled({number}, {digits}, {'true' if rounding else 'false'})"

    def _user_function(self, value: b.Function) -> str:
        if value.name == "IVO_NOCASEMATCH":
            text, pattern = (self.typed(item, Kind.TEXT) for item in value.arguments)
            return f"{any_case(text, pattern)}::int"
        (form,) = (
            form for form in forms(value.name) if len(form.parameters) == len(value.arguments)
        )
        printed = [
            self.typed(item, _PARAMETER_KINDS.get(parameter.type, Kind.TEXT))
            for item, parameter in zip(value.arguments, form.parameters, strict=True)
        ]
        return f"adql.{form.name}({', '.join(printed)})"

    # Sphere ------------------------------------------------------------------------------------

    def _shape(self, source: b.Value) -> str:
        if isinstance(source, b.Use):
            spatial = source.relation.spatial
            if spatial is not None and source.field.name == spatial.region_column:
                return f"{source.relation.alias}.{quoted(spatial.region_sql)}"
        xtype = (source.column.xtype or "").lower().removeprefix("adql:")
        printed = self.typed(source, Kind.TEXT)
        if source.kind is Kind.OTHER:
            printed = f"adql.numbers_text({self.value(source)})"
        return f"adql.sky_parse({printed}, {self.bind(xtype, 'text')})"

    def _distance(self, first: b.Value, second: b.Value) -> str:
        ends = self._coordinates(first), self._coordinates(second)
        if ends[0] is not None and ends[1] is not None:
            return f"adql.sky_distance({', '.join([*ends[0], *ends[1]])})"
        return f"adql.sky_separation({self.value(first)}, {self.value(second)})"

    def _coordinates(self, point: b.Value) -> tuple[str, str] | None:
        match point:
            case b.Function("POINT", (ra, dec)):
                return self.typed(ra, Kind.REAL), self.typed(dec, Kind.REAL)
            case b.ShapeValue(Point(ra_deg, dec_deg)):
                return self.bind(ra_deg, "float8"), self.bind(dec_deg, "float8")
            case _:
                return None

    def _position(self, point: b.Value) -> tuple[str, str]:
        """Give right ascension and declination of any point."""
        coordinates = self._coordinates(point)
        if coordinates is not None:
            return coordinates
        printed = self.typed(point, Kind.GEOMETRY)
        return f"adql.sky_coord1({printed})", f"adql.sky_coord2({printed})"

    def _predicate(self, value: b.Function) -> str:
        first, second = value.arguments
        if isinstance(first, b.MocValue) or isinstance(second, b.MocValue):
            return self._map_predicate(value.name, first, second)
        if value.name == "INTERSECTS" and is_point(second):
            first, second = second, first
        if is_point(first):
            position = self._coordinates(first)
            assert position is not None
            return f"adql.sky_holds({self.value(second)}, {position[0]}, {position[1]})"
        return _TEMPLATES[value.name].format(self.value(first), self.value(second))

    def _map_predicate(self, name: str, first: b.Value, second: b.Value) -> str:
        """Print a predicate of a coverage map and a geometry."""
        function, moc, shape = map_predicate(name, first, second)
        position = self._coordinates(shape) if is_point(shape) else None
        if position is not None and function != "moc_within":
            return f"adql.moc_holds({self.value(moc)}, {position[0]}, {position[1]})"
        return f"adql.{function}({self.value(moc)}, {self.value(shape)})"


def _column(relation: b.Relation, item: b.Field) -> str:
    if item.definition is None:
        return f"{relation.alias}.c{item.number}"
    sql = item.definition.sql
    if sql is None:
        return f"{relation.alias}.{quoted(item.name)}"
    sql = sql.replace("%", "%%").replace("{base_url}", "%(base_url)s::text")
    return f"({sql.replace('{adql}', 'adql.').replace('{alias}', relation.alias)})"
