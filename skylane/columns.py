"""The columns that a site adds to ``ivoa.obscore``, brought into its store."""

from __future__ import annotations

from contextlib import closing

from rich.console import Console

from obscore.assembly.extra import declared_columns
from obscore.settings import ObsCoreSettings
from obscore.store.base import Backend

__all__ = ["declare_columns"]


def declare_columns(console: Console, backend: Backend, settings: ObsCoreSettings) -> None:
    """Bring the added columns of a prepared store to what the settings declare, and tell what was.

    Raises
    ------
    SettingsError
        If a Butler's configuration, which may declare some, cannot be read.
    ServiceUnavailable
        If queries read the table all the while.
    """
    wanted = declared_columns(settings)
    with closing(backend.writer()) as store:
        changes = store.declare(wanted)
    told = {
        "has the new column": changes.added,
        "has no longer the column": set(changes.removed) - set(changes.added),
        "describes otherwise the column": changes.described,
    }
    for words, names in told.items():
        if names:
            plural = "s" if len(names) > 1 else ""
            console.print(f"  ivoa.obscore {words}{plural} {', '.join(sorted(names))}")
    if changes.added:
        console.print("  The next ingest makes the rows of all files anew, to fill it.")
