"""Calls of user-defined functions: checked, and computed at once where they are constant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from obscore.adql import bound as b
from obscore.adql.geometry import as_shape, frame_of, is_point
from obscore.adql.types import Kind, result_column
from obscore.adql.userdefined.catalogue import Computed, Parameter, UserFunction, forms
from vodal.errors import QueryError, UsageError
from vodal.regions import Point
from vodal.tables.columns import Column

__all__ = ["constant", "user_call"]

_POINT = result_column(Kind.GEOMETRY, None, xtype="adql:POINT", ucd="pos.eq")

_RESULTS = {
    "INTEGER": Kind.INTEGER,
    "BIGINT": Kind.INTEGER,
    "DOUBLE PRECISION": Kind.REAL,
    "VARCHAR": Kind.TEXT,
    "POINT": Kind.GEOMETRY,
}


def user_call(name: str, arguments: Sequence[b.Value]) -> b.Value:
    """Check a call.

    Parameters
    ----------
    name
        Upper case, of a function that there is.
    arguments
        Resolved.

    Raises
    ------
    QueryError
        Without a place, if the arguments do not fit.
    """
    fitting = [form for form in forms(name) if len(form.parameters) == len(arguments)]
    if not fitting:
        written = " or ".join(form.signature for form in forms(name))
        raise QueryError(
            f"{name.lower()} is written {written}; the number of arguments was {len(arguments)}"
        )
    (form,) = fitting
    values = [
        _argument(form, parameter, value)
        for parameter, value in zip(form.parameters, arguments, strict=True)
    ]
    column = _column(form, values)
    if form.name == "ivo_healpix_index" and len(values) == 2:
        # Two coordinates are quicker than a point that is made of them.
        match values[1]:
            case b.Function("POINT", coordinates):
                return user_call(name, [values[0], *coordinates])
            case _:
                pass
    kind = values[-1].kind if form.returns == "REGION" else _RESULTS[form.returns]
    computed = _computed(form, values, kind, column)
    if computed is not None:
        return computed
    values = [
        _present(parameter, value) for parameter, value in zip(form.parameters, values, strict=True)
    ]
    return b.Function(name, tuple(values), kind, column)


def _argument(form: UserFunction, parameter: Parameter, value: b.Value) -> b.Value:
    null = value.kind is Kind.NULL
    match parameter.type:
        case "POINT" | "REGION":
            shape = as_shape(value)
            if shape is None or (parameter.type == "POINT" and not is_point(shape)):
                raise _wrong(form, parameter, value)
            return shape
        case "INTEGER" | "BIGINT":
            fits = value.kind is Kind.INTEGER or null
        case "DOUBLE PRECISION":
            fits = value.kind.numeric
        case _:
            fits = value.kind.textual
    if not fits:
        raise _wrong(form, parameter, value)
    if parameter.choices and constant(value) not in parameter.choices:
        choices = ", ".join(f"'{choice}'" for choice in parameter.choices)
        raise QueryError(f"{form.name}: {parameter.name} is one of {choices}, written out")
    if null and isinstance(value, b.Literal) and parameter.absent is None and _needs_all(form):
        raise QueryError(f"{form.name}: {parameter.name} must not be NULL")
    return value


def _needs_all(form: UserFunction) -> bool:
    """Whether NULL is an error: where it stands for something in some parameters."""
    return any(parameter.absent is not None for parameter in form.parameters)


def _wrong(form: UserFunction, parameter: Parameter, value: b.Value) -> QueryError:
    found = value.kind.value
    if as_shape(value) is not None:
        found = "a geometry that need be no point" if parameter.type == "POINT" else "a geometry"
    return QueryError(
        f"{form.name} takes {parameter.type} as {parameter.name}, found {found}; it is written "
        f"{form.signature}"
    )


def _present(parameter: Parameter, value: b.Value) -> b.Value:
    """Put what NULL stands for in its place."""
    if parameter.absent is None:
        return value
    column = result_column(Kind.REAL)
    absent = b.Literal(parameter.absent, Kind.REAL, column)
    if isinstance(value, b.Literal):
        return absent if value.value is None else value
    return b.Function("COALESCE", (value, absent), Kind.REAL, column)


def _column(form: UserFunction, values: Sequence[b.Value]) -> Column:
    if form.returns == "POINT":
        return _POINT
    if form.returns == "REGION":
        return replace(
            values[-1].column,
            name="",
            description=None,
            utype=None,
            id=None,
            ucd=None,
            frame=None,
        )
    column = result_column(_RESULTS[form.returns], None, unit=form.unit, ucd=form.ucd)
    return replace(column, datatype="int") if form.returns == "INTEGER" else column


def constant(value: b.Value) -> Computed:
    """Give the value of a literal or of a geometry that is one; None for all others."""
    match value:
        case b.Literal(literal):
            return literal
        case b.ShapeValue(shape):
            return shape
        case _:
            return None


def _computed(
    form: UserFunction, values: Sequence[b.Value], kind: Kind, column: Column
) -> b.Value | None:
    """Compute a call of constants, so that it is an error where it has no value."""
    # A geometry in another frame stays a call, so that its frame is known.
    if form.compute is None or frame_of(b.Function(form.name.upper(), tuple(values), kind, column)):
        return None
    constants = [
        parameter.absent if constant(value) is None and value.kind is Kind.NULL else constant(value)
        for parameter, value in zip(form.parameters, values, strict=True)
    ]
    if None in constants:
        return None
    try:
        result = form.compute(*constants)
    except (UsageError, ValueError, ArithmeticError) as error:
        message = error.message if isinstance(error, UsageError) else str(error)
        raise QueryError(f"{form.name}: {message}") from None
    if isinstance(result, int | float | str | None):
        return b.Literal(result, kind, column)
    return b.ShapeValue(result, _POINT if isinstance(result, Point) else column)
