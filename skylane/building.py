"""``skylane hips build``: the HiPS of the catalogue's collections."""

from __future__ import annotations

import os
from pathlib import Path

from rich.console import Console

from hips.choice import ChannelChoice
from hips.cluster import ClusterCrew
from hips.collection import build_collection
from hips.crew import Crew
from hips.part import Part
from obscore.assembly.opening import OpeningResolver
from skylane.folder import SiteFolder
from skylane.progress import step
from skylane.settings import load_settings
from vodal.errors import UsageError
from vodal.storage import Storage

__all__ = ["build_hips"]


def build_hips(
    console: Console,
    site_path: Path,
    collection: str | None,
    workers: int | None = None,
    *,
    fresh: bool = False,
    shard: str | None = None,
    scheduler: str | None = None,
    channels: str | None = None,
) -> None:
    """Build the HiPS of one collection, or of all; or a share (``1/8``) of their tiles.

    With ``scheduler`` the workers of a Dask cluster do it; ``channels`` are those of cubes.
    """
    part = Part.parse(shard) if shard else None
    if channels is not None:
        ChannelChoice.parse(channels)
    if scheduler and workers:
        raise UsageError("--workers are processes here; with --scheduler the cluster has its own")
    settings = load_settings(site_path)
    site = SiteFolder(site_path)
    backend = site.prepare(settings.store)
    storage = Storage(settings.storage)
    catalogue, resolver = backend.catalogue(), OpeningResolver(backend, storage)
    try:
        names = [collection] if collection else [item.name for item in catalogue.collections()]
        if not names:
            raise UsageError("the catalogue is empty; run 'skylane ingest FOLDER' first")
        for name in names:
            hips = settings.hips
            if channels is not None:
                hips = hips.with_channels(name, channels)
            with (
                step(console, f"Building the HiPS of {name}") as progress,
                ClusterCrew(scheduler, site.hips)
                if scheduler
                else Crew(workers or os.cpu_count() or 1) as crew,
            ):
                made = build_collection(
                    catalogue, resolver, name, site.hips, hips,
                    crew=crew, progress=progress, fresh=fresh, part=part,
                )  # fmt: skip
            for summary in made:
                origin = f"{summary.images} images" if summary.images else "its bands"
                same = ", nothing new" if summary.images and not summary.rendered else ""
                console.print(
                    f"  {summary.name}: order {summary.order}, {summary.tiles} tiles "
                    f"from {origin}, {summary.seconds:.1f} s{same}"
                )
                for note in [*summary.skipped, *summary.notes]:
                    console.print(f"    note: {note}", style="yellow")
    finally:
        catalogue.close()
        resolver.close()
        storage.close()
