"""From identifiers and places to products, on the embedded store."""

from __future__ import annotations

import json
import threading
from array import array
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import bindparam, func, select, text
from typing_extensions import override

from obscore.store import schema
from obscore.store.sqlite.readers import ReaderPool, fetch
from vodal.errors import NotFoundError
from vodal.fits.index import FileIndex
from vodal.products import Catalogue, CollectionSummary, Product, Resolver
from vodal.regions import Point, Region, shape_from_bytes
from vodal.sphere import bounding_cap, cap_box, intersects

__all__ = ["SqliteCatalogue", "SqliteResolver"]

_PAGE = 500
"""Products read at a time: the cost of the statement is spread over them."""

_INDEX_CACHE_BYTES = 64 << 20
"""Packed byte indexes kept in memory by one resolver, by their size in the database."""

_FILES, _OBSCORE = schema.files, schema.obscore
_KEYS = func.json_each(bindparam("keys")).table_valued("value").c.value

_FILE_COLUMNS = (
    _FILES.c.uri,
    _FILES.c.file_name,
    _FILES.c.content_type,
    _FILES.c.size,
    _FILES.c.version,
    _FILES.c.modified,
)
_ROW_NAMES = tuple(item.name for item in schema.STORED_COLUMNS)
_PRODUCTS = select(
    *_FILE_COLUMNS,
    _OBSCORE.c.id,
    _OBSCORE.c.hdus,
    _OBSCORE.c.s_region_shape,
    *(_OBSCORE.c[name] for name in _ROW_NAMES),
).join(_FILES, _OBSCORE.c.file_id == _FILES.c.id)

_SQL_BY_DID = schema.sql(_PRODUCTS.where(_OBSCORE.c.obs_publisher_did.in_(select(_KEYS))))
_SQL_BY_ID = schema.sql(_PRODUCTS.where(_OBSCORE.c.id.in_(select(_KEYS))))
_SQL_INDEX = schema.sql(
    select(_FILES.c.byte_index).where(
        _FILES.c.uri == bindparam("uri"), _FILES.c.version == bindparam("version")
    )
)
_SQL_COLLECTIONS = schema.sql(
    select(
        _OBSCORE.c.obs_collection,
        _OBSCORE.c.filter,
        func.count(),
        func.min(_OBSCORE.c.em_min),
    ).group_by(_OBSCORE.c.obs_collection, _OBSCORE.c.filter)
)

_IDS = select(_OBSCORE.c.id).order_by(_OBSCORE.c.obs_publisher_did)
_IN_COLLECTION = _OBSCORE.c.obs_collection == bindparam("collection")
_NEAR = _OBSCORE.c.id.in_(
    text(
        f"SELECT id FROM {schema.RTREE} WHERE xmax >= :xmin AND xmin <= :xmax"  # noqa: S608
        " AND ymax >= :ymin AND ymin <= :ymax AND zmax >= :zmin AND zmin <= :zmax"
    )
)
_SQL_IDS = {
    (False, False): schema.sql(_IDS),
    (True, False): schema.sql(_IDS.where(_IN_COLLECTION)),
    (False, True): schema.sql(_IDS.where(_NEAR)),
    (True, True): schema.sql(_IDS.where(_IN_COLLECTION, _NEAR)),
}
"""By whether a collection and a region are given."""


def _product(values: Sequence[Any]) -> Product:
    """Make a product of a row of `_PRODUCTS`."""
    uri, file_name, content_type, size, version, modified, _, hdus, shape = values[:9]
    row: Mapping[str, object] = dict(zip(_ROW_NAMES, values[9:], strict=True))
    region = None if shape is None else shape_from_bytes(shape)
    return Product(
        did=str(row["obs_publisher_did"]),
        collection=str(row["obs_collection"]),
        uri=uri,
        file_name=file_name,
        content_type=content_type,
        size_bytes=size,
        version=version,
        modified_unix_s=modified,
        hdus=tuple(json.loads(hdus)),
        region=None if isinstance(region, Point) else region,
        obscore=row,
    )


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
        self._indexes: OrderedDict[tuple[str, str], tuple[int, FileIndex]] = OrderedDict()
        self._cached_bytes = 0
        self._lock = threading.Lock()

    @override
    def resolve(self, dids: Sequence[str]) -> dict[str, Product]:
        found: dict[str, Product] = {}
        with self._pool.reader() as (connection, _):
            for start in range(0, len(dids), _PAGE):
                keys = {"keys": json.dumps(dids[start : start + _PAGE])}
                for values in fetch(connection, _SQL_BY_DID, keys):
                    product = _product(values)
                    found[product.did] = product
        return found

    @override
    def index(self, product: Product) -> FileIndex:
        key = (product.uri, product.version)
        with self._lock:
            cached = self._indexes.get(key)
            if cached is not None:
                self._indexes.move_to_end(key)
                return cached[1]
        with self._pool.reader() as (connection, _):
            rows = fetch(connection, _SQL_INDEX, {"uri": key[0], "version": key[1]})
        if not rows:
            raise NotFoundError(f"{product.did} has been withdrawn or replaced; search again")
        packed: bytes = rows[0][0]
        index = FileIndex.from_bytes(packed)
        self._remember(key, len(packed), index)
        return index

    def _remember(self, key: tuple[str, str], size_bytes: int, index: FileIndex) -> None:
        with self._lock:
            if key in self._indexes:
                return
            self._indexes[key] = (size_bytes, index)
            self._cached_bytes += size_bytes
            while self._cached_bytes > _INDEX_CACHE_BYTES and len(self._indexes) > 1:
                _, (dropped, _) = self._indexes.popitem(last=False)
                self._cached_bytes -= dropped

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
            rows = fetch(connection, _SQL_COLLECTIONS)
        products: dict[str, int] = {}
        bands: dict[str, list[tuple[float, str]]] = {}
        for name, band, count, em_min in rows:
            products[name] = products.get(name, 0) + count
            if band is not None:
                wavelength = float("inf") if em_min is None else em_min
                bands.setdefault(name, []).append((wavelength, band))
        return [
            CollectionSummary(
                name, products[name], tuple(band for _, band in sorted(bands.get(name, [])))
            )
            for name in sorted(products)
        ]

    @override
    def products(
        self, collection: str | None = None, region: Region | None = None
    ) -> Iterator[Product]:
        # Eight bytes a product are read at once, the products page by page: no read transaction
        # stays open while the caller works, which would keep the write-ahead log growing.
        ids = self._candidates(collection, region)
        for start in range(0, len(ids), _PAGE):
            page = ids[start : start + _PAGE]
            for product in self._page(page):
                if region is None or (
                    product.region is not None and intersects(product.region, region)
                ):
                    yield product

    def _candidates(self, collection: str | None, region: Region | None) -> array[int]:
        values: dict[str, Any] = {}
        if collection is not None:
            values["collection"] = collection
        if region is not None:
            box = cap_box(*bounding_cap(region))
            names = ("xmin", "xmax", "ymin", "ymax", "zmin", "zmax")
            values.update(zip(names, box, strict=True))
        statement = _SQL_IDS[collection is not None, region is not None]
        with self._pool.reader() as (connection, _):
            return array("q", (row[0] for row in connection.execute(statement, values)))

    def _page(self, ids: array[int]) -> list[Product]:
        """Read products in the order of their ids' list; those withdrawn meanwhile are left out."""
        with self._pool.reader() as (connection, _):
            rows = fetch(connection, _SQL_BY_ID, {"keys": json.dumps(ids.tolist())})
        by_id = {row[6]: row for row in rows}
        return [_product(by_id[key]) for key in ids if key in by_id]

    def close(self) -> None:
        """Release the connections."""
        self._pool.close()
