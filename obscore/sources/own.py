"""Sources that a site has written itself."""

from __future__ import annotations

from obscore.settings import SourceSettings
from obscore.sources.base import Source
from vodal.errors import SettingsError
from vodal.extensions import make_extension
from vodal.storage import Storage

__all__ = ["own_source"]

_MEMBERS = sorted(name for name in vars(Source) if not name.startswith("_") and name != "register")
"""What a source has, by the protocol."""


def own_source(settings: SourceSettings, collection: str, storage: Storage) -> Source:
    """Make the source that a collection's settings name.

    Its class is called with ``collection``, ``storage`` and the options by their names.

    Raises
    ------
    SettingsError
        If there is no such class, it does not take the options or is no source; names the key.
    """
    key = f"obscore.collections.{collection}.source"
    source: Source = make_extension(
        key, settings.class_, settings.options, collection=collection, storage=storage
    )
    missing = [member for member in _MEMBERS if not hasattr(source, member)]
    if missing:
        raise SettingsError(f"{key}.class: '{settings.class_}' lacks {', '.join(missing)}")
    return source
