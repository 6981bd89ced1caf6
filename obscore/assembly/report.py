"""What the assembly line tells: one record a file, and a summary."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from json.encoder import encode_basestring_ascii
from pathlib import Path
from typing import Literal, Protocol, TextIO, runtime_checkable

from obscore.sources.absent import Absent

__all__ = [
    "ROWS_WITHDRAWN",
    "ColumnReporter",
    "FileReport",
    "Reporter",
    "Status",
    "Summary",
    "WrittenColumns",
    "json_lines",
    "refused_source",
    "tell_columns",
]

ROWS_WITHDRAWN = "the rows it had are withdrawn"
"""Note of a file that is refused as it is now."""

Status = Literal["added", "updated", "unchanged", "refused", "skipped", "vanished", "removed"]
"""``vanished`` files are kept in the catalogue, ``removed`` ones had vanished and were pruned,
``skipped`` ones are left out by the settings or are another name of a file already read."""


@dataclass(frozen=True, slots=True)
class FileReport:
    """What became of one file."""

    uri: str
    """Of a whole source what its settings name."""
    path: str
    """Below the collection's folder; empty if it is not known any more."""
    collection: str
    status: Status
    reason: str = ""
    """Short, stable code of a refusal: ``not-fits``, ``truncated``, ``no-position`` ..."""
    message: str = ""
    """The reason as a sentence."""
    dids: tuple[str, ...] = ()
    """Identifiers of the file's products in the catalogue."""
    notes: tuple[str, ...] = ()
    """What was odd, but no ground for refusal."""

    def to_json(self) -> str:
        """Give one line of JSON; empty fields are left out."""
        record = {
            "file": self.uri,
            "path": self.path,
            "collection": self.collection,
            "status": self.status,
            "reason": self.reason,
            "message": self.message,
            "dids": self.dids,
            "notes": self.notes,
        }
        return json.dumps({key: value for key, value in record.items() if value})


@dataclass(frozen=True, slots=True)
class WrittenColumns:
    """Files of one collection that were written with one product each: by column.

    A report is made of one only where somebody asks for it.
    """

    collection: str
    uris: Sequence[str]
    paths: Sequence[str]
    """None is empty."""
    was_known: Sequence[bool]
    dids: Sequence[str]
    notes: Mapping[int, tuple[str, ...]]
    """By number of the file; none is empty."""

    def __len__(self) -> int:
        return len(self.uris)

    def __iter__(self) -> Iterator[FileReport]:
        return map(self._report, range(len(self)))

    def _report(self, at: int) -> FileReport:
        status: Status = "updated" if self.was_known[at] else "added"
        return FileReport(
            self.uris[at], self.paths[at], self.collection, status,
            dids=(self.dids[at],), notes=self.notes.get(at, ()),
        )  # fmt: skip

    def to_json(self) -> str:
        """Give a line of JSON for each, as `FileReport.to_json` does, in less time."""
        begin = f'"collection": {json.dumps(self.collection)}, "status": '
        heads = f'{begin}"added", "dids": [', f'{begin}"updated", "dids": ['
        texts = (map(encode_basestring_ascii, some) for some in (self.uris, self.paths, self.dids))
        lines = [
            f'{{"file": {uri}, "path": {path}, {heads[known]}{did}]}}'
            for uri, path, did, known in zip(*texts, self.was_known, strict=True)
        ]
        for at in self.notes:
            lines[at] = self._report(at).to_json()
        return "".join(f"{line}\n" for line in lines)


def refused_source(absent: Absent) -> FileReport:
    """Tell of a source that cannot be read."""
    message = absent.message
    return FileReport(absent.place, "", absent.collection, "refused", "source", message)


Reporter = Callable[[FileReport], object]
"""Told of each file, in no particular order."""


@runtime_checkable
class ColumnReporter(Protocol):
    """A reporter that is told of many files at once in less time than of each."""

    def __call__(self, report: FileReport, /) -> object:
        """Take one report."""
        ...

    def columns(self, some: WrittenColumns) -> object:
        """Take what it makes the same of as of the reports that ``some`` gives."""
        ...


def tell_columns(reporter: Reporter, some: WrittenColumns) -> None:
    """Tell of files that were written by column."""
    if isinstance(reporter, ColumnReporter):
        reporter.columns(some)
        return
    for report in some:
        reporter(report)


@dataclass(frozen=True, slots=True)
class _JsonLines:
    """Writes in one piece: several threads may tell at once."""

    file: TextIO

    def __call__(self, report: FileReport, /) -> None:
        self.file.write(f"{report.to_json()}\n")

    def columns(self, some: WrittenColumns) -> None:
        self.file.write(some.to_json())


@contextmanager
def json_lines(path: Path) -> Iterator[ColumnReporter]:
    """Write reports as JSON lines into a file, each at once, so that a run can be followed."""
    with path.open("w", encoding="utf-8", buffering=1) as file:
        yield _JsonLines(file)


@dataclass
class Summary:
    """What became of all files of a run."""

    statuses: Counter[Status] = field(default_factory=Counter)
    """Files by status."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Refused files by reason."""
    refused: list[FileReport] = field(default_factory=list)
    """The first of them, `EXAMPLES` at most."""
    products: int = 0
    """Rows written."""
    withdrawn: int = 0
    """Refused files that had rows before."""
    noted: int = 0
    """Files that became rows with notes."""
    passed_over: int = 0
    """Files of other names than those of FITS; they are not looked into."""
    seconds: float = 0.0
    dry_run: bool = False

    EXAMPLES = 1000

    @property
    def files(self) -> int:
        """Files looked at, without those that have vanished."""
        gone = self.statuses["vanished"] + self.statuses["removed"]
        return self.statuses.total() - gone

    def add(self, report: FileReport) -> None:
        """Count a file."""
        self.statuses[report.status] += 1
        if report.status == "refused":
            self.reasons[report.reason] += 1
            self.withdrawn += ROWS_WITHDRAWN in report.notes
            if len(self.refused) < self.EXAMPLES:
                self.refused.append(report)
        elif report.status in {"added", "updated"}:
            self.products += len(report.dids)
            self.noted += bool(report.notes)

    def add_columns(self, some: WrittenColumns) -> None:
        """Count files as `add` does, all at once."""
        updated = sum(some.was_known)
        # What none is of is not counted as 0.
        self.statuses += Counter[Status]({"updated": updated, "added": len(some) - updated})
        self.products += len(some)
        self.noted += len(some.notes)

    def merge(self, other: Summary) -> None:
        """Add the counts of another run."""
        self.statuses.update(other.statuses)
        self.reasons.update(other.reasons)
        self.refused = (self.refused + other.refused)[: self.EXAMPLES]
        self.products += other.products
        self.noted += other.noted
        self.withdrawn += other.withdrawn
        self.passed_over += other.passed_over
        self.seconds += other.seconds

    def lines(self) -> list[str]:
        """Give the summary as lines of plain text."""
        rate = self.files / self.seconds if self.seconds > 0 else 0.0
        head = f"{_count(self.files, 'file')} in {self.seconds:.1f} s ({rate:.0f}/s)"
        counts = ", ".join(
            f"{count} {self._word(status)}"
            for status, count in self.statuses.most_common()
            if count
        )
        lines = [f"{head}: {counts or 'nothing to do'}"]
        if self.products:
            verb = "would be written" if self.dry_run else "written"
            noted = f", {self.noted} of the files with notes" if self.noted else ""
            lines.append(f"{_count(self.products, 'row')} {verb}{noted}")
        if self.withdrawn:
            went = "would be withdrawn" if self.dry_run else "withdrawn"
            lines.append(f"rows of {_count(self.withdrawn, 'file')} {went}: refused now")
        if self.passed_over:
            lines.append(f"{_count(self.passed_over, 'file')} not named as FITS passed over")
        lines += [f"  refused, {reason}: {count}" for reason, count in self.reasons.most_common()]
        return lines

    def _word(self, status: Status) -> str:
        if self.dry_run and status in {"added", "updated"}:
            return f"to be {status}"
        return status


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
