"""The cutout's row in a {links} answer and the descriptors that tell clients how to ask.

Values are written so that pyvo, Firefly and TOPCAT find them: exactly one ``#cutout`` row a
dataset (Firefly shows its full/cutout toggle only then), a CIRCLE with ``xtype="circle"``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from typing_extensions import override

from vodal.links import Annotator, InputParam, Link, LinkMaker, ServiceDescriptor
from vodal.products import Product
from vodal.regions import Polygon, Region
from vodal.sphere import bounding_cap
from vodal.tables.columns import Column

__all__ = ["STANDARD_ID", "SodaAnnotator", "SodaLinkMaker"]

STANDARD_ID = "ivo://ivoa.net/std/SODA#sync-1.0"
DID_UTYPE = "obscore:Curation.publisherDID"

_ID_UCD = "meta.ref.url;meta.curation"
_OUTLINE_UCD = "pos.outline;obs"
_DESCRIPTION = "Cut out the pixels that a region on the sky meets, from all planes of the image"


def _number(value: float) -> str:
    return f"{value:.8f}".rstrip("0").rstrip(".")


def _around(region: Region | None) -> str | None:
    """Give the circle around a footprint as ``ra dec radius``."""
    if region is None:
        return None
    (x, y, z), radius_deg = bounding_cap(region)
    ra = math.degrees(math.atan2(y, x)) % 360.0
    dec = math.degrees(math.atan2(z, math.hypot(x, y)))
    # Rounded up, so that it covers all.
    return f"{_number(ra)} {_number(dec)} {_number(min(180.0, radius_deg + 1e-8))}"


def _outline(region: Region | None) -> str | None:
    """Give a footprint's vertices; a circle has none."""
    if not isinstance(region, Polygon):
        return None
    return " ".join(_number(value) for vertex in region.vertices for value in vertex)


def _stencils(region: Region | None) -> tuple[InputParam, ...]:
    return (
        InputParam(
            "CIRCLE",
            datatype="double",
            arraysize="3",
            unit="deg",
            ucd=_OUTLINE_UCD,
            xtype="circle",
            maximum=_around(region),
            description="A circle to be covered by the cutout: ra dec radius, ICRS",
        ),
        InputParam(
            "POLYGON",
            datatype="double",
            unit="deg",
            ucd=_OUTLINE_UCD,
            xtype="polygon",
            maximum=_outline(region),
            description="A polygon to be covered by the cutout: ra1 dec1 ra2 dec2 ..., ICRS",
        ),
        InputParam(
            "POS",
            ucd=_OUTLINE_UCD,
            description="The same as CIRCLE ra dec radius, RANGE ra1 ra2 dec1 dec2 or POLYGON ...",
        ),
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
            inputs=(
                InputParam(
                    "ID",
                    value=product.did,
                    ucd=_ID_UCD,
                    description="The publisher's identifier of the dataset",
                ),
                *_stencils(product.region),
            ),
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
                inputs=(
                    InputParam(
                        "ID",
                        ucd=_ID_UCD,
                        ref=identifier,
                        description="The publisher's identifier of the dataset",
                    ),
                    *_stencils(None),
                ),
            )
        ]
