"""The images of files, to be stitched on the command line."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from soda.source import Source
from soda.stitch.request import StitchInput
from vodal.errors import DataError
from vodal.fits.opening import open_scanned
from vodal.fits.planes import group_planes
from vodal.fits.stripped import stripped
from vodal.storage import LOCAL, Storage

__all__ = ["inputs_of_file"]


def inputs_of_file(file: Path | str, storage: Storage = LOCAL) -> list[StitchInput]:
    """Give the images of a file; of a camera's file those of all its chips.

    Parameters
    ----------
    file
        Its path, or its URI.
    storage
        Opens a URI.

    Raises
    ------
    DataError
        If it is no FITS file, damaged, or has no image.
    """
    uri = file.resolve().as_uri() if isinstance(file, Path) else file
    name = unquote(urlsplit(uri).path.rpartition("/")[2])
    index, reader = open_scanned(uri, storage=storage)
    reader.__exit__(None, None, None)
    groups = group_planes(index)
    if not groups:
        raise DataError(f"{name} has no image")
    several = len(groups) > 1
    return [
        StitchInput(
            Source(
                uri,
                stripped(index, group.hdus),
                group.hdus,
                f"{name}:{group.label}" if several else "",
                storage=storage,
            )
        )
        for group in groups
    ]
