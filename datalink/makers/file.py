"""The row of a product's file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from typing_extensions import override

from datalink.names import encode_segment
from vodal.links import Link, LinkMaker
from vodal.products import Product

__all__ = [
    "GRID",
    "FileLinkMaker",
    "band_of",
    "completed",
    "file_url",
    "is_picture",
    "qualifier_of",
]

_PICTURED: Final = frozenset({"image", "cube"})

GRID: Final = "band-grid"
"""``local_semantics`` of an image of a field that may have others in other bands; by ``-grid``
Firefly knows the members of its grid of related images."""


class FileLinkMaker(LinkMaker):
    """Makes the ``#this`` row: the file itself, by HTTP."""

    @override
    def links(self, product: Product, base_url: str) -> Iterable[Link]:
        band = band_of(product)
        yield Link(
            did=product.did,
            semantics="#this",
            access_url=file_url(product, base_url),
            description=f"The file as stored: {product.file_name}",
            content_type=product.content_type,
            content_length=product.size_bytes,
            content_qualifier=qualifier_of(product),
            local_semantics=GRID if band and is_picture(product) else None,
            link_auth="false",
            link_authorized=True,
            label=band,
            bandpass_name=band,
        )


def file_url(product: Product, base_url: str) -> str:
    """Give the address of a product's file."""
    return f"{base_url}/files/{encode_segment(product.did)}"


def completed(link: Link, target: Product, base_url: str) -> Link:
    """Give a link to another product with what is known of it.

    Parameters
    ----------
    link
        It says the rest, which goes before.
    target
        The product that it leads to.
    base_url
        Where the client sees the site.
    """
    band = link.bandpass_name or band_of(target)
    to_file = link.access_url is None
    # `dataclasses.replace` takes several times as long.
    return Link(
        did=link.did,
        semantics=link.semantics,
        access_url=file_url(target, base_url) if to_file else link.access_url,
        service=link.service,
        error_message=link.error_message,
        description=link.description or target.file_name,
        content_type=link.content_type or (target.content_type if to_file else None),
        content_length=target.size_bytes if to_file else link.content_length,
        content_qualifier=link.content_qualifier or (qualifier_of(target) if to_file else None),
        local_semantics=link.local_semantics,
        link_auth=link.link_auth or "false",
        link_authorized=True if link.link_authorized is None else link.link_authorized,
        label=link.label or band,
        bandpass_name=band,
        leads_to=link.leads_to,
        open_to_all=link.open_to_all,
    )


def is_picture(product: Product) -> bool:
    """Tell whether a product has pixels that can be shown."""
    return product.obscore.get("dataproduct_type") in _PICTURED


def qualifier_of(product: Product) -> str | None:
    """Give the term of IVOA's vocabulary of product types, which has the same names."""
    kind = product.obscore.get("dataproduct_type")
    return f"#{kind}" if kind in _PICTURED else None


def band_of(product: Product) -> str | None:
    """Give the filter of a product, if it is known."""
    band = product.obscore.get("filter")
    return band if isinstance(band, str) and band else None
