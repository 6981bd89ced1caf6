"""A HiPS from images, or a colour HiPS from those of three bands.

`build` goes through `hips.plan` (which tiles, which scale), decodes each image once, renders shard
after shard (`hips.shard`), completes the orders above (`hips.pyramid`) and describes the result
(`hips.describe`). All of it happens in a folder out of sight that takes the HiPS's name at the
end. An image that cannot be used is named in the summary and left out.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from hips.allsky import ALLSKY_ORDER, write_allsky, write_allsky_color
from hips.color import COLOR_FILE, ColorJob, ColorScale, choose_color, paint_tiles
from hips.coverage import tiles_of
from hips.crew import Crew
from hips.describe import Description, first_made, write_description
from hips.encode import CardValue
from hips.images import ImageSource, ImageStats, decode
from hips.plan import Plan, Shard, make_plan
from hips.properties import Provenance, parse_properties, provenance_of
from hips.publish import staging
from hips.pyramid import Pyramid
from hips.settings import HipsSettings
from hips.shard import ShardJob, ShardResult, TileWriter, build_shard, top_path
from hips.stretch import Stretch, choose_stretch
from vodal.errors import DataError, SkylaneError, UsageError
from vodal.fits.index import FileIndex
from vodal.products import Product

__all__ = ["BuildSummary", "Report", "Skipped", "build", "build_color"]

Report = Callable[[int, int], None]
"""Told how many steps are done and of how many."""

_SAMPLE_IMAGES: Final = 12
"""How many images are decoded first to choose the cuts."""
_COLOR_RUN: Final = 32
"""Tiles painted in one task."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A product that is not in the HiPS."""

    did: str
    file_name: str
    reason: str


@dataclass(frozen=True, slots=True)
class BuildSummary:
    """What was made."""

    name: str
    path: Path
    order: int
    """Of the deepest tiles."""
    tiles: int
    """Of all orders; each is counted once whatever its formats."""
    images: int
    """That went in."""
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]
    """One sentence each on what a user should know."""
    size_bytes: int
    seconds: float


@dataclass(slots=True)
class _Progress:
    """Counts steps and tells them."""

    report: Report | None
    total: int
    done: int = 0

    def step(self) -> None:
        self.done += 1
        if self.report is not None:
            self.report(min(self.done, self.total), self.total)


@dataclass(slots=True)
class _Made:
    """What has been made so far."""

    leaves: list[int] = field(default_factory=list)
    tops: list[int] = field(default_factory=list)
    tiles: int = 0
    size_bytes: int = 0


def build(
    products: Sequence[Product],
    open_index: Callable[[Product], FileIndex],
    output: Path,
    settings: HipsSettings,
    *,
    name: str,
    title: str,
    creator_did: str,
    description: str = "",
    band: str | None = None,
    workers: int = 1,
    progress: Report | None = None,
    crew: Crew | None = None,
) -> BuildSummary:
    """Make the HiPS of images of one band: FITS and PNG tiles of every order down to 0.

    Parameters
    ----------
    products
        The images; order does not matter.
    open_index
        Gives the byte index of a product's file.
    output
        The folder that holds the HiPS, one folder each.
    settings
        How to make it.
    name
        Of the HiPS's folder: letters, digits, dots, hyphens, underscores.
    title
        One line (``obs_title``).
    creator_did
        IVOID of the HiPS.
    description
        A paragraph; by default one is made from the products.
    band
        Name of the filter, if the images have one in common.
    workers
        Processes that work.
    progress
        Told the number of steps done and the total.
    crew
        Processes to use instead of ``workers`` new ones.

    Raises
    ------
    DataError
        If none of the images can be used.
    UsageError
        If there are no images, or the name cannot be that of a HiPS.
    ServiceUnavailable
        If another process is making it, or a worker process died.
    """
    if not products:
        raise UsageError(f"there are no images for the HiPS '{name}'")
    started = time.monotonic()
    ordered = sorted(products, key=lambda product: product.did)
    with _crew(crew, workers) as hands, staging(output / name) as folder:
        with _scratch(folder, settings) as scratch:
            counter = _Progress(progress, 3 * len(ordered))
            sources, lost = _sources(ordered, open_index)
            counter.done = 3 * len(lost)
            plan = make_plan(sources, settings, hands, counter.step)
            counter.total += len(plan.shards) + 1
            lost.update(plan.skipped)
            render = _Rendering(plan, sources, settings, hands, folder, scratch, counter)
            made = render.run()
            lost.update(render.lost)
            skipped = tuple(
                Skipped(ordered[n].did, ordered[n].file_name, reason)
                for n, reason in sorted(lost.items())
            )
            if not made.leaves:
                raise DataError(_nothing(name, skipped))
        used = [product for n, product in enumerate(ordered) if n not in lost]
        now = datetime.now(UTC)
        write_allsky(folder, render.stretch, render.cards)
        origin = provenance_of(used)
        about = Description(
            creator_did=creator_did,
            title=title,
            text=description or _text(origin, band),
            collection=", ".join(origin.collections),
            order=plan.order,
            formats=("png", "fits"),
            provenance=origin,
            made=first_made(output / name, now),
            tiles=made.tiles,
            size_bytes=made.size_bytes,
            extra=_image_keywords(plan, render.stretch, settings),
        )
        write_description(folder, sorted(made.leaves), about, settings, now)
        counter.done = counter.total - 1
        counter.step()
    return BuildSummary(
        name, output / name, plan.order, made.tiles, len(used), skipped, plan.notes,
        made.size_bytes, time.monotonic() - started,
    )  # fmt: skip


def _nothing(name: str, skipped: Sequence[Skipped]) -> str:
    reasons = Counter(item.reason for item in skipped).most_common(3)
    why = "; ".join(f"{reason} ({count})" for reason, count in reasons)
    return f"no image can go into the HiPS '{name}': {why or 'all their pixels are blank'}"


def _text(origin: Provenance, band: str | None) -> str:
    seen = " and ".join(part for part in (", ".join(origin.facilities),) if part)
    return (
        f"Coadd of {origin.count} {band + ' ' if band else ''}images of "
        f"{', '.join(origin.collections)}{f' from {seen}' if seen else ''}."
    )


def _image_keywords(
    plan: Plan, stretch: Stretch, settings: HipsSettings
) -> dict[str, object]:
    return {
        "hips_pixel_bitpix": -32,
        "data_pixel_bitpix": -32,
        "hips_pixel_cut": f"{stretch.low:.6g} {stretch.high:.6g}",
        "hips_sampling": settings.kernel,
        "hips_overlay": "mean",
        "hips_hierarchy": "mean",
        "s_pixel_scale": f"{plan.pixel_arcsec / 3600.0:.6g}",
    }


@contextmanager
def _crew(given: Crew | None, workers: int) -> Iterator[Crew]:
    if given is not None:
        yield given
        return
    with Crew(workers) as crew:
        yield crew


@contextmanager
def _scratch(folder: Path, settings: HipsSettings) -> Iterator[Path]:
    """Give a folder for decoded images that is gone afterwards."""
    place = settings.scratch or folder
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".scratch-", dir=place) as path:
            yield Path(path)
    except OSError as error:
        raise UsageError(f"the folder for the HiPS cannot be written: {error}") from None


def _sources(
    products: Sequence[Product], open_index: Callable[[Product], FileIndex]
) -> tuple[list[ImageSource], dict[int, str]]:
    sources, lost = [], {}
    for number, product in enumerate(products):
        try:
            index = open_index(product).to_bytes()
        except SkylaneError as error:
            lost[number] = error.message
            continue
        time_s = product.obscore.get("t_exptime")
        usable = isinstance(time_s, int | float) and not isinstance(time_s, bool) and time_s > 0
        sources.append(
            ImageSource(
                number, product.did, product.uri, index, product.hdus,
                float(time_s) if usable and isinstance(time_s, int | float) else None,
            )  # fmt: skip
        )
    return sources, lost


class _Rendering:
    """Decoding and rendering, each image decoded once and only while shards need it."""

    def __init__(
        self,
        plan: Plan,
        sources: Sequence[ImageSource],
        settings: HipsSettings,
        crew: Crew,
        folder: Path,
        scratch: Path,
        counter: _Progress,
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

    def run(self) -> _Made:
        """Make the tiles of all orders."""
        made = _Made()
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

    def _samples(self) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
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
            missing = {self._decoding[n] for s in waiting for n in s.images()}
            unfinished: set[Future[object]] = {f for f in missing if not f.done()}  # type: ignore[misc]
            for future in self._crew.first([*unfinished, *running]):
                if future in running:
                    yield self._finished(running.pop(future), future)  # type: ignore[index,arg-type,call-overload]

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
                self._path(number).with_suffix(".source").unlink(missing_ok=True)
        return future.result()

    def _complete(self, made: _Made) -> None:
        """Make the orders above the shards."""

        def emit(order: int, npix: int, tile: Pixels, _valid: Pixels) -> None:
            made.size_bytes += self._writer.write(order, npix, tile)
            made.tiles += 1

        pyramid = Pyramid(self._plan.top, 0, emit)
        for npix in sorted(made.tops):
            tile, valid = np.load(top_path(self._scratch, npix))
            pyramid.add(npix, tile, valid)
        pyramid.finish()


Pixels = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


def _cards(plan: Plan) -> dict[str, CardValue]:
    """Give the cards that say what the values are: of a pixel of this size, at this zero point."""
    cards: dict[str, CardValue] = {}
    if plan.shards:
        cards["PIXSIZE"] = round(plan.pixel_arcsec, 9)
    if plan.zero_point_mag is not None:
        cards["MAGZERO"] = plan.zero_point_mag
    return cards


def build_color(
    band_hips: Mapping[str, Path],
    output: Path,
    settings: HipsSettings,
    *,
    name: str,
    title: str,
    creator_did: str,
    description: str = "",
    workers: int = 1,
    progress: Report | None = None,
    crew: Crew | None = None,
) -> BuildSummary:
    """Make a colour HiPS from the FITS tiles of three bands, order by order.

    Parameters
    ----------
    band_hips
        Folders of the bands' HiPS by band, three of them, in the order red, green, blue.
    output, settings, name, title, creator_did, description, workers, progress, crew
        As of `build`.

    Raises
    ------
    UsageError
        If there are not three bands, or one has no HiPS.
    """
    if len(band_hips) != 3:
        raise UsageError(f"a colour HiPS needs three bands, not {len(band_hips)}")
    started = time.monotonic()
    red, green, blue = band_hips
    bands, folders = (red, green, blue), (band_hips[red], band_hips[green], band_hips[blue])
    known = [_known(folder) for folder in folders]
    order = min(int(values["hips_order"]) for values in known)
    with _crew(crew, workers) as hands, staging(output / name) as folder:
        tiles = {k: _present(folders, k) for k in range(order + 1)}
        scale = _kept_scale(output / name, bands)
        scale = scale or choose_color(bands, folders, order, tiles[order])
        (folder / COLOR_FILE).write_text(scale.to_json(), "utf-8")
        jobs = list(_color_jobs(folders, folder, scale, tiles))
        counter = _Progress(progress, len(jobs) + 1)
        size = 0
        for _, result in hands.results(paint_tiles, jobs):
            if isinstance(result, Exception):
                raise result
            size += result
            counter.step()
        if order >= ALLSKY_ORDER:
            write_allsky_color(folder)
        now = datetime.now(UTC)
        about = Description(
            creator_did=creator_did,
            title=title,
            text=description or f"Colour composite: red {red}, green {green}, blue {blue}.",
            collection=known[0].get("obs_collection", ""),
            order=order,
            formats=("png",),
            provenance=_joined(known),
            made=first_made(output / name, now),
            tiles=sum(len(found) for found in tiles.values()),
            size_bytes=size,
            extra={"dataproduct_subtype": "color", "hips_hierarchy": "mean"},
        )
        write_description(folder, sorted(tiles[order]), about, settings, now)
        counter.step()
    return BuildSummary(
        name, output / name, order, about.tiles, 0, (), (), size, time.monotonic() - started
    )


def _known(folder: Path) -> dict[str, str]:
    try:
        values = parse_properties((folder / "properties").read_text("utf-8"))
        int(values["hips_order"])
    except (OSError, KeyError, ValueError, DataError):
        raise UsageError(f"the folder {folder.name} holds no HiPS") from None
    return values


def _present(folders: Iterable[Path], order: int) -> dict[int, int]:
    """Give the tiles of an order that any band has, and in how many bands each is there."""
    return dict(Counter(npix for folder in folders for npix in tiles_of(folder, order, "fits")))


def _kept_scale(published: Path, bands: tuple[str, str, str]) -> ColorScale | None:
    try:
        scale = ColorScale.from_json((published / COLOR_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return scale if scale.bands == bands else None


def _color_jobs(
    folders: tuple[Path, Path, Path],
    target: Path,
    scale: ColorScale,
    tiles: Mapping[int, Mapping[int, int]],
) -> Iterator[ColorJob]:
    for order, found in tiles.items():
        numbers = sorted(found)
        for start in range(0, len(numbers), _COLOR_RUN):
            run = tuple(numbers[start : start + _COLOR_RUN])
            yield ColorJob(folders, target, scale, order, run)


def _joined(known: Sequence[Mapping[str, str]]) -> Provenance:
    """Sum up the properties of the bands."""

    def values(key: str) -> list[float]:
        return [float(band[key]) for band in known if key in band]

    em_min, em_max = min(values("em_min"), default=None), max(values("em_max"), default=None)
    progenitors = tuple(dict.fromkeys(band.get("creator_did", "") for band in known))
    return Provenance(
        min(values("t_min"), default=None), max(values("t_max"), default=None), em_min, em_max,
        "", (), (), progenitors, 0,
    )  # fmt: skip
