"""All footprints of the embedded store, block by block."""

from __future__ import annotations

from pathlib import Path

from typing_extensions import override

from obscore.store import schema
from obscore.store.base import Footprints
from obscore.store.blocks import Placed, block_rows, placed_of, select_blocks, select_placed
from obscore.store.sqlite.readers import ReaderPool, fetch

__all__ = ["SqliteFootprints"]

_SQL_BLOCKS = schema.sql(select_blocks(schema.footprint_blocks))
_SQL_PLACED = schema.sql(select_placed(schema.obscore))


class SqliteFootprints(Footprints):
    """Reads what rows cover. Safe to call from several threads.

    Parameters
    ----------
    path
        The database file; it need not exist before the first call.
    """

    def __init__(self, path: Path) -> None:
        self._pool = ReaderPool(path, size=2, published_only=False)

    @override
    def changed(self, after: int = 0) -> list[tuple[int, int]]:
        with self._pool.reader() as (connection, _):
            found = fetch(connection, _SQL_BLOCKS, {"after": after})
        return [(int(block), int(revision)) for block, revision in found]

    @override
    def of_block(self, block: int) -> list[Placed]:
        with self._pool.reader() as (connection, _):
            return placed_of(fetch(connection, _SQL_PLACED, block_rows(block)))

    @override
    def close(self) -> None:
        self._pool.close()
