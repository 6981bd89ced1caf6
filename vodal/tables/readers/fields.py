"""FIELDs of a VOTable: what they declare of their cells (VOTable 1.4 sections 2 and 4.1)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from vodal.errors import UsageError
from vodal.tables.columns import Column
from vodal.tables.frames import Frame, SpaceFrame, TimeFrame
from vodal.tables.readers.limits import ReadLimits, over

__all__ = ["ITEM_BYTES", "Field", "make_field", "make_frame"]

ITEM_BYTES = {
    "boolean": 1,
    "bit": 1,
    "unsignedByte": 1,
    "short": 2,
    "int": 4,
    "long": 8,
    "float": 4,
    "double": 8,
    "char": 1,
    "unicodeChar": 2,
    "floatComplex": 8,
    "doubleComplex": 16,
}
"""Bytes of one item in BINARY; eight bits share a byte."""

_SYSTEMS = {
    "ICRS": "ICRS",
    "FK4": "eq_FK4",
    "FK5": "eq_FK5",
    "GALACTIC": "galactic",
    "SUPER_GALACTIC": "supergalactic",
    "ECLIPTIC": "ecl_FK5",
    "ecl_FK4": "ecl_FK4",
    "barycentric": "barycentric",
    "geo_app": "geo_app",
}
"""The systems of VOTable 1.4, by their names there or, where it has them, in VOTable 1.5."""

_YEAR = re.compile(r"[JB]?[0-9]{1,6}(?:\.[0-9]{0,9})?")
_ORIGIN = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,12})?|MJD-origin|JD-origin")
_TERM = re.compile(r"[A-Za-z_]{1,40}")

_INTEGERS = {"unsignedByte", "short", "int", "long"}
_ARRAYSIZE = re.compile(r"(?:[0-9]{1,12}x)*(?:[0-9]{1,12}\*?|\*)")


@dataclass(frozen=True, slots=True)
class Field:
    """A column and how its cells are written."""

    column: Column
    items: int | None
    """Of a cell: 1 for a scalar; None if their number goes before each cell."""
    null: int | None = None
    """The whole number that stands for a missing one."""

    @property
    def datatype(self) -> str:
        """Of the column."""
        return self.column.datatype

    @property
    def item_bytes(self) -> int:
        """Bytes of one item in BINARY."""
        return ITEM_BYTES[self.column.datatype]

    def bytes_of(self, items: int) -> int:
        """Give the bytes that so many items take in BINARY."""
        if self.column.datatype == "bit":
            return (items + 7) // 8
        return items * ITEM_BYTES[self.column.datatype]


def make_field(
    attributes: Mapping[str, str],
    null: str | None,
    about: str | None,
    limits: ReadLimits,
    frame: Frame | None = None,
) -> Field:
    """Read a FIELD.

    Parameters
    ----------
    attributes
        Of the element.
    null
        Of its VALUES, as written.
    about
        Text of its DESCRIPTION.
    limits
        A cell of a fixed size must keep to ``max_cell_bytes``.
    frame
        That its ``ref`` names.

    Raises
    ------
    UsageError
        If datatype or arraysize are not VOTable's.
    TooLargeError
        If a cell would be over the limit.
    """

    def given(name: str) -> str | None:
        return attributes.get(name, "").strip() or None

    name = given("name") or given("ID") or ""
    datatype = given("datatype") or ""
    if datatype not in ITEM_BYTES:
        raise UsageError(
            f"the FIELD '{name[:80]}' has the datatype '{datatype[:40]}'; VOTable has"
            f" {', '.join(ITEM_BYTES)}"
        )
    arraysize, items = _sizes(name, datatype, given("arraysize"), limits)
    column = Column(
        name,
        datatype,
        arraysize,
        unit=given("unit"),
        ucd=given("ucd"),
        utype=given("utype"),
        xtype=given("xtype"),
        description=about or None,
        frame=frame,
    )
    return Field(column, items, _null_of(name, datatype, null))


def make_frame(element: str, attributes: Mapping[str, str]) -> Frame | None:
    """Read a COOSYS or TIMESYS; None if it says nothing that VOTable knows.

    Parameters
    ----------
    element
        Its name.
    attributes
        Of the element.
    """

    def given(name: str, form: re.Pattern[str]) -> str | None:
        text = attributes.get(name, "").strip()
        return text if form.fullmatch(text) else None

    if element == "COOSYS":
        system = attributes.get("system", "").strip()
        system = _SYSTEMS.get(system, system)
        if system in _SYSTEMS.values():
            return SpaceFrame(system, given("equinox", _YEAR), given("epoch", _YEAR))
    else:
        scale, place = given("timescale", _TERM), given("refposition", _TERM)
        if scale is not None and place is not None:
            return TimeFrame(scale, place, given("timeorigin", _ORIGIN))
    return None


def _sizes(
    name: str, datatype: str, arraysize: str | None, limits: ReadLimits
) -> tuple[str | None, int | None]:
    """Give the arraysize that the column keeps, and the items of a cell."""
    if arraysize is None:
        return None, 1
    if not _ARRAYSIZE.fullmatch(arraysize):
        raise UsageError(
            f"the FIELD '{name[:80]}' has the arraysize '{arraysize[:40]}'; it is written like"
            " 3, 2x3, *, 10* or 2x*"
        )
    if arraysize.endswith("*"):
        inner = arraysize.rstrip("*").rstrip("x")
        # An array of arrays without length has no length in any of its places.
        if inner and not math.prod(int(part) for part in inner.split("x")):
            return "*", None
        return arraysize, None
    items = math.prod(int(part) for part in arraysize.split("x"))
    if items * ITEM_BYTES[datatype] > limits.max_cell_bytes:
        raise over(f"in '{name[:80]}' a longer cell", "max_cell_bytes", limits.max_cell_bytes)
    if items == 0:
        return "*", 0
    if items == 1:
        # An array of one is a scalar; the "1" is deprecated (VOTable 1.3 Erratum 3).
        return None, 1
    return arraysize, items


def _null_of(name: str, datatype: str, null: str | None) -> int | None:
    if null is None or datatype not in _INTEGERS or not null.strip():
        return None
    text = null.strip()
    try:
        return int(text, 16) if text.lower().startswith("0x") else int(text)
    except ValueError:
        raise UsageError(
            f"the FIELD '{name[:80]}' has the null value '{text[:40]}', which is no whole number"
        ) from None
