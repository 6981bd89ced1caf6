"""Batches of files on their way into the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from obscore.assembly.refusal import Refusal
from obscore.assembly.report import FileReport, Reporter
from obscore.observation import CataloguedFile
from obscore.sources.base import Candidate
from obscore.store.base import Store
from vodal.errors import UsageError

__all__ = ["Batch"]


@dataclass
class _Waiting:
    candidate: Candidate
    file: CataloguedFile
    was_known: bool


@dataclass
class Batch:
    """Files that wait to be written, and old rows that wait to be withdrawn."""

    store: Store
    tell: Reporter
    max_files: int
    max_seconds: float
    """How long a file waits at most."""
    gone: Callable[[str], bool]
    """Tells whether the file of a URI is not there any more."""
    dry_run: bool = False
    _waiting: list[_Waiting] = field(default_factory=list)
    _withdrawn: list[str] = field(default_factory=list)
    _since: float = 0.0

    def add(self, candidate: Candidate, file: CataloguedFile, *, was_known: bool) -> None:
        """Put a file in line."""
        self._begin()
        self._waiting.append(_Waiting(candidate, file, was_known))

    def refuse(
        self, candidate: Candidate, refusal: Refusal, *, was_known: bool, keep: bool = False
    ) -> None:
        """Tell of a refusal; rows that the file had are withdrawn, unless they are to be kept."""
        notes: tuple[str, ...] = ()
        if was_known and keep:
            notes = ("the rows it has are kept",)
        elif was_known:
            self._begin()
            self._withdrawn.append(candidate.uri)
            notes = ("the rows it had are withdrawn",)
        self.tell(
            FileReport(
                candidate.uri,
                candidate.relative,
                candidate.collection,
                "refused",
                refusal.reason,
                refusal.message,
                notes=notes,
            )
        )

    def flush_if_due(self) -> None:
        """Write if there is enough, or the first has waited long enough."""
        if self._waiting or self._withdrawn:
            full = len(self._waiting) + len(self._withdrawn) >= self.max_files
            if full or time.monotonic() - self._since >= self.max_seconds:
                self.flush()

    def flush(self) -> None:
        """Write all."""
        waiting, withdrawn = self._waiting, self._withdrawn
        self._waiting, self._withdrawn = [], []
        if withdrawn and not self.dry_run:
            self.store.remove(withdrawn)
        if not waiting:
            return
        if not self.dry_run:
            try:
                self.store.write([item.file for item in waiting])
            except UsageError:
                self._write_one_by_one(waiting)
                return
        for item in waiting:
            self._written(item)

    def _begin(self) -> None:
        if not self._waiting and not self._withdrawn:
            self._since = time.monotonic()

    def _write_one_by_one(self, waiting: Sequence[_Waiting]) -> None:
        """Find the file whose identifier is taken; the others are written."""
        for item in waiting:
            try:
                self.store.write([item.file])
            except UsageError as error:
                if not self._make_way(item, error):
                    refusal = Refusal("identifier", error.message)
                    self.refuse(item.candidate, refusal, was_known=item.was_known)
            else:
                self._written(item)
        self.flush()

    def _make_way(self, item: _Waiting, error: UsageError) -> bool:
        """Let a file take the place of one that was moved: it has its identifier, and is gone."""
        for _ in item.file.observations:
            # The store names the file that holds the identifier, as the last word.
            holder = error.message.rsplit(" ", maxsplit=1)[-1]
            if "://" not in holder or holder == item.candidate.uri or not self.gone(holder):
                return False
            self.store.remove([holder])
            try:
                self.store.write([item.file])
            except UsageError as another:
                error = another
                continue
            self._written(item, f"moved here from {holder}")
            return True
        return False

    def _written(self, item: _Waiting, *notes: str) -> None:
        candidate, file = item.candidate, item.file
        self.tell(
            FileReport(
                candidate.uri,
                candidate.relative,
                candidate.collection,
                "updated" if item.was_known else "added",
                dids=tuple(observation.did for observation in file.observations),
                notes=(*file.notes, *notes),
            )
        )
