"""From a file to an uploaded table."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from vodal.errors import UsageError
from vodal.tables.readers.csv import read_csv
from vodal.tables.readers.ecsv import read_ecsv
from vodal.tables.readers.fits import read_fits
from vodal.tables.readers.gunzip import gunzip
from vodal.tables.readers.limits import ReadLimits, over
from vodal.tables.readers.parquet import read_parquet
from vodal.tables.readers.separator import find_separator
from vodal.tables.readers.sink import TableSink
from vodal.tables.readers.sniff import HEAD_BYTES, sniff
from vodal.tables.readers.votable import read_votable
from vodal.tables.uploads import UploadedTable

__all__ = ["read_table"]


def read_table(
    source: Path,
    target: Path,
    name: str,
    limits: ReadLimits,
    media_type: str = "",
    file_name: str = "",
    texts: Collection[str] = (),
) -> UploadedTable:
    """Read a table in any of the formats.

    Parameters
    ----------
    source
        The file; not changed.
    target
        The Arrow file to write; further files beside it, with its name and an extension, are
        removed again.
    name
        Of the table.
    limits
        Of the table.
    media_type, file_name
        What the sender calls the file; the content decides where it can.
    texts
        Names, lower case, of columns that are texts whatever they look like, for formats that do
        not tell.

    Raises
    ------
    UsageError
        If it is none of the formats, or damaged, or has what is not read.
    TooLargeError
        If it is over a limit, which the error names.
    """
    plain = target.with_name(f"{target.name}.plain")
    inner = target.with_name(f"{target.name}.fits")
    try:
        return _read(source, plain, target, limits, media_type, file_name, texts).finish(name)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    finally:
        plain.unlink(missing_ok=True)
        inner.unlink(missing_ok=True)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def _read(
    source: Path,
    plain: Path,
    target: Path,
    limits: ReadLimits,
    media_type: str,
    file_name: str,
    texts: Collection[str],
) -> TableSink:
    form = sniff(_head(source), media_type, file_name)
    if form == "gzip":
        gunzip(source, plain, limits.max_table_bytes)
        source = plain
        file_name = file_name.lower().removesuffix(".gz")
        form = sniff(_head(source), media_type, file_name)
    elif source.stat().st_size > limits.max_table_bytes:
        raise over("more bytes", "max_table_bytes", limits.max_table_bytes)
    match form:
        case "votable":
            return read_votable(source, target, limits)
        case "text":
            separator = find_separator(_head(source), media_type, file_name)
            return read_csv(source, target, limits, separator=separator, texts=texts)
        case "ecsv":
            return read_ecsv(source, target, limits)
        case "parquet":
            return read_parquet(source, target, limits)
        case "fits":
            return read_fits(source, target, limits)
        case "gzip":
            raise UsageError("the file is compressed twice")
