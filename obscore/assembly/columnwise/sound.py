"""Which rows clearly keep the rules of `obscore.assembly.check`; the others go to the slow twin."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from obscore.assembly.check import COUNTS, NEEDED, NOT_NEGATIVE, ORDERED, TEXT_RULES
from obscore.assembly.columnwise.block import Block
from obscore.assembly.doubts import LONGEST_M, NOT_ZERO, SHORTEST_M, is_known_ucd

__all__ = ["is_doubtful", "leave_unsound"]

_SOME_S = 1.0
"""So much longer than from start to end an exposure may be without a doubt."""


def leave_unsound(block: Block) -> None:
    """Leave the rows that may break a rule; the position is held against the footprint apart."""
    for name, column in block.columns.items():
        datatype = block.rules.columns[name].column.datatype
        if datatype in {"float", "double"}:
            block.leave(np.isinf(block.number(name)))
        elif datatype == "char":
            odd = {word for word in set(column) if word is not None and not _is_printable(word)}
            if odd:
                block.leave(np.array([word in odd for word in column]))
        elif any(value is not None and abs(value) >= 2**63 for value in column):  # type: ignore[arg-type]
            block.is_plain[:] = False
    for name in NEEDED:
        block.leave(np.array([value is None or value == "" for value in block.column(name)]))
    for low, high in ORDERED:
        block.leave(block.number(low) > block.number(high))
    for name in NOT_NEGATIVE:
        block.leave(block.number(name) < 0.0)
    for name in COUNTS:
        counts = block.number(name)
        block.leave((counts < 1) & (counts != -1))
    ra, dec = block.number("s_ra"), block.number("s_dec")
    is_nowhere = np.isnan(ra) & np.isnan(dec)
    is_somewhere = (ra >= 0.0) & (ra < 360.0) & (dec >= -90.0) & (dec <= 90.0)
    block.leave(~(is_nowhere | is_somewhere))
    block.leave(block.number("s_fov") > 360.0)
    _leave_texts(block)


def _is_printable(word: object) -> bool:
    return isinstance(word, str) and word.isprintable()


def _leave_texts(block: Block) -> None:
    """Hold texts against their rules, each combination of values once."""
    for names, rules in TEXT_RULES:
        cells = list(zip(*(block.column(name) for name in names), strict=True))
        odd = set()
        for key in set(cells):
            row = dict(zip(names, key, strict=True))
            if any(rule(row, None) is not None for rule in rules):
                odd.add(key)
        if odd:
            block.leave(np.array([key in odd for key in cells]))


def is_doubtful(block: Block) -> NDArray[np.bool_]:
    """Tell of which rows `obscore.assembly.doubts` may have something to say."""
    found = np.zeros(len(block), np.bool_)
    for name in NOT_ZERO:
        found |= block.number(name) == 0.0
    for name in ("em_min", "em_max"):
        value = block.number(name)
        found |= (value < SHORTEST_M) | (value > LONGEST_M)
    start, end, exposure_s = (block.number(name) for name in ("t_min", "t_max", "t_exptime"))
    found |= (start == end) | (exposure_s > (end - start) * 86400.0 + _SOME_S)
    ucds = block.column("o_ucd")
    odd = {ucd for ucd in set(ucds) if isinstance(ucd, str) and not is_known_ucd(ucd)}
    if odd:
        found |= np.array([ucd in odd for ucd in ucds])
    found |= np.array([value is None for value in block.column("dataproduct_type")])
    return found
