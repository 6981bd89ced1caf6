"""Files whose rows are made of what their source tells, opened when they are first needed.

A row that was told has no byte index: nobody has looked into its file. The first cutout, preview
or tile has the headers read, once; the catalogue keeps what was found beside the row, which stays
as the source told it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

from typing_extensions import override

from obscore.assembly.parts import named_group
from obscore.observation import CataloguedFile, Observation
from obscore.store.base import Backend, ClosingResolver, Store
from vodal.errors import DataError, NotFoundError, ServiceUnavailable, SkylaneError
from vodal.fits.footprint import footprint
from vodal.fits.index import FileIndex
from vodal.fits.opening import open_scanned
from vodal.fits.planes import PlaneGroup, group_planes
from vodal.fits.quiet import quiet
from vodal.fits.wcs import celestial_axes, claims_sky, load_wcs
from vodal.products import Departed, Product
from vodal.regions import Point
from vodal.sphere import contains
from vodal.storage import LOCAL, RangeReader, Storage

__all__ = ["OpeningResolver", "opened"]

_LOG = logging.getLogger(__name__)

_KEPT = 256
"""Products of which the store could not be told, that are remembered all the same."""
_FAILED = 1000
_FAILED_S = 30.0
"""A file that could not be opened is not tried again for so long."""
_TURNS = 16


def opened(file: CataloguedFile, storage: Storage = LOCAL) -> CataloguedFile:
    """Open a file and find its products in it.

    Parameters
    ----------
    file
        As it was told.
    storage
        Opens it.

    Returns
    -------
    CataloguedFile
        The same rows, with the byte index and the HDUs of each. A row whose HDU is not found has
        none.

    Raises
    ------
    NotFoundError
        If the file is not there.
    DataError
        If it is no FITS file or is damaged, or none of its rows is found in it.
    ServiceUnavailable
        If its storage does not answer now.
    """
    with quiet():
        index, reader = open_scanned(file.uri, storage=storage)
        with reader:
            modified_unix_s = reader.stat().modified_unix_s
            groups = group_planes(index)
            if not groups:
                raise DataError("the file has no image of two or more axes")
            found: list[Observation] = []
            faults: list[DataError] = []
            for one in file.observations:
                try:
                    hdus = _group_of(one, groups, index, reader).hdus
                except DataError as error:
                    faults.append(error)
                    hdus = ()
                found.append(replace(one, hdus=hdus))
    if len(faults) == len(found):
        raise faults[0]
    return replace(
        file,
        index=index,
        observations=tuple(found),
        modified_unix_s=modified_unix_s,
        content_type=index.content_type,
    )


def _group_of(
    one: Observation, groups: Sequence[PlaneGroup], index: FileIndex, reader: RangeReader
) -> PlaneGroup:
    """Find a row's image: by the HDU that was told, else where the row is on the sky."""
    if one.part:
        return named_group(one.part, groups, index)
    if len(groups) == 1:
        return groups[0]
    ra, dec = one.row.get("s_ra"), one.row.get("s_dec")
    if ra is not None and dec is not None:
        place = Point(float(ra), float(dec))
        return next((one for one in groups if _holds(one, place, index, reader)), groups[0])
    return groups[0]


def _holds(group: PlaneGroup, place: Point, index: FileIndex, reader: RangeReader) -> bool:
    hdu = index.hdus[group.hdus[0]]
    if not claims_sky(hdu.image_values):
        return False
    try:
        wcs = load_wcs(hdu, index, reader)
        first, second = celestial_axes(wcs)
        nx, ny = (hdu.shape[len(hdu.shape) - 1 - axis] for axis in (first, second))
        return contains(footprint(wcs, nx, ny).region, place)
    except SkylaneError:
        return False


class OpeningResolver(ClosingResolver):
    """Finds products, and opens files of which the catalogue has no byte index yet.

    Safe to call from several threads.

    Parameters
    ----------
    backend
        The store.
    storage
        Opens the files.
    """

    def __init__(self, backend: Backend, storage: Storage = LOCAL) -> None:
        self._backend, self._storage = backend, storage
        self._resolver = backend.resolver()
        self._turns = [threading.Lock() for _ in range(_TURNS)]
        self._lock = threading.Lock()
        self._store: Store | None = None
        self._kept: OrderedDict[str, tuple[Product, FileIndex]] = OrderedDict()
        self._failed: OrderedDict[str, tuple[float, SkylaneError]] = OrderedDict()

    @override
    def resolve(self, dids: Sequence[str]) -> dict[str, Product]:
        return self._resolver.resolve(dids)

    @override
    def departed(self, dids: Sequence[str]) -> dict[str, Departed]:
        return self._resolver.departed(dids)

    @override
    def ready(self, product: Product) -> Product:
        if product.hdus:
            return product
        # One thread opens a file; the others wait and find it done.
        with self._turns[hash(product.uri) % _TURNS]:
            kept = self._kept.get(product.did)
            if kept is not None and kept[0].uri == product.uri:
                return kept[0]
            now = self._resolver.resolve([product.did]).get(product.did)
            if now is None:
                raise NotFoundError(f"{product.did} has been withdrawn; search again")
            return now if now.hdus else self._opened(now)

    @override
    def index(self, product: Product) -> FileIndex:
        product = self.ready(product)
        kept = self._kept.get(product.did)
        if kept is not None and kept[0].version == product.version:
            return kept[1]
        return self._resolver.index(product)

    @override
    def close(self) -> None:
        self._resolver.close()
        with self._lock:
            if self._store is not None:
                self._store.close()
                self._store = None

    def _opened(self, product: Product) -> Product:
        until_s, error = self._failed.get(product.uri, (0.0, None))
        if error is not None and time.monotonic() < until_s:
            raise error
        store = self._writer()
        told = store.file_at(product.uri)
        if told is None:
            raise NotFoundError(f"{product.did} has been withdrawn; search again")
        try:
            file = opened(told, self._storage)
            own = next((one for one in file.observations if one.did == product.did), None)
            if own is None or not own.hdus:
                raise DataError(f"the file of {product.did} has no image where its row says")
        except SkylaneError as fault:
            self._remember(product.uri, fault)
            raise
        assert file.index is not None
        made = replace(
            product,
            hdus=own.hdus,
            version=file.version,
            size_bytes=file.size_bytes,
            content_type=file.content_type,
            modified_unix_s=file.modified_unix_s,
        )
        try:
            store.complete(file, told.version)
        except SkylaneError as fault:
            _LOG.warning("the catalogue was not told what is in %s: %s", product.uri, fault)
            with self._lock:
                self._kept[product.did] = made, file.index
                if len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
        return made

    def _writer(self) -> Store:
        with self._lock:
            if self._store is None:
                self._store = self._backend.writer()
            return self._store

    def _remember(self, uri: str, error: SkylaneError) -> None:
        pause_s = _FAILED_S / 6 if isinstance(error, ServiceUnavailable) else _FAILED_S
        with self._lock:
            self._failed[uri] = time.monotonic() + pause_s, error
            self._failed.move_to_end(uri)
            if len(self._failed) > _FAILED:
                self._failed.popitem(last=False)
