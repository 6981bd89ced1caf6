"""Geometry functions: their forms, and the geometries that do not depend on the rows.

The old first argument that names a coordinate system is taken and dropped. What is left of each
form is one: points are always ``POINT(ra, dec)``, a circle is ``CIRCLE(point, radius)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from obscore.adql import bound as b
from obscore.adql.moc.cover import area_deg2, cover, lies_in, map_lies_in, meets
from obscore.adql.moc.ranges import parse_moc
from obscore.adql.types import Kind, is_geometry_column, is_point_column, result_column
from vodal.errors import QueryError, UsageError
from vodal.regions import Circle, Point, Polygon, Shape, parse_numbers, parse_shape
from vodal.sphere import box_polygon
from vodal.tables.frames import ICRS, SpaceFrame

__all__ = ["as_shape", "frame_of", "geometry_call", "geometry_text", "is_point"]

_FRAMES = {"", "ICRS", "FK5", "J2000", "UNKNOWNFRAME"}

_REGION_META = {"xtype": "adql:REGION", "ucd": "pos.outline;obs.field"}
_POINT_META = {"xtype": "adql:POINT", "ucd": "pos.eq"}

_POINT = result_column(Kind.GEOMETRY, None, **_POINT_META)
_REGION = result_column(Kind.GEOMETRY, None, **_REGION_META)
_FLAG = result_column(Kind.INTEGER)

_COOSYS = {
    None: ICRS,
    "FK5": SpaceFrame("eq_FK5", equinox="J2000"),
    "FK4": SpaceFrame("eq_FK4", equinox="B1950"),
    "GALACTIC": SpaceFrame("galactic"),
    "SUPER_GALACTIC": SpaceFrame("supergalactic"),
    "ECLIPTIC": SpaceFrame("ecl_FK5", equinox="J2000"),
}
"""The frames of geometries, as `frame_of` names them."""

_FORMS = {
    "AREA": "AREA(geometry)",
    "BOX": "BOX(ra, dec, width, height) or BOX(point, width, height)",
    "CENTROID": "CENTROID(geometry)",
    "CIRCLE": "CIRCLE(ra, dec, radius) or CIRCLE(point, radius)",
    "CONTAINS": "CONTAINS(geometry, geometry)",
    "COORD1": "COORD1(point)",
    "COORD2": "COORD2(point)",
    "COORDSYS": "COORDSYS(geometry)",
    "DISTANCE": "DISTANCE(point, point) or DISTANCE(ra1, dec1, ra2, dec2)",
    "INTERSECTS": "INTERSECTS(geometry, geometry)",
    "MOC": "MOC('order/cells ...') or MOC(order, geometry)",
    "POINT": "POINT(ra, dec)",
    "POLYGON": "POLYGON(ra1, dec1, ra2, dec2, ra3, dec3, ...) or POLYGON(point, point, point, ...)",
    "REGION": "REGION('shape ...')",
}

_COORDINATES: dict[str | None, tuple[str | None, str | None]] = {
    None: ("pos.eq.ra", "pos.eq.dec"),
    "FK5": ("pos.eq.ra", "pos.eq.dec"),
    "FK4": ("pos.eq.ra", "pos.eq.dec"),
    "GALACTIC": ("pos.galactic.lon", "pos.galactic.lat"),
    "SUPER_GALACTIC": ("pos.supergalactic.lon", "pos.supergalactic.lat"),
    "ECLIPTIC": ("pos.ecliptic.lon", "pos.ecliptic.lat"),
}
"""UCDs of the two coordinates by frame; None is ICRS."""

_STC_ONLY = frozenset(
    {"ALLSKY", "CONVEX", "CONVEXHULL", "DIFFERENCE", "ELLIPSE", "INTERSECTION", "NOT", "UNION"}
)
"""Words of STC-S with which no region begins here."""

_MAX_VERTICES = 400
"""Of a polygon that is made of columns; one of numbers can have any number."""


def is_point(value: b.Value) -> bool:
    """Tell whether a geometry is a point for certain."""
    return is_point_column(value.column)


def as_shape(value: b.Value) -> b.Value | None:
    """Give a value as a geometry, if it is one: columns keep theirs as text."""
    if value.kind is Kind.GEOMETRY:
        return value
    kept = isinstance(value, b.Use | b.Cast) or (
        isinstance(value, b.Function) and value.name == "COALESCE"
    )
    if kept and is_geometry_column(value.column):
        return b.Function("SHAPE", (value,), Kind.GEOMETRY, value.column)
    return None


def frame_of(value: b.Value) -> str | None:
    """Give the frame of a geometry that a function has turned into another than ICRS."""
    match value:
        case b.Function("IVO_GEOM_TRANSFORM", (_, b.Literal(target), _)):
            return str(target) if target != "ICRS" else None
        case b.Function("CENTROID" | "COALESCE" | "CIRCLE" | "BOX" | "POLYGON", arguments):
            return next(filter(None, map(frame_of, arguments)), None)
        case _:
            return None


def geometry_text(value: b.Value) -> b.Value:
    """Give a geometry as it leaves a query, with the name of its frame if that is not ICRS."""
    if value.kind is not Kind.GEOMETRY:
        return value
    frame = frame_of(value)
    if isinstance(value, b.ShapeValue | b.MocValue | b.Function | b.Cast):
        value = replace(value, column=replace(value.column, frame=_COOSYS[frame]))
    if frame is None:
        return value
    name = b.Literal(frame, Kind.TEXT, result_column(Kind.TEXT))
    return b.Function("GEOMETRY_TEXT", (value, name), Kind.TEXT, value.column)


def geometry_call(name: str, arguments: Sequence[b.Value]) -> b.Value:
    """Check a geometry function and give it in its one form.

    Raises
    ------
    QueryError
        Without a place, if the arguments do not fit.
    """
    match name:
        case "POINT":
            return _point(name, _without_frame(name, arguments))
        case "CIRCLE" | "BOX":
            return _around_point(name, _without_frame(name, arguments))
        case "POLYGON":
            return _polygon(_without_frame(name, arguments))
        case "REGION":
            return _region(arguments)
        case "DISTANCE":
            return _distance(arguments)
        case "CONTAINS" | "INTERSECTS":
            shapes = _shapes(name, arguments, 2)
            known = _of_maps(name, *shapes)
            if known is not None:
                return b.Literal(int(known), Kind.INTEGER, _FLAG)
            return b.Function(name, shapes, Kind.INTEGER, _FLAG)
        case "MOC":
            return _moc(arguments)
        case _:
            return _measure(name, arguments)


def _wrong(name: str) -> QueryError:
    return QueryError(f"{name} is written {_FORMS[name]}")


def _without_frame(name: str, arguments: Sequence[b.Value]) -> Sequence[b.Value]:
    if not arguments or not isinstance(first := arguments[0], b.Literal):
        return arguments
    if not isinstance(first.value, str):
        return arguments
    words = first.value.upper().split() or [""]
    if words[0] not in _FRAMES:
        raise QueryError(
            f"{name}: the coordinate system '{first.value[:40]}' is not supported; use 'ICRS', or "
            "ivo_geom_transform(system, 'ICRS', geometry)"
        )
    return arguments[1:]


def _numbers(name: str, values: Sequence[b.Value]) -> None:
    if not all(value.kind.numeric for value in values):
        raise _wrong(name)


def _constant(values: Sequence[b.Value]) -> list[float] | None:
    """Give the values as numbers if all are literals."""
    numbers = []
    for value in values:
        if not isinstance(value, b.Literal) or not isinstance(value.value, int | float):
            return None
        numbers.append(float(value.value))
    return numbers


def _fixed(name: str, shape: Shape | None, error: UsageError | None = None) -> b.ShapeValue:
    if shape is None:
        raise QueryError(f"{name}: {error}")
    return b.ShapeValue(shape, _POINT if isinstance(shape, Point) else _REGION)


def _point(name: str, arguments: Sequence[b.Value]) -> b.Value:
    if len(arguments) != 2:
        raise _wrong(name)
    _numbers(name, arguments)
    numbers = _constant(arguments)
    if numbers is None:
        return b.Function("POINT", tuple(arguments), Kind.GEOMETRY, _POINT)
    try:
        return _fixed(name, Point(*numbers))
    except UsageError as error:
        raise QueryError(f"{name}: {error.message}") from None


def _points(name: str, arguments: Sequence[b.Value], count: int) -> tuple[b.Value, ...]:
    shapes = _shapes(name, arguments, count)
    if not all(is_point(shape) for shape in shapes):
        raise _wrong(name)
    return shapes


def _shapes(name: str, arguments: Sequence[b.Value], count: int) -> tuple[b.Value, ...]:
    shapes = [as_shape(argument) for argument in arguments]
    known = tuple(shape for shape in shapes if shape is not None)
    if len(arguments) != count or len(known) != count:
        raise _wrong(name)
    return known


def _around_point(name: str, arguments: Sequence[b.Value]) -> b.Value:
    """Make a circle or a box."""
    sizes = 1 if name == "CIRCLE" else 2
    if len(arguments) == sizes + 2:
        centre = _point(name, arguments[:2])
    elif len(arguments) == sizes + 1:
        (centre,) = _points(name, arguments[:1], 1)
    else:
        raise _wrong(name)
    extent = arguments[-sizes:]
    _numbers(name, extent)
    numbers = _constant(extent)
    if numbers is None or not isinstance(centre, b.ShapeValue):
        return b.Function(name, (centre, *extent), Kind.GEOMETRY, _REGION)
    if not isinstance(centre.shape, Point):
        raise _wrong(name)
    ra_deg, dec_deg = centre.shape.ra_deg, centre.shape.dec_deg
    try:
        if name == "CIRCLE":
            return _fixed(name, Circle(ra_deg, dec_deg, numbers[0]))
        return _fixed(name, box_polygon(ra_deg, dec_deg, numbers[0], numbers[1]))
    except UsageError as error:
        raise QueryError(f"{name}: {error.message.removeprefix('BOX: ')}") from None


def _polygon(arguments: Sequence[b.Value]) -> b.Value:
    name = "POLYGON"
    vertices: list[b.Value]
    if arguments and as_shape(arguments[0]) is not None:
        vertices = list(_points(name, arguments, len(arguments)))
    else:
        if len(arguments) % 2:
            raise _wrong(name)
        _numbers(name, arguments)
        vertices = [_point(name, arguments[i : i + 2]) for i in range(0, len(arguments), 2)]
    if len(vertices) < 3:
        raise _wrong(name)
    fixed = [
        (vertex.shape.ra_deg, vertex.shape.dec_deg)
        for vertex in vertices
        if isinstance(vertex, b.ShapeValue) and isinstance(vertex.shape, Point)
    ]
    if len(fixed) < len(vertices):
        if len(vertices) > _MAX_VERTICES:
            raise QueryError(f"a POLYGON of columns has at most {_MAX_VERTICES} vertices")
        return b.Function(name, tuple(vertices), Kind.GEOMETRY, _REGION)
    try:
        return _fixed(name, Polygon(tuple(fixed)))
    except UsageError as error:
        raise QueryError(f"{name}: {error.message}") from None


def _region(arguments: Sequence[b.Value]) -> b.Value:
    if len(arguments) != 1 or not isinstance(literal := arguments[0], b.Literal):
        raise _wrong("REGION")
    if not isinstance(literal.value, str):
        raise _wrong("REGION")
    shape, _, rest = literal.value.strip().partition(" ")
    if shape.upper() in _STC_ONLY:
        raise QueryError(
            f"REGION: {shape.upper()} of STC-S is not supported; one CIRCLE, POLYGON, BOX, "
            "POSITION or RANGE is"
        )
    try:
        if shape.upper() == "BOX":
            return _fixed("REGION", _stc_box(rest.split()))
        return _fixed("REGION", parse_shape(literal.value, "REGION"))
    except UsageError as error:
        raise QueryError(error.message) from None


def _stc_box(words: list[str]) -> Polygon:
    """Read what stands behind BOX: a frame, the centre, width and height."""
    if len(words) < 4:
        raise UsageError("REGION: BOX takes four numbers")
    centre = parse_shape(f"POSITION {' '.join(words[:-2])}", "REGION")
    width, height = parse_numbers(" ".join(words[-2:]), "REGION")
    assert isinstance(centre, Point)
    return box_polygon(centre.ra_deg, centre.dec_deg, width, height)


def _distance(arguments: Sequence[b.Value]) -> b.Value:
    if len(arguments) == 4:
        ends = (_point("DISTANCE", arguments[:2]), _point("DISTANCE", arguments[2:]))
    else:
        first, second = _points("DISTANCE", arguments, 2)
        ends = (first, second)
    column = result_column(Kind.REAL, None, unit="deg", ucd="pos.angDistance")
    return b.Function("DISTANCE", ends, Kind.REAL, column)


def _moc(arguments: Sequence[b.Value]) -> b.Value:
    """Make a map of its text, or of the cells that a constant shape touches."""
    match arguments:
        case (b.Literal(str(text)),):
            make = partial(parse_moc, text)
        case (b.Literal(int(order)), b.ShapeValue(shape)):
            make = partial(cover, order, shape)
        case (b.Literal(int()), _):
            raise QueryError("MOC(order, geometry) takes a geometry that is made of numbers alone")
        case _:
            raise _wrong("MOC")
    try:
        return b.MocValue(make(), result_column(Kind.GEOMETRY))
    except UsageError as error:
        raise QueryError(f"MOC: {error.message}") from None


def _of_maps(name: str, first: b.Value, second: b.Value) -> bool | None:
    """Compute a predicate of a map and a constant; None for all others."""
    match first, second:
        case b.MocValue(one), b.MocValue(two):
            return one.within(two) if name == "CONTAINS" else one.touches(two)
        case b.ShapeValue(shape), b.MocValue(moc):
            return lies_in(moc, shape) if name == "CONTAINS" else meets(moc, shape)
        case b.MocValue(moc), b.ShapeValue(shape):
            return map_lies_in(moc, shape) if name == "CONTAINS" else meets(moc, shape)
        case _:
            return None


def _measure(name: str, arguments: Sequence[b.Value]) -> b.Value:
    (shape,) = _shapes(name, arguments, 1)
    frame = frame_of(shape)
    match name:
        case "AREA":
            column = result_column(Kind.REAL, None, unit="deg**2", ucd="phys.angArea")
            if isinstance(shape, b.MocValue):
                return b.Literal(area_deg2(shape.moc), Kind.REAL, column)
            return b.Function(name, (shape,), Kind.REAL, column)
        case "CENTROID":
            column = _POINT if frame is None else replace(_POINT, ucd=None)
            return b.Function(name, (shape,), Kind.GEOMETRY, column)
        case "COORDSYS":
            if frame is not None:
                return b.Literal(frame, Kind.TEXT, result_column(Kind.TEXT))
            return b.Function(name, (shape,), Kind.TEXT, result_column(Kind.TEXT))
        case _:
            if not is_point(shape):
                raise _wrong(name)
            ucd = _COORDINATES.get(frame, (None, None))[name == "COORD2"]
            column = result_column(Kind.REAL, None, unit="deg", ucd=ucd)
            column = replace(column, frame=_COOSYS[frame])
            return b.Function(name, (shape,), Kind.REAL, column)
