"""The declarative mapping: from a rule of the settings to a column's value."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from obscore.assembly.context import Context, as_number
from obscore.assembly.time import read_moment
from obscore.assembly.units import conversion
from obscore.columns import COLUMNS
from obscore.mapping.rules import ColumnRule
from obscore.observation import Value

__all__ = ["apply_mapping"]

_COLUMNS = {item.name: item for item in COLUMNS}
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def apply_mapping(context: Context) -> dict[str, Value]:
    """Give the columns that the settings set for this product.

    A value that does not fit its column is left out, with a note.
    """
    row: dict[str, Value] = {}
    for name, placed in context.rules.mapping_for(context.candidate.relative).items():
        rule = placed.rule
        found = _convert(context, name, rule, _find(context, rule))
        if found is None and rule.default is not None:
            found = _typed(name, rule.default)
        if found is not None:
            row[name] = found
    return row


def _find(context: Context, rule: ColumnRule) -> object:
    """Give what the rule's source says, before any conversion."""
    found: object = rule.value
    if rule.keyword is not None:
        card = context.cards.card(*rule.keyword)
        found = None if card is None else card[0]
    elif rule.fact is not None:
        found = _fact(context, *rule.fact)
    elif rule.template is not None:
        found = _fill(context, rule.template)
    elif rule.match is not None:
        match = re.search(rule.match, context.candidate.relative)
        found = None if match is None else match.group(1 if match.re.groups else 0)
    if rule.table is not None and found is not None:
        found = rule.table.get(_plain(found))
    return found


def _fact(context: Context, *names: str) -> object:
    """Give the first of what the source tells that has a value."""
    for name in names:
        value = context.candidate.facts.get(name)
        if value is not None and value != "" and value == value:  # noqa: PLR0124 - NaN is no value
            return value
    return None


def _fill(context: Context, template: str) -> str | None:
    path = PurePosixPath(context.candidate.relative)
    facts = {
        "path": str(path),
        "folder": "" if str(path.parent) == "." else str(path.parent),
        "name": path.name,
        "stem": stem(path.name),
        "collection": context.candidate.collection,
        "label": context.group.label,
    }
    parts: dict[str, str] = {}
    for name in _PLACEHOLDER.findall(template):
        if name.startswith("fact:"):
            told = _fact(context, name.removeprefix("fact:"))
            text = None if told is None else _plain(told)
        else:
            text = facts[name] if name in facts else context.cards.text(name)
        if text is None:
            return None
        parts[name] = text
    return _PLACEHOLDER.sub(lambda match: parts[match.group(1)], template).strip() or None


def stem(name: str) -> str:
    """Give a file's name without the ends that say how it is written."""
    return re.sub(r"(?i)(\.(fits?|fts))?(\.(fz|gz|bz2|z))?$", "", name) or name


def _plain(value: object) -> str:
    """Write a value as the key of a lookup table."""
    if isinstance(value, float) and value == int(value):
        return str(int(value))
    return str(value)


def _convert(context: Context, name: str, rule: ColumnRule, found: object) -> Value:
    """Bring what was found to the column's type and unit."""
    item = _COLUMNS[name].column
    if found is None:
        return None
    if item.datatype == "char":
        return " ".join(_plain(found).split()) or None
    if name in {"t_min", "t_max"} and isinstance(found, str) and as_number(found) is None:
        moment = read_moment(found)
        if moment is None:
            context.note(f"mapping of {name}: '{found[:40]}' is no date")
        return moment
    number = as_number(found)
    if number is None:
        context.note(f"mapping of {name}: '{str(found)[:40]}' is no number")
        return None
    number = number * (1.0 if rule.factor is None else rule.factor) + (rule.offset or 0.0)
    if rule.unit is not None:
        try:
            number = conversion(rule.unit, item.unit or "", spectral=name in {"em_min", "em_max"})(
                number
            )
        except (ValueError, ZeroDivisionError):
            context.note(f"mapping of {name}: {number:g} {rule.unit} cannot be converted")
            return None
    return _typed(name, number)


def _typed(name: str, value: object) -> Value:
    """Give a checked constant or a number in the column's type."""
    datatype = _COLUMNS[name].column.datatype
    if datatype == "char" or isinstance(value, str):
        return str(value) if datatype == "char" else read_moment(str(value))
    number = as_number(value)
    if number is None:
        return None
    return round(number) if datatype in {"int", "long"} else number
