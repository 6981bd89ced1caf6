"""Settings of DataLink and of the retrieval of files."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from datalink.bulk.settings import BulkSettings
from datalink.makers.rules import LinkRule, RelatedRule
from vodal.settings import Settings

__all__ = ["DatalinkSettings", "MakerSettings"]


class MakerSettings(Settings):
    """A maker of links that is the site's own; see docs/howto/links.md."""

    model_config = ConfigDict(populate_by_name=True)

    class_: str = Field(alias="class", pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    """``package.module:Class``, as Python imports it."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Handed to the class by their names."""
    seconds: float = Field(default=2.0, gt=0.0, le=60.0)
    """That it may take for all products of a request; then the answer goes out without its rows."""


class DatalinkSettings(Settings):
    """The {links} service, the retrieval of files and their previews."""

    max_ids: int = Field(default=1000, ge=1)
    """Identifiers answered in one request; the others are told as an overflow. Clients ask on."""
    preview_pixels: int = Field(default=512, ge=16, le=4096)
    """Longest side of a preview (``#preview``)."""
    preview_image_pixels: int = Field(default=1024, ge=16, le=4096)
    """Longest side of the larger picture (``#preview-image``)."""
    thumbnail_pixels: int = Field(default=128, ge=16, le=4096)
    """Longest side of a thumbnail (``#thumbnail``)."""
    preview_cache_bytes: int = Field(default=1 << 30, ge=0)
    """Disk space for pictures of all sizes; the oldest go when it is full. A preview takes about
    200 kB."""
    preview_deadline_s: float = Field(default=60.0, gt=0.0)
    """Seconds that the making of a preview may take, waiting included."""
    preview_memory_bytes: int = Field(default=2 << 30, ge=1 << 28)
    """Writable memory of the process that makes previews, its libraries included."""
    remote_files: Literal["stream", "redirect"] = "stream"
    """How files on other servers reach clients: ``stream`` through this one; ``redirect`` (307)
    from the store itself, by a URL signed for who may have the file. To HTTP servers, which sign
    nothing, and public buckets it leads only where everybody may have the file."""
    redirect_life_s: int = Field(default=300, ge=10, le=604_800)
    """Seconds that such a signed URL lives. A download that has begun goes on beyond that; the
    redirect itself is never kept (``no-store``)."""
    bulk: BulkSettings = BulkSettings()
    counterparts: int = Field(default=8, ge=0, le=100)
    """Most rows of ``#counterpart``: images of the same collection that show the same field in
    other bands, one of each band. 0 for none."""
    related: tuple[RelatedRule, ...] = ()
    """Other products that lie at the same place, such as exposures and what was coadded of them."""
    links: tuple[LinkRule, ...] = ()
    """What else belongs to products: documentation, files beside images, other products."""
    files_seconds: float = Field(default=2.0, gt=0.0, le=60.0)
    """That looking for all of ``links`` may take for the products of a request; then the answer
    goes out without them."""
    makers: tuple[MakerSettings, ...] = ()
    """Makers of links of the site's own, whose rows come after all others."""
