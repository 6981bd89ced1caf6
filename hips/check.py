"""A check of a HiPS on disk: its files, its tree, its tiles' sizes, and its pixels.

Aladin's ``Hipsgen ... LINT`` checks the properties; this also looks at the tree and the pixels,
which LINT does not.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hips.allsky import ALLSKY_ORDER
from hips.coverage import read_moc_cells
from hips.encode import read_fits
from hips.names import allsky_path, child_slices, children, tile_path
from hips.opening import open_tiles
from hips.properties import MANDATORY, parse_properties
from vodal.errors import DataError

__all__ = ["Fault", "check_hips"]

Pixels = NDArray[np.float32]

_DATE_KEYS: Final = ("hips_release_date", "hips_creation_date")
_EXTENSIONS: Final = {"fits": "fits", "png": "png", "jpeg": "jpg", "webp": "webp"}
_PIXEL_TILES: Final = 16
"""How many parents of each order are compared with their children."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong."""

    where: str
    """A path below the HiPS's folder."""
    what: str


def check_hips(folder: Path) -> list[Fault]:
    """Check a HiPS.

    Parameters
    ----------
    folder
        Holds its properties and tiles.

    Returns
    -------
    list of Fault
        Empty if nothing is wrong.
    """
    try:
        values = parse_properties((folder / "properties").read_text("utf-8"))
    except (OSError, UnicodeDecodeError, DataError) as error:
        return [Fault("properties", f"cannot be read: {error}")]
    faults = list(_properties(values))
    try:
        order = int(values["hips_order"])
        width = int(values.get("hips_tile_width", "512"))
    except (KeyError, ValueError):
        return [*faults, Fault("properties", "hips_order or hips_tile_width is no number")]
    extensions = [
        _EXTENSIONS[word]
        for word in values.get("hips_tile_format", "").split()
        if word in _EXTENSIONS
    ]
    for extension in extensions:
        faults += _tree(folder, order, extension)
        faults += _sizes(folder, order, width, extension)
    if "fits" in extensions:
        faults += _pixels(folder, order)
    if extensions:
        faults += _moc(folder, order, open_tiles(folder).tiles(order, extensions[0]))
    return faults


def _properties(values: dict[str, str]) -> Iterator[Fault]:
    for key in MANDATORY:
        if not values.get(key):
            yield Fault("properties", f"{key} is missing")
    if not values.get("creator_did", "ivo://").startswith("ivo://"):
        yield Fault("properties", "creator_did is no IVOID")
    for key in _DATE_KEYS:
        stamp = values.get(key)
        if stamp is not None and not _is_minute(stamp):
            yield Fault("properties", f"{key} '{stamp}' is not of the form YYYY-mm-ddTHH:MMZ")
    if "fits" in values.get("hips_tile_format", "").split() and "hips_pixel_bitpix" not in values:
        yield Fault("properties", "hips_pixel_bitpix is missing, which clients need for FITS tiles")
    for word in values.get("hips_tile_format", "").split():
        if word not in _EXTENSIONS:
            yield Fault("properties", f"hips_tile_format has '{word}', which is no image format")


def _is_minute(stamp: str) -> bool:
    pattern = "0000-00-00T00:00Z"
    return len(stamp) == len(pattern) and all(
        c.isascii() and c.isdigit() if p == "0" else c == p
        for c, p in zip(stamp, pattern, strict=True)
    )


def _tree(folder: Path, order: int, extension: str) -> Iterator[Fault]:
    """Each tile has its parent, and each parent a child."""
    found = {k: set(open_tiles(folder).tiles(k, extension)) for k in range(order + 1)}
    if not found[order]:
        yield Fault(f"Norder{order}", f"there are no {extension} tiles of the deepest order")
    for k, numbers in found.items():
        for npix in sorted(numbers):
            if not 0 <= npix < 12 * 4**k:
                yield Fault(f"Norder{k}", f"there is no cell {npix} of order {k}")
            elif open_tiles(folder).read(k, npix, extension) is None:
                yield Fault(f"Norder{k}", f"tile {npix} is in the wrong folder")
            if k > 0 and npix >> 2 not in found[k - 1]:
                yield Fault(tile_path(k, npix, extension), "has no parent")
            if k < order and not any(child in found[k + 1] for child in children(npix)):
                yield Fault(tile_path(k, npix, extension), "has no children")
    if order >= ALLSKY_ORDER and not (folder / allsky_path(ALLSKY_ORDER, extension)).is_file():
        yield Fault(allsky_path(ALLSKY_ORDER, extension), "is not there")


def _sizes(folder: Path, order: int, width: int, extension: str) -> Iterator[Fault]:
    if extension not in {"fits", "png"}:
        return
    for k in range(order + 1):
        for npix in open_tiles(folder).tiles(k, extension):
            data = open_tiles(folder).read(k, npix, extension)
            if data is None:
                continue
            size = _fits_size(data) if extension == "fits" else _png_size(data)
            if size != (width, width):
                yield Fault(tile_path(k, npix, extension), f"is {size}, not {width} squared")


def _png_size(data: bytes) -> tuple[int, int]:
    head = data[:24]
    if len(head) < 24 or not head.startswith(b"\x89PNG"):
        return 0, 0
    return struct.unpack(">II", head[16:24])


def _fits_size(data: bytes) -> tuple[int, int]:
    try:
        tile = read_fits(data)
    except ValueError:
        return 0, 0
    return tile.shape[1], tile.shape[0]


def _pixels(folder: Path, order: int) -> Iterator[Fault]:
    """Each parent's quadrants lie between the lowest and the highest of the pixels below."""
    for k in range(order):
        numbers = open_tiles(folder).tiles(k, "fits")
        for npix in numbers[:: max(1, len(numbers) // _PIXEL_TILES)]:
            tile = _read(folder, k, npix)
            for number, child in enumerate(children(npix)):
                below = _read(folder, k + 1, child)
                if tile is not None and not _agree(tile[child_slices(number, len(tile))], below):
                    yield Fault(tile_path(k, npix, "fits"), f"is not the mean of tile {child}")


def _read(folder: Path, order: int, npix: int) -> Pixels | None:
    data = open_tiles(folder).read(order, npix, "fits")
    try:
        return None if data is None else read_fits(data)
    except ValueError:
        return None


def _agree(quadrant: Pixels, child: Pixels | None) -> bool:
    if child is None:
        return not np.isfinite(quadrant).any()
    blocks = child.reshape(quadrant.shape[0], 2, quadrant.shape[1], 2).transpose(0, 2, 1, 3)
    flat = blocks.reshape(*quadrant.shape, 4)
    valid = np.isfinite(flat).any(axis=2)
    if (valid != np.isfinite(quadrant)).any():
        return False
    low = np.where(np.isnan(flat), np.inf, flat).min(axis=2)[valid]
    high = np.where(np.isnan(flat), -np.inf, flat).max(axis=2)[valid]
    slack = 1e-5 * np.maximum(np.abs(low), np.abs(high))
    inside = (quadrant[valid] >= low - slack) & (quadrant[valid] <= high + slack)
    return bool(inside.all())


def _moc(folder: Path, order: int, tiles: list[int]) -> Iterator[Fault]:
    path = folder / "Moc.fits"
    if not path.is_file():
        yield Fault("Moc.fits", "is not there: clients will ask for tiles that do not exist")
        return
    try:
        cells = read_moc_cells(path, order)
    except Exception as error:  # noqa: BLE001 - the library raises errors of many kinds
        yield Fault("Moc.fits", f"cannot be read: {error}")
        return
    if cells != tiles:
        yield Fault("Moc.fits", "does not hold just the deepest tiles")
