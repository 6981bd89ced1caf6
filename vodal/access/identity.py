"""Who asks, as far as it is known."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ANONYMOUS", "Identity"]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks."""

    name: str | None = None
    """By which jobs belong to somebody; None for who is not known."""
    groups: frozenset[str] = frozenset()
    """That rules of collections name."""


ANONYMOUS = Identity()
"""Nobody in particular."""
