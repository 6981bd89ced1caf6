"""From identifiers to what a worker needs to cut."""

from __future__ import annotations

import copy
import math
import time
from collections import OrderedDict
from collections.abc import Sequence

from soda.filters import passes
from soda.selection import Selection
from soda.source import Source, source_of
from vodal.access.rules import EVERYTHING, Rights
from vodal.access.seen import check_had, known_to
from vodal.errors import NotFoundError, ServiceUnavailable, SkylaneError
from vodal.products import Product, Refresher, Resolver, absent
from vodal.storage import LOCAL, Storage

__all__ = ["Finder", "Found", "states"]

_CACHED_SOURCES = 128
_RECENT_S = 1.0
"""Seconds for which a product is not looked up again."""
_RECENT = 1024
"""Products that are known from before."""

Found = tuple[Product, Source | None]
"""A product, and what to cut from; None if the selection leaves nothing of it."""


def states(found: Sequence[Found]) -> list[tuple[str, str, tuple[int, ...]]]:
    """Tell which state of which files was found, to be compared."""
    return [(product.uri, product.version, product.hdus) for product, _ in found]


class Finder:
    """Finds products and what a worker needs of them; keeps the last ones found.

    What a worker needs is given only of what may be had, see `within`.

    All methods but `recent`, `forget` and `changed` block and are called in threads.

    Parameters
    ----------
    resolver
        Finds datasets.
    storage
        Opens their files.
    refresher
        Told of files that changed.
    """

    def __init__(
        self, resolver: Resolver, storage: Storage = LOCAL, refresher: Refresher | None = None
    ) -> None:
        self._resolver, self._storage, self._refresher = resolver, storage, refresher
        self._sources: OrderedDict[tuple[str, str, tuple[int, ...]], Source] = OrderedDict()
        self._recent: OrderedDict[str, tuple[float, Product]] = OrderedDict()
        self._rights = EVERYTHING

    def within(self, rights: Rights) -> Finder:
        """Give a finder for who has some rights; it shares what this one keeps."""
        if rights.all_had:
            return self
        found = copy.copy(self)
        found.__dict__.update(_rights=rights, _resolver=known_to(rights, self._resolver))
        return found

    def product(self, did: str) -> Product:
        """Give a product.

        Raises
        ------
        NotFoundError
            If there is none of this identifier.
        """
        asked = time.monotonic()
        product = self._resolver.resolve([did]).get(did)
        if product is None:
            self.forget(did)
        else:
            self._recent[did] = asked, product
            while len(self._recent) > _RECENT:
                self._recent.popitem(last=False)
        return self._known(product, did)

    def absent(self, did: str) -> NotFoundError:
        """Give what is told of an identifier that no product has."""
        return absent(self._resolver, did, f"there is no dataset '{did[:200]}' here")

    def _known(self, product: Product | None, did: str) -> Product:
        if product is None:
            raise self.absent(did)
        return product

    def recent(self, did: str, selection: Selection) -> Found | None:
        """Do as `look_up` with a product that was looked up a moment ago; None if there is none.

        It may have been replaced or withdrawn meanwhile; then its file is not what it was.
        """
        asked, product = self._recent.get(did, (-math.inf, None))
        if product is None or time.monotonic() - asked > _RECENT_S:
            return None
        if not self._rights.may_have(product):
            return None
        source = self._sources.get((product.did, product.version, product.hdus))
        if source is None:
            return None
        return product, source if passes(product, selection) else None

    def forget(self, did: str) -> None:
        """Look the product up when it is asked for next."""
        self._recent.pop(did, None)

    def changed(self, files: Sequence[tuple[str, str]]) -> None:
        """Tell the catalogue of files, by URI and the version of which they are no more."""
        if self._refresher is not None:
            for uri, version in files:
                self._refresher.refresh(uri, version)

    def source(self, product: Product) -> Source:
        """Give what a worker needs.

        Raises
        ------
        NotFoundError
            If the product has been withdrawn meanwhile.
        AuthorizationError
            If it is not for who asks.
        DataError, ServiceUnavailable
            If its file is opened for the first time, and cannot be.
        """
        check_had(self._rights, product)
        product = self._resolver.ready(product)
        key = (product.did, product.version, product.hdus)
        source = self._sources.get(key)
        if source is None:
            source = source_of(product, self._resolver.index(product), self._storage)
            self._sources[key] = source
            while len(self._sources) > _CACHED_SOURCES:
                self._sources.popitem(last=False)
        return source

    def look_up(self, did: str, selection: Selection) -> Found:
        """Give a product, and what to cut from; None if the selection leaves nothing of it.

        Raises
        ------
        NotFoundError
            If there is no such product.
        UsageError
            If the selection cannot be applied to it.
        AuthorizationError
            If it is not for who asks.
        """
        product = self.product(did)
        try:
            return product, self._source(product, selection)
        except NotFoundError:
            # Replaced between the two questions; the new one is there.
            product = self.product(did)
            return product, self._source(product, selection)

    def _source(self, product: Product, selection: Selection) -> Source | None:
        check_had(self._rights, product)
        return self.source(product) if passes(product, selection) else None

    def products(self, dids: Sequence[str]) -> dict[str, Product]:
        """Give the products that exist, by identifier."""
        return self._resolver.resolve(dids)

    def look_up_all(
        self, wanted: Sequence[tuple[str, Selection]]
    ) -> list[Source | SkylaneError | None]:
        """Look several up at once: what `look_up` finds to cut from, or the error that it raises.

        Raises
        ------
        ServiceUnavailable
            If the catalogue does not answer.
        """
        products = self.products(list(dict.fromkeys(did for did, _ in wanted)))
        found: list[Source | SkylaneError | None] = []
        for did, selection in wanted:
            try:
                product = self._known(products.get(did), did)
                try:
                    found.append(self._source(product, selection))
                except NotFoundError:
                    found.append(self.look_up(did, selection)[1])
            except ServiceUnavailable:
                raise
            except SkylaneError as error:
                found.append(error)
        return found
