"""A store whose writes are noted as those of one run of the assembly line."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, TypeVar

from typing_extensions import override

from obscore.assembly.report import (
    ColumnReporter,
    FileReport,
    Reporter,
    Status,
    WrittenColumns,
    tell_columns,
)
from obscore.assembly.rulebook import RuleBook
from obscore.assembly.rules import Rules
from obscore.columns import ObsCoreColumn
from obscore.filecolumns import FileColumns
from obscore.mapping.rules import rules_of
from obscore.observation import CataloguedFile
from obscore.store.base import KnownFile, Store
from obscore.store.extra import ExtraChanges
from obscore.store.runs import RunKind, begin_run, keep_mapping, note_run
from obscore.store.session import Session
from obscore.store.tombstones import WITHDRAWN, Why
from obscore.store.turn import stamp_text

__all__ = ["RecordedRun", "counted", "rules_text"]

T = TypeVar("T")

_EVERY_S = 10.0
"""How often a run that goes on is noted anew."""


class RecordedRun(Store):
    """A store that says of each file that is written which run did that.

    Parameters
    ----------
    store
        Where all goes.
    book
        The rules that the run goes by; those of a collection are kept when its first file is
        written. When others hold, another run begins.
    kind, command
        Of the run.
    """

    def __init__(self, store: Store, book: RuleBook, kind: RunKind, command: str) -> None:
        self._store, self._book = store, book
        self._lock = threading.Lock()
        self._kind: RunKind = kind
        self._command = command
        self._begin()

    def _begin(self) -> None:
        kind, command, program, begun = self._kind, self._command, version("skylane"), _now()
        self.number = self._store.turn(
            lambda session: begin_run(session, kind, command, program, begun)
        )
        self._mappings: dict[str, str] = {}
        self._rules: dict[str, Rules] = {}
        self._counts: Counter[str] = Counter()
        self._noted_s = time.monotonic()

    def count(self, status: Status, files: int = 1) -> None:
        """Count what became of files."""
        with self._lock:
            if files:
                self._counts[status] += files

    def end(self) -> None:
        """Note that the run has ended."""
        self._note(_now())

    def _note(self, ended: str | None = None) -> None:
        counts = dict(self._counts)
        self._store.turn(
            lambda session: note_run(session, self.number, self._mappings, counts, ended)
        )
        self._noted_s = time.monotonic()

    def _noted(self, files: Sequence[CataloguedFile]) -> Sequence[CataloguedFile]:
        with self._lock:
            return self._noted_alone(files)

    def _noted_alone(self, files: Sequence[CataloguedFile]) -> Sequence[CataloguedFile]:
        columns = files if isinstance(files, FileColumns) else None
        found = {one.collection for one in (files if columns is None else [columns])}
        if any(self._book.of(name) is not rules for name, rules in self._rules.items()):
            # All rows of a run are made by the same rules.
            self.end()
            self._begin()
        new = found - self._mappings.keys()
        for collection in sorted(new):
            self._rules[collection] = rules = self._book.of(collection)
            text = rules_text(rules)
            digest = hashlib.sha256(text.encode()).hexdigest()[:20]
            self._store.turn(lambda session: keep_mapping(session, digest, text))  # noqa: B023
            self._mappings[collection] = digest
        if new or time.monotonic() - self._noted_s > _EVERY_S:
            self._note()
        if columns is not None:
            return replace(columns, run_id=self.number)
        return [replace(file, run_id=self.number) for file in files]

    @override
    def write(
        self, files: Sequence[CataloguedFile], *, instead_of: Collection[str] = ()
    ) -> frozenset[str]:
        return self._store.write(self._noted(files), instead_of=instead_of)

    @override
    def renew(self, file: CataloguedFile, version: str) -> bool:
        return self._store.renew(self._noted([file])[0], version)

    @override
    def complete(self, file: CataloguedFile, version: str) -> bool:
        return self._store.complete(file, version)

    @override
    def known_files(self, under_uri: str = "") -> dict[str, KnownFile]:
        return self._store.known_files(under_uri)

    @override
    def known_after(self, under_uri: str, uri: str, limit: int) -> list[KnownFile]:
        return self._store.known_after(under_uri, uri, limit)

    @override
    def known_among(self, uris: Collection[str]) -> dict[str, KnownFile]:
        return self._store.known_among(uris)

    @override
    def files_after(self, uri: str, limit: int) -> list[CataloguedFile]:
        return self._store.files_after(uri, limit)

    @override
    def file_at(self, uri: str) -> CataloguedFile | None:
        return self._store.file_at(uri)

    @override
    def remove(self, uris: Iterable[str], why: Why = WITHDRAWN) -> int:
        return self._store.remove(uris, why)

    @override
    def retract(self, dids: Sequence[str], why: Why) -> int:
        return self._store.retract(dids, why)

    @override
    def turn(self, work: Callable[[Session], T]) -> T:
        return self._store.turn(work)

    @override
    def extra_columns(self) -> tuple[ObsCoreColumn, ...]:
        return self._store.extra_columns()

    @override
    def declare(self, columns: Sequence[ObsCoreColumn]) -> ExtraChanges:
        return self._store.declare(columns)

    @override
    def close(self) -> None:
        self._store.close()


@dataclass(frozen=True, slots=True)
class _Counted:
    report: Reporter
    run: RecordedRun

    def __call__(self, report: FileReport, /) -> None:
        self.run.count(report.status)
        self.report(report)

    def columns(self, some: WrittenColumns) -> None:
        updated = sum(some.was_known)
        self.run.count("updated", updated)
        self.run.count("added", len(some) - updated)
        tell_columns(self.report, some)


def counted(report: Reporter, run: RecordedRun) -> ColumnReporter:
    """Give a reporter that counts for a run, too."""
    return _Counted(report, run)


def rules_text(rules: Rules) -> str:
    """Write what holds for a collection as JSON for people: each rule with its place."""
    told: dict[str, Any] = {
        "authority": rules.authority,
        "collection": rules.collection,
        "calib_level": rules.calib_level,
        "digest": rules.digest,
        "layers": [
            {
                "mapping": {
                    name: {"place": placed.place, **_plain(placed.rule)}
                    for name, placed in sorted(layer.mapping.items())
                },
                "files": [
                    {
                        "pattern": one.pattern,
                        "skip": one.skip,
                        "mapping": {n: _plain(rule) for n, rule in rules_of(one.mapping).items()},
                    }
                    for one in layer.files
                ],
                "bands": {name: _plain(band) for name, band in sorted(layer.bands.items())},
            }
            for layer in rules.layers
        ],
    }
    return json.dumps(told, indent=1, ensure_ascii=False)


def _plain(item: Any) -> dict[str, Any]:
    return dict(item.model_dump(mode="json", exclude_defaults=True))


def _now() -> str:
    return stamp_text(datetime.now(UTC))
