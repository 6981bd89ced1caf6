"""The embedded store: SQLite in WAL mode, written by one process and read by many."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
from sqlalchemy import Table, bindparam, delete, func, insert, select
from sqlalchemy.dialects.sqlite import insert as insert_or_update
from typing_extensions import override

from obscore.observation import CataloguedFile, Observation
from obscore.store import schema
from obscore.store.base import KnownFile, Store
from obscore.store.facets import FACET_NAMES, Combination, changes, count_rows
from obscore.store.rows import (
    check_distinct,
    file_values,
    files_of,
    row_values,
    select_files_after,
    select_rows_of,
)
from obscore.store.sqlite.layouts import OLDEST, upgrade
from obscore.store.sqlite.readers import check_layout, fetch
from obscore.tap.metadata import tap_schema_rows
from vodal.errors import ArchiveError, ServiceUnavailable, UsageError
from vodal.regions import Point
from vodal.sphere import bounding_cap, cap_box

__all__ = ["SqliteStore"]

BUSY_TIMEOUT_MS = 60_000
"""How long a writer waits for another one."""

_OPEN_ATTEMPTS = 50

_FILES, _OBSCORE, _FACETS = schema.files, schema.obscore, schema.facets

_URIS = func.json_each(bindparam("uris")).table_valued("value")
_FILE_IDS = select(_FILES.c.id).where(_FILES.c.uri.in_(select(_URIS.c.value)))
_DOOMED = select(_OBSCORE.c.id).where(_OBSCORE.c.file_id.in_(_FILE_IDS))

_SQL_KNOWN = schema.sql(
    select(
        _FILES.c.uri,
        _FILES.c.collection,
        _FILES.c.version,
        _FILES.c.mapping_digest,
        select(func.count())
        .where(_OBSCORE.c.file_id == _FILES.c.id)
        .scalar_subquery()
        .label("products"),
    )
    .where(_FILES.c.uri >= bindparam("low"), _FILES.c.uri < bindparam("high"))
    .order_by(_FILES.c.uri)
)
_SQL_FILES_AFTER = f"{schema.sql(select_files_after(_FILES))} LIMIT :limit"
_SQL_ROWS_OF = schema.sql(
    select_rows_of(
        _OBSCORE,
        _OBSCORE.c.file_id.in_(
            select(func.json_each(bindparam("ids")).table_valued("value").c.value)
        ),
    )
)
_SQL_DELETE_BOXES = f"DELETE FROM {schema.RTREE} WHERE id IN ({schema.sql(_DOOMED)})"  # noqa: S608
_SQL_DELETE_ROWS = schema.sql(delete(_OBSCORE).where(_OBSCORE.c.file_id.in_(_FILE_IDS)))
_SQL_DELETE_FILES = schema.sql(delete(_FILES).where(_FILES.c.uri.in_(select(_URIS.c.value))))
_SQL_INSERT_FILE = schema.sql(insert(_FILES))
_SQL_INSERT_ROW = schema.sql(insert(_OBSCORE))
_BOX = ("xmin", "xmax", "ymin", "ymax", "zmin", "zmax")
_SQL_INSERT_BOX = f"INSERT INTO {schema.RTREE} VALUES (:id, :{', :'.join(_BOX)})"  # noqa: S608
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
        )
    )
)


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
        with _translated(path):
            self._connection = apsw.Connection(str(path))
        try:
            with _translated(path):
                self._prepare()
        except BaseException:
            self._connection.close(True)
            raise

    def _prepare(self) -> None:
        """Bring the file into shape: journal mode, layout, TAP_SCHEMA."""
        connection = self._connection
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        current = check_layout(connection, self.path, oldest=OLDEST) == schema.SCHEMA_VERSION
        _set_wal(connection)
        # With WAL, NORMAL loses at most the last transactions on power failure, never consistency.
        connection.pragma("synchronous", "NORMAL")
        connection.pragma("foreign_keys", True)
        connection.pragma("journal_size_limit", 64 << 20)
        connection.pragma("cache_size", -64_000)
        if current and not _unpublished(connection):
            # The common case takes no lock: a server may start while another process ingests.
            return
        with self._transaction():
            version = check_layout(connection, self.path, oldest=OLDEST)
            if version == 0:
                for statement in schema.ddl():
                    connection.execute(statement)
                connection.pragma("application_id", schema.APPLICATION_ID)
            else:
                upgrade(connection, version)
            connection.pragma("user_version", schema.SCHEMA_VERSION)
            _publish(connection)

    @override
    def known_files(self, under_uri: str = "") -> dict[str, KnownFile]:
        # No text sorts after U+10FFFF, so that the prefix becomes a range of the index.
        bounds = {"low": under_uri, "high": under_uri + "\U0010ffff"}
        with self._lock, _translated(self.path):
            rows = fetch(self._connection, _SQL_KNOWN, bounds)
        return {row[0]: KnownFile(*row) for row in rows}

    @override
    def files_after(self, uri: str, limit: int) -> list[CataloguedFile]:
        with self._lock, _translated(self.path), self._reading():
            files = fetch(self._connection, _SQL_FILES_AFTER, {"uri": uri, "limit": limit})
            ids = json.dumps([row[0] for row in files])
            return files_of(files, fetch(self._connection, _SQL_ROWS_OF, {"ids": ids}))

    @override
    def write(self, files: Sequence[CataloguedFile]) -> None:
        if not files:
            return
        check_distinct(files)
        with self._lock, _translated(self.path), self._transaction():
            removed = self._delete([file.uri for file in files])
            self._count(removed, self._insert(files))

    @override
    def remove(self, uris: Iterable[str]) -> int:
        with self._lock, _translated(self.path), self._transaction():
            removed = self._delete(list(uris))
            self._count(removed, {})
        return sum(removed.values())

    @override
    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """See the store as it is now until the end."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("COMMIT")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Take the write lock at once, so that nothing read within can be out of date."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def _delete(self, uris: Sequence[str]) -> Counter[Combination]:
        """Delete files with all that belongs to them; gives how many products of each kind went."""
        named = {"uris": json.dumps(uris)}
        counted = fetch(self._connection, _SQL_DOOMED_FACETS, named)
        self._connection.execute(_SQL_DELETE_BOXES, named)
        self._connection.execute(_SQL_DELETE_ROWS, named)
        self._connection.execute(_SQL_DELETE_FILES, named)
        return Counter({tuple(row[:-1]): int(row[-1]) for row in counted})

    def _insert(self, files: Sequence[CataloguedFile]) -> Counter[Combination]:
        """Insert files; gives how many products of each kind came."""
        connection = self._connection
        row_id = _last(connection, _SQL_LAST_ROW)
        first_file = _last(connection, _SQL_LAST_FILE) + 1
        rows: list[dict[str, Any]] = []
        boxes: list[dict[str, float]] = []
        for file_id, file in enumerate(files, first_file):
            for observation in file.observations:
                row_id += 1
                rows.append(row_values(observation, file, row_id, file_id))
                box = _box(observation)
                if box is not None:
                    boxes.append({"id": row_id, **box})
        self._check_untaken(rows)
        connection.executemany(
            _SQL_INSERT_FILE,
            (file_values(file, key) for key, file in enumerate(files, first_file)),
        )
        connection.executemany(_SQL_INSERT_ROW, rows)
        connection.executemany(_SQL_INSERT_BOX, boxes)
        return count_rows(rows)

    def _count(self, removed: Mapping[Combination, int], added: Mapping[Combination, int]) -> None:
        """Keep the number of products of each kind."""
        for change in changes(removed, added):
            self._connection.execute(_SQL_ADD_FACET, change)
            if change["products"] < 0:
                self._connection.execute(_SQL_DROP_FACET, {"key": change["key"], "none": 0})

    def _check_untaken(self, rows: Sequence[dict[str, Any]]) -> None:
        dids = json.dumps([row["obs_publisher_did"] for row in rows])
        taken = self._connection.execute(_SQL_TAKEN, {"dids": dids}).fetchone()
        if taken is not None:
            raise UsageError(f"the identifier {taken[0]} is already taken by {taken[1]}")


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Turn errors of SQLite into ours.

    Raises
    ------
    ServiceUnavailable
        If another process keeps the file locked.
    ArchiveError
        For any other error of the database.
    """
    try:
        yield
    except (apsw.BusyError, apsw.LockedError):
        raise ServiceUnavailable(f"the store {path} is being written by another process") from None
    except apsw.NotADBError:
        raise ArchiveError(f"the file {path} is not a store of this program") from None
    except apsw.Error as error:
        raise ArchiveError(f"the store {path} failed: {error}") from error


def _set_wal(connection: apsw.Connection) -> None:
    """Switch to WAL mode, for which SQLite does not use its busy timeout."""
    for attempt in range(_OPEN_ATTEMPTS):
        try:
            connection.pragma("journal_mode", "wal")
        except apsw.BusyError:
            if attempt == _OPEN_ATTEMPTS - 1:
                raise
            time.sleep(0.05)
        else:
            return


def _unpublished(connection: apsw.Connection) -> list[tuple[Table, Sequence[dict[str, Any]]]]:
    """Give the tables of TAP_SCHEMA that tell something else than this program, with their rows."""
    stale = []
    for table, rows in tap_schema_rows().items():
        wanted = [tuple(row.values()) for row in rows]
        columns = [table.c[name] for name in rows[0]]
        kept = fetch(connection, schema.sql(select(*columns)))
        if sorted(kept, key=repr) != sorted(wanted, key=repr):
            stale.append((table, rows))
    return stale


def _publish(connection: apsw.Connection) -> None:
    """Bring TAP_SCHEMA up to date with what this program declares."""
    for table, rows in _unpublished(connection):
        connection.execute(schema.sql(delete(table)))
        connection.executemany(schema.sql(insert(table)), rows)


def _last(connection: apsw.Connection, sql: str) -> int:
    """Give the highest key in use, 0 for an empty table."""
    return int(fetch(connection, sql)[0][0] or 0)


def _box(observation: Observation) -> dict[str, float] | None:
    """Give the box around the footprint and the position; None if there is neither."""
    boxes = []
    if observation.region is not None:
        boxes.append(cap_box(*bounding_cap(observation.region)))
    ra, dec = observation.row.get("s_ra"), observation.row.get("s_dec")
    if ra is not None and dec is not None:
        boxes.append(cap_box(*bounding_cap(Point(float(ra), float(dec)))))
    if not boxes:
        return None
    united = [
        (min, max)[place % 2](bounds) for place, bounds in enumerate(zip(*boxes, strict=True))
    ]
    return dict(zip(_BOX, united, strict=True))
