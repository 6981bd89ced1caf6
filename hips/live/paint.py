"""What of live HiPS in colour runs in the pool's processes."""

from __future__ import annotations

from collections.abc import Sequence

from hips.color.scale import ColorScale
from hips.formats import Encoding, decode_picture

__all__ = ["paint_allsky", "paint_tile"]


def paint_tile(
    tiles: Sequence[bytes | None], scale: str, encoding: Encoding, extension: str
) -> bytes:
    """Paint a tile.

    Parameters
    ----------
    tiles
        Of each band, its FITS tile; None where it has none, but not of all.
    scale
        As `ColorScale.to_json` wrote it.
    encoding, extension
        In which format.
    """
    from hips.color.paint import paint  # noqa: PLC0415 - heavy, and for workers only
    from hips.encode import read_fits  # noqa: PLC0415

    pixels = [None if tile is None else read_fits(tile) for tile in tiles]
    return encoding.colors(extension, paint(pixels, ColorScale.from_json(scale)))


def paint_allsky(tiles: Sequence[tuple[int, bytes]], encoding: Encoding, extension: str) -> bytes:
    """Put tiles of order 3 together to one picture.

    Parameters
    ----------
    tiles
        Number and picture of each.
    encoding, extension
        In which format.
    """
    from hips.allsky import color_cell_of, color_picture  # noqa: PLC0415

    cells = {npix: color_cell_of(decode_picture(tile)) for npix, tile in tiles}
    return encoding.colors(extension, color_picture(cells))
