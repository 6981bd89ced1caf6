"""Tables in other HDUs that world coordinates refer to: CPDIS, D2IM and -TAB."""

from __future__ import annotations

import re

from astropy.io import fits

from vodal.errors import DataError
from vodal.fits.index import FileIndex
from vodal.fits.quiet import quiet
from vodal.fits.values import HeaderValues
from vodal.storage import RangeReader

__all__ = ["lookup_tables"]

_TABLE = re.compile(r"C[PQ]DIS|D2IM|AXISCORR|PS\d")
_BYTES = 1 << 28
"""The most that is read of them."""


def lookup_tables(
    header: HeaderValues, index: FileIndex | None, reader: RangeReader | None
) -> fits.HDUList | None:
    """Read the HDUs that coordinates refer to, as astropy wants them.

    Parameters
    ----------
    header
        Of the image.
    index, reader
        The file it is in and a reader in the index's offsets.

    Returns
    -------
    astropy.io.fits.HDUList or None
        With an empty primary HDU; None if the coordinates need none.

    Raises
    ------
    DataError
        If they are not there, too large, or broken.
    """
    names = set()
    for keyword in filter(_TABLE.match, header):
        if re.match(r"C[PQ]DIS\d$", keyword):
            names.add("WCSDVARR")
        elif re.match(r"(D2IMDIS\d|D2IMARR|AXISCORR)$", keyword):
            names.add("D2IMARR")
        elif re.match(r"PS\d+_0$", keyword) and "-TAB" in str(header.get(f"CTYPE{keyword[2:-2]}")):
            names.add(str(header[keyword]).strip().upper())
    if not names:
        return None
    if index is None or reader is None:
        raise DataError(f"the world coordinates need the file's HDU {min(names)}")
    wanted = [other for other in index.hdus if other.name in names and other.number > 0]
    if sum(other.data_length for other in wanted) > _BYTES:
        raise DataError("the lookup tables of the world coordinates are too large")
    raw = [fits.PrimaryHDU().header.tostring().encode()]
    for other in wanted:
        raw.append(reader.read(other.header_offset, other.header_length))
        raw.append(reader.read(other.data_offset, other.data_length))
        raw.append(bytes(-other.data_length % 2880))
    with quiet():
        try:
            tables = fits.HDUList.fromstring(b"".join(raw))
            len(tables)  # reads them all now, in silence
        except Exception as error:  # noqa: BLE001 - astropy raises what its parts raise
            raise DataError(
                f"the lookup tables of the world coordinates are broken: {str(error)[:200]}"
            ) from None
    return tables
