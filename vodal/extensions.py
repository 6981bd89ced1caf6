"""Classes of a site's own that settings name: ``class = "package.module:Name"``, ``options``."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from vodal.errors import SettingsError, SkylaneError

__all__ = ["make_extension"]


def make_extension(key: str, named: str, options: Mapping[str, Any], **given: Any) -> Any:
    """Import the class that settings name, from Python's path, and call it.

    Parameters
    ----------
    key
        Of the settings that name it; begins each error.
    named
        ``package.module:Name``, as ``{key}.class`` has it.
    options
        What it is called with, by name, as ``{key}.options`` has it.
    **given
        What the program itself gives it beside, by name.

    Returns
    -------
    Any
        What the class makes. Whether it can be what it should is for the caller to see.

    Raises
    ------
    SettingsError
        If there is no such class, or it does not take the options; names the key.
    """
    module, _, name = named.partition(":")
    try:
        made_by = getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise SettingsError(
            f"{key}.class: the module '{module}' cannot be imported: {error}"
        ) from None
    except AttributeError:
        raise SettingsError(f"{key}.class: '{module}' has no '{name}'") from None
    try:
        return made_by(**given, **options)
    except SkylaneError as error:
        raise SettingsError(f"{key}: {error.message}") from None
    except (TypeError, ValueError, KeyError, OSError) as error:
        raise SettingsError(f"{key}.options: {type(error).__name__}: {error}") from None
