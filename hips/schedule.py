"""Decoding and rendering in order: each image decoded once, and kept only while it is needed."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hips.crew import Crew
from hips.decode import ImageStats, decode, drop_decoded
from hips.encode import value_cards
from hips.formats import Encoding
from hips.images import ImageSource
from hips.plan import Plan, Shard
from hips.recipe import Recipe
from hips.records import Record, Records
from hips.settings import HipsSettings
from hips.shard import ShardJob, TileWriter, build_shard, shard_inputs
from hips.summary import Progress
from hips.tiles.opening import open_tiles
from hips.upper import UpperJob, build_above, build_upper
from vodal.errors import DataError, SkylaneError

__all__ = ["SAMPLE_IMAGES", "Made", "Rendering"]

Pixels = NDArray[np.float32]

SAMPLE_IMAGES: Final = 12
"""How many images are decoded first to choose the cuts."""


@dataclass(slots=True)
class Made:
    """What has been made so far."""

    records: list[Record] = field(default_factory=list)
    """Of shards and of the tiles above, without valid fractions; shards come first."""
    rendered: int = 0
    """Shards that were not there already."""

    @property
    def size_bytes(self) -> int:
        """Of the tiles in all formats."""
        return sum(record.size_bytes for record in self.records)

    def tiles(self, deepest: int) -> dict[int, set[int]]:
        """Give the numbers of all tiles, by order."""
        found: dict[int, set[int]] = {}
        for record in self.records:
            for order, numbers in record.tiles(deepest).items():
                found.setdefault(order, set()).update(numbers)
        return found


class Rendering:
    """Decoding and rendering, each image decoded once and only while shards need it.

    Parameters
    ----------
    plan
        What is to be done; it has a recipe.
    sources
        The images.
    settings
        How.
    crew
        Who works.
    folder
        Where the tiles go.
    published
        The HiPS as it is served, there or not.
    scratch
        For decoded images.
    counter
        Told of each image and each shard.
    """

    def __init__(
        self,
        plan: Plan,
        sources: Sequence[ImageSource],
        settings: HipsSettings,
        crew: Crew,
        folder: Path,
        published: Path,
        scratch: Path,
        counter: Progress,
    ) -> None:
        assert plan.recipe is not None
        self._plan, self._settings, self._crew = plan, settings, crew
        self._sources = {source.number: source for source in sources}
        self._folder, self._published = folder, published
        self._scratch, self._counter = scratch, counter
        self._decoding: dict[int, Future[ImageStats]] = {}
        self._uses: Counter[int] = Counter()
        self._told: set[int] = set()
        self._served: dict[int, Mapping[int, str]] = {}
        """Of shards in work, the inputs of the tiles that are served."""
        self.lost: dict[int, str] = {}
        self.damaged: dict[int, str] = {}
        """Of the lost, those whose file is at fault."""
        self.cards = value_cards(plan.recipe.pixel_arcsec, plan.recipe.zero_point_mag)
        self.encoding = Encoding.of_band(settings)

    def settle(self) -> Recipe:
        """Choose the grey levels, if they are not chosen yet; gives the complete recipe."""
        recipe = self._plan.recipe
        assert recipe is not None
        if recipe.stretch is None:
            recipe = recipe.settled(self._samples())
            self._plan = replace(self._plan, recipe=recipe)
        return recipe

    def run(self, shards: Sequence[Shard], *, above: bool) -> Made:
        """Make the tiles of some shards, and of the orders above if they are all.

        Parameters
        ----------
        shards
            In NESTED order.
        above
            Whether the tiles above the shards are made too.
        """
        self._recipe = self.settle()
        stretch = self._recipe.stretch
        assert stretch is not None
        self._writer = TileWriter(
            open_tiles(self._folder), self.cards, stretch, self.encoding, self._settings.frame
        )
        self._uses = Counter(n for shard in shards for n in shard.images())
        made = Made()
        for record in self._results(shards, made):
            made.records.append(record)
            self._counter.step()
        if above:
            tops = [record for record in made.records if record.leaves]
            made.records.extend(build_above(tops, self._crew, build_upper, self._upper_job))
        return made

    def _upper_job(self, order: int, npix: int, children: tuple[int, ...], inputs: str) -> UpperJob:
        return UpperJob(order, npix, children, inputs, self._writer, self._published)

    def _path(self, number: int) -> Path:
        return self._scratch / f"{number}.image"

    def _decode(self, number: int) -> Future[ImageStats]:
        future = self._decoding.get(number)
        if future is None:
            future = self._decoding[number] = self._crew.submit(
                decode, self._sources[number], self._plan.calibrations[number], self._settings,
                self._path(number),
            )  # fmt: skip
        return future

    def _decoded(self, number: int) -> bool:
        """Tell whether a decoded image is usable, once it is done; note it if not."""
        error = self._crew.error_of(self._decoding[number])
        if number not in self._told:
            self._told.add(number)
            self._counter.step()
            if error is not None:
                self.lost[number] = (
                    error.message
                    if isinstance(error, SkylaneError)
                    else f"{type(error).__name__}: {error}"
                )
                if isinstance(error, DataError):
                    self.damaged[number] = error.message
        return error is None

    def _samples(self) -> list[Pixels]:
        """Decode some images, evenly chosen, and give values of theirs."""
        numbers = sorted({n for shard in self._plan.shards for n in shard.images()})
        chosen = numbers[:: max(1, -(-len(numbers) // SAMPLE_IMAGES))]
        futures = [self._decode(number) for number in chosen]
        return [
            future.result().sample
            for number, future in zip(chosen, futures, strict=True)
            if self._decoded(number)
        ]

    def _results(self, shards: Sequence[Shard], made: Made) -> Iterator[Record]:
        """Render the shards; an image is decoded ahead of the first one that needs it."""
        todo = deque(shards)
        waiting: list[Shard] = []
        running: dict[Future[Record], Shard] = {}
        while todo or waiting or running:
            while todo and len(waiting) + len(running) < 2 * self._crew.workers:
                shard = todo.popleft()
                record = self._there(shard)
                if record is not None:
                    self._drop_images(shard)
                    yield record
                    continue
                made.rendered += 1
                waiting.append(shard)
            pending: list[Future[Any]] = []
            for shard in list(waiting):
                unfinished = self._unfinished(shard)
                pending.extend(unfinished)
                if not unfinished:
                    waiting.remove(shard)
                    running[self._crew.submit(build_shard, self._job(shard))] = shard
            if not pending and not running:
                continue
            done = self._crew.first([*pending, *running])
            for future in [f for f in running if f in done]:
                yield self._finished(running.pop(future), future)

    def _there(self, shard: Shard) -> Record | None:
        """Give the record of a shard that an earlier build made of the same images."""
        inputs, formats = shard_inputs(self._inputs(shard)), self.encoding.marks
        here = Records(self._folder)
        record = here.get(self._recipe.top, shard.npix)
        if record is not None and (record.inputs, record.formats) == (inputs, formats):
            return replace(record, valid=b"")
        record = Records(self._published).get(self._recipe.top, shard.npix)
        if record is None or (record.inputs, record.formats) != (inputs, formats):
            return None
        old, tiles = open_tiles(self._published), record.tiles(self._recipe.order)
        if not self._writer.tree.take_shard(old, record.order, record.npix, tiles, formats):
            return None
        here.put(record)
        return replace(record, valid=b"")

    def _inputs(self, shard: Shard) -> dict[int, str]:
        return {npix: self._plan.leaf_inputs(images, self.lost) for npix, images in shard.tiles}

    def _needed(self, shard: Shard) -> set[int]:
        """Give the images of the tiles that are not the same as in the HiPS as it is served."""
        if shard.npix not in self._served:
            before = Records(self._published).get(self._recipe.top, shard.npix)
            self._served[shard.npix] = {**before.leaves, **before.blank} if before else {}
        known, inputs = self._served[shard.npix], self._inputs(shard)
        return {
            number
            for npix, images in shard.tiles
            if known.get(npix) != inputs[npix]
            for number, _ in images
        }

    def _unfinished(self, shard: Shard) -> list[Future[ImageStats]]:
        """Have the images that a shard needs decoded; gives what is still to be waited for."""
        while True:
            needed = sorted(self._needed(shard))
            futures = [self._decode(number) for number in needed]
            unfinished = [future for future in futures if not future.done()]
            if unfinished:
                return unfinished
            usable = [self._decoded(number) for number in needed]
            # Without an image that is lost, tiles may be others than they were.
            if all(usable) or needed == sorted(self._needed(shard)):
                return []

    def _job(self, shard: Shard) -> ShardJob:
        weights = self._plan.weights
        needed = sorted(self._needed(shard))
        images = {n: (self._path(n), weights[n]) for n in needed if self._decoded(n)}
        return ShardJob(
            order=self._recipe.order,
            top=self._recipe.top,
            npix=shard.npix,
            tiles=shard.tiles,
            inputs=self._inputs(shard),
            images=images,
            writer=self._writer,
            published=self._published,
            sampling=self._settings.kernel,
            combination=self._settings.coadd,
            cache_bytes=self._settings.cache_mb << 20,
        )

    def _finished(self, shard: Shard, future: Future[Record]) -> Record:
        self._served.pop(shard.npix, None)
        self._drop_images(shard)
        error = self._crew.error_of(future)
        if error is not None:
            raise error
        return future.result()

    def _drop_images(self, shard: Shard) -> None:
        """Drop the images that no later shard needs."""
        for number in shard.images():
            self._uses[number] -= 1
            if self._uses[number]:
                continue
            drop_decoded(self._path(number))
            if number not in self._decoding:
                self._counter.step()
