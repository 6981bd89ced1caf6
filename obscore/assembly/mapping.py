"""The declarative mapping: from a rule of the settings to a column's value."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import PurePosixPath

from obscore.assembly.context import Subject
from obscore.assembly.extra import fitting, truth
from obscore.assembly.rules import PlacedRule, Rules
from obscore.assembly.time import possible_mjd, time_scale
from obscore.assembly.trace import Look
from obscore.assembly.units import conversion
from obscore.columns import COLUMN_NAMES, COLUMNS
from obscore.mapping.dates import read_moment
from obscore.mapping.expressions import ExpressionError, Scalar, evaluate, parse
from obscore.mapping.rules import FILE_FACTS, OTHERS, RESERVED, TIMES, ColumnRule
from obscore.mapping.values import as_number, plain
from obscore.observation import Value
from obscore.sources.base import Facts
from vodal.filetypes import stem_of
from vodal.fits.timescale import to_utc
from vodal.tables.columns import Column

__all__ = ["apply_mapping", "rules_by_name"]

_BY_SOURCE = "the source's column of this name"
_PLAIN = {name: float if item.column.datatype == "double" else int for name, item in
          ((one.name, one) for one in COLUMNS) if item.column.datatype != "char"}  # fmt: skip
_CORE = frozenset(COLUMN_NAMES)
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


@lru_cache(maxsize=4096)
def _by_name(name: str) -> ColumnRule:
    return ColumnRule(fact=(name,))


def rules_by_name(facts: Facts, rules: Rules) -> dict[str, ColumnRule]:
    """Give the rules by which a fact with the name of a column is the column's value."""
    columns = rules.columns
    return {name: _by_name(name) for name in facts if name in columns and name not in RESERVED}


def apply_mapping(context: Subject, mapping: Mapping[str, PlacedRule]) -> dict[str, Value]:
    """Give the columns that rules set for this product.

    Facts that are named as a column are its value, where no rule gives another or the rule finds
    nothing. A value that does not fit its column is left out, with a note.

    Parameters
    ----------
    context
        The product.
    mapping
        The rules of the settings for its file, by column.
    """
    row: dict[str, Value] = {}
    facts, units = context.facts, context.candidate.units
    by_name = rules_by_name(facts, context.rules)
    for name in {**by_name, **mapping}:
        placed = mapping.get(name)
        if placed is None and context.trace is None and name not in units:
            value = facts[name]
            if type(value) is _PLAIN.get(name) and (type(value) is int or math.isfinite(value)):
                # The other way comes to the same for a number that is what its column wants.
                row[name] = value
                continue
        named = by_name.get(name)
        for one in (placed, None if named is None else PlacedRule(named, _BY_SOURCE)):
            found = None if one is None else _traced(context, name, one)
            if found is not None:
                row[name] = found
                break
    return row


def _apply(context: Subject, name: str, rule: ColumnRule) -> Value:
    item = context.rules.columns[name].column
    found = _convert(context, item, rule, _find(context, name, rule))
    if found is None and rule.default is not None:
        context.used(how="the default")
        found = _typed(item, rule.default)
    if found is None or name in _CORE:
        return found
    value, fault = fitting(found, item)
    if fault:
        context.note(f"mapping of {name}: {fault}")
    return value


def _traced(context: Subject, name: str, placed: PlacedRule) -> Value:
    """Apply a rule, and note where it stands if that is asked for."""
    if context.trace is None:
        return _apply(context, name, placed.rule)
    context.trace.places[name] = placed.place
    with context.trace.of(name, phase="rule"):
        return _apply(context, name, placed.rule)


def _find(context: Subject, name: str, rule: ColumnRule) -> object:
    """Give what the rule's source says, before any conversion."""
    found: object = rule.value
    if rule.keyword is not None:
        card = context.cards.card(*rule.keyword)
        found = None if card is None else card[0]
    elif rule.fact is not None:
        found = _fact(context, *rule.fact)
    elif rule.template is not None:
        found = _fill(context, rule.template)
        context.say(f"the template '{rule.template}'")
    elif rule.expr is not None:
        context.say(rule.expr)
        try:
            found = evaluate(parse(rule.expr), lambda named: _named(context, named))
        except ExpressionError as error:
            context.note(f"mapping of {name}: {error}")
            return None
    elif rule.match is not None:
        match = re.search(rule.match, context.candidate.relative)
        found = None if match is None else match.group(1 if match.re.groups else 0)
        context.say(f"'{rule.match}' in the path")
    else:
        context.say("a constant")
    if rule.table is not None and found is not None:
        key, found = found, _looked_up(rule.table, found)
        made = "is not in the table" if found is None else f"in the table: {plain(found)}"
        context.say(f"'{plain(key)}' {made}")
    return found


def _looked_up(table: dict[str, Scalar], found: object) -> Scalar | None:
    """Replace a value by that of a table; numbers are the same however they are written."""
    text = plain(found)
    if text in table:
        return table[text]
    number = as_number(found)
    if number is not None:
        for key, value in table.items():
            if as_number(key) == number:
                return value
    return table.get(OTHERS)


def _fact(context: Subject, *names: str) -> Scalar | None:
    """Give the first of what the source tells that has a value."""
    name = _told_name(context, names)
    return None if name is None else context.facts[name]


def _told_name(context: Subject, names: Iterable[str]) -> str | None:
    facts = context.facts
    for name in names:
        value = facts.get(name)
        if value is not None and value != "" and value == value:  # noqa: PLR0124 - NaN is no value
            if context.trace is not None:
                context.trace.found(Look(f"fact:{name}", "the source", value))
            return name
        if context.trace is not None:
            context.trace.missed(f"fact:{name}")
    return None


def _named(context: Subject, name: str) -> Scalar | None:
    """Give what stands in braces: a fact of the source or of the file, or a card."""
    if name.startswith("fact:"):
        return _fact(context, name.removeprefix("fact:"))
    if name in FILE_FACTS:
        return _of_file(context, name)
    card = context.cards.card(name)
    return None if card is None else card[0]


def _of_file(context: Subject, name: str) -> str:
    path = PurePosixPath(context.candidate.relative)
    match name:
        case "path":
            return str(path)
        case "folder":
            return "" if str(path.parent) == "." else str(path.parent)
        case "name":
            return path.name
        case "stem":
            return stem_of(path.name)
        case "collection":
            return context.candidate.collection
        case _:
            return context.label


def _fill(context: Subject, template: str) -> str | None:
    parts: dict[str, str] = {}
    for name in _PLACEHOLDER.findall(template):
        value = _named(context, name)
        if value is None:
            return None
        parts[name] = plain(value) if name.startswith("fact:") else " ".join(str(value).split())
    return _PLACEHOLDER.sub(lambda match: parts[match.group(1)], template).strip() or None


def _convert(context: Subject, item: Column, rule: ColumnRule, found: object) -> Value:
    """Bring what was found to the column's type and unit."""
    name = item.name
    if found is None:
        return None
    if item.datatype == "char":
        return " ".join(plain(found).split()) or None
    if item.datatype == "boolean":
        value = truth(found)
        if value is None:
            context.note(f"mapping of {name}: '{str(found)[:40]}' is neither true nor false")
        return value
    if name in TIMES and isinstance(found, str) and as_number(found) is None:
        moment = read_moment(found)
        if moment is None:
            context.note(f"mapping of {name}: '{found[:40]}' is no date")
            return None
        return _in_utc(context, name, rule, moment)
    number = as_number(found)
    if number is None:
        context.note(f"mapping of {name}: '{str(found)[:40]}' is no number")
        return None
    number = _scaled(context, item, rule, number)
    if number is None:
        return None
    if not math.isfinite(number):
        context.note(f"mapping of {name}: '{plain(found)[:40]}' becomes no finite number")
        return None
    return _in_utc(context, name, rule, number) if name in TIMES else _typed(item, number)


def _scaled(context: Subject, item: Column, rule: ColumnRule, number: float) -> float | None:
    """Bring a number to the column's unit; None if that cannot be."""
    name = item.name
    number = number * (1.0 if rule.factor is None else rule.factor) + (rule.offset or 0.0)
    if rule.factor is not None or rule.offset is not None:
        context.say(f"by factor and offset: {number:.10g}")
    unit = rule.unit or _declared_unit(context, rule)
    if not unit:
        return number
    context.say(f"{number:.10g} {unit}")
    try:
        return conversion(unit, item.unit or "", spectral=name in {"em_min", "em_max"})(number)
    except (ValueError, ZeroDivisionError):
        context.note(f"mapping of {name}: {number:g} {unit} cannot be converted")
        return None


def _in_utc(context: Subject, name: str, rule: ColumnRule, mjd: float) -> float | None:
    """Bring an MJD from the rule's time scale to UTC."""
    if rule.scale in {None, "utc"}:
        return mjd
    context.say(f"MJD {mjd:.10g} in {rule.scale}")
    if not possible_mjd(mjd):
        context.note(f"mapping of {name}: MJD {mjd:g} is outside 1850 to 2100")
        return None
    return to_utc(mjd, time_scale(context) if rule.scale == "timesys" else str(rule.scale))


def _declared_unit(context: Subject, rule: ColumnRule) -> str | None:
    """Give the unit of a number as its source declares it; a rule that scales it knows better."""
    if rule.fact is None or rule.table is not None or (rule.factor, rule.offset) != (None, None):
        return None
    name = _told_name(context, rule.fact)
    return None if name is None else context.candidate.units.get(name)


def _typed(item: Column, value: object) -> Value:
    """Give a checked constant or a number in the column's type."""
    datatype = item.datatype
    if datatype == "boolean":
        return truth(value)
    if datatype == "char" or isinstance(value, str):
        return str(value) if datatype == "char" else read_moment(str(value))
    number = as_number(value)
    if number is None:
        return None
    return round(number) if datatype in {"short", "int", "long"} else number
