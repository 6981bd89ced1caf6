"""FITS files in a bucket of S3, or of a store that speaks as S3 does."""

from __future__ import annotations

from collections.abc import Iterator

from typing_extensions import override

from obscore.sources.base import Candidate, Problem
from obscore.sources.servers import ServerSource
from vodal.errors import SkylaneError, UsageError
from vodal.storage.s3 import split_s3

__all__ = ["ObjectSource"]


class ObjectSource(ServerSource):
    """The objects below ``s3://bucket/prefix/``, with the versions that the listing tells.

    Objects appear whole at once, and their ETags tell when they change: none is asked for itself.
    """

    @override
    def walk(self) -> Iterator[Candidate | Problem]:
        passed_over = 0
        try:
            for uri, stat in self._storage.objects(self.start):
                if not uri.startswith(self.root) or not self._is_ours(uri):
                    passed_over += 1
                elif not _is_readable(uri):
                    yield Problem(uri, "bad-name", "its key has empty parts, '.' or '..'")
                else:
                    yield self._candidate(uri, stat)
        except UsageError:
            raise
        except SkylaneError as error:
            raise UsageError(f"{self.start} cannot be listed: {error.message}") from None
        self._passed_over = passed_over

    @override
    def quiet_s(self, candidate: Candidate) -> float:
        return float("inf")

    @override
    def _relative(self, uri: str) -> str:
        return uri[len(self.root) :]  # keys are taken as they stand

    @staticmethod
    @override
    def _name(uri: str) -> str:
        return uri.rpartition("/")[2]


def _is_readable(uri: str) -> bool:
    try:
        split_s3(uri)
    except SkylaneError:
        return False
    return True
