"""The cutout's row in a {links} answer and the descriptors that tell clients how to ask.

Values are written so that pyvo, Firefly and TOPCAT find them: exactly one ``#cutout`` row a
dataset (Firefly shows its full/cutout toggle only then), a CIRCLE with ``xtype="circle"``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from typing_extensions import override

from soda.inputs import dataset_inputs, generic_inputs
from vodal.links import Annotator, Link, LinkMaker, ServiceDescriptor
from vodal.products import Product
from vodal.tables.columns import Column

__all__ = ["ASYNC_ID", "STANDARD_ID", "SodaAnnotator", "SodaLinkMaker"]

STANDARD_ID = "ivo://ivoa.net/std/SODA#sync-1.0"
ASYNC_ID = "ivo://ivoa.net/std/SODA#async-1.0"
DID_UTYPE = "obscore:Curation.publisherDID"

_DESCRIPTION = (
    "Cut out what a region on the sky, a band, a time and polarization states meet, from all "
    "planes of the image"
)


class SodaLinkMaker(LinkMaker):
    """Makes the ``#cutout`` row of a product."""

    @override
    def links(self, product: Product, base_url: str) -> Iterable[Link]:
        descriptor = ServiceDescriptor(
            id="soda",
            name="Cutout",
            access_url=f"{base_url}/soda/sync",
            standard_id=STANDARD_ID,
            description=_DESCRIPTION,
            content_type="image/fits",
            inputs=dataset_inputs(product),
        )
        return [
            Link(
                product.did,
                "#cutout",
                service=descriptor,
                description="Cutout of the image",
                content_type="image/fits",
            )
        ]


class SodaAnnotator(Annotator):
    """Makes the descriptor that goes with rows of any table that has the dataset's identifier."""

    @override
    def descriptors(self, columns: Sequence[Column], base_url: str) -> Sequence[ServiceDescriptor]:
        identifier = next(
            (column.id for column in columns if column.utype == DID_UTYPE and column.id), None
        )
        if identifier is None:
            return []
        return [
            ServiceDescriptor(
                id="soda-sync",
                name="Cutout",
                access_url=f"{base_url}/soda/sync",
                standard_id=STANDARD_ID,
                description=_DESCRIPTION,
                content_type="image/fits",
                inputs=generic_inputs(identifier),
            )
        ]
