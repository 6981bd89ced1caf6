"""What the name of a live HiPS stands for, and the images of it that a region meets."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Final, Protocol

from hips.color.scale import Mix
from hips.color.settings import ColorSettings
from hips.publish import band_of, hips_name, safe_name
from vodal.access.rules import EVERYTHING, Reach, Rights
from vodal.errors import ArchiveError, AuthorizationError, NotFoundError, QueryError
from vodal.products import Catalogue, CollectionSummary, Product, Resolver
from vodal.regions import Region

__all__ = ["Color", "Searcher", "Selection", "Selections", "changes", "is_picture", "of_band"]

_DATES: Final = re.compile(r"(\d{4}-\d\d-\d\d)(?:\.\.(\d{4}-\d\d-\d\d))?")
_MJD_0: Final = date(1858, 11, 17)
_FRESH_S: Final = 2.0
"""How old the list of collections may be."""
_OTHER: Final = "other"
_MOST: Final = 1_000_000
"""Images of a saved condition that are looked at for its summary."""


class Searcher(Protocol):
    """Finds products by a condition. Safe to call from several threads."""

    def search(
        self, condition: str, region: Region | None, limit: int, rights: Rights = EVERYTHING
    ) -> list[str]:
        """Give the identifiers of products that meet a condition, in no order.

        Parameters
        ----------
        condition
            On the columns of ``ivoa.obscore``, as it stands behind WHERE in ADQL.
        region
            That their footprints meet; by default anywhere.
        limit
            How many at most.
        rights
            Of who asks: only what may be had is found.

        Raises
        ------
        QueryError
            If the condition is wrong.
        """
        ...


@dataclass(frozen=True, slots=True)
class Selection:
    """Some images of the archive, by a name."""

    name: str
    title: str
    collection: str | None = None
    """Whose images; of any by default."""
    band: str | None = None
    """Of the images; empty for those of none that is known, None for any."""
    condition: str | None = None
    """That they meet, in ADQL."""
    rights: Rights = EVERYTHING
    """Of who asks: only what may be had is selected."""
    color: Color | None = None
    """What it shows in colour."""

    def seen_by(self, rights: Rights) -> Selection:
        """Give what somebody may have of it."""
        if rights.all_had:
            return self
        color = None if self.color is None else self.color.seen_by(rights)
        return replace(self, rights=rights, color=color)

    def has(self, band: str) -> bool:
        """Tell whether images of a band are among them."""
        if self.color is not None:
            return band in self.color.mix.bands
        return self.band is None or self.band == band


@dataclass(frozen=True, slots=True)
class Color:
    """What a live HiPS in colour is made of."""

    bands: tuple[Selection, ...]
    """The live HiPS of its bands, in the order of the mix."""
    mix: Mix
    mark: str
    """Tells settings apart by which colours differ."""
    asked: ColorSettings | None = field(compare=False)
    """What is set for it."""

    def seen_by(self, rights: Rights) -> Color:
        """Give what somebody may have of it."""
        return replace(self, bands=tuple(band.seen_by(rights) for band in self.bands))


class Selections:
    """Knows the names.

    Parameters
    ----------
    catalogue, resolver
        Where images are known.
    searcher
        Finds those that meet a condition; without it there are no dates and no saved conditions.
    conditions
        Saved, by name.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        resolver: Resolver,
        searcher: Searcher | None,
        conditions: Mapping[str, str],
    ) -> None:
        self._catalogue, self._resolver = catalogue, resolver
        self._searcher = searcher
        self._saved = {
            name: Selection(name, name, condition=condition)
            for name, condition in conditions.items()
            if searcher is not None
        }
        self._known: dict[str, Selection] = {}
        self._summaries: Sequence[CollectionSummary] = ()
        self._looked_s = -_FRESH_S
        self._lock = threading.Lock()

    def find(self, name: str, rights: Rights = EVERYTHING) -> Selection:
        """Give what a name stands for: first of saved conditions, then of collections, then dates.

        Parameters
        ----------
        name
            The name.
        rights
            Of who asks.

        Raises
        ------
        NotFoundError
            If it stands for nothing of which who asks may know.
        AuthorizationError
            If it stands for a collection of which who asks may have nothing.
        """
        found = self.get(name)
        found = None if found is None else self.allowed(found, rights)
        if found is None:
            raise NotFoundError(
                f"no live HiPS '{name[:80]}'; a name is a collection, a collection's band"
                " (collection-band), what it has in colour (collection-color), a day"
                " (2026-11-01), days (2026-11-01..2026-11-03) or a"
                " selection that the site has saved; /hips/live/list names those there are"
            )
        return found

    def get(self, name: str) -> Selection | None:
        """Give what a name stands for, None if for nothing, whoever asks; see `find`."""
        return self._saved.get(name) or self._collections().get(name) or self._dates(name)

    def collections(self) -> Sequence[CollectionSummary]:
        """Give the collections that there are."""
        self._collections()
        return self._summaries

    def allowed(self, selection: Selection, rights: Rights) -> Selection | None:
        """Give a selection as somebody sees it; None if somebody may not know of it.

        Raises
        ------
        AuthorizationError
            If somebody may know of it and have nothing of it.
        """
        seen = selection.seen_by(rights)
        collection = selection.collection
        if collection is None:
            return seen
        known, had = rights.known(collection), rights.had(collection)
        if known is Reach.NONE:
            return None
        if had is Reach.NONE:
            raise AuthorizationError(
                f"the live HiPS {selection.name} is for members of certain groups"
            )
        if known is Reach.ALL:
            return seen
        # Hidden bands are told by their images alone.
        parts = (seen,) if seen.color is None else seen.color.bands
        return seen if all(self.products(part, limit=1) for part in parts) else None

    def named(self, rights: Rights = EVERYTHING) -> list[Selection]:
        """Give those that have a name of their own: saved conditions, collections and bands.

        Collections of which who asks may have nothing are left out.
        """
        return [
            one.seen_by(rights)
            for one in (*self._saved.values(), *self._collections().values())
            if one.collection is None or rights.had(one.collection) is not Reach.NONE
        ]

    def products(
        self, selection: Selection, region: Region | None = None, limit: int | None = None
    ) -> list[Product]:
        """Give the images that a region meets, by identifier.

        Masks and weight maps that lie in files of their own are none.

        Parameters
        ----------
        selection
            Which images.
        region
            On the sky; anywhere by default.
        limit
            How many at most; which ones then depends on the store.
        """
        return list(islice(self.matching(selection, region, limit), limit))

    def matching(
        self, selection: Selection, region: Region | None = None, limit: int | None = None
    ) -> Iterator[Product]:
        """Give them one by one; parameters are those of `products`."""
        rights = selection.rights
        free = rights.all_had
        for product in self._candidates(selection, region, limit):
            if not is_picture(product) or not (free or rights.may_have(product)):
                continue
            if selection.has(band_of(product)):
                yield product

    def _candidates(
        self, selection: Selection, region: Region | None, limit: int | None
    ) -> Iterator[Product]:
        if selection.condition is None:
            yield from self._catalogue.products(selection.collection, region)
            return
        assert self._searcher is not None
        try:
            dids = self._searcher.search(
                selection.condition, region, limit or _MOST, selection.rights
            )
        except QueryError as error:
            # The site's own condition, not the user's.
            raise ArchiveError(
                f"the condition of hips.live.selections.{selection.name} is wrong: {error.message}"
            ) from None
        for start in range(0, len(dids), 500):
            found = self._resolver.resolve(dids[start : start + 500])
            yield from sorted(found.values(), key=lambda one: one.did)

    def _collections(self) -> dict[str, Selection]:
        with self._lock:
            if time.monotonic() - self._looked_s > _FRESH_S:
                self._known = self._look()
                self._looked_s = time.monotonic()
            return self._known

    def _look(self) -> dict[str, Selection]:
        known: dict[str, Selection] = {}
        self._summaries = tuple(self._catalogue.collections())
        for summary in self._summaries:
            name = safe_name(summary.name)
            known.setdefault(name, Selection(name, summary.name, summary.name))
            for band in summary.bands:
                one = of_band(summary.name, band)
                known.setdefault(one.name, one)
            name = hips_name(summary.name, _OTHER)
            if len(summary.bands) > 1:
                title = f"{summary.name} without a band"
                known.setdefault(name, Selection(name, title, summary.name, ""))
        return known

    def _dates(self, name: str) -> Selection | None:
        match = _DATES.fullmatch(name)
        if match is None or self._searcher is None:
            return None
        try:
            first, last = (date.fromisoformat(text) for text in (match[1], match[2] or match[1]))
        except ValueError:
            return None
        if last < first:
            return None
        begin, end = (first - _MJD_0).days, (last - _MJD_0).days + 1
        title = f"Images of {name.replace('..', ' to ')}"
        return Selection(name, title, condition=f"t_max >= {begin} AND t_min < {end}")


def of_band(collection: str, band: str) -> Selection:
    """Give the images of a collection's band."""
    return Selection(hips_name(collection, band), f"{collection} {band}", collection, band)


def is_picture(product: Product) -> bool:
    """Tell whether it is a picture of the sky: masks and weights in files of their own are none."""
    if product.obscore.get("dataproduct_subtype"):
        return False
    # A file that was not opened yet is what its row says.
    return bool(product.hdus) or product.obscore.get("dataproduct_type") in {"image", "cube"}


def changes(products: Sequence[Product]) -> tuple[datetime, datetime]:
    """Give when the first and the latest of the images' files (one at least) were written."""
    times = [one.modified_unix_s for one in products]
    start = datetime(1970, 1, 1, tzinfo=UTC)
    return start + timedelta(seconds=min(times)), start + timedelta(seconds=max(times))
