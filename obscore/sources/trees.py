"""What sources have in common that give all below one place, on a disk or a server."""

from __future__ import annotations

from pathlib import Path

from typing_extensions import override

from obscore.sources.base import Source

__all__ = ["TreeSource"]


class TreeSource(Source):
    """The files below a place.

    Parameters
    ----------
    collection
        Name.
    """

    root: Path | str
    """Folder, or URI that ends in ``/``; paths in identifiers start below it."""

    def __init__(self, collection: str) -> None:
        self._collection = collection
        self._passed_over = 0

    @property
    @override
    def collection(self) -> str:
        return self._collection

    @property
    @override
    def is_scattered(self) -> bool:
        return False

    @property
    @override
    def passed_over(self) -> int:
        return self._passed_over
