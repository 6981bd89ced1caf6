"""Decoding and rendering in order: each image decoded once, and kept only while it is needed."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hips.crew import Crew
from hips.decode import ImageStats, decode, source_path
from hips.encode import CardValue
from hips.images import ImageSource
from hips.plan import Plan, Shard
from hips.pyramid import Pyramid
from hips.settings import HipsSettings
from hips.shard import ShardJob, ShardResult, TileWriter, build_shard, top_path
from hips.stretch import Stretch, choose_stretch
from hips.summary import Progress
from vodal.errors import SkylaneError

__all__ = ["Made", "Rendering"]

Pixels = NDArray[np.float32]

_SAMPLE_IMAGES: Final = 12
"""How many images are decoded first to choose the cuts."""


@dataclass(slots=True)
class Made:
    """What has been made so far."""

    leaves: list[int] = field(default_factory=list)
    tops: list[int] = field(default_factory=list)
    tiles: int = 0
    size_bytes: int = 0


def _cards(plan: Plan) -> dict[str, CardValue]:
    """Give the cards that say what the values are: of a pixel of this size, at this zero point."""
    cards: dict[str, CardValue] = {}
    if plan.shards:
        cards["PIXSIZE"] = round(plan.pixel_arcsec, 9)
    if plan.zero_point_mag is not None:
        cards["MAGZERO"] = plan.zero_point_mag
    return cards


class Rendering:
    """Decoding and rendering, each image decoded once and only while shards need it."""

    def __init__(
        self,
        plan: Plan,
        sources: Sequence[ImageSource],
        settings: HipsSettings,
        crew: Crew,
        folder: Path,
        scratch: Path,
        counter: Progress,
    ) -> None:
        self._plan, self._settings, self._crew = plan, settings, crew
        self._sources = {source.number: source for source in sources}
        self._folder, self._scratch, self._counter = folder, scratch, counter
        self._decoding: dict[int, Future[ImageStats]] = {}
        self._uses = Counter(n for shard in plan.shards for n in shard.images())
        self._told: set[int] = set()
        self.lost: dict[int, str] = {}
        self.cards = _cards(plan)
        self.stretch = Stretch(0.0, 1.0, 0.1)
        self._writer = TileWriter(folder, self.cards, self.stretch)

    def run(self) -> Made:
        """Make the tiles of all orders."""
        made = Made()
        if not self._plan.shards:
            return made
        self.stretch = choose_stretch(self._samples())
        self._writer = TileWriter(self._folder, self.cards, self.stretch)
        for result in self._results():
            made.leaves.extend(result.leaves)
            made.tiles += result.tiles
            made.size_bytes += result.size_bytes
            if result.leaves:
                made.tops.append(result.npix)
            self._counter.step()
        self._complete(made)
        return made

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
        return error is None

    def _samples(self) -> list[Pixels]:
        """Decode some images, evenly chosen, and give values of theirs."""
        numbers = sorted(self._uses)
        chosen = numbers[:: max(1, -(-len(numbers) // _SAMPLE_IMAGES))]
        futures = [self._decode(number) for number in chosen]
        return [
            future.result().sample
            for number, future in zip(chosen, futures, strict=True)
            if self._decoded(number)
        ]

    def _results(self) -> Iterator[ShardResult]:
        """Render the shards; an image is decoded ahead of the first one that needs it."""
        todo = deque(self._plan.shards)
        waiting: list[Shard] = []
        running: dict[Future[ShardResult], Shard] = {}
        while todo or waiting or running:
            while todo and len(waiting) + len(running) < 2 * self._crew.workers:
                shard = todo.popleft()
                for number in sorted(shard.images()):
                    self._decode(number)
                waiting.append(shard)
            for shard in [s for s in waiting if self._ready(s)]:
                waiting.remove(shard)
                running[self._crew.submit(build_shard, self._job(shard))] = shard
            pending: list[Future[Any]] = [
                self._decoding[n]
                for s in waiting
                for n in s.images()
                if not self._decoding[n].done()
            ]
            done = self._crew.first([*pending, *running])
            for future in [f for f in running if f in done]:
                yield self._finished(running.pop(future), future)

    def _ready(self, shard: Shard) -> bool:
        return all(self._decoding[number].done() for number in shard.images())

    def _job(self, shard: Shard) -> ShardJob:
        weights = self._plan.weights
        images = {n: (self._path(n), weights[n]) for n in shard.images() if self._decoded(n)}
        return ShardJob(
            order=self._plan.order,
            top=self._plan.top,
            npix=shard.npix,
            tiles=shard.tiles,
            images=images,
            writer=self._writer,
            scratch=self._scratch,
            sampling=self._settings.kernel,
            cache_bytes=self._settings.cache_mb << 20,
        )

    def _finished(self, shard: Shard, future: Future[ShardResult]) -> ShardResult:
        """Drop the images that no later shard needs."""
        for number in shard.images():
            self._uses[number] -= 1
            if not self._uses[number]:
                self._path(number).unlink(missing_ok=True)
                source_path(self._path(number)).unlink(missing_ok=True)
        error = self._crew.error_of(future)
        if error is not None:
            raise error
        return future.result()

    def _complete(self, made: Made) -> None:
        """Make the orders above the shards."""

        def emit(order: int, npix: int, tile: Pixels, _valid: Pixels) -> None:
            made.size_bytes += self._writer.write(order, npix, tile)
            made.tiles += 1

        pyramid = Pyramid(self._plan.top, 0, emit)
        for npix in sorted(made.tops):
            tile, valid = np.load(top_path(self._scratch, npix))
            pyramid.add(npix, tile, valid)
        pyramid.finish()
