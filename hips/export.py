"""The plain tree of a HiPS, whichever way it is kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from hips.media import TILE_EXTENSIONS, shown_files
from hips.names import MAX_ORDER
from hips.tiles.opening import open_tiles
from hips.tiles.tree import TileTree
from vodal.errors import UsageError

__all__ = ["export_tree"]


def export_tree(folder: Path, target: Path, step: Callable[[int], None] | None = None) -> int:
    """Copy a HiPS as the tree of files that HiPS 1.0 section 4.1 describes.

    Parameters
    ----------
    folder
        Of the HiPS.
    target
        Folder of the tree; not there yet, or empty. It takes its name when it is whole.
    step
        Told the number of tiles so far.

    Returns
    -------
    int
        The number of tiles, each format counted.

    Raises
    ------
    UsageError
        If there is something in the target already, or it cannot be written.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target} is there already; name a folder that is not, or is empty")
    partial = target.with_name(f".{target.name}.part")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        count = _copy(folder, partial, step)
        partial.replace(target)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise UsageError(f"the HiPS cannot be copied to {target}: {error.strerror}") from None
    return count


def _copy(folder: Path, target: Path, step: Callable[[int], None] | None) -> int:
    tiles, tree, count = open_tiles(folder), TileTree(target), 0
    for order in range(MAX_ORDER + 1):
        for extension in TILE_EXTENSIONS:
            for npix in tiles.tiles(order, extension):
                data = tiles.read(order, npix, extension)
                if data is None:
                    raise UsageError("the HiPS was replaced while it was copied; copy it again")
                tree.write(order, npix, extension, data)
                count += 1
                if step is not None:
                    step(count)
    for name in shown_files(folder):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, target / name)
    return count
