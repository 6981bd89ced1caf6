"""Sources that are brought up to date as a whole while the line runs: tables of products.

Of files that are not opened nothing is waited for, and what a table says of all of them is read at
a time: the rows go by column, as in a run (`obscore.assembly.line`).
"""

from __future__ import annotations

from collections.abc import Callable

from obscore.assembly.line import ingest
from obscore.assembly.report import FileReport, Reporter, Summary
from obscore.assembly.rulebook import RuleBook
from obscore.assembly.settled import Settled
from obscore.settings import ObsCoreSettings
from obscore.sources.base import Source
from obscore.store.base import Store
from vodal.errors import SkylaneError
from vodal.storage import Storage

__all__ = ["StoppingError", "Wholesale"]


class StoppingError(SkylaneError):
    """The line is told to stop; what was written stays, and the next start goes on."""


class Wholesale:
    """Brings such sources up to date; for one at a time.

    Parameters
    ----------
    store
        Where rows are written.
    settings
        Of the catalogue.
    book
        Has the rules.
    storage
        Opens files on servers.
    report
        Told of each file, but not of those that have not changed, nor again of what was told.
    workers
        Processes that make rows, of as many as pay for the start.
    prune
        Whether files that vanish are removed from the catalogue.
    """

    def __init__(
        self,
        store: Store,
        settings: ObsCoreSettings,
        book: RuleBook,
        storage: Storage,
        report: Reporter,
        *,
        workers: int,
        prune: bool,
    ) -> None:
        self._store, self._settings, self._book = store, settings, book
        self._storage, self._report = storage, report
        self._workers, self._prune = workers, prune
        self._settled = Settled()

    def takes(self, source: Source) -> bool:
        """Tell whether a source is one of these.

        Raises
        ------
        SettingsError
            If the rules of its collection are wrong.
        """
        # What is wrong with the rules is told also where nothing is that they are for.
        opens = self._book.of(source.collection).headers
        return not opens and hasattr(source, "pages")

    def bring(self, source: Source, is_stopping: Callable[[], bool]) -> Summary:
        """Bring the catalogue to what a source holds; gives what was told.

        Raises
        ------
        StoppingError
            If the line is told to stop meanwhile.
        UsageError
            If the source is not there.
        ArchiveError, ServiceUnavailable
            If the store cannot be written; what was written before stays.
        """
        summary = Summary()

        def tell(report: FileReport) -> None:
            if report.status == "unchanged" or not self._is_news(report):
                return
            summary.add(report)
            self._report(report)

        def go_on(_done: int, _total: int) -> None:
            if is_stopping():
                raise StoppingError("the line is told to stop")

        ingest(
            source, self._store, self._settings, workers=self._workers, prune=self._prune,
            progress=go_on, report=tell, storage=self._storage, book=self._book,
        )  # fmt: skip
        return summary

    def _is_news(self, report: FileReport) -> bool:
        if report.status in {"added", "updated", "removed"}:
            self._settled.forget(report.uri)
            return True
        return self._settled.is_news(report.uri, f"{report.status} {report.reason}")
