"""Resolvers and catalogues that know no more than somebody may see."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from typing_extensions import override

from vodal.access.rules import Reach, Rights
from vodal.errors import AuthorizationError
from vodal.fits.index import FileIndex
from vodal.products import Catalogue, CollectionSummary, Departed, Product, Resolver
from vodal.regions import Point, Region

__all__ = ["check_had", "had_by", "known_to"]

_SAMPLED = 20
"""Times as many products as a sample is asked for are looked at."""


def check_had(rights: Rights, product: Product) -> None:
    """See that somebody may have an image that somebody may know of.

    Raises
    ------
    AuthorizationError
        If not.
    """
    if rights.may_have(product):
        return
    until = ""
    if rights.had(product.collection) is Reach.RELEASED:
        date = product.obscore.get("obs_release_date")
        until = f" before its release on {date}" if date else ", and has no date of release"
    raise AuthorizationError(f"{product.did} is for members of certain groups{until}")


class _KnownResolver(Resolver):
    """Finds what somebody may know of."""

    def __init__(self, resolver: Resolver, rights: Rights) -> None:
        self._resolver, self._rights = resolver, rights

    @override
    def resolve(self, dids: Sequence[str]) -> dict[str, Product]:
        found = self._resolver.resolve(dids)
        return {did: one for did, one in found.items() if self._rights.may_know(one)}

    @override
    def ready(self, product: Product) -> Product:
        return self._resolver.ready(product)

    @override
    def index(self, product: Product) -> FileIndex:
        return self._resolver.index(product)

    @override
    def departed(self, dids: Sequence[str]) -> dict[str, Departed]:
        found = self._resolver.departed(dids)
        return {did: one for did, one in found.items() if self._rights.may_know_gone(one)}


def known_to(rights: Rights, resolver: Resolver) -> Resolver:
    """Give a resolver that finds what somebody may know of."""
    return resolver if rights.all_known else _KnownResolver(resolver, rights)


class _HadCatalogue(Catalogue):
    """Finds what somebody may have."""

    def __init__(self, catalogue: Catalogue, rights: Rights) -> None:
        self._catalogue, self._rights = catalogue, rights

    @override
    def collections(self) -> list[CollectionSummary]:
        """Give the collections of which somebody may have an image, without counts and bands.

        The counts and bands that are kept are of all images.
        """
        found = []
        for summary in self._catalogue.collections():
            match self._rights.had(summary.name):
                case Reach.ALL:
                    found.append(summary)
                case Reach.RELEASED:
                    if next(self.products(summary.name), None) is not None:
                        found.append(CollectionSummary(summary.name, 0, ()))
                case Reach.NONE:
                    pass
        return found

    @override
    def products(
        self, collection: str | None = None, region: Region | None = None
    ) -> Iterator[Product]:
        if collection is not None and self._rights.had(collection) is Reach.NONE:
            return iter(())
        return filter(self._rights.may_have, self._catalogue.products(collection, region))

    @override
    def newest(self, limit: int, before: int | None = None) -> list[tuple[int, Product]]:
        found: list[tuple[int, Product]] = []
        while len(found) < limit and (page := self._catalogue.newest(limit, before)):
            found += [pair for pair in page if self._rights.may_have(pair[1])]
            before = page[-1][0]
        return found[:limit]

    @override
    def at(
        self, places: Sequence[Point], collection: str | None = None
    ) -> Iterator[tuple[Product, ...]]:
        for found in self._catalogue.at(places, collection):
            yield tuple(filter(self._rights.may_have, found))

    @override
    def sample(self, kind: str, count: int) -> list[Product]:
        found = self._catalogue.sample(kind, _SAMPLED * count)
        return list(islice(filter(self._rights.may_have, found), count))


def had_by(rights: Rights, catalogue: Catalogue) -> Catalogue:
    """Give a catalogue of what somebody may have."""
    return catalogue if rights.all_had else _HadCatalogue(catalogue, rights)
