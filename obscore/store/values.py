"""Values of columns as the databases take them."""

from __future__ import annotations

import math
from collections.abc import Collection

from obscore.columns import ObsCoreColumn
from obscore.observation import Value
from vodal.errors import UsageError

__all__ = [
    "KINDS",
    "LARGEST",
    "LONGEST_KEY_BYTES",
    "are_sound_texts",
    "checked_value",
    "clean_text",
    "is_sound",
]

KINDS = {"double": float, "char": str}
"""Types of values that need no conversion, by the datatype of a column; int of the others."""

LARGEST = {"boolean": 1, "short": 2**15 - 1, "int": 2**31 - 1, "long": 2**63 - 1}
"""Of the integer types, as VOTable and the databases have them."""


LONGEST_KEY_BYTES = 2600
"""Of a text in an index: PostgreSQL refuses some of more than 2,700 bytes."""


def clean_text(value: object) -> str:
    """Give text that every database holds: names of files may carry bytes that are no UTF-8.

    PostgreSQL also refuses the character of code 0, which no FITS header may have.
    """
    text = str(value)
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("utf-8")
    return text.replace("\0", "?") if "\0" in text else text


def is_sound(value: Value, kind: type) -> bool:
    """Tell quickly, for most values, that one can be written as it is."""
    if kind is float:
        return type(value) is float and value == value  # noqa: PLR0124 - NaN is none
    return (
        type(value) is str is kind
        and len(value) <= LONGEST_KEY_BYTES
        and value.isascii()
        and "\0" not in value
    )


def are_sound_texts(texts: Collection[str]) -> bool:
    """Tell quickly, for most texts, that `is_sound` holds for all."""
    text = "".join(texts)
    longest = max(map(len, texts), default=0)
    return longest <= LONGEST_KEY_BYTES and text.isascii() and "\0" not in text


def checked_value(value: Value, item: ObsCoreColumn, uri: str) -> Value:
    """Give a value as its column takes it.

    Raises
    ------
    UsageError
        If it takes it in no way.
    """
    try:
        value = _coerced(value, item.column.datatype)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{item.name} of a product of {uri} is no {item.column.datatype}"
        ) from None
    if value is None and not (item.nullable or item.by_store):
        raise UsageError(f"{item.name} is missing for a product of {uri}")
    if item.indexed and isinstance(value, str) and len(value.encode("utf-8")) > LONGEST_KEY_BYTES:
        raise UsageError(
            f"{item.name} of a product of {uri} is longer than {LONGEST_KEY_BYTES}"
            " bytes, more than an index takes"
        )
    return value


def _coerced(value: Value, datatype: str) -> Value:
    """Give a value in the exact type of its column; numpy's scalars and NaN are not kept.

    Raises
    ------
    ValueError, OverflowError
        If the column cannot hold it.
    """
    if value is None:
        return None
    match datatype:
        case "boolean" | "short" | "int" | "long":
            whole = int(value)
            if abs(whole) > LARGEST[datatype]:
                raise OverflowError(datatype)
            return whole
        case "float" | "double":
            number = float(value)
            return None if math.isnan(number) else number
        case _:
            return clean_text(value)
