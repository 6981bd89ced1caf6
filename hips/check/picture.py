"""A tile's pixels, from FITS, PNG, JPEG or WebP: lowest row first, NaN where blank."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray
from PIL import Image

__all__ = ["Picture", "kind_of", "read_picture"]

_MAGIC: Final = {
    b"SIMPLE": "fits", b"\x89PNG": "png", b"\xff\xd8\xff": "jpg", b"RIFF": "webp",
    b"\x1f\x8b": "gz",
}  # fmt: skip


def kind_of(data: bytes) -> str:
    """Tell the format by the first bytes: fits, png, jpg, webp, gz; empty if none of these."""
    return next((kind for magic, kind in _MAGIC.items() if data.startswith(magic)), "")


@dataclass(frozen=True)
class Picture:
    """The pixels of a tile."""

    values: NDArray[np.float32]
    """Shape (rows, columns), lowest row first; of a picture in colour the mean of red, green and
    blue, 0 to 255. NaN where blank."""
    exact: bool
    """Whether the values are as their maker computed them: FITS, or grey without loss."""
    quantum: float
    """Step between neighbouring values; 0 for floating point."""
    alpha: bool
    """Whether the format can say, and says, what is blank."""
    header: fits.Header | None
    """Of FITS."""
    bitpix: int | None
    """Of FITS, as the pixels are stored before any compression."""


def read_picture(data: bytes, extension: str) -> Picture | str:
    """Read a tile; a sentence if it cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _fits(data) if extension == "fits" else _image(data)
    except Exception as error:  # noqa: BLE001 - the libraries raise errors of many kinds
        return " ".join(str(error).split())[:200] or type(error).__name__


def _fits(data: bytes) -> Picture:
    with fits.open(io.BytesIO(data), memmap=False) as file:
        hdus: list[Any] = [hdu for hdu in file if hdu.header.get("NAXIS", 0) >= 2]
        if not hdus:
            raise ValueError("it holds no image")
        hdu = hdus[0]
        header = hdu.header.copy()
        bitpix = int(header["BITPIX"])
        # Reading an image with BLANK gives NaN, with BSCALE physical values.
        pixels = np.squeeze(np.asarray(hdu.data))
        if pixels.ndim != 2:
            raise ValueError(f"it is an array of {pixels.ndim} axes, not an image")
        values = pixels.astype(np.float32)
    return Picture(
        _untrimmed(values, header), exact=True,
        quantum=abs(float(header.get("BSCALE", 1.0))) if bitpix > 0 else 0.0,
        alpha=True, header=header, bitpix=bitpix,
    )  # fmt: skip


def _untrimmed(values: NDArray[np.float32], header: fits.Header) -> NDArray[np.float32]:
    """Give back the blank margins that are not stored (TRIM1, TRIM2 of the draft of HiPS 2.0)."""
    shape = [int(header.get(f"ONAXIS{axis}", values.shape[2 - axis])) for axis in (2, 1)]
    row, column = (int(header.get(f"TRIM{axis}", 0)) for axis in (2, 1))
    if list(values.shape) == shape and row == column == 0:
        return values
    height, width = values.shape
    if min(row, column) < 0 or row + height > shape[0] or column + width > shape[1]:
        raise ValueError("what TRIM1, TRIM2, ONAXIS1 and ONAXIS2 say does not fit its size")
    if max(shape) > 1 << 14:
        raise ValueError(f"ONAXIS1 and ONAXIS2 say {shape[1]} x {shape[0]} pixels")
    whole = np.full(shape, np.nan, np.float32)
    whole[row : row + height, column : column + width] = values
    return whole


def _image(data: bytes) -> Picture:
    with Image.open(io.BytesIO(data)) as image:
        alpha = "A" in image.getbands() or "transparency" in image.info
        kind = image.format
        bands = [np.asarray(band)[::-1] for band in image.convert("RGBA").split()]
    red, green, blue, opacity = bands
    grey = np.array_equal(red, green) and np.array_equal(green, blue)
    values = (red.astype(np.float32) + green + blue) / np.float32(3)
    if alpha:
        values[opacity == 0] = np.nan
    return Picture(
        values, exact=grey and kind == "PNG", quantum=1.0, alpha=alpha, header=None, bitpix=None
    )
