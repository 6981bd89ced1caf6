"""What the server of HiPS is given of the archive: images, workers, and who writes links."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hips.behind import LinksWriter
from hips.live.selection import Searcher
from vodal.pool import WarmPool
from vodal.products import Catalogue, Refresher, Resolver
from vodal.storage import LOCAL, Storage

__all__ = ["Archive"]


@dataclass(frozen=True, slots=True)
class Archive:
    """Where images are known, and what tiles are made with."""

    catalogue: Catalogue
    resolver: Resolver
    pool: WarmPool
    """Has `hips.live.worker.PRELOAD` loaded, or loads it with the first tile."""
    cache: Path
    """A folder for what can be made again."""
    searcher: Searcher | None = None
    """Finds images by conditions; without it there are no dates and no saved selections."""
    write_links: LinksWriter | None = None
    """Writes DataLink; without it images behind a tile are told as JSON alone."""
    storage: Storage = LOCAL
    """Opens the images' files."""
    refresher: Refresher | None = None
    """Told of files that changed since they were catalogued."""
