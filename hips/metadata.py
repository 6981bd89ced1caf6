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
import pyarrow as pa
from astropy.io import fits
from astropy.table import Column, Table

from hips.encode import CardValue
from vodal.products import Product
from vodal.tables.columns import Column as VotableColumn
from vodal.tables.columns import ResultStream
from vodal.tables.votable import write_votable

__all__ = ["metadata_fits", "metadata_xml", "progenitor_table", "write_metadata"]

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
    cards, title, progenitors
        As of `metadata_fits`.
    """
    (folder / "metadata.fits").write_bytes(metadata_fits(cards, title, progenitors))
    if progenitors is not None:
        (folder / "metadata.xml").write_bytes(metadata_xml(progenitors, title))


def metadata_fits(
    cards: Mapping[str, CardValue], title: str, progenitors: Table | None = None
) -> bytes:
    """Give ``metadata.fits``.

    Parameters
    ----------
    cards
        That the FITS tiles of the HiPS have in common.
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
    written = io.BytesIO()
    fits.HDUList(hdus).writeto(written)
    return written.getvalue()


def metadata_xml(table: Table, title: str, *, overflow: bool = False) -> bytes:
    """Give ``metadata.xml``: the table as VOTable, which tells if it is not the whole."""
    # Not by astropy: the compiled code that its TABLEDATA is written by (8.0.2) now and then
    # writes beyond its buffer.
    columns, values = [], []
    for name in table.colnames:
        column, is_text = table[name], table[name].dtype.kind == "U"
        columns.append(
            VotableColumn(
                name,
                "char" if is_text else "double",
                arraysize="*" if is_text else None,
                unit=str(column.unit) if column.unit is not None else None,
                ucd=column.meta["ucd"],
                description=column.description,
            )
        )
        kind = pa.string() if is_text else pa.float64()
        values.append(pa.array(column.tolist(), kind, from_pandas=True))
    batch = pa.RecordBatch.from_arrays(values, names=table.colnames)
    stream = ResultStream(tuple(columns), iter((batch,)), overflow)
    infos = [("title", f"Images behind the HiPS {title}")]
    return b"".join(write_votable(stream, infos=infos, serialization="TABLEDATA"))


def _ascii(text: str) -> str:
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text)[:68]


def _encoded(text: str) -> str:
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text)
