"""The formats of tiles: which are written, and how pictures become bytes in each."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self

import numpy as np
from numpy.typing import NDArray

from hips.encode import jpeg, png_grey, png_rgba
from hips.settings import HipsSettings
from hips.tiles.base import Tiles

__all__ = ["Encoding", "decode_picture", "drop_other_formats", "grey_picture", "read_picture"]

Bytes = NDArray[np.uint8]
Extension = Literal["fits", "png", "jpg", "webp"]

_EXTENSIONS: Final[Mapping[str, Extension]] = {
    "fits": "fits",
    "png": "png",
    "jpeg": "jpg",
    "webp": "webp",
}
"""By the words of ``hips_tile_format`` (HiPS 1.0 section 4.4.1)."""
_BEST_FIRST: Final[tuple[Extension, ...]] = ("png", "webp", "jpg")


@dataclass(frozen=True, slots=True)
class Encoding:
    """The formats of a HiPS's tiles."""

    words: tuple[str, ...]
    """As ``hips_tile_format`` names them, the default of clients first."""
    jpeg_quality: int
    webp_quality: int | None
    """None if nothing is lost."""

    @classmethod
    def of_band(cls, settings: HipsSettings) -> Self:
        """Give the formats of a band's tiles."""
        lossless = settings.webp_quality == "lossless"
        quality = None if lossless else int(settings.webp_quality)
        return cls(settings.formats, settings.jpeg_quality, quality)

    @classmethod
    def of_color(cls, settings: HipsSettings) -> Self:
        """Give the formats of tiles in colour: those of a band's that are pictures, or PNG."""
        band = cls.of_band(settings)
        words = tuple(word for word in band.words if word != "fits")
        return cls(words or ("png",), band.jpeg_quality, band.webp_quality)

    @property
    def marks(self) -> dict[str, str]:
        """By extension, in order, what tells apart tiles of the same pixels that differ."""
        quality = "lossless" if self.webp_quality is None else str(self.webp_quality)
        known = {"jpg": str(self.jpeg_quality), "webp": quality}
        extensions = (_EXTENSIONS[word] for word in self.words)
        return {extension: known.get(extension, "") for extension in sorted(extensions)}

    @property
    def pictures(self) -> tuple[Extension, ...]:
        """The extensions of all formats but FITS."""
        found = sorted(_EXTENSIONS[word] for word in self.words)
        return tuple(extension for extension in found if extension != "fits")

    def grey(self, extension: str, levels: Bytes) -> bytes:
        """Encode grey levels, lowest row first.

        Parameters
        ----------
        extension
            Of the format: png, jpg or webp.
        levels
            0 is blank, 1 is black, 255 white. Blank is transparent, black in JPEG.
        """
        if extension == "png":
            return png_grey(levels)
        if extension == "jpg":
            return jpeg(_GREY[levels], self.jpeg_quality)
        return self._webp(grey_picture(levels))

    def colors(self, extension: str, pixels: Bytes) -> bytes:
        """Encode (row, column, RGBA), lowest row first; transparent is black in JPEG."""
        if extension == "png":
            return png_rgba(pixels)
        if extension == "jpg":
            return jpeg(pixels, self.jpeg_quality)
        return self._webp(pixels)

    def _webp(self, pixels: Bytes) -> bytes:
        from PIL import Image  # noqa: PLC0415 - not for servers

        out = io.BytesIO()
        image = Image.fromarray(np.ascontiguousarray(pixels[::-1]))
        if self.webp_quality is None:
            image.save(out, "WEBP", lossless=True, quality=0, method=0, exact=True)
        else:
            image.save(out, "WEBP", quality=self.webp_quality, method=2)
        return out.getvalue()


_GREY: Final[Bytes] = np.array([max(0, level - 1) * 255 // 254 for level in range(256)], np.uint8)


def grey_picture(levels: Bytes) -> Bytes:
    """Give grey levels, 0 blank, 1 black and 255 white, as (row, column, RGBA)."""
    grey = _GREY[levels]
    alpha = np.where(levels == 0, 0, 255).astype(np.uint8)
    return np.stack([grey, grey, grey, alpha], axis=2)


def drop_other_formats(folder: Path, encoding: Encoding) -> None:
    """Remove tiles that a build in other formats has left in files of their own."""
    for path in folder.glob("Norder*/Dir*/Npix*.*"):
        if path.suffix[1:] not in encoding.marks:
            path.unlink()


def read_picture(tiles: Tiles, order: int, npix: int) -> Bytes | None:
    """Read the best picture of a tile as (row, column, RGBA), lowest row first.

    None is given if there is none.
    """
    for extension in _BEST_FIRST:
        data = tiles.read(order, npix, extension)
        if data is not None:
            return decode_picture(data)
    return None


def decode_picture(data: bytes) -> Bytes:
    """Read a picture as (row, column, RGBA), lowest row first."""
    from PIL import Image  # noqa: PLC0415 - not for servers

    with Image.open(io.BytesIO(data)) as image:
        return np.ascontiguousarray(np.asarray(image.convert("RGBA"))[::-1])
