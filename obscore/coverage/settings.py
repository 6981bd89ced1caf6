"""Settings of coverage maps."""

from __future__ import annotations

from pydantic import Field

from vodal.settings import Settings

__all__ = ["CoverageSettings"]


class CoverageSettings(Settings):
    """Coverage maps of collections (MOC)."""

    order: int | None = Field(None, ge=0, le=18)
    """HEALPix order of the smallest cells, for all footprints alike: cells of 3.4 arcmin at 10, 51
    arcsec at 12. By default that which fits each footprint: its cells are about a quarter of its
    radius, between orders 3 and `max_order`."""
    max_order: int = Field(12, ge=3, le=18)
    """The highest order that is chosen by itself."""
    max_ranges: int = Field(200_000, ge=100)
    """A map of more ranges of cells is given at a lower order: 16 bytes each in FITS."""
    wait_limit_s: float = Field(20.0, gt=0)
    """A request waits so long for a map that is being made for the first time, or after much
    changed; then it is told to come back (status 503). The map is made on meanwhile."""
    cache_bytes: int = Field(1 << 30, ge=0)
    """Room for maps of parts of the catalogue in the site's folder ``cache``."""
