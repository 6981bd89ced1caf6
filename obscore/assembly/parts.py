"""Which HDUs of a file hold the products that a source tells of it."""

from __future__ import annotations

from collections.abc import Sequence

from obscore.sources.base import Part
from vodal.errors import DataError
from vodal.fits.index import FileIndex
from vodal.fits.planes import PlaneGroup

__all__ = ["named_group", "part_of"]

_NOTHING = Part()


def named_group(name: str, groups: Sequence[PlaneGroup], index: FileIndex) -> PlaneGroup:
    """Find the product that an HDU of a name or number belongs to.

    Parameters
    ----------
    name
        EXTNAME or ``EXTNAME,EXTVER``, in any case, or the HDU's number (0 is the primary).
    groups
        The products of the file.
    index
        Of the file.

    Raises
    ------
    DataError
        If no product has such an HDU, or several have one.
    """
    wanted = name.strip().upper()
    fitting = [group for group in groups if group.label.upper() == wanted]
    for names in (_names, _numbers):
        fitting = fitting or [
            group for group in groups if any(wanted in names(index, hdu) for hdu in group.hdus)
        ]
    if not fitting:
        raise DataError(f"the file has no image in an HDU '{name[:80]}'")
    if len(fitting) > 1:
        raise DataError(
            f"the file has several images in HDUs '{name[:80]}'; name one as EXTNAME,EXTVER"
        )
    return fitting[0]


def _names(index: FileIndex, number: int) -> set[str]:
    hdu = index.hdus[number]
    name = hdu.name.strip().upper()
    return {name, f"{name},{hdu.extver}"} if name else set()


def _numbers(_: FileIndex, number: int) -> set[str]:
    return {str(number)}


def part_of(group: PlaneGroup, parts: Sequence[Part], index: FileIndex) -> Part:
    """Give what a source tells of a product; what it tells of no HDU in particular holds for all.

    Raises
    ------
    DataError
        If a name fits several products.
    """
    for part in parts:
        if part.hdu and _is_in(group, part.hdu, index):
            return part
    return next((part for part in parts if not part.hdu), _NOTHING)


def _is_in(group: PlaneGroup, name: str, index: FileIndex) -> bool:
    try:
        return named_group(name, (group,), index) is group
    except DataError:
        return False
