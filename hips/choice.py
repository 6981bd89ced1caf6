"""Which channels of the cubes of a collection become HiPS."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

from vodal.errors import UsageError

__all__ = ["ChannelChoice"]

_RANGE: Final = re.compile(r"(\d{1,9})(?::(\d{1,9}))?")


@dataclass(frozen=True, slots=True)
class ChannelChoice:
    """Some channels, by number."""

    ranges: tuple[tuple[int, int], ...] | None
    """First and last, both in it; None for all channels."""

    @classmethod
    def parse(cls, text: str, name: str = "--channels") -> Self:
        """Read ``all``, ``none``, or numbers and ranges with commas between (``1,10:20``).

        Parameters
        ----------
        text
            What is read.
        name
            Of what has this value, for the error.

        Raises
        ------
        UsageError
            If it is something else.
        """
        word = text.strip().lower()
        if word in {"all", "none"}:
            return cls(None if word == "all" else ())
        ranges = []
        for part in text.split(","):
            match = _RANGE.fullmatch(part.strip())
            first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
            if not 1 <= first <= last:
                raise UsageError(
                    f"{name}: '{text[:80]}' names no channels; give numbers and ranges such as "
                    "1,10:20 (the first is 1, the ends of a range belong to it), or all, or none"
                )
            ranges.append((first, last))
        return cls(tuple(ranges))

    def __contains__(self, number: int) -> bool:
        return self.ranges is None or any(first <= number <= last for first, last in self.ranges)
