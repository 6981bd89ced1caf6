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
from vodal.convex import clearly_holds
from vodal.links import Asked, BatchLinkMaker, Link
from vodal.products import Catalogue, Near, Neighbour, Product
from vodal.regions import Point, Polygon
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

_Row = Mapping[str, object]
"""Of ObsCore: of a product, which may lack columns, or the `NEIGHBOUR_COLUMNS` of another."""


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
        own = product.obscore
        fitting = [one for one in found if one.did != product.did and self._fits(own, one.obscore)]
        if self.rule.overlap == "most" or self.rule.one_per_band:
            away = _distances_deg(own, [one.obscore for one in fitting])
            pairs = list(zip(away, fitting, strict=True))
            if self.rule.overlap == "most":
                pairs = [pair for pair in pairs if _are_centred(own, pair[1].obscore, pair[0])]
            if self.rule.one_per_band:
                return self._of_each_band(product, pairs)
            fitting = [one for _, one in pairs]
        met = (one for one in sorted(fitting, key=_by_time) if self._meets(product, one))
        return list(islice(met, self.rule.limit))

    def _of_each_band(
        self, product: Product, pairs: Sequence[tuple[float, Neighbour]]
    ) -> list[Neighbour]:
        """Choose that of each band which goes with a product best; given with distances."""
        own = product.obscore
        bands: dict[object, Neighbour] = {}
        for _, one in sorted(pairs, key=lambda pair: _nearness(own, pair[1], pair[0])):
            band = one.obscore["filter"]
            if band not in bands and self._meets(product, one):
                bands[band] = one
        return sorted(bands.values(), key=_by_wavelength)[: self.rule.limit]

    def _fits(self, own: _Row, other: _Row) -> bool:
        if own.get("dataproduct_type") != other["dataproduct_type"]:
            return False
        for name in self.rule.same:
            if own.get(name) is None or own[name] != other[name]:
                return False
        if not self.rule.within_times:
            return True
        return _within_times(own, other) if self.reverse else _within_times(other, own)

    def _meets(self, product: Product, other: Neighbour) -> bool:
        """Look at the footprints, which costs more than all before."""
        theirs = other.region
        if product.region is None or theirs is None:
            return False
        if self.rule.overlap == "any":
            return intersects(product.region, theirs)
        centre = _centre(product.obscore)
        if centre is None:
            return False
        if isinstance(theirs, Polygon) and clearly_holds(theirs, centre.ra_deg, centre.dec_deg):
            return True
        return contains(theirs, centre)


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


def _centre(row: _Row) -> Point | None:
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


def _distances_deg(own: _Row, others: Sequence[_Row]) -> list[float]:
    """Give how far the centres of others are away, in degrees; infinite where one is not known."""
    ra, dec = own.get("s_ra"), own.get("s_dec")
    if not isinstance(ra, float) or not isinstance(dec, float):
        return [math.inf] * len(others)
    ra, dec = math.radians(ra), math.radians(dec)
    cosine = math.cos(dec)
    away = []
    for other in others:
        there_ra, there_dec = other["s_ra"], other["s_dec"]
        if not isinstance(there_ra, float) or not isinstance(there_dec, float):
            away.append(math.inf)
            continue
        there = math.radians(there_dec)
        up = math.sin((dec - there) / 2.0)
        across = math.sin((ra - math.radians(there_ra)) / 2.0)
        square = up * up + cosine * math.cos(there) * across * across
        away.append(math.degrees(2.0 * math.asin(min(1.0, math.sqrt(square)))))
    return away


def _are_centred(own: _Row, other: _Row, away_deg: float) -> bool:
    one, two = own.get("s_fov"), other["s_fov"]
    return (
        isinstance(one, float) and isinstance(two, float) and away_deg <= _CENTRED * min(one, two)
    )


def _number(row: _Row, name: str) -> float:
    value = row.get(name)
    return float(value) if isinstance(value, int | float) else math.inf


def _nearness(own: _Row, other: Neighbour, away_deg: float) -> tuple[bool, float, float, str]:
    """Order the images of a band: of the same level, near in place, then in time."""
    row = other.obscore
    fields = away_deg / _number(row, "s_fov")
    later = abs(_number(own, "t_min") - _number(row, "t_min"))
    return (
        own.get("calib_level") != row["calib_level"],
        round(8.0 * fields) if math.isfinite(fields) else math.inf,
        math.inf if math.isnan(later) else later,
        other.did,
    )


def _by_wavelength(one: Neighbour) -> tuple[float, str, str]:
    return _number(one.obscore, "em_min"), str(one.obscore["filter"]), one.did


def _by_time(one: Neighbour) -> tuple[float, str]:
    return _number(one.obscore, "t_min"), one.did


def _within_times(inner: _Row, outer: _Row) -> bool:
    """Tell whether something was observed within the times of something else."""
    ends = [_number(row, name) for row in (outer, inner) for name in ("t_min", "t_max")]
    if not all(map(math.isfinite, ends)):
        return False
    low, high, begun, ended = ends
    return low <= begun and ended <= high
