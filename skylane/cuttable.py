"""Cutouts of the rows of a table on the command line, made as a job of the service makes them.

What is made lies in ``OUTPUT.part`` beside the output until all is done, so that the same command
goes on after it was stopped or killed.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from hashlib import sha256
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow.csv
import pyarrow.parquet
from anyio.from_thread import start_blocking_portal
from rich.console import Console
from typing_extensions import override

from skylane.progress import step
from skylane.settings import SiteSettings, load_settings
from skylane.site import SiteFolder
from soda.app import make_pool
from soda.cut import file_source
from soda.finding import Finder
from soda.jobs import CutoutJobs
from soda.ledger import FILES, LOG, logged
from soda.outcomes import Status
from soda.packing import Packing
from soda.source import Source
from vodal.errors import NotFoundError, SkylaneError, UsageError
from vodal.fits.index import FileIndex
from vodal.products import Catalogue, Product, Resolver
from vodal.storage import LOCAL, Storage, StorageSettings
from vodal.tables.readers.limits import ReadLimits
from vodal.tables.readers.read import read_table
from vodal.tables.uploads import UploadedTable
from vodal.uws.jobs import Job, Phase, new_id
from vodal.uws.results import JobFolder
from vodal.uws.tasks import Stop, Task

__all__ = ["cut_table"]

_FILE_COLUMNS = ("file", "path", "url", "uri", "access_url", "image")
"""Names of columns, lower case, that name an image where no column is called ID."""
_ARCHIVES = {".tar": Packing.TAR, ".zip": Packing.ZIP}
_ANY = 1 << 62
_REQUEST = "request.sha256"
_POLL_S = 0.2
_SHOWN = 5
"""Rows that failed of which the reason is told; the index has all."""


class _NoSite(Resolver):
    """Where there is no catalogue."""

    @override
    def resolve(self, dids: Sequence[str]) -> dict[str, Product]:
        return {}

    @override
    def index(self, product: Product) -> FileIndex:
        raise NotFoundError(f"there is no dataset '{product.did}'")


class _NamedFinder(Finder):
    """Finds files and URLs by themselves, and else products of the site.

    Parameters
    ----------
    resolver
        Of the site.
    settings
        How files are opened; whatever the table names may be.
    """

    def __init__(self, resolver: Resolver, settings: StorageSettings, stack: ExitStack) -> None:
        storage = Storage(settings)
        stack.callback(storage.close)
        super().__init__(resolver, storage)
        self._settings, self._stack = settings, stack
        self._storages: dict[str, Storage] = {}

    @override
    def products(self, dids: Sequence[str]) -> dict[str, Product]:
        named = {did: one for did in dids if (one := _named(did)) is not None}
        return named | super().products([did for did in dids if did not in named])

    @override
    def source(self, product: Product) -> Source:
        if product.hdus:
            return super().source(product)
        source = file_source(product.uri, self._opens(product.uri))
        return replace(source, did=product.did)

    def _opens(self, uri: str) -> Storage:
        """Give what opens a file: who writes a URL into the table means it."""
        parts = urlsplit(uri)
        if parts.scheme == "file":
            return LOCAL
        place = f"{parts.scheme}://{parts.netloc}"
        if place not in self._storages:
            storage = Storage(self._settings.with_place(uri))
            self._stack.callback(storage.close)
            self._storages[place] = storage
        return self._storages[place]


def _named(text: str) -> Product | None:
    """Give a file or URL as a product without HDUs, which are found when it is cut."""
    if text.partition("://")[0].lower() in {"http", "https", "s3", "file"}:
        uri = text
    elif Path(text).is_file():
        uri = Path(text).resolve().as_uri()
    else:
        return None
    name = urlsplit(uri).path.rpartition("/")[2]
    return Product(text, "", uri, name, "", 0, "", 0.0, (), None)


def cut_table(
    console: Console,
    site_path: Path,
    table: Path,
    output: Path,
    given: Sequence[tuple[str, str]] = (),
    workers: int | None = None,
) -> int:
    """Make the cutouts that the rows of a table ask for.

    Parameters
    ----------
    console
        For what is told.
    site_path
        The site's folder; without a catalogue in it rows name files or URLs.
    table
        A VOTable, CSV, TSV, FITS table or Parquet. Columns as of a job (`soda.targets`), and
        ``file`` or ``url`` for images that are in no catalogue.
    output
        A ``.tar`` or ``.zip``, or else a folder to be made, with the index as Parquet and CSV.
    given
        The cutout service's parameters, for all rows.
    workers
        Processes that cut; as the settings say by default.

    Returns
    -------
    int
        How many cutouts failed; those without overlap did not.

    Raises
    ------
    UsageError
        If the output is there already, or what is beside it belongs to another table.
    SkylaneError
        If the table cannot be read, or no row can be cut.
    """
    if output.exists():
        raise UsageError(f"{output} is there already; move it away or name another")
    packing = _ARCHIVES.get(output.suffix.lower(), Packing.FILES)
    if any(name.upper() in {"ID", "MULTI", "UPLOAD"} for name, _ in given):
        raise UsageError("with --table ID is a column, and -o tells how the cutouts are packed")
    state = output.with_name(f"{output.name}.part")
    params = [("UPLOAD", "table,param:table"), ("MULTI", str(packing)), *given]
    with ExitStack() as stack:
        stack.enter_context(_own(state, _digest(table, params)))
        task = _task(state, params)
        try:
            total, errors = _make(console, site_path, table, task, workers, stack)
        except SkylaneError:
            if task.stop is None:
                # Nothing of it is of use, so that the next attempt begins anew.
                shutil.rmtree(state, ignore_errors=True)
            raise
        _place(state / str(task.job.claim), output, packing)
        shutil.rmtree(state, ignore_errors=True)
    console.print(f"Wrote {output}: {total}", soft_wrap=True, markup=False)
    return errors


@contextmanager
def _own(state: Path, digest: str) -> Iterator[None]:
    """Hold the folder of what is made so far, for this table and this process alone."""
    try:
        state.mkdir(parents=True, exist_ok=True)
        with (state / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(f"another process is at work in {state}") from None
            request = state / _REQUEST
            if not request.exists():
                request.write_text(digest)
            elif request.read_text() != digest:
                raise UsageError(
                    f"{state} has what was made of another table or with other parameters; go on"
                    " with those, or remove it"
                )
            yield
    except OSError as error:
        raise UsageError(f"{state} cannot be written: {error.strerror}") from None


def _digest(table: Path, params: Sequence[tuple[str, str]]) -> str:
    digest = sha256(json.dumps(params).encode())
    with table.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _task(state: Path, params: Sequence[tuple[str, str]]) -> Task:
    folder = JobFolder(state)
    # Each attempt is a run of the job, which goes on with what the one before made.
    claim = max((int(run.name) for run in folder.runs()), default=0) + 1
    # The archive's files have the time of the first attempt, by which later ones know them again.
    made = (state / _REQUEST).stat().st_mtime
    job = Job(new_id(), "soda", Phase.EXECUTING, made, made, 0, "", "", params=tuple(params),
              claim=claim)  # fmt: skip
    return Task(job, folder, _ANY)


def _make(
    console: Console,
    site_path: Path,
    table: Path,
    task: Task,
    workers: int | None,
    stack: ExitStack,
) -> tuple[str, int]:
    """Run the job in a thread; gives in words what came of it, and how many cutouts failed."""
    settings = load_settings(site_path)
    resolver, catalogue = _site(site_path, settings, stack)
    soda = settings.soda.model_copy(
        update={"max_cutouts": _ANY, "workers": workers or settings.soda.workers}
    )
    portal = stack.enter_context(start_blocking_portal())
    pool = make_pool(soda)
    stack.enter_context(portal.wrap_async_context_manager(pool))
    finder = _NamedFinder(resolver, settings.storage, stack)
    jobs = CutoutJobs(finder, pool, soda, lambda task: [_read(table, task)], catalogue)
    portal.call(jobs.start)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            jobs.run(task)
        except BaseException as error:  # noqa: BLE001 - raised anew below
            failures.append(error)

    thread = threading.Thread(target=run, name="cut")
    with step(console, f"Cutting the rows of {table.name}") as report:
        thread.start()
        try:
            while thread.is_alive():
                thread.join(_POLL_S)
                told = dict(task.info())
                report(int(told.get("done", 0)), int(told.get("cutouts", 0)))
        except BaseException:
            task.cancel(Stop.SHUTDOWN)
            thread.join()
            console.print("Stopped; the same command goes on with what is made so far.")
            raise
    if failures:
        raise failures[0]
    return _told(console, task)


def _told(console: Console, task: Task) -> tuple[str, int]:
    log = task.folder.run(task.job.claim) / LOG
    bad = (one for one in logged(log) if one.status is Status.ERROR)
    for one in islice(bad, _SHOWN):
        console.print(f"row {one.row}: {one.message}", soft_wrap=True, markup=False)
    told = dict(task.info())
    total = (
        f"{told['made']} cutouts, {told['noOverlap']} without overlap, {told['errors']} errors of"
        f" {told['cutouts']}; the index tells of each"
    )
    return total, int(told["errors"])


def _site(
    site_path: Path, settings: SiteSettings, stack: ExitStack
) -> tuple[Resolver, Catalogue | None]:
    """Give the site's catalogue, if there is one."""
    site = SiteFolder(site_path)
    if not settings.store.url and not site.database.exists():
        return _NoSite(), None
    backend = site.prepare(settings.store)
    resolver, catalogue = backend.resolver(), backend.catalogue()
    stack.callback(resolver.close)
    stack.callback(catalogue.close)
    return resolver, catalogue


def _read(path: Path, task: Task) -> UploadedTable:
    """Read the table; a column of files serves as one of identifiers."""
    task.folder.inputs.mkdir(exist_ok=True)
    limits = ReadLimits(max_rows=_ANY, max_table_bytes=_ANY)
    target = task.folder.inputs / f"table{task.job.claim}.arrow"
    table = read_table(path, target, "table", limits, file_name=path.name)
    names = [column.name.lower() for column in table.columns]
    chosen = next((name for name in _FILE_COLUMNS if name in names), None)
    if "id" in names or chosen is None:
        return table
    columns = list(table.columns)
    columns[names.index(chosen)] = replace(columns[names.index(chosen)], name="ID")
    return replace(table, columns=tuple(columns))


def _place(run: Path, output: Path, packing: Packing) -> None:
    """Put what is made in its place, at once."""
    if packing is not Packing.FILES:
        (run / f"cutouts.{packing}").rename(output)
        return
    folder, index = run / FILES, run / "index.parquet"
    rows = pyarrow.parquet.ParquetFile(index)
    with rows, pyarrow.csv.CSVWriter(folder / "index.csv", rows.schema_arrow) as writer:
        for batch in rows.iter_batches():
            writer.write_batch(batch)
    index.rename(folder / "index.parquet")
    folder.rename(output)
