"""``skylane query``: ADQL on the site's catalogue without a server, in every format of its answers.

What goes to standard output is the table alone; what is said besides goes to standard error.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from obscore.adql.tokens import RESERVED
from obscore.explain.told import explanation_lines, explanation_table
from obscore.tap.answer import write_answer
from obscore.tap.query import QueryRunner
from obscore.tap.request import QueryRequest
from obscore.tap.settings import TapSettings
from skylane.annotators import ANNOTATORS
from skylane.folder import SiteFolder
from skylane.settings import SiteSettings, load_settings
from vodal.errors import SettingsError, SkylaneError, UsageError
from vodal.params import Params
from vodal.tables.columns import ResultStream
from vodal.tables.formats import FORMATS, Format
from vodal.tables.negotiation import negotiate
from vodal.tables.uploads import UploadedTable
from vodal.uploads.tables import parse_uploads

__all__ = ["run_query"]

_SHOWN_ROWS = 1000
"""Shown on a terminal unless more are asked for."""

_EXTENSIONS = {
    # The first format of an extension is the usual one.
    **{item.extension: item for item in reversed(FORMATS)},
    **{
        also: next(item for item in FORMATS if item.name == name)
        for also, name in (
            ("votable", "votable"), ("fit", "fits"), ("arrow", "arrow"), ("htm", "html"),
        )
    },
}  # fmt: skip


def run_query(
    console: Console,
    site_path: Path,
    adql: str,
    *,
    output: Path | None = None,
    format_name: str | None = None,
    max_rows: int | None = None,
    uploads: Sequence[str] = (),
    explain: bool = False,
) -> None:
    """Run a query, or explain it, and show or write the rows.

    Parameters
    ----------
    console
        For what is said besides.
    site_path
        Folder of the site.
    adql
        The query.
    output
        File to write; its name's extension chooses the format. ``-`` and, with a format, none are
        standard output.
    format_name
        Name or media type of a format, as RESPONSEFORMAT takes it.
    max_rows
        Rows at most; by default 1000 where they are shown, else as many as the service would give.
    uploads
        Tables that come with the query, each as ``NAME=FILE``.
    explain
        Say what the database would do instead.

    Raises
    ------
    SkylaneError
        If anything is wrong; a file is written whole or not at all.
    """
    chosen = _format(output, format_name)
    settings = load_settings(site_path)
    base_url = settings.server.public_url or (
        f"http://{settings.server.host}:{settings.server.port}"
    )
    if max_rows is None:
        max_rows = _SHOWN_ROWS if chosen is None else settings.tap.max_rows
    with _runner(site_path, settings) as runner, _tables(uploads, settings.tap) as tables:
        if not explain:
            stream = runner.run(
                adql, max_rows, base_url, uploads=tables,
                # Who runs it can stop it.
                limit_s=settings.tap.async_max_limit_s,
            )  # fmt: skip
        else:
            explanation = runner.explain(adql, uploads=tables)
            if chosen is None:
                for line in explanation_lines(explanation):
                    print(line)  # noqa: T201 - the answer, as it is
                return
            stream = explanation_table(explanation)
        if chosen is None:
            _show(stream)
        else:
            _write(stream, QueryRequest(adql, max_rows, chosen), output, base_url)
        if stream.failure is not None:
            raise stream.failure
        if output is not None and str(output) != "-":
            console.print(f"Wrote {output}", soft_wrap=True)
        if stream.overflow:
            console.print(f"There are more than {max_rows} rows; see --maxrec", style="yellow")


@contextmanager
def _runner(site_path: Path, settings: SiteSettings) -> Iterator[QueryRunner]:
    """Give what runs queries on the site's catalogue."""
    backend = SiteFolder(site_path).prepare(settings.store)
    engine = backend.engine(
        connections=1, wait_s=settings.tap.wait_limit_s, batch_rows=settings.tap.batch_rows
    )
    runner = QueryRunner(engine, settings.tap)
    try:
        yield runner
    finally:
        runner.close()


def _format(output: Path | None, name: str | None) -> Format | None:
    """Give the format to write; None where rows are shown.

    Raises
    ------
    UsageError
        If it is not known.
    """
    if name is not None:
        return negotiate(Params([("FORMAT", name)]))
    if output is None:
        return None
    found = _EXTENSIONS.get(output.suffix.lower().removeprefix("."))
    if found is None:
        endings = ", ".join(dict.fromkeys(f".{item.extension}" for item in FORMATS))
        raise UsageError(
            f"-o takes a file that ends in {endings}; say the format of another by --format"
        )
    return found


# Tables that come with the query


@contextmanager
def _tables(given: Sequence[str], settings: TapSettings) -> Iterator[tuple[UploadedTable, ...]]:
    """Read tables; they are there until the block ends.

    Raises
    ------
    UsageError
        If one is not of the form, is not there, or is no table.
    TooLargeError
        If one is over a limit of the site.
    """
    if not given:
        yield ()
        return
    from vodal.tables.readers.read import read_table  # noqa: PLC0415 - most queries upload nothing

    named = [_split(text) for text in given]
    values = [f"{name},param:{number}" for number, (name, _) in enumerate(named)]
    sources = parse_uploads(values, len(given), RESERVED)
    with TemporaryDirectory(prefix="skylane-query-") as folder:
        tables: list[UploadedTable] = []
        for (_, path), source in zip(named, sources, strict=True):
            try:
                tables.append(
                    read_table(
                        path,
                        Path(folder) / f"{len(tables)}.arrow",
                        source.name,
                        settings.uploads.read_limits(),
                        file_name=path.name,
                    )
                )
            except SkylaneError as error:
                error.message = f"--upload {source.name}: {error.message}"
                error.args = (error.message,)
                raise
        yield tuple(tables)


def _split(text: str) -> tuple[str, Path]:
    name, mark, file = text.partition("=")
    if not mark or not name.strip() or not file:
        raise UsageError(f"--upload takes NAME=FILE, not '{text[:60]}'")
    path = Path(file)
    if not path.is_file():
        raise UsageError(f"--upload {name}: there is no file {path}")
    return name, path


# The rows


def _show(stream: ResultStream) -> None:
    """Print rows, fitted to the width of a terminal."""
    if not sys.stdout.isatty():
        text = next(item for item in FORMATS if item.name == "text")
        for piece in text.write(stream):
            _to_stdout(piece)
        return
    table = Table(*(column.name for column in stream.columns), box=None)
    for batch in stream.batches:
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            table.add_row(*("" if value is None else str(value) for value in row))
    Console(highlight=False, markup=False).print(table)


def _write(stream: ResultStream, asked: QueryRequest, output: Path | None, base_url: str) -> None:
    """Write rows as the service would."""
    pieces = write_answer(stream, asked, ANNOTATORS, base_url)
    if output is None or str(output) == "-":
        for piece in pieces:
            _to_stdout(piece)
        return
    part = output.with_name(f"{output.name}.part")
    try:
        with part.open("wb") as file:
            for piece in pieces:
                file.write(piece)
        if stream.failure is None:
            part.replace(output)
    except OSError as error:
        raise SettingsError(f"{output}: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)


def _to_stdout(piece: bytes) -> None:
    try:
        sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # Whoever read has seen enough (``| head``); nothing is left to be flushed at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
