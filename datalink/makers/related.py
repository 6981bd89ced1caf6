"""Rows that lead to other products of the catalogue which lie at the same place.

Of images: the same field in other bands (``#counterpart``), and what a site's rules relate, such
as exposures and what was coadded of them. Many products are looked for together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Self

from typing_extensions import override

from datalink.makers.file import GRID, band_of, is_picture
from datalink.makers.rules import RelatedRule
from vodal.links import Asked, BatchLinkMaker, Link
from vodal.products import Catalogue, Near, Neighbour, Product, neighbour_of
from vodal.regions import Point
from vodal.sphere import contains, intersects

__all__ = ["RelatedLinkMaker", "Relation", "counterparts"]


def counterparts(limit: int) -> RelatedRule:
    """Give the rule of images of the same field in other bands, one of each."""
    return RelatedRule(
        semantics="#counterpart", overlap="most", band="other", one_per_band=True, limit=limit
    )


_LOOKED_AT: Final = 400
"""Products of one place among which is chosen; of more it is any of them."""

_CENTRED: Final = 0.35
"""Of the smaller field of view: centres that are nearer show most of the same field. Of two squares
whose diagonals are the fields of view, at least half is common then."""

_FINENESS: Final = 16.0
"""Places are brought to a grid of a field of view by this, so that products of one field, of which
there may be thousands, share one search."""


@dataclass(frozen=True, slots=True)
class Relation:
    """What is looked for, in one direction."""

    rule: RelatedRule
    semantics: str
    collections: tuple[str, ...]
    """Whose products have such rows; all if empty."""
    to: str | None
    """Collection of the others; the product's own by default."""
    reverse: bool = False
    """Whether the rule is read from its end."""

    @classmethod
    def of(cls, rule: RelatedRule) -> tuple[Self, ...]:
        """Give the directions of a rule, one or two."""
        there = cls(rule, rule.semantics, rule.collections, rule.to)
        if rule.inverse is None or rule.to is None:
            return (there,)
        back = (cls(rule, rule.inverse, (rule.to,), one, reverse=True) for one in rule.collections)
        return (there, *back)

    def near(self, product: Product) -> Near | None:
        """Give what is looked for, for a product; None if it has no such rows."""
        if self.collections and product.collection not in self.collections:
            return None
        shape = _place(product) if self.rule.overlap == "most" else product.region
        band = band_of(product)
        if shape is None or not is_picture(product) or (band is None and self.rule.band != "any"):
            return None
        return Near(
            shape,
            self.to or product.collection,
            band if self.rule.band == "same" else None,
            band if self.rule.band == "other" else None,
        )

    def chosen(self, product: Product, found: Sequence[Neighbour]) -> list[Neighbour]:
        """Choose among neighbours, and put them in order."""
        own = neighbour_of(product)
        fitting = [one for one in found if one.did != product.did and self._fits(own, one)]
        if self.rule.one_per_band:
            nearest = sorted(fitting, key=lambda one: _nearness(own, one))
            bands: dict[object, Neighbour] = {}
            for one in nearest:
                band = one.obscore["filter"]
                if band not in bands and self._meets(product, one):
                    bands[band] = one
            return sorted(bands.values(), key=_by_wavelength)[: self.rule.limit]
        ordered = sorted(fitting, key=_by_time)
        met = (one for one in ordered if self._meets(product, one))
        return list(islice(met, self.rule.limit))

    def _fits(self, own: Neighbour, other: Neighbour) -> bool:
        a, b = own.obscore, other.obscore
        if a["dataproduct_type"] != b["dataproduct_type"]:
            return False
        if any(a[name] is None or a[name] != b[name] for name in self.rule.same):
            return False
        if self.rule.within_times and not _within_times(*((b, a) if not self.reverse else (a, b))):
            return False
        return self.rule.overlap != "most" or _are_centred(a, b)

    def _meets(self, product: Product, other: Neighbour) -> bool:
        """Look at the footprints, which costs more than all before."""
        theirs = other.region
        if product.region is None or theirs is None:
            return False
        if self.rule.overlap == "any":
            return intersects(product.region, theirs)
        centre = _centre(product.obscore)
        return centre is not None and contains(theirs, centre)


class RelatedLinkMaker(BatchLinkMaker):
    """Makes rows of related products. Safe to call from several threads.

    Parameters
    ----------
    catalogue
        Of all products.
    rules
        What is related; their rows come in this order.
    """

    def __init__(self, catalogue: Catalogue, rules: Sequence[RelatedRule]) -> None:
        self._catalogue = catalogue
        self._relations = [one for rule in rules for one in Relation.of(rule)]

    @override
    def links_of(self, asked: Asked) -> Mapping[str, Sequence[Link]]:
        sought = [
            (product, relation, near)
            for product in asked.products
            for relation in self._relations
            if (near := relation.near(product)) is not None
        ]
        places = list(dict.fromkeys(near for *_, near in sought))
        found = dict(zip(places, self._catalogue.near(places, _LOOKED_AT), strict=True))
        known: dict[Near, list[Neighbour]] = {
            near: [one for one in some if asked.rights.may_know(one)]
            for near, some in found.items()
        }
        made: dict[str, list[Link]] = {}
        for product, relation, near in sought:
            rows = made.setdefault(product.did, [])
            rows += (_row(product, relation, one) for one in relation.chosen(product, known[near]))
        return made


def _row(product: Product, relation: Relation, other: Neighbour) -> Link:
    band, obs_id = other.obscore["filter"], other.obscore["obs_id"]
    counterpart = relation.semantics == "#counterpart"
    what = relation.rule.description or (
        "The same field in another band" if counterpart else f"Of {other.collection}"
    )
    told = f"{obs_id} in {band}" if band else f"{obs_id}"
    return Link(
        did=product.did,
        semantics=relation.semantics,
        leads_to=other.did,
        description=f"{what}: {told}",
        local_semantics=GRID if counterpart else None,
    )


def _centre(row: Mapping[str, object]) -> Point | None:
    ra, dec = row.get("s_ra"), row.get("s_dec")
    return Point(ra, dec) if isinstance(ra, float) and isinstance(dec, float) else None


def _place(product: Product) -> Point | None:
    """Give the place of a grid that is next to the centre of a product."""
    centre, fov = _centre(product.obscore), product.obscore.get("s_fov")
    if centre is None or not isinstance(fov, float) or not 0.0 < fov <= 90.0:
        return None
    step = 2.0 ** math.floor(math.log2(fov / _FINENESS))
    dec = max(-90.0, min(90.0, round(centre.dec_deg / step) * step))
    across = max(1, round(360.0 * math.cos(math.radians(dec)) / step))
    ra = round(centre.ra_deg * across / 360.0) % across * 360.0 / across
    return Point(ra, dec)


def _distance_deg(a: Mapping[str, object], b: Mapping[str, object]) -> float:
    one, other = _centre(a), _centre(b)
    if one is None or other is None:
        return math.inf
    sine = math.sin(math.radians(one.dec_deg - other.dec_deg) / 2.0)
    across = math.sin(math.radians(one.ra_deg - other.ra_deg) / 2.0)
    cosines = math.cos(math.radians(one.dec_deg)) * math.cos(math.radians(other.dec_deg))
    return math.degrees(2.0 * math.asin(min(1.0, math.sqrt(sine**2 + cosines * across**2))))


def _are_centred(a: Mapping[str, object], b: Mapping[str, object]) -> bool:
    sizes = [size for row in (a, b) if isinstance(size := row["s_fov"], float)]
    return len(sizes) == 2 and _distance_deg(a, b) <= _CENTRED * min(sizes)


def _number(row: Mapping[str, object], name: str) -> float:
    value = row[name]
    return float(value) if isinstance(value, int | float) else math.inf


def _nearness(own: Neighbour, other: Neighbour) -> tuple[float, float, float, str]:
    """Order the images of a band: of the same level, near in place, then in time."""
    a, b = own.obscore, other.obscore
    apart = _distance_deg(a, b) / _number(b, "s_fov")
    later = abs(_number(a, "t_min") - _number(b, "t_min"))
    return (
        float(a["calib_level"] != b["calib_level"]),
        round(8.0 * apart),
        math.inf if math.isnan(later) else later,
        other.did,
    )


def _by_wavelength(one: Neighbour) -> tuple[float, str, str]:
    return _number(one.obscore, "em_min"), str(one.obscore["filter"]), one.did


def _by_time(one: Neighbour) -> tuple[float, str]:
    return _number(one.obscore, "t_min"), one.did


def _within_times(inner: Mapping[str, object], outer: Mapping[str, object]) -> bool:
    """Tell whether something was observed within the times of something else."""
    ends = [_number(row, name) for row in (outer, inner) for name in ("t_min", "t_max")]
    if not all(map(math.isfinite, ends)):
        return False
    low, high, begun, ended = ends
    return low <= begun and ended <= high
