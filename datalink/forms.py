"""Contents in every form: the stored file, some of its HDUs, or what is compressed made plain."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

from anyio.to_thread import run_sync

from datalink.content import Content, LiteralPart, Part, Readable, StoredPart
from datalink.files import most_piece_bytes, stored_content
from datalink.form import STORED, Form, hdu_label
from datalink.gunzipping import GunzippedStream
from datalink.layout import CopiedBytes, Segment, UnpackedPixels, WrittenBytes, lay_out
from datalink.process import DecodingProcess
from datalink.unpacking import PackedImage, UnpackedPart, Unpacking, unpack, unpack_of
from vodal.errors import ChangedError
from vodal.filetypes import stem_of
from vodal.fits.index import FileIndex, HduIndex
from vodal.fits.opening import open_pixels, open_scanned
from vodal.products import Product, Resolver
from vodal.storage import RangeReader, Storage
from vodal.storage.gzipped import SpooledReader
from vodal.web.threads import in_thread

__all__ = ["Forms", "form_name"]

_LAYOUT = 1
"""Of forms, in their tags; to be raised when their bytes change."""

_NAMED = 4
"""HDUs that a file is named by."""


class Forms:
    """Makes contents of products.

    Parameters
    ----------
    resolver
        Gives the byte indexes of their files.
    storage
        Opens their files.
    process
        Unpacks images.
    """

    def __init__(self, resolver: Resolver, storage: Storage, process: DecodingProcess) -> None:
        self.storage = storage
        self._resolver, self._process = resolver, process

    async def content(self, product: Product, form: Form = STORED) -> Content:
        """Open a product's file in a form.

        Raises
        ------
        NotFoundError
            If the file is not there any more.
        UsageError
            If the form names HDUs that are not there.
        TooLargeError
            If an image cannot be unpacked.
        DataError, ServiceUnavailable
            If the file cannot be read, or not now.
        """
        if form == STORED:
            return await run_sync(stored_content, product, self.storage)
        return await run_sync(self._opened, product, form)

    def _opened(self, product: Product, form: Form) -> Content:
        index, reader = self._found(self._resolver.ready(product), form)
        try:
            chosen = form.chosen(index)
            source = _Source(product, index, reader, self.storage, self._process)
            parts = [source.part(one) for one in lay_out(index, chosen, plain=form.plain)]
            stat = reader.stat()
        except BaseException:
            reader.__exit__(None, None, None)
            raise
        kind = "plain" if form.plain else "stored"
        return Content(
            parts,
            f"{stat.version};{','.join(map(str, chosen))};{kind};{_LAYOUT}",
            stat.modified_unix_s,
            _media_type(index, chosen),
            form_name(product.file_name, index, chosen, form),
            partial(reader.__exit__, None, None, None),
            several_ranges=all(part.is_direct for part in parts),
        )

    def _found(self, product: Product, form: Form) -> tuple[FileIndex, RangeReader]:
        """Open a file with its index as catalogued or, if it changed, with one made now."""
        index = self._resolver.index(product)
        chosen = form.chosen(index)
        try:
            if index.encoding and not (form.plain and _any_compressed(index, chosen)):
                reader = self.storage.open(product.uri, index.version)
            else:
                # Tiles are read in any order, which the stream of a gzip does not allow.
                reader = open_pixels(product.uri, index, chosen, storage=self.storage)
            try:
                reader.stat()
            except BaseException:
                reader.__exit__(None, None, None)
                raise
        except ChangedError:
            return open_scanned(product.uri, storage=self.storage)
        return index, reader


class _Source:
    """An open file, from which parts are made."""

    def __init__(
        self,
        product: Product,
        index: FileIndex,
        reader: RangeReader,
        storage: Storage,
        process: DecodingProcess,
    ) -> None:
        self._uri, self._index, self._reader = product.uri, index, reader
        self._storage, self._process = storage, process
        self._spooled = isinstance(reader, SpooledReader)
        self._readable: Readable = reader
        if index.encoding and not self._spooled:
            self._readable = GunzippedStream(reader, product.file_name)

    def part(self, segment: Segment) -> Part:
        """Make the part that gives a segment."""
        match segment:
            case WrittenBytes():
                return LiteralPart(segment.data)
            case CopiedBytes():
                most = most_piece_bytes(self._uri)
                direct = self._readable is self._reader
                return StoredPart(
                    self._readable, segment.offset, segment.length, most, is_direct=direct
                )
            case UnpackedPixels():
                return UnpackedPart(segment.hdu, self._unpacking(segment.hdu))

    def _unpacking(self, hdu: HduIndex) -> Unpacking:
        if not self._spooled:
            image = PackedImage.of(self._uri, self._index.version, hdu, self._storage)
            return lambda section: self._process.run(unpack, image, section)
        # What a gzip held is in a file without a name, which no other process can open.
        return lambda section: in_thread(partial(unpack_of, self._reader, hdu, section))


def _any_compressed(index: FileIndex, numbers: Sequence[int]) -> bool:
    return any(index.hdus[number].kind == "compressed" for number in numbers)


def _media_type(index: FileIndex, numbers: Sequence[int]) -> str:
    """Give ``image/fits`` if there is an image (RFC 4047 section 4.2)."""
    pictured = any(index.hdus[number].kind in {"image", "compressed"} for number in numbers)
    return "image/fits" if pictured else "application/fits"


def form_name(name: str, index: FileIndex, numbers: Sequence[int], form: Form) -> str:
    """Give the name under which a form of a file is saved.

    Parameters
    ----------
    name
        Of the file.
    index, numbers, form
        Which HDUs of it, and how.
    """
    stem = stem_of(name)
    if form.hdus:
        labels = [hdu_label(index.hdus[number]) for number in numbers]
        told = labels if len(labels) <= _NAMED else [f"{len(labels)}-hdus"]
        stem += "".join(f"_{re.sub(r'[^A-Za-z0-9.+-]+', '-', label)}" for label in told)
    packed = name.lower().endswith(".fz") and not form.plain and _any_compressed(index, numbers)
    return f"{stem}.fits.fz" if packed else f"{stem}.fits"
