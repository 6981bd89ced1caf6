"""Rows of the planes that belong to an image in the same file: mask, variance, weight, PSF."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from threading import Lock
from typing import Final

from typing_extensions import override

from datalink.form import hdu_label
from datalink.makers.file import file_url
from vodal.errors import SkylaneError
from vodal.fits.index import FileIndex, HduIndex
from vodal.fits.planes import plane_role
from vodal.links import Asked, BatchLinkMaker, Link
from vodal.products import Product, Resolver

__all__ = ["PlaneLinkMaker"]

_SEMANTICS: Final = {"weight": "#weight", "error": "#error", "variance": "#error"}
"""Terms that are narrower than ``#auxiliary``."""

_SAID: Final = {
    "mask": "Mask",
    "variance": "Variance",
    "error": "Standard deviation",
    "quality": "Quality flags",
    "weight": "Weight",
    "psf": "Point spread function",
    "image": "Image",
    "other": "Plane",
}

_PSF: Final = ("PSF", "PSFEX", "PSF_DATA", "DET_PSF", "PSFMODEL")

_KEPT: Final = 20_000
"""Products whose planes are remembered: some hundred bytes each."""

_MOST: Final = 30
"""Rows of a product."""

_Plane = tuple[int, str, str]
"""Number of the HDU, its label and its role."""


class PlaneLinkMaker(BatchLinkMaker):
    """Makes rows that lead to single HDUs of files. Safe to call from several threads.

    What the byte index of a file says of a product's planes is remembered. A product whose file
    was not opened yet has no such rows.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], tuple[_Plane, ...]] = OrderedDict()
        self._lock = Lock()

    @override
    def links_of(self, asked: Asked) -> Mapping[str, Sequence[Link]]:
        return {
            one.did: [
                _row(one, plane, asked.base_url) for plane in self._planes(one, asked.resolver)
            ]
            for one in asked.products
            if one.hdus
        }

    def _planes(self, product: Product, resolver: Resolver) -> tuple[_Plane, ...]:
        key = product.did, product.version
        with self._lock:
            known = self._known.get(key)
            if known is not None:
                self._known.move_to_end(key)
                return known
        try:
            found = tuple(_found(product, resolver.index(product)))
        except SkylaneError:
            # Replaced at this moment; the next answer has them.
            return ()
        with self._lock:
            self._known[key] = found
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return found


def _found(product: Product, index: FileIndex) -> Iterator[_Plane]:
    """Give the planes behind the image, and what tells its point spread function."""
    by_number = {hdu.number: hdu for hdu in index.hdus}
    for number in product.hdus[1:][:_MOST]:
        if number in by_number:
            hdu = by_number[number]
            yield number, hdu_label(hdu), plane_role(hdu) or "other"
    image = by_number.get(product.hdus[0]) if product.hdus else None
    for hdu in index.hdus:
        # Of several images of a file, that of the same EXTVER.
        if image is None or hdu.extver != image.extver or hdu.number in product.hdus:
            continue
        if _is_psf(hdu):
            yield hdu.number, hdu_label(hdu), "psf"


def _is_psf(hdu: HduIndex) -> bool:
    return hdu.name in _PSF and hdu.kind != "empty"


def _row(product: Product, plane: _Plane, base_url: str) -> Link:
    number, label, role = plane
    return Link(
        did=product.did,
        semantics=_SEMANTICS.get(role, "#auxiliary"),
        access_url=f"{file_url(product, base_url)}?HDU={number}",
        description=f"{_SAID[role]} of the image (HDU {label})",
        content_type="application/fits" if role == "psf" else "image/fits",
        local_semantics=role,
        link_auth="false",
        link_authorized=True,
        label=label,
    )
