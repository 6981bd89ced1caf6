"""Three cutouts as one picture in colour.

The grid of the picture is that of the first dataset, or north up; the two others are brought to it
by `vodal.resample`, averaged before where they are much finer. Seeing and zero points are not
matched: black, balance and stretch are chosen from the pixels themselves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from soda.grid import Grid, north_grid, regridded
from soda.output import Output
from soda.picture import Piece, SkyOf, blank_outside, find_piece, finished, size_of
from soda.selection import Selection
from soda.source import Source
from soda.stopwatch import Stopwatch
from vodal.errors import UsageError
from vodal.fits.headers import text_cards, value_card
from vodal.pictures.lupton import choose_balance, paint_bands
from vodal.regions import Circle
from vodal.resample.block import Sampling
from vodal.storage import RangeReader

__all__ = ["draw_color"]

_LARGEST_RATIO: Final = 8.0
_SAMPLE: Final = 250_000
"""Places from which the balance is chosen."""
_NAMES: Final = ("red", "green", "blue")


def draw_color(
    readers: Sequence[RangeReader],
    sources: Sequence[Source],
    selection: Selection,
    output: Output,
    skies: Sequence[SkyOf],
    limit_bytes: int | None,
    watch: Stopwatch,
) -> bytes | None:
    """Make a picture of three datasets.

    Parameters
    ----------
    readers, sources
        Of red, green and blue.
    selection
        The part of the sky; of the first dataset all where it names none.
    output
        Format and look.
    skies
        Each gives the sky of an image of the dataset.
    limit_bytes
        The most that is read of one dataset.
    watch
        Counts what the steps take.

    Returns
    -------
    bytes or None
        None if one of the datasets has no pixel there.

    Raises
    ------
    UsageError
        If the pixels of the datasets differ too much in size, or have no place on the sky.
    TooLargeError, DataError
        As `soda.picture.find_piece`.
    """
    first = find_piece(sources[0], selection, skies[0], limit_bytes)
    if first is None:
        return None
    target = _target(first, output)
    around = replace(selection, stencil=Circle(*target.circle()), pixels=())
    bands: list[NDArray[np.float32]] = []
    for name, reader, source, sky_of in zip(_NAMES, readers, sources, skies, strict=True):
        piece = find_piece(source, around, sky_of, limit_bytes)
        watch.lap("index")
        if piece is None:
            return None
        bands.append(_band(name, piece, reader, first, target, output.look.sampling, watch))
    if output.outside != "keep" and selection.stencil is not None:
        bands = [blank_outside(band, target, selection.stencil) for band in bands]
        watch.lap("resample")
    together = np.stack([band.ravel() for band in bands])
    places = np.flatnonzero(np.isfinite(together).all(axis=0))
    places = places[:: max(1, len(places) // _SAMPLE)]
    balance = choose_balance(list(together[:, places]))
    look = output.look
    if look.brightness is not None:
        balance = replace(balance, stretch=look.brightness)
    pixels = paint_bands(bands, balance, look.softening)
    if look.invert:
        shown = pixels[..., 3] > 0
        pixels[shown, :3] = 255 - pixels[shown, :3]
    notes = [
        *(card for name, one in zip("RGB", sources, strict=True)
          for card in text_cards(f"CUTID{name}", one.did)),
        *_numbered("PICBLK", balance.black),
        *_numbered("PICGAI", balance.gain),
        value_card("PICSTRCH", repr(balance.stretch), "brightness where the asinh bends"),
        value_card("PICQ", repr(look.softening), "Q of Lupton et al. 2004"),
    ]  # fmt: skip
    picture = finished(pixels, target, output, "", notes)
    watch.lap("encode")
    return picture


def _numbered(stem: str, values: Sequence[float]) -> list[str]:
    return [value_card(f"{stem}{name}", repr(v)) for name, v in zip("RGB", values, strict=True)]


def _target(first: Piece, output: Output) -> Grid:
    """Give the grid of the picture's pixels."""
    if first.grid is None:
        raise UsageError("COMBINE=rgb: the first dataset has no coordinates on the sky")
    grid = north_grid(first.grid) if output.look.orient == "north" else first.grid
    rows, columns = size_of(grid.ny, grid.nx, output.look)
    return grid.scaled(columns, rows)


def _band(
    name: str,
    piece: Piece,
    reader: RangeReader,
    first: Piece,
    target: Grid,
    sampling: Sampling,
    watch: Stopwatch,
) -> NDArray[np.float32]:
    if piece.grid is None or first.grid is None:
        raise UsageError(f"COMBINE=rgb: the dataset for {name} has no coordinates on the sky")
    own, of_first, wanted = (grid.scale_arcsec() for grid in (piece.grid, first.grid, target))
    ratio = own / of_first
    if not 1.0 / _LARGEST_RATIO <= ratio <= _LARGEST_RATIO:
        raise UsageError(
            f"COMBINE=rgb: the pixels of the dataset for {name} are {own:.3g} arcsec wide, those of"
            f" the first {of_first:.3g} arcsec; up to {_LARGEST_RATIO:g} times is accepted"
        )
    # Finer pixels are averaged to about the size of the picture's.
    factor = max(1.0, wanted / own)
    shape = math.ceil(piece.height / factor), math.ceil(piece.width / factor)
    grid = piece.grid.scaled(shape[1], shape[0])
    band = regridded(piece.read(reader, shape, watch), grid, target, sampling)
    watch.lap("resample")
    return band
