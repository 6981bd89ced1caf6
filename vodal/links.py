"""DataLink rows and service descriptors as values (DataLink 1.1 sections 3 and 4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from typing_extensions import override

from vodal.access.rules import EVERYTHING, Rights
from vodal.products import Product, Resolver
from vodal.tables.columns import Column

__all__ = [
    "KEPT_TEXT",
    "Annotator",
    "Asked",
    "BatchLinkMaker",
    "InputParam",
    "Link",
    "LinkMaker",
    "ServiceDescriptor",
]


@dataclass(frozen=True)
class InputParam:
    """One PARAM of a descriptor's ``inputParams`` group.

    Who writes it keeps the text with it: most are the same for all datasets.
    """

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

    def changed(self, **values: object) -> InputParam:
        """Give the same with other values of some fields.

        `dataclasses.replace` takes several times as long, and a table of links has many of them.
        """
        made = object.__new__(InputParam)
        own = made.__dict__
        own.update(self.__dict__)
        own.pop(KEPT_TEXT, None)
        own.update(values)
        return made


KEPT_TEXT = "_markup"
"""Under which name in its dictionary a parameter keeps its text."""


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

    def changed(
        self,
        *,
        id: str | None = None,  # noqa: A002 - as the field
        name: str | None = None,
        access_url: str | None = None,
        inputs: tuple[InputParam, ...] | None = None,
    ) -> ServiceDescriptor:
        """Give the same with other values, in less time than `dataclasses.replace` takes."""
        return ServiceDescriptor(
            self.id if id is None else id,
            self.name if name is None else name,
            self.access_url if access_url is None else access_url,
            self.standard_id,
            self.inputs if inputs is None else inputs,
            self.description,
            self.content_type,
            self.resource_identifier,
        )

    @override
    def __hash__(self) -> int:
        # Not of all parameters, of which there are many: the first names the dataset.
        named = self.inputs[0].value if self.inputs else ""
        return hash((self.id, self.access_url, named))


class Link(NamedTuple):
    """One row of a ``{links}`` answer; a tuple, since an answer has thousands of them.

    Exactly one of ``access_url``, ``service`` and ``error_message`` is given, or ``leads_to``
    alone: the link is then to the file of that product.
    """

    did: str
    """Of the product that was asked for."""
    semantics: str
    """A term of the DataLink core vocabulary with its ``#``, or the URI of another's."""
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
    label: str | None = None
    """Short name in a menu or above an image; Firefly shows it."""
    bandpass_name: str | None = None
    """The filter of the image that it leads to; Firefly orders images of a field by it."""
    leads_to: str | None = None
    """``obs_publisher_did`` of another product that it leads to. Who may not know of that product
    does not get the row, and who may not have it is told so. What is left out here is that
    product's: address, media type, length, description, filter."""
    open_to_all: bool = False
    """Whether whoever may know of the product may follow it, as documentation; by default it takes
    the right to have the product that it leads to."""


class LinkMaker(Protocol):
    """Makes the links of one kind for a product; an extension point (docs/howto/links.md).

    It is called from several threads at once.
    """

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


@dataclass(frozen=True, slots=True)
class Asked:
    """Products whose links are asked for together."""

    products: Sequence[Product]
    """Those that are there and that who asks may know of, in the order asked for."""
    base_url: str
    """Where the site is seen by the client, without a trailing slash."""
    resolver: Resolver
    """Finds what who asks may know of."""
    rights: Rights = EVERYTHING
    """Of who asks."""
    public: Rights = EVERYTHING
    """Of who is not known."""


@runtime_checkable
class BatchLinkMaker(Protocol):
    """Makes the links of one kind for many products at once, where looking one by one is slow.

    An object with `links_of` is asked by that alone. It is called from several threads at once.
    """

    def links_of(self, asked: Asked) -> Mapping[str, Sequence[Link]]:
        """Give the rows of each product, by its identifier; of those that have none, nothing."""
        ...


class Annotator(Protocol):
    """Makes the descriptors that go with a table of results, from its columns."""

    def descriptors(self, columns: Sequence[Column], base_url: str) -> Sequence[ServiceDescriptor]:
        """Give the descriptors whose needed columns are among ``columns``."""
        ...
