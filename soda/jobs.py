"""What a job of cutouts does: from its parameters to its results (SODA 1.0 section 4.3)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, closing
from itertools import islice
from mmap import ACCESS_READ, mmap
from pathlib import Path

from prometheus_client import CollectorRegistry
from typing_extensions import override

from soda.batches import Batches
from soda.bulk import BulkWork, Made
from soda.combined import Combined, CombinedCutouts, read_combined
from soda.earlier import Earlier
from soda.finding import Finder
from soda.groups import MOST_GROUPS, check_groupable, grouped
from soda.jobresults import failure_of, in_order, one_each, outcome_of, write_result
from soda.ledger import FILES, WORKLIST, Ledger
from soda.metrics import CutoutMetrics
from soda.names import file_name
from soda.ordering import RowSorter
from soda.outcomes import (
    INDEX_NAME,
    Outcome,
    Status,
    failed,
    outcome_stream,
    selection_text,
)
from soda.output import Output
from soda.packing import Packing, read_packing
from soda.params import CutoutParams, parse_params
from soda.selection import Selection
from soda.settings import SodaSettings
from soda.targets import Targets, rows_of
from soda.worklist import Item, Worklist, WorklistWriter, list_items
from vodal.access.seen import had_by
from vodal.archives import ARCHIVES
from vodal.errors import (
    TooLargeError,
    UsageError,
)
from vodal.params import Params
from vodal.pool import WarmPool
from vodal.products import Catalogue, Product
from vodal.tables.csv import write_csv
from vodal.tables.parquet import write_parquet
from vodal.tables.uploads import UploadedTable
from vodal.uws.loop import ServiceLoop
from vodal.uws.results import JobFolder, StoppedError, disk_errors
from vodal.uws.tasks import JobRights, Task, Work, all_rights

__all__ = ["CutoutJobs"]

_PAGE = 500
_GROUP_BYTES = 1 << 20
"""Of the index; the server holds several times that while it is written."""

LookAt = Callable[[Params, JobFolder], AbstractContextManager[Sequence[UploadedTable]]]


class CutoutJobs(Work):
    """Makes the cutouts of jobs.

    Parameters
    ----------
    finder
        Finds datasets.
    pool
        Where cutouts are made.
    settings
        Limits.
    uploads
        Loads what was uploaded with a job.
    catalogue
        Finds products by place; without it a table has to name datasets.
    metrics
        Counts cutouts; by default nobody asks.
    look_at
        Reads what was uploaded before a job runs; without it that is looked at by the job alone.
    earlier
        Cutouts that are there already; without it all are made.
    rights_of
        Gives the rights of a job.
    """

    resumes = True

    def __init__(
        self,
        finder: Finder,
        pool: WarmPool,
        settings: SodaSettings,
        uploads: Callable[[Task], Sequence[UploadedTable]],
        catalogue: Catalogue | None = None,
        metrics: CutoutMetrics | None = None,
        look_at: LookAt | None = None,
        earlier: Earlier | None = None,
        rights_of: JobRights = all_rights,
    ) -> None:
        self._earlier, self._rights_of = earlier, rights_of
        self._look_at = look_at
        self._metrics = metrics or CutoutMetrics(CollectorRegistry())
        self._uploads = uploads
        self._catalogue = catalogue
        self._finder = finder
        self._pool = pool
        self._settings = settings
        self._loop = ServiceLoop()

    def start(self) -> None:
        """Remember the event loop of the pool; jobs have threads of their own."""
        self._loop.start()

    @override
    def check(self, params: Params, folder: JobFolder) -> None:
        packing, given = read_packing(params)
        combined = read_combined(given, self._settings)
        if combined is not None:
            if packing is Packing.MEF:
                check_groupable(combined.output)
            return
        has_table = bool(given.all("UPLOAD"))
        packing = packing or (Packing.TAR if has_table else None)
        each = Params([("ID", "-"), *_common(given)]) if has_table else given
        asked = parse_params(each, max_side=self._settings.max_picture_side)
        if packing is Packing.MEF:
            check_groupable(asked.output)
        if not has_table:
            self._combinations(asked, packing)
            self._check_known(asked.dids, self._finder.within(self._rights_of(folder)))
        elif self._look_at is not None:
            with self._look_at(given, folder) as tables:
                self._targets(tables, given, asked.output, self._finder, self._catalogue)
                if not tables[0].rows:
                    raise UsageError("UPLOAD: there is nothing to cut out, the table has no rows")
                if tables[0].rows > self._most(packing):
                    raise self._too_many(packing)

    @override
    def run(self, task: Task) -> None:
        packing, given = read_packing(Params(task.job.params))
        has_table = bool(given.all("UPLOAD"))
        packing = packing or (Packing.TAR if has_table else None)
        combined = read_combined(given, self._settings)
        if combined is None:
            each = Params([("ID", "-"), *_common(given)]) if has_table else given
            asked = parse_params(each, max_side=self._settings.max_picture_side)
        output = asked.output if combined is None else combined.output
        if packing is Packing.MEF:
            check_groupable(output)
        kind = ARCHIVES.get(packing or "")
        archive = None if kind is None else kind(task.job.created_unix_s)
        rights = self._rights_of(task.folder)
        finder = self._finder.within(rights)
        catalogue = None if self._catalogue is None else had_by(rights, self._catalogue)
        with Ledger(task, archive) as ledger:
            if not ledger.begin():
                path = ledger.run / WORKLIST
                if combined is not None:
                    list_items(combined.items(), path)
                elif has_table:
                    targets = self._targets(
                        tables := self._uploads(task), given, output, finder, catalogue
                    )
                    self._list_rows(task, targets, tables[0], packing, path)
                else:
                    self._list(asked, packing, path, finder)
            worklist = Worklist(ledger.run / WORKLIST)
            self._report(task, ledger, len(worklist))
            maker = self._maker(task, combined, output, finder, catalogue)
            with closing(self._made(maker, worklist, ledger.done)) as coming:
                for item, made in coming:
                    ledger.add(*outcome_of(item, made))
                    self._report(task, ledger, len(worklist))
            self._finish(task, ledger, packing, output)
            # Once more: each result has told of its own bytes.
            self._report(task, ledger, len(worklist))

    def _maker(
        self,
        task: Task,
        combined: Combined | None,
        output: Output,
        finder: Finder,
        catalogue: Catalogue | None,
    ) -> Batches | CombinedCutouts:
        settings = self._settings
        work = BulkWork(task, self._pool, self._loop.get(), self._metrics)
        if combined is not None:
            return CombinedCutouts(work, combined, finder, catalogue, settings)
        return Batches(work, finder, settings.max_output_bytes, output)

    def _made(
        self, maker: Batches | CombinedCutouts, worklist: Worklist, done: int
    ) -> Generator[tuple[Item, Made], None, None]:
        if self._earlier is not None:
            return self._earlier.with_new(worklist, done, maker)
        return maker.made(worklist.items(done))

    @staticmethod
    def _report(task: Task, ledger: Ledger, total: int) -> None:
        task.report(
            cutouts=total,
            done=ledger.done,
            made=ledger.counts[Status.OK],
            noOverlap=ledger.counts[Status.NO_OVERLAP],
            errors=ledger.counts[Status.ERROR],
            bytes=ledger.files_bytes,
        )

    # What to cut

    def _list(
        self, asked: CutoutParams, packing: Packing | None, path: Path, finder: Finder
    ) -> None:
        wanted = self._combinations(asked, packing)
        width = len(str(len(wanted)))
        numbered = iter(enumerate(wanted, 1))
        with WorklistWriter(path) as writer:
            while page := list(islice(numbered, _PAGE)):
                products = finder.products(list(dict.fromkeys(did for _, (did, _) in page)))
                for number, (did, selection) in page:
                    name = f"{number:0{width}d}"
                    product = products.get(did)
                    if product is not None:
                        suffix = asked.output.format.suffix
                        name = f"{name}_{file_name(product, selection.stencil, suffix)}"
                    message = "" if product is not None else failed(finder.absent(did))
                    writer.add(_item(number, name, did, selection, product, message))
            writer.finish()

    def _combinations(
        self, asked: CutoutParams, packing: Packing | None
    ) -> list[tuple[str, Selection]]:
        most = self._most(packing)
        wanted = list(islice(asked.combinations(), most + 1))
        if len(wanted) > most:
            raise TooLargeError(
                f"ID, POS, CIRCLE, POLYGON, BAND and TIME have more than {most} combinations, the"
                f" most for {'one result each' if packing is None else f'MULTI={packing}'};"
                " ask for fewer at once, for MULTI=tar, or upload a table"
            )
        return wanted

    @staticmethod
    def _check_known(dids: Sequence[str], finder: Finder) -> None:
        """Refuse a job of which no dataset is here; of some, each result tells of its own."""
        pages = iter(dids)
        while page := list(islice(pages, _PAGE)):
            if finder.products(page):
                return
        error = finder.absent(dids[0])
        raise type(error)(f"ID: {error.message}")

    @staticmethod
    def _targets(
        tables: Sequence[UploadedTable],
        given: Params,
        output: Output,
        finder: Finder,
        catalogue: Catalogue | None,
    ) -> Targets:
        if len(tables) != 1:
            raise UsageError(f"UPLOAD takes one table, not {len(tables)}")
        suffix = output.format.suffix
        return Targets(tables[0].columns, given, finder, catalogue, suffix)

    def _list_rows(
        self,
        task: Task,
        targets: Targets,
        table: UploadedTable,
        packing: Packing | None,
        path: Path,
    ) -> None:
        """List what the rows of an uploaded table ask for."""

        def check() -> None:
            if task.cancelled.is_set():
                raise StoppedError("the job was stopped")

        most = self._most(packing)
        with WorklistWriter(path) as writer:
            for item in targets.items(rows_of(table), check):
                if writer.count >= most:
                    raise self._too_many(packing)
                writer.add(item)
                if writer.count % _PAGE == 0:
                    task.report(listed=writer.count)
            writer.finish()

    def _too_many(self, packing: Packing | None) -> TooLargeError:
        return TooLargeError(
            f"UPLOAD: the table asks for more than {self._most(packing)} cutouts, the most for"
            f" MULTI={packing}; divide it, or choose by COLLECTION and FILTER"
        )

    def _most(self, packing: Packing | None) -> int:
        most = self._settings.max_combinations
        match packing:
            case Packing.TAR | Packing.ZIP | Packing.FILES:
                most = self._settings.max_cutouts
            case Packing.MEF:
                most = min(most, MOST_GROUPS)
            case None:
                pass
        return most

    # Results

    def _finish(self, task: Task, ledger: Ledger, packing: Packing | None, output: Output) -> None:
        if ledger.counts[Status.ERROR] == ledger.done:
            raise failure_of(ledger.outcomes())
        with RowSorter(ledger.run / "index.unsorted") as rows:
            for one in ledger.outcomes():
                rows.add("", one.number, one.line())
            self._give(task, ledger, packing, output, rows)

    def _give(
        self,
        task: Task,
        ledger: Ledger,
        packing: Packing | None,
        output: Output,
        rows: RowSorter,
    ) -> None:
        """Make the results, with what became of each cutout in the order of their numbers."""
        match packing:
            case Packing.TAR | Packing.ZIP:
                path = ledger.run / INDEX_NAME
                with disk_errors(), path.open("wb") as file:
                    file.writelines(write_csv(outcome_stream(map(Outcome.read, rows.rows()))))
                name = ledger.finish(path)
                task.add_result("cutouts", name, ARCHIVES[packing](0.0).media_type)
            case Packing.MEF:
                self._one_file(task, ledger, in_order(ledger), output)
            case None:
                one_each(task, in_order(ledger), output)
            case Packing.FILES:
                pass
        table = outcome_stream(map(Outcome.read, rows.rows()))
        write_result(task, "index", "application/vnd.apache.parquet", "parquet",
               write_parquet(table, group_bytes=_GROUP_BYTES))  # fmt: skip

    def _one_file(
        self, task: Task, ledger: Ledger, outcomes: Sequence[Outcome], output: Output
    ) -> None:
        made = {one.number: one for one in outcomes if one.status is Status.OK}
        if not made:
            one_each(task, outcomes, output)
            return
        limit = self._settings.max_output_bytes
        if ledger.files_bytes > limit:
            raise TooLargeError(
                f"the cutouts take more than {limit / 1e6:.3g} MB, the limit of one file; ask for"
                " fewer or smaller ones, or for MULTI=tar"
            )

        def body_of(number: int) -> mmap:
            with disk_errors(), (ledger.run / FILES / made[number].file_name).open("rb") as file:
                return mmap(file.fileno(), 0, access=ACCESS_READ)

        write_result(task, "cutouts", "image/fits", "fits", grouped(outcomes, list(made), body_of))
        ledger.drop_files()


def _common(given: Params) -> list[tuple[str, str]]:
    return [
        (name, value)
        for name, values in given.items()
        for value in values
        if name not in {"UPLOAD", "ID"}
    ]


def _item(
    number: int, name: str, did: str, selection: Selection, product: Product | None, message: str
) -> Item:
    region = selection_text(selection)
    if product is None:
        return Item(number, 0, did, "", region, name, message, selection)
    return Item(number, 0, did, product.uri, region, name, "", selection)
