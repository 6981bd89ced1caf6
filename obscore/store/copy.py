"""A catalogue copied from one store to another, of any kind; page by page, in flat memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Table, bindparam, delete, insert, select

from obscore.store import schema
from obscore.store.base import KnownFile, Store
from obscore.store.session import Session
from vodal.errors import ArchiveError, UsageError

__all__ = ["CopySummary", "copy_catalogue"]

_PAGE = 500
"""Files read at a time, and written in one transaction."""
_KNOWN_PAGE = 5000
"""Files of which is asked at a time what is known."""


@dataclass(frozen=True, slots=True)
class CopySummary:
    """What a copy did."""

    files: int
    products: int
    passed_over: int
    """Files that the target had already."""


def copy_catalogue(
    source: Store,
    target: Store,
    *,
    resume: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> CopySummary:
    """Copy all files with their products, and see that they have arrived.

    Each transaction holds whole files, so that a copy that was interrupted can be resumed: what the
    target has already is passed over.

    Parameters
    ----------
    source, target
        Two different stores.
    resume
        Whether the target may hold something; files of the same URI are replaced where they differ.
    progress
        Told how many files are done, and of how many.

    Raises
    ------
    UsageError
        If the target is not empty and that was not asked for.
    ArchiveError
        If, at the end, the target does not hold what the source does.
    """
    is_new = not target.known_after("", "", 1)
    if not is_new and not resume:
        raise UsageError(
            f"the target holds {_count(target)} files already; go on with a copy that was"
            " interrupted with --resume"
        )
    # What the target has lacks the values of columns that are new to it, and says so.
    target.declare(source.extra_columns())
    wanted = 0 if progress is None else _count(source)
    done = files = products = 0
    uri = ""
    while page := source.files_after(uri, _PAGE):
        uri = page[-1].uri
        there = {} if is_new else target.known_among([file.uri for file in page])
        missing = [
            file
            for file in page
            if there.get(file.uri)
            != KnownFile(
                file.uri,
                file.collection,
                file.version,
                file.mapping_digest,
                len(file.observations),
            )
        ]
        target.write(missing)
        files += len(missing)
        products += sum(len(file.observations) for file in missing)
        done += len(page)
        if progress is not None:
            progress(done, max(done, wanted))
    _copy_records(source, target)
    _verify(source, target)
    return CopySummary(files, products, done - files)


def _copy_records(source: Store, target: Store) -> None:
    """Copy what is known of products that are gone, and of the runs that wrote the others."""
    for table in (schema.tombstones, schema.mappings, schema.runs):
        target.turn(partial(_put, table, rows=source.turn(partial(_all_of, table))))


def _all_of(table: Table, session: Session) -> list[tuple[Any, ...]]:
    return session(select(*table.columns))


def _put(table: Table, session: Session, rows: Sequence[tuple[Any, ...]]) -> None:
    """Put rows into a table, in the place of those of the same key, its first column."""
    names = [column.name for column in table.columns]
    key: ColumnElement[Any] = bindparam("doomed")
    doomed, added = delete(table).where(table.columns[names[0]] == key), insert(table)
    for row in rows:
        session(doomed, doomed=row[0])
        session(added, **dict(zip(names, row, strict=True)))


def _verify(source: Store, target: Store) -> None:
    """See that the target knows all files of the source as the source does."""
    different, first = 0, ""
    for page in _known_pages(source):
        copied = target.known_among([file.uri for file in page])
        odd = [file.uri for file in page if copied.get(file.uri) != file]
        different += len(odd)
        first = first or next(iter(odd), "")
    if different:
        raise ArchiveError(
            f"{different} files differ between the two stores, {first} first: the"
            " source was written to meanwhile; stop that, and go on with --resume"
        )


def _known_pages(store: Store) -> Iterator[list[KnownFile]]:
    uri = ""
    while page := store.known_after("", uri, _KNOWN_PAGE):
        uri = page[-1].uri
        yield page


def _count(store: Store) -> int:
    return sum(map(len, _known_pages(store)))
