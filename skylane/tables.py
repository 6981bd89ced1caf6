"""What the commands of ``skylane table`` do."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from obscore.adql.tokens import delimited
from obscore.columns import COLUMNS
from obscore.declared.check import MAX_COLUMNS
from obscore.declared.draft import draft
from obscore.declared.names import check_schema_name, split_name
from obscore.declared.publication import Publication
from obscore.declared.reading import read_declaration
from obscore.declared.rows import DeclaredRows, matched
from obscore.declared.tables import (
    DeclaredColumn,
    DeclaredIndex,
    DeclaredSchema,
    DeclaredTable,
)
from obscore.declared.writing import write_declaration
from obscore.store.base import TableStore
from skylane.folder import SiteFolder
from skylane.progress import step
from skylane.settings import load_settings
from vodal.errors import NotFoundError, SkylaneError, UsageError
from vodal.tables.readers.limits import ReadLimits
from vodal.tables.readers.read import read_table
from vodal.tables.uploads import UploadedTable

__all__ = ["declare", "drop", "export", "list_tables", "load", "publish"]

_LIMITS = ReadLimits(
    max_rows=10_000_000_000,
    max_columns=MAX_COLUMNS,
    max_cell_bytes=16 << 20,
    max_table_bytes=1 << 44,
)
"""Of an operator's own files: what the stores take, and no more."""


@contextmanager
def _opened(site_path: Path) -> Iterator[TableStore]:
    """Open the site's store for publishing, made ready."""
    store = SiteFolder(site_path).prepare(load_settings(site_path).store).tables()
    try:
        yield store
    finally:
        store.close()


@contextmanager
def _scratch(site_path: Path) -> Iterator[Path]:
    """Give a folder of the site for what is read of files; it goes with the block."""
    cache = SiteFolder(site_path).cache
    where = cache if cache.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="table-", dir=where) as name:
        yield Path(name)


@contextmanager
def _about(file: Path) -> Iterator[None]:
    """Name the file in errors about what it holds."""
    try:
        yield
    except SkylaneError as error:
        error.message = f"{file}: {error.message}"
        error.args = (error.message,)
        raise


def publish(console: Console, site_path: Path, declaration: Path, data: Sequence[str]) -> None:
    """Publish the tables of a declaration, with the rows of files."""
    with _about(declaration):
        declared, notes = read_declaration(_text(declaration))
    _tell(console, notes)
    files = _files(declared, data)
    with _opened(site_path) as store, _scratch(site_path) as folder:
        rows = _rows(console, folder, declared, files)
        with step(console, f"Publishing {declared.name}") as progress:
            store.publish(declared, rows, progress=progress)
        _tell_rows(console, store.publication(), declared)


def load(console: Console, site_path: Path, name: str, file: Path) -> None:
    """Put the rows of a file in the place of those of a table."""
    with _opened(site_path) as store, _scratch(site_path) as folder:
        before = store.publication()
        found = before.named(name)
        schema = before.schema(found.schema)
        assert schema is not None
        declared = schema.only([found.table.name])
        rows = _rows(console, folder, declared, {found.table.name: file})
        with step(console, f"Loading {found.full_name}") as progress:
            store.publish(declared, rows, progress=progress)
        _tell_rows(console, store.publication(), declared)


def list_tables(console: Console, site_path: Path) -> None:
    """List the published tables."""
    with _opened(site_path) as store:
        publication = store.publication()
    if not publication.tables:
        console.print("no tables are published beside ivoa.obscore; 'skylane table publish' does")
        return
    shown = Table("table", "rows", "columns", "loaded", "description", box=None)
    for item in publication.tables:
        shown.add_row(
            item.full_name,
            f"{item.rows:,}",
            str(len(item.table.columns)),
            item.loaded,
            item.table.description or "",
        )
    console.print(shown)


def drop(console: Console, site_path: Path, names: Sequence[str]) -> None:
    """Remove tables."""
    with _opened(site_path) as store:
        publication = store.publication()
        found = [publication.named(name) for name in names]
        store.drop([item.names for item in found])
    for item in found:
        console.print(f"  {item.full_name} is gone, with its {item.rows:,} rows")


def export(site_path: Path, name: str | None) -> str:
    """Give published tables as Felis YAML."""
    if name is not None and split_name(name)[0].lower() == "ivoa":
        with _opened(site_path) as store:
            return write_declaration(_obscore(store.publication()))
    with _opened(site_path) as store:
        publication = store.publication()
    return write_declaration(_chosen(publication, name))


def _chosen(publication: Publication, name: str | None) -> DeclaredSchema:
    """Give the schema, or the part of it, that is asked for."""
    names = [schema.name for schema in publication.schemas]
    listed = ", ".join(map(delimited, names)) or "none"
    if name is None:
        if len(names) != 1:
            raise UsageError(
                f"a declaration holds one schema; name one of those that are published: {listed}"
            )
        return publication.schemas[0]
    parts = split_name(name)
    if len(parts) == 1:
        same = [item for item in names if item == parts[0]]
        same += [item for item in names if item.lower() == parts[0].lower()]
        schema = publication.schema(same[0]) if same else None
        if schema is None:
            raise NotFoundError(f"there is no published schema '{name[:80]}'; there is {listed}")
        return schema
    found = publication.named(name)
    schema = publication.schema(found.schema)
    assert schema is not None
    return schema.only([found.table.name])


def _obscore(publication: Publication) -> DeclaredSchema:
    """Declare ``ivoa.obscore`` as it is, for who wants to have it elsewhere."""
    items = (*COLUMNS, *(one.item for one in publication.extra))
    columns = tuple(
        DeclaredColumn(item.column, item.nullable, item.mandatory, item.mandatory) for item in items
    )
    plain = tuple(
        DeclaredIndex(f"obscore_{item.name}", (item.name,))
        for item in items
        if item.indexed and item.name != "obs_publisher_did"
    )
    spatial = (
        DeclaredIndex("obscore_s_region", ("s_region",)),
        DeclaredIndex("obscore_position", ("s_ra", "s_dec")),
    )
    table = DeclaredTable(
        "obscore",
        columns,
        "Observations, as ObsCore 1.1",
        "ivo://ivoa.net/std/obscore#table-1.1",
        ("obs_publisher_did",),
        plain + spatial,
    )
    return DeclaredSchema("ivoa", (table,))


def declare(site_path: Path, file: Path, name: str | None) -> tuple[str, tuple[str, ...]]:
    """Give a declaration for a file, and what of it could not be kept."""
    stem = file.name.removesuffix(".gz").partition(".")[0] or "table"
    parts = ("site", stem) if name is None else split_name(name)
    schema, table = parts if len(parts) == 2 else ("site", parts[0])
    check_schema_name(schema)
    with _scratch(site_path) as folder, _about(file):
        read = _read(file, folder / "table.arrow", table, frozenset())
    declared, notes = draft(schema, table, read.columns)
    comments = (
        f"Made from {file.name}; see what is missing: descriptions, units, UCDs, a primaryKey,",
        "'nullable: false', 'tap:principal: 1' for what matters most, further indexes.",
    )
    return write_declaration(declared, comments + notes), notes


# Files --------------------------------------------------------------------------------------------


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        raise UsageError("this is no YAML: it is not UTF-8") from None
    except OSError as error:
        raise UsageError(f"{error.strerror}") from None


def _files(declared: DeclaredSchema, data: Sequence[str]) -> dict[str, Path]:
    """Say which file has the rows of which table: FILE, or TABLE=FILE where there are several."""
    names = [table.name for table in declared.tables]
    files: dict[str, Path] = {}
    for given in data:
        table, separator, path = given.partition("=")
        if not separator or (len(names) == 1 and Path(given).is_file()):
            if len(names) > 1:
                raise UsageError(
                    f"--data {given}: the declaration has {len(names)} tables; write TABLE=FILE,"
                    f" with a table of {', '.join(names)}"
                )
            table, path = names[0], given
        if table not in names:
            raise UsageError(
                f"--data {given}: the declaration has no table {table}; it has {', '.join(names)}"
            )
        if table in files:
            raise UsageError(f"--data {given}: the table {table} has its rows from one file")
        if not Path(path).is_file():
            raise UsageError(f"--data {given}: there is no file {path}")
        files[table] = Path(path)
    return files


def _rows(
    console: Console, folder: Path, declared: DeclaredSchema, files: dict[str, Path]
) -> dict[str, DeclaredRows]:
    rows: dict[str, DeclaredRows] = {}
    for number, table in enumerate(declared.tables):
        file = files.get(table.name)
        if file is None:
            continue
        texts = frozenset(
            item.name.lower()
            for item in table.columns
            if item.column.datatype in {"char", "unicodeChar"}
        )
        with step(console, f"Reading {file.name}"), _about(file):
            read = _read(file, folder / f"{number}.arrow", table.name, texts)
            rows[table.name], notes = matched(table, read)
        _tell(console, notes)
    return rows


def _read(file: Path, target: Path, name: str, texts: frozenset[str]) -> UploadedTable:
    return read_table(file, target, name, _LIMITS, file_name=file.name, texts=texts)


def _tell(console: Console, notes: Sequence[str]) -> None:
    for note in notes:
        console.print(f"  note: {note}", style="yellow", soft_wrap=True, markup=False)


def _tell_rows(console: Console, publication: Publication, declared: DeclaredSchema) -> None:
    for table in declared.tables:
        item = publication.find(declared.name, table.name)
        if item is not None:
            console.print(f"  {item.full_name}: {item.rows:,} rows", markup=False)
