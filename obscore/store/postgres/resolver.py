"""From identifiers and places to products, on the store in PostgreSQL."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import BIGINT, TEXT, any_, bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from typing_extensions import override

from obscore.adql.postgres.shapes import caps_around, caps_at
from obscore.store import schema
from obscore.store.postgres import tables
from obscore.store.postgres.pool import Address, ConnectionPool, translated
from obscore.store.products import (
    BEYOND,
    PAGE,
    IndexCache,
    departed_of,
    located,
    neighbour_columns,
    neighbour_from,
    product_of,
    row_id,
    select_collections,
    select_departed,
    select_newest,
    select_products,
    select_sample,
    summaries,
)
from vodal.errors import NotFoundError
from vodal.fits.index import FileIndex
from vodal.products import (
    Catalogue,
    CollectionSummary,
    Departed,
    Near,
    Neighbour,
    Product,
    Resolver,
)
from vodal.regions import Point, Region
from vodal.sphere import intersects

__all__ = ["SQL_SAMPLE", "PostgresCatalogue", "PostgresResolver"]

_FILES, _OBSCORE = tables.files, tables.obscore
_PRODUCTS = select_products(_FILES, _OBSCORE)

_SQL_BY_DID = tables.sql(
    _PRODUCTS.where(
        _OBSCORE.c.obs_publisher_did == any_(bindparam("keys", type_=ARRAY(TEXT(collation="C"))))
    )
)
_SQL_DEPARTED = tables.sql(
    select_departed().where(
        schema.tombstones.c.obs_publisher_did
        == any_(bindparam("keys", type_=ARRAY(TEXT(collation="C"))))
    )
)
_SQL_BY_ID = tables.sql(
    _PRODUCTS.where(_OBSCORE.c.id == any_(bindparam("keys", type_=ARRAY(BIGINT))))
)
_SQL_INDEX = tables.sql(
    select(_FILES.c.byte_index).where(
        _FILES.c.uri == bindparam("uri"), _FILES.c.version == bindparam("version")
    )
)
_SQL_COLLECTIONS = tables.sql(select_collections(_OBSCORE))
_SQL_NEWEST = tables.sql(select_newest(_OBSCORE))
SQL_SAMPLE = tables.sql(select_sample(_OBSCORE))

_IDS = select(_OBSCORE.c.id).order_by(_OBSCORE.c.obs_publisher_did)
_IN_COLLECTION = _OBSCORE.c.obs_collection == bindparam("collection")
_NEAR = text("s_cap && ANY(CAST(:caps AS scircle[]))")
_SQL_IDS = {
    (False, False): tables.sql(_IDS),
    (True, False): tables.sql(_IDS.where(_IN_COLLECTION)),
    (False, True): tables.sql(_IDS.where(_NEAR)),
    (True, True): tables.sql(_IDS.where(_IN_COLLECTION, _NEAR)),
}
"""By whether a collection is given, and caps to look in."""


_IN_CAPS = (
    "SELECT caps.number, obscore.id FROM unnest(CAST(:caps AS scircle[])) WITH ORDINALITY"
    " AS caps (cap, number) JOIN obscore ON s_cap && caps.cap"
)
_SQL_IN_CAPS = {
    False: tables.sql(text(_IN_CAPS)),
    True: tables.sql(text(f"{_IN_CAPS} WHERE obs_collection = :collection")),
}
"""By whether a collection is given."""


_SQL_NEAR = tables.sql(
    text(
        f"SELECT places.number, found.* FROM unnest(CAST(:caps AS scircle[])"  # noqa: S608
        ", CAST(:collections AS text[]), CAST(:bands AS text[]), CAST(:others AS text[]))"
        " WITH ORDINALITY AS places (cap, collection, band, other, number) CROSS JOIN LATERAL"
        f" (SELECT {', '.join(str(column) for column in neighbour_columns(_OBSCORE))} FROM obscore"
        " WHERE s_cap && places.cap AND obscore.obs_collection = places.collection"
        " AND (places.band IS NULL OR obscore.filter = places.band)"
        " AND (places.other IS NULL OR obscore.filter <> places.other) LIMIT :most) AS found"
    )
)


class _Reader:
    """Reads rows through a pool."""

    def __init__(self, address: Address, connections: int) -> None:
        self._pool = ConnectionPool(address, size=connections)

    def fetch(self, sql: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        with self._pool.connection() as connection, translated(self._pool.address):
            return cast("list[tuple[Any, ...]]", connection.execute(sql, values).fetchall())

    def close(self) -> None:
        self._pool.close()


def _is_text(key: str) -> bool:
    """Tell whether a text can be in the database at all, which refuses some even to look for."""
    return "\0" not in key and key.encode("utf-8", "ignore").decode("utf-8") == key


class PostgresResolver(Resolver):
    """Finds products by identifier. Safe to call from several threads.

    Parameters
    ----------
    address
        Of the store; nothing is asked of it before the first call.
    connections
        Most connections open at once.
    """

    def __init__(self, address: Address, *, connections: int = 8) -> None:
        self._reader = _Reader(address, connections)
        self._indexes = IndexCache()

    @override
    def resolve(self, dids: Sequence[str]) -> dict[str, Product]:
        found: dict[str, Product] = {}
        possible = [did for did in dids if _is_text(did)]
        for start in range(0, len(possible), PAGE):
            keys = {"keys": possible[start : start + PAGE]}
            for values in self._reader.fetch(_SQL_BY_DID, keys):
                product = product_of(values)
                found[product.did] = product
        return found

    @override
    def index(self, product: Product) -> FileIndex:
        kept = self._indexes.find(product.uri, product.version)
        if kept is not None:
            return kept
        named = {"uri": product.uri, "version": product.version}
        rows = self._reader.fetch(_SQL_INDEX, named)
        if not rows:
            raise NotFoundError(f"{product.did} has been withdrawn or replaced; search again")
        return self._indexes.unpack(product.uri, product.version, rows[0][0])

    @override
    def departed(self, dids: Sequence[str]) -> dict[str, Departed]:
        keys = {"keys": [did for did in dids if _is_text(did)]}
        return departed_of(self._reader.fetch(_SQL_DEPARTED, keys))

    def close(self) -> None:
        """Release the connections."""
        self._reader.close()


class PostgresCatalogue(Catalogue):
    """Finds products by collection and place. Safe to call from several threads.

    Parameters
    ----------
    address
        Of the store; nothing is asked of it before the first call.
    """

    def __init__(self, address: Address) -> None:
        self._reader = _Reader(address, 4)

    @override
    def collections(self) -> list[CollectionSummary]:
        return summaries(self._reader.fetch(_SQL_COLLECTIONS, {}))

    @override
    def products(
        self, collection: str | None = None, region: Region | None = None
    ) -> Iterator[Product]:
        # Eight bytes a product are read at once, the products page by page: no transaction stays
        # open while the caller works, which would keep the database from clearing old rows.
        ids = self._candidates(collection, region)
        for start in range(0, len(ids), PAGE):
            for product in self._page(ids[start : start + PAGE]):
                if region is None or (
                    product.region is not None and intersects(product.region, region)
                ):
                    yield product

    @override
    def sample(self, kind: str, count: int) -> list[Product]:
        rows = self._reader.fetch(SQL_SAMPLE, {"kind": kind, "count": count})
        ids = array("q", (row[0] for row in rows))
        # A position alone is no footprint.
        return [product for product in self._page(ids) if product.region is not None]

    @override
    def newest(self, limit: int, before: int | None = None) -> list[tuple[int, Product]]:
        named = {"before": BEYOND if before is None else before, "limit": limit}
        ids = array("q", (row[0] for row in self._reader.fetch(_SQL_NEWEST, named)))
        by_id = self._products(ids)
        return [(key, by_id[key]) for key in ids if key in by_id]

    def _candidates(self, collection: str | None, region: Region | None) -> array[int]:
        values: dict[str, Any] = {}
        if collection is not None:
            if not _is_text(collection):
                return array("q")
            values["collection"] = collection
        caps = None if region is None else caps_around(region)
        if caps is not None:
            values["caps"] = caps
        statement = _SQL_IDS[collection is not None, caps is not None]
        return array("q", (row[0] for row in self._reader.fetch(statement, values)))

    def _page(self, ids: array[int]) -> list[Product]:
        """Read products in the order of their ids' list; those withdrawn meanwhile are left out."""
        by_id = self._products(ids)
        return [by_id[key] for key in ids if key in by_id]

    @override
    def at(
        self, places: Sequence[Point], collection: str | None = None
    ) -> Iterator[tuple[Product, ...]]:
        near = [array("q") for _ in places]
        values: dict[str, Any] = {"caps": caps_at(places)}
        if collection is not None:
            values["collection"] = collection
        if collection is None or _is_text(collection):
            for number, key in self._reader.fetch(_SQL_IN_CAPS[collection is not None], values):
                # The last cap is that of footprints which may be anywhere.
                for keys in near[number - 1 : number] if number <= len(places) else near:
                    keys.append(key)
        return located(places, near, self._products)

    @override
    def near(self, places: Sequence[Near], limit: int) -> list[list[Neighbour]]:
        found: list[list[Neighbour]] = [[] for _ in places]
        # Each cap's own; what is in no text of the database is in no row.
        sought = [
            (number, caps[0], place)
            for number, place in enumerate(places)
            if (caps := caps_around(place.shape)) is not None and _is_text(place.collection)
        ]
        values = {
            "caps": [cap for _, cap, _ in sought],
            "collections": [place.collection for *_, place in sought],
            "bands": [place.band for *_, place in sought],
            "others": [place.other_than for *_, place in sought],
            "most": limit,
        }
        for number, *row in self._reader.fetch(_SQL_NEAR, values) if sought else ():
            found[sought[number - 1][0]].append(neighbour_from(row))
        return found

    def _products(self, keys: Sequence[int]) -> dict[int, Product]:
        rows = self._reader.fetch(_SQL_BY_ID, {"keys": list(keys)})
        return {row_id(row): product_of(row) for row in rows}

    def close(self) -> None:
        """Release the connections."""
        self._reader.close()
