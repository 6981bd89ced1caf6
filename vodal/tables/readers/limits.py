"""How much is read of a table that came from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from vodal.errors import TooLargeError

__all__ = ["ReadLimits", "over"]


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """Limits of one table; errors name them as they are called here."""

    max_rows: int = 1_000_000
    max_columns: int = 500
    max_cell_bytes: int = 1 << 20
    """Of one text or array."""
    max_table_bytes: int = 1 << 29
    """Of the whole table, decompressed and decoded."""


def over(what: str, limit: str, value: int) -> TooLargeError:
    """Make the error of a table that is over a limit.

    Parameters
    ----------
    what
        What there is too much of, as in ``more rows``.
    limit
        Name of the limit.
    value
        Its value.
    """
    return TooLargeError(f"the table has {what} than this service takes ({limit} is {value})")
