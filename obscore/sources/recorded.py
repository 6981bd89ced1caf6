"""What sources have in common that go by the records of others, not by looking at files."""

from __future__ import annotations

from typing_extensions import override

from obscore.sources.base import Candidate
from obscore.sources.collected import CollectedSource

__all__ = ["RecordedSource"]


class RecordedSource(CollectedSource):
    """Files that rows of a table, or datasets of a registry, tell of; they may lie anywhere.

    Parameters
    ----------
    collection
        Name.
    """

    @property
    @override
    def is_remote(self) -> bool:
        # What is catalogued is what the records say; a file tells nothing of that.
        return True

    @property
    @override
    def is_scattered(self) -> bool:
        return True

    @property
    @override
    def under_uri(self) -> str:
        return ""

    @override
    def quiet_s(self, candidate: Candidate) -> float:
        # A file is recorded when it is whole.
        return float("inf")
