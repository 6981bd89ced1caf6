"""Units that a table declares, held against the columns of ObsCore."""

from __future__ import annotations

from collections.abc import Mapping

from obscore.columns import COLUMNS
from obscore.mapping.rules import RESERVED
from vodal.errors import UsageError

__all__ = ["checked_units"]

_SPELLINGS = {"sec": "s", "secs": "s", "seconds": "s", "days": "d", "degrees": "deg",
              "degree": "deg", "arcseconds": "arcsec", "kB": "kbyte"}  # fmt: skip
_SPECTRAL = {"em_min", "em_max"}


def checked_units(units: Mapping[str, str]) -> dict[str, str]:
    """Give the declared units that astropy knows, by column.

    Raises
    ------
    UsageError
        If a column that has the name of one of ObsCore declares a unit that cannot be converted to
        that column's; names both.
    """
    from obscore.assembly.units import conversion  # noqa: PLC0415 - loads the table of units

    columns = {item.name: item.column for item in COLUMNS if item.name not in RESERVED}
    found = {}
    for name, declared in units.items():
        unit = _SPELLINGS.get(declared.strip(), declared.strip())
        column = columns.get(name)
        if column is None:
            found[name] = unit
            continue
        if column.datatype == "char":
            continue
        try:
            conversion(unit, column.unit or "", spectral=name in _SPECTRAL)
        except ValueError as error:
            raise UsageError(f"the column {name} of the table: {error}") from None
        if unit != (column.unit or ""):
            found[name] = unit
    return found
