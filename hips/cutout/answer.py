"""A cutout of a HiPS as FITS or as a picture."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Final

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from hips.cutout.grid import Grid, make_grid
from hips.cutout.request import Cut, CutoutRequest
from hips.cutout.sample import TileReader, order_for, sample
from hips.encode import read_fits
from hips.formats import decode_picture
from hips.properties import parse_properties
from hips.tiles.base import Tiles
from hips.tiles.opening import open_tiles
from vodal.errors import DataError, UsageError
from vodal.pictures.colormaps import colored
from vodal.pictures.encode import PictureType, encode_picture
from vodal.pictures.levels import stretched

__all__ = ["CutoutAnswer", "cut_hips"]

Pixels = NDArray[np.float32]
Bytes = NDArray[np.uint8]

_TYPES: Final[Mapping[str, PictureType]] = {
    "png": "image/png", "jpg": "image/jpeg", "webp": "image/webp",
}  # fmt: skip
_LOW_PERCENT, _HIGH_PERCENT = 0.5, 99.5
_KEPT: Final = ("BUNIT", "PIXSIZE", "MAGZERO")


@dataclass(frozen=True, slots=True)
class CutoutAnswer:
    """A cutout."""

    data: bytes
    media_type: str
    blank: bool
    """Whether no pixel has a value."""


def cut_hips(folder: Path, asked: CutoutRequest) -> CutoutAnswer:
    """Make a cutout of the HiPS in a folder.

    Parameters
    ----------
    folder
        Of the HiPS.
    asked
        What is wanted. FITS has the values of the tiles (surface brightness as it is, see the
        card ``PIXSIZE``), or red, green and blue planes of 0 to 255 where the HiPS has pictures
        only.

    Raises
    ------
    UsageError
        If the grid cannot be made.
    DataError
        If the folder holds no HiPS that can be read.
    """
    about = _about(folder)
    grid = make_grid(asked, _view(about))
    order = order_for(grid, int(about["hips_order"]))
    tree = open_tiles(folder)
    formats = about.get("hips_tile_format", "").split()
    frame = about.get("hips_frame", "equatorial")
    if "fits" in formats:
        cards: dict[str, str | float] = {}
        values = sample(_values(tree, order, cards), order, grid, frame)[..., 0]
        pixels = None if asked.format == "fits" else _picture(values, asked)
        blank = not np.isfinite(values).any()
    else:
        if asked.low or asked.high or asked.stretch != "linear" or asked.colormap != "gray":
            raise UsageError(
                "min_cut, max_cut, stretch and cmap are for a HiPS of values; this one has pictures"
            )
        values, cards = sample(_colors(tree, order, formats), order, grid, frame, 4), {}
        alpha = np.isfinite(values[..., 3])
        pixels = np.rint(np.nan_to_num(values, nan=0.0)).astype(np.uint8)
        pixels[..., 3] = np.where(alpha, 255, 0)
        blank = not alpha.any()
    if asked.format == "fits":
        data = _fits(values if pixels is None else pixels, grid, about, order, cards)
        return CutoutAnswer(data, "image/fits", blank)
    assert pixels is not None
    kind = _TYPES[asked.format]
    return CutoutAnswer(encode_picture(pixels[::-1], kind), kind, blank)


def _about(folder: Path) -> dict[str, str]:
    try:
        about = parse_properties((folder / "properties").read_text("utf-8"))
        int(about["hips_order"])
    except (OSError, UnicodeDecodeError, KeyError, ValueError):
        raise DataError(f"the folder {folder.name} holds no HiPS") from None
    if about.get("hips_tile_width", "512") != "512":
        raise DataError("cutouts are made of HiPS whose tiles are 512 pixels wide")
    return about


def _view(about: Mapping[str, str]) -> tuple[float, float, float]:
    try:
        ra, dec, fov = (float(about[f"hips_initial_{key}"]) for key in ("ra", "dec", "fov"))
    except (KeyError, ValueError):
        return 0.0, 0.0, 180.0
    return ra, dec, min(max(fov, 1e-6), 179.0)


def _values(tree: Tiles, order: int, cards: dict[str, str | float]) -> TileReader:
    def read(number: int) -> Pixels | None:
        data = tree.read(order, number, "fits")
        if data is None:
            return None
        if not cards:
            header = fits.Header.fromstring(data[: 4 * 2880])
            cards.update({key: header[key] for key in _KEPT if key in header})
        return read_fits(data)[..., None]

    return read


def _colors(tree: Tiles, order: int, formats: list[str]) -> TileReader:
    extension = next((kind for kind in ("png", "webp", "jpeg", "jpg") if kind in formats), "png")
    extension = extension.replace("jpeg", "jpg")

    def read(number: int) -> Pixels | None:
        data = tree.read(order, number, extension)
        if data is None:
            return None
        rgba = decode_picture(data).astype(np.float32)
        rgba[rgba[..., 3] == 0] = np.nan
        return rgba

    return read


def _picture(values: Pixels, asked: CutoutRequest) -> Bytes:
    known = values[np.isfinite(values)]
    low = _level(known, asked.low or Cut(_LOW_PERCENT, percent=True))
    high = _level(known, asked.high or Cut(_HIGH_PERCENT, percent=True))
    return colored(stretched(values, low, high, asked.stretch), asked.colormap)


def _level(known: Pixels, cut: Cut) -> float:
    if not cut.percent:
        return cut.value
    return float(np.percentile(known, cut.value)) if known.size else 0.0


def _fits(
    pixels: NDArray[np.float32] | Bytes, grid: Grid, about: Mapping[str, str], order: int,
    cards: Mapping[str, str | float],
) -> bytes:  # fmt: skip
    header = grid.wcs.to_header(relax=True)
    for key, value in cards.items():
        header[key] = value
    header["CUTID"] = (about.get("creator_did", "")[:60], "HiPS that it is a cutout of")
    if about.get("hips_release_date"):
        header["CUTREL"] = (about["hips_release_date"], "hips_release_date of it")
    header["CUTORDER"] = (order, "order of the tiles")
    header["CUTDATE"] = (datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"), "UTC")
    header["CUTBY"] = f"Skylane {metadata.version('skylane')}"
    planes = pixels if pixels.ndim == 2 else np.moveaxis(pixels[..., :3], -1, 0)
    if planes.ndim == 3:
        header["CTYPE3"] = ("RGB", "red, green, blue")
    buffer = io.BytesIO()
    fits.PrimaryHDU(np.ascontiguousarray(planes), header).writeto(buffer)
    return buffer.getvalue()
