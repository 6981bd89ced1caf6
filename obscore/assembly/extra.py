"""The columns that collections have beside those of ObsCore, and values that fit them."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from obscore.columns import ObsCoreColumn
from obscore.observation import Value
from obscore.settings import ObsCoreSettings
from obscore.sources.butler.configuration import configuration_of
from vodal.errors import SettingsError
from vodal.tables.columns import Column

__all__ = [
    "MOST_COLUMNS",
    "DeclaredColumns",
    "columns_of",
    "declared_columns",
    "fitting",
    "truth",
]

_TIMESTAMP = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[T ]([0-9:.]+)Z?)?")
MOST_COLUMNS = 500
"""A table of SQLite has 2,000 columns at most, one of PostgreSQL 1,600, a query's result 1,500."""

_BITS = {"short": 15, "int": 31, "long": 63}
_TRUTHS = {"t": 1, "true": 1, "1": 1, "f": 0, "false": 0, "0": 0}


def columns_of(settings: ObsCoreSettings, collection: str) -> dict[str, ObsCoreColumn]:
    """Give the columns that rows of a collection can have beside those of ObsCore, by name.

    Raises
    ------
    SettingsError
        If its Butler's configuration cannot be read, or is wrong.
    """
    own = settings.collections.get(collection)
    columns: dict[str, ObsCoreColumn] = {}
    if own is not None and own.butler is not None:
        key = f"obscore.collections.{collection}.butler"
        columns |= configuration_of(own.butler, key).columns
    # A site may say more of a column than LSST's configuration does.
    return columns | {name: column.item(name) for name, column in settings.columns.items()}


@dataclass(frozen=True, slots=True)
class DeclaredColumns:
    """The columns that a site adds."""

    columns: tuple[ObsCoreColumn, ...]
    """Those of its settings, then those of its Butlers."""
    faults: Mapping[str, str]
    """By collection, why what it adds is not among them."""


def declared_columns(settings: ObsCoreSettings) -> DeclaredColumns:
    """Give the columns that a site adds.

    A collection whose Butler's configuration cannot be read, or that wants a column of another type
    than one before it, adds none.

    Raises
    ------
    SettingsError
        If there are more than `MOST_COLUMNS`.
    """
    found = {name: column.item(name) for name, column in settings.columns.items()}
    places = dict.fromkeys(found, "[obscore.columns]")
    faults: dict[str, str] = {}
    for collection in settings.collections:
        try:
            columns = columns_of(settings, collection)
            _check_types(collection, columns, found, places)
        except SettingsError as error:
            faults[collection] = error.message
            continue
        for name, item in columns.items():
            found.setdefault(name, item)
            places.setdefault(name, f"the collection {collection}")
    if len(found) > MOST_COLUMNS:
        raise SettingsError(
            f"obscore.columns: the site adds {len(found)} columns to ivoa.obscore, which takes"
            f" {MOST_COLUMNS}"
        )
    return DeclaredColumns(tuple(found.values()), faults)


def _check_types(
    collection: str,
    columns: Mapping[str, ObsCoreColumn],
    found: Mapping[str, ObsCoreColumn],
    places: Mapping[str, str],
) -> None:
    """Hold the columns of a collection to the types that others have given them.

    Raises
    ------
    SettingsError
        If one has another.
    """
    for name, item in columns.items():
        there = found.get(name, item)
        if there.column.datatype != item.column.datatype:
            raise SettingsError(
                f"obscore.collections.{collection}.butler: extra_columns.{name} is"
                f" {item.column.datatype}, and {there.column.datatype} in"
                f" {places[name]}; declare it under [obscore.columns.{name}]"
            )


def truth(found: object) -> Value:
    """Read what is true or false; None if it is neither."""
    if isinstance(found, bool):
        return int(found)
    if isinstance(found, int | float):
        return int(found) if found in {0, 1} else None
    return _TRUTHS.get(str(found).strip().lower())


def fitting(value: Value, column: Column) -> tuple[Value, str]:
    """Give a value as an added column takes it, or None and why it does not.

    The rules of `obscore.assembly.check` are of ObsCore's columns; these are held to theirs here.
    """
    match value:
        case str():
            return _fitting_text(value, column)
        case int() if column.datatype in _BITS:
            if not -(1 << _BITS[column.datatype]) <= value < 1 << _BITS[column.datatype]:
                return None, f"{value} does not fit {column.datatype}"
        case float():
            with np.errstate(over="ignore"):
                number = float(np.float32(value)) if column.datatype == "float" else value
            if not math.isfinite(number):
                return None, f"{value:g} does not fit {column.datatype}"
            return number, ""
        case _:
            pass
    return value, ""


def _fitting_text(text: str, column: Column) -> tuple[Value, str]:
    if not text.isprintable():
        return None, f"{text[:40]!r} holds characters that cannot be printed"
    if column.xtype != "timestamp":
        return text, ""
    # As DALI 1.1 section 3.3.3 has them.
    try:
        sound = bool(_TIMESTAMP.fullmatch(text) and dt.datetime.fromisoformat(text.rstrip("Z")))
    except ValueError:
        sound = False
    return (text, "") if sound else (None, f"'{text[:40]}' is not like 2026-03-04T05:06:07")
