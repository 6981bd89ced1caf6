"""A HiPS from the images of one band.

`build` goes through `hips.plan` (which tiles, which scale), decodes each image once and renders
shard after shard (`hips.schedule`), and describes the result (`hips.describe`). All of it happens
in a folder out of sight that takes the HiPS's name at the end. An image that cannot be used is
named in the summary and left out.

Tiles whose images have not changed are taken from what is there: from the HiPS as it is served,
and from what an earlier build that was broken off has left.
"""

from __future__ import annotations

import pickle
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from hips.allsky import write_allsky
from hips.background.kept import Backgrounds
from hips.crew import Crew
from hips.describe import Description, first_made, last_release, next_release, write_description
from hips.formats import Encoding, drop_other_formats
from hips.images import ImageSource, Planes
from hips.keywords import BandValues
from hips.live.images import exposure_of, number_of
from hips.metadata import progenitor_table, write_metadata
from hips.part import Share
from hips.plan import Plan, make_plan
from hips.progenitors import Progenitors, fingerprint
from hips.properties import Provenance, provenance_of
from hips.publish import alone, staging
from hips.recipe import BUILD_FOLDER, Recipe, digest_of
from hips.records import Records, contents
from hips.schedule import Made, Rendering
from hips.settings import HipsSettings
from hips.stretch import Stretch
from hips.summary import BuildSummary, Progress, Report, Skipped
from hips.tiles.opening import open_tiles, tiles_in_the_making
from vodal.errors import DataError, SkylaneError, UsageError
from vodal.fits.index import FileIndex
from vodal.products import Product

__all__ = ["build"]


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
    fresh: bool = False,
    part: Share | None = None,
    planes: Mapping[str, Planes] | None = None,
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
    fresh
        Decide everything anew (depth, common scale, grey levels) and make every tile.
    part
        Make only this share of the tiles (`hips.part`), and leave them for the build that
        completes the HiPS: one without ``part``, once all shares are done.
    planes
        Of products that are cubes, by identifier, which planes go in, by their mean
        (`vodal.fits.opened.OpenImage`). A cube without is left out.

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
    target = output / name
    with (
        Crew.of(crew, workers) as hands,
        staging(target, anew=fresh, partly=part is not None, keep=settings.keep_versions) as folder,
        _scratch(folder, settings, part) as scratch,
    ):
        counter = Progress(progress, 3 * len(ordered))
        sources, lost, depth = _sources(ordered, open_index, planes or {})
        counter.done = 3 * len(lost)
        site = _Site(folder, target, scratch, fresh)
        plan, render = site.prepare(sources, settings, hands, counter)
        lost.update(plan.skipped)
        if plan.recipe is None or render is None:
            raise DataError(_nothing(name, _skipped(ordered, lost)))
        shards = plan.shards if part is None else part(plan)
        counter.total += len(shards) + 1
        made = render.run(shards, above=part is None)
        lost.update(render.lost)
        site.note_damaged(sources, render.damaged, plan.recipe)
        skipped = _skipped(ordered, lost)
        tiles = made.tiles(plan.recipe.order)
        leaves = sorted(tiles.get(plan.recipe.order, ()))
        summary = BuildSummary(
            name, target, plan.recipe.order, sum(map(len, tiles.values())),
            len(ordered) - len(lost), skipped, plan.notes, made.size_bytes, 0.0, made.rendered,
        )  # fmt: skip
        if part is None:
            if not leaves:
                raise DataError(_nothing(name, skipped))
            now = datetime.now(UTC)
            site.tidy(
                tiles, {(record.order, record.npix) for record in made.records},
                render.encoding,
            )  # fmt: skip
            stretch = plan.recipe.stretch
            assert stretch is not None
            write_allsky(folder, stretch, render.cards, render.encoding)
            used = [product for n, product in enumerate(ordered) if n not in lost]
            origin = provenance_of(used)
            about = Description(
                creator_did=creator_did,
                title=title,
                text=description or _text(origin, band),
                collection=", ".join(origin.collections),
                order=plan.recipe.order,
                formats=render.encoding.words,
                provenance=origin,
                made=first_made(target, now),
                released=last_release(target, now)
                if site.unchanged(made)
                else next_release(target, now),
                tiles=summary.tiles,
                size_bytes=made.size_bytes,
                extra=_band_values(plan.recipe, stretch, origin.unit).keywords(settings)
                | {"data_pixel_bitpix": depth},
                stretch=stretch,
                frame=settings.frame,
            )
            write_description(folder, leaves, about, settings)
            write_metadata(folder, render.cards, title, progenitor_table(used))
        counter.done = counter.total - 1
        counter.step()
    return replace(summary, seconds=time.monotonic() - started)


class _Site:
    """The folder where a HiPS is made, and what is kept there for later builds.

    Parameters
    ----------
    folder
        Where it is made.
    published
        The HiPS as it is served, there or not.
    scratch
        For decoded images.
    fresh
        Whether everything is decided anew.
    """

    def __init__(self, folder: Path, published: Path, scratch: Path, fresh: bool) -> None:  # noqa: FBT001
        self._folder, self._published, self._scratch = folder, published, scratch
        self._fresh = fresh
        self._plan_file = folder / BUILD_FOLDER / "plan"

    def prepare(
        self,
        sources: Sequence[ImageSource],
        settings: HipsSettings,
        crew: Crew,
        counter: Progress,
    ) -> tuple[Plan, Rendering | None]:
        """Decide what is to be done, or find what another has decided on the same images."""
        key = digest_of(
            Recipe.digest_of_settings(settings),
            *((s.number, fingerprint(s), s.exposure_s, s.t_min_mjd) for s in sources),
        )
        with alone(self._folder):
            plan = self._planned(key)
            if plan is not None:
                for _ in range(2 * len(sources)):
                    counter.step()
                return plan, self._rendering(plan, sources, settings, crew, counter)
            kept, backgrounds = self._kept(settings)
            database = Progenitors.path_of(self._folder)
            if not database.exists() and not self._fresh and kept is not None:
                database.parent.mkdir(parents=True, exist_ok=True)
                with suppress(FileNotFoundError):
                    shutil.copyfile(Progenitors.path_of(self._published), database)
            with Progenitors(self._folder, Recipe.digest_of_settings(settings)) as known:
                plan = make_plan(
                    sources, settings, crew, counter.step, known, self._scratch, kept, backgrounds
                )
            if plan.recipe is None:
                return plan, None
            rendering = self._rendering(plan, sources, settings, crew, counter)
            plan = replace(plan, recipe=rendering.settle())
            assert plan.recipe is not None
            if plan.backgrounds is not None:
                plan.backgrounds.save(self._folder)
            plan.recipe.save(self._folder)
            partial = self._plan_file.with_suffix(".part")
            partial.write_bytes(pickle.dumps((key, plan)))
            partial.replace(self._plan_file)
        return plan, rendering

    def _planned(self, key: str) -> Plan | None:
        try:
            # Written by a builder of this same HiPS, never by a stranger.
            known, plan = pickle.loads(self._plan_file.read_bytes())  # noqa: S301
        except (OSError, ValueError, EOFError, TypeError, AttributeError, pickle.PickleError):
            return None
        return plan if known == key and isinstance(plan, Plan) else None

    def _kept(self, settings: HipsSettings) -> tuple[Recipe | None, Backgrounds | None]:
        """Give what was decided before: by a build that was broken off, or the last one."""
        begun = Recipe.load(self._folder, settings)
        if begun is not None or self._fresh:
            return begun, Backgrounds.load(self._folder)
        # What a build with other settings has left is of no use.
        open_tiles(self._folder).clear()
        shutil.rmtree(self._folder / BUILD_FOLDER, ignore_errors=True)
        return Recipe.load(self._published, settings), Backgrounds.load(self._published)

    def _rendering(
        self, plan: Plan, sources: Sequence[ImageSource], settings: HipsSettings, crew: Crew,
        counter: Progress,
    ) -> Rendering:  # fmt: skip
        # A fresh start takes no tile from what is served.
        earlier = self._scratch if self._fresh else self._published
        assert plan.recipe is not None
        tiles_in_the_making(self._folder, settings.storage, plan.recipe.top)
        return Rendering(
            plan, sources, settings, crew, self._folder, earlier, self._scratch, counter
        )

    def note_damaged(
        self, sources: Sequence[ImageSource], damaged: dict[int, str], recipe: Recipe
    ) -> None:
        """Keep in mind which images' pixels cannot be used, so that none tries again."""
        if damaged:
            with alone(self._folder), Progenitors(self._folder, recipe.settings) as known:
                for source in sources:
                    if source.number in damaged:
                        known.put_lost(source.did, damaged[source.number])
                known.save()

    def tidy(
        self, tiles: dict[int, set[int]], records: set[tuple[int, int]], encoding: Encoding
    ) -> None:
        """Leave only what belongs to the HiPS."""
        drop_other_formats(self._folder, encoding)
        open_tiles(self._folder).prune(tiles)
        Records(self._folder).prune(records)
        self._plan_file.unlink(missing_ok=True)
        (self._folder / ".plan.lock").unlink(missing_ok=True)

    def unchanged(self, made: Made) -> bool:
        """Tell whether all tiles are those that are served."""
        return not made.rendered and contents(made.records) == contents(
            Records(self._published).all()
        )


def _skipped(products: Sequence[Product], lost: dict[int, str]) -> tuple[Skipped, ...]:
    return tuple(
        Skipped(products[n].did, products[n].file_name, reason)
        for n, reason in sorted(lost.items())
    )


def _nothing(name: str, skipped: Sequence[Skipped]) -> str:
    reasons = Counter(item.reason for item in skipped).most_common(3)
    why = "; ".join(f"{reason} ({count})" for reason, count in reasons)
    why = why or "all pixels are blank, or the whole is smaller than a pixel of a tile"
    return f"no image can go into the HiPS '{name}': {why}"


def _text(origin: Provenance, band: str | None) -> str:
    seen = " and ".join(part for part in (", ".join(origin.facilities),) if part)
    return (
        f"Coadd of {origin.count} {band + ' ' if band else ''}images of "
        f"{', '.join(origin.collections)}{f' from {seen}' if seen else ''}."
    )


def _band_values(recipe: Recipe, stretch: Stretch, unit: str) -> BandValues:
    cuts = stretch.low, stretch.high
    return BandValues(recipe.image_arcsec, cuts, recipe.data_range, recipe.zero_point_mag, unit)


@contextmanager
def _scratch(folder: Path, settings: HipsSettings, part: Share | None) -> Iterator[Path]:
    """Give a folder for decoded images that is gone afterwards."""
    if part is None:
        for left in folder.glob(".scratch-*"):
            shutil.rmtree(left, ignore_errors=True)
    place = settings.scratch or folder
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".scratch-", dir=place) as path:
            yield Path(path)
    except OSError as error:
        raise UsageError(f"the folder for the HiPS cannot be written: {error}") from None


def _sources(
    products: Sequence[Product],
    open_index: Callable[[Product], FileIndex],
    planes: Mapping[str, Planes],
) -> tuple[list[ImageSource], dict[int, str], int | None]:
    """Give the images, those that are lost and why, and the BITPIX of most."""
    sources, lost = [], {}
    depths: Counter[int] = Counter()
    for number, product in enumerate(products):
        try:
            index = open_index(product)
        except SkylaneError as error:
            lost[number] = error.message
            continue
        if product.hdus:
            depths[index.hdus[product.hdus[0]].bitpix] += 1
        sources.append(
            ImageSource(
                number, product.did, product.uri, index.to_bytes(), product.hdus,
                exposure_s=exposure_of(product),
                t_min_mjd=number_of(product, "t_min"),
                version=product.version,
                planes=planes.get(product.did, ()),
            )
        )  # fmt: skip
    return sources, lost, max(depths, key=lambda depth: (depths[depth], depth), default=None)
