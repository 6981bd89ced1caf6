"""Cutouts of the rows of a table on the command line, made as a job of the service makes them.

What is made lies in ``OUTPUT.part`` beside the output until all is done, so that the same command
goes on after it was stopped or killed. Where rows failed, what became of each is kept there, so
that these can be tried again.
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

from obscore.assembly.opening import OpeningResolver
from skylane.folder import SiteFolder
from skylane.progress import step
from skylane.settings import SiteSettings, load_settings
from soda.app import make_pool
from soda.cut import file_source
from soda.earlier import Earlier
from soda.finding import Finder
from soda.jobs import CutoutJobs
from soda.ledger import FILES, LOG, logged
from soda.outcomes import Status
from soda.packing import Packing
from soda.source import Source
from vodal.archives import ARCHIVES
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
_PACKINGS = {".tar": Packing.TAR, ".zip": Packing.ZIP}
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
        if product.collection:
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
    """Give a file or URL as a product of no collection; its HDUs are found when it is cut."""
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
    *,
    retry: bool = False,
) -> int:
    """Make the cutouts that the rows of a table ask for.

    Parameters
    ----------
    console
        For what is told.
    site_path
        The site's folder; without a catalogue in it rows name files or URLs.
    table
        A VOTable, CSV, TSV, ECSV, FITS table or Parquet. Columns as of a job (`soda.targets`), and
        ``file`` or ``url`` for images that are in no catalogue.
    output
        A ``.tar`` or ``.zip``, or else a folder to be made, with the index as Parquet and CSV.
    given
        The cutout service's parameters, for all rows.
    workers
        Processes that cut; as the settings say by default.
    retry
        Whether the rows that failed are made anew where the output is there already; the cutouts
        that it has are kept, as far as the table still asks for them.

    Returns
    -------
    int
        How many cutouts failed; those without overlap did not.

    Raises
    ------
    UsageError
        If the output is there already and nothing of it is to be tried again, or what is beside
        it belongs to another table.
    SkylaneError
        If the table cannot be read, or no row can be cut.
    """
    packing = _PACKINGS.get(output.suffix.lower(), Packing.FILES)
    if any(name.upper() in {"ID", "MULTI", "UPLOAD"} for name, _ in given):
        raise UsageError("with --table ID is a column, and -o tells how the cutouts are packed")
    state = output.with_name(f"{output.name}.part")
    _check_output(output, state, retry=retry)
    params = [("UPLOAD", "table,param:table"), ("MULTI", str(packing)), *given]
    with ExitStack() as stack:
        stack.enter_context(_own(state, _Request(params, table), is_new=not output.exists()))
        replaced = state / "replaced"
        if replaced.exists() and not output.exists():
            # An attempt ended just before its own output was put there.
            replaced.rename(output)
        task = _task(state, params)
        earlier = _earlier(state, output, packing) if output.exists() else None
        try:
            total, errors = _make(console, site_path, table, task, workers, stack, earlier)
        except SkylaneError:
            if task.stop is None:
                # Nothing of it is of use, so that the next attempt begins anew.
                _forget(task, state, wholly=earlier is None)
            raise
        if errors:
            shutil.copyfile(task.folder.run(task.job.claim) / LOG, state / f"{LOG}.new")
            (state / f"{LOG}.new").replace(state / LOG)
        _place(state / str(task.job.claim), output, packing, replaced)
        _forget(task, state, wholly=not errors)
    console.print(f"Wrote {output}: {total}", soft_wrap=True, markup=False)
    if errors:
        console.print("The same command with --retry makes the rows that failed anew.")
    return errors


def _check_output(output: Path, state: Path, *, retry: bool) -> None:
    if not output.exists():
        return
    if not retry:
        more = ", or try the rows that failed again by --retry" if (state / LOG).exists() else ""
        raise UsageError(f"{output} is there already; move it away or name another{more}")
    if not (state / LOG).exists():
        raise UsageError(f"no row failed of which {output} was made; there is nothing to --retry")


def _earlier(state: Path, output: Path, packing: Packing) -> Earlier:
    kind = ARCHIVES.get(packing)
    return Earlier(state / LOG, output, None if kind is None else kind(0.0))


def _forget(task: Task, state: Path, *, wholly: bool) -> None:
    """Remove what was made so far; else but what a later attempt needs of the output."""
    if wholly:
        shutil.rmtree(state, ignore_errors=True)
        return
    task.folder.drop_runs()
    task.folder.drop_inputs()
    shutil.rmtree(state / "replaced", ignore_errors=True)


class _Request:
    """What is asked for, by digests of the parameters and of the table."""

    def __init__(self, params: Sequence[tuple[str, str]], table: Path) -> None:
        self.params = sha256(json.dumps(params).encode()).hexdigest()
        digest = sha256()
        with table.open("rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
        self.text = f"{self.params} {digest.hexdigest()}"


@contextmanager
def _own(state: Path, asked: _Request, *, is_new: bool) -> Iterator[None]:
    """Hold the folder of what is made so far, for this table and this process alone.

    Where an attempt is under way, all must be as it was; where one is begun for an output that is
    there, the parameters must, and the table may have been mended.
    """
    try:
        state.mkdir(parents=True, exist_ok=True)
        with (state / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(f"another process is at work in {state}") from None
            request = state / _REQUEST
            known = request.read_text() if request.exists() else ""
            runs = JobFolder(state).runs()
            if known != asked.text and runs:
                raise UsageError(
                    f"{state} has what was made of another table or with other parameters; go on"
                    " with those, or remove it"
                )
            if not is_new and not known.startswith(asked.params):
                raise UsageError(f"the output beside {state} was made with other parameters")
            if known != asked.text:
                request.write_text(asked.text)
            yield
    except OSError as error:
        raise UsageError(f"{state} cannot be written: {error.strerror}") from None


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
    earlier: Earlier | None,
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
    jobs = CutoutJobs(
        finder, pool, soda, lambda task: [_read(table, task)], catalogue, earlier=earlier
    )
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
    storage = Storage(settings.storage)
    stack.callback(storage.close)
    resolver, catalogue = OpeningResolver(backend, storage), backend.catalogue()
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


def _place(run: Path, output: Path, packing: Packing, replaced: Path) -> None:
    """Put what is made in its place, at once; a folder that was there is moved away."""
    if packing is not Packing.FILES:
        (run / f"cutouts.{packing}").rename(output)
        return
    folder, index = run / FILES, run / "index.parquet"
    rows = pyarrow.parquet.ParquetFile(index)
    with rows, pyarrow.csv.CSVWriter(folder / "index.csv", rows.schema_arrow) as writer:
        for batch in rows.iter_batches():
            writer.write_batch(batch)
    index.rename(folder / "index.parquet")
    if output.exists():
        shutil.rmtree(replaced, ignore_errors=True)
        output.rename(replaced)
    folder.rename(output)
