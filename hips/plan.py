"""What is to be done for a HiPS: the images' common scale, and the tiles of each shard."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from hips.background.kept import Backgrounds
from hips.background.match import match
from hips.calibration import Calibration
from hips.crew import Crew
from hips.frames import Frame
from hips.images import ImageFacts, ImageSource, look, touched_parts
from hips.names import pixel_size_arcsec
from hips.progenitors import Known, Progenitors, fingerprint
from hips.recipe import Recipe, digest_of
from hips.settings import Conserved, HipsSettings
from vodal.errors import DataError, SkylaneError
from vodal.fits.calibration import is_per_area

__all__ = ["Plan", "Shard", "calibration_of", "make_plan", "own_arcsec_of", "weight_of"]

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

    recipe: Recipe | None
    """None if no image can be used."""
    shards: tuple[Shard, ...]
    """In NESTED order, so that neighbours share images."""
    calibrations: Mapping[int, Calibration]
    weights: Mapping[int, float]
    marks: Mapping[int, str]
    """Of each image, what differs when its pixels on the tiles may."""
    skipped: Mapping[int, str]
    """Images that cannot be used, and why."""
    notes: tuple[str, ...]
    backgrounds: Backgrounds | None = None
    """Of all images, if these are matched; those of the calibrations are among them."""

    def leaf_inputs(self, images: tuple[tuple[int, int], ...], lost: Mapping[int, str]) -> str:
        """Tell the inputs of a deepest tile apart: images and the parts that they reach."""
        assert self.recipe is not None
        used = [(self.marks[n], parts) for n, parts in images if n not in lost]
        return digest_of(self.recipe.digest, *used)


def make_plan(
    sources: Sequence[ImageSource],
    settings: HipsSettings,
    crew: Crew,
    step: Step,
    progenitors: Progenitors,
    scratch: Path,
    kept: Recipe | None = None,
    backgrounds: Backgrounds | None = None,
) -> Plan:
    """Look at the images' headers, and at their pixels if backgrounds are matched, and decide.

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
    progenitors
        What is known of the images; what is found is noted there.
    scratch
        Folder for what is needed meanwhile.
    kept
        The recipe to go by; by default one is chosen.
    backgrounds
        Of images, chosen with that recipe; they are kept.
    """
    look_up = _Looking(sources, settings, crew, step, progenitors)
    facts = look_up.facts()
    recipe, notes = kept, list[str]()
    if facts and recipe is None:
        recipe = Recipe.choose(facts, settings)
        notes = _notes(facts, recipe, settings)
    if recipe is None:
        for _ in sources:
            step()
        return Plan(None, (), {}, {}, {}, look_up.skipped, ())
    if recipe.zero_point_mag is not None:
        for number in [n for n, fact in facts.items() if fact.zero_point_mag is None]:
            del facts[number]
            look_up.skipped[number] = (
                "it has no zero point, unlike the images that this HiPS was first made of"
            )
    tiles = look_up.tiles(facts, recipe.order)
    calibrations = {number: calibration_of(fact, recipe) for number, fact in facts.items()}
    if settings.background == "match":
        backgrounds, said = match(
            sources, facts, calibrations, tiles, recipe.order, settings, crew, scratch,
            backgrounds if kept is not None else None,
        )  # fmt: skip
        notes += said
        for source in sources:
            if source.number in calibrations:
                plane = backgrounds.of(source.did, source.version)
                calibrations[source.number] = replace(calibrations[source.number], background=plane)
    weights = {number: weight_of(fact, recipe) for number, fact in facts.items()}
    progenitors.keep_only(source.did for source in sources)
    return Plan(
        recipe=recipe,
        shards=_shards(tiles, recipe.order - recipe.top, _ranks(sources, settings)),
        calibrations=calibrations,
        weights=weights,
        marks={
            number: digest_of(look_up.marks[number], calibrations[number], weights[number])
            for number in facts
        },
        skipped=look_up.skipped,
        notes=tuple(notes),
        backgrounds=backgrounds if settings.background == "match" else None,
    )


class _Looking:
    """Finds out of images what is not known of them."""

    def __init__(
        self, sources: Sequence[ImageSource], settings: HipsSettings, crew: Crew, step: Step,
        progenitors: Progenitors,
    ) -> None:  # fmt: skip
        self._sources, self._settings, self._crew, self._step = sources, settings, crew, step
        self._progenitors = progenitors
        self.marks = {source.number: fingerprint(source) for source in sources}
        self.skipped: dict[int, str] = {}
        self._known: dict[int, Known] = {}

    def facts(self) -> dict[int, ImageFacts]:
        """Read the headers of images that are not known."""
        facts: dict[int, ImageFacts] = {}
        new = []
        for source in self._sources:
            known = self._progenitors.known(source, self.marks[source.number])
            if known is None:
                new.append(source)
                continue
            self._known[source.number] = known
            if known.lost or known.facts is None:
                self.skipped[source.number] = known.lost
            else:
                facts[source.number] = known.facts
            self._step()
        for source, seen in self._crew.results(partial(look, settings=self._settings), new):
            if isinstance(seen, Exception):
                self._lose(source, seen)
            else:
                facts[source.number] = seen
                self._progenitors.put(source, self.marks[source.number], seen)
            self._step()
        return facts

    def tiles(self, facts: dict[int, ImageFacts], order: int) -> dict[int, list[tuple[int, int]]]:
        """Find the tiles that images reach; drops from ``facts`` those whose way is not told."""
        tiles: dict[int, list[tuple[int, int]]] = {}
        if self._progenitors.order_of_parts() not in {None, order}:
            self._progenitors.forget_tiles()
            self._known.clear()
        new = []
        for source in self._sources:
            known = self._known.get(source.number)
            if source.number not in facts:
                self._step()
            elif known is None or known.parts is None:
                new.append(source)
            else:
                for npix, bits in known.parts.items():
                    tiles.setdefault(npix, []).append((source.number, bits))
                self._step()
        touched = partial(_touched, order=order, frame=self._settings.frame)
        pairs = ((source, facts[source.number]) for source in new)
        for (source, _), parts in self._crew.results(touched, pairs):
            if isinstance(parts, Exception):
                self._lose(source, parts)
                facts.pop(source.number)
            else:
                self._progenitors.put_tiles(source, order, parts)
                for npix, bits in parts.items():
                    tiles.setdefault(npix, []).append((source.number, bits))
            self._step()
        return tiles

    def _lose(self, source: ImageSource, error: Exception) -> None:
        reason = self.skipped[source.number] = _reason(error)
        if isinstance(error, DataError):
            # The file's fault; what else went wrong may go well another time.
            self._progenitors.put(source, self.marks[source.number], None, reason)


def _touched(image: tuple[ImageSource, ImageFacts], order: int, frame: Frame) -> dict[int, int]:
    return touched_parts(*image, order, frame)


def _reason(error: Exception) -> str:
    if isinstance(error, SkylaneError):
        return error.message
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _notes(facts: Mapping[int, ImageFacts], recipe: Recipe, settings: HipsSettings) -> list[str]:
    notes = []
    without = sum(1 for fact in facts.values() if fact.zero_point_mag is None)
    if settings.photometry and recipe.zero_point_mag is None and without < len(facts):
        notes.append(
            f"{without} of {len(facts)} images have no zero point, so none is brought to a common"
            " one"
        )
    units = [fact.unit for fact in facts.values() if is_per_area(fact.unit)]
    if recipe.conserve == "flux" and units:
        notes.append(
            f"the unit of {len(units)} of {len(facts)} images ({', '.join(sorted(set(units)))})"
            " does not depend on the pixel, so their values are kept as they are, not turned into"
            " the flux of a pixel"
        )
    return notes


def own_arcsec_of(fact: ImageFacts, conserve: Conserved) -> float | None:
    """Give the side of an image's central pixel where each is to be scaled by its own area."""
    return fact.scale_arcsec if conserve == "flux" and not is_per_area(fact.unit) else None


def calibration_of(fact: ImageFacts, recipe: Recipe) -> Calibration:
    """Bring an image to the common zero point and, per pixel as it is, to the common pixel."""
    factor = 1.0
    if recipe.zero_point_mag is not None and fact.zero_point_mag is not None:
        factor = 10.0 ** (0.4 * (recipe.zero_point_mag - fact.zero_point_mag))
    if not is_per_area(fact.unit):
        factor *= (recipe.pixel_arcsec / fact.scale_arcsec) ** 2
    binning = max(1, int(pixel_size_arcsec(recipe.order) / fact.scale_arcsec + 1e-6))
    return Calibration(factor, min(binning, *fact.shape), own_arcsec_of(fact, recipe.conserve))


def weight_of(fact: ImageFacts, recipe: Recipe) -> float:
    """Give the weight of an image among those that it overlaps."""
    if recipe.exposure_s is None:
        return 1.0
    return fact.exposure_s or recipe.exposure_s


def _ranks(sources: Sequence[ImageSource], settings: HipsSettings) -> dict[int, int]:
    """Give the place of each image among those that overlap.

    Fixed, so that the sum of an overlap does not depend on who was done first.
    """
    numbers = [source.number for source in sources]
    if settings.coadd == "first":
        times = {source.number: source.t_min_mjd for source in sources}
        numbers.sort(key=lambda n: (math.inf if (time := times[n]) is None else -time, n))
    return {number: place for place, number in enumerate(numbers)}


def _shards(
    tiles: Mapping[int, list[tuple[int, int]]], levels: int, ranks: Mapping[int, int]
) -> tuple[Shard, ...]:
    groups: dict[int, list[tuple[int, tuple[tuple[int, int], ...]]]] = {}
    for npix in sorted(tiles):
        images = tuple(sorted(tiles[npix], key=lambda image: ranks[image[0]]))
        groups.setdefault(npix >> 2 * levels, []).append((npix, images))
    return tuple(Shard(npix, tuple(group)) for npix, group in groups.items())
