"""The files that tell of a HiPS: MOC, properties, preview and page. Written after the tiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hips.allsky import write_preview
from hips.coverage import first_view, write_moc
from hips.frames import Frame
from hips.names import TILE_WIDTH, pixel_size_arcsec, tile_count
from hips.page import index_page
from hips.properties import (
    Provenance,
    creator_of,
    format_properties,
    minute,
    parse_properties,
    publisher_of,
)
from hips.settings import HipsSettings
from hips.stretch import Stretch
from vodal.errors import DataError

__all__ = ["Description", "first_made", "last_release", "next_release", "write_description"]

HIPS_VERSION = "1.4"
BUILDER = "Skylane"


@dataclass(frozen=True, slots=True)
class Description:
    """What is said of a HiPS by who makes it."""

    creator_did: str
    """IVOID."""
    title: str
    text: str
    """A paragraph."""
    collection: str
    order: int
    formats: tuple[str, ...]
    """Of the tiles; the first is what clients take by default."""
    provenance: Provenance
    made: datetime
    """When a HiPS of this name was first made."""
    released: datetime
    """When its tiles last changed; by it clients drop what they cached."""
    tiles: int
    """Of all orders."""
    size_bytes: int
    extra: Mapping[str, object]
    """Keywords of this kind of HiPS."""
    stretch: Stretch | None = None
    """Of a band's values."""
    frame: Frame = "equatorial"
    """Of the cells."""


def first_made(published: Path, now: datetime) -> datetime:
    """Give when the HiPS that is published now was first made; ``now`` if there is none."""
    return _date(published, "hips_creation_date", now)


def last_release(published: Path, now: datetime) -> datetime:
    """Give the release date of the HiPS that is published now; ``now`` if there is none."""
    return _date(published, "hips_release_date", now)


def next_release(published: Path, now: datetime) -> datetime:
    """Give the release date of tiles that changed: later than that of the HiPS published now.

    Dates are to the minute, and clients tell releases apart by them.
    """
    last = _date(published, "hips_release_date", datetime.min.replace(tzinfo=UTC))
    return max(now, last + timedelta(minutes=1))


def _date(published: Path, key: str, now: datetime) -> datetime:
    try:
        text = (published / "properties").read_text("utf-8")
        stamp = parse_properties(text)[key]
        return datetime.strptime(stamp, "%Y-%m-%dT%H:%MZ").replace(tzinfo=UTC)
    except (OSError, UnicodeDecodeError, DataError, KeyError, ValueError):
        return now


def write_description(
    folder: Path,
    leaves: Sequence[int],
    about: Description,
    settings: HipsSettings,
) -> None:
    """Write ``Moc.fits``, ``properties``, ``preview.jpg`` and ``index.html``.

    Parameters
    ----------
    folder
        Holds the tiles.
    leaves
        Numbers of the deepest tiles, one at least.
    about
        What is said.
    settings
        Of all HiPS of the site.
    """
    write_moc(folder / "Moc.fits", about.order, leaves, about.frame)
    view = first_view(about.order, leaves, about.frame)
    write_preview(folder, view, about.order, settings.jpeg_quality, about.stretch, about.frame)
    page = index_page(about.title, about.text, view, settings.aladin_lite_url)
    (folder / "index.html").write_text(page, "utf-8")
    scale = f"{pixel_size_arcsec(about.order) / 3600.0:.6g}"
    values: dict[str, object] = {
        "creator_did": about.creator_did,
        "publisher_id": publisher_of(about.creator_did),
        "hips_creator": settings.creator
        or creator_of(about.creator_did, about.provenance.creators),
        "obs_title": about.title,
        "obs_collection": about.collection,
        "obs_description": about.text,
        "obs_copyright": settings.copyright,
        **about.provenance.keywords(),
        "dataproduct_type": "image",
        "hips_version": HIPS_VERSION,
        "hips_builder": BUILDER,
        "hips_creation_date": minute(about.made),
        "hips_release_date": minute(about.released),
        "hips_status": f"{settings.status} master clonable",
        "hips_tile_format": " ".join(about.formats),
        "hips_order": about.order,
        "hips_order_min": 0,
        "hips_tile_width": TILE_WIDTH,
        "hips_frame": about.frame,
        "hips_pixel_scale": scale,
        "hips_initial_ra": f"{view.ra_deg:.6f}",
        "hips_initial_dec": f"{view.dec_deg:.6f}",
        "hips_initial_fov": f"{view.fov_deg:.6g}",
        "hips_nb_tiles": about.tiles,
        "hips_estsize": max(1, about.size_bytes // 1024),
        "moc_sky_fraction": f"{len(leaves) / tile_count(about.order):.6g}",
        **about.extra,
    }
    (folder / "properties").write_text(format_properties(values), "utf-8", newline="\n")
