"""The HiPS of a collection: one for each band, those in colour, and those of cubes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hips.build import build
from hips.color.bands import bands_of_color, colors_of, middle_wavelength
from hips.color.build import build_color
from hips.color.settings import ColorSettings
from hips.crew import Crew
from hips.cubes import CubeHips, is_cube
from hips.images import Planes
from hips.part import Share
from hips.publish import band_of, hips_name
from hips.settings import HipsSettings
from hips.summary import BuildSummary, Report, Skipped
from vodal.errors import DataError, SkylaneError, UsageError
from vodal.products import Catalogue, Product, Resolver

__all__ = ["build_collection"]

_AUTHORITY = re.compile(r"ivo://([^/?#]+)")


def build_collection(
    catalogue: Catalogue,
    resolver: Resolver,
    collection: str,
    output: Path,
    settings: HipsSettings,
    *,
    workers: int = 1,
    progress: Report | None = None,
    fresh: bool = False,
    part: Share | None = None,
    crew: Crew | None = None,
) -> list[BuildSummary]:
    """Make a HiPS for each band of a collection and those in colour.

    They are named ``<collection>-<band>``, or ``<collection>`` where the images are of one band or
    of none that is known. Those in colour, made in the same call after their bands, are the ones
    that are set, or ``<collection>-color`` of three bands. Cubes are not in these: each of their
    channels makes a HiPS of its own (`hips.cubes`), named as that of images of their band would be,
    with ``-ch<number>`` behind, or their mean makes one, with ``-mean``.

    Parameters
    ----------
    catalogue, resolver
        Where the images are known.
    collection
        Its name.
    output
        The folder that holds the HiPS.
    settings
        How to make them.
    workers
        Processes that work.
    progress
        Told the number of steps done and the total; starts anew with each HiPS.
    fresh, part
        As of `hips.build.build`. A part is of the bands; those in colour are made by the call that
        completes them.
    crew
        Who works, instead of ``workers`` new processes.

    Returns
    -------
    list of BuildSummary
        Bands first, by wavelength, then colour, then channels of cubes. A band with no usable
        image, products that are masks, weights and the like, and a colour HiPS whose bands are not
        all there are in the first summary's notes.

    Raises
    ------
    UsageError
        If the collection has no products, or a colour HiPS is to have the name of another.
    DataError
        If none of its images can be used.
    """
    cubes, bands, others = _sorted(catalogue.products(collection), resolver, settings)
    everything = {**cubes, **bands}
    if not everything:
        raise UsageError(f"the collection '{collection}' has no images")
    waves = {band: middle_wavelength(group) for band, group in everything.items()}
    ordered = sorted(everything, key=lambda band: (waves[band], band))
    names = {band: name for name, band in _names(collection, ordered)}
    taken = [name for name in names.values() if name in settings.color]
    if taken:
        raise UsageError(f"hips.color.{taken[0]}: the HiPS of a band has this name; choose another")
    notes = [f"{number} files of kind {kind} left out" for kind, number in sorted(others.items())]
    with Crew.of(crew, workers) as hands:
        work = _Work(resolver, output, settings, collection, hands, progress, fresh, part, notes)
        made = {
            band: summary
            for band in ordered
            if band in bands and (summary := work.band(bands[band], band, names[band])) is not None
        }
        summaries = list(made.values())
        images = {band: len(bands[band]) for band in made}
        colors = colors_of(collection, settings.color) if part is None else {}
        for name, asked in colors.items():
            chosen, why = bands_of_color(images, waves, name, asked)
            notes += why
            if chosen:
                did = _did(bands[chosen[0]], name)
                folders = {band: made[band].path for band in chosen}
                summaries.append(work.color(folders, name, did, asked))
        for band in (band for band in ordered if band in cubes):
            summaries += work.cubes(cubes[band], band, names[band])
    if not summaries:
        raise DataError("; ".join(notes))
    return [replace(summaries[0], notes=(*summaries[0].notes, *notes)), *summaries[1:]]


def _sorted(
    products: Iterable[Product], resolver: Resolver, settings: HipsSettings
) -> tuple[dict[str, list[Product]], dict[str, list[Product]], Counter[str]]:
    """Give the cubes of each band, the images of each, and how many other files of which kind."""
    cubes: dict[str, list[Product]] = {}
    bands: dict[str, list[Product]] = {}
    wanted = settings.cubes != "skip"
    others: Counter[str] = Counter()
    for told in products:
        product = _opened(told, resolver)
        # Masks and weight maps that lie in files of their own are no picture of the sky.
        kind = str(product.obscore.get("dataproduct_subtype") or "")
        if kind:
            others[kind] += 1
        else:
            group = cubes if wanted and is_cube(product, resolver.index) else bands
            group.setdefault(band_of(product), []).append(product)
    return cubes, bands, others


def _opened(product: Product, resolver: Resolver) -> Product:
    """Have a file looked into that was not yet; what is wrong with it is told with the images."""
    try:
        return resolver.ready(product)
    except SkylaneError:
        return product


@dataclass(frozen=True, slots=True)
class _Work:
    """Makes the HiPS of a collection."""

    resolver: Resolver
    output: Path
    settings: HipsSettings
    collection: str
    crew: Crew
    progress: Report | None
    fresh: bool
    part: Share | None
    notes: list[str]
    """What was not made is told here."""

    def band(self, products: Sequence[Product], band: str, name: str) -> BuildSummary | None:
        """Make the HiPS of a band's images; None if there is nothing to make it of."""
        return self._built(products, band, name, self._title(band), {})

    def cubes(self, cubes: Sequence[Product], band: str, name: str) -> list[BuildSummary]:
        """Make the HiPS of the channels of a band's cubes."""
        plan = CubeHips(
            cubes, self.resolver.index, self.output, self.settings,
            collection=self.collection, name=name, title=self._title(band), fresh=self.fresh,
        )  # fmt: skip
        self.notes.extend(map(str, plan.skipped))
        made, told = list[BuildSummary](), set[Skipped]()
        for plane in plan.hips():
            summary = self._built(plane.products, band, plane.name, plane.title, plane.planes)
            if summary is not None:
                # What is wrong with a cube is wrong in each channel.
                new = tuple(item for item in summary.skipped if item not in told)
                told.update(new)
                made.append(replace(summary, skipped=new))
        self.notes.extend(plan.notes)
        return made

    def color(
        self, bands: Mapping[str, Path], name: str, did: str, asked: ColorSettings | None
    ) -> BuildSummary:
        """Make a HiPS in colour of bands' HiPS."""
        return build_color(
            bands, self.output, self.settings, name=name,
            title=f"{self.collection} colour ({', '.join(bands)})", creator_did=did,
            progress=self.progress, crew=self.crew, fresh=self.fresh, colors=asked,
        )  # fmt: skip

    def _title(self, band: str) -> str:
        return f"{self.collection} {band}".strip()

    def _built(
        self, products: Sequence[Product], band: str, name: str, title: str,
        planes: Mapping[str, Planes],
    ) -> BuildSummary | None:  # fmt: skip
        if planes and name in self.settings.color:
            self.notes.append(f"hips.color.{name}: that of a channel would have this name")
            return None
        try:
            return build(
                products, self.resolver.index, self.output, self.settings, name=name, title=title,
                creator_did=_did(products, name), band=band or None, progress=self.progress,
                crew=self.crew, fresh=self.fresh, part=self.part, planes=planes,
            )  # fmt: skip
        except DataError as error:
            self.notes.append(error.message)
            return None


def _names(collection: str, bands: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Give each band's HiPS a name of its own, though two bands may differ in signs only."""
    given: Counter[str] = Counter()
    for band in bands:
        name = hips_name(collection, None if len(bands) == 1 else band or "other")
        given[name.lower()] += 1
        count = given[name.lower()]
        yield (name if count == 1 else f"{name}-{count}"), band


def _did(products: Sequence[Product], name: str) -> str:
    """Make the HiPS's IVOID from the authority of its images."""
    match = _AUTHORITY.match(products[0].did)
    return f"ivo://{match[1] if match else 'skylane.invalid'}/hips/{name}"
