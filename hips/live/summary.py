"""What clients know of a live HiPS: properties, MOC and page, from the catalogue's rows."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

import cdshealpix.nested as healpix
import numpy as np
from astropy.coordinates import Latitude, Longitude
from numpy.typing import NDArray

from hips.coverage import main_part, moc_file
from hips.frames import Frame, from_icrs
from hips.keywords import BandValues, Survey
from hips.live.images import KnownRecipe
from hips.live.selection import Selection, Selections, changes
from hips.names import TILE_WIDTH, pixel_size_arcsec, tile_count
from hips.properties import Provenance, provenance_of
from hips.settings import HipsSettings
from hips.view import View
from vodal.products import Product
from vodal.regions import Polygon, Region
from vodal.sphere import bounding_cap
from vodal.vectors import Vector
from vodal.web.threads import in_thread

__all__ = ["Summaries", "Summary", "describe", "live_survey"]

_TOP: Final = 3
"""Order of the tiles of the Allsky picture; the deepest order is no less."""
_MOC_ORDER: Final = 11
_MOC_ORDER_OF_MANY: Final = 8
_MANY: Final = 20_000
"""Images from which on the MOC is coarser."""
_REST: Final = 10.0
"""A summary is used for so many times the time that it took; a second at least."""
_KEPT: Final = 256


@dataclass(frozen=True, slots=True)
class Summary:
    """What the rows of a selection tell together."""

    count: int
    """Images that have a place on the sky."""
    moc: bytes
    """As FITS."""
    sky_fraction: float
    top: tuple[int, ...]
    """Numbers of the tiles of order 3 that they reach."""
    view: View
    began: datetime
    """When the first file was written."""
    changed: datetime
    """When the last file was written."""
    provenance: Provenance


class Summaries:
    """Sums selections up, not too often. Safe to call from several threads.

    Parameters
    ----------
    selections
        Where images come from.
    frame
        Of the cells.
    """

    def __init__(self, selections: Selections, frame: Frame) -> None:
        self._selections, self._frame = selections, frame
        self._known: OrderedDict[tuple[Selection, int], tuple[float, Summary | None]] = (
            OrderedDict()
        )

    async def of(self, selection: Selection, order: int) -> Summary | None:
        """Give the summary of a selection; None if it has no image with a place on the sky.

        Parameters
        ----------
        selection
            Which images.
        order
            Of the deepest tiles.
        """
        key = selection, order
        until, known = self._known.get(key, (0.0, None))
        if time.monotonic() < until:
            return known
        began = time.monotonic()
        known = await in_thread(partial(self._sum, selection, order))
        took = time.monotonic() - began
        self._known[key] = time.monotonic() + max(1.0, _REST * took), known
        if len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return known

    def _sum(self, selection: Selection, order: int) -> Summary | None:
        products = [one for one in self._selections.products(selection) if one.region]
        if not products:
            return None
        depth = min(order, _MOC_ORDER if len(products) < _MANY else _MOC_ORDER_OF_MANY)
        frame = self._frame
        cells = _cells(products, depth, frame)
        began, changed = changes(products)
        return Summary(
            len(products), moc_file(depth, cells.tolist(), frame), cells.size / tile_count(depth),
            tuple(np.unique(cells >> np.uint64(2 * (depth - _TOP))).tolist()),
            _view(products, cells, depth, order, frame), began, changed, provenance_of(products),
        )  # fmt: skip


def _cells(products: Sequence[Product], depth: int, frame: Frame) -> NDArray[np.uint64]:
    """Give the cells of a frame that footprints meet, perhaps a few more."""
    found: set[int] = set()
    for product in products:
        if product.region is not None:
            found.update(_cells_of(product.region, depth, frame).tolist())
    return np.array(sorted(found), np.uint64)


def _cells_of(region: Region, depth: int, frame: Frame) -> NDArray[np.uint64]:
    xyz, radius_deg = bounding_cap(region)
    if isinstance(region, Polygon) and radius_deg < 80.0:
        # Its sides are great circles in any frame.
        lon, lat = from_icrs(frame, *np.array(region.vertices).T)
        cells = healpix.polygon_search(
            Longitude(lon, "deg"), Latitude(lat, "deg"), depth, flat=True
        )[0]
    else:
        lon, lat = from_icrs(frame, *(np.array([part]) for part in _place(xyz)))
        cells = healpix.cone_search(
            Longitude(lon[0], "deg"),
            Latitude(lat[0], "deg"),
            # Small regions are a point to it.
            Latitude(min(180.0, max(radius_deg, 1e-6)), "deg") if radius_deg <= 90.0
            else Longitude(min(180.0, radius_deg), "deg"),
            depth, flat=True,
        )[0]  # fmt: skip
    return np.asarray(cells, np.uint64)


def _place(xyz: Vector) -> tuple[float, float]:
    x, y, z = (float(part) for part in xyz)
    return math.degrees(math.atan2(y, x)) % 360.0, math.degrees(math.asin(max(-1.0, min(1.0, z))))


def _view(
    products: Sequence[Product], cells: NDArray[np.uint64], depth: int, order: int, frame: Frame
) -> View:
    """Choose a view, on the middle of an image: of all, or of the largest field.

    Parameters
    ----------
    products
        The images.
    cells, depth
        That they cover.
    order
        Of the deepest tiles.
    frame
        Of the cells.
    """
    caps = [bounding_cap(one.region) for one in products if one.region is not None]
    places = [_place(xyz) for xyz, _ in caps]
    directions = np.array([np.asarray(xyz, np.float64) for xyz, _ in caps])
    radii = np.array([radius for _, radius in caps])
    lon, lat = from_icrs(frame, *np.array(places).T)
    within = healpix.lonlat_to_healpix(Longitude(lon, "deg"), Latitude(lat, "deg"), depth)
    shown = np.isin(within.astype(np.uint64), main_part(depth, cells))
    if not shown.any():
        shown[:] = True
    middle = int(np.argmax(np.where(shown, directions @ directions[shown].mean(axis=0), -np.inf)))
    away = np.degrees(np.arccos(np.clip(directions @ directions[middle], -1.0, 1.0)))
    reach = float((away + radii)[shown].max())
    margin = pixel_size_arcsec(order) * TILE_WIDTH / 3600.0
    return View(*places[middle], min(2.0 * reach + 0.2 * margin, 60.0))


def live_survey(
    selection: Selection, summary: Summary, settings: HipsSettings, creator_did: str,
    recipe: KnownRecipe | None = None,
) -> Survey:  # fmt: skip
    """Say what a live HiPS is; without a recipe no more than goes into a list.

    Parameters
    ----------
    selection, summary
        Its images.
    settings
        Of HiPS.
    creator_did
        IVOID of the HiPS.
    recipe
        How its tiles are made.
    """
    values: dict[str, object] = {}
    if recipe is not None:
        values = BandValues(
            recipe.image_arcsec, recipe.cuts, recipe.data_range, recipe.zero_point_mag,
            summary.provenance.unit,
        ).keywords(settings)  # fmt: skip
    return Survey(
        creator_did=creator_did,
        title=selection.title,
        text=describe(selection, summary),
        collection=", ".join(summary.provenance.collections),
        formats=settings.formats,
        provenance=summary.provenance,
        made=summary.began,
        released=summary.changed,
        order=None if recipe is None else recipe.order,
        clonable=False,
        frame=settings.frame,
        extra={"dataproduct_subtype": "live", **values},
    )


def describe(selection: Selection, summary: Summary) -> str:
    """Say what a live HiPS shows."""
    chosen = f" that meet: {selection.condition}" if selection.condition else ""
    return (
        f"{summary.count} images of {', '.join(summary.provenance.collections)}{chosen};"
        " each tile is made when it is asked for."
    )
