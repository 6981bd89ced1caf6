"""What the {links} service says it can (DataLink 1.1 section 2.3)."""

from __future__ import annotations

from typing import Final
from xml.etree.ElementTree import Element, SubElement

from datalink.document import STANDARD_ID
from vodal.vosi.capabilities import Capability, Interface, capability, vosi_capabilities

__all__ = ["LINKS_TYPE", "links_capabilities"]

LINKS_TYPE: Final = "application/x-votable+xml;content=datalink"
"""Media type of a {links} answer, to the letter as pyvo compares it."""


def links_capabilities(service_url: str, files_url: str) -> tuple[Capability, ...]:
    """Make the capabilities of the service, and of lists of files beside it.

    Parameters
    ----------
    service_url
        Where it is mounted, without a trailing slash.
    files_url
        Where files are, which are had by lists too.
    """
    links = capability(
        STANDARD_ID,
        f"{service_url}/links",
        use="base",
        version="1.1",
        query_types=("GET", "POST"),
        result_type=LINKS_TYPE,
    )
    return (links, *vosi_capabilities(service_url), _lists_of_files(files_url))


def _lists_of_files(files_url: str) -> Capability:
    """Tell of ``/files/bulk``, which no standard describes (VODataService 1.2 section 3.2)."""
    params = (
        _param("ID", "obs_publisher_did of a dataset; any number of them", "required", "meta.id"),
        _param("MULTI", "form of the archive: tar (by default) or zip", "optional"),
    )
    interface = Interface(
        f"{files_url}/bulk", use="base", role=None, query_types=("GET", "POST"),
        result_type="application/x-tar", params=params,
    )  # fmt: skip
    return Capability(
        None, (interface,), description="Files of many datasets as one archive, with checksums"
    )


def _param(name: str, description: str, use: str, ucd: str = "") -> Element:
    param = Element("param", {"use": use, "std": "false"})
    SubElement(param, "name").text = name
    SubElement(param, "description").text = description
    if ucd:
        SubElement(param, "ucd").text = ucd
    SubElement(param, "dataType", {"xsi:type": "vs:SimpleDataType"}).text = "string"
    return param
