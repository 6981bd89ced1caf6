"""A record as Dublin Core, which every repository of OAI-PMH gives (OAI-PMH 2.0 section 4)."""

from __future__ import annotations

from typing import Final
from xml.etree.ElementTree import Element, SubElement

from skylane.registry.resource import Resource
from vodal.xmltext import clean

__all__ = ["dublin_core_element"]

_NAMESPACES: Final = {
    "xmlns:oai_dc": "http://www.openarchives.org/OAI/2.0/oai_dc/",
    "xmlns:dc": "http://purl.org/dc/elements/1.1/",
}


def dublin_core_element(resource: Resource, updated: str) -> Element:
    """Make the element ``oai_dc:dc``.

    Parameters
    ----------
    resource
        The record.
    updated
        When it changed last, ISO 8601 with ``Z``.
    """
    root = Element("oai_dc:dc", _NAMESPACES)
    told = [
        ("title", resource.title),
        *(("creator", name) for name in resource.curation.creators),
        *(("subject", subject) for subject in resource.subjects),
        ("description", resource.description),
        ("publisher", resource.curation.publisher.name),
        ("date", updated),
        ("type", resource.content_type),
        ("identifier", resource.identifier),
        ("identifier", resource.reference_url),
        ("source", resource.source),
        *(
            ("relation", other.ivoid or other.name)
            for one in resource.relationships
            for other in one.others
        ),
        ("rights", resource.rights),
        ("rights", resource.rights_uri),
    ]
    for name, text in told:
        if text:
            SubElement(root, f"dc:{name}").text = clean(text)
    return root
