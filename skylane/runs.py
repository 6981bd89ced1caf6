"""``skylane runs`` and ``skylane where-from``: what wrote the rows of products, when and how."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.table import Table

from obscore.store.runs import Run, find_run, list_runs, mapping_text, origin_of
from obscore.store.session import Session
from skylane.folder import SiteFolder
from skylane.settings import load_settings
from vodal.errors import NotFoundError
from vodal.products import absent

__all__ = ["command_line", "show_origin", "show_run", "show_runs"]

T = TypeVar("T")


def command_line() -> str:
    """Give the command that this process runs, as a shell takes it."""
    return shlex.join(["skylane", *sys.argv[1:]])


def show_runs(console: Console, site_path: Path, most: int) -> None:
    """List the latest runs, the last first."""
    runs = _ask(site_path, lambda session: list_runs(session, most))
    table = Table("run", "kind", "begun (UTC)", "ended (UTC)", "files", box=None)
    for run in runs:
        table.add_row(
            str(run.id), run.kind, run.begun[:19], (run.ended or "-")[:19], _counts(run.counts)
        )
    if runs:
        console.print(table)
    else:
        console.print("no run has been recorded")


def show_run(console: Console, site_path: Path, number: int, *, mapping: bool) -> None:
    """Tell of a run; with ``mapping`` also the settings that it went by, as JSON.

    Raises
    ------
    NotFoundError
        If there is no such run.
    """

    def find(session: Session) -> tuple[Run, dict[str, object]]:
        run = find_run(session, number)
        if run is None:
            raise NotFoundError(f"there is no run {number}; 'skylane runs' lists those there are")
        if not mapping:
            return run, {}
        texts = {name: mapping_text(session, key) for name, key in run.mappings.items()}
        return run, {name: json.loads(text) for name, text in texts.items() if text}

    run, texts = _ask(site_path, find)
    _tell(console, run)
    if mapping:
        console.print_json(json.dumps(texts))


def show_origin(console: Console, site_path: Path, did: str) -> None:
    """Tell where a product comes from: its file, the run, and the settings that it went by.

    Raises
    ------
    NotFoundError
        If there is no such product; tells what became of it, if it was there.
    """
    origin = _ask(site_path, lambda session: origin_of(session, did))
    if origin is None:
        resolver = SiteFolder(site_path).backend(load_settings(site_path).store).resolver()
        try:
            raise absent(resolver, did, f"there is no product '{did[:200]}'")
        finally:
            resolver.close()
    _line(console, "product", origin.did)
    _line(console, "file", origin.uri)
    _line(console, "version", origin.file_version or "not opened yet")
    _line(console, "collection", origin.collection)
    _line(console, "modified", f"{origin.last_modified}Z")
    if origin.run is None:
        _line(console, "run", "before runs were recorded")
    else:
        _tell(console, origin.run, origin.collection)


def _ask(site_path: Path, work: Callable[[Session], T]) -> T:
    store = SiteFolder(site_path).prepare(load_settings(site_path).store).writer()
    try:
        return store.turn(work)
    finally:
        store.close()


def _tell(console: Console, run: Run, collection: str | None = None) -> None:
    _line(console, "run", f"{run.id} ({run.kind})")
    _line(console, "command", run.command)
    _line(console, "program", f"skylane {run.program}")
    _line(console, "begun", f"{run.begun}Z")
    _line(console, "ended", f"{run.ended}Z" if run.ended else "not yet, or it was killed")
    _line(console, "files", _counts(run.counts))
    for name, digest in sorted(run.mappings.items()):
        if collection in {None, name}:
            how = f"'skylane runs show {run.id} --mapping' tells it"
            _line(console, "mapping", f"{digest} of {name}; {how}")


def _line(console: Console, name: str, value: str) -> None:
    console.print(f"{name:<11}{value}", soft_wrap=True, markup=False)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {status}" for status, count in sorted(counts.items())) or "none"
