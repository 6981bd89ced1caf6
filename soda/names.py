"""The names that cutouts are saved under."""

from __future__ import annotations

import re

from vodal.products import Product
from vodal.regions import Circle, Polygon, Range, Region

__all__ = ["file_name", "stitched_name"]


def _centre(stencil: Region | None) -> str:
    """Give a place to name a file by."""
    match stencil:
        case Circle(ra, dec, _):
            return f"_{ra:.5f}{dec:+.5f}"
        case Polygon(vertices):
            ra, dec = vertices[0]
            return f"_{ra:.5f}{dec:+.5f}"
        case Range(ra_min, _, dec_min, _):
            return f"_{ra_min:.5f}{dec_min:+.5f}"
        case None:
            return ""


def stitched_name(collection: str | None, stencil: Region | None, suffix: str) -> str:
    """Make the name that a stitched image is saved under, of plain ASCII characters."""
    name = f"{collection or 'stitched'}{_centre(stencil)}"
    return re.sub(r"[^A-Za-z0-9._+-]", "_", name)[-120:] + suffix


def file_name(product: Product, stencil: Region | None, suffix: str = ".fits") -> str:
    """Make the name that a cutout is saved under, of plain ASCII characters."""
    stem = re.sub(r"(\.(fits?|fts|fz|gz|imz))+$", "", product.file_name, flags=re.IGNORECASE)
    extension = re.search(r":([^:,/?]+),(\d+)$", product.did)
    part = f"_{extension[1]}{extension[2]}" if extension else ""
    name = f"{stem}{part}_cutout{_centre(stencil)}"
    return re.sub(r"[^A-Za-z0-9._+-]", "_", name)[-120:] + suffix
