"""What sources have in common that give all below one place, on a disk or a server."""

from __future__ import annotations

from pathlib import Path

from typing_extensions import override

from obscore.sources.collected import CollectedSource

__all__ = ["TreeSource"]


class TreeSource(CollectedSource):
    """The files below a place.

    Parameters
    ----------
    collection
        Name.
    """

    root: Path | str
    """Folder, or URI that ends in ``/``; paths in identifiers start below it."""

    @property
    @override
    def is_scattered(self) -> bool:
        return False
