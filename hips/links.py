"""Links from products to the HiPS that show them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from typing_extensions import override

from hips.allowed import Allowed
from hips.color.bands import colors_of
from hips.color.settings import ColorSettings
from hips.live.images import number_of
from hips.publish import PLANE, band_of, hips_name
from hips.shown import ShownHips
from vodal.access.asking import Asking
from vodal.errors import AuthorizationError
from vodal.links import Asked, BatchLinkMaker, Link
from vodal.products import Product

__all__ = ["HipsLinks"]

_SEMANTICS: Final = "#derivation"
"""DataLink core: data derived from ``#this``; a HiPS is that, and the link opens it in a page."""

_LOCAL: Final = "hips"
"""``local_semantics``, by which these rows are told from other derivations."""

_MOST: Final = 100
"""Planes of cubes that are named."""


class HipsLinks(BatchLinkMaker):
    """Makes a row for each HiPS of a product's band or collection that shows it.

    Parameters
    ----------
    shown
        Tells which HiPS show which products.
    colors
        The HiPS in colour that are set, by name.
    allowed
        Tells who may have which HiPS.
    """

    def __init__(
        self,
        shown: ShownHips,
        colors: Mapping[str, ColorSettings],
        allowed: Allowed | None = None,
    ) -> None:
        self._shown, self._colors = shown, colors
        self._allowed = allowed or Allowed()

    @override
    def links_of(self, asked: Asked) -> Mapping[str, Sequence[Link]]:
        """Give the rows: of the band (or the whole), and in colour; of a cube, of its planes."""
        named = {one.did: self._names(one) for one in asked.products}
        candidates: dict[str, list[Product]] = {}
        for one in asked.products:
            for name in named[one.did]:
                candidates.setdefault(name, []).append(one)
        showing = {
            name: self._shown.of(name, some)
            for name, some in candidates.items()
            if self._shown.values(name) is not None
        }
        rows = {name: self._row(name, asked) for name, some in showing.items() if some}
        made: dict[str, list[Link]] = {}
        for did, names in named.items():
            made[did] = [
                row(did)
                for name in names
                if did in showing.get(name, ()) and (row := rows[name]) is not None
            ]
        return made

    def _names(self, product: Product) -> list[str]:
        whole = (hips_name(product.collection, band_of(product)), hips_name(product.collection))
        if product.obscore.get("dataproduct_type") != "cube":
            return [*dict.fromkeys((*whole, *colors_of(product.collection, self._colors)))]
        planes = (name for base in dict.fromkeys(whole) for name in self._planes(base))
        return [
            name
            for name in dict.fromkeys(planes)
            if (values := self._shown.values(name)) is not None and _meets(values, product)
        ]

    def _planes(self, base: str) -> Iterable[str]:
        """Give the names of the HiPS of planes of cubes, not too many."""
        found = self._shown.names(f"{base}-")
        return sorted(name for name in found if PLANE.fullmatch(name[len(base) :]))[:_MOST]

    def _row(self, name: str, asked: Asked) -> Callable[[str], Link] | None:
        """Give what makes a HiPS's row for an identifier; None if who asks may not know of it."""
        values = self._shown.values(name) or {}
        asking = Asking(rights=asked.rights, public=asked.public)
        try:
            if not self._allowed.check(asking, name, values, self._shown.folder(name)):
                return None
            had = True
        except AuthorizationError:
            had = False
        is_open = had and (asking.for_all or asked.public.all_had)
        title = values.get("obs_title", name)
        return partial(
            Link,
            semantics=_SEMANTICS,
            access_url=f"{asked.base_url}/hips/{name}/",
            description=f"HiPS '{title}' that this image is part of",
            content_type="text/html",
            local_semantics=_LOCAL,
            link_auth="false" if is_open else "true",
            link_authorized=had,
        )


def _meets(values: Mapping[str, str], product: Product) -> bool:
    """Tell whether a HiPS is of wavelengths that a cube has, as far as both are known."""
    low, high = number_of(product, "em_min"), number_of(product, "em_max")
    try:
        return (high is None or float(values["em_min"]) < high) and (
            low is None or float(values["em_max"]) > low
        )
    except (KeyError, ValueError):
        return True
