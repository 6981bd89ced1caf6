"""The embedded store: SQLite in WAL mode, written by one process and read by many."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import compress
from pathlib import Path
from typing import Any, TypeVar

import apsw
import numpy as np
from sqlalchemy import Table, bindparam, delete, func, select
from sqlalchemy.dialects.sqlite import insert as insert_or_update
from typing_extensions import override

from obscore.columns import ObsCoreColumn
from obscore.observation import CataloguedFile
from obscore.store import retraction, schema
from obscore.store.base import KnownFile, Store
from obscore.store.blocks import note, note_files
from obscore.store.extra import (
    Dialect,
    ExtraChanges,
    StoredColumn,
    declare_columns,
    read_extra,
)
from obscore.store.facets import FACET_NAMES, Combination, changes
from obscore.store.put import put
from obscore.store.rows import (
    check_distinct,
    files_of,
    hdus_text,
    opened_values,
    select_files,
    select_files_after,
    select_known,
    select_rows_of,
    update_file,
    update_hdus,
)
from obscore.store.session import Session, among, runner
from obscore.store.sqlite.boxes import boxes_of
from obscore.store.sqlite.publication import update_tap_schema
from obscore.store.sqlite.readers import fetch
from obscore.store.sqlite.writing import open_writer, transaction, translated
from obscore.store.tombstones import WITHDRAWN, Why, bury_rest
from obscore.store.turn import Turn, next_stamp
from vodal.errors import UsageError

__all__ = ["SqliteStore"]

T = TypeVar("T")


def _insert_into(table: Table, extra: Sequence[StoredColumn] = ()) -> str:
    """Give the statement that takes the columns of a table in their order: the quickest way."""
    names = [*table.columns.keys(), *(one.physical for one in extra)]
    columns, marks = ", ".join(f'"{name}"' for name in names), ", ".join("?" * len(names))
    return f"INSERT INTO {table.name} ({columns}) VALUES ({marks})"  # noqa: S608 - of ours


_FILES, _OBSCORE, _FACETS = schema.files, schema.obscore, schema.facets

_URIS = func.json_each(bindparam("uris")).table_valued("value")
_FILE_IDS = select(_FILES.c.id).where(_FILES.c.uri.in_(select(_URIS.c.value)))
_DOOMED = select(_OBSCORE.c.id).where(_OBSCORE.c.file_id.in_(_FILE_IDS))
_NAMED = select(_OBSCORE.c.id).where(among(_OBSCORE.c.obs_publisher_did, "dids"))

_KNOWN = select_known(_FILES, _OBSCORE)
_SQL_KNOWN = schema.sql(
    _KNOWN.where(_FILES.c.uri >= bindparam("low"), _FILES.c.uri < bindparam("high")).order_by(
        _FILES.c.uri
    )
)
_SQL_KNOWN_AFTER = schema.sql(
    _KNOWN.where(
        _FILES.c.uri > bindparam("uri"),
        _FILES.c.uri >= bindparam("low"),
        _FILES.c.uri < bindparam("high"),
    ).order_by(_FILES.c.uri)
)
_SQL_KNOWN_AMONG = schema.sql(_KNOWN.where(_FILES.c.uri.in_(select(_URIS.c.value))))
_SQL_FILES_AFTER = f"{schema.sql(select_files_after(_FILES))} LIMIT :limit"
_SQL_FILE_AT = schema.sql(select_files(_FILES).where(_FILES.c.uri == bindparam("uri")))
_SQL_COMPLETE = schema.sql(update_file(_FILES))
_SQL_HDUS = schema.sql(update_hdus(_OBSCORE))
_OF_FILES = _OBSCORE.c.file_id.in_(
    select(func.json_each(bindparam("ids")).table_valued("value").c.value)
)
_SQL_VERSION = schema.sql(select(_FILES.c.version).where(_FILES.c.uri == bindparam("uri")))
_SQL_DELETE_BOXES = f"DELETE FROM {schema.RTREE} WHERE id IN ({schema.sql(_DOOMED)})"  # noqa: S608
_SQL_DELETE_BOXES_OF = f"DELETE FROM {schema.RTREE} WHERE id IN ({schema.sql(_NAMED)})"  # noqa: S608
_SQL_DELETE_ROWS = schema.sql(delete(_OBSCORE).where(_OBSCORE.c.file_id.in_(_FILE_IDS)))
_SQL_DELETE_FILES = schema.sql(delete(_FILES).where(_FILES.c.uri.in_(select(_URIS.c.value))))
_SQL_INSERT_FILE = _insert_into(_FILES)
_SQL_INSERT_BOX = f"INSERT INTO {schema.RTREE} VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
_COUNTED = tuple(_OBSCORE.c[name] for name in FACET_NAMES)
_SQL_DOOMED_FACETS = schema.sql(
    select(*_COUNTED, func.count()).where(_OBSCORE.c.file_id.in_(_FILE_IDS)).group_by(*_COUNTED)
)
_ADDED = insert_or_update(_FACETS)
_SQL_ADD_FACET = schema.sql(
    _ADDED.on_conflict_do_update(
        index_elements=[_FACETS.c.key],
        set_={"products": _FACETS.c.products + _ADDED.excluded.products},
    )
)
_SQL_DROP_FACET = schema.sql(
    delete(_FACETS).where(
        _FACETS.c.key == bindparam("key"), _FACETS.c.products == bindparam("none")
    )
)
_SQL_LAST_FILE = schema.sql(select(func.max(_FILES.c.id)))
_SQL_LAST_ROW = schema.sql(select(func.max(_OBSCORE.c.id)))
_SQL_TAKEN = schema.sql(
    select(_OBSCORE.c.obs_publisher_did, _FILES.c.uri)
    .join(_FILES, _OBSCORE.c.file_id == _FILES.c.id)
    .where(
        _OBSCORE.c.obs_publisher_did.in_(
            select(func.json_each(bindparam("dids")).table_valued("value").c.value)
        ),
        _OBSCORE.c.id < bindparam("first_row"),
    )
)


_DIALECT = Dialect(
    {
        "boolean": "INTEGER", "short": "INTEGER", "int": "INTEGER", "long": "INTEGER",
        "float": "REAL", "double": "REAL", "char": "TEXT",
    },
    "",
)  # fmt: skip


@lru_cache(maxsize=16)
def _sql_rows_of(extra: tuple[StoredColumn, ...]) -> str:
    return schema.sql(select_rows_of(_OBSCORE, _OF_FILES, extra))


@lru_cache(maxsize=16)
def _sql_insert_row(extra: tuple[StoredColumn, ...]) -> str:
    return _insert_into(_OBSCORE, extra)


class SqliteStore(Store):
    """The embedded store, opened for writing; made if it is not there.

    A store of an older layout is brought up to date in one transaction, so that it keeps all that
    it held, or stays as it was.

    Safe to use from several threads; several processes may hold one each and take turns.

    Parameters
    ----------
    path
        The database file. Its folder must exist and be on a local disk, since WAL needs shared
        memory.

    Raises
    ------
    ArchiveError
        If the file is no store of ours, has another layout, or cannot be written.
    ServiceUnavailable
        If another process keeps it locked.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._connection = open_writer(path)
        self._session = runner(schema.sql, self._execute, lists=False)

    @override
    def known_files(self, under_uri: str = "") -> dict[str, KnownFile]:
        # No text sorts after U+10FFFF, so that the prefix becomes a range of the index.
        bounds = {"low": under_uri, "high": under_uri + "\U0010ffff"}
        with self._lock, translated(self.path):
            rows = fetch(self._connection, _SQL_KNOWN, bounds)
        return {row[0]: KnownFile(*row) for row in rows}

    @override
    def known_after(self, under_uri: str, uri: str, limit: int) -> list[KnownFile]:
        bounds = {"low": under_uri, "high": under_uri + "\U0010ffff", "uri": uri, "limit": limit}
        with self._lock, translated(self.path):
            rows = fetch(self._connection, f"{_SQL_KNOWN_AFTER} LIMIT :limit", bounds)
        return [KnownFile(*row) for row in rows]

    @override
    def known_among(self, uris: Collection[str]) -> dict[str, KnownFile]:
        with self._lock, translated(self.path):
            rows = fetch(self._connection, _SQL_KNOWN_AMONG, {"uris": json.dumps(list(uris))})
        return {row[0]: KnownFile(*row) for row in rows}

    @override
    def files_after(self, uri: str, limit: int) -> list[CataloguedFile]:
        with self._lock, translated(self.path), self._reading():
            files = fetch(self._connection, _SQL_FILES_AFTER, {"uri": uri, "limit": limit})
            return self._with_products(files)

    @override
    def write(
        self, files: Sequence[CataloguedFile], *, instead_of: Collection[str] = ()
    ) -> frozenset[str]:
        if not files:
            return frozenset()
        check_distinct(files)
        with self._in_turn() as session:
            return self._replace(Turn.begin(session, files, instead_of))

    @override
    def renew(self, file: CataloguedFile, version: str) -> bool:
        check_distinct([file])
        with self._in_turn() as session:
            found = fetch(self._connection, _SQL_VERSION, {"uri": file.uri})
            if not found or found[0][0] != version:
                return False
            self._replace(Turn.begin(session, [file]))
        return True

    @override
    def file_at(self, uri: str) -> CataloguedFile | None:
        with self._lock, translated(self.path), self._reading():
            files = fetch(self._connection, _SQL_FILE_AT, {"uri": uri})
            found = self._with_products(files)
        return found[0] if found else None

    @override
    def complete(self, file: CataloguedFile, version: str) -> bool:
        with self._in_turn():
            self._connection.execute(_SQL_COMPLETE, opened_values(file, version))
            if not self._connection.changes():
                return False
            self._connection.executemany(
                _SQL_HDUS,
                [{"did": one.did, "new_hdus": hdus_text(one)} for one in file.observations],
            )
        return True

    @override
    def remove(self, uris: Iterable[str], why: Why = WITHDRAWN) -> int:
        doomed = list(uris)
        with self._in_turn() as session:
            note_files(session, doomed)
            bury_rest(session, doomed, (), next_stamp(session), why)
            removed = self._delete(doomed)
            self._count(removed, {})
        return sum(removed.values())

    @override
    def retract(self, dids: Sequence[str], why: Why) -> int:
        with self._in_turn() as session:
            self._connection.execute(_SQL_DELETE_BOXES_OF, {"dids": json.dumps(list(dids))})
            removed = retraction.retract(session, dids, why)
            self._count(removed, {})
        return sum(removed.values())

    @override
    def turn(self, work: Callable[[Session], T]) -> T:
        with self._in_turn() as session:
            return work(session)

    @override
    def extra_columns(self) -> tuple[ObsCoreColumn, ...]:
        with self._lock, translated(self.path):
            return tuple(one.item for one in read_extra(self._session))

    @override
    def declare(self, columns: Sequence[ObsCoreColumn]) -> ExtraChanges:
        with self._in_turn() as session:
            changes = declare_columns(session, columns, _DIALECT)
            if changes != ExtraChanges():
                update_tap_schema(self._connection)
        return changes

    @override
    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def _with_products(self, files: Sequence[Sequence[Any]]) -> list[CataloguedFile]:
        ids, extra = json.dumps([row[0] for row in files]), read_extra(self._session)
        return files_of(files, fetch(self._connection, _sql_rows_of(extra), {"ids": ids}), extra)

    @contextmanager
    def _in_turn(self) -> Iterator[Session]:
        """Write after other writers, so that nothing read within can be out of date."""
        with self._lock, translated(self.path), transaction(self._connection):
            yield self._session

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """See the store as it is now until the end."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("COMMIT")

    def _execute(self, sql: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        return fetch(self._connection, sql, dict(values))

    def _replace(self, turn: Turn) -> frozenset[str]:
        """Write the files of a turn; gives what was withheld."""
        removed = self._delete(turn.replaced)
        self._count(removed, self._insert(turn))
        return turn.withheld

    def _delete(self, uris: Sequence[str]) -> Counter[Combination]:
        """Delete files with all that belongs to them; gives how many products of each kind went."""
        if not uris:
            return Counter()
        named = {"uris": json.dumps(list(uris))}
        counted = fetch(self._connection, _SQL_DOOMED_FACETS, named)
        self._connection.execute(_SQL_DELETE_BOXES, named)
        self._connection.execute(_SQL_DELETE_ROWS, named)
        self._connection.execute(_SQL_DELETE_FILES, named)
        return Counter({tuple(row[:-1]): int(row[-1]) for row in counted})

    def _insert(self, turn: Turn) -> Counter[Combination]:
        """Insert files; gives how many products of each kind came."""
        connection = self._connection
        first_row = _last(connection, _SQL_LAST_ROW) + 1
        new = put(turn, _last(connection, _SQL_LAST_FILE) + 1, first_row)
        rows = new.rows
        connection.executemany(_SQL_INSERT_FILE, zip(*new.files.values(), strict=True))
        try:
            connection.executemany(_sql_insert_row(turn.extra), zip(*rows.values(), strict=True))
        except apsw.ConstraintError:
            self._check_untaken(new.dids, first_row)
            raise
        boxes = boxes_of(rows["s_region_shape"], rows["s_ra"], rows["s_dec"])
        is_placed = ~np.isnan(boxes[:, 0])
        ids, bounds = compress(rows["id"], is_placed), boxes[is_placed].T.tolist()
        connection.executemany(_SQL_INSERT_BOX, zip(ids, *bounds, strict=True))
        note(turn.session, rows["id"])
        return new.combinations

    def _count(self, removed: Mapping[Combination, int], added: Mapping[Combination, int]) -> None:
        """Keep the number of products of each kind."""
        for change in changes(removed, added):
            self._connection.execute(_SQL_ADD_FACET, change)
            if change["products"] < 0:
                self._connection.execute(_SQL_DROP_FACET, {"key": change["key"], "none": 0})

    def _check_untaken(self, named: Sequence[str], first_row: int) -> None:
        """Say who has one of some identifiers, beside the rows that this turn has put in."""
        values = {"dids": json.dumps(named), "first_row": first_row}
        taken = self._connection.execute(_SQL_TAKEN, values).fetchone()
        if taken is not None:
            raise UsageError(f"the identifier {taken[0]} is already taken by {taken[1]}")


def _last(connection: apsw.Connection, sql: str) -> int:
    """Give the highest key in use, 0 for an empty table."""
    return int(fetch(connection, sql)[0][0] or 0)
