"""A record of the VO Registry as a value."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree.ElementTree import Element

__all__ = ["Curation", "Named", "Relationship", "Resource"]


@dataclass(frozen=True, slots=True)
class Named:
    """A name, perhaps with the IVOID of its own record."""

    name: str
    ivoid: str | None = None


@dataclass(frozen=True, slots=True)
class Curation:
    """Who is responsible."""

    publisher: Named
    creators: tuple[str, ...]
    contact_name: str
    contact_email: str
    contact_address: str = ""
    contact_telephone: str = ""


@dataclass(frozen=True, slots=True)
class Relationship:
    """How a resource relates to others."""

    kind: str
    """A term of http://www.ivoa.net/rdf/voresource/relationship_type: ``IsServedBy`` ..."""
    others: tuple[Named, ...]


@dataclass(frozen=True, slots=True)
class Resource:
    """What a record tells, but for its dates."""

    identifier: str
    """IVOID."""
    xsi_type: str
    """``vs:CatalogService``, ``vg:Registry`` ..."""
    title: str
    description: str
    reference_url: str
    subjects: tuple[str, ...]
    curation: Curation
    content_type: str
    short_name: str = ""
    source: str = ""
    """Bibcode."""
    relationships: tuple[Relationship, ...] = ()
    rights: str = ""
    rights_uri: str = ""
    details: tuple[Element, ...] = ()
    """What the type adds to ``vr:Resource``, in the order of its schema, but for the rights."""
