"""The columns that a site adds to ``ivoa.obscore``, brought into its store."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing

from rich.console import Console

from obscore.assembly.extra import declared_columns
from obscore.settings import ObsCoreSettings
from obscore.store.base import Backend

__all__ = ["declare_columns"]


def declare_columns(
    console: Console, backend: Backend, settings: ObsCoreSettings
) -> Mapping[str, str]:
    """Bring the added columns of a prepared store to what the settings declare, and tell what was.

    While it is not known what some collection declares, no column is taken away.

    Returns
    -------
    Mapping
        By collection, why what it declares is not known.

    Raises
    ------
    SettingsError
        If there are too many.
    ServiceUnavailable
        If queries read the table all the while.
    """
    declared = declared_columns(settings)
    wanted = declared.columns
    with closing(backend.writer()) as store:
        if declared.faults:
            there = {item.name for item in wanted}
            wanted += tuple(item for item in store.extra_columns() if item.name not in there)
        changes = store.declare(wanted)
    for fault in declared.faults.values():
        console.print(f"  note: {fault}", style="yellow", soft_wrap=True, markup=False)
    if declared.faults:
        console.print("  note: no column of ivoa.obscore is taken away meanwhile", style="yellow")
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
    return declared.faults
