"""What ``skylane registry`` does: the records of a site as files."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from rich.console import Console

from skylane.access import SiteAccess
from skylane.folder import SiteFolder
from skylane.registry.app import make_records
from skylane.registry.records import Record
from skylane.registry.voresource import document
from skylane.settings import load_settings
from vodal.errors import SettingsError

__all__ = ["write_records"]

_NO_LIMIT_S = 1e6


def write_records(console: Console, site_path: Path, folder: Path) -> None:
    """Write each record as a file; those of records that are gone are removed.

    Raises
    ------
    SettingsError
        If the settings have no registry, or the files cannot be written.
    SkylaneError
        If the store does not answer.
    """
    settings = load_settings(site_path)
    if not settings.registry.configured:
        raise SettingsError(
            "skylane.toml has no section [registry]; it needs publisher, contact_name,"
            " contact_email, description and subjects"
        )
    site = SiteFolder(site_path)
    backend = site.prepare(settings.store)
    # Who runs it can stop it.
    moc = settings.obscore.moc.model_copy(update={"wait_limit_s": _NO_LIMIT_S})
    catalogue = settings.obscore.model_copy(update={"moc": moc})
    access = SiteAccess(settings, site.signing_key)
    with closing(site.maps(catalogue, backend)) as maps:
        records = make_records(settings, backend, maps, access.public, site.registry)
        with closing(records.holdings.engine):
            found = records.current()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for one in found:
            _put(folder, one)
    except OSError as error:
        raise SettingsError(f"{folder}: {error.strerror}") from None
    console.print(
        f"Wrote {sum(one.resource is not None for one in found)} records to {folder}",
        soft_wrap=True, markup=False,
    )  # fmt: skip


def _put(folder: Path, record: Record) -> None:
    """Write a file, or remove that of a record that is gone."""
    # No key has a comma, so that no two records have one name.
    name = record.identifier.removeprefix("ivo://").replace("/", ",")
    path = folder / f"{name}.xml"
    if record.resource is None:
        path.unlink(missing_ok=True)
        return
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(document(record.element("ivo_vor")))
    part.replace(path)
