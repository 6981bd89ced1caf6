"""What is decided once for a HiPS and then kept: depth, common scale, weights, grey levels.

Kept beside the tiles, so that a later build of the same HiPS makes the same tiles of the same
images: a new image changes those it touches and no other.
"""

from __future__ import annotations

import hashlib
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from hips.images import ImageFacts
from hips.names import BUILD_FOLDER, MAX_ORDER, pixel_size_arcsec
from hips.settings import Conserved, HipsSettings
from hips.stretch import Stretch, choose_stretch

__all__ = ["BUILD_FOLDER", "MIN_ORDER", "Recipe", "choose_order", "digest_of"]

Pixels = NDArray[np.float32]

MIN_ORDER: Final = 3
"""Of the deepest tiles: clients ask for order 3 whatever the properties say."""

_FILE: Final = "recipe.json"
_TILES_VERSION: Final = 2
"""Of the code that makes pixels: to be raised when the same images would give other tiles."""
_SETTINGS: Final = (
    "frame", "order", "order_tolerance", "kernel", "conserve", "coadd", "weights", "feather",
    "background", "photometry", "zero_point_mag", "zero_point_keywords", "mask_names", "mask_bits",
    "order_shard",
)  # fmt: skip
"""Settings by which tiles differ."""


def digest_of(*parts: object) -> str:
    """Give 16 hexadecimal digits that differ where the parts do (numbers, texts, bytes, tuples)."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        data = part if isinstance(part, bytes) else repr(part).encode()
        digest.update(f"{len(data)}:".encode())
        digest.update(data)
    return digest.hexdigest()


def choose_order(scale_arcsec: float, tolerance: float = 0.0) -> int:
    """Give the first order whose pixel is smaller than the images' (HiPS 1.0 section 2.2).

    Parameters
    ----------
    scale_arcsec
        Side of the images' pixel.
    tolerance
        By which fraction the order's pixel may be larger all the same.
    """
    for order in range(MIN_ORDER, MAX_ORDER):
        if pixel_size_arcsec(order) <= scale_arcsec * (1.0 + tolerance):
            return order
    return MAX_ORDER


@lru_cache(maxsize=8)
def _digest(recipe: Recipe) -> str:
    """Tell recipes apart; asked for each tile."""
    values = asdict(recipe)
    del values["data_range"]
    return digest_of(json.dumps(values, sort_keys=True))


@dataclass(frozen=True, slots=True)
class Recipe:
    """What tiles are made by, beside the images."""

    settings: str
    """Digest of the settings by which tiles differ, and of the version of the code."""
    order: int
    """Of the deepest tiles."""
    top: int
    """Order of the shards."""
    conserve: Conserved
    """What the tiles' values keep."""
    pixel_arcsec: float
    """Side of the pixel that the tiles' values refer to: the images', or the deepest tiles' own if
    flux is conserved."""
    image_arcsec: float
    """Side of the images' pixels, of the one in the middle."""
    zero_point_mag: float | None
    """Common zero point of the tiles' values; None if the images are as they were."""
    exposure_s: float | None
    """Weight of an image whose exposure time is not known; None if all count alike."""
    stretch: Stretch | None = None
    """From values to grey levels; None until the first images have been decoded."""
    data_range: tuple[float, float] | None = None
    """Lowest and highest of the values that the grey levels were chosen from; tiles do not depend
    on it. None if it was not kept."""

    @staticmethod
    def digest_of_settings(settings: HipsSettings) -> str:
        """Tell settings apart by which tiles would differ."""
        values = [repr(getattr(settings, name)) for name in _SETTINGS]
        return digest_of(_TILES_VERSION, *values)

    @classmethod
    def choose(cls, facts: Mapping[int, ImageFacts], settings: HipsSettings) -> Self:
        """Decide from the headers of the images, one at least."""
        pixel = statistics.median(fact.scale_arcsec for fact in facts.values())
        order = settings.order or choose_order(pixel, settings.order_tolerance)
        points = [fact.zero_point_mag is not None for fact in facts.values()]
        times = [fact.exposure_s or 0.0 for fact in facts.values()]
        alike = settings.weights != "exposure" or not all(time > 0.0 for time in times)
        return cls(
            settings=cls.digest_of_settings(settings),
            order=order,
            top=max(0, order - settings.order_shard),
            conserve=settings.conserve,
            pixel_arcsec=pixel_size_arcsec(order) if settings.conserve == "flux" else pixel,
            image_arcsec=pixel,
            zero_point_mag=settings.zero_point_mag if settings.photometry and all(points) else None,
            exposure_s=None if alike else statistics.median(times),
        )

    def settled(self, samples: Sequence[Pixels]) -> Self:
        """Complete it by values of some of the images."""
        ends = [end for values in samples if values.size for end in (values.min(), values.max())]
        span = (float(min(ends)), float(max(ends))) if ends else None
        return replace(self, stretch=choose_stretch(samples), data_range=span)

    @property
    def digest(self) -> str:
        """Tells recipes apart by which tiles would differ."""
        return _digest(self)

    def save(self, folder: Path) -> None:
        """Keep it in the HiPS's folder."""
        path = folder / BUILD_FOLDER / _FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        partial.write_text(self.to_text(), "utf-8")
        partial.replace(path)

    def to_text(self) -> str:
        """Write it down."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `to_text` wrote.

        Raises
        ------
        ValueError, TypeError, KeyError, AttributeError
            If it is something else.
        """
        values: dict[str, Any] = json.loads(text)
        stretch, span = values.pop("stretch"), values.pop("data_range", None)
        low_high = None if span is None else (float(span[0]), float(span[1]))
        return cls(**values, stretch=stretch and Stretch(**stretch), data_range=low_high)

    @classmethod
    def load(cls, folder: Path, settings: HipsSettings) -> Self | None:
        """Read the recipe of a HiPS; None if there is none, or it is one of other settings."""
        try:
            recipe = cls.parse((folder / BUILD_FOLDER / _FILE).read_text("utf-8"))
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None
        usable = recipe.settings == cls.digest_of_settings(settings)
        return recipe if usable and math.isfinite(recipe.pixel_arcsec) else None
