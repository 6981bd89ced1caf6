"""How a HiPS keeps its tiles: found out, or chosen for one in the making."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

from hips.names import BUILD_FOLDER
from hips.tiles.base import Tiles
from hips.tiles.packed import LAYOUT_FILE, PackedTree, parse_layout, roots_of
from hips.tiles.tree import TileTree
from vodal.errors import DataError

__all__ = ["Kind", "open_tiles", "tiles_in_the_making"]

Kind = Literal["tree", "packed"]


def open_tiles(folder: Path) -> Tiles:
    """Give the tiles of a HiPS, whichever way it keeps them.

    Raises
    ------
    DataError
        If it has packs whose layout cannot be read.
    """
    try:
        text = (folder / LAYOUT_FILE).read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return TileTree(folder)
    try:
        return PackedTree(folder, parse_layout(text))
    except ValueError as error:
        raise DataError(f"the HiPS '{folder.name}' cannot be read: {error}") from None


def tiles_in_the_making(folder: Path, kind: Kind, top: int) -> Tiles:
    """Give the tiles of a HiPS that is being made; drops those that are kept another way.

    Parameters
    ----------
    folder
        Where it is made.
    kind
        How its tiles are to be kept.
    top
        Order of the shards.
    """
    packed = PackedTree(folder, roots_of(top))
    tiles: Tiles = packed if kind == "packed" else TileTree(folder)
    there = open_tiles(folder)
    if there != tiles:
        there.clear()
        # They tell of tiles that are no more.
        shutil.rmtree(folder / BUILD_FOLDER / "records", ignore_errors=True)
        if tiles is packed:
            packed.save_layout()
    return tiles
