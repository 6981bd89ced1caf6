"""Links from a product to the HiPS that show it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from typing_extensions import override

from hips.color_bands import colors_of
from hips.color_settings import ColorSettings
from hips.properties import parse_properties
from hips.publish import band_of, hips_name
from vodal.errors import DataError
from vodal.links import Link, LinkMaker
from vodal.products import Product

__all__ = ["HipsLinks"]

_SEMANTICS: Final = "#derivation"
"""DataLink core: data derived from ``#this``; a HiPS is that, and the link opens it in a page."""


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
        """Give the rows: of the band (or the whole), and in colour."""
        names = dict.fromkeys(
            (
                hips_name(product.collection, band_of(product)),
                hips_name(product.collection),
                *colors_of(product.collection, self._colors),
            )
        )
        for name in names:
            try:
                text = (self._root / name / "properties").read_text("utf-8")
                title = parse_properties(text).get("obs_title", name)
            except (OSError, UnicodeDecodeError, DataError):
                continue
            yield Link(
                did=product.did,
                semantics=_SEMANTICS,
                access_url=f"{base_url}/hips/{name}/",
                description=f"HiPS '{title}' that this image is part of",
                content_type="text/html",
            )
