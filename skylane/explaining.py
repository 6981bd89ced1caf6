"""What ``skylane ingest --explain`` does: each column of a file's rows and where it came from."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from obscore.assembly.explain import ColumnOrigin, FileOrigins, ProductOrigins, explain_file
from obscore.assembly.refusal import Refusal
from obscore.assembly.rules import rules_for
from obscore.assembly.trace import MAPPING, Look
from obscore.settings import ObsCoreSettings
from obscore.sources.base import Problem, Source
from obscore.sources.choice import configured_source, source_of, with_folders
from obscore.sources.fits import file_uri
from obscore.sources.servers import is_address
from obscore.store.base import Backend
from skylane.folder import SiteFolder
from skylane.settings import load_settings
from vodal.errors import UsageError
from vodal.products import Resolver
from vodal.storage import Storage

__all__ = ["explain_files"]

_NAMES = 12
"""So many names of missing cards are shown; JSON has them all."""


def explain_files(
    console: Console,
    site: Path,
    places: Sequence[Path | str],
    collection: str | None,
    *,
    as_json: bool = False,
) -> None:
    """Tell of each file how its rows would be made; writes nothing.

    Parameters
    ----------
    console
        For the tables.
    site
        Folder of the site, for its settings.
    places
        Files, folders, addresses and lists of them, as an ingest takes them.
    collection
        To which they belong; by default as an ingest finds it.
    as_json
        Whether to print an object of JSON for each file, a line each, instead of tables.

    Raises
    ------
    UsageError
        If no file is named.
    SettingsError
        If the settings or a mapping file are wrong.
    """
    if not places:
        raise UsageError("--explain tells of files; name one")
    settings = load_settings(site)
    with ExitStack() as stack:
        storage = stack.enter_context(closing(Storage(settings.storage)))
        resolver = _resolver(SiteFolder(site).backend(settings.store), stack)
        for place in places:
            source, uri = _source(place, settings.obscore, storage, collection)
            rules = rules_for(with_folders(settings.obscore, [source]), source.collection, storage)
            items = [one for one in source.walk() if one.uri == uri] if uri else source.walk()
            if not items:
                raise UsageError(f"the source of the collection {collection} has no file {place}")
            for item in items:
                if isinstance(item, Problem):
                    console.print(f"{item.uri}: {item.message}", style="red", markup=False)
                    continue
                if rules.skips(item.relative) and not as_json:
                    console.print(f"{item.relative} is left out by the settings", markup=False)
                origins = explain_file(item, rules, storage)
                if resolver is not None:
                    origins = _with_retractions(origins, resolver)
                if as_json:
                    console.print(json.dumps(origins.to_dict()), soft_wrap=True, markup=False)
                else:
                    _show(console, origins)


def _resolver(backend: Backend, stack: ExitStack) -> Resolver | None:
    """Give what knows of retracted products; None while there is no store, or an older one."""
    found = backend.info()
    if found.layout is None or found.layout != found.newest_layout:
        return None
    return stack.enter_context(closing(backend.resolver()))


def _with_retractions(origins: FileOrigins, resolver: Resolver) -> FileOrigins:
    """Note with each product that was retracted that it is not published."""
    dids = {
        str(column.value): at
        for at, product in enumerate(origins.products)
        for column in product.columns
        if column.column == "obs_publisher_did"
    }
    products = list(origins.products)
    for did, gone in resolver.departed(list(dids)).items():
        if gone.kind == "retracted":
            product = products[dids[did]]
            note = f"{gone.error().message}; 'skylane retract --undo' lets it come back"
            products[dids[did]] = replace(product, notes=(*product.notes, note))
    return replace(origins, products=tuple(products))


def _source(
    place: Path | str, settings: ObsCoreSettings, storage: Storage, collection: str | None
) -> tuple[Source, str]:
    """Give a source, and the URI of the one file of it that is meant; empty for all.

    What a table, a list or a Butler tells of a file is known where its collection is named.
    """
    uri = str(place) if is_address(str(place)) else file_uri(os.path.abspath(place))  # noqa: PTH100
    own = None if collection is None else settings.collections.get(collection)
    if collection is not None and own is not None and own.folder is None:
        source = configured_source(settings, collection, storage)
        if source is not None and source.place != str(place):
            return source, uri
    return source_of(place, settings, storage, collection), ""


def _show(console: Console, origins: FileOrigins) -> None:
    heading = f"\n{origins.path} of the collection {origins.collection}"
    console.print(heading, style="bold", markup=False)
    for product in origins.products:
        if len(origins.products) > 1:
            console.print(f"\n[{product.label}]", style="bold", markup=False)
        if product.columns:
            console.print(_table(product))
        _remarks(console, product.notes)
        if len(origins.products) > 1:
            _refused(console, "left out", product.refusal)
    _remarks(console, origins.notes)
    _refused(console, "refused", origins.refusal)


def _remarks(console: Console, notes: Sequence[str]) -> None:
    for note in notes:
        console.print(f"note: {note}", style="yellow", markup=False)


def _refused(console: Console, word: str, refusal: Refusal | None) -> None:
    if refusal is not None:
        line = f"{word}: {refusal.reason}: {refusal.message}"
        console.print(line, style="red", markup=False)


def _table(product: ProductOrigins) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("column", no_wrap=True)
    table.add_column("value", overflow="fold", ratio=2)
    table.add_column("from", overflow="fold", ratio=3)
    for origin in product.columns:
        value = Text("-", style="dim") if origin.value is None else Text(_value(origin))
        table.add_row(origin.column, value, Text("\n").join(_lines(origin)))
    return table


def _value(origin: ColumnOrigin) -> str:
    text = f"{origin.value:.15g}" if isinstance(origin.value, float) else str(origin.value)
    return f"{text} {origin.unit}" if origin.unit else text


def _lines(origin: ColumnOrigin) -> Iterator[Text]:
    """Write where a value came from, then what was tried."""
    if origin.rule and origin.by_rule:
        yield Text(origin.rule, style="cyan")
    yield from (Text(_look(look)) for look in origin.sources)
    yield from (Text(how) for how in origin.how)
    if origin.rule and not origin.by_rule:
        yield Text(f"{origin.rule} found nothing", style="yellow")
    yield from (Text(f"not taken: {_look(look)}", style="dim") for look in origin.passed_over)
    if origin.missing:
        names = ", ".join(origin.missing[:_NAMES])
        more = len(origin.missing) - _NAMES
        yield Text(f"not there: {names}{f' and {more} more' if more > 0 else ''}", style="dim")


def _look(look: Look) -> str:
    if look.where == MAPPING:
        return f"the mapped {look.name}"
    value = f"'{look.value}'" if isinstance(look.value, str) else str(look.value)
    unit = f" [{look.unit}]" if look.unit else ""
    return f"{look.name} = {value}{unit} ({look.where})"
