"""Catalogued files that were not opened, with one product each: by column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import overload

from typing_extensions import override

from obscore.observation import CataloguedFile, Observation, Value
from vodal.regions import region_from_bytes

__all__ = ["FileColumns", "dids_of", "uris_of"]


@dataclass(frozen=True, slots=True)
class FileColumns(Sequence[CataloguedFile]):
    """Files of one collection; all lists are of one length.

    Cheap to send to another process and to write; a file is made only where one is asked for.
    """

    collection: str
    uris: list[str]
    file_names: list[str]
    content_types: list[str]
    modified_unix_s: list[float]
    told_versions: list[str]
    told_sizes_bytes: list[int | None]
    digests: list[str]
    """Of the settings that made the rows, as of each file."""
    parts: list[str] | None
    """Which HDU each product is; None if that is told of none."""
    shapes: list[bytes | None]
    """Canonical footprints, as `vodal.regions.shape_to_bytes` packs them."""
    rows: Mapping[str, list[Value]]
    """By column of `obscore.columns`; a missing one is NULL."""
    notes: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    """By number of the file."""
    run_id: int | None = None

    @property
    def dids(self) -> list[str]:
        """Identifiers of the products."""
        return list(map(str, self.rows["obs_publisher_did"]))

    @override
    def __len__(self) -> int:
        return len(self.uris)

    @overload
    def __getitem__(self, at: int) -> CataloguedFile: ...
    @overload
    def __getitem__(self, at: slice) -> list[CataloguedFile]: ...
    @override
    def __getitem__(self, at: int | slice) -> CataloguedFile | list[CataloguedFile]:
        if isinstance(at, slice):
            return [self[number] for number in range(*at.indices(len(self)))]
        row = {name: cells[at] for name, cells in self.rows.items()}
        region = region_from_bytes(self.shapes[at])
        return CataloguedFile(
            uri=self.uris[at],
            file_name=self.file_names[at],
            collection=self.collection,
            content_type=self.content_types[at],
            modified_unix_s=self.modified_unix_s[at],
            index=None,
            observations=(
                Observation(row, region, (), "" if self.parts is None else self.parts[at]),
            ),
            mapping_digest=self.digests[at],
            run_id=self.run_id,
            notes=self.notes.get(at, ()),
            told_version=self.told_versions[at],
            told_size_bytes=self.told_sizes_bytes[at],
        )


def uris_of(files: Sequence[CataloguedFile]) -> list[str]:
    """Give the URIs of files."""
    if isinstance(files, FileColumns):
        return files.uris
    return [file.uri for file in files]


def dids_of(files: Sequence[CataloguedFile]) -> list[str]:
    """Give the identifiers of all products of files."""
    if isinstance(files, FileColumns):
        return files.dids
    return [one.did for file in files for one in file.observations]
