"""The settings of tables that clients send."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from vodal.settings import Settings
from vodal.tables.readers.limits import ReadLimits

__all__ = ["UploadSettings", "UrlSettings"]

_HOST = re.compile(r"(?:\*\.)?[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?")


def _check_host(text: str) -> str:
    if not _HOST.fullmatch(text):
        raise ValueError(
            f"'{text}' is no host; give a name, '*.' before one for all below, ':port'"
        )
    return text


Host = Annotated[str, AfterValidator(_check_host)]


class UrlSettings(Settings):
    """Tables that are fetched from other servers."""

    hosts: tuple[Host, ...] = ()
    """Hosts from which tables may be fetched: a name, ``*.example.org`` for all below one,
    ``host:8080`` for a port other than 80 (http) or 443 (https). Empty, nothing is fetched: a
    server that fetches for strangers can be turned against its own network."""
    private_hosts: tuple[Host, ...] = ()
    """Hosts of the list above whose addresses may be private ones; of all others an address that
    is not public (private, loopback, link-local, reserved) is refused."""
    limit_s: float = Field(default=30.0, gt=0)
    """Seconds that fetching one table may take."""


class UploadSettings(Settings):
    """Tables that come with a request, and their limits."""

    max_tables: int = Field(default=10, ge=0)
    """Tables that one request may bring. 0 takes no uploads at all."""
    max_bytes: int = Field(default=100_000_000, ge=1)
    """Bytes of all files that one request brings, as they are sent, and of one that is fetched."""
    max_table_bytes: int = Field(default=500_000_000, ge=1)
    """Bytes of one table decompressed and decoded."""
    max_rows: int = Field(default=1_000_000, ge=1)
    """Rows of one table."""
    max_columns: int = Field(default=500, ge=1, le=1500)
    """Columns of one table."""
    max_cell_bytes: int = Field(default=1_000_000, ge=1, le=50_000_000)
    """Bytes of one text or array."""
    read_limit_s: float = Field(default=60.0, gt=0)
    """Seconds that one table may wait for its reader and be read."""
    memory_mb: int = Field(default=1024, ge=256)
    """Memory that a reading process may take; a table that needs more is refused."""
    workers: int = Field(default=1, ge=1)
    """Processes that read tables; they start with the first upload."""
    urls: UrlSettings = UrlSettings()

    def read_limits(self) -> ReadLimits:
        """Give the limits of one table."""
        return ReadLimits(
            max_rows=self.max_rows,
            max_columns=self.max_columns,
            max_cell_bytes=self.max_cell_bytes,
            max_table_bytes=self.max_table_bytes,
        )
