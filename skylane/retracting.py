"""``skylane retract``: products taken out of all services for good, until that is undone."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from rich.console import Console

from obscore.sources.fits import file_uri
from obscore.store.base import Store
from obscore.store.retraction import products_of, retracted_of, undo
from obscore.store.tombstones import Why
from skylane.folder import SiteFolder
from skylane.searching import ConditionSearch
from skylane.settings import load_settings
from vodal.errors import UsageError

__all__ = ["retract"]

_ANY = 1 << 62
_SHOWN = 20


def retract(
    console: Console,
    site_path: Path,
    names: Sequence[str],
    *,
    where: str | None = None,
    lists: Sequence[Path] = (),
    reason: str | None = None,
    dry_run: bool = False,
    undone: bool = False,
) -> None:
    """Retract products, or undo that, and tell which.

    Parameters
    ----------
    console
        For what is said.
    site_path
        Folder of the site.
    names
        Identifiers, and paths or URIs of files: all products of such a file.
    where
        Condition of ADQL on ``ivoa.obscore``.
    lists
        Files of names, one a line.
    reason
        For who asks for one later.
    dry_run
        Only tell.
    undone
        Whether to let products that were retracted come back.

    Raises
    ------
    UsageError
        If nothing is named, or something that is not there; nothing is done then.
    """
    named = [*names, *(name for path in lists for name in _lines(path))]
    if not named and where is None:
        raise UsageError("name products by ID or file, by --file LIST or by --where CONDITION")
    if where is not None and undone:
        raise UsageError(
            "--where looks among the rows that there are; undo by ID or file (the table"
            " skylane.tombstones tells which were retracted)"
        )
    settings = load_settings(site_path)
    backend = SiteFolder(site_path).prepare(settings.store)
    store = backend.writer()
    try:
        if undone:
            _undo(console, store, named, dry_run=dry_run)
            return
        dids = list(dict.fromkeys(_named(store, named, retracted=False)))
        if where is not None:
            with closing(ConditionSearch(backend, settings.tap)) as among:
                dids = list(dict.fromkeys([*dids, *among.search(where, None, _ANY)]))
        _tell(console, dids)
        if dry_run:
            console.print(f"{_count(len(dids))} would be retracted; nothing was done")
            return
        gone = store.retract(dids, Why("retracted", reason, _who()))
        console.print(f"{_count(gone)} retracted")
        if gone < len(dids):
            console.print(f"{len(dids) - gone} were gone already, and do not come back now")
    finally:
        store.close()


def _undo(console: Console, store: Store, named: Sequence[str], *, dry_run: bool) -> None:
    dids = list(dict.fromkeys(_named(store, named, retracted=True)))
    _tell(console, dids)
    if dry_run:
        console.print(f"{_count(len(dids))} could come back; nothing was done")
        return
    uris = store.turn(lambda session: undo(session, dids))
    console.print(f"The retraction of {_count(len(dids))} is undone.")
    console.print("They come back when their files are ingested:")
    for uri in uris[:_SHOWN]:
        console.print(f"  {uri}", soft_wrap=True, markup=False)


def _named(store: Store, named: Sequence[str], *, retracted: bool) -> Iterator[str]:
    """Give the identifiers of what is named.

    Raises
    ------
    UsageError
        If something that is named is not there.
    """
    find = retracted_of if retracted else products_of
    for name in named:
        uri = name if "://" in name else file_uri(os.path.abspath(name))  # noqa: PTH100
        found = store.turn(lambda session: find(session, name, uri))  # noqa: B023 - called at once
        if not found:
            what = "was retracted" if retracted else "is in the catalogue, or ever was"
            raise UsageError(
                f"nothing called '{name[:200]}' {what}; give an obs_publisher_did or a file"
            )
        yield from found


def _lines(path: Path) -> Iterator[str]:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the list {path} cannot be read: {error}") from None
    return filter(None, (line.strip() for line in text.splitlines()))


def _tell(console: Console, dids: Sequence[str]) -> None:
    for did in dids[:_SHOWN]:
        console.print(f"  {did}", soft_wrap=True, markup=False)
    if len(dids) > _SHOWN:
        console.print(f"  ... and {len(dids) - _SHOWN} more")


def _count(number: int) -> str:
    return "1 product" if number == 1 else f"{number} products"


def _who() -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = str(os.getuid())
    return f"{name}@{socket.gethostname()}"
