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
    """Numbers of the product's HDUs, image plane first."""

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
    index: FileIndex
    """Also carries the file's size and version."""
    observations: tuple[Observation, ...]
    mapping_digest: str = ""
    """Of the settings that made the rows; a changed digest makes the line read the file anew."""
    run_id: int | None = None
    """Number of the run that made it; None if that is not known."""
    notes: tuple[str, ...] = field(default=())
    """Warnings that were no ground for refusal."""
