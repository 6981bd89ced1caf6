"""Capabilities and interfaces as values, and their document (VOSI 1.1 section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element, SubElement, tostring

__all__ = [
    "NAMESPACES",
    "Capability",
    "Interface",
    "capabilities_document",
    "capability",
    "capability_elements",
    "vosi_capabilities",
]

NAMESPACES = {
    "xmlns:vr": "http://www.ivoa.net/xml/VOResource/v1.0",
    "xmlns:vs": "http://www.ivoa.net/xml/VODataService/v1.1",
    "xmlns:tr": "http://www.ivoa.net/xml/TAPRegExt/v1.0",
    "xmlns:vg": "http://www.ivoa.net/xml/VORegistry/v1.0",
    "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
}
"""Those whose types the elements of capabilities name, which some element around must declare."""


@dataclass(frozen=True, slots=True)
class Interface:
    """One way to reach a capability."""

    access_url: str
    use: str = "full"
    """``full`` for a URL to be used as it is, ``base`` for one that parameters are added to."""
    role: str | None = "std"
    version: str | None = None
    """Of the standard, where a client has to tell versions apart by it (TAP 1.1 section 2.4)."""
    query_types: tuple[str, ...] = ()
    """``GET``, ``POST``."""
    result_type: str | None = None
    """Media type of the answer."""
    params: tuple[Element, ...] = ()
    """``param`` elements of VODataService, if the interface declares its parameters."""
    xsi_type: str = "vs:ParamHTTP"
    """Another type has neither query types nor result type nor parameters."""


@dataclass(frozen=True, slots=True)
class Capability:
    """One capability of a service."""

    standard_id: str | None
    """None for what no standard describes."""
    interfaces: tuple[Interface, ...]
    xsi_type: str | None = None
    """A subtype of the registry extensions, such as ``tr:TableAccess``."""
    details: tuple[Element, ...] = field(default=())
    """The elements that the subtype adds after the interfaces."""
    description: str | None = None
    """Where no standard tells what it is."""


_OPEN = frozenset(f"ivo://ivoa.net/std/VOSI#{name}" for name in ("capabilities", "availability"))
"""What is read to learn how one can be known: it is for all, and names no methods (VOSI 1.1)."""


def capability(
    standard_id: str | None,
    access_url: str,
    *,
    use: str = "full",
    role: str | None = "std",
    version: str | None = None,
    query_types: Sequence[str] = (),
    result_type: str | None = None,
) -> Capability:
    """Make a capability with one interface."""
    interface = Interface(access_url, use, role, version, tuple(query_types), result_type)
    return Capability(standard_id, (interface,))


def vosi_capabilities(service_url: str, *, tables: bool = False) -> tuple[Capability, ...]:
    """Make the capabilities that every service has.

    Parameters
    ----------
    service_url
        Where the service is mounted, without a trailing slash; the resources are its children.
    tables
        Whether it also has VOSI tables.
    """
    made = [
        capability(
            "ivo://ivoa.net/std/VOSI#capabilities", f"{service_url}/capabilities", role=None
        ),
        capability(
            "ivo://ivoa.net/std/VOSI#availability", f"{service_url}/availability", role=None
        ),
    ]
    if tables:
        made.append(
            capability(
                "ivo://ivoa.net/std/VOSI#tables-1.1",
                f"{service_url}/tables",
                role=None,
                version="1.1",
            )
        )
    return tuple(made)


def _interface_element(interface: Interface, security: Sequence[str]) -> Element:
    element = Element("interface", {"xsi:type": interface.xsi_type})
    if interface.role is not None:
        element.set("role", interface.role)
    if interface.version is not None:
        element.set("version", interface.version)
    SubElement(element, "accessURL", {"use": interface.use}).text = interface.access_url
    if security:
        # Without an identifier it means that one may remain unknown (VOResource 1.1 section 2.2.2).
        SubElement(element, "securityMethod")
    for method in security:
        SubElement(element, "securityMethod", {"standardID": method})
    for query_type in interface.query_types:
        SubElement(element, "queryType").text = query_type
    if interface.result_type is not None:
        SubElement(element, "resultType").text = interface.result_type
    element.extend(interface.params)
    return element


def capability_elements(
    capabilities: Sequence[Capability], security: Sequence[str] = ()
) -> list[Element]:
    """Make the ``capability`` elements of VOResource.

    Parameters
    ----------
    capabilities
        Of a service.
    security
        How one can be known to it, beside remaining unknown.
    """
    made = []
    for item in capabilities:
        element = Element("capability")
        if item.standard_id is not None:
            element.set("standardID", item.standard_id)
        if item.xsi_type is not None:
            element.set("xsi:type", item.xsi_type)
        if item.description is not None:
            SubElement(element, "description").text = item.description
        methods = () if item.standard_id in _OPEN else security
        element.extend(_interface_element(one, methods) for one in item.interfaces)
        element.extend(item.details)
        made.append(element)
    return made


def capabilities_document(
    capabilities: Sequence[Capability], security: Sequence[str] = ()
) -> bytes:
    """Write the VOSI-capabilities document as UTF-8 XML.

    Parameters
    ----------
    capabilities, security
        As of `capability_elements`.
    """
    root = Element(
        "vosi:capabilities",
        {"xmlns:vosi": "http://www.ivoa.net/xml/VOSICapabilities/v1.0", **NAMESPACES},
    )
    root.extend(capability_elements(capabilities, security))
    document: bytes = tostring(root, encoding="UTF-8", xml_declaration=True)
    return document
