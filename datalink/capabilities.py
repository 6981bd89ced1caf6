"""What the {links} service says it can (DataLink 1.1 section 2.3)."""

from __future__ import annotations

from typing import Final

from datalink.document import STANDARD_ID
from vodal.vosi.capabilities import Capability, capability, vosi_capabilities

__all__ = ["LINKS_TYPE", "links_capabilities"]

LINKS_TYPE: Final = "application/x-votable+xml;content=datalink"
"""Media type of a {links} answer, to the letter as pyvo compares it."""


def links_capabilities(service_url: str) -> tuple[Capability, ...]:
    """Make the capabilities of the service.

    Parameters
    ----------
    service_url
        Where it is mounted, without a trailing slash.
    """
    links = capability(
        STANDARD_ID,
        f"{service_url}/links",
        use="base",
        version="1.1",
        query_types=("GET", "POST"),
        result_type=LINKS_TYPE,
    )
    return (links, *vosi_capabilities(service_url))
