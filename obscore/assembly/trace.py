"""What rules and steps look at, column by column, written down where it is looked at.

Only made for an explanation (`obscore.assembly.explain`): in a run there is no trace, and nothing
is written. Cards and facts write down each look by themselves, so that no step can tell of a card
that it did not read; a step says which column it works on (`Context.of`), and which of what it
looked at gave the value where that is not all (`Context.used`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from obscore.assembly.refusal import Refusal
from obscore.mapping.expressions import Scalar
from obscore.observation import Value

__all__ = ["MAPPING", "Look", "Looks", "Phase", "Trace"]

MAPPING = "the mapping"
"""Where a look is at a column that the mapping has set."""

Phase = Literal["rule", "step"]
"""A rule of the mapping, or a step of the assembly line."""


@dataclass(frozen=True, slots=True)
class Look:
    """A card, a fact of the source or a mapped column that has a value."""

    name: str
    """Keyword, ``fact:NAME`` or column."""
    where: str
    """Such as ``HDU 1``, or `MAPPING`."""
    value: Scalar
    comment: str = ""

    @property
    def unit(self) -> str:
        """The unit that the comment names in brackets (FITS 4.0 section 4.3.2); may be empty."""
        match = re.match(r"\s*\[([^\]]*)\]", self.comment)
        return match[1].strip() if match else ""


@dataclass
class Looks:
    """What was looked at for a column."""

    found: dict[tuple[str, str], Look] = field(default_factory=dict)
    """By name and place, in the order in which it was looked at."""
    missing: dict[str, None] = field(default_factory=dict)
    """Names without a value."""
    chosen: dict[str, None] | None = None
    """Names that gave the value; None if all that was found did."""
    how: dict[str, None] = field(default_factory=dict)
    """How the value was made, in a few words."""

    @property
    def sources(self) -> tuple[Look, ...]:
        """What gave the value."""
        return tuple(
            look
            for look in self.found.values()
            if self.chosen is None or look.name in self.chosen or look.where == MAPPING
        )


class Trace:
    """What became of one product, and why.

    Parameters
    ----------
    label
        Of the product.
    """

    def __init__(self, label: str) -> None:
        self.label = label
        self.row: dict[str, Value] = {}
        """The row as far as it was made."""
        self.given: dict[str, Value] = {}
        """What the mapping gave."""
        self.places: dict[str, str] = {}
        """Where the rules of columns stand."""
        self.notes: list[str] = []
        self.refusal: Refusal | None = None
        self.astray: list[str] = []
        """Looks outside of any column, and names that are said to give a value and were not
        looked at: faults of a step."""
        self._looks: dict[tuple[Phase, str], Looks] = {}
        self._phase: Phase = "step"
        self._columns: tuple[str, ...] = ()

    def looks(self, phase: Phase, column: str) -> Looks:
        """Give what was looked at for a column."""
        return self._looks.setdefault((phase, column), Looks())

    @contextmanager
    def of(self, *columns: str, phase: Phase = "step") -> Iterator[None]:
        """Write all looks within the block down for these columns."""
        before = self._phase, self._columns
        self._phase, self._columns = phase, columns
        try:
            yield
        finally:
            self._phase, self._columns = before

    def found(self, look: Look) -> None:
        """Write a look down."""
        for looks in self._open(look.name):
            looks.found.setdefault((look.name, look.where), look)

    def missed(self, name: str) -> None:
        """Write down that a name has no value."""
        for looks in self._open(name):
            looks.missing.setdefault(name)

    def used(self, names: tuple[str, ...], how: str, *, also: bool) -> None:
        """Say which of the names that were looked at give the value."""
        for looks in self._open(how):
            known = {name for name, _ in looks.found}
            if looks.chosen is None or not also:
                looks.chosen = {}
                if not also:
                    looks.how.clear()
            for name in names:
                if name in known:
                    looks.chosen[name] = None
                elif name not in looks.missing:
                    self.astray.append(f"{name} was not looked at for {self._columns}")
            if how:
                looks.how[how] = None

    def say(self, how: str) -> None:
        """Say how the value is made of what was looked at."""
        for looks in self._open(how):
            looks.how[how] = None

    def _open(self, what: str) -> list[Looks]:
        if not self._columns:
            self.astray.append(f"{what} is of no column")
        return [self.looks(self._phase, column) for column in self._columns]
