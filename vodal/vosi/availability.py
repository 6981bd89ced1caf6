"""Whether a service is up, and the VOSI-availability document (VOSI 1.1 section 5)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from xml.etree.ElementTree import Element, SubElement, tostring

__all__ = ["Availability", "availability_document"]


@dataclass(frozen=True, slots=True)
class Availability:
    """State of a service."""

    available: bool
    up_since: datetime | None = None
    """With a time zone."""
    notes: tuple[str, ...] = ()


def availability_document(state: Availability) -> bytes:
    """Write the VOSI-availability document as UTF-8 XML."""
    root = Element(
        "vosi:availability", {"xmlns:vosi": "http://www.ivoa.net/xml/VOSIAvailability/v1.0"}
    )
    SubElement(root, "vosi:available").text = "true" if state.available else "false"
    if state.up_since is not None:
        moment = state.up_since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        SubElement(root, "vosi:upSince").text = moment
    for note in state.notes:
        SubElement(root, "vosi:note").text = note
    document: bytes = tostring(root, encoding="UTF-8", xml_declaration=True)
    return document
