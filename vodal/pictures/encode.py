"""PNG, JPEG and WebP, with what the picture shows written into it."""

from __future__ import annotations

import io
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

__all__ = ["PictureType", "encode_picture"]

PictureType = Literal["image/png", "image/jpeg", "image/webp"]

_QUALITY: Final = 90
_LARGEST_COMMENT: Final = 65_000
"""Of a segment of JPEG."""


def encode_picture(
    pixels: NDArray[np.uint8],
    media_type: PictureType,
    *,
    background: int = 0,
    comment: str = "",
) -> bytes:
    """Write a picture.

    Parameters
    ----------
    pixels
        Rows from the top; the last axis has grey and opacity, or red, green, blue and opacity.
    media_type
        Of the result; JPEG has no opacity.
    background
        Grey level of what is transparent, where the format has no opacity.
    comment
        Text that goes with it: a chunk ``Comment`` of PNG, a comment of JPEG.
    """
    if media_type == "image/jpeg":
        clear = pixels[..., -1] == 0
        pixels = pixels[..., :-1].copy()
        pixels[clear] = background
    if pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    options: dict[str, Any]
    match media_type:
        case "image/png":
            options = {"format": "PNG", "compress_level": 6}
            if comment:
                options["pnginfo"] = PngImagePlugin.PngInfo()
                options["pnginfo"].add_text("Comment", comment)
        case "image/jpeg":
            options = {"format": "JPEG", "quality": _QUALITY, "optimize": True}
            if comment and len(comment) < _LARGEST_COMMENT:
                options["comment"] = comment.encode("ascii", "replace")
        case "image/webp":
            options = {"format": "WEBP", "quality": _QUALITY}
    buffer = io.BytesIO()
    picture.save(buffer, **options)
    return buffer.getvalue()
