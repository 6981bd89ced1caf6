"""Access: what access_url gives and how large the file is."""

from __future__ import annotations

from obscore.assembly.context import Context, Values

__all__ = ["DATALINK", "access"]

DATALINK = "application/x-votable+xml;content=datalink"
"""Media type of a DataLink document (DataLink 1.1 section 2)."""


def access(context: Context) -> Values:
    """Give access_format and access_estsize (kbyte of 1000 bytes, rounded up)."""
    with context.of("access_format"):
        context.used(how="every row gives its DataLink document")
    with context.of("access_estsize"):
        context.used(how=f"the file has {context.index.size_bytes} bytes")
    return {
        "access_format": DATALINK,
        "access_estsize": -(-context.index.size_bytes // 1000),
    }
