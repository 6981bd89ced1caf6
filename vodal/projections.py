"""Names of projections and frames that images can be asked for in."""

from __future__ import annotations

from typing import Final, Literal

__all__ = ["CYLINDRICAL", "ZENITHAL", "GridFrame"]

GridFrame = Literal["icrs", "galactic"]

ZENITHAL: Final = ("TAN", "SIN", "ZEA", "ARC", "STG")
"""Projections of FITS paper II whose reference point may be any place."""
CYLINDRICAL: Final = ("CAR", "CEA", "MER", "SFL", "AIT", "MOL")
"""Those whose reference point is on the equator; MER, SFL, AIT and MOL are of kindred kinds."""
