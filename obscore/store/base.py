"""The seam of the store: what the assembly line writes and what the services read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from obscore.observation import CataloguedFile

__all__ = ["KnownFile", "Store"]


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A file that the store holds."""

    uri: str
    collection: str
    version: str
    mapping_digest: str
    products: int


class Store(Protocol):
    """Where the assembly line writes. One writer, many readers, in several processes."""

    def known_files(self, under_uri: str = "") -> dict[str, KnownFile]:
        """Give the files catalogued below a URI prefix, by URI."""
        ...

    def write(self, files: Sequence[CataloguedFile]) -> None:
        """Write files in one transaction, replacing all that was known of each.

        Raises
        ------
        UsageError
            If an identifier is already taken by another file; nothing is written then.
        """
        ...

    def remove(self, uris: Iterable[str]) -> int:
        """Remove files with their products; gives the number of products removed."""
        ...

    def close(self) -> None:
        """Release the connections."""
        ...
