"""What sources of all kinds have in common: the collection, and what a walk passed over."""

from __future__ import annotations

from typing_extensions import override

from obscore.sources.base import Source

__all__ = ["CollectedSource"]


class CollectedSource(Source):
    """What there is to catalogue of one collection.

    Parameters
    ----------
    collection
        Name.
    """

    def __init__(self, collection: str) -> None:
        self._collection = collection
        self._passed_over = 0

    @property
    @override
    def collection(self) -> str:
        return self._collection

    @property
    @override
    def passed_over(self) -> int:
        return self._passed_over
