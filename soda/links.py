"""The rows of cutouts in a {links} answer and the descriptors that tell clients how to ask.

Values are written so that pyvo, Firefly and TOPCAT find them: exactly one ``#cutout`` row a
dataset (Firefly shows its full/cutout toggle only then), a CIRCLE with ``xtype="circle"``. The row
of the jobs that cut is therefore a ``#proc``, of which ``#cutout`` is the narrower term.
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

_CUTOUT = ServiceDescriptor(
    id="soda-sync",
    name="Cutout",
    access_url="/soda/sync",
    standard_id=STANDARD_ID,
    description=(
        "Cut out what a region on the sky, a band, a time and polarization states meet, from all "
        "planes of the image"
    ),
    content_type="image/fits",
    inputs=(),
)
_JOBS = ServiceDescriptor(
    id="soda-async",
    name="Cutouts by a job",
    access_url="/soda/async",
    standard_id=ASYNC_ID,
    description=(
        "Have cutouts made by a job (UWS), one of each combination of the parameters; POST makes"
        " the job, and runs it with PHASE=RUN"
    ),
    content_type="application/xml",
    inputs=(),
)
_STITCHED = ServiceDescriptor(
    id="soda-stitched",
    name="Image on another grid",
    access_url="/soda/stitched",
    # No standard describes it; clients show it by its parameters.
    standard_id="",
    description=(
        "Bring an image, or several stitched together, to a grid of pixels of your choice: "
        "projection, scale, orientation and size"
    ),
    content_type="image/fits",
    inputs=(),
)
"""What is the same in all descriptors; the URLs follow that of the site."""


class SodaLinkMaker(LinkMaker):
    """Makes the ``#cutout`` row of a product, one for jobs, and of images one for other grids."""

    @override
    def links(self, product: Product, base_url: str) -> Iterable[Link]:
        inputs, of_stitched = dataset_inputs(product, "sync", "stitched")
        cutout, jobs = (
            one.changed(access_url=base_url + one.access_url, inputs=inputs)
            for one in (_CUTOUT, _JOBS)
        )
        made = [
            Link(
                product.did,
                "#cutout",
                service=cutout,
                description="Cutout of the image",
                content_type="image/fits",
                link_auth="false",
                link_authorized=True,
            ),
            Link(
                product.did,
                "#proc",
                service=jobs,
                description="Cutouts of the image, made by a job",
                content_type="application/xml",
                link_auth="false",
                link_authorized=True,
            ),
        ]
        if product.obscore.get("dataproduct_type") == "image" and product.region is not None:
            service = _STITCHED.changed(
                access_url=base_url + _STITCHED.access_url, inputs=of_stitched
            )
            made.append(
                Link(
                    product.did,
                    "#proc",
                    service=service,
                    description="The image on another grid of pixels",
                    content_type="image/fits",
                    link_auth="false",
                    link_authorized=True,
                )
            )
        return made


class SodaAnnotator(Annotator):
    """Makes the descriptors that go with rows of any table that has the dataset's identifier."""

    @override
    def descriptors(self, columns: Sequence[Column], base_url: str) -> Sequence[ServiceDescriptor]:
        identifier = next(
            (column.id for column in columns if column.utype == DID_UTYPE and column.id), None
        )
        if identifier is None:
            return []
        inputs = generic_inputs(identifier)
        return [
            _CUTOUT.changed(access_url=base_url + _CUTOUT.access_url, inputs=inputs),
            _JOBS.changed(access_url=base_url + _JOBS.access_url, inputs=inputs),
            _STITCHED.changed(
                access_url=base_url + _STITCHED.access_url,
                inputs=generic_inputs(identifier, "stitched"),
            ),
        ]
