"""From identifiers and places to products, on the embedded store."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import bindparam, func, select, text
from typing_extensions import override

from obscore.store import schema
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
from obscore.store.sqlite.readers import ReaderPool, fetch
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
from vodal.sphere import bounding_cap, cap_box, intersects

__all__ = ["SQL_SAMPLE", "SqliteCatalogue", "SqliteResolver"]

_BOX = ("xmin", "xmax", "ymin", "ymax", "zmin", "zmax")

_FILES, _OBSCORE = schema.files, schema.obscore
_KEYS = func.json_each(bindparam("keys")).table_valued("value").c.value
_PRODUCTS = select_products(_FILES, _OBSCORE)

_SQL_BY_DID = schema.sql(_PRODUCTS.where(_OBSCORE.c.obs_publisher_did.in_(select(_KEYS))))
_SQL_DEPARTED = schema.sql(
    select_departed().where(schema.tombstones.c.obs_publisher_did.in_(select(_KEYS)))
)
_SQL_BY_ID = schema.sql(_PRODUCTS.where(_OBSCORE.c.id.in_(select(_KEYS))))
_SQL_INDEX = schema.sql(
    select(_FILES.c.byte_index).where(
        _FILES.c.uri == bindparam("uri"), _FILES.c.version == bindparam("version")
    )
)
_SQL_COLLECTIONS = schema.sql(select_collections(_OBSCORE))
_SQL_NEWEST = schema.sql(select_newest(_OBSCORE))
SQL_SAMPLE = schema.sql(select_sample(_OBSCORE))

_IDS = select(_OBSCORE.c.id).order_by(_OBSCORE.c.obs_publisher_did)
_IN_COLLECTION = _OBSCORE.c.obs_collection == bindparam("collection")
_NEAR = _OBSCORE.c.id.in_(
    text(
        f"SELECT id FROM {schema.RTREE} WHERE xmax >= :xmin AND xmin <= :xmax"  # noqa: S608
        " AND ymax >= :ymin AND ymin <= :ymax AND zmax >= :zmin AND zmin <= :zmax"
    )
)
_IN_BOXES = (
    f"SELECT boxes.key, tree.id FROM json_each(:boxes) AS boxes CROSS JOIN {schema.RTREE} AS tree"  # noqa: S608
    "{more} WHERE tree.xmax >= boxes.value ->> 0 AND tree.xmin <= boxes.value ->> 1"
    " AND tree.ymax >= boxes.value ->> 2 AND tree.ymin <= boxes.value ->> 3"
    " AND tree.zmax >= boxes.value ->> 4 AND tree.zmin <= boxes.value ->> 5"
)
_SQL_IN_BOXES = {
    False: _IN_BOXES.format(more=""),
    True: _IN_BOXES.format(
        more=" JOIN obscore ON obscore.id = tree.id AND obscore.obs_collection = :collection"
    ),
}
"""By whether a collection is given."""
_SQL_NEAR = (
    f"SELECT {', '.join(str(column) for column in neighbour_columns(_OBSCORE))}"  # noqa: S608
    f" FROM (SELECT id FROM {schema.RTREE} WHERE xmax >= :xmin AND xmin <= :xmax AND ymax >= :ymin"
    " AND ymin <= :ymax AND zmax >= :zmin AND zmin <= :zmax LIMIT :looked) AS tree"
    " CROSS JOIN obscore ON obscore.id = tree.id WHERE obscore.obs_collection = :collection"
    " AND (:band IS NULL OR obscore.filter = :band)"
    " AND (:other IS NULL OR obscore.filter <> :other) LIMIT :limit"
)
_LOOKED_AT = 4000
"""Rows around a place that are looked at for neighbours: a few milliseconds' worth."""
_SQL_IDS = {
    (False, False): schema.sql(_IDS),
    (True, False): schema.sql(_IDS.where(_IN_COLLECTION)),
    (False, True): schema.sql(_IDS.where(_NEAR)),
    (True, True): schema.sql(_IDS.where(_IN_COLLECTION, _NEAR)),
}
"""By whether a collection and a region are given."""


class SqliteResolver(Resolver):
    """Finds products by identifier. Safe to call from several threads.

    Parameters
    ----------
    path
        The database file; it need not exist before the first call.
    connections
        Most connections open at once.
    """

    def __init__(self, path: Path, *, connections: int = 8) -> None:
        self._pool = ReaderPool(path, size=connections, published_only=False)
        self._indexes = IndexCache()

    @override
    def resolve(self, dids: Sequence[str]) -> dict[str, Product]:
        found: dict[str, Product] = {}
        with self._pool.reader() as (connection, _):
            for start in range(0, len(dids), PAGE):
                keys = {"keys": json.dumps(dids[start : start + PAGE])}
                for values in fetch(connection, _SQL_BY_DID, keys):
                    product = product_of(values)
                    found[product.did] = product
        return found

    @override
    def index(self, product: Product) -> FileIndex:
        kept = self._indexes.find(product.uri, product.version)
        if kept is not None:
            return kept
        named = {"uri": product.uri, "version": product.version}
        with self._pool.reader() as (connection, _):
            rows = fetch(connection, _SQL_INDEX, named)
        if not rows:
            raise NotFoundError(f"{product.did} has been withdrawn or replaced; search again")
        return self._indexes.unpack(product.uri, product.version, rows[0][0])

    @override
    def departed(self, dids: Sequence[str]) -> dict[str, Departed]:
        with self._pool.reader() as (connection, _):
            keys = {"keys": json.dumps(list(dids))}
            return departed_of(fetch(connection, _SQL_DEPARTED, keys))

    def close(self) -> None:
        """Release the connections."""
        self._pool.close()


class SqliteCatalogue(Catalogue):
    """Finds products by collection and place. Safe to call from several threads.

    Parameters
    ----------
    path
        The database file; it need not exist before the first call.
    """

    def __init__(self, path: Path) -> None:
        self._pool = ReaderPool(path, size=4, published_only=False)

    @override
    def collections(self) -> list[CollectionSummary]:
        with self._pool.reader() as (connection, _):
            return summaries(fetch(connection, _SQL_COLLECTIONS))

    @override
    def products(
        self, collection: str | None = None, region: Region | None = None
    ) -> Iterator[Product]:
        # Eight bytes a product are read at once, the products page by page: no read transaction
        # stays open while the caller works, which would keep the write-ahead log growing.
        ids = self._candidates(collection, region)
        for start in range(0, len(ids), PAGE):
            page = ids[start : start + PAGE]
            for product in self._page(page):
                if region is None or (
                    product.region is not None and intersects(product.region, region)
                ):
                    yield product

    @override
    def sample(self, kind: str, count: int) -> list[Product]:
        named = {"kind": kind, "count": count}
        with self._pool.reader() as (connection, _):
            ids = array("q", (row[0] for row in connection.execute(SQL_SAMPLE, named)))
        # A position alone is no footprint.
        return [product for product in self._page(ids) if product.region is not None]

    @override
    def newest(self, limit: int, before: int | None = None) -> list[tuple[int, Product]]:
        named = {"before": BEYOND if before is None else before, "limit": limit}
        with self._pool.reader() as (connection, _):
            ids = array("q", (row[0] for row in connection.execute(_SQL_NEWEST, named)))
        by_id = self._products(ids)
        return [(key, by_id[key]) for key in ids if key in by_id]

    def _candidates(self, collection: str | None, region: Region | None) -> array[int]:
        values: dict[str, Any] = {}
        if collection is not None:
            values["collection"] = collection
        if region is not None:
            box = cap_box(*bounding_cap(region))
            values.update(zip(_BOX, box, strict=True))
        statement = _SQL_IDS[collection is not None, region is not None]
        with self._pool.reader() as (connection, _):
            return array("q", (row[0] for row in connection.execute(statement, values)))

    def _page(self, ids: array[int]) -> list[Product]:
        """Read products in the order of their ids' list; those withdrawn meanwhile are left out."""
        by_id = self._products(ids)
        return [by_id[key] for key in ids if key in by_id]

    @override
    def at(
        self, places: Sequence[Point], collection: str | None = None
    ) -> Iterator[tuple[Product, ...]]:
        boxes = json.dumps([cap_box(*bounding_cap(place)) for place in places])
        values = {"boxes": boxes, "collection": collection}
        if collection is None:
            del values["collection"]
        near = [array("q") for _ in places]
        with self._pool.reader() as (connection, _):
            for place, key in connection.execute(_SQL_IN_BOXES[collection is not None], values):
                near[place].append(key)
        return located(places, near, self._products)

    @override
    def near(self, places: Sequence[Near], limit: int) -> list[list[Neighbour]]:
        found = []
        with self._pool.reader() as (connection, _):
            for place in places:
                box = cap_box(*bounding_cap(place.shape))
                values = {
                    **dict(zip(_BOX, box, strict=True)),
                    "collection": place.collection,
                    "band": place.band,
                    "other": place.other_than,
                    "looked": _LOOKED_AT,
                    "limit": limit,
                }
                found.append([neighbour_from(row) for row in connection.execute(_SQL_NEAR, values)])
        return found

    def _products(self, keys: Sequence[int]) -> dict[int, Product]:
        with self._pool.reader() as (connection, _):
            rows = fetch(connection, _SQL_BY_ID, {"keys": json.dumps(list(keys))})
        return {row_id(row): product_of(row) for row in rows}

    def close(self) -> None:
        """Release the connections."""
        self._pool.close()
