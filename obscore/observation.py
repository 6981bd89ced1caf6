"""What the assembly line makes of a file, and what the store keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vodal.fits.index import FileIndex
from vodal.regions import Region

__all__ = ["CataloguedFile", "Observation"]

Value = str | int | float | None


@dataclass(frozen=True, slots=True)
class Observation:
    """One product: its ObsCore row, its footprint and the HDUs that hold it."""

    row: Mapping[str, Value]
    """By name of `obscore.columns`; a missing name is NULL. ``access_url`` is never among them, and
    ``last_modified`` only if the product was read from a store."""
    region: Region | None
    """The canonical footprint; ``s_region`` is its text."""
    hdus: tuple[int, ...]
    """Numbers of the product's HDUs, image plane first; empty until the file is first opened."""
    part: str = ""
    """Which HDU its source says it is: EXTNAME, ``EXTNAME,EXTVER`` or number."""

    @property
    def did(self) -> str:
        """The row's ``obs_publisher_did``."""
        return str(self.row["obs_publisher_did"])


@dataclass(frozen=True, slots=True)
class CataloguedFile:
    """A file, its byte index and its products: written to the store as a whole or not at all."""

    uri: str
    file_name: str
    collection: str
    content_type: str
    modified_unix_s: float
    index: FileIndex | None
    """Also carries the file's size and version. None until a file is first opened whose rows are
    made of what the source tells."""
    observations: tuple[Observation, ...]
    mapping_digest: str = ""
    """Of the settings that made the rows; a changed digest makes the line read the file anew."""
    run_id: int | None = None
    """Number of the run that made it; None if that is not known."""
    notes: tuple[str, ...] = field(default=())
    """Warnings that were no ground for refusal."""
    told_version: str = ""
    """What the source says of a file that was not opened yet."""
    told_size_bytes: int | None = None

    @property
    def version(self) -> str:
        """Opaque; differs whenever the file's bytes may differ."""
        return self.told_version if self.index is None else self.index.version

    @property
    def size_bytes(self) -> int | None:
        """Size of the file as stored, if it is known."""
        return self.told_size_bytes if self.index is None else self.index.size_bytes
