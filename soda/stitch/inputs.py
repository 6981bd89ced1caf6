"""The images that are stitched: what their headers say, and their files while they are read."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from soda.source import Source, SourceChangedError
from soda.stitch.request import Rules, StitchInput
from vodal.errors import ChangedError, DataError, NotFoundError
from vodal.fits.calibration import (
    bad_bits,
    header_number,
    unit_of,
    zero_point_mag,
)
from vodal.fits.index import HduIndex
from vodal.fits.opened import OpenImage
from vodal.fits.wcs import pixel_scale_arcsec

__all__ = ["Input", "OpenFiles", "blamed", "look"]

_OPEN: Final = 16
"""Files that are open at a time."""


@dataclass(frozen=True, slots=True)
class Input:
    """An image and what its headers say."""

    name: str
    image: OpenImage
    scale_arcsec: float
    """Side of a pixel at its centre."""
    unit: str
    zero_point_mag: float | None
    exposure_s: float | None
    mask: HduIndex | None
    bits: int
    """Of the mask, whose pixels are not used."""


@contextmanager
def blamed(name: str, uri: str) -> Iterator[None]:
    """Name the dataset in errors of its file, and the file that changed."""
    try:
        yield
    except ChangedError as error:
        raise SourceChangedError(error.message, uri) from None
    except NotFoundError:
        raise DataError(f"the file of {name} is not there any more") from None
    except DataError as error:
        raise DataError(f"{name}: {error.message}") from None


def look(inputs: Sequence[StitchInput], rules: Rules, files: OpenFiles) -> list[Input]:
    """Read the headers of images, and hold their files against them.

    Raises
    ------
    DataError
        If one cannot be put on the sky, or is a cube.
    SourceChangedError
        If a file is not the one that was indexed; of files on servers when they are read.
    """
    return [_look(one, rules, files) for one in inputs]


def _look(one: StitchInput, rules: Rules, files: OpenFiles) -> Input:
    with blamed(one.name, one.source.uri):
        image = OpenImage(
            one.source.uri, one.source.index, one.source.hdus, storage=one.source.storage
        )
        files.use(image)
        _check(one.source, image)
        ny, nx = image.shape
        scale = pixel_scale_arcsec(image.wcs, (nx - 1) / 2.0, (ny - 1) / 2.0)
        if not (math.isfinite(scale) and scale > 0.0):
            scale = pixel_scale_arcsec(image.wcs)
        if not (math.isfinite(scale) and scale > 0.0):
            raise DataError("the size of its pixels cannot be told")
    mask = image.mask()
    exposure = one.exposure_s
    for header in image.headers:
        exposure = exposure or header_number(header, "EXPTIME")
    return Input(
        one.name,
        image,
        scale,
        unit_of(image.hdu.image_header),
        zero_point_mag(image.headers, rules.zero_point_keywords),
        exposure if exposure and exposure > 0.0 else None,
        mask,
        0 if mask is None else bad_bits(mask.header, rules.mask_names),
    )


def _check(source: Source, image: OpenImage) -> None:
    """See that a file is the one that was indexed, even if none of its pixels will be wanted."""
    if source.index.encoding:
        # Without decompressing it.
        with source.storage.open(source.uri, source.index.version) as stored:
            stored.stat()
    else:
        image.open()


class OpenFiles:
    """Closes the files that were used longest ago, so that few are open."""

    def __init__(self) -> None:
        self._open: OrderedDict[int, OpenImage] = OrderedDict()

    def use(self, image: OpenImage) -> None:
        """Tell that an image is about to be read."""
        self._open[id(image)] = image
        self._open.move_to_end(id(image))
        if len(self._open) > _OPEN:
            _, oldest = self._open.popitem(last=False)
            oldest.close()

    def close(self) -> None:
        """Close all."""
        for image in self._open.values():
            image.close()
        self._open.clear()
