"""What to cut from: as much of a file's byte index as the cutout needs, to be sent to a worker."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from typing_extensions import override

from soda.filters import Extent, extent_of
from vodal.errors import ChangedError
from vodal.fits.index import FileIndex
from vodal.fits.stripped import stripped
from vodal.pool.kept import Kept, new_number
from vodal.products import Product
from vodal.storage import LOCAL, Storage

__all__ = ["Source", "SourceChangedError", "source_of"]


class SourceChangedError(ChangedError):
    """The file of one of several sources is not the one that was indexed.

    Parameters
    ----------
    message
        What is wrong.
    uri
        Of the file.
    """

    def __init__(self, message: str, uri: str = "") -> None:
        super().__init__(message)
        self.uri = uri


@dataclass(frozen=True, slots=True)
class Source(Kept):
    """A product, or the planes of a file."""

    uri: str
    index: FileIndex
    """HDUs that are of no use for the cutout may be bare of cards and tiles."""
    hdus: tuple[int, ...]
    """Numbers of the HDUs to cut, image plane first."""
    did: str = ""
    """Identifier of the dataset; empty for a plain file."""
    extent: Extent = field(default_factory=Extent)
    """What its row tells; nothing for a plain file."""
    storage: Storage = LOCAL
    """Opens the file."""
    number: int = field(default_factory=new_number, init=False, compare=False, repr=False)
    """By which a worker knows it again."""

    @property
    def name(self) -> str:
        """Identifier, or the file's name where there is none."""
        return self.did or unquote(urlsplit(self.uri).path.rpartition("/")[2])

    @property
    @override
    def kept_number(self) -> int:
        return self.number


def source_of(product: Product, index: FileIndex, storage: Storage = LOCAL) -> Source:
    """Make the source of a product, with what of its file's index is needed to cut it."""
    return Source(
        product.uri,
        stripped(index, product.hdus),
        product.hdus,
        product.did,
        extent_of(product),
        storage,
    )
