"""A record as VOResource 1.1, in the element that registries exchange (``ri:Resource``)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from skylane.registry.resource import Curation, Named, Resource
from vodal.vosi.capabilities import NAMESPACES
from vodal.xmltext import UNFIT, clean

__all__ = ["document", "resource_element"]

_NAMESPACES: Final = {
    "xmlns:ri": "http://www.ivoa.net/xml/RegistryInterface/v1.0",
    **NAMESPACES,
}

_SERVICES: Final = {"vs:CatalogService", "vs:CatalogResource", "vs:DataService", "vg:Registry"}
"""Types that have rights, before what else they add."""


def resource_element(resource: Resource, created: str, updated: str) -> Element:
    """Make the element, which declares its own namespaces.

    Parameters
    ----------
    resource
        The record.
    created, updated
        When it was made and changed last, ISO 8601 with ``Z``.
    """
    root = Element("ri:Resource", _NAMESPACES)
    root.set("xsi:type", resource.xsi_type)
    root.attrib.update({"created": created, "updated": updated, "status": "active"})
    _add(root, "title", resource.title)
    _add(root, "shortName", resource.short_name)
    _add(root, "identifier", resource.identifier)
    _add_curation(SubElement(root, "curation"), resource.curation)
    content = SubElement(root, "content")
    for subject in resource.subjects:
        _add(content, "subject", subject)
    _add(content, "description", resource.description)
    if resource.source:
        _add(content, "source", resource.source).set("format", "bibcode")
    _add(content, "referenceURL", resource.reference_url)
    _add(content, "type", resource.content_type)
    _add(content, "contentLevel", "Research")
    for one in resource.relationships:
        relationship = SubElement(content, "relationship")
        _add(relationship, "relationshipType", one.kind)
        for other in one.others:
            _add_named(relationship, "relatedResource", other)
    if resource.xsi_type in _SERVICES and (resource.rights or resource.rights_uri):
        rights = _add(root, "rights", resource.rights or resource.rights_uri)
        if resource.rights_uri:
            rights.set("rightsURI", resource.rights_uri)
    root.extend(_cleaned(resource.details))
    return root


def _add_curation(element: Element, curation: Curation) -> None:
    _add_named(element, "publisher", curation.publisher)
    for name in curation.creators:
        _add(SubElement(element, "creator"), "name", name)
    contact = SubElement(element, "contact")
    _add(contact, "name", curation.contact_name)
    _add(contact, "address", curation.contact_address)
    _add(contact, "email", curation.contact_email)
    _add(contact, "telephone", curation.contact_telephone)


def _add(parent: Element, tag: str, text: str) -> Element:
    """Append an element; nothing where there is no text."""
    element = Element(tag)
    element.text = clean(text)
    if text:
        parent.append(element)
    return element


def _add_named(parent: Element, tag: str, named: Named) -> None:
    element = _add(parent, tag, named.name)
    if named.ivoid is not None:
        element.set("ivo-id", named.ivoid)


def _cleaned(elements: Iterable[Element]) -> list[Element]:
    found = list(elements)
    for element in found:
        for one in element.iter():
            if one.text and UNFIT.search(one.text):
                one.text = clean(one.text)
    return found


def document(element: Element) -> bytes:
    """Write a document of its own, for eyes too."""
    indent(element)
    written: bytes = tostring(element, encoding="UTF-8", xml_declaration=True)
    return written + b"\n"
