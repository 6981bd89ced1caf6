"""Links as a table with its service descriptors (DataLink 1.1 section 3.3)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import pyarrow as pa

from vodal.links import Link, ServiceDescriptor
from vodal.tables.columns import Column, ResultStream

__all__ = ["COLUMNS", "STANDARD_ID", "LinksTable"]

STANDARD_ID = "ivo://ivoa.net/std/DataLink#links-1.1"
"""In the case that Firefly compares with."""

_RENAMED = re.compile(r"[^A-Za-z0-9_.-]")


def _column(
    name: str,
    ucd: str | None,
    description: str,
    datatype: str = "char",
    unit: str | None = None,
) -> Column:
    arraysize = "*" if datatype == "char" else None
    return Column(name, datatype, arraysize, unit=unit, ucd=ucd, description=description, id=name)


COLUMNS: tuple[Column, ...] = (
    _column("ID", "meta.id;meta.main", "Identifier that the row is about"),
    _column("access_url", "meta.ref.url", "Where to get it"),
    _column("service_def", "meta.ref", "ID of the descriptor of a service"),
    _column("error_message", "meta.code.error", "Why there is no link"),
    _column("description", "meta.note", "What it is, for people"),
    _column("semantics", "meta.code", "How it relates to the identifier"),
    _column("content_type", "meta.code.mime", "Media type of what comes"),
    _column("content_length", "phys.size;meta.file", "Size of what comes", "long", "byte"),
    _column(
        "content_qualifier",
        None,
        "Kind of product, a term of http://www.ivoa.net/rdf/product-type",
    ),
    _column("local_semantics", "meta.id.assoc", "What the archive calls this relation"),
    _column("link_auth", "meta.code", "Whether one must be known: false, optional or true"),
    _column("link_authorized", "meta.code", "Whether who asked may have it", "boolean"),
    # Extensions: Firefly names and orders the members of a grid of images by these.
    _column("label", None, "Short name of what comes"),
    _column("bandpass_name", "meta.id;instr.filter", "Filter of the image that comes"),
)
"""Columns of every {links} answer; the last two are extensions."""


def _cells(links: Sequence[Link], services: Sequence[str | None]) -> tuple[Sequence[object], ...]:
    """Give the values of the columns, of links and the IDs of their descriptors."""
    return (
        [one.did for one in links],
        [one.access_url for one in links],
        services,
        [one.error_message for one in links],
        [one.description for one in links],
        [one.semantics for one in links],
        [one.content_type for one in links],
        [one.content_length for one in links],
        [one.content_qualifier for one in links],
        [one.local_semantics for one in links],
        [one.link_auth for one in links],
        [one.link_authorized for one in links],
        [one.label for one in links],
        [one.bandpass_name for one in links],
    )


@lru_cache(maxsize=64)
def _stem(service_id: str) -> str:
    """Give an identifier as XML takes it."""
    stem = _RENAMED.sub("-", service_id)
    return stem if re.match(r"[A-Za-z_]", stem) else f"service-{stem}"


@dataclass(slots=True)
class LinksTable:
    """Rows and the descriptors they point to.

    Products share a descriptor if theirs are equal; of different ones with the same ID the later
    are renamed, and their rows follow.
    """

    overflow: bool = False
    """Whether identifiers were left out."""
    services: list[ServiceDescriptor] = field(default_factory=list)
    """Descriptors, each with an ID of its own."""
    _links: list[Link] = field(default_factory=list)
    _names: list[str | None] = field(default_factory=list)
    """IDs of their descriptors."""
    _given: dict[ServiceDescriptor, str] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict)
    """The next number of each name that was taken."""
    _taken: set[str | None] = field(default_factory=lambda: {column.id for column in COLUMNS})

    def __len__(self) -> int:
        return len(self._links)

    def add(self, links: Iterable[Link]) -> None:
        """Add the rows of one identifier."""
        for link in links:
            self._links.append(link)
            self._names.append(None if link.service is None else self._name_of(link.service))

    def _name_of(self, service: ServiceDescriptor) -> str:
        name = self._given.get(service)
        if name is None:
            stem = _stem(service.id)
            number = self._numbers.get(stem, 1)
            name = stem if number == 1 else f"{stem}-{number}"
            while name in self._taken:
                number += 1
                name = f"{stem}-{number}"
            self._numbers[stem] = number + 1
            self._taken.add(name)
            self._given[service] = name
            # Validators want the names in a document to be unique as well.
            suffix = name.removeprefix(stem)
            self.services.append(service.changed(id=name, name=service.name + suffix))
        return name

    def stream(self) -> ResultStream:
        """Give the rows for a writer."""
        cells = _cells(self._links, self._names)
        arrays = [
            pa.array(some, column.arrow_type()) for column, some in zip(COLUMNS, cells, strict=True)
        ]
        batch = pa.RecordBatch.from_arrays(arrays, names=[column.name for column in COLUMNS])
        return ResultStream(COLUMNS, iter([batch]), self.overflow)
