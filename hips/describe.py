"""The files that tell of a HiPS: MOC, properties, preview and page. Written after the tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from hips.coverage import first_view, moc_file, place_within
from hips.encode import read_fits
from hips.formats import read_picture
from hips.keywords import Survey, keywords_of
from hips.names import tile_count
from hips.page import index_page
from hips.preview import write_preview
from hips.properties import format_properties, parse_properties
from hips.settings import HipsSettings
from hips.stretch import Stretch
from hips.tiles.opening import open_tiles
from hips.view import View
from vodal.errors import DataError

__all__ = ["Description", "first_made", "last_release", "next_release", "write_description"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Description(Survey):
    """What is said of a built HiPS."""

    order: int
    tiles: int
    """Of all orders."""
    size_bytes: int
    stretch: Stretch | None = None
    """Of a band's values."""


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
    (folder / "Moc.fits").write_bytes(moc_file(about.order, leaves, about.frame))
    view = _view(folder, leaves, about)
    write_preview(folder, view, about.order, settings.jpeg_quality, about.stretch, about.frame)
    page = index_page(about.title, about.text, view, settings.aladin_lite_url)
    (folder / "index.html").write_text(page, "utf-8")
    values = {
        **keywords_of(about, view, len(leaves) / tile_count(about.order), settings),
        "hips_nb_tiles": about.tiles,
        "hips_estsize": max(1, about.size_bytes // 1024),
    }
    (folder / "properties").write_text(format_properties(values), "utf-8", newline="\n")


def _view(folder: Path, leaves: Sequence[int], about: Description) -> View:
    """Choose where to look first: at a pixel that has a value."""
    npix, fov_deg = first_view(about.order, leaves)
    tiles = open_tiles(folder)
    data = tiles.read(about.order, npix, "fits")
    if data is not None:
        there = np.isfinite(read_fits(data))
    else:
        picture = read_picture(tiles, about.order, npix)
        assert picture is not None
        there = picture[..., 3] > 0
    return View(*place_within(about.order, npix, there, about.frame), fov_deg)
