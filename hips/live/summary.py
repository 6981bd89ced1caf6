"""What clients know of a live HiPS: properties, MOC and page, from the catalogue's rows."""

from __future__ import annotations

import io
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

from hips.live.images import KnownRecipe
from hips.live.selection import Selection, Selections, last_change
from hips.names import TILE_WIDTH, pixel_size_arcsec, tile_count
from hips.properties import Provenance, format_properties, minute, provenance_of
from hips.settings import HipsSettings
from hips.view import View
from vodal.products import Product
from vodal.regions import Polygon, Region
from vodal.sphere import bounding_cap
from vodal.web.threads import in_thread

__all__ = ["Summaries", "Summary", "live_properties"]

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
    view: View
    changed: datetime
    """When the last file was written."""
    provenance: Provenance


class Summaries:
    """Sums selections up, not too often. Safe to call from several threads.

    Parameters
    ----------
    selections
        Where images come from.
    """

    def __init__(self, selections: Selections) -> None:
        self._selections = selections
        self._known: OrderedDict[tuple[str, int], tuple[float, Summary | None]] = OrderedDict()

    async def of(self, selection: Selection, order: int) -> Summary | None:
        """Give the summary of a selection; None if it has no image with a place on the sky.

        Parameters
        ----------
        selection
            Which images.
        order
            Of the deepest tiles.
        """
        key = selection.name, order
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
        cells = _cells(products, depth)
        return Summary(
            len(products), _moc(cells, depth), cells.size / tile_count(depth),
            _view(products, order), last_change(products), provenance_of(products),
        )  # fmt: skip


def _cells(products: Sequence[Product], depth: int) -> NDArray[np.uint64]:
    """Give the cells that footprints meet, perhaps a few more."""
    found: set[int] = set()
    for product in products:
        if product.region is not None:
            found.update(_cells_of(product.region, depth).tolist())
    return np.array(sorted(found), np.uint64)


def _cells_of(region: Region, depth: int) -> NDArray[np.uint64]:
    xyz, radius_deg = bounding_cap(region)
    if isinstance(region, Polygon) and radius_deg < 80.0:
        ra, dec = np.array(region.vertices).T
        cells = healpix.polygon_search(
            Longitude(ra, "deg"), Latitude(dec, "deg"), depth, flat=True
        )[0]
    else:
        x, y, z = (float(part) for part in xyz)
        cells = healpix.cone_search(
            Longitude(math.degrees(math.atan2(y, x)), "deg"),
            Latitude(math.degrees(math.asin(max(-1.0, min(1.0, z)))), "deg"),
            # Small regions are a point to it.
            Latitude(min(180.0, max(radius_deg, 1e-6)), "deg") if radius_deg <= 90.0
            else Longitude(min(180.0, radius_deg), "deg"),
            depth, flat=True,
        )[0]  # fmt: skip
    return np.asarray(cells, np.uint64)


def _moc(cells: NDArray[np.uint64], depth: int) -> bytes:
    from mocpy import MOC  # noqa: PLC0415 - only where one is asked for

    moc = MOC.from_healpix_cells(cells, np.full(cells.shape, depth, np.uint8), depth)
    out = io.BytesIO()
    moc.serialize(format="fits").writeto(out)
    return out.getvalue()


def _view(products: Sequence[Product], order: int) -> View:
    """Choose a view of the images: all of them, or the surroundings of the middle one."""
    caps = [bounding_cap(one.region) for one in products if one.region is not None]
    directions = np.array([np.asarray(xyz, np.float64) for xyz, _ in caps])
    nearest = directions[int(np.argmax(directions @ directions.mean(axis=0)))]
    away = np.degrees(np.arccos(np.clip(directions @ nearest, -1.0, 1.0)))
    reach = float((away + np.array([radius for _, radius in caps])).max())
    margin = pixel_size_arcsec(order) * TILE_WIDTH / 3600.0
    return View(
        math.degrees(math.atan2(nearest[1], nearest[0])) % 360.0,
        math.degrees(math.asin(max(-1.0, min(1.0, float(nearest[2]))))),
        min(2.0 * reach + 0.2 * margin, 60.0),
    )


def live_properties(
    selection: Selection, recipe: KnownRecipe, summary: Summary, settings: HipsSettings,
    creator_did: str,
) -> str:  # fmt: skip
    """Write the properties (HiPS 1.0 section 4.4)."""
    view = summary.view
    return format_properties(
        {
            "creator_did": creator_did,
            "hips_creator": settings.creator,
            "obs_title": selection.title,
            "obs_collection": ", ".join(summary.provenance.collections),
            "obs_description": describe(selection, summary),
            "obs_copyright": settings.copyright,
            **summary.provenance.keywords(),
            "dataproduct_type": "image",
            "hips_version": "1.4",
            "hips_builder": "Skylane",
            "hips_release_date": minute(summary.changed),
            "hips_status": f"{settings.status} master unclonable",
            "hips_tile_format": "png fits",
            "hips_order": recipe.order,
            "hips_order_min": 0,
            "hips_tile_width": TILE_WIDTH,
            "hips_frame": "equatorial",
            "hips_pixel_scale": f"{pixel_size_arcsec(recipe.order) / 3600.0:.6g}",
            "hips_pixel_bitpix": -32,
            "data_pixel_bitpix": -32,
            "hips_pixel_cut": f"{recipe.cuts[0]:.6g} {recipe.cuts[1]:.6g}",
            "hips_sampling": settings.kernel,
            "hips_overlay": "mean",
            "hips_hierarchy": "mean",
            "s_pixel_scale": f"{recipe.image_arcsec / 3600.0:.6g}",
            "hips_initial_ra": f"{view.ra_deg:.6f}",
            "hips_initial_dec": f"{view.dec_deg:.6f}",
            "hips_initial_fov": f"{view.fov_deg:.6g}",
            "moc_sky_fraction": f"{summary.sky_fraction:.6g}",
        }
    )


def describe(selection: Selection, summary: Summary) -> str:
    """Say what a live HiPS shows."""
    chosen = f" that meet: {selection.condition}" if selection.condition else ""
    return (
        f"{summary.count} images of {', '.join(summary.provenance.collections)}{chosen};"
        " each tile is made when it is asked for."
    )
