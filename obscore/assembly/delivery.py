"""What the running line has found, a batch at a time into the store and the report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from obscore.assembly.batch import Batch
from obscore.assembly.line import OURS
from obscore.assembly.outcome import Outcome
from obscore.assembly.report import FileReport, Reporter, Status, Summary
from obscore.assembly.survey import ANOTHER_NAME, VANISHED, is_of, vanished_message
from obscore.sources.base import Candidate, Problem, Source
from obscore.store.base import KnownFile, Store
from vodal.storage import is_local, local_path

__all__ = ["Delivered", "Delivery", "Lost", "Read"]


@dataclass(frozen=True, slots=True)
class Read:
    """A file that was read."""

    source: Source
    candidate: Candidate
    outcome: Outcome
    digest: str = ""
    """Of the rules by which it was read."""

    @property
    def uri(self) -> str:
        """Of the file."""
        return self.candidate.uri


@dataclass(frozen=True, slots=True)
class Lost:
    """A file, or all below a folder, that is not there any more."""

    source: Source
    uri: str
    """Of a folder it ends in ``/``."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of a batch."""

    summary: Summary
    stale: tuple[Read, ...]
    """Files that changed since they were read, as they are now; nothing of them was written."""


class Delivery:
    """Writes batches; for one thread at a time.

    Parameters
    ----------
    store
        Where rows are written.
    report
        Told of each file.
    skips
        Tells whether the settings leave a file out.
    prune
        Whether files that have vanished are removed from the catalogue.
    """

    def __init__(
        self,
        store: Store,
        report: Reporter,
        skips: Callable[[Candidate], bool],
        *,
        prune: bool,
    ) -> None:
        self._store, self._report, self._skips, self._prune = store, report, skips, prune

    def deliver(self, items: Sequence[Read | Lost | FileReport]) -> Delivered:
        """Write all of a batch.

        Doing it again is harmless: what is written replaces what was.

        Parameters
        ----------
        items
            Each file once.

        Raises
        ------
        SkylaneError
            If the store cannot be written.
        """
        summary, reports = Summary(), list[FileReport]()
        reads = [item for item in items if isinstance(item, Read)]
        stale = {read.uri: newer for read in reads if (newer := _newer(read)) is not None}
        self._write([read for read in reads if read.uri not in stale], reports.append)
        self._withdraw([item for item in items if isinstance(item, Lost)], reports.append)
        for item in items:
            if isinstance(item, FileReport):
                reports.append(self._problem(item))
        # Only now, so that a batch which is written again is told of once.
        for report in reports:
            summary.add(report)
            self._report(report)
        return Delivered(summary, tuple(stale.values()))

    def _write(self, reads: Sequence[Read], tell: Reporter) -> None:
        known = self._store.known_among([read.candidate.uri for read in reads])
        batch = Batch(
            self._store, tell, len(reads) + 1, float("inf"),
            gone=lambda uri: _is_gone(uri, dict.fromkeys(read.source for read in reads)),
        )  # fmt: skip
        for read in reads:
            before = known.get(read.candidate.uri)
            if read.outcome.file is not None:
                batch.add(read.candidate, read.outcome.file, was_known=before is not None)
            elif read.outcome.refusal is not None:
                same = before is not None and before.version == read.candidate.stat.version
                batch.refuse(
                    read.candidate, read.outcome.refusal, was_known=before is not None,
                    keep=same and read.outcome.refusal.reason in OURS,
                )  # fmt: skip
        batch.flush()

    def _withdraw(self, lost: Sequence[Lost], tell: Reporter) -> None:
        """See to files that have vanished, as far as the catalogue has them."""
        for source in dict.fromkeys(item.source for item in lost):
            gone = self._known_lost(source, [item for item in lost if item.source is source])
            keep = self._why_kept(source) if gone and self._prune else ""
            status: Status = "removed" if self._prune and not keep else "vanished"
            if status == "removed" and gone:
                self._store.remove(gone, VANISHED)
            for uri, known in gone.items():
                message = vanished_message(source, uri) + keep
                tell(FileReport(uri, "", known.collection, status, message=message))

    def _known_lost(self, source: Source, lost: Sequence[Lost]) -> dict[str, KnownFile]:
        found = self._store.known_among([one.uri for one in lost if not one.uri.endswith("/")])
        for item in lost:
            if item.uri.endswith("/"):
                found |= self._store.known_files(item.uri)
        return {
            uri: file
            for uri, file in sorted(found.items())
            if is_of(source, file) and not self._is_there(source, uri)
        }

    def _is_there(self, source: Source, uri: str) -> bool:
        """Tell whether the source has a file, after all; of servers the last walk has told."""
        if source.is_remote:
            return False
        found = source.look(uri)
        return isinstance(found, Problem) or (found is not None and not self._skips(found))

    def _why_kept(self, source: Source) -> str:
        """Say why vanished files are not removed; empty if they are.

        A disk that is not mounted is no reason to remove all that lay on it.
        """
        why = source.why_away(len(self._store.known_files(source.under_uri)))
        return f"; {why}, so nothing is removed" if why else ""

    def _problem(self, report: FileReport) -> FileReport:
        """Withdraw the rows of what is another name of a file, as a run does."""
        if report.status != "skipped" or not self._store.remove([report.uri], ANOTHER_NAME):
            return report
        return FileReport(
            report.uri, report.path, report.collection, report.status, report.reason,
            report.message, notes=("its rows were withdrawn",),
        )  # fmt: skip


def _newer(read: Read) -> Read | None:
    """Give a file as it is now, if it is another one than that which was read.

    One on a server is not asked for again: it was read as one version, and the next walk tells of
    another.
    """
    if read.source.is_remote:
        return None
    found = read.source.look(read.uri)
    if not isinstance(found, Candidate):
        return read
    made = read.outcome.file
    version = read.candidate.stat.version if made is None else made.version
    return None if found.stat.version == version else replace(read, candidate=found)


def _is_gone(uri: str, sources: Iterable[Source]) -> bool:
    """Tell whether a file is not there any more, as its source or its disk knows."""
    owner = next((source for source in sources if source.holds(uri)), None)
    if owner is not None:
        return not owner.exists(uri)
    return is_local(uri) and not local_path(uri).exists()
