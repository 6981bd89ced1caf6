"""Rows of the tables as products; what the resolvers and catalogues of every database share."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnClause,
    ColumnElement,
    Select,
    Table,
    bindparam,
    func,
    literal_column,
    select,
)

from obscore.store import schema
from obscore.store.rows import hdus_of
from vodal.fits.index import FileIndex
from vodal.products import NEIGHBOUR_COLUMNS, CollectionSummary, Departed, Neighbour, Product
from vodal.regions import Point, region_from_bytes
from vodal.sphere import contains

__all__ = [
    "BEYOND",
    "PAGE",
    "IndexCache",
    "departed_of",
    "located",
    "neighbour_columns",
    "neighbour_from",
    "product_of",
    "row_id",
    "select_collections",
    "select_departed",
    "select_newest",
    "select_products",
    "select_sample",
    "summaries",
]

PAGE = 500
"""Products read at a time: the cost of the statement is spread over them."""

_LOADED = 2000
"""Products that are in memory at once for several places."""

_SAMPLED = 1000
"""Rows that a sample is chosen from; it must not look through all for want of a footprint."""

_FIRST: ColumnClause[int] = literal_column("0")

BEYOND = (1 << 63) - 1
"""No row has so high an id."""

_CACHE_BYTES = 64 << 20
"""Packed byte indexes kept in memory by one resolver, by their size in the database."""

_ROW_NAMES = tuple(item.name for item in schema.STORED_COLUMNS)


def select_products(files: Table, obscore: Table) -> Select[Any]:
    """Give the statement whose rows `product_of` takes, of a database's tables."""
    return select(
        files.c.uri,
        files.c.file_name,
        files.c.content_type,
        files.c.size,
        files.c.version,
        files.c.modified,
        obscore.c.id,
        obscore.c.hdus,
        obscore.c.s_region_shape,
        *(obscore.c[name] for name in _ROW_NAMES),
    ).join(files, obscore.c.file_id == files.c.id)


def neighbour_columns(obscore: Table) -> tuple[ColumnElement[Any], ...]:
    """Give the columns whose values `neighbour_from` takes, of a database's table."""
    return (*(obscore.c[name] for name in NEIGHBOUR_COLUMNS), obscore.c.s_region_shape)


def neighbour_from(values: Sequence[Any]) -> Neighbour:
    """Make a neighbour of the values of `neighbour_columns`."""
    return Neighbour(dict(zip(NEIGHBOUR_COLUMNS, values, strict=False)), values[-1])


def row_id(values: Sequence[Any]) -> int:
    """Give the key of a row of `select_products`."""
    return int(values[6])


def product_of(values: Sequence[Any]) -> Product:
    """Make a product of a row of `select_products`."""
    uri, file_name, content_type, size, version, modified, _, hdus, shape = values[:9]
    row: Mapping[str, object] = dict(zip(_ROW_NAMES, values[9:], strict=True))
    return Product(
        did=str(row["obs_publisher_did"]),
        collection=str(row["obs_collection"]),
        uri=uri,
        file_name=file_name,
        content_type=content_type,
        size_bytes=None if size < 0 else size,
        version=version,
        modified_unix_s=modified,
        hdus=hdus_of(hdus)[0],
        region=region_from_bytes(shape),
        obscore=row,
    )


def select_departed() -> Select[Any]:
    """Give the statement for what is left of products, for `departed_of`; it lacks a WHERE."""
    tombs = schema.tombstones
    return select(
        tombs.c.obs_publisher_did,
        tombs.c.obs_collection,
        tombs.c.obs_release_date,
        tombs.c.deleted,
        tombs.c.kind,
        tombs.c.reason,
    )


def departed_of(rows: Iterable[Sequence[Any]]) -> dict[str, Departed]:
    """Give what is left of products, by identifier."""
    return {row[0]: Departed(*row) for row in rows}


def located(
    places: Sequence[Point],
    near: Sequence[Sequence[int]],
    load: Callable[[Sequence[int]], Mapping[int, Product]],
) -> Iterator[tuple[Product, ...]]:
    """Give for each place the products whose footprint holds it, by identifier.

    Products that several places share are loaded once; only so many are in memory as one place
    needs, or a few pages of them.

    Parameters
    ----------
    places
        Where to look.
    near
        For each the keys of the rows that may hold it.
    load
        Gives the products of at most `PAGE` keys; those withdrawn meanwhile are left out.
    """
    loaded: dict[int, Product] = {}
    start = 0
    while start < len(places):
        wanted: dict[int, None] = {}
        stop = start
        while stop < len(places) and (stop == start or len(wanted) + len(near[stop]) <= _LOADED):
            wanted |= dict.fromkeys(near[stop])
            stop += 1
        loaded = {key: loaded[key] for key in wanted if key in loaded}
        missing = [key for key in wanted if key not in loaded]
        for first in range(0, len(missing), PAGE):
            loaded |= load(missing[first : first + PAGE])
        for place, keys in zip(places[start:stop], near[start:stop], strict=True):
            found = (loaded[key] for key in dict.fromkeys(keys) if key in loaded)
            holding = [one for one in found if one.region and contains(one.region, place)]
            yield tuple(sorted(holding, key=lambda one: one.did))
        start = stop


def select_newest(obscore: Table) -> Select[Any]:
    """Give the statement for the highest ids of rows below ``before``, ``limit`` of them."""
    return (
        select(obscore.c.id)
        .where(obscore.c.id < bindparam("before"))
        .order_by(obscore.c.id.desc())
        .limit(bindparam("limit"))
        .offset(_FIRST)
    )


def select_sample(obscore: Table) -> Select[Any]:
    """Give the statement for the ids of ``count`` rows of a ``kind`` that have a footprint."""
    kind = obscore.c.dataproduct_type
    # A range, in the order of the index: for an equality PostgreSQL may read the whole table, if
    # the kind is frequent and its rows happen to lie at the end.
    first = (
        select(obscore.c.id, obscore.c.s_region_shape)
        .where(kind >= bindparam("kind"), kind <= bindparam("kind"))
        .order_by(kind.nulls_first())
        .limit(literal_column(str(_SAMPLED)))
        .offset(_FIRST)
        .subquery()
    )
    return (
        select(first.c.id)
        .where(first.c.s_region_shape.is_not(None))
        .order_by(first.c.id)
        .limit(bindparam("count"))
        .offset(_FIRST)
    )


def select_collections(obscore: Table) -> Select[Any]:
    """Give the statement whose rows `summaries` takes."""
    return select(
        obscore.c.obs_collection,
        obscore.c.filter,
        func.count(),
        func.min(obscore.c.em_min),
    ).group_by(obscore.c.obs_collection, obscore.c.filter)


def summaries(rows: Iterable[Sequence[Any]]) -> list[CollectionSummary]:
    """Give the collections by name, each with its bands by wavelength."""
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


class IndexCache:
    """The byte indexes used last. Safe to use from several threads."""

    def __init__(self) -> None:
        self._indexes: OrderedDict[tuple[str, str], tuple[int, FileIndex]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def find(self, uri: str, version: str) -> FileIndex | None:
        """Give the index of one version of a file, if it is kept."""
        with self._lock:
            kept = self._indexes.get((uri, version))
            if kept is None:
                return None
            self._indexes.move_to_end((uri, version))
            return kept[1]

    def unpack(self, uri: str, version: str, packed: bytes) -> FileIndex:
        """Unpack an index and keep it; the ones that were used least make room."""
        index = FileIndex.from_bytes(packed)
        key = (uri, version)
        with self._lock:
            if key not in self._indexes:
                self._indexes[key] = (len(packed), index)
                self._bytes += len(packed)
            while self._bytes > _CACHE_BYTES and len(self._indexes) > 1:
                _, (dropped, _) = self._indexes.popitem(last=False)
                self._bytes -= dropped
        return index
