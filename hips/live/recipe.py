"""What the tiles of a live HiPS are made by: as the built HiPS is, or chosen once and kept."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hips.background.kept import Backgrounds
from hips.live.images import KnownRecipe, LiveImage
from hips.settings import HipsSettings
from vodal.errors import DataError, NotFoundError

if TYPE_CHECKING:
    from hips.recipe import Recipe

__all__ = ["known_recipe", "settle"]


def known_recipe(folder: Path, settings: HipsSettings) -> KnownRecipe | None:
    """Give the recipe that is kept in a folder; None if there is none for these settings."""
    from hips.recipe import Recipe  # noqa: PLC0415 - for workers only

    recipe = Recipe.load(folder, settings)
    if recipe is None or recipe.stretch is None:
        return None
    return _known(recipe, Backgrounds.load(folder) if settings.background == "match" else None)


def _known(recipe: Recipe, backgrounds: Backgrounds | None) -> KnownRecipe:
    assert recipe.stretch is not None
    cuts = recipe.stretch.low, recipe.stretch.high
    return KnownRecipe(
        recipe.to_text(), recipe.digest, recipe.order, recipe.image_arcsec, cuts,
        recipe.pixel_arcsec, recipe.zero_point_mag, recipe.data_range, backgrounds,
    )  # fmt: skip


def settle(images: Sequence[LiveImage], settings: HipsSettings, folder: Path) -> KnownRecipe | None:
    """Choose a recipe as the generator does, from these images' headers, and keep it.

    Parameters
    ----------
    images
        By identifier; of a large selection some that stand for all.
    settings
        How HiPS are made.
    folder
        Where it is kept.

    Returns
    -------
    KnownRecipe or None
        None if no image can be used.
    """
    import numpy as np  # noqa: PLC0415

    from hips.live.seen import see  # noqa: PLC0415
    from hips.plan import calibration_of  # noqa: PLC0415
    from hips.recipe import Recipe  # noqa: PLC0415
    from hips.schedule import SAMPLE_IMAGES  # noqa: PLC0415
    from vodal.pictures.levels import sky_and_noise  # noqa: PLC0415

    usable = []
    for image in images:
        try:
            usable.append(see(image, settings))
        except (DataError, NotFoundError):
            continue
    if not usable:
        return None
    recipe = Recipe.choose({n: seen.facts for n, seen in enumerate(usable)}, settings)
    samples = []
    for seen in usable[:: max(1, -(-len(usable) // SAMPLE_IMAGES))]:
        try:
            values = seen.sample(calibration_of(seen.facts, recipe))
        except (DataError, NotFoundError):
            continue
        finally:
            seen.image.close()
        samples.append(values)
    if not samples:
        return None
    backgrounds = None
    if settings.background != "none":
        levels = [sky_and_noise(values)[0] if values.size else 0.0 for values in samples]
        common = 0.0
        if settings.background == "match":
            # Images have no corrections before they are built, but a level in common.
            common = statistics.median(levels)
            backgrounds = Backgrounds(common)
            backgrounds.save(folder)
        for values, level in zip(samples, levels, strict=True):
            np.subtract(values, np.float32(level - common), out=values)
    recipe = recipe.settled(samples)
    recipe.save(folder)
    return _known(recipe, backgrounds)
