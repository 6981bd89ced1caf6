"""The settings of the TAP service."""

from __future__ import annotations

import os

from pydantic import Field

from vodal.settings import Settings
from vodal.uploads.settings import UploadSettings

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
    async_concurrency: int = Field(default=3, ge=1)
    """Asynchronous queries that one server process runs at once, of the ``jobs.concurrency`` of all
    services. Less than that leaves places to cutouts, however many queries wait."""
    connections: int = Field(default=12, ge=1)
    """Queries that one server process runs at once; further ones wait."""
    queries_per_user: int = Field(default=6, ge=1)
    """Queries that one server process runs at once for one user; who asks for more waits for
    their own, and others go before. A user is who has logged in, or else whoever has the same
    address (of IPv6 the same /64 network); behind a proxy see ``server.trusted_proxies``."""
    waiting: int = Field(default=200, ge=0)
    """Queries that wait for their turn at most; one more is answered with 503 and Retry-After.
    Users have their turns one after the other, whoever sent more."""
    waiting_per_user: int = Field(default=50, ge=0)
    """Queries of one user that wait at most."""
    wait_limit_s: float = Field(default=20.0, gt=0)
    """Seconds that a query waits for its turn before the client is told to come back later."""
    long_queries: int | None = Field(default=None, ge=1)
    """Queries that compute at once in one server process among those that have computed for a
    quarter of a second; they take turns, so that short ones find a processor. By default one less
    than there are processors. With the embedded store only: PostgreSQL computes in processes of its
    own."""
    slow_clients: int = Field(default=12, ge=0)
    """Queries that may lend their place to another while their clients read slowly; each keeps a
    connection to the database."""
    stall_limit_s: float = Field(default=60.0, gt=0)
    """Seconds that a client may take to accept the next piece of an answer; after that the
    connection is dropped, so that it keeps no query from its turn."""
    batch_rows: int = Field(default=4000, ge=1)
    """Rows read from the database and written to the client at a time."""
    max_query_chars: int = Field(default=1_000_000, ge=1)
    """Length of a query's text at most."""
    uploads: UploadSettings = UploadSettings()

    @property
    def long_at_once(self) -> int:
        """What ``long_queries`` is on this machine."""
        return self.long_queries or max(1, (os.cpu_count() or 1) - 1)
