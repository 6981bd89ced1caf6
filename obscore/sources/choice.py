"""The source that the settings, or a user, ask for."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from obscore.assembly.rules import rules_for
from obscore.settings import CollectionSettings, ObsCoreSettings
from obscore.sources.absent import Absent
from obscore.sources.base import Source
from obscore.sources.butler.configuration import configuration_of
from obscore.sources.butler.settings import ButlerSettings
from obscore.sources.fits import FolderSource
from obscore.sources.own import own_source
from obscore.sources.servers import ServerSource, canonical_url, is_address
from obscore.sources.table.settings import TableSettings
from obscore.sources.table.source import TableSource
from obscore.sources.trees import TreeSource
from vodal.errors import SkylaneError, UsageError
from vodal.storage import LOCAL, Storage

__all__ = [
    "configured_folders",
    "configured_source",
    "configured_sources",
    "configured_trees",
    "source_of",
    "with_folders",
]

_TABLES = (".ecsv", ".vot", ".votable", ".xml", ".parquet", ".pq")
"""Ends of names that are taken for tables of products."""
_MANIFEST = re.compile(r"(?i)\.(txt|lst|list|csv|tsv|jsonl|ndjson)$")


def source_of(
    place: Path | str,
    settings: ObsCoreSettings,
    storage: Storage = LOCAL,
    collection: str | None = None,
) -> Source:
    """Give the source of a folder, file, manifest, table or address that a user names.

    A table of products, by the end of its name or since a collection has it for its table, is that
    of its rows. Below the folder of a configured collection a folder or file belongs to that
    collection (the deepest such folder counts); else the table, the folder, or the file's folder
    makes a collection of its name.

    Parameters
    ----------
    place
        Path, or address of ``s3:``, ``http:`` or ``https:``. One that ends as lists do (``.txt``,
        ``.csv``, ``.jsonl`` ...) is a manifest.
    settings
        Of the catalogue.
    storage
        Reads servers.
    collection
        Name that is taken instead.

    Raises
    ------
    UsageError
        If there is no such folder or file.
    """
    text = str(place)
    if not is_address(text) and not Path(place).exists():
        raise UsageError(f"there is no folder or file {os.path.abspath(place)}")  # noqa: PTH100
    table = None if is_address(text) else _table_of(text, settings, collection)
    if table is not None:
        return table
    if _MANIFEST.search(text) and (is_address(text) or Path(place).is_file()):
        return _manifest(text, storage, collection)
    if is_address(text):
        return _at_address(text, settings, storage, collection)
    here = Path(os.path.abspath(place))  # noqa: PTH100 - links in the path are kept
    home = here if here.is_dir() else here.parent
    if collection is not None:
        return FolderSource(home, collection=collection, start=here)
    homes = [one for one in configured_folders(settings) if here.is_relative_to(one.root)]
    if homes:
        deepest = max(homes, key=lambda one: len(one.root.parts))
        return FolderSource(deepest.root, collection=deepest.collection, start=here)
    return FolderSource(home, start=here)


def _table_of(text: str, settings: ObsCoreSettings, collection: str | None) -> TableSource | None:
    """Give the source of a table of products, if it is one."""
    path = Path(os.path.abspath(text))  # noqa: PTH100
    for name, item in settings.collections.items():
        told = item.table
        if told is not None and told.path is not None and collection in {None, name}:
            if Path(os.path.abspath(told.path)) == path:  # noqa: PTH100
                return TableSource(told, name)
            if name == collection and path.is_file():
                return TableSource(told.model_copy(update={"path": str(path)}), name)
    if path.is_file() and path.name.lower().removesuffix(".gz").endswith(_TABLES):
        return TableSource(TableSettings(path=str(path)), collection or path.name.partition(".")[0])
    return None


def configured_folders(settings: ObsCoreSettings) -> tuple[FolderSource, ...]:
    """Give the folders on disks of all collections that have one, by name."""
    return tuple(
        FolderSource(Path(item.folder), collection=name)
        for name, item in sorted(settings.collections.items())
        if item.folder is not None and not is_address(item.folder)
    )


def configured_trees(settings: ObsCoreSettings, storage: Storage = LOCAL) -> tuple[Source, ...]:
    """Give the folders of all collections that have one, on disks and on servers."""
    servers = [
        _server(item.folder, storage, name, "")
        for name, item in sorted(settings.collections.items())
        if item.folder is not None and is_address(item.folder)
    ]
    return (*configured_folders(settings), *servers)


def configured_sources(
    settings: ObsCoreSettings, storage: Storage = LOCAL
) -> tuple[Source | Absent, ...]:
    """Give the sources of all collections that have one, by name.

    One that cannot be made costs its own collection alone.
    """
    sources: list[Source | Absent] = []
    for name, item in sorted(settings.collections.items()):
        try:
            source = configured_source(settings, name, storage)
        except SkylaneError as error:
            sources.append(Absent(name, _place_of(item), error.message))
            continue
        if source is not None:
            sources.append(source)
    return tuple(sources)


def configured_source(
    settings: ObsCoreSettings, name: str, storage: Storage = LOCAL
) -> Source | None:
    """Give the source of a collection; None if the settings name none.

    Raises
    ------
    SettingsError
        If a source of the site's own cannot be made, or LSST's configuration is wrong; names its
        key.
    UsageError
        If a Butler's libraries are not installed.
    """
    item = settings.collections[name]
    if item.folder is not None and is_address(item.folder):
        return _server(item.folder, storage, name, "")
    if item.folder is not None:
        return FolderSource(Path(item.folder), collection=name)
    if item.manifest is not None:
        return _manifest(item.manifest, storage, name)
    if item.source is not None:
        return own_source(item.source, name, storage)
    if item.table is not None:
        return TableSource(item.table, name)
    if item.butler is not None:
        return _butler(name, item.butler, settings, storage)
    return None


def _place_of(item: CollectionSettings) -> str:
    """Name what a collection is made of, where its source could not be made."""
    if item.butler is not None:
        return item.butler.repository
    return "" if item.source is None else item.source.class_


def _at_address(
    url: str, settings: ObsCoreSettings, storage: Storage, collection: str | None
) -> ServerSource:
    """Give the source of an address; below that of a configured collection it belongs to that."""
    homes = [] if collection is not None else [
        (one.root, name)
        for name, item in settings.collections.items()
        if item.folder is not None and is_address(item.folder)
        and _canonical(url).startswith((one := _server(item.folder, storage, name, "")).root)
    ]  # fmt: skip
    if homes:
        root, name = max(homes, key=lambda home: len(home[0]))
        return _server(root, storage, name, url)
    return _server(url, storage, collection, "")


def _canonical(url: str) -> str:
    url = url if url.lower().startswith("s3:") else canonical_url(url)
    return url if url.endswith("/") else f"{url}/"


def _server(root: str, storage: Storage, collection: str | None, start: str) -> ServerSource:
    # Sites whose files lie on disks load nothing for servers.
    if root.lower().startswith("s3:"):
        from obscore.sources.objects import ObjectSource  # noqa: PLC0415

        return ObjectSource(root, storage, collection=collection, start=start)
    from obscore.sources.web import ListingSource  # noqa: PLC0415

    return ListingSource(root, storage, collection=collection, start=start)


def _manifest(place: str, storage: Storage, collection: str | None) -> ServerSource:
    from obscore.sources.manifest import ManifestSource  # noqa: PLC0415

    return ManifestSource(place, storage, collection=collection)


def with_folders(settings: ObsCoreSettings, sources: Iterable[object]) -> ObsCoreSettings:
    """Give the settings with the folders and tables of sources whose collections name none.

    So a mapping beside the data holds also where a user names the folder alone, and the rows of a
    table are made of it.
    """
    collections = dict(settings.collections)
    for source in sources:
        if isinstance(source, TableSource):
            own = collections.get(source.collection, CollectionSettings())
            if own.table is None:
                collections[source.collection] = own.model_copy(update={"table": source.settings})
        if isinstance(source, TreeSource) and not source.is_scattered:
            own = collections.get(source.collection, CollectionSettings())
            if own.folder is None:
                folder = {"folder": str(source.root)}
                collections[source.collection] = own.model_copy(update=folder)
    return settings.model_copy(update={"collections": collections})


def _butler(name: str, own: ButlerSettings, settings: ObsCoreSettings, storage: Storage) -> Source:
    key = f"obscore.collections.{name}.butler"
    configuration = configuration_of(own, key)
    try:
        # Only a site with a Butler has its libraries.
        from obscore.sources.butler.source import ButlerSource  # noqa: PLC0415
    except ImportError as error:
        if not (error.name or "").startswith("lsst"):
            raise
        raise UsageError(
            f"{key}: a Butler needs further libraries: pip install 'skylane[butler]'"
        ) from None
    wanted = rules_for(settings, name).facts_taken
    return ButlerSource(settings, name, configuration, wanted, storage)
