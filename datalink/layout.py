"""Which bytes make up a FITS file of some HDUs of another, without any I/O.

An HDU is copied as the file has it, to the byte, so that its checksums stay right; only what fills
its last block is written anew. A tile-compressed image that is to be plain gets the header of the
image inside, without the checksums of the compressed one. Where the primary HDU is not asked for,
its header comes first all the same, without its image, since extensions need one and may inherit
its cards.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vodal.fits.bareprimary import bare_primary
from vodal.fits.cards import CARD_LENGTH
from vodal.fits.headers import BLOCK_BYTES, header_block
from vodal.fits.index import FileIndex, HduIndex

__all__ = ["CopiedBytes", "Segment", "UnpackedPixels", "WrittenBytes", "lay_out"]


@dataclass(frozen=True, slots=True)
class WrittenBytes:
    """Bytes that are written anew."""

    data: bytes


@dataclass(frozen=True, slots=True)
class CopiedBytes:
    """Bytes of the file (of a gzip: of its plain stream)."""

    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class UnpackedPixels:
    """The pixels of a tile-compressed image, as stored values, big-endian."""

    hdu: HduIndex

    @property
    def length(self) -> int:
        """In bytes."""
        return self.hdu.image_bytes


Segment = WrittenBytes | CopiedBytes | UnpackedPixels


def lay_out(index: FileIndex, numbers: Sequence[int], *, plain: bool) -> list[Segment]:
    """Find what makes up a file of some HDUs.

    Parameters
    ----------
    index
        Of the file.
    numbers
        Of the HDUs, ascending.
    plain
        Whether tile-compressed images become plain ones.
    """
    segments: list[Segment] = []
    primary = index.hdus[0]
    if 0 not in numbers:
        segments += _carrier(primary)
    for number in numbers:
        hdu = index.hdus[number]
        if plain and hdu.kind == "compressed":
            segments += _unpacked(hdu)
        else:
            segments += _copied(hdu)
    return list(_joined(segments))


def _carrier(primary: HduIndex) -> list[Segment]:
    if primary.data_length == 0 and "NEXTEND" not in primary.values:
        return [CopiedBytes(primary.header_offset, primary.header_length)]
    return [WrittenBytes(header_block(bare_primary(primary.cards)))]


def _copied(hdu: HduIndex) -> list[Segment]:
    # What fills the last block is zeros, of ASCII tables blanks (FITS 4.0 section 7.2.3).
    filling = b" " if hdu.cards.startswith("XTENSION= 'TABLE ") else b"\0"
    return [
        CopiedBytes(hdu.header_offset, hdu.header_length + hdu.data_length),
        WrittenBytes(filling * (-hdu.data_length % BLOCK_BYTES)),
    ]


def _unpacked(hdu: HduIndex) -> list[Segment]:
    text = hdu.image_header.tostring(sep="", endcard=False, padding=False)
    cards = [text[start : start + CARD_LENGTH] for start in range(0, len(text), CARD_LENGTH)]
    pixels = UnpackedPixels(hdu)
    filling = bytes(-pixels.length % BLOCK_BYTES)
    return [WrittenBytes(header_block(cards)), pixels, WrittenBytes(filling)]


def _joined(segments: Sequence[Segment]) -> Iterator[Segment]:
    """Put written bytes together that follow each other; leave out what has none."""
    written = b""
    for segment in segments:
        if isinstance(segment, WrittenBytes):
            written += segment.data
            continue
        if written:
            yield WrittenBytes(written)
            written = b""
        yield segment
    if written:
        yield WrittenBytes(written)
