"""Which of the shards one of several builders makes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from hips.plan import Plan, Shard
from vodal.errors import UsageError

__all__ = ["Cell", "Part", "Share", "no_shards"]

Share = Callable[[Plan], Sequence[Shard]]
"""Chooses some of a plan's shards, in their order."""


def no_shards(plan: Plan) -> Sequence[Shard]:
    """Choose none: the builder only decides what is to be done."""
    return plan.shards[:0]


@dataclass(frozen=True, slots=True)
class Part:
    """One of several shares of the shards."""

    number: int
    """From 1 on."""
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``2/8``: the second of eight.

        Raises
        ------
        UsageError
            If it is something else.
        """
        match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise UsageError(f"'{text}' is no share; 1/8 is the first of eight, 8/8 the last")
        return cls(int(match[1]), int(match[2]))

    def of(self, total: int) -> slice:
        """Give which of a number of things are in it: a run, since neighbours share images."""
        return slice(total * (self.number - 1) // self.count, total * self.number // self.count)

    def __call__(self, plan: Plan) -> Sequence[Shard]:
        """Choose its shards."""
        return plan.shards[self.of(len(plan.shards))]


@dataclass(frozen=True, slots=True)
class Cell:
    """The shards in a HEALPix cell."""

    order: int
    npix: int
    """NESTED."""

    def __call__(self, plan: Plan) -> Sequence[Shard]:
        """Choose them.

        Raises
        ------
        UsageError
            If the plan's shards are larger than the cell.
        """
        assert plan.recipe is not None
        finer = plan.recipe.top - self.order
        if finer < 0:
            depth = plan.recipe.order
            raise UsageError(
                f"shards of order {plan.recipe.top} are larger than cells of order {self.order}; "
                f"take cells of order {plan.recipe.top}, or hips.order_shard = "
                f"{max(1, depth - self.order)}"
            )
        return [shard for shard in plan.shards if shard.npix >> 2 * finer == self.npix]
