"""Where the files of datasets lie, and how large the datastore says that they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from lsst.daf.butler import Butler, DataCoordinate, DatasetRef, DatasetType
from lsst.resources import ResourcePath

from obscore.sources.butler.repository import Dataset
from obscore.sources.fits import file_uri

__all__ = ["Artifact", "artifacts_of"]

_SCHEMES = ("http", "https", "s3")


@dataclass(frozen=True, slots=True)
class Artifact:
    """The file of a dataset, or why it is of no use."""

    uri: str
    """Empty where the datastore has none."""
    size_bytes: int | None
    fault: str = ""
    """A sentence; empty if the file can be published."""


def artifacts_of(
    butler: Butler, kind: DatasetType, datasets: Sequence[Dataset]
) -> dict[UUID, Artifact]:
    """Ask the datastore for the files of datasets, all at a time.

    It is asked for what it has recorded; no file is looked at.
    """
    recorded = _recorded(butler, [dataset.id for dataset in datasets])
    # Of several datastores in a chain, which of them gives a dataset they must find out themselves.
    records = recorded[0] if len(recorded) == 1 else {}
    references = [_reference(kind, dataset, records) for dataset in datasets]
    places = butler.get_many_uris(references, allow_missing=True)
    artifacts: dict[UUID, Artifact] = {}
    for ref in references:
        sizes = (_size(one.get(ref.id)) for one in recorded)
        size = next((size for size in sizes if size is not None), None)
        found = places.get(ref)
        if found is None:
            fault = "the datastore has no file of the dataset"
            artifacts[ref.id] = Artifact("", size, fault)
        elif found.primaryURI is None or found.componentURIs:
            parts = ", ".join(sorted(found.componentURIs))
            fault = f"the dataset is kept in several files, one for each of {parts}"
            artifacts[ref.id] = Artifact("", size, fault)
        else:
            artifacts[ref.id] = _artifact(found.primaryURI, size)
    return artifacts


def _reference(kind: DatasetType, dataset: Dataset, records: Mapping[UUID, Any]) -> DatasetRef:
    """Give a dataset as the Butler's functions take it, with what the datastore has recorded."""
    names = (*kind.dimensions.required, *kind.dimensions.implied)
    values = tuple([dataset.data_id[name] for name in names])
    data_id = DataCoordinate.from_full_values(kind.dimensions, values)
    return DatasetRef(
        kind, data_id, dataset.run, id=dataset.id, conform=False,
        datastore_records=records.get(dataset.id),
    )  # fmt: skip


def _artifact(place: ResourcePath, size: int | None) -> Artifact:
    uri = place.geturl()
    if place.scheme == "file" and not place.fragment:
        return Artifact(file_uri(place.ospath), size)
    if place.fragment:
        return Artifact(uri, size, "the dataset is a member of an archive with others")
    if place.query:
        return Artifact(uri, size, "the datastore gives addresses that expire")
    if place.scheme not in _SCHEMES:
        return Artifact(uri, size, f"files of {place.scheme}: cannot be read here")
    return Artifact(uri, size)


def _recorded(butler: Butler, ids: Sequence[UUID]) -> list[Mapping[UUID, Any]]:
    """Give what the datastore, or each of a chain, has recorded of the files of datasets.

    By the datastore's tables; nothing where it has no such records.
    """
    datastore = getattr(butler, "_datastore", None)
    if datastore is None:
        return []
    exported = datastore.export_records([_Id(one) for one in ids])
    return [one.records for one in exported.values()]


class _Id(NamedTuple):
    """A dataset of which a datastore need know no more."""

    id: UUID


def _size(tables: Any) -> int | None:
    """Give the size that is recorded, in bytes, of a dataset in one file."""
    infos = [info for infos in (tables or {}).values() for info in infos]
    size = getattr(infos[0], "file_size", -1) if len(infos) == 1 else -1
    return None if size is None or size < 0 else int(size)
