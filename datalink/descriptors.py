"""What a table of products says about their links."""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import override

from datalink.document import STANDARD_ID
from vodal.links import Annotator, InputParam, ServiceDescriptor
from vodal.tables.columns import Column, with_ids

__all__ = ["DatalinkAnnotator"]

_UTYPE = "obscore:curation.publisherdid"


class DatalinkAnnotator(Annotator):
    """Points every table with ``obs_publisher_did``, under whatever name, to ``/datalink/links``.

    The column is known by its utype, which it keeps under an alias and through a sub-query.
    """

    @override
    def descriptors(self, columns: Sequence[Column], base_url: str) -> Sequence[ServiceDescriptor]:
        for column in with_ids(columns):
            if (column.utype or "").lower() == _UTYPE:
                return (
                    ServiceDescriptor(
                        id="datalink-links",
                        name="DataLink",
                        access_url=f"{base_url}/datalink/links",
                        standard_id=STANDARD_ID,
                        inputs=(
                            InputParam(
                                "ID",
                                ref=column.id,
                                ucd="meta.id;meta.main",
                                description="Identifier of the product",
                            ),
                        ),
                        description="Files, previews and services of each product",
                        content_type="application/x-votable+xml;content=datalink",
                    ),
                )
        return ()
