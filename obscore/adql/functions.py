"""The functions of ADQL that compute with numbers and texts, as data."""

from __future__ import annotations

from dataclasses import dataclass

from obscore.adql.types import Kind

__all__ = ["FUNCTIONS", "GEOMETRY_FUNCTIONS", "VOLATILE", "Signature"]

_N = Kind.REAL
_T = Kind.TEXT


@dataclass(frozen=True, slots=True)
class Signature:
    """What a function takes and gives."""

    parameters: tuple[Kind, ...]
    """``REAL`` stands for any number."""
    result: Kind | None
    """None: as the first argument."""
    optional: int = 0
    """How many of the last parameters can be left out."""
    keeps_unit: bool = False
    unit: str | None = None

    @property
    def arity(self) -> str:
        """How many arguments it takes, in words."""
        most = len(self.parameters)
        words = f"{most - self.optional} or {most}" if self.optional else str(most)
        return f"{words} argument{'' if words == '1' else 's'}"


FUNCTIONS: dict[str, Signature] = {
    "ABS": Signature((_N,), None, keeps_unit=True),
    "CEILING": Signature((_N,), _N, keeps_unit=True),
    "DEGREES": Signature((_N,), _N, unit="deg"),
    "EXP": Signature((_N,), _N),
    "FLOOR": Signature((_N,), _N, keeps_unit=True),
    "LOG": Signature((_N,), _N),
    "LOG10": Signature((_N,), _N),
    "MOD": Signature((_N, _N), None, keeps_unit=True),
    "PI": Signature((), _N),
    "POWER": Signature((_N, _N), _N),
    "RADIANS": Signature((_N,), _N, unit="rad"),
    "RAND": Signature((_N,), _N, optional=1),
    "ROUND": Signature((_N, Kind.INTEGER), _N, optional=1, keeps_unit=True),
    "SQRT": Signature((_N,), _N),
    "TRUNCATE": Signature((_N, Kind.INTEGER), _N, optional=1, keeps_unit=True),
    "ACOS": Signature((_N,), _N, unit="rad"),
    "ASIN": Signature((_N,), _N, unit="rad"),
    "ATAN": Signature((_N,), _N, unit="rad"),
    "ATAN2": Signature((_N, _N), _N, unit="rad"),
    "COS": Signature((_N,), _N),
    "COT": Signature((_N,), _N),
    "SIN": Signature((_N,), _N),
    "TAN": Signature((_N,), _N),
    "LOWER": Signature((_T,), _T),
    "UPPER": Signature((_T,), _T),
}
"""ADQL 2.1 sections 2.3 (mathematical and trigonometrical) and 4.4 (strings)."""

GEOMETRY_FUNCTIONS = frozenset(
    {
        "AREA",
        "BOX",
        "CENTROID",
        "CIRCLE",
        "CONTAINS",
        "COORD1",
        "COORD2",
        "COORDSYS",
        "DISTANCE",
        "INTERSECTS",
        "POINT",
        "POLYGON",
        "REGION",
    }
)
"""ADQL 2.1 section 4.2; `obscore.adql.geometry` checks them."""

VOLATILE = frozenset({"RAND", "IVO_NORMAL_RANDOM"})
"""Functions that give another value each time."""
