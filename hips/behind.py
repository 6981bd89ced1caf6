"""Which images are behind a tile or a point of a HiPS, and how that is told."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from hips.names import BUILD_FOLDER
from vodal.errors import UsageError
from vodal.links import Link
from vodal.params import Params
from vodal.products import Product
from vodal.regions import Point
from vodal.sphere import contains

__all__ = ["IMAGES_FILE", "Behind", "LinksWriter", "Place", "dids_behind", "parse_place", "told"]

IMAGES_FILE: Final = Path(BUILD_FOLDER) / "images.db"
"""Of a built HiPS's folder: its images and the tiles that they reach."""

_LINKS_TYPE: Final = "application/x-votable+xml;content=datalink"
_MAX_ORDER: Final = 29

LinksWriter = Callable[[Sequence[Link], bool], tuple[str, bytes]]
"""Gives media type and document of links, which may be not all there are."""


@dataclass(frozen=True, slots=True)
class Place:
    """A tile, or a point."""

    order: int | None = None
    npix: int | None = None
    point: Point | None = None


@dataclass(frozen=True, slots=True)
class Behind:
    """What was found."""

    products: list[Product]
    overflow: bool
    """Whether there are more."""

    @classmethod
    def of(cls, products: Sequence[Product], place: Place, limit: int) -> Behind:
        """Keep those of the point, and not too many."""
        kept = [
            one
            for one in products
            if place.point is None or one.region is None or contains(one.region, place.point)
        ]
        return cls(kept[:limit], len(kept) > limit)


def parse_place(params: Params) -> Place:
    """Read ``ORDER`` and ``NPIX`` of a tile, or ``RA`` and ``DEC`` of a point (ICRS degrees).

    Raises
    ------
    UsageError
        If neither is there as a whole, or a value is none.
    """
    ra, dec = params.one("RA"), params.one("DEC")
    order, npix = params.integer("ORDER"), params.integer("NPIX")
    if ra is not None and dec is not None and order is None and npix is None:
        return Place(point=Point(_degrees("RA", ra), _degrees("DEC", dec)))
    if order is None or npix is None or ra is not None or dec is not None:
        raise UsageError(
            "ORDER and NPIX name a tile, RA and DEC (ICRS degrees) a point; one of both is needed"
        )
    if order > _MAX_ORDER:
        raise UsageError(f"ORDER takes 0 to {_MAX_ORDER}, not {order}")
    if npix >= 12 << 2 * order:
        raise UsageError(f"NPIX takes 0 to {(12 << 2 * order) - 1} at order {order}, not {npix}")
    return Place(order, npix)


def _degrees(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{name} takes a number of degrees, not '{text[:40]}'") from None


def dids_behind(folder: Path, order: int, npix: int, limit: int) -> list[str]:
    """Give the identifiers of the images behind a tile of a built HiPS, in order.

    Parameters
    ----------
    folder
        Of the HiPS.
    order, npix
        The tile, of any order; deeper than the deepest, the tile it lies in counts.
    limit
        How many at most.
    """
    path = folder / IMAGES_FILE
    if not path.is_file():
        return []
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
        (deepest,) = db.execute("SELECT max(tile_order) FROM image").fetchone()
        if deepest is None:
            return []
        levels = 2 * (deepest - order)
        low, high = (
            (npix << levels, (npix + 1 << levels) - 1)
            if levels >= 0
            else (npix >> -levels, npix >> -levels)
        )
        rows = db.execute(
            "SELECT DISTINCT did FROM tile JOIN image ON image.id = tile.image "
            "WHERE npix BETWEEN ? AND ? AND lost IS NULL ORDER BY did LIMIT ?",
            (low, high, limit),
        )
        return [did for (did,) in rows]


def told(
    found: Behind, name: str, place: Place, base_url: str, write_links: LinksWriter | None
) -> tuple[str, bytes]:
    """Give media type and document: JSON, or DataLink by what writes it."""
    about = {"hips": name} | (
        {"order": place.order, "npix": place.npix}
        if place.point is None
        else {"ra": place.point.ra_deg, "dec": place.point.dec_deg}
    )
    if write_links is not None:
        links = [
            Link(
                did=one.did,
                semantics="#progenitor",
                access_url=_links_url(one, base_url),
                description=f"{one.file_name}, an image behind this part of the HiPS {name}",
                content_type=_LINKS_TYPE,
            )
            for one in found.products
        ]
        return write_links(links, found.overflow)
    images = [
        {
            "obs_publisher_did": one.did,
            "obs_collection": one.collection,
            "file_name": one.file_name,
            "access_url": _links_url(one, base_url),
            **{
                column: one.obscore[column]
                for column in ("filter", "t_min", "t_max", "t_exptime")
                if one.obscore.get(column) is not None
            },
        }
        for one in found.products
    ]
    document = {**about, "overflow": found.overflow, "images": images}
    return "application/json", json.dumps(document, ensure_ascii=False).encode()


def _links_url(product: Product, base_url: str) -> str:
    return f"{base_url}/datalink/links?ID={quote(product.did, safe='')}"
