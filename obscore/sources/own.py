"""Sources that a site has written itself."""

from __future__ import annotations

import importlib

from obscore.settings import SourceSettings
from obscore.sources.base import Source
from vodal.errors import SettingsError, SkylaneError
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
    module, _, name = settings.class_.partition(":")
    try:
        made_by = getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise SettingsError(
            f"{key}.class: the module '{module}' cannot be imported: {error}"
        ) from None
    except AttributeError:
        raise SettingsError(f"{key}.class: '{module}' has no '{name}'") from None
    try:
        source = made_by(collection=collection, storage=storage, **settings.options)
    except SkylaneError as error:
        raise SettingsError(f"{key}: {error.message}") from None
    except (TypeError, ValueError, KeyError, OSError) as error:
        raise SettingsError(f"{key}.options: {type(error).__name__}: {error}") from None
    missing = [member for member in _MEMBERS if not hasattr(source, member)]
    if missing:
        raise SettingsError(f"{key}.class: '{settings.class_}' lacks {', '.join(missing)}")
    made: Source = source
    return made
