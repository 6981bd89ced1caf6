"""What a catalogued image is, and the seams through which services ask for one.

A product is one row of ObsCore: one image (with the planes that belong to it, such as mask and
variance) or cube in one file. A file with several fields on the sky (the chips of a camera) holds
several products.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Literal, Protocol

from vodal.errors import GoneError, NotFoundError
from vodal.fits.index import FileIndex
from vodal.regions import Circle, Point, Region, region_from_bytes, shape_to_bytes
from vodal.sphere import contains

__all__ = [
    "NEIGHBOUR_COLUMNS",
    "Catalogue",
    "CollectionSummary",
    "Departed",
    "Near",
    "Neighbour",
    "Product",
    "Refresher",
    "Resolver",
    "absent",
    "neighbour_of",
]

_NEAR_DEG = 1e-6


@dataclass(frozen=True, slots=True)
class Product:
    """One catalogued image and where its bytes lie."""

    did: str
    """``obs_publisher_did``, an IVOID; opaque to every service."""
    collection: str
    """``obs_collection``."""
    uri: str
    """Where the file lies, as `vodal.storage.open_reader` takes it (``file:///...``)."""
    file_name: str
    """The file's own name, for ``Content-Disposition``."""
    content_type: str
    """Media type of the file as stored: ``image/fits``, ``application/gzip`` ..."""
    size_bytes: int | None
    """Size of the file as stored; None until it is known."""
    version: str
    """Opaque; differs whenever the file's bytes may differ. Serves as ETag and cache key."""
    modified_unix_s: float
    """Time of the file's last change."""
    hdus: tuple[int, ...]
    """Numbers of the HDUs (0 is the primary) that make up this product, image plane first.
    Empty until the file is first opened, see `Resolver.ready`."""
    region: Region | None
    """Footprint."""
    obscore: Mapping[str, object] = field(default_factory=dict)
    """The row, by ObsCore column name, in ObsCore units."""


@dataclass(frozen=True, slots=True)
class Departed:
    """A product that was there and is not any more."""

    did: str
    collection: str
    release_date: str | None
    """``obs_release_date`` that it had."""
    deleted: str
    """When it went: a DALI timestamp, UTC."""
    kind: Literal["retracted", "vanished", "withdrawn"]
    """Whether it was retracted for good, vanished with its file, or its file, as it is now, does
    not give it."""
    reason: str | None

    def error(self) -> NotFoundError:
        """Give what is told of it to who asks for it."""
        sentence = f"{self.did} was {_WENT[self.kind]} on {self.deleted[:19]}Z"
        if self.reason:
            sentence = f"{sentence}: {self.reason}"
        return GoneError(sentence) if self.kind == "retracted" else NotFoundError(sentence)


_WENT = {"retracted": "retracted", "vanished": "removed", "withdrawn": "withdrawn"}


NEIGHBOUR_COLUMNS: Final = (
    "obs_publisher_did", "obs_collection", "obs_release_date", "dataproduct_type", "calib_level",
    "obs_id", "target_name", "instrument_name", "facility_name", "proposal_id", "filter", "em_min",
    "t_min", "t_max", "s_ra", "s_dec", "s_fov",
)  # fmt: skip
"""What is read of a `Neighbour`'s row."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A product near another, as far as it takes to choose among many."""

    obscore: Mapping[str, object]
    """The `NEIGHBOUR_COLUMNS` of its row."""
    shape: bytes | None
    """Its footprint as `vodal.regions.shape_to_bytes` writes it."""

    @property
    def did(self) -> str:
        """``obs_publisher_did``."""
        return str(self.obscore["obs_publisher_did"])

    @property
    def collection(self) -> str:
        """``obs_collection``."""
        return str(self.obscore["obs_collection"])

    @property
    def region(self) -> Region | None:
        """Footprint; read anew each time."""
        return region_from_bytes(self.shape)


@dataclass(frozen=True, slots=True)
class Near:
    """What neighbours are looked for."""

    shape: Region | Point
    """That their footprint may meet."""
    collection: str
    band: str | None = None
    """Their ``filter``; any by default."""
    other_than: str | None = None
    """What their ``filter``, which has to be known, is not."""


@dataclass(frozen=True, slots=True)
class CollectionSummary:
    """What a collection holds."""

    name: str
    products: int
    bands: tuple[str, ...]
    """Distinct filter names, shortest wavelength first."""


def neighbour_of(product: Product) -> Neighbour:
    """Give what is known of a product as a neighbour."""
    return Neighbour(
        {name: product.obscore.get(name) for name in NEIGHBOUR_COLUMNS}
        | {"obs_publisher_did": product.did, "obs_collection": product.collection},
        None if product.region is None else shape_to_bytes(product.region),
    )


class Resolver(Protocol):
    """From identifiers to products. Safe to call from several threads."""

    def resolve(self, dids: Sequence[str]) -> dict[str, Product]:
        """Give the products that exist, by identifier; the others are left out."""
        ...

    def ready(self, product: Product) -> Product:
        """Give a product with its HDUs, of whatever version its file is known to be.

        The file of a product that has none yet is opened, and its headers are read.

        Raises
        ------
        NotFoundError
            If the file is not there, or the product has been withdrawn meanwhile.
        DataError
            If the file is no FITS, or has no image where the product should be.
        ServiceUnavailable
            If its storage does not answer now.
        """
        return product

    def index(self, product: Product) -> FileIndex:
        """Give the byte-offset index of the file of a product that is `ready`.

        Raises
        ------
        NotFoundError
            If the product has been withdrawn meanwhile.
        """
        ...

    def departed(self, dids: Sequence[str]) -> dict[str, Departed]:  # noqa: ARG002 - of others
        """Give those of some identifiers whose products were there and are not any more."""
        return {}


def absent(resolver: Resolver, did: str, otherwise: str) -> NotFoundError:
    """Give what is told of an identifier that no product has.

    Parameters
    ----------
    resolver
        Knows what was there.
    did
        The identifier.
    otherwise
        What is told if nothing of it was ever there.
    """
    gone = resolver.departed([did]).get(did)
    return NotFoundError(otherwise) if gone is None else gone.error()


class Refresher(Protocol):
    """Is told of files that are not what the catalogue knows. Safe to call from any thread."""

    def refresh(self, uri: str, version: str) -> None:
        """Have a file's rows and byte index brought up to date; does not wait for that.

        Telling of a file many times costs little.

        Parameters
        ----------
        uri
            Of a file that was replaced by another with the same image.
        version
            That the catalogue had of it.
        """
        ...


class Catalogue(Protocol):
    """From places to products. Safe to call from several threads."""

    def collections(self) -> list[CollectionSummary]:
        """Give the collections, by name."""
        ...

    def products(
        self, collection: str | None = None, region: Region | None = None
    ) -> Iterator[Product]:
        """Give the products of a collection (or all) whose footprint meets a region (or all).

        Ordered by identifier, so that two calls agree.
        """
        ...

    def newest(self, limit: int, before: int | None = None) -> list[tuple[int, Product]]:
        """Give the products that were written last, each with its number, latest first.

        Numbers rise in the order of writing. One is given again only after the product that had it
        and all with higher ones have gone.

        Parameters
        ----------
        limit
            How many at most.
        before
            Give those with lower numbers than this only.
        """
        ...

    def at(
        self, places: Sequence[Point], collection: str | None = None
    ) -> Iterator[tuple[Product, ...]]:
        """Give for each place the products whose footprint holds it, ordered by identifier.

        Parameters
        ----------
        places
            Some hundred at once: a store looks for all of them together.
        collection
            Whose products; of all by default.
        """
        for place in places:
            near = Circle(place.ra_deg, place.dec_deg, _NEAR_DEG)
            found = self.products(collection, near)
            yield tuple(one for one in found if one.region and contains(one.region, place))

    def near(self, places: Sequence[Near], limit: int) -> list[list[Neighbour]]:
        """Give for each place products whose footprint may meet it, in no order.

        A store looks in an index of boxes or circles around footprints: who needs to know that one
        meets the place has to look at it. Footprints of more than a hemisphere are left out.

        Parameters
        ----------
        places
            Some hundred at once.
        limit
            How many at most of each place; where there are more it is any of them.
        """
        return [list(islice(self._near(place), limit)) for place in places]

    def _near(self, place: Near) -> Iterator[Neighbour]:
        shape = place.shape
        if isinstance(shape, Point):
            shape = Circle(shape.ra_deg, shape.dec_deg, _NEAR_DEG)
        for one in self.products(place.collection, shape):
            band = one.obscore.get("filter")
            fits = place.band in {None, band} and band != place.other_than
            if fits and (place.other_than is None or band is not None):
                yield neighbour_of(one)

    def sample(self, kind: str, count: int) -> list[Product]:
        """Give a few products that have a footprint, quickly however many there are.

        Parameters
        ----------
        kind
            Their ``dataproduct_type``: ``image``, ``cube`` ...
        count
            How many at most; the same ones while the catalogue is the same. It may find fewer
            where most products of the kind have no footprint.
        """
        ...
