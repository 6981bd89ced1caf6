"""Links from a product to the HiPS that show it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from typing_extensions import override

from hips.color.bands import colors_of
from hips.color.settings import ColorSettings
from hips.live.images import number_of
from hips.properties import parse_properties
from hips.publish import PLANE, band_of, hips_name
from vodal.errors import DataError
from vodal.links import Link, LinkMaker
from vodal.products import Product

__all__ = ["HipsLinks"]

_SEMANTICS: Final = "#derivation"
"""DataLink core: data derived from ``#this``; a HiPS is that, and the link opens it in a page."""

_MOST: Final = 100
"""Planes of cubes that are named."""


class HipsLinks(LinkMaker):
    """Makes a row for each HiPS of a product's band or collection.

    Parameters
    ----------
    root
        Holds one folder a HiPS; looked at anew for each product.
    colors
        The HiPS in colour that are set, by name.
    """

    def __init__(self, root: Path, colors: Mapping[str, ColorSettings]) -> None:
        self._root, self._colors = root, colors

    @override
    def links(self, product: Product, base_url: str) -> Iterator[Link]:
        """Give the rows: of the band (or the whole), and in colour; of a cube, of its planes."""
        whole = (hips_name(product.collection, band_of(product)), hips_name(product.collection))
        is_cube = product.obscore.get("dataproduct_type") == "cube"
        names = (
            (name for base in whole for name in self._planes(base))
            if is_cube
            else (*whole, *colors_of(product.collection, self._colors))
        )
        for name in dict.fromkeys(names):
            try:
                values = parse_properties((self._root / name / "properties").read_text("utf-8"))
            except (OSError, UnicodeDecodeError, DataError):
                continue
            if is_cube and not _meets(values, product):
                continue
            yield Link(
                did=product.did,
                semantics=_SEMANTICS,
                access_url=f"{base_url}/hips/{name}/",
                description=f"HiPS '{values.get('obs_title', name)}' that this image is part of",
                content_type="text/html",
            )

    def _planes(self, base: str) -> list[str]:
        """Give the names of the HiPS of planes of cubes, not too many."""
        found = (path.name for path in self._root.glob(f"{base}-*"))
        return sorted(name for name in found if PLANE.fullmatch(name[len(base) :]))[:_MOST]


def _meets(values: Mapping[str, str], product: Product) -> bool:
    """Tell whether a HiPS is of wavelengths that a cube has, as far as both are known."""
    low, high = number_of(product, "em_min"), number_of(product, "em_max")
    try:
        return (high is None or float(values["em_min"]) < high) and (
            low is None or float(values["em_max"]) > low
        )
    except (KeyError, ValueError):
        return True
