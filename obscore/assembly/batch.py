"""Batches of files on their way into the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from obscore.assembly.refusal import Refusal
from obscore.assembly.report import ROWS_WITHDRAWN, FileReport, Reporter, WrittenColumns
from obscore.filecolumns import FileColumns
from obscore.observation import CataloguedFile
from obscore.sources.base import Candidate
from obscore.sources.columns import CandidateColumns
from obscore.store.base import Store
from obscore.store.tombstones import Why
from vodal.errors import UsageError

__all__ = ["RETRACTED", "Batch"]

RETRACTED = "all that it holds is retracted; 'skylane retract --undo' lets it come back"
_REFUSED = Why("withdrawn", "its file changed, and is refused as it is now")


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
    tell_columns: Callable[[WrittenColumns], None] | None = None
    """Told of files that come by column; None to tell of each."""
    _waiting: list[_Waiting] = field(default_factory=list)
    _withdrawn: list[str] = field(default_factory=list)
    _since: float = 0.0

    def add(self, candidate: Candidate, file: CataloguedFile, *, was_known: bool) -> None:
        """Put a file in line."""
        self._begin()
        self._waiting.append(_Waiting(candidate, file, was_known))

    def write_columns(
        self, candidates: CandidateColumns, files: FileColumns, was_known: Sequence[bool]
    ) -> None:
        """Write files that come by column; they are many, and wait for no others."""
        withheld: frozenset[str] = frozenset()
        if not self.dry_run:
            try:
                withheld = self.store.write(files)
            except UsageError:
                waiting = map(_Waiting, candidates, files, was_known)
                self._write_one_by_one(list(waiting))
                return
        if withheld:
            for item in map(_Waiting, candidates, files, was_known):
                self._written(item, withheld)
            return
        written = WrittenColumns(
            files.collection, files.uris, candidates.relatives, was_known, files.dids, files.notes
        )
        if self.tell_columns is not None:
            self.tell_columns(written)
            return
        for report in written:
            self.tell(report)

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
            notes = (ROWS_WITHDRAWN,)
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
            self.store.remove(withdrawn, _REFUSED)
        if not waiting:
            return
        withheld: frozenset[str] = frozenset()
        if not self.dry_run:
            try:
                withheld = self.store.write([item.file for item in waiting])
            except UsageError:
                self._write_one_by_one(waiting)
                return
        for item in waiting:
            self._written(item, withheld)

    def _begin(self) -> None:
        if not self._waiting and not self._withdrawn:
            self._since = time.monotonic()

    def _write_one_by_one(self, waiting: Sequence[_Waiting]) -> None:
        """Find the file whose identifier is taken; the others are written."""
        for item in waiting:
            try:
                withheld = self.store.write([item.file])
            except UsageError as error:
                if not self._make_way(item, error):
                    refusal = Refusal("identifier", error.message)
                    self.refuse(item.candidate, refusal, was_known=item.was_known)
            else:
                self._written(item, withheld)
        self.flush()

    def _make_way(self, item: _Waiting, error: UsageError) -> bool:
        """Let a file take the place of one that was moved: it has its identifier, and is gone."""
        holders: list[str] = []
        for _ in item.file.observations:
            # The store names the file that holds the identifier, as the last word.
            holder = error.message.rsplit(" ", maxsplit=1)[-1]
            if "://" not in holder or holder == item.candidate.uri or not self.gone(holder):
                return False
            holders.append(holder)
            try:
                withheld = self.store.write([item.file], instead_of=holders)
            except UsageError as another:
                error = another
                continue
            self._written(item, withheld, f"moved here from {holder}")
            return True
        return False

    def _written(self, item: _Waiting, withheld: frozenset[str], *notes: str) -> None:
        candidate, file = item.candidate, item.file
        about = candidate.uri, candidate.relative, candidate.collection
        dids = [observation.did for observation in file.observations]
        there = tuple(did for did in dids if did not in withheld)
        if dids and not there:
            self.tell(FileReport(*about, "skipped", "retracted", RETRACTED, notes=notes))
            return
        retracted = [f"{did} is retracted" for did in dids if did in withheld]
        self.tell(
            FileReport(
                *about,
                "updated" if item.was_known else "added",
                dids=there,
                notes=(*file.notes, *notes, *retracted),
            )
        )
