"""Columns that the mapping sets, cell by cell or all at once.

Each cell that is not plain goes through `obscore.assembly.mapping.apply_mapping`, once for each
combination of the facts that it is made of.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from obscore.assembly.columnwise.block import Block, Column
from obscore.assembly.context import Subject
from obscore.assembly.mapping import apply_mapping, rules_by_name
from obscore.assembly.units import converted
from obscore.columns import COLUMN_NAMES
from obscore.mapping.rules import FILE_FACTS, ColumnRule
from obscore.observation import Value
from obscore.sources.base import Part

__all__ = ["give"]

_CORE = frozenset(COLUMN_NAMES)
_QUICK = frozenset({"char", "long", "double"})
"""Types of added columns that take what is of their kind; of others each value is looked at."""
_BY_PATH = re.compile(rf"\{{({'|'.join(FILE_FACTS)})\}}")


def give(block: Block) -> None:
    """Set the columns that rules give, and those that facts are named as."""
    by_name = rules_by_name(dict.fromkeys(block.facts), block.rules)
    for name in {**by_name, **block.mapping}:
        placed = block.mapping.get(name)
        rule = by_name[name] if placed is None else placed.rule
        found = _plain(block, name, rule, is_last=placed is None or name not in by_name)
        if found is None:
            found = _by_cell(block, name, rule, range(len(block)), [None] * len(block))
        block.columns[name] = found


def _plain(block: Block, name: str, rule: ColumnRule, *, is_last: bool) -> Column | None:
    """Give a column of one fact whose values need little; None if it is none.

    Parameters
    ----------
    is_last
        Whether nothing else gives the column where the rule does not.
    """
    names = rule.fact
    if names is None or len(names) > 1 or names[0] not in block.facts:
        return None
    if rule.table is not None or rule.scale not in {None, "utc"} or rule.default is not None:
        return None
    item = block.rules.columns[name].column
    cells, datatype = block.facts[names[0]], item.datatype
    if name not in _CORE and (datatype not in _QUICK or item.xtype is not None):
        return None
    types = set(map(type, cells)) - {type(None)}
    if datatype == "char":
        if not types <= {str}:
            return None
        words = {cell: _word(cell) for cell in set(cells)}
        found: Column = [words[cell] for cell in cells]
    elif datatype == "double" and types <= {float, int}:
        return _real(block, name, rule, cells, is_last=is_last)
    elif datatype != "double" and types <= {int} and _is_bare(block, rule):
        found = list(cells)
    else:
        return None
    if is_last or None not in found:
        return found
    return _by_cell(block, name, rule, [at for at, cell in enumerate(found) if cell is None], found)


def _word(cell: Value) -> str | None:
    return " ".join(cell.split()) or None if isinstance(cell, str) else None


def _is_bare(block: Block, rule: ColumnRule) -> bool:
    """Tell whether a number is taken as it is."""
    assert rule.fact is not None
    unit = rule.unit or block.units.get(rule.fact[0])
    return (rule.factor, rule.offset, unit) == (None, None, None)


def _real(
    block: Block, name: str, rule: ColumnRule, cells: Column, *, is_last: bool
) -> Column | None:
    """Give a column of numbers, scaled and converted all at once."""
    try:
        numbers = np.array(cells, np.float64)
    except OverflowError:
        return None
    is_there, is_odd = ~np.isnan(numbers), np.isinf(numbers)
    if not _is_bare(block, rule) or block.mapping.get(name) is not None:
        numbers = _scaled(block, name, rule, numbers)
    is_odd |= is_there & ~np.isfinite(numbers)
    if not is_last:
        is_odd |= ~is_there
    found: Column = numbers.tolist()
    for at in np.flatnonzero(~is_there):
        found[at] = None
    return _by_cell(block, name, rule, np.flatnonzero(is_odd).tolist(), found)


def _scaled(
    block: Block, name: str, rule: ColumnRule, numbers: NDArray[np.float64]
) -> NDArray[np.float64]:
    with np.errstate(all="ignore"):
        numbers = numbers * (1.0 if rule.factor is None else rule.factor) + (rule.offset or 0.0)
    unit = rule.unit
    if not unit and (rule.factor, rule.offset) == (None, None):
        assert rule.fact is not None
        unit = block.units.get(rule.fact[0])
    if not unit:
        return numbers
    try:
        spectral = name in {"em_min", "em_max"}
        return converted(
            numbers, unit, block.rules.columns[name].column.unit or "", spectral=spectral
        )
    except ValueError:
        return np.full(len(numbers), math.nan)


def _by_cell(
    block: Block, name: str, rule: ColumnRule, places: Iterable[int], found: Column
) -> Column:
    """Have cells made by the slow twin; rows of which it has to say something are left to it."""
    taken = [one for one in dict.fromkeys((*rule.facts_taken, name)) if one in block.facts]
    text = f"{rule.template or ''}{rule.expr or ''}"
    by_path = rule.match is not None or bool(_BY_PATH.search(text))
    mapping = {name: block.mapping[name]} if name in block.mapping else {}
    known: dict[str, tuple[Value, bool]] = {}
    for at in places:
        facts = {one: block.facts[one][at] for one in taken}
        # Texts tell 1 from 1.0 and from True.
        key = f"{at if by_path else ''}{list(facts.values())!r}"
        if key not in known:
            candidate = block.candidates[at]
            part = replace(candidate.parts[0] if candidate.parts else Part(), facts={})
            candidate = replace(candidate, facts=facts, parts=(part,))
            subject = Subject(candidate=candidate, rules=block.rules, bands=block.bands, part=part)
            try:
                known[key] = apply_mapping(subject, mapping).get(name), not subject.notes
            except Exception:  # noqa: BLE001 - the slow twin says so
                known[key] = None, False
        found[at], is_quiet = known[key]
        block.is_plain[at] &= is_quiet
    return found
