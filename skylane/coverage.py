"""What ``skylane moc`` does: the coverage map of a collection, or of all, into a file."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console

from obscore.coverage.app import make_maps
from obscore.coverage.documents import find_form, write_moc
from obscore.coverage.settings import CoverageSettings
from skylane.folder import SiteFolder
from skylane.settings import load_settings
from vodal.access.rules import EVERYTHING
from vodal.errors import UsageError

__all__ = ["write_map"]

_NO_LIMIT_S = 1e6


def write_map(
    console: Console,
    site_path: Path,
    collection: str | None,
    output: Path,
    form_name: str | None,
    order: int | None,
) -> None:
    """Write a map of all images, whoever may know of them.

    Raises
    ------
    UsageError
        If there is no such form.
    NotFoundError
        If there is no such collection.
    """
    form = find_form(form_name or output.suffix.removeprefix(".") or "fits")
    if form is None:
        raise UsageError(f"a map is written as .fits, .json or .txt, not as {output.name}")
    settings = load_settings(site_path)
    site = SiteFolder(site_path)
    changed: dict[str, object] = {"wait_limit_s": _NO_LIMIT_S}
    orders = settings.obscore.moc_orders
    if order is not None:
        changed["order"], orders = order, {}
    wanted = CoverageSettings.model_validate(settings.obscore.moc.model_dump() | changed)
    maps = make_maps(site.prepare(settings.store), wanted, orders, site.cache)
    try:
        data = write_moc(maps.find(collection, EVERYTHING), form)
    finally:
        maps.close()
    if str(output) == "-":
        sys.stdout.buffer.write(data)
        return
    output.write_bytes(data)
    console.print(f"Wrote {output}", soft_wrap=True, markup=False)
