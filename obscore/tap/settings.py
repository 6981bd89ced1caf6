"""The settings of the TAP service."""

from __future__ import annotations

from pydantic import Field

from vodal.settings import Settings

__all__ = ["TapSettings"]


class TapSettings(Settings):
    """The TAP service: its limits."""

    default_rows: int = Field(default=100_000, ge=0)
    """Rows given where a query names no MAXREC. Enough for most uses, small enough to load in any
    client; a longer answer is marked as cut off."""
    max_rows: int = Field(default=10_000_000, ge=1)
    """Rows given at most, whatever MAXREC says. Answers are streamed, so that the limit protects
    the network, not the memory."""
    sync_limit_s: float = Field(default=60.0, gt=0)
    """Seconds of database time that a synchronous query may take."""
    async_limit_s: int = Field(default=600, ge=1)
    """Seconds that an asynchronous query may run, unless its job asks for more or less."""
    async_max_limit_s: int = Field(default=14_400, ge=1)
    """Seconds that the job of an asynchronous query can ask for."""
    connections: int = Field(default=8, ge=1)
    """Queries that one server process runs at once; further ones wait."""
    wait_limit_s: float = Field(default=20.0, gt=0)
    """Seconds that a query waits for its turn before the client is told to come back later."""
    stall_limit_s: float = Field(default=60.0, gt=0)
    """Seconds that a client may take to accept the next piece of an answer; after that the
    connection is dropped, so that it keeps no query from its turn."""
    batch_rows: int = Field(default=10_000, ge=1)
    """Rows read from the database and written to the client at a time."""
    max_query_chars: int = Field(default=1_000_000, ge=1)
    """Length of a query's text at most."""
