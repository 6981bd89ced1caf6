"""The images of plain files, to be stitched on the command line."""

from __future__ import annotations

from pathlib import Path

from soda.source import Source
from soda.stitch.request import StitchInput
from vodal.errors import DataError
from vodal.fits.planes import group_planes
from vodal.fits.scan import scan_file

__all__ = ["inputs_of_file"]


def inputs_of_file(path: Path) -> list[StitchInput]:
    """Give the images of a file; of a camera's file those of all its chips.

    Raises
    ------
    DataError
        If it is no FITS file, damaged, or has no image.
    """
    index = scan_file(path)
    groups = group_planes(index)
    if not groups:
        raise DataError(f"{path.name} has no image")
    several = len(groups) > 1
    return [
        StitchInput(
            Source(
                path.resolve().as_uri(),
                index,
                group.hdus,
                f"{path.name}:{group.label}" if several else "",
            )
        )
        for group in groups
    ]
