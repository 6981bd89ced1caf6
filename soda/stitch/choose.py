"""The images that are stitched: those of identifiers, or those of a collection in a region."""

from __future__ import annotations

from collections.abc import Iterator

from soda.filters import extent_of, judge, passes_whole
from soda.finding import Finder
from soda.selection import Selection
from soda.stitch.request import StitchInput, StitchParams
from vodal.errors import NotFoundError, TooLargeError, UsageError
from vodal.products import Catalogue, Product
from vodal.regions import Region
from vodal.sphere import intersects

__all__ = ["choose"]


def choose(
    asked: StitchParams, finder: Finder, catalogue: Catalogue, most: int
) -> tuple[StitchInput, ...]:
    """Find the images of a request; blocks, and is called in threads.

    Parameters
    ----------
    asked
        The request.
    finder, catalogue
        Where images are known.
    most
        Number of images that may be stitched.

    Returns
    -------
    tuple of StitchInput
        In the order of the identifiers; empty if no image is in what is selected.

    Raises
    ------
    NotFoundError
        If there is no such dataset or collection.
    TooLargeError
        If there are more images than may be stitched.
    UsageError
        If the selection cannot be applied to a dataset, a dataset that is named is a cube, or the
        images of a collection are of several filters and none is named.
    """
    if asked.collection is None:
        if len(asked.dids) > most:
            raise TooLargeError(
                f"ID is given {len(asked.dids)} times; at most {most} images are stitched"
            )
        products = [finder.product(did) for did in asked.dids]
        for product in products:
            if product.obscore.get("dataproduct_type") == "cube":
                raise UsageError(f"ID: {product.did} is a cube; only images are stitched")
        products = [
            product
            for product in products
            if _within(product, asked.image.selection) and _near(product, asked.image.stencil)
        ]
    else:
        products = _of_collection(asked, asked.collection, catalogue, most)
    return tuple(StitchInput(finder.source(product), _exposure_s(product)) for product in products)


def _of_collection(
    asked: StitchParams, collection: str, catalogue: Catalogue, most: int
) -> list[Product]:
    wanted = {name.lower() for name in asked.filters}
    found: list[Product] = []
    filters: dict[str, None] = {}
    for product in _images(asked, collection, catalogue):
        name = str(product.obscore.get("filter") or "").strip()
        filters[name] = None
        if wanted and name.lower() not in wanted:
            continue
        found.append(product)
        if len(found) > most:
            if not wanted and len(filters) > 1:
                break
            raise TooLargeError(
                f"the region meets more than {most} images of COLLECTION={collection[:80]}, the"
                " most that are stitched; ask for a smaller region"
                + ("" if wanted else ", or for one FILTER")
            )
    names = ", ".join(name or "none" for name in sorted(filters))
    if not filters and collection not in {one.name for one in catalogue.collections()}:
        raise NotFoundError(f"there is no COLLECTION '{collection[:80]}' here")
    if not wanted and len(filters) > 1:
        raise UsageError(f"the images there are of several filters; give a FILTER, such as {names}")
    if filters and not found:
        raise UsageError(f"FILTER: the images there are of {names}")
    return found


def _images(asked: StitchParams, collection: str, catalogue: Catalogue) -> Iterator[Product]:
    """Give the images, without the masks and weights that lie in files of their own."""
    for product in catalogue.products(collection, asked.image.stencil):
        kind = str(product.obscore.get("dataproduct_type") or "image")
        if kind != "image" or product.obscore.get("dataproduct_subtype"):
            continue
        try:
            inside = _within(product, asked.image.selection)
        except UsageError:
            # Of a dataset that was not named, what is not known does not hold.
            inside = False
        if inside:
            yield product


def _within(product: Product, selection: Selection) -> bool:
    """Tell whether a product is within BAND, TIME and POL.

    Raises
    ------
    UsageError
        If that is not known.
    """
    extent = extent_of(product)
    left = judge(extent, selection)
    if left is None:
        return False
    return (
        (left.band_m is None or passes_whole(extent, left, "BAND"))
        and (left.time_mjd is None or passes_whole(extent, left, "TIME"))
        and (not left.pol or passes_whole(extent, left, "POL"))
    )


def _near(product: Product, stencil: Region | None) -> bool:
    """Tell whether a product's footprint meets a stencil; where there is none its image tells."""
    return product.region is None or stencil is None or intersects(product.region, stencil)


def _exposure_s(product: Product) -> float | None:
    value = product.obscore.get("t_exptime")
    return float(value) if isinstance(value, int | float) and value > 0 else None
