"""The file of a product as it is stored.

The file is opened once and everything is told of what was opened: size, tag and time are those of
the bytes that follow, even if another file takes its name meanwhile. A file that changed since it
was catalogued is served as it is now, under its new tag: who continues an old download by If-Range
then gets the whole.

Only what the resolver gives is opened; no part of a request ever becomes part of a path.

A ``.fits.gz`` is served as the ``application/gzip`` that it is, without Content-Encoding: ranges,
length and tag then mean the stored bytes, and what a client saves is what its name says.
"""

from __future__ import annotations

from functools import partial

from datalink.content import LOCAL_PIECE_BYTES, Content, StoredPart
from vodal.products import Product
from vodal.storage import LOCAL, Storage, is_local

__all__ = ["most_piece_bytes", "stored_content"]

_REMOTE_PIECE_BYTES = 8 << 20
"""A piece takes a round trip at least, so that small ones would keep a fast client waiting."""


def most_piece_bytes(uri: str) -> int:
    """Give how much of a file is read at a time where few clients are served."""
    return LOCAL_PIECE_BYTES if is_local(uri) else _REMOTE_PIECE_BYTES


def stored_content(product: Product, storage: Storage = LOCAL) -> Content:
    """Open the file of a product, to be sent as it is; blocks.

    Raises
    ------
    NotFoundError
        If the file is not there any more.
    DataError, ServiceUnavailable
        If it cannot be read, or not now.
    """
    reader = storage.open(product.uri)
    try:
        stat = reader.stat()
    except BaseException:
        reader.__exit__(None, None, None)
        raise
    part = StoredPart(reader, 0, stat.size_bytes, most_piece_bytes(product.uri))
    return Content(
        (part,),
        stat.version,
        stat.modified_unix_s,
        product.content_type,
        product.file_name,
        partial(reader.__exit__, None, None, None),
    )
