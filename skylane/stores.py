"""What the commands of ``skylane store`` do."""

from __future__ import annotations

import tempfile
from pathlib import Path

from rich.console import Console

from obscore.store.base import Backend, StoreInfo
from obscore.store.choice import make_backend
from obscore.store.copy import copy_catalogue
from obscore.store.copytables import copy_tables
from obscore.store.settings import StoreSettings
from skylane.columns import declare_columns
from skylane.folder import SiteFolder
from skylane.progress import step
from skylane.settings import load_settings
from vodal.errors import UsageError

__all__ = ["copy", "info", "upgrade"]


def info(console: Console, site_path: Path) -> None:
    """Tell what the site's store is and holds; changes nothing."""
    found = _backend_of(site_path).info()
    console.print(found.place, soft_wrap=True)
    if found.layout is None:
        console.print("  not made yet; 'skylane ingest FOLDER' makes it")
        return
    note = "" if _is_current(found) else f", to be brought to {found.newest_layout} by 'upgrade'"
    console.print(f"  layout    {found.layout}{note}")
    console.print(f"  files     {found.files:,}")
    console.print(f"  products  {found.products:,}")
    console.print(f"  on disk   {found.size_bytes / 1e6:,.1f} MB")


def upgrade(console: Console, site_path: Path) -> None:
    """Bring the layout of the site's store up to date, or make the store."""
    settings = load_settings(site_path)
    site = SiteFolder(site_path)
    before = site.backend(settings.store).info()
    with step(console, "Bringing the store up to date"):
        backend = site.prepare(settings.store)
        after = backend.info()
    if before.layout is None:
        console.print(f"  made with layout {after.layout}: {after.place}", soft_wrap=True)
    elif before.layout == after.layout:
        console.print(f"  layout {after.layout} is the newest")
    else:
        console.print(f"  from layout {before.layout} to {after.layout}")
    declare_columns(console, backend, settings.obscore)


def copy(
    console: Console, site_path: Path, target: str, *, schema_name: str | None, resume: bool
) -> None:
    """Copy the site's catalogue to another store."""
    source = _backend_of(site_path)
    other = _backend_at(target, schema_name)
    if source.info().layout is None:
        raise UsageError("the site's store was not made yet; there is nothing to copy")
    if source.info().place == other.info().place:
        raise UsageError("--to names the site's own store")
    # Both need the newest layout.
    source.prepare()
    other.prepare()
    reader, writer = source.writer(), other.writer()
    try:
        with step(console, "Copying the catalogue") as progress:
            copied = copy_catalogue(reader, writer, resume=resume, progress=progress)
    finally:
        reader.close()
        writer.close()
    with (
        step(console, "Copying published tables") as progress,
        tempfile.TemporaryDirectory(prefix="copy-", dir=_scratch(site_path)) as folder,
    ):
        tables = copy_tables(source, other, Path(folder), resume=resume, progress=progress)
    console.print(f"  {copied.files:,} files with {copied.products:,} products")
    if copied.passed_over:
        console.print(f"  {copied.passed_over:,} files were there already")
    if tables.tables:
        console.print(f"  {tables.tables:,} published tables with {tables.rows:,} rows")
    if tables.passed_over:
        console.print(f"  {tables.passed_over:,} published tables were there already")
    console.print(f"  all of the site is in {other.info().place}", soft_wrap=True)


def _backend_of(site_path: Path) -> Backend:
    return SiteFolder(site_path).backend(load_settings(site_path).store)


def _scratch(site_path: Path) -> Path | None:
    """Give the site's folder for what may be deleted, if it is there."""
    cache = SiteFolder(site_path).cache
    return cache if cache.is_dir() else None


def _is_current(found: StoreInfo) -> bool:
    return found.layout == found.newest_layout


def _backend_at(target: str, schema_name: str | None) -> Backend:
    """Give the store at a URL of PostgreSQL, or in a file of SQLite."""
    if target.partition("://")[0] in {"postgresql", "postgres"}:
        named = {} if schema_name is None else {"schema_name": schema_name}
        return make_backend(StoreSettings.model_validate({"url": target, **named}), Path())
    if "://" in target or not target.endswith(".db"):
        raise UsageError("--to takes postgresql://user@host/database, or a file that ends in .db")
    path = Path(target)
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}")
    return make_backend(StoreSettings(), path)
