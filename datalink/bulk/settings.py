"""Settings of the retrieval of many files at once."""

from __future__ import annotations

from pydantic import Field

from vodal.settings import Settings
from vodal.uploads.settings import UploadSettings

__all__ = ["BulkSettings", "ListUploadSettings"]


class ListUploadSettings(UploadSettings):
    """Tables of identifiers."""

    max_tables: int = Field(default=1, ge=0)
    """Tables that one request may bring. 0 takes no uploads at all."""
    max_bytes: int = Field(default=16_000_000, ge=1)
    """Bytes of all files that one request brings, as they are sent, and of one that is fetched."""


class BulkSettings(Settings):
    """Many files as one archive."""

    max_files: int = Field(default=10_000, ge=1)
    """Identifiers of one list; a longer one is refused (413)."""
    max_bytes: int = Field(default=1 << 40, ge=1)
    """Bytes of the files of one archive together; more is refused (413)."""
    list_days: float = Field(default=7.0, gt=0.0)
    """Days that a list is kept after its last use; its archive can be gone on with for so long."""
    uploads: ListUploadSettings = ListUploadSettings()
