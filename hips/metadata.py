"""``metadata.fits`` and ``metadata.xml`` (HiPS 1.0 section 4.4.3): what went into a HiPS.

The first holds the cards that all FITS tiles have in common, and a table of the images behind the
HiPS; the second is the same table as a VOTable. Both say nothing of when they were written, so that
the same images give the same files.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from astropy.io import fits
from astropy.io.votable import from_table
from astropy.table import Column, Table

from hips.encode import CardValue
from vodal.products import Product

__all__ = ["progenitor_table", "write_metadata"]

_TEXT: Final = (
    ("obs_publisher_did", "Identifier of the image", "meta.ref.ivoid"),
    ("obs_collection", "Its collection", "meta.id"),
    ("file_name", "Its file", "meta.id;meta.file"),
)
_NUMBERS: Final = (
    ("s_ra", "deg", "Right ascension of its centre, ICRS", "pos.eq.ra"),
    ("s_dec", "deg", "Declination of its centre, ICRS", "pos.eq.dec"),
    ("t_min", "d", "Start of the exposure, MJD", "time.start;obs.exposure"),
    ("t_max", "d", "End of the exposure, MJD", "time.end;obs.exposure"),
    ("t_exptime", "s", "Exposure time", "time.duration;obs.exposure"),
    ("em_min", "m", "Shortest wavelength", "em.wl;stat.min"),
    ("em_max", "m", "Longest wavelength", "em.wl;stat.max"),
)


def progenitor_table(products: Sequence[Product]) -> Table:
    """Make the table of the images behind a HiPS, one a row, in the order of identifiers.

    Columns have the names and units of ObsCore 1.1; a number that is not known is NaN.
    """
    rows = sorted(products, key=lambda product: product.did)
    text = {
        "obs_publisher_did": [product.did for product in rows],
        "obs_collection": [product.collection for product in rows],
        "file_name": [product.file_name for product in rows],
    }
    table = Table()
    for name, about, ucd in _TEXT:
        column = Column(np.array(text[name], dtype=np.str_), name, description=about)
        column.meta["ucd"] = ucd
        table.add_column(column)
    for name, unit, about, ucd in _NUMBERS:
        values = np.array([_number(row.obscore.get(name)) for row in rows], np.float64)
        column = Column(values, name, unit=unit, description=about)
        column.meta["ucd"] = ucd
        table.add_column(column)
    return table


def _number(value: object) -> float:
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if known and isinstance(value, int | float) else float("nan")


def write_metadata(
    folder: Path, cards: Mapping[str, CardValue], title: str, progenitors: Table | None = None
) -> None:
    """Write ``metadata.fits`` and, with a table, ``metadata.xml``.

    Parameters
    ----------
    folder
        Of the HiPS.
    cards
        That its FITS tiles have in common.
    title
        Of the HiPS.
    progenitors
        As `progenitor_table` gives it.
    """
    primary = fits.PrimaryHDU()
    primary.header["OBJECT"] = (_ascii(title), "title of the HiPS")
    for keyword, value in cards.items():
        primary.header[keyword] = _ascii(value) if isinstance(value, str) else value
    hdus: list[Any] = [primary]
    if progenitors is not None:
        plain = progenitors.copy()
        for name in plain.colnames:
            if plain[name].dtype.kind == "U":
                plain[name] = [_encoded(value) for value in plain[name]]
        hdus.append(fits.BinTableHDU(plain, name="PROGENITORS"))
        votable = from_table(progenitors, table_id="progenitors")
        votable.description = f"Images behind the HiPS {title}"
        out = io.BytesIO()
        votable.to_xml(out, tabledata_format="tabledata")
        (folder / "metadata.xml").write_bytes(out.getvalue())
    written = io.BytesIO()
    fits.HDUList(hdus).writeto(written)
    (folder / "metadata.fits").write_bytes(written.getvalue())


def _ascii(text: str) -> str:
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text)[:68]


def _encoded(text: str) -> str:
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text)
