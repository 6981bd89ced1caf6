"""Points and regions on the sphere: values, text forms and a compact binary form.

All coordinates are ICRS degrees. Right ascension is kept in [0, 360), declination in [-90, 90].
The sides of a `Polygon` are great-circle arcs shorter than 180 degrees; its interior is the
smaller of the two parts it divides the sphere into, so that either winding is accepted. A
`Range` is bounded by meridians and parallels and may wrap through RA 0 (``ra_min > ra_max``).
Boundaries belong to the region (DALI 1.1 section 3.3; ADQL 2.1 section 4.2).

The predicates (`contains`, `intersects`, `bounding_cap` ...) live in `vodal.sphere`.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

from vodal.errors import UsageError

__all__ = [
    "Circle",
    "Point",
    "Polygon",
    "Range",
    "Region",
    "Shape",
    "parse_circle",
    "parse_numbers",
    "parse_polygon",
    "parse_pos",
    "parse_shape",
    "region_from_bytes",
    "shape_from_bytes",
    "shape_text",
    "shape_to_bytes",
]


def _ra(value: float) -> float:
    """Bring a right ascension into [0, 360)."""
    wrapped = math.fmod(value, 360.0)
    if wrapped < 0.0:
        wrapped += 360.0
    return 0.0 if wrapped >= 360.0 else wrapped


def _check_position(ra_deg: float, dec_deg: float) -> None:
    if not (math.isfinite(ra_deg) and math.isfinite(dec_deg)):
        raise UsageError("a position must be two finite numbers in degrees")
    if not -90.0 <= dec_deg <= 90.0:
        raise UsageError(f"declination {dec_deg:g} is outside [-90, 90] degrees")


@dataclass(frozen=True, slots=True)
class Point:
    """A position."""

    ra_deg: float
    dec_deg: float

    def __post_init__(self) -> None:
        _check_position(self.ra_deg, self.dec_deg)
        object.__setattr__(self, "ra_deg", _ra(self.ra_deg))


@dataclass(frozen=True, slots=True)
class Circle:
    """A small circle: all points within ``radius_deg`` (0 to 180) of the centre."""

    ra_deg: float
    dec_deg: float
    radius_deg: float

    def __post_init__(self) -> None:
        _check_position(self.ra_deg, self.dec_deg)
        if not 0.0 <= self.radius_deg <= 180.0:
            raise UsageError(f"radius {self.radius_deg:g} is outside [0, 180] degrees")
        object.__setattr__(self, "ra_deg", _ra(self.ra_deg))


@dataclass(frozen=True, slots=True)
class Polygon:
    """A spherical polygon of three or more vertices ``(ra_deg, dec_deg)``, not closed."""

    vertices: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        vertices = []
        for vertex in self.vertices:
            ra_deg, dec_deg = vertex
            if 0.0 <= ra_deg < 360.0 and -90.0 <= dec_deg <= 90.0:
                # As nearly all are.
                vertices.append((float(ra_deg), float(dec_deg)))
                continue
            _check_position(ra_deg, dec_deg)
            vertices.append((_ra(ra_deg), float(dec_deg)))
        if len(vertices) > 1 and vertices[0] == vertices[-1]:
            vertices.pop()
        if len(vertices) < 3:
            raise UsageError("a polygon needs three or more different vertices")
        object.__setattr__(self, "vertices", tuple(vertices))

    @classmethod
    def of_sound(cls, vertices: tuple[tuple[float, float], ...]) -> Polygon:
        """Give a polygon without a look at its vertices, which must be as all polygons have them.

        Right ascensions are in [0, 360), declinations in [-90, 90], and there are three vertices
        or more, the first of which is not the last.
        """
        polygon = object.__new__(cls)
        object.__setattr__(polygon, "vertices", vertices)
        return polygon


_TURN_ROUNDING_DEG = 1e-11
"""Less than the width of any boundary (0.2 micro-arcseconds)."""


@dataclass(frozen=True, slots=True)
class Range:
    """A coordinate range, bounded by two meridians and two parallels.

    Right ascension runs eastward from ``ra_min_deg`` to ``ra_max_deg``; 0 to 360 is the full
    turn. The values are kept as given: -Inf/+Inf of the request are clipped by the parser.
    """

    ra_min_deg: float
    ra_max_deg: float
    dec_min_deg: float
    dec_max_deg: float

    def __post_init__(self) -> None:
        _check_position(self.ra_min_deg, self.dec_min_deg)
        _check_position(self.ra_max_deg, self.dec_max_deg)
        if self.dec_min_deg > self.dec_max_deg:
            raise UsageError("the declinations of a range must be in increasing order")

    @property
    def ra_width_deg(self) -> float:
        """Extent in right ascension, in (0, 360]; 0 for a range on one meridian."""
        width = self.ra_max_deg - self.ra_min_deg
        # 512.4 - 152.4 is a little less than 360 by rounding; a gap that narrow is none.
        if width >= 360.0 - _TURN_ROUNDING_DEG:
            return 360.0
        return width if width >= 0.0 else math.fmod(width, 360.0) + 360.0


Region = Circle | Polygon | Range
"""Anything with an extent."""
Shape = Point | Circle | Polygon | Range
"""Any value of the sphere."""


def parse_numbers(text: str, name: str, *, infinite: bool = False, takes: str = "") -> list[float]:
    """Read blank-separated numbers of a DALI literal.

    Parameters
    ----------
    text
        The value.
    name
        The parameter's name, for the error.
    infinite
        Whether ``-Inf`` and ``+Inf`` are accepted.
    takes
        What the parameter takes, for the error.

    Raises
    ------
    UsageError
        If a word is no number, or not finite where that is needed.
    """
    about = f"{name} takes {takes};" if takes else f"{name}:"
    numbers = []
    for word in text.split():
        try:
            if "_" in word or not word.isascii():
                # Python reads 1_0 and the digits of other scripts; nobody else does.
                raise ValueError  # noqa: TRY301
            value = float(word)
        except ValueError:
            value = math.nan
        if math.isnan(value):
            raise UsageError(f"{about} '{word[:40]}' is not a number")
        if math.isinf(value) and not infinite:
            raise UsageError(f"{about} '{word[:40]}' is not a finite number")
        numbers.append(value)
    return numbers


_CIRCLE_TAKES = "three numbers 'ra dec radius' in degrees"
_POLYGON_TAKES = "three or more pairs 'ra dec' in degrees"
_RANGE_TAKES = "four numbers 'ra_min ra_max dec_min dec_max' in degrees"


def parse_circle(text: str, name: str = "CIRCLE") -> Circle:
    """Read ``ra dec radius`` in degrees (DALI 1.1 section 3.3.6)."""
    numbers = parse_numbers(text, name, takes=_CIRCLE_TAKES)
    if len(numbers) != 3:
        raise UsageError(f"{name} takes {_CIRCLE_TAKES}")
    try:
        return Circle(*numbers)
    except UsageError as error:
        raise UsageError(f"{name}: {error.message}") from None


def parse_polygon(text: str, name: str = "POLYGON") -> Polygon:
    """Read ``ra1 dec1 ra2 dec2 ra3 dec3 ...`` in degrees (DALI 1.1 section 3.3.7)."""
    numbers = parse_numbers(text, name, takes=_POLYGON_TAKES)
    if len(numbers) < 6 or len(numbers) % 2:
        raise UsageError(f"{name} takes {_POLYGON_TAKES}")
    try:
        return Polygon(tuple(zip(numbers[::2], numbers[1::2], strict=True)))
    except UsageError as error:
        raise UsageError(f"{name}: {error.message}") from None


def _parse_range(text: str, name: str) -> Range:
    numbers = parse_numbers(text, name, infinite=True, takes=_RANGE_TAKES)
    if len(numbers) != 4:
        raise UsageError(f"{name} takes {_RANGE_TAKES}")
    ra_min, ra_max, dec_min, dec_max = numbers
    if math.inf in (ra_min, dec_min) or -math.inf in (ra_max, dec_max):
        raise UsageError(f"{name}: -Inf is a lower end and +Inf an upper one")
    if math.isinf(ra_min) or math.isinf(ra_max):
        ra_min, ra_max = (
            (0.0 if math.isinf(ra_min) else ra_min),
            (360.0 if math.isinf(ra_max) else ra_max),
        )
    dec_min = max(dec_min, -90.0) if math.isinf(dec_min) else dec_min
    dec_max = min(dec_max, 90.0) if math.isinf(dec_max) else dec_max
    try:
        return Range(ra_min, ra_max, dec_min, dec_max)
    except UsageError as error:
        raise UsageError(f"{name}: {error.message}") from None


def parse_pos(text: str, name: str = "POS") -> Region:
    """Read ``CIRCLE ...``, ``RANGE ...`` or ``POLYGON ...`` (SODA 1.0 section 3.3.1)."""
    shape, numbers = [*text.split(None, 1), "", ""][:2]
    match shape.upper():
        case "CIRCLE":
            return parse_circle(numbers, f"{name}=CIRCLE")
        case "POLYGON":
            return parse_polygon(numbers, f"{name}=POLYGON")
        case "RANGE":
            return _parse_range(numbers, f"{name}=RANGE")
        case _:
            pass
    raise UsageError(f"{name} starts with CIRCLE, RANGE or POLYGON, not '{shape[:40]}'")


_FRAMES = {"ICRS", "J2000", "FK5"}


def parse_shape(text: str, name: str = "region") -> Shape:
    """Read the text form that ``s_region`` uses: ``CIRCLE|POLYGON|POSITION [frame] numbers``.

    The frame word is optional (DALI 1.2 ``shape``; STC-S as ObsCore 1.1 uses it).

    Raises
    ------
    UsageError
        If the shape or its frame is not supported.
    """
    words = text.split()
    if not words:
        raise UsageError(f"{name} is empty")
    shape = words.pop(0).upper()
    while words and words[0][0].isalpha():
        word = words.pop(0).upper()
        if word not in _FRAMES | {
            "UNKNOWNREFPOS",
            "TOPOCENTER",
            "GEOCENTER",
            "BARYCENTER",
            "SPHERICAL2",
        }:
            raise UsageError(f"{name}: frame or flavour '{word[:40]}' is not supported; use ICRS")
    numbers = " ".join(words)
    if shape in {"POSITION", "POINT"}:
        values = parse_numbers(numbers, name)
        if len(values) != 2:
            raise UsageError(f"{name}: {shape} takes two numbers")
        return Point(*values)
    return parse_pos(f"{shape} {numbers}", name)


def _number(value: float) -> str:
    """Write a coordinate with 1e-10 degree resolution and no superfluous zeros."""
    return f"{value:.10f}".rstrip("0").rstrip(".")


def shape_text(shape: Shape) -> str:
    """Write a shape as ``POLYGON ICRS ra dec ...`` (the form that Firefly, Aladin, TOPCAT read).

    A `Range` is written as a DALI 1.2 ``RANGE``.
    """
    match shape:
        case Point(ra, dec):
            return f"POSITION ICRS {_number(ra)} {_number(dec)}"
        case Circle(ra, dec, radius):
            return f"CIRCLE ICRS {_number(ra)} {_number(dec)} {_number(radius)}"
        case Polygon(vertices):
            return "POLYGON ICRS " + " ".join(_number(v) for vertex in vertices for v in vertex)
        case Range(ra_min, ra_max, dec_min, dec_max):
            return "RANGE " + " ".join(_number(v) for v in (ra_min, ra_max, dec_min, dec_max))


def shape_to_bytes(shape: Shape) -> bytes:
    """Pack a shape for the database: one letter and little-endian doubles."""
    match shape:
        case Point(ra, dec):
            return struct.pack("<c2d", b"p", ra, dec)
        case Circle(ra, dec, radius):
            return struct.pack("<c3d", b"c", ra, dec, radius)
        case Polygon(vertices):
            flat = [value for vertex in vertices for value in vertex]
            return struct.pack(f"<c{len(flat)}d", b"y", *flat)
        case Range(ra_min, ra_max, dec_min, dec_max):
            return struct.pack("<c4d", b"r", ra_min, ra_max, dec_min, dec_max)


def shape_from_bytes(data: bytes) -> Shape:
    """Unpack what `shape_to_bytes` packed.

    Raises
    ------
    ValueError
        If the bytes are no packed shape.
    """
    kind, body = data[:1], data[1:]
    if len(body) % 8:
        raise ValueError("not a packed shape")
    numbers = struct.unpack(f"<{len(body) // 8}d", body)
    match kind:
        case b"p":
            return Point(*numbers)
        case b"c":
            return Circle(*numbers)
        case b"y":
            return Polygon(tuple(zip(numbers[::2], numbers[1::2], strict=True)))
        case b"r":
            return Range(*numbers)
        case _:
            pass
    raise ValueError("not a packed shape")


def region_from_bytes(data: bytes | None) -> Region | None:
    """Unpack a footprint; None for nothing, and for a position alone, which covers nothing.

    Raises
    ------
    ValueError
        As `shape_from_bytes`.
    """
    shape = None if data is None else shape_from_bytes(data)
    return None if isinstance(shape, Point) else shape
