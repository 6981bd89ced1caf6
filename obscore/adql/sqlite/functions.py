"""The functions that the printed SQL calls, for a connection of apsw.

NULL in gives NULL out, and so does what has no value: a declination over 90, a negative radius.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Any

import apsw

from obscore.adql.moc import cover
from obscore.adql.moc.ranges import Moc
from obscore.adql.sqlite.arrays import array_values
from obscore.adql.userdefined.catalogue import USER_FUNCTIONS, UserFunction
from obscore.adql.userdefined.dates import timestamp
from vodal import sphere
from vodal.errors import UsageError
from vodal.later import LaterModule
from vodal.regions import (
    Circle,
    Point,
    Polygon,
    Shape,
    parse_circle,
    parse_numbers,
    parse_polygon,
    parse_shape,
    shape_from_bytes,
    shape_text,
    shape_to_bytes,
)

__all__ = ["glance", "read_shape", "register"]

Blob = bytes
SQLiteValue = int | float | str | bytes | None

_unpack = lru_cache(maxsize=1024)(shape_from_bytes)
"""Constants of a query come back with every row."""


def register(connection: apsw.Connection) -> None:
    """Give a connection the functions that translated queries call."""
    for name, (function, count) in _FUNCTIONS.items():
        connection.create_scalar_function(name, _guarded(function), count, deterministic=True)
    for form in USER_FUNCTIONS:
        if form.compute is not None:
            connection.create_scalar_function(
                form.name, _guarded(_packing(form)), len(form.parameters), deterministic=True
            )
    connection.create_scalar_function("ivo_normal_random", _guarded(random.gauss), 2)


def _packing(form: UserFunction) -> Callable[..., SQLiteValue]:
    """Give a user-defined function geometries as they are packed, and pack what it gives."""
    compute = form.compute
    assert compute is not None
    geometries = [item.type in {"POINT", "REGION"} for item in form.parameters]

    def packing(*arguments: Any) -> SQLiteValue:
        values = [
            _unpack(value) if geometry else value
            for value, geometry in zip(arguments, geometries, strict=True)
        ]
        result = compute(*values)
        return result if isinstance(result, int | float | str | None) else shape_to_bytes(result)

    return packing


def _guarded(function: Callable[..., SQLiteValue]) -> Callable[..., SQLiteValue]:
    def guarded(*arguments: Any) -> SQLiteValue:
        if None in arguments:
            return None
        try:
            return function(*arguments)
        except (UsageError, ValueError, ArithmeticError, TypeError):
            return None

    return guarded


# Sphere --------------------------------------------------------------------------------------


glance = LaterModule("obscore.adql.sqlite.glance")
"""Decides most pairs of shapes several times faster, when it is loaded."""


def _contains(outer: Blob, inner: Blob) -> int:
    if (module := glance.loaded) is not None and (seen := module.contains(outer, inner)) >= 0:
        return int(seen)
    return int(sphere.contains(_unpack(outer), _unpack(inner)))


def _intersects(a: Blob, b: Blob) -> int:
    if (module := glance.loaded) is not None and (seen := module.intersects(a, b)) >= 0:
        return int(seen)
    return int(sphere.intersects(_unpack(a), _unpack(b)))


def _holds(shape: Blob, ra_deg: float, dec_deg: float) -> int:
    if (module := glance.loaded) is not None and (
        seen := module.holds(shape, ra_deg, dec_deg)
    ) >= 0:
        return int(seen)
    return int(sphere.contains(_unpack(shape), Point(ra_deg, dec_deg)))


def _distance(ra1_deg: float, dec1_deg: float, ra2_deg: float, dec2_deg: float) -> float | None:
    if abs(dec1_deg) > 90.0 or abs(dec2_deg) > 90.0:
        return None
    return sphere.distance_deg(ra1_deg, dec1_deg, ra2_deg, dec2_deg)


def _point_of(data: Blob) -> Point:
    shape = _unpack(data)
    if not isinstance(shape, Point):
        raise TypeError("not a point")
    return shape


def _separation(a: Blob, b: Blob) -> float:
    one, two = _point_of(a), _point_of(b)
    return sphere.distance_deg(one.ra_deg, one.dec_deg, two.ra_deg, two.dec_deg)


def _point(ra_deg: float, dec_deg: float) -> Blob:
    return shape_to_bytes(Point(ra_deg, dec_deg))


def _circle(centre: Blob, radius_deg: float) -> Blob:
    point = _point_of(centre)
    return shape_to_bytes(Circle(point.ra_deg, point.dec_deg, radius_deg))


def _box(centre: Blob, width_deg: float, height_deg: float) -> Blob:
    point = _point_of(centre)
    return shape_to_bytes(sphere.box_polygon(point.ra_deg, point.dec_deg, width_deg, height_deg))


def _polygon(*vertices: Blob) -> Blob:
    points = [_point_of(vertex) for vertex in vertices]
    return shape_to_bytes(Polygon(tuple((point.ra_deg, point.dec_deg) for point in points)))


@lru_cache(maxsize=1024)
def _parse(cell: str | bytes, xtype: str) -> Blob:
    """Read a shape's words, or the bare numbers of DALI whose shape the xtype tells.

    The numbers may be text, or an array of an uploaded table.
    """
    shape: Shape
    text = " ".join(map(str, array_values(cell).tolist())) if isinstance(cell, bytes) else cell
    if text.lstrip()[:1].isalpha():
        shape = parse_shape(text)
    elif xtype == "circle":
        shape = parse_circle(text)
    elif xtype == "polygon":
        shape = parse_polygon(text)
    else:
        shape = Point(*parse_numbers(text, "point"))
    kinds = {"point": Point, "circle": Circle, "polygon": Polygon}
    if xtype in kinds and not isinstance(shape, kinds[xtype]):
        raise TypeError(f"not a {xtype}")
    return shape_to_bytes(shape)


def read_shape(cell: str | bytes, xtype: str) -> bytes | None:
    """Read the geometry of a cell, as ``sky_parse`` does; None if it has no meaning."""
    try:
        return _parse(cell, xtype)
    except (UsageError, ValueError, ArithmeticError, TypeError, KeyError):
        return None


def _text(data: Blob) -> str:
    return shape_text(_unpack(data))


def _area(data: Blob) -> float:
    shape = _unpack(data)
    return 0.0 if isinstance(shape, Point) else sphere.area_deg2(shape)


def _centroid(data: Blob) -> Blob:
    return shape_to_bytes(sphere.centroid(_unpack(data)))


def _coord1(data: Blob) -> float:
    return _point_of(data).ra_deg


def _coord2(data: Blob) -> float:
    return _point_of(data).dec_deg


@lru_cache(maxsize=64)
def _box_around(data: Blob, margin_deg: float) -> tuple[float, ...]:
    centre, radius_deg = sphere.bounding_cap(_unpack(data))
    return sphere.cap_box(centre, min(180.0, radius_deg + max(0.0, margin_deg)))


def _bound(data: Blob, margin_deg: float, which: int) -> float:
    return _box_around(data, margin_deg)[which]


# Coverage maps -------------------------------------------------------------------------------


def _moc_holds(moc: Blob, ra_deg: float, dec_deg: float) -> int:
    return int(cover.holds_point(Moc.unpack(moc), ra_deg, dec_deg))


def _moc_meets(moc: Blob, shape: Blob) -> int:
    return int(cover.meets(Moc.unpack(moc), _unpack(shape)))


def _moc_contains(moc: Blob, shape: Blob) -> int:
    return int(cover.lies_in(Moc.unpack(moc), _unpack(shape)))


def _moc_within(moc: Blob, shape: Blob) -> int:
    return int(cover.map_lies_in(Moc.unpack(moc), _unpack(shape)))


# Texts ---------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def _pattern(pattern: str, *, any_case: bool) -> re.Pattern[str]:
    """Compile a pattern of LIKE.

    Each piece between two ``%`` is taken where it comes first and never looked for again, so that
    no pattern needs more time than its length times that of the text.
    """
    pieces = [
        "".join("." if char == "_" else re.escape(char) for char in piece)
        for piece in pattern.split("%")
    ]
    if len(pieces) == 1:
        source = pieces[0]
    else:
        middle = "".join(f"(?>.*?{piece})" for piece in pieces[1:-1] if piece)
        source = f"{pieces[0]}{middle}.*{pieces[-1]}"
    return re.compile(source, re.DOTALL | (re.IGNORECASE if any_case else 0))


def _like(text: str, pattern: str) -> int:
    return int(_pattern(pattern, any_case=False).fullmatch(text) is not None)


def _ilike(text: str, pattern: str) -> int:
    return int(_pattern(pattern, any_case=True).fullmatch(text) is not None)


# Numbers -------------------------------------------------------------------------------------


def _whole(value: SQLiteValue) -> int | None:
    """Give a whole number; one that overflowed has become another kind, and is none."""
    return value if isinstance(value, int) else None


def _abs(value: float) -> int | float | None:
    result = abs(value)
    return None if isinstance(result, int) and result >= 2**63 else result


def _scaled(value: float, digits: int, to_whole: Callable[[float], float]) -> float:
    digits = max(-400, min(400, int(digits)))
    if not math.isfinite(value) or digits > 300:
        return float(value)
    if digits < -308:
        return 0.0
    if digits < 0:
        step = 10.0**-digits
        return to_whole(value / step) * step
    scaled = value * 10.0**digits
    return to_whole(scaled) / 10.0**digits if abs(scaled) < 2.0**53 else float(value)


def _round(value: float, digits: int) -> float:
    # Halves go away from zero, as SQLite's own round() has it.
    return _scaled(value, digits, lambda x: math.copysign(math.floor(abs(x) + 0.5), x))


def _truncate(value: float, digits: int) -> float:
    return _scaled(value, digits, math.trunc)


_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def _number(text: str) -> float:
    if not _NUMBER.fullmatch(text.strip()):
        raise ValueError(text)
    return float(text)


def _cast_int(value: SQLiteValue, bits: int) -> int | None:
    if isinstance(value, str):
        text = value.strip()
        value = int(text) if re.fullmatch(r"[+-]?[0-9]{1,19}", text) else _number(text)
    if isinstance(value, bytes) or value is None:
        return None
    result = int(value)
    return result if -(2 ** (bits - 1)) <= result < 2 ** (bits - 1) else None


def _cast_real(value: SQLiteValue) -> float | None:
    if isinstance(value, str):
        return _number(value)
    return None if value is None or isinstance(value, bytes) else float(value)


def _real_text(value: float) -> str:
    """Write the fewest digits that read back as the number, in the form of PostgreSQL."""
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    sign, digits, exponent = Decimal(repr(float(value))).normalize().as_tuple()
    assert isinstance(exponent, int)
    place = exponent + len(digits) - 1
    written = "".join(map(str, digits))
    if not any(digits):
        written = "0"
    elif not -5 < place < 15:
        rest = f".{written[1:]}" if len(written) > 1 else ""
        written = f"{written[0]}{rest}e{'-' if place < 0 else '+'}{abs(place):02d}"
    elif place < 0:
        written = f"0.{'0' * (-place - 1)}{written}"
    else:
        written = written.ljust(place + 1, "0")
        if len(written) > place + 1:
            written = f"{written[: place + 1]}.{written[place + 1 :]}"
    return f"-{written}" if sign else written


_FUNCTIONS: dict[str, tuple[Callable[..., SQLiteValue], int]] = {
    "sky_contains": (_contains, 2),
    "sky_intersects": (_intersects, 2),
    "sky_holds": (_holds, 3),
    "sky_distance": (_distance, 4),
    "sky_separation": (_separation, 2),
    "sky_point": (_point, 2),
    "sky_circle": (_circle, 2),
    "sky_box": (_box, 3),
    "sky_polygon": (_polygon, -1),
    "sky_parse": (_parse, 2),
    "sky_text": (_text, 1),
    "sky_area": (_area, 1),
    "sky_centroid": (_centroid, 1),
    "sky_coord1": (_coord1, 1),
    "sky_coord2": (_coord2, 1),
    "sky_bound": (_bound, 3),
    "moc_holds": (_moc_holds, 3),
    "moc_meets": (_moc_meets, 2),
    "moc_contains": (_moc_contains, 2),
    "moc_within": (_moc_within, 2),
    "adql_like": (_like, 2),
    "adql_ilike": (_ilike, 2),
    "adql_int": (_whole, 1),
    "adql_abs": (_abs, 1),
    "adql_round": (_round, 2),
    "adql_trunc": (_truncate, 2),
    "adql_cast_int": (_cast_int, 2),
    "adql_cast_real": (_cast_real, 1),
    "adql_real_text": (_real_text, 1),
    "adql_cast_timestamp": (timestamp, 1),
}
"""Name: the function and how many arguments it takes, -1 for any number."""
