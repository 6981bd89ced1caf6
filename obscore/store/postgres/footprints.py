"""All footprints of the store in PostgreSQL, block by block."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from typing_extensions import override

from obscore.store.base import Footprints
from obscore.store.blocks import Placed, block_rows, placed_of, select_blocks, select_placed
from obscore.store.postgres import tables
from obscore.store.postgres.pool import Address, ConnectionPool, translated

__all__ = ["PostgresFootprints"]

_SQL_BLOCKS = tables.sql(select_blocks(tables.footprint_blocks))
_SQL_PLACED = tables.sql(select_placed(tables.obscore))


class PostgresFootprints(Footprints):
    """Reads what rows cover. Safe to call from several threads.

    Parameters
    ----------
    address
        Of the store; nothing is asked of it before the first call.
    """

    def __init__(self, address: Address) -> None:
        self._pool = ConnectionPool(address, size=2)

    @override
    def changed(self, after: int = 0) -> list[tuple[int, int]]:
        return [(int(block), int(revision)) for block, revision in self._fetch(
            _SQL_BLOCKS, {"after": after}
        )]  # fmt: skip

    @override
    def of_block(self, block: int) -> list[Placed]:
        return placed_of(self._fetch(_SQL_PLACED, block_rows(block)))

    def _fetch(self, sql: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        with self._pool.connection() as connection, translated(self._pool.address):
            return cast("list[tuple[Any, ...]]", connection.execute(sql, values).fetchall())

    @override
    def close(self) -> None:
        self._pool.close()
