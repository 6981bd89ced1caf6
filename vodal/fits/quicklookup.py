"""Tables of distortions in other HDUs, made of their bytes.

astropy opens the HDUs as a file of their own and parses all cards of each: some 10 ms for the two
pairs of tables that an image of HST has. Tables of the plain kind are read here in a twentieth of
that; `vodal.fits.lookup` and astropy do the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TypeAlias

import numpy as np
from astropy.wcs import DistortionLookupTable

from vodal.fits.index import FileIndex, HduIndex
from vodal.fits.values import HeaderValues
from vodal.storage import RangeReader

__all__ = ["LookupPair", "is_of_lookup", "quick_lookup"]

_CARD = re.compile(r"(CPDIS|CPERR|D2IMDIS|D2IMERR)[12]$|(DP|D2IM)[12](\.|$)|D2IM(EXT|FILE)$")
_OTHER = re.compile(r"C[PQ](DIS|ERR)|D[PQ]\d|D2IM|AXISCORR|PS\d")
_SINGLE = -32
_BYTES = 1 << 26
"""The most that is read of a table here."""

Table: TypeAlias = DistortionLookupTable | None


@dataclass(frozen=True)
class LookupPair:
    """Distortions of both axes by tables, as the attributes of `astropy.wcs.WCS` are called."""

    cpdis1: Table = None
    cpdis2: Table = None
    det2im1: Table = None
    det2im2: Table = None

    def named(self) -> Iterator[tuple[str, Table]]:
        """Give each with its name."""
        for field in fields(self):
            yield field.name, getattr(self, field.name)


def is_of_lookup(keyword: str) -> bool:
    """Tell whether a card is about tables, and none of wcslib's."""
    return _CARD.match(keyword) is not None


def quick_lookup(
    header: HeaderValues, index: FileIndex | None, reader: RangeReader | None
) -> LookupPair | None:
    """Read the tables that a header of two axes refers to.

    Parameters
    ----------
    header
        Of the image.
    index, reader
        The file it is in and a reader in the index's offsets.

    Returns
    -------
    LookupPair or None
        None if there are no tables, or anything about them is for astropy to read or to refuse:
        another kind of distortion, other axes or one alone, scaled values.
    """
    if index is None or reader is None or header.get("NAXIS") != len("xy"):
        return None
    told = [keyword for keyword in header if _OTHER.match(keyword)]
    if not told or not all(map(is_of_lookup, told)):
        return None
    made: dict[str, Table] = {}
    kinds = (("cpdis", "CPDIS", "CPERR", "DP", "WCSDVARR"),
             ("det2im", "D2IMDIS", "D2IMERR", "D2IM", "D2IMARR"))  # fmt: skip
    for name, kind, error, record, extension in kinds:
        both = [header.get(f"{kind}{axis}") for axis in (1, 2)]
        if both == [None, None]:
            continue
        for axis, found in enumerate(both, 1):
            # wcslib takes no table of one axis alone.
            if not _is_plain(header, found, f"{error}{axis}", f"{record}{axis}", axis):
                return None
            version = header.get(f"{record}{axis}.EXTVER", 1)
            table = _table(index, reader, extension, version)
            if table is None:
                return None
            made[f"{name}{axis}"] = table
    return LookupPair(**made) if made else None


def _is_plain(header: HeaderValues, kind: object, error: str, record: str, axis: int) -> bool:
    """Tell whether a table is one that is used, with its axes in the order of the image's."""
    worst = header.get(error, 0.0)
    return (
        isinstance(kind, str)
        and kind.lower() == "lookup"
        and isinstance(worst, (int, float))
        and worst >= 0.0
        and header.get(f"{record}.AXIS.{axis}") == axis
    )


def _table(
    index: FileIndex, reader: RangeReader, extension: str, version: object
) -> DistortionLookupTable | None:
    named = (one for one in index.hdus if one.number > 0 and one.name == extension)
    hdu = next((one for one in named if one.extver == version), None)
    if hdu is None or not _is_readable(hdu):
        return None
    numbers = [
        [hdu.values.get(f"{keyword}{axis}", default) for axis in (1, 2)]
        for keyword, default in (("CRPIX", 0.0), ("CRVAL", 0.0), ("CDELT", 1.0))
    ]
    if not all(isinstance(one, (int, float)) for pair in numbers for one in pair):
        return None
    data = np.frombuffer(reader.read(hdu.data_offset, hdu.data_length), ">f4")
    values = np.ascontiguousarray(data.reshape(hdu.shape), np.float32)
    return DistortionLookupTable(values, *(tuple(map(float, pair)) for pair in numbers))


def _is_readable(hdu: HduIndex) -> bool:
    """Tell whether an HDU is an image of single-precision numbers as they are.

    astropy takes no others that do not fit into them.
    """
    return (
        hdu.kind == "image"
        and hdu.bitpix == _SINGLE
        and len(hdu.shape) == len("xy")
        and 0 < hdu.data_length <= _BYTES
        and hdu.image_bytes == hdu.data_length
        and not any(keyword in hdu.values for keyword in ("BSCALE", "BZERO"))
    )
