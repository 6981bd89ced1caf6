"""What the files of a HiPS are to clients: which are served, as what, how long they are kept."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hips.settings import HipsSettings

__all__ = ["TILE_EXTENSIONS", "caching", "is_shown", "media_type", "shown_files"]

TILE_EXTENSIONS: Final = ("fits", "png", "jpg", "webp")

_SHOWN: Final = re.compile(
    r"(?:Norder\d{1,2}/Allsky\.(?:fits|png|jpg|webp)"
    r"|properties|Moc\.fits|index\.html|preview\.jpg|metadata\.(?:fits|xml))"
)
_TYPES: Final = {
    "fits": "image/fits",
    "png": "image/png",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "html": "text/html; charset=utf-8",
    "xml": "application/xml",
    "zip": "application/zip",
    "json": "application/json",
    "properties": "text/plain; charset=utf-8",
}
_FRESH: Final = {"properties", "index.html", "Packs/layout.json"}
"""What names the release date, or tells how to read the rest: by it clients know what changed."""
_FOREVER_S: Final = 31_536_000


def is_shown(path: str) -> bool:
    """Tell whether a file that is no tile is served, by its path below the HiPS."""
    return _SHOWN.fullmatch(path) is not None


def shown_files(folder: Path) -> Iterator[str]:
    """Give the paths of the files of a HiPS that are served and are no tiles."""
    for path in sorted([*folder.glob("*"), *folder.glob("Norder*/Allsky.*")]):
        name = path.relative_to(folder).as_posix()
        if is_shown(name) and path.is_file():
            yield name


def media_type(path: str) -> str:
    """Give the type of a file."""
    return _TYPES.get(path.rpartition("/")[2].rpartition(".")[2], "application/octet-stream")


def caching(
    path: str, settings: HipsSettings, *, private: bool = False, fixed: bool = False
) -> str:
    """Give the ``Cache-Control`` of a tile or file.

    Parameters
    ----------
    path
        Below the HiPS.
    settings
        How long tiles may be kept.
    private
        Whether no shared cache may keep it.
    fixed
        Whether the address has a release, so that what it names never changes.
    """
    if path in _FRESH:
        return "no-cache"
    who = "private" if private else "public"
    if fixed:
        return f"{who}, max-age={_FOREVER_S}, immutable"
    return f"{who}, max-age={settings.tile_max_age_s}"
