"""The rows of pictures of a product."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from typing_extensions import override

from datalink.makers.file import is_picture
from datalink.names import encode_segment
from vodal.links import Link, LinkMaker
from vodal.products import Product

__all__ = ["PreviewLinkMaker"]

_ROWS: Final = (
    ("#preview", "preview", "A small picture of the image"),
    ("#preview-image", "preview-image", "A larger picture of the image"),
    ("#thumbnail", "thumbnail", "A very small picture of the image"),
)
"""Semantics, segment of the path below ``/files`` and description; see `datalink.preview`."""


class PreviewLinkMaker(LinkMaker):
    """Makes the rows of the pictures of images and cubes."""

    @override
    def links(self, product: Product, base_url: str) -> Iterable[Link]:
        if not is_picture(product):
            return ()
        name = encode_segment(product.did)
        return [
            Link(
                did=product.did,
                semantics=semantics,
                access_url=f"{base_url}/files/{segment}/{name}",
                description=description,
                content_type="image/png",
                link_auth="false",
                link_authorized=True,
            )
            for semantics, segment, description in _ROWS
        ]
