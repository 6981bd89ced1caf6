"""What runs in the pool's processes.

The server's process imports this module too, to name the functions; what they need is imported
when they run, or ahead of that by the pool (`PRELOAD`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hips.formats import decode_picture
from hips.live.images import (
    AllskyJob,
    KnownRecipe,
    LiveImage,
    MadePreview,
    MadeTile,
    PreviewJob,
    TileJob,
)
from hips.live.recipe import known_recipe, settle
from hips.preview import PreviewGrid
from hips.settings import HipsSettings
from vodal.errors import ChangedError, DataError, NotFoundError

__all__ = [
    "PRELOAD", "choose_recipe", "draw_preview", "make_allsky", "make_preview", "make_tile",
    "read_recipe", "warm_up",
]  # fmt: skip

PRELOAD = ("hips.live.render",)
"""Modules that a worker imports before its first request."""


def warm_up() -> None:
    """Load what is loaded only when a first tile is made."""
    from hips.cells import sky_of  # noqa: PLC0415
    from hips.encode import png_grey  # noqa: PLC0415
    from hips.stretch import Stretch  # noqa: PLC0415
    from vodal.resample.canvas import load  # noqa: PLC0415

    load()
    sky_of(3, 0, np.array([0.5]), np.array([0.5]))
    png_grey(Stretch(0.0, 1.0, 0.1).levels(np.zeros((8, 8), np.float32)))


def read_recipe(folder: Path, settings: HipsSettings) -> KnownRecipe | None:
    """Read a recipe; see `hips.live.recipe.known_recipe`."""
    return known_recipe(folder, settings)


def choose_recipe(
    images: Sequence[LiveImage], settings: HipsSettings, folder: Path
) -> KnownRecipe | None:
    """Choose a recipe; see `hips.live.recipe.settle`."""
    return settle(images, settings, folder)


def make_tile(job: TileJob) -> MadeTile:
    """Make a tile; see `hips.live.render.render_tile`.

    Raises
    ------
    ServiceUnavailable
        If the storage of an image does not answer.
    """
    from hips.live.render import render_tile  # noqa: PLC0415

    return render_tile(job)


def make_allsky(job: AllskyJob) -> bytes:
    """Make a picture of order 3; see `hips.live.render.render_allsky`."""
    from hips.live.render import render_allsky  # noqa: PLC0415

    return render_allsky(job)


def draw_preview(job: PreviewJob) -> bytes:
    """Draw ``preview.jpg``."""
    pictures = dict(job.pictures)

    def picture_of(npix: int) -> NDArray[np.uint8] | None:
        return decode_picture(pictures[npix]) if npix in pictures else None

    return PreviewGrid(job.view, job.deepest, job.frame).draw(picture_of, job.quality)


def make_preview(image: LiveImage, settings: HipsSettings, path: Path) -> MadePreview:
    """Make a preview; see `hips.live.previews.make_preview`.

    Raises
    ------
    ServiceUnavailable
        If the image's storage does not answer.
    """
    from hips.live import previews  # noqa: PLC0415

    try:
        return MadePreview(previews.make_preview(image, settings, path))
    except ChangedError:
        return MadePreview(changed=((image.uri, image.version),))
    except NotFoundError:
        return MadePreview()
    except DataError as error:
        return MadePreview(reason=error.message)
    except OSError:
        # A full or read-only disk: the tile goes without.
        return MadePreview()
