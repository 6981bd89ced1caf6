"""The columns that a VOTable without data describes, as VOParquet and FITS files carry one."""

from __future__ import annotations

import io

from typing_extensions import override

from vodal.tables.columns import Column
from vodal.tables.readers.document import Cells, VotableDocument
from vodal.tables.readers.limits import ReadLimits

__all__ = ["declared_columns"]


class _Ignored(Cells):
    """Takes cells and drops them."""

    @override
    def row(self, cells: list[str]) -> None:
        pass

    @override
    def feed(self, data: bytes) -> None:
        pass


def declared_columns(text: bytes, limits: ReadLimits) -> list[Column]:
    """Give the columns that a VOTable declares; its data is not looked at.

    Parameters
    ----------
    text
        The document.
    limits
        Of columns and cells.

    Raises
    ------
    UsageError, TooLargeError
        As `vodal.tables.readers.votable.read_votable`.
    """
    document = VotableDocument(limits, lambda *_: _Ignored())
    document.read(io.BytesIO(text))
    return [field.column for field in document.fields]
