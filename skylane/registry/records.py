"""The records of this moment with their dates."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from xml.etree.ElementTree import Element, tostring

from skylane.registry.dates import Datestamps, Stamp
from skylane.registry.dublincore import dublin_core_element
from skylane.registry.holdings import Holdings
from skylane.registry.resource import Resource
from skylane.registry.voresource import resource_element

__all__ = ["FORMATS", "Record", "RecordFormat", "Records"]


@dataclass(frozen=True, slots=True)
class RecordFormat:
    """A form of records."""

    prefix: str
    schema: str
    namespace: str


FORMATS = (
    RecordFormat(
        "ivo_vor",
        "http://www.ivoa.net/xml/RegistryInterface/v1.0",
        "http://www.ivoa.net/xml/RegistryInterface/v1.0",
    ),
    RecordFormat(
        "oai_dc",
        "http://www.openarchives.org/OAI/2.0/oai_dc.xsd",
        "http://www.openarchives.org/OAI/2.0/oai_dc/",
    ),
)
"""Those that registries must have (Registry Interfaces 1.1 section 2.1.2)."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record, or what is left of one."""

    identifier: str
    stamp: Stamp
    resource: Resource | None
    """None if it is gone."""

    def element(self, prefix: str) -> Element:
        """Give the record, which is not gone, in a form of `FORMATS`."""
        assert self.resource is not None
        if prefix == "oai_dc":
            return dublin_core_element(self.resource, self.stamp.changed)
        return resource_element(self.resource, self.stamp.created, self.stamp.changed)


class Records:
    """Gives the records. Safe to use from several threads.

    Parameters
    ----------
    holdings
        Makes them.
    dates
        Knows when they changed.
    """

    def __init__(self, holdings: Holdings, dates: Datestamps) -> None:
        self.holdings = holdings
        self._dates = dates

    def current(self) -> list[Record]:
        """Give all records, also gone ones, in the order of identifiers.

        Raises
        ------
        SkylaneError
            If they cannot be made, for instance since coverage maps are being made.
        """
        made = {one.identifier: one for one in self.holdings.resources()}
        stamps = self._dates.stamped({name: _digest(one) for name, one in made.items()})
        return [Record(name, stamp, made.get(name)) for name, stamp in sorted(stamps.items())]


def _digest(resource: Resource) -> str:
    return hashlib.sha256(tostring(resource_element(resource, "", ""))).hexdigest()
