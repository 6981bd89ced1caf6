"""What is to be done for a HiPS: its depth, the images' common scale, the tiles of each shard."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from hips.crew import Crew
from hips.decode import Calibration
from hips.images import ImageFacts, ImageSource, look, touched_parts
from hips.names import MAX_ORDER, pixel_size_arcsec
from hips.settings import HipsSettings
from vodal.errors import SkylaneError
from vodal.fits.calibration import is_per_area

__all__ = ["MIN_ORDER", "Plan", "Shard", "choose_order", "make_plan"]

MIN_ORDER = 3
"""Of the deepest tiles: clients ask for order 3 whatever the properties say."""

Step = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Shard:
    """The deepest tiles below one tile."""

    npix: int
    """Number of that tile."""
    tiles: tuple[tuple[int, tuple[tuple[int, int], ...]], ...]
    """Number of each deepest tile, rising, and its images: number and touched parts."""

    def images(self) -> set[int]:
        """Give the numbers of the images that reach a tile."""
        return {number for _, images in self.tiles for number, _ in images}


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is decided before the first pixel is read."""

    order: int
    """Of the deepest tiles."""
    top: int
    """Order of the shards."""
    shards: tuple[Shard, ...]
    """In NESTED order, so that neighbours share images."""
    calibrations: Mapping[int, Calibration]
    weights: Mapping[int, float]
    pixel_arcsec: float
    """Side of the image pixel that the tiles' values refer to."""
    zero_point_mag: float | None
    """Common zero point of the tiles' values; None if the images are as they were."""
    skipped: Mapping[int, str]
    """Images that cannot be used, and why."""
    notes: tuple[str, ...]


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


def make_plan(
    sources: Sequence[ImageSource], settings: HipsSettings, crew: Crew, step: Step
) -> Plan:
    """Look at the images' headers and decide.

    Parameters
    ----------
    sources
        The images, by number.
    settings
        How the HiPS is to be made.
    crew
        Who looks.
    step
        Called twice for each image, when its header has been read and its tiles found.
    """
    skipped: dict[int, str] = {}
    facts: dict[int, ImageFacts] = {}
    for source, seen in crew.results(partial(look, settings=settings), sources):
        if isinstance(seen, Exception):
            skipped[source.number] = _reason(seen)
        else:
            facts[source.number] = seen
        step()
    if not facts:
        for _ in sources:
            step()
        return Plan(MIN_ORDER, 0, (), {}, {}, math.nan, None, skipped, ())
    pixel = statistics.median(fact.scale_arcsec for fact in facts.values())
    order = settings.order or choose_order(pixel, settings.order_tolerance)
    tiles: dict[int, list[tuple[int, int]]] = {}
    usable = [source for source in sources if source.number in facts]
    for source, parts in crew.results(partial(_touched, facts=facts, order=order), usable):
        if isinstance(parts, Exception):
            skipped[source.number] = _reason(parts)
            facts.pop(source.number)
        else:
            for npix, bits in parts.items():
                tiles.setdefault(npix, []).append((source.number, bits))
        step()
    zero_point, notes = _common_zero_point(facts, settings)
    return Plan(
        order=order,
        top=max(0, order - settings.order_shard),
        shards=_shards(tiles, order - max(0, order - settings.order_shard)),
        calibrations={
            number: _calibration(fact, pixel, zero_point, order) for number, fact in facts.items()
        },
        weights=_weights(facts, settings),
        pixel_arcsec=pixel,
        zero_point_mag=zero_point,
        skipped=skipped,
        notes=notes,
    )


def _touched(source: ImageSource, facts: Mapping[int, ImageFacts], order: int) -> dict[int, int]:
    return touched_parts(source, facts[source.number], order)


def _reason(error: Exception) -> str:
    if isinstance(error, SkylaneError):
        return error.message
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _common_zero_point(
    facts: Mapping[int, ImageFacts], settings: HipsSettings
) -> tuple[float | None, tuple[str, ...]]:
    if not settings.photometry:
        return None, ()
    without = sum(1 for fact in facts.values() if fact.zero_point_mag is None)
    if not without:
        return settings.zero_point_mag, ()
    if without == len(facts):
        return None, ()
    return None, (
        f"{without} of {len(facts)} images have no zero point, so none is brought to a common one",
    )


def _calibration(
    fact: ImageFacts, pixel_arcsec: float, zero_point: float | None, order: int
) -> Calibration:
    """Bring an image to the common zero point and, per pixel as it is, to the common pixel."""
    factor = 1.0
    if zero_point is not None and fact.zero_point_mag is not None:
        factor = 10.0 ** (0.4 * (zero_point - fact.zero_point_mag))
    if not is_per_area(fact.unit):
        factor *= (pixel_arcsec / fact.scale_arcsec) ** 2
    binning = max(1, int(pixel_size_arcsec(order) / fact.scale_arcsec + 1e-6))
    return Calibration(factor, min(binning, *fact.shape))


def _weights(facts: Mapping[int, ImageFacts], settings: HipsSettings) -> dict[int, float]:
    times = {number: fact.exposure_s or 0.0 for number, fact in facts.items()}
    alike = settings.weights == "uniform" or not all(time > 0.0 for time in times.values())
    return {number: 1.0 if alike else time for number, time in times.items()}


def _shards(tiles: Mapping[int, list[tuple[int, int]]], levels: int) -> tuple[Shard, ...]:
    groups: dict[int, list[tuple[int, tuple[tuple[int, int], ...]]]] = {}
    for npix in sorted(tiles):
        # Sorted, so that the sum of an overlap does not depend on who was done first.
        groups.setdefault(npix >> 2 * levels, []).append((npix, tuple(sorted(tiles[npix]))))
    return tuple(Shard(npix, tuple(group)) for npix, group in groups.items())
