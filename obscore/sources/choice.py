"""The source that the settings, or a user, ask for."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from obscore.settings import CollectionSettings, ObsCoreSettings
from obscore.sources.fits import FolderSource
from vodal.errors import UsageError

__all__ = ["configured_sources", "source_of", "with_folders"]


def source_of(path: Path, settings: ObsCoreSettings) -> FolderSource:
    """Give the source of a folder or file that a user names.

    Below the folder of a configured collection it belongs to that collection (the deepest such
    folder counts); else the folder, or the file's folder, makes a collection of its name.

    Raises
    ------
    UsageError
        If there is no such folder or file.
    """
    here = Path(os.path.abspath(path))  # noqa: PTH100 - links in the path are kept
    if not here.exists():
        raise UsageError(f"there is no folder or file {here}")
    homes = [
        (Path(os.path.abspath(item.folder)), name)  # noqa: PTH100
        for name, item in settings.collections.items()
        if item.folder is not None
    ]
    homes = [home for home in homes if here.is_relative_to(home[0])]
    if homes:
        root, name = max(homes, key=lambda home: len(home[0].parts))
        return FolderSource(root, collection=name, start=here)
    return FolderSource(here if here.is_dir() else here.parent, start=here)


def configured_sources(settings: ObsCoreSettings) -> tuple[FolderSource, ...]:
    """Give the sources of all collections that have a folder, by name."""
    return tuple(
        FolderSource(Path(item.folder), collection=name)
        for name, item in sorted(settings.collections.items())
        if item.folder is not None
    )


def with_folders(settings: ObsCoreSettings, sources: Iterable[object]) -> ObsCoreSettings:
    """Give the settings with the folders of sources whose collections name none.

    So a mapping beside the data holds also where a user names the folder alone.
    """
    collections = dict(settings.collections)
    for source in sources:
        if isinstance(source, FolderSource):
            own = collections.get(source.collection, CollectionSettings())
            if own.folder is None:
                folder = {"folder": str(source.root)}
                collections[source.collection] = own.model_copy(update=folder)
    return settings.model_copy(update={"collections": collections})
