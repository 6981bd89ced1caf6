"""An image as it is sent to a worker, and what a worker is asked and answers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from typing_extensions import override

from hips.background.kept import Backgrounds, Plane
from hips.frames import Frame
from hips.settings import HipsSettings
from hips.view import View
from vodal.fits.index import FileIndex
from vodal.fits.stripped import stripped
from vodal.pool.kept import Kept, new_number
from vodal.products import Product
from vodal.storage import LOCAL, Storage

__all__ = [
    "AllskyJob",
    "KnownRecipe",
    "LiveImage",
    "MadePreview",
    "MadeTile",
    "PreviewJob",
    "TileJob",
    "exposure_of",
    "number_of",
]


@dataclass(frozen=True, slots=True)
class LiveImage(Kept):
    """An image, with what of its file's index is needed to read it."""

    did: str
    uri: str
    version: str
    index: FileIndex
    hdus: tuple[int, ...]
    """Image plane first."""
    exposure_s: float | None
    t_min_mjd: float | None = None
    """When the observation began."""
    storage: Storage = LOCAL
    """Opens the file."""
    number: int = field(default_factory=new_number, init=False, compare=False, repr=False)
    """By which a worker knows it again."""

    @classmethod
    def of(cls, product: Product, index: FileIndex, storage: Storage) -> LiveImage:
        """Make it of a product and its file's index."""
        return cls(
            product.did, product.uri, product.version, stripped(index, product.hdus),
            product.hdus, exposure_of(product), number_of(product, "t_min"), storage,
        )  # fmt: skip

    @property
    @override
    def kept_number(self) -> int:
        return self.number


def exposure_of(product: Product) -> float | None:
    """Give the exposure time of a product's row in seconds, if it has a sensible one."""
    time_s = number_of(product, "t_exptime")
    return time_s if time_s is not None and time_s > 0.0 else None


def number_of(product: Product, name: str) -> float | None:
    """Give a finite number of a product's ObsCore row."""
    value = product.obscore.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


@dataclass(frozen=True, slots=True)
class KnownRecipe:
    """A recipe, as much of it as the server's process uses."""

    text: str
    """As `hips.recipe.Recipe` keeps it."""
    digest: str
    order: int
    """Of the deepest tiles."""
    image_arcsec: float
    """Side of the images' pixels."""
    cuts: tuple[float, float]
    """Black and white of grey pictures."""
    pixel_arcsec: float
    """This and the following as `hips.recipe.Recipe` has them."""
    zero_point_mag: float | None
    data_range: tuple[float, float] | None
    backgrounds: Backgrounds | None = None
    """Of the images, if these are matched."""


@dataclass(frozen=True, slots=True)
class TileJob:
    """A tile that is to be made."""

    order: int
    npix: int
    extension: str
    """``fits``, or of a picture: ``png``, ``jpg`` or ``webp``; or ``cell``, the values of the tile
    averaged to 64 x 64 pixels, as native float32."""
    recipe: str
    """As `KnownRecipe.text`."""
    settings: HipsSettings
    images: tuple[LiveImage, ...]
    """Whose pixels are read, by identifier."""
    previews: tuple[Path, ...] = ()
    """Of other images."""
    planes: Mapping[str, Plane] = field(default_factory=dict)
    """Backgrounds of images that have been matched, by identifier."""
    level: float | None = None
    """To which the sky of the others is brought; None if it stays as it is."""


@dataclass(frozen=True, slots=True)
class AllskyJob:
    """A picture of all tiles of order 3 that is to be made."""

    recipe: str
    """As `KnownRecipe.text`."""
    settings: HipsSettings
    extension: str
    cells: tuple[tuple[int, bytes], ...]
    """By the tile's number, as a tile of the extension ``cell`` is made."""


@dataclass(frozen=True, slots=True)
class PreviewJob:
    """A picture of the first view that is to be drawn."""

    view: View
    deepest: int
    """Order of the deepest tiles."""
    frame: Frame
    quality: int
    """Of the JPEG."""
    pictures: tuple[tuple[int, bytes], ...]
    """By number, the tiles that `hips.preview.PreviewGrid` needs."""


@dataclass(frozen=True, slots=True)
class MadeTile:
    """What became of it."""

    body: bytes | None
    """None if it is blank."""
    lost: tuple[str, ...] = ()
    """Identifiers of images that it is without for want of their files."""
    changed: tuple[tuple[str, str], ...] = ()
    """URI and version of files that were not of that version any more."""


@dataclass(frozen=True, slots=True)
class MadePreview:
    """What became of a preview."""

    size_bytes: int = 0
    """Of its file; 0 if there is none."""
    reason: str = ""
    """Why not, if the image cannot be used."""
    changed: tuple[tuple[str, str], ...] = ()
    """As of a tile."""
