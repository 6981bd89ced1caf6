"""A tile from images' pixels and previews."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hips.allsky import CELL_WIDTH, allsky_picture, cell_of
from hips.background.kept import Plane
from hips.coadd import coadd_of
from hips.encode import fits_image, fits_tile, value_cards
from hips.formats import Encoding
from hips.live.images import AllskyJob, LiveImage, MadeTile, TileJob
from hips.live.previews import Preview, touched
from hips.live.seen import see
from hips.names import TILE_WIDTH
from hips.plan import calibration_of, weight_of
from hips.recipe import Recipe
from hips.tile import TileBlock
from vodal.errors import ChangedError, DataError, NotFoundError
from vodal.resample.canvas import Canvas
from vodal.resample.grid import pixel_grid

__all__ = ["Rendering", "render_allsky", "render_tile"]

Pixels = NDArray[np.float32]

_SHAPE: Final = (TILE_WIDTH, TILE_WIDTH)


def render_tile(job: TileJob) -> MadeTile:
    """Make a tile.

    At the deepest order it is, pixel by pixel, the generator's of the same images and recipe.

    Raises
    ------
    ServiceUnavailable
        If the storage of an image does not answer.
    """
    recipe = Recipe.parse(job.recipe)
    rendering = Rendering(job, recipe)
    for image in rendering.images():
        rendering.add(image)
    for path in job.previews:
        # What has fallen from the cache meanwhile is there again the next time.
        with suppress(FileNotFoundError):
            rendering.add_preview(Preview(path))
    tile = rendering.finish()
    lost, changed = tuple(rendering.lost), tuple(rendering.changed)
    return MadeTile(None if tile is None else _encoded(job, recipe, tile), lost, changed)


def _encoded(job: TileJob, recipe: Recipe, tile: Pixels) -> bytes:
    if job.extension == "fits":
        cards = value_cards(recipe.pixel_arcsec, recipe.zero_point_mag)
        return fits_tile(job.order, job.npix, tile, cards, job.settings.frame)
    if job.extension == "cell":
        return cell_of(tile).tobytes()
    assert recipe.stretch is not None
    encoding = Encoding.of_band(job.settings)
    return encoding.grey(job.extension, recipe.stretch.levels(tile))


def render_allsky(job: AllskyJob) -> bytes:
    """Put the cells of tiles together to the picture of order 3."""
    recipe, shape = Recipe.parse(job.recipe), (CELL_WIDTH, CELL_WIDTH)
    cells = {npix: np.frombuffer(cell, np.float32).reshape(shape) for npix, cell in job.cells}
    picture = allsky_picture(cells)
    if job.extension == "fits":
        return fits_image(picture, value_cards(recipe.pixel_arcsec, recipe.zero_point_mag))
    assert recipe.stretch is not None
    return Encoding.of_band(job.settings).grey(job.extension, recipe.stretch.levels(picture))


class Rendering:
    """A tile in the making.

    Overlapping images are put together as the settings say at the deepest order, and by their
    weighted mean above.

    Parameters
    ----------
    job
        What is asked for.
    recipe
        How it is made.
    """

    def __init__(self, job: TileJob, recipe: Recipe) -> None:
        self._job, self._recipe = job, recipe
        # Pixels are averaged to those of the tile's own order.
        self._here = replace(recipe, order=job.order)
        self._block = TileBlock(job.order, job.npix, job.settings.frame)
        settings = job.settings
        self._deepest = job.order == recipe.order
        self._coadd = coadd_of(settings.coadd, self._block.layout, settings.kernel)
        self._canvas = Canvas(self._block.layout, settings.kernel)
        self._total: NDArray[np.float64] = np.zeros(TILE_WIDTH**2)
        self._weights: NDArray[np.float64] = np.zeros(TILE_WIDTH**2)
        self.lost: list[str] = []
        self.changed: list[tuple[str, str]] = []

    def images(self) -> list[LiveImage]:
        """Give the images in the order in which the generator takes them."""
        images = sorted(self._job.images, key=lambda image: image.did)
        if self._job.settings.coadd == "first":
            images.sort(key=lambda one: math.inf if one.t_min_mjd is None else -one.t_min_mjd)
        return images

    def add(self, image: LiveImage) -> None:
        """Add an image by its pixels; one that cannot be used is left out."""
        try:
            self._add(image)
        except ChangedError:
            self.changed.append((image.uri, image.version))
            self.lost.append(image.did)
        except NotFoundError:
            self.lost.append(image.did)
        except DataError:
            # Damaged, and so until its file changes.
            return

    def _add(self, image: LiveImage) -> None:
        job, recipe = self._job, self._here
        seen = see(image, job.settings)
        parts = seen.parts(job.order).get(job.npix)
        if parts is None or not self._usable(seen.facts.zero_point_mag):
            return
        plain = calibration_of(seen.facts, self._recipe)
        plane = self._background(image.did, lambda: seen.level(plain)[0])
        calibration = replace(calibration_of(seen.facts, recipe), background=plane)
        b = calibration.binning
        shape = -(-seen.image.shape[0] // b), -(-seen.image.shape[1] // b)
        grid = pixel_grid(seen.mapping(b), self._block, shape, touched(parts))
        reach = None if grid is None else grid.reach(shape)
        if grid is None or reach is None:
            return
        try:
            loaded, (x, y) = seen.load(calibration, reach)
            weight = weight_of(seen.facts, recipe)
            if self._deepest:
                self._coadd.add(loaded, grid.moved(x, y), weight)
                return
            if job.settings.weights == "variance":
                weight *= seen.noise_weight(plain)
            self._canvas.add(loaded.pixels, grid.moved(x, y), weight)
        finally:
            seen.image.close()

    def _background(self, did: str, level: Callable[[], float]) -> Plane | None:
        """Give what is subtracted from an image; ``level`` finds its own sky."""
        match self._job.settings.background:
            case "match":
                plane = self._job.planes.get(did)
                if plane is not None or self._job.level is None:
                    return plane
                return Plane(level() - self._job.level)
            case "median" | "none":
                return None

    def _usable(self, zero_point_mag: float | None) -> bool:
        return self._recipe.zero_point_mag is None or zero_point_mag is not None

    def add_preview(self, preview: Preview) -> None:
        """Add an image by its preview."""
        if not self._usable(preview.facts.zero_point_mag):
            return
        factor = calibration_of(preview.facts, self._here).factor
        weight = weight_of(preview.facts, self._here)
        if self._job.settings.weights == "variance" and preview.noise > 0.0:
            weight *= (factor * preview.noise) ** -2
        plane = self._background(preview.did, lambda: factor * preview.level)
        if self._job.settings.background == "median":
            plane = Plane(factor * preview.level)
        preview.add_to(
            self._total, self._weights, self._job.order, self._job.npix, factor, weight, plane
        )

    def finish(self) -> Pixels | None:
        """Give the tile, None if all of it is blank."""
        if self._deepest:
            return self._coadd.finish()
        total = self._total + self._canvas.totals.ravel()
        weights = self._weights + self._canvas.weights.ravel()
        if not weights.any():
            return None
        with np.errstate(invalid="ignore", divide="ignore"):
            return (total / weights).astype(np.float32).reshape(_SHAPE)
