"""DataLink rows and service descriptors as values (DataLink 1.1 sections 3 and 4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from vodal.products import Product
from vodal.tables.columns import Column

__all__ = ["Annotator", "InputParam", "Link", "LinkMaker", "ServiceDescriptor"]


@dataclass(frozen=True, slots=True)
class InputParam:
    """One PARAM of a descriptor's ``inputParams`` group."""

    name: str
    datatype: str = "char"
    arraysize: str | None = "*"
    value: str = ""
    unit: str | None = None
    ucd: str | None = None
    utype: str | None = None
    xtype: str | None = None
    ref: str | None = None
    """ID of the FIELD whose value is sent."""
    minimum: str | None = None
    maximum: str | None = None
    options: tuple[str, ...] = ()
    description: str | None = None


@dataclass(frozen=True, slots=True)
class ServiceDescriptor:
    """A RESOURCE ``type="meta" utype="adhoc:service"``."""

    id: str
    """XML ID of the RESOURCE; what ``service_def`` points to."""
    name: str
    access_url: str
    standard_id: str
    """Case as Firefly wants it: ``ivo://ivoa.net/std/DataLink#links-1.1``."""
    inputs: tuple[InputParam, ...]
    description: str | None = None
    content_type: str | None = None
    resource_identifier: str | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """One row of a ``{links}`` answer.

    Exactly one of ``access_url``, ``service`` and ``error_message`` is given.
    """

    did: str
    semantics: str
    """A term of the DataLink core vocabulary with its ``#``."""
    access_url: str | None = None
    service: ServiceDescriptor | None = None
    error_message: str | None = None
    """Starts with NotFoundFault, UsageFault, TransientFault, FatalFault or DefaultFault + ``:``."""
    description: str | None = None
    content_type: str | None = None
    content_length: int | None = None
    """In bytes."""
    content_qualifier: str | None = None
    local_semantics: str | None = None
    link_auth: str | None = None
    link_authorized: bool | None = None


class LinkMaker(Protocol):
    """Makes the links of one kind for a product; an extension point."""

    def links(self, product: Product, base_url: str) -> Iterable[Link]:
        """Give the rows for one product.

        Parameters
        ----------
        product
            The product.
        base_url
            Where the site is seen by the client, without a trailing slash.
        """
        ...


class Annotator(Protocol):
    """Makes the descriptors that go with a table of results, from its columns."""

    def descriptors(self, columns: Sequence[Column], base_url: str) -> Sequence[ServiceDescriptor]:
        """Give the descriptors whose needed columns are among ``columns``."""
        ...
