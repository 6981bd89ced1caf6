"""What a check finds: how bad it is, which clause it is about, where, and one sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from typing_extensions import override

__all__ = ["Finding", "Level", "at_most_each", "error", "note", "warning"]

_EACH: Final = 10


class Level(StrEnum):
    """How bad it is."""

    ERROR = "error"
    """A "must" of the standard is broken, or clients will show something wrong or nothing."""
    WARNING = "warning"
    """A "should" is not followed, or a client that is known needs more than the standard asks."""
    NOTE = "note"
    """Worth knowing."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found."""

    level: Level
    clause: str
    """Section of HiPS 1.0, or the name of the client that is concerned."""
    rule: str
    """Name of the rule, which stays the same from version to version."""
    where: str
    """A path below the HiPS's folder."""
    what: str

    @override
    def __str__(self) -> str:
        return f"{self.level} [{self.clause}] {self.where}: {self.what} ({self.rule})"


def error(clause: str, rule: str, where: str, what: str) -> Finding:
    """Make a finding of this level."""
    return Finding(Level.ERROR, clause, rule, where, what)


def warning(clause: str, rule: str, where: str, what: str) -> Finding:
    """Make a finding of this level."""
    return Finding(Level.WARNING, clause, rule, where, what)


def note(clause: str, rule: str, where: str, what: str) -> Finding:
    """Make a finding of this level."""
    return Finding(Level.NOTE, clause, rule, where, what)


def at_most_each(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Pass on the first ten findings of each rule, and say in the end how many more there are."""
    count: Counter[tuple[Level, str]] = Counter()
    last: dict[tuple[Level, str], Finding] = {}
    for finding in findings:
        key = finding.level, finding.rule
        count[key] += 1
        last[key] = finding
        if count[key] <= _EACH:
            yield finding
    for key, number in count.items():
        if number > _EACH:
            one = last[key]
            more = f"and {number - _EACH} more of the kind"
            yield Finding(one.level, one.clause, one.rule, one.where, more)
