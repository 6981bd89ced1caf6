"""What can be set about live HiPS."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from vodal.settings import Settings

__all__ = ["LiveSettings"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class LiveSettings(Settings):
    """HiPS whose tiles are made on demand."""

    enabled: bool = True
    """Whether there are any."""
    selections: dict[str, str] = Field(default_factory=dict)
    """More names, each with a condition on ``ivoa.obscore`` as it stands behind WHERE in ADQL:
    ``deep = "filter = 'r' AND t_exptime > 300"`` is served as ``/hips/live/deep/``."""
    listed: bool = False
    """Whether ``/hips/list`` names the collections' live HiPS too; ``/hips/live/list`` always names
    them, and the saved selections."""
    cache_bytes: int = Field(default=4 << 30, ge=0)
    """Tiles kept in the site's cache folder; those used longest ago go first."""
    preview_cache_bytes: int = Field(default=16 << 30, ge=0)
    """Images at coarse orders kept in the site's cache folder, up to 4 MB each. Where there is no
    room for those of a view, they are made again and again."""
    max_images: int = Field(default=1000, ge=1)
    """Images that one tile is made of; of more, some are taken that are spread over the tile."""
    new_previews: int = Field(default=8, ge=1)
    """Previews that are made while a client waits for a tile; the tile is without the others, which
    are made in the background."""
    prepare_every_s: float = Field(default=2.0, ge=0.0)
    """Seconds between looks at the catalogue for images that have landed. Their previews are then
    made behind all other work, before a tile needs them; 0 leaves them until one does."""
    tile_max_age_s: int = Field(default=5, ge=0)
    """How long clients and proxies may keep a tile without asking again: images come any time."""
    max_progenitors: int = Field(default=10_000, ge=1)
    """Images that are named behind a tile or a point."""

    @field_validator("selections")
    @classmethod
    def _named(cls, value: dict[str, str]) -> dict[str, str]:
        for name, condition in value.items():
            if not _NAME.fullmatch(name) or name in {"list", "."}:
                raise ValueError(
                    f"'{name}' cannot name a live HiPS; it takes letters, digits, dots, hyphens and"
                    " underscores"
                )
            if not condition.strip():
                raise ValueError(f"'{name}' needs a condition, such as \"t_exptime > 300\"")
        return value
