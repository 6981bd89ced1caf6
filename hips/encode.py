"""Tiles as bytes: FITS with its place on the sky, PNG with transparency, JPEG.

PNG is written here rather than by Pillow because a palette with a transparent entry is smaller than
grey with an alpha channel, and since deflate need not search noise for what has been there before:
runs of one value are all that is looked for (`Z_RLE`), which is faster and no larger. It is zlib's:
ISA-L is faster still, but now and then gave other bytes for the same pixels, and the same images
must make the same tiles.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hips.frames import Frame
from hips.names import TILE_ORDER, TILE_WIDTH, xy_of

__all__ = [
    "CardValue",
    "fits_image",
    "fits_tile",
    "jpeg",
    "png_grey",
    "png_rgba",
    "read_fits",
    "tile_cards",
    "value_cards",
]

CardValue = str | int | float | bool
Bytes = NDArray[np.uint8]

_BLOCK: Final = 2880

_FACE_X: Final = (45, 135, -135, -45, 0, 90, 180, -90, 45, 135, -135, -45)
_FACE_Y: Final = (45, 45, 45, 45, 0, 0, 0, 0, -45, -45, -45, -45)
"""Centres of the base cells in the plane of the HPX projection (Calabretta & Roukema 2007)."""


def _card(keyword: str, value: CardValue, comment: str = "") -> str:
    if isinstance(value, bool):
        text = f"{'T' if value else 'F':>20}"
    elif isinstance(value, int):
        text = f"{value:>20}"
    elif isinstance(value, float):
        text = f"{value!r:>20}".upper()
    else:
        quoted = value.encode("ascii", "replace").decode().replace("'", "''")[:67]
        text = f"'{quoted.rstrip(chr(39)) if quoted.count(chr(39)) % 2 else quoted:<8}'"
    card = f"{keyword:<8}= {text}"
    if comment and len(card) + 3 + len(comment) <= 80:
        card += f" / {comment}"
    return f"{card:<80}"


def fits_image(data: NDArray[np.float32], cards: Mapping[str, CardValue]) -> bytes:
    """Write an image as a FITS file of one float32 HDU, lowest row first."""
    height, width = data.shape
    head = [
        _card("SIMPLE", True, "conforms to FITS"),
        _card("BITPIX", -32),
        _card("NAXIS", 2),
        _card("NAXIS1", width),
        _card("NAXIS2", height),
        *(_card(keyword, value) for keyword, value in cards.items()),
        f"{'END':<80}",
    ]
    header = "".join(head).encode("ascii")
    body = np.ascontiguousarray(data, ">f4").data
    blank, zeros = b" " * (-len(header) % _BLOCK), bytes(-body.nbytes % _BLOCK)
    return b"".join((header, blank, body, zeros))


def tile_cards(order: int, npix: int, frame: Frame = "equatorial") -> dict[str, CardValue]:
    """Give a tile's cards: its number and its coordinates in the HPX projection.

    The tile is a square of the projection's plane turned by 45 degrees; columns run to the
    north-west and rows to the south-west.
    """
    base, x, y = xy_of(order, npix)
    step = 45.0 / (1 << (order + TILE_ORDER))
    x0, y0 = x * TILE_WIDTH, y * TILE_WIDTH
    face_x = float(_FACE_X[base])
    if base == 6 and x > y:
        # Of the base cell on the 180th meridian, the eastern half lies at the plane's other end;
        # tiles on the meridian itself can be right in one half only.
        face_x = -180.0
    difference = -face_x / step
    total = (45.0 - _FACE_Y[base]) / step
    origin_x, origin_y = (total + difference) / 2.0, (total - difference) / 2.0
    galactic = frame == "galactic"
    cards: dict[str, CardValue] = {
        "ORDER": order,
        "NPIX": npix,
        "CRPIX1": origin_y - y0 + 0.5,
        "CRPIX2": TILE_WIDTH + 0.5 - (origin_x - x0),
        "CD1_1": -step,
        "CD1_2": -step,
        "CD2_1": step,
        "CD2_2": -step,
        "CTYPE1": "GLON-HPX" if galactic else "RA---HPX",
        "CTYPE2": "GLAT-HPX" if galactic else "DEC--HPX",
        "CRVAL1": 0.0,
        "CRVAL2": 0.0,
        "CUNIT1": "deg",
        "CUNIT2": "deg",
        "PV2_1": 4,
        "PV2_2": 3,
    }
    return cards if galactic else {**cards, "RADESYS": "ICRS"}


def fits_tile(
    order: int, npix: int, data: NDArray[np.float32], cards: Mapping[str, CardValue],
    frame: Frame = "equatorial",
) -> bytes:  # fmt: skip
    """Write a tile as FITS, with more cards after those of its place."""
    return fits_image(data, {**tile_cards(order, npix, frame), **cards})


def value_cards(pixel_arcsec: float, zero_point_mag: float | None) -> dict[str, CardValue]:
    """Give the cards that say what the values are: of a pixel of this size, at this zero point."""
    cards: dict[str, CardValue] = {"PIXSIZE": round(pixel_arcsec, 9)}
    if zero_point_mag is not None:
        cards["MAGZERO"] = zero_point_mag
    return cards


def read_fits(data: bytes) -> NDArray[np.float32]:
    """Read what `fits_image` wrote, as native float32."""
    width = height = 0
    for start in range(0, len(data), 80):
        card = data[start : start + 80]
        if card.startswith(b"NAXIS1 "):
            width = int(card[10:30])
        elif card.startswith(b"NAXIS2 "):
            height = int(card[10:30])
        elif card.startswith(b"END "):
            offset = (start // _BLOCK + 1) * _BLOCK
            pixels = np.frombuffer(data, ">f4", width * height, offset)
            return pixels.astype(np.float32).reshape(height, width)
    raise ValueError("not a tile: no END card")


def _png(width: int, height: int, kind: int, extra: list[tuple[bytes, bytes]], raw: Bytes) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    # Each row starts with the number of its filter; 0 is none.
    rows = np.zeros((height, raw.shape[1] + 1), np.uint8)
    rows[:, 1:] = raw
    packer = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, zlib.Z_RLE)
    parts = [
        b"\x89PNG\r\n\x1a\n",
        chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)),
        *(chunk(name, body) for name, body in extra),
        chunk(b"IDAT", packer.compress(rows.data) + packer.flush()),
        chunk(b"IEND", b""),
    ]
    return b"".join(parts)


_GREYS: Final = bytes(v for i in range(256) for v in (max(0, i - 1) * 255 // 254,) * 3)


def png_grey(levels: Bytes) -> bytes:
    """Write grey levels as PNG, turned top row first.

    Parameters
    ----------
    levels
        Lowest row first; 0 is blank and becomes transparent, 1 is black, 255 white.
    """
    height, width = levels.shape
    return _png(width, height, 3, [(b"PLTE", _GREYS), (b"tRNS", b"\0")], levels[::-1])


def png_rgba(pixels: Bytes) -> bytes:
    """Write colours with alpha, shape (rows, columns, 4) and lowest row first, as PNG."""
    height, width, _ = pixels.shape
    return _png(width, height, 6, [], pixels[::-1].reshape(height, 4 * width))


def jpeg(pixels: Bytes, quality: int) -> bytes:
    """Write grey or RGB(A) over black as JPEG; lowest row first."""
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        alpha = pixels[..., 3:].astype(np.uint16)
        pixels = (pixels[..., :3] * alpha // 255).astype(np.uint8)
    from PIL import Image  # noqa: PLC0415 - not for servers

    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels[::-1])).save(out, "JPEG", quality=quality)
    return out.getvalue()
