"""A cutout as a picture: one plane, averaged to the size asked for, stretched and coloured.

Of a cube the middle plane is shown, or the first where there are few (Stokes I). A picture's pixel
is outside of the stencil if its centre is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from soda.distance import signed_distance, unit_vectors
from soda.grid import Grid, north_grid, regridded, tangent_cards
from soda.output import Look, Output
from soda.plan import PlaneSky, Section, image_planes, plan_sections, plane_skies
from soda.selection import Selection
from soda.source import Source
from soda.stopwatch import Stopwatch
from vodal.errors import DataError, TooLargeError, UsageError
from vodal.fits.headers import text_cards, value_card
from vodal.fits.index import HduIndex
from vodal.fits.pixels import physical, read_sections
from vodal.pictures.colormaps import colored
from vodal.pictures.encode import PictureType, encode_picture
from vodal.pictures.levels import find_cuts, stretched
from vodal.pictures.resize import Shrinker, enlarged
from vodal.regions import Region
from vodal.storage import RangeReader

__all__ = [
    "Piece",
    "SkyOf",
    "blank_outside",
    "draw",
    "find_piece",
    "finished",
    "painted",
    "size_of",
]

Pixels = NDArray[np.float32]
SkyOf = Callable[[HduIndex], PlaneSky]

_FEW_PLANES: Final = 4
_BAND_PIXELS: Final = 1 << 22
"""Pixels that are made floats at a time."""
_STRIP_PIXELS: Final = 1 << 24
"""Pixels that are read at a time."""
_TIMES_LIMIT: Final = 8
"""More than the limit can be read for a picture, as it is not held; but not in any time."""


@dataclass(frozen=True)
class Piece:
    """The part of one plane that a picture is made of, before it is read."""

    hdu: HduIndex
    slices: tuple[slice, ...]
    """Of one plane, all with start and stop."""
    height: int
    width: int
    grid: Grid | None
    """None where the image has no place on the sky."""
    y_axis: int
    """That of the rows, in numpy order; the columns' is a later one."""

    def read(self, reader: RangeReader, shape: tuple[int, int], watch: Stopwatch) -> Pixels:
        """Read physical values, averaged to rows and columns of this shape; NaN where blank.

        Strips of rows are read one after the other, so that memory does not grow with the piece.
        """
        shrinker = Shrinker((self.height, self.width), shape)
        header = self.hdu.image_header
        step = max(1, _BAND_PIXELS // max(1, self.width))
        for rows in self._strips():
            slices = list(self.slices)
            slices[self.y_axis] = rows
            (strip,) = read_sections(reader, [(self.hdu, tuple(slices))], tally=watch.tally)
            watch.lap("read")
            stored = strip.reshape(-1, self.width)
            for start in range(0, len(stored), step):
                shrinker.add(physical(stored[start : start + step], header))
            watch.lap("resample")
        return shrinker.result()

    def _strips(self) -> Iterator[slice]:
        """Give the rows that are read at a time; as few tiles as can be are cut in two."""
        rows = self.slices[self.y_axis]
        tile = 1 if self.hdu.tiles is None else self.hdu.tiles.tile_shape[self.y_axis]
        step = max(tile, _STRIP_PIXELS // max(1, self.width) // tile * tile)
        start = rows.start
        while start < rows.stop:
            stop = min(rows.stop, start // tile * tile + step)
            yield slice(start, stop)
            start = stop


def find_piece(
    source: Source, selection: Selection, sky_of: SkyOf, limit_bytes: int | None
) -> Piece | None:
    """Find which pixels a picture is made of; None if the selection meets none.

    Raises
    ------
    TooLargeError
        If they take more than eight times the limit's bytes.
    UsageError
        If the selection names what the dataset does not have, or headers alone.
    DataError
        If the dataset has no image of two axes, or coordinates that cannot be cut.
    """
    if selection.header_only:
        raise UsageError("KIND=HEADER gives headers, of which no picture is made; ask for FITS")
    sections = plan_sections(source.index, source.hdus, selection, sky_of, source.extent)
    if not sections:
        return None
    section = next((one for one in sections if one.hdu == source.hdus[0]), sections[0])
    hdu = source.index.hdus[section.hdu]
    if len(hdu.shape) < 2:
        raise DataError("the image has only one axis, of which no picture can be made")
    sky = None
    # A picture of the whole needs no coordinates.
    with suppress(*(() if selection.stencil is not None else (DataError,))):
        planes = plane_skies(image_planes(source.index, source.hdus), sky_of)
        sky = next((one for plane, one in planes if plane.number == hdu.number), None)
    x_axis, y_axis = (len(hdu.shape) - 1, len(hdu.shape) - 2) if sky is None else sky.axes_of(hdu)
    piece = _piece(hdu, section, x_axis, y_axis, sky)
    size = piece.height * piece.width * abs(hdu.bitpix) // 8
    if limit_bytes is not None and size > _TIMES_LIMIT * limit_bytes:
        raise TooLargeError(
            f"the picture would be made of {size / 1e6:.3g} MB of pixels, over the limit of "
            f"{_TIMES_LIMIT * limit_bytes / 1e6:.3g} MB; ask for a smaller region"
        )
    return piece


def _piece(
    hdu: HduIndex, section: Section, x_axis: int, y_axis: int, sky: PlaneSky | None
) -> Piece:
    slices = list(section.slices)
    for axis, part in enumerate(slices):
        if axis not in {x_axis, y_axis}:
            places = range(part.start, part.stop, part.step or 1)
            place = places[0 if len(places) <= _FEW_PLANES else len(places) // 2]
            slices[axis] = slice(place, place + 1)
    x, y = slices[x_axis], slices[y_axis]
    height, width = y.stop - y.start, x.stop - x.start
    grid = None
    if sky is not None:
        grid = Grid(sky.image.sky, float(x.start), float(y.start), 1.0, 1.0, width, height)
    return Piece(hdu, tuple(slices), height, width, grid, y_axis)


def size_of(height: int, width: int, look: Look) -> tuple[int, int]:
    """Give rows and columns to which an image is averaged; as it is where it is small enough."""
    longest = max(height, width)
    side = min(longest, look.max_side if look.size is None else look.size)
    return max(1, round(height * side / longest)), max(1, round(width * side / longest))


def draw(
    reader: RangeReader,
    source: Source,
    selection: Selection,
    output: Output,
    sky_of: SkyOf,
    limit_bytes: int | None,
    watch: Stopwatch,
) -> bytes | None:
    """Make a picture in levels of grey or of a colour map.

    Returns
    -------
    bytes or None
        None if the selection meets no pixel.

    Raises
    ------
    TooLargeError, DataError
        As `find_piece`.
    UsageError
        If the picture cannot be turned as is asked.
    """
    look = output.look
    piece = find_piece(source, selection, sky_of, limit_bytes)
    if piece is None:
        return None
    target = piece.grid
    if look.orient == "north":
        if target is None:
            raise UsageError("ORIENT=north needs an image with coordinates on the sky")
        target = north_grid(target)
    watch.lap("index")
    if target is None or look.orient == "pixels":
        shape = size_of(piece.height, piece.width, look)
        values = piece.read(reader, shape, watch)
        target = None if target is None else target.scaled(shape[1], shape[0])
    else:
        assert piece.grid is not None
        shape = size_of(target.ny, target.nx, look)
        factor = max(1.0, target.nx / shape[1])
        small = math.ceil(piece.height / factor), math.ceil(piece.width / factor)
        grid = piece.grid.scaled(small[1], small[0])
        target = target.scaled(shape[1], shape[0])
        values = regridded(piece.read(reader, small, watch), grid, target, look.sampling)
    if target is not None and output.outside != "keep" and selection.stencil is not None:
        values = blank_outside(values, target, selection.stencil)
    watch.lap("resample")
    picture = painted(values, target, output, source.did)
    watch.lap("encode")
    return picture


def painted(values: Pixels, grid: Grid | None, output: Output, did: str) -> bytes:
    """Stretch and colour values, and write the picture.

    Parameters
    ----------
    values
        Rows from the bottom up, NaN where blank.
    grid, output, did
        As `finished`.
    """
    look = output.look
    low, high = find_cuts(values, look.cuts)
    levels = stretched(values, low, high, look.stretch)
    pixels = colored(levels, look.colormap, invert=look.invert)
    notes = [
        value_card("PICBLACK", repr(low), "value shown as black"),
        value_card("PICWHITE", repr(high), "value shown as white"),
        *text_cards("PICSTRCH", look.stretch, "stretch between them"),
    ]
    return finished(pixels, grid, output, did, notes)


def blank_outside(values: Pixels, grid: Grid, stencil: Region) -> Pixels:
    """Make those pixels of a picture NaN whose centres are outside of a stencil."""
    distance = signed_distance(stencil)
    out = values.copy()
    step = max(1, _BAND_PIXELS // 16 // max(1, grid.nx))
    x = np.arange(grid.nx, dtype=np.float64)
    for start in range(0, grid.ny, step):
        y = np.arange(start, min(start + step, grid.ny), dtype=np.float64)
        ra, dec = grid.to_icrs(*np.meshgrid(x, y))
        outside = ~np.isfinite(ra)
        outside[~outside] = distance(unit_vectors(ra[~outside], dec[~outside])) > 0.0
        out[start : start + step][outside] = np.nan
    return out


def finished(
    pixels: NDArray[np.uint8],
    grid: Grid | None,
    output: Output,
    did: str,
    notes: list[str],
) -> bytes:
    """Enlarge a picture if that is asked for, and write it.

    Parameters
    ----------
    pixels
        Rows from the bottom up, with opacity.
    grid
        Where they are on the sky.
    output
        Format and look.
    did
        The dataset.
    notes
        FITS cards that tell how the picture was made.
    """
    look = output.look
    height, width = pixels.shape[:2]
    if look.size is not None and look.size > max(height, width):
        longest = max(height, width)
        height = max(1, round(height * look.size / longest))
        width = max(1, round(width * look.size / longest))
        pixels = enlarged(pixels, (height, width))
        grid = None if grid is None else grid.scaled(width, height)
    cards = [] if grid is None else tangent_cards(grid)
    cards += text_cards("CUTID", did) if did else []
    comment = "\n".join(card.rstrip() for card in [*cards, *notes, "END"])
    return encode_picture(
        pixels[::-1],
        cast(PictureType, output.format.media_type),
        background=255 if look.invert else 0,
        comment=comment,
    )
