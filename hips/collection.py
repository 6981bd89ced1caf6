"""The HiPS of a collection: one for each band, and those in colour."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from hips.build import build
from hips.color_bands import bands_of_color, colors_of, middle_wavelength
from hips.composite import build_color
from hips.crew import Crew
from hips.part import Share
from hips.publish import band_of, hips_name
from hips.settings import HipsSettings
from hips.summary import BuildSummary, Report
from vodal.errors import DataError, UsageError
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
    that are set, or ``<collection>-color`` of three bands.

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
        Bands first, by wavelength; colour last. A band with no usable image, products that are
        masks, weights and the like, and a colour HiPS whose bands are not all there are in the
        first summary's notes.

    Raises
    ------
    UsageError
        If the collection has no products, or a colour HiPS is to have the name of a band's.
    DataError
        If none of its images can be used.
    """
    bands: dict[str, list[Product]] = {}
    others: Counter[str] = Counter()
    for product in catalogue.products(collection):
        # Masks and weight maps that lie in files of their own are no picture of the sky.
        kind = str(product.obscore.get("dataproduct_subtype") or "")
        if kind:
            others[kind] += 1
        else:
            bands.setdefault(band_of(product), []).append(product)
    if not bands:
        raise UsageError(f"the collection '{collection}' has no images")
    waves = {band: middle_wavelength(group) for band, group in bands.items()}
    ordered = sorted(bands, key=lambda band: (waves[band], band))
    names = list(_names(collection, ordered))
    taken = [name for name, _ in names if name in settings.color]
    if taken:
        raise UsageError(f"hips.color.{taken[0]}: the HiPS of a band has this name; choose another")
    made: dict[str, BuildSummary] = {}
    notes = [f"{number} files of kind {kind} left out" for kind, number in sorted(others.items())]
    failed: list[str] = []
    with Crew.of(crew, workers) as hands:
        for name, band in names:
            try:
                made[band] = build(
                    bands[band], resolver.index, output, settings, name=name,
                    title=f"{collection} {band}".strip(),
                    creator_did=_did(bands[band], name), band=band or None,
                    progress=progress, crew=hands, fresh=fresh, part=part,
                )  # fmt: skip
            except DataError as error:
                failed.append(error.message)
        if not made:
            raise DataError("; ".join(failed))
        summaries = list(made.values())
        for name, asked in (
            () if part is not None else colors_of(collection, settings.color).items()
        ):
            images = {band: len(bands[band]) for band in made}
            chosen, why = bands_of_color(images, waves, name, asked)
            notes += why
            if not chosen:
                continue
            summary = build_color(
                {band: made[band].path for band in chosen}, output, settings, name=name,
                title=f"{collection} colour ({', '.join(chosen)})",
                creator_did=_did(bands[chosen[0]], name), progress=progress, crew=hands,
                fresh=fresh, colors=asked,
            )  # fmt: skip
            summaries.append(summary)
    return [_with_notes(summaries[0], [*notes, *failed]), *summaries[1:]]


def _names(collection: str, bands: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Give each band's HiPS a name of its own, though two bands may differ in signs only."""
    given: Counter[str] = Counter()
    for band in bands:
        name = hips_name(collection, None if len(bands) == 1 else band or "other")
        given[name.lower()] += 1
        count = given[name.lower()]
        yield (name if count == 1 else f"{name}-{count}"), band


def _with_notes(summary: BuildSummary, notes: Sequence[str]) -> BuildSummary:
    return replace(summary, notes=(*summary.notes, *notes))


def _did(products: Sequence[Product], name: str) -> str:
    """Make the HiPS's IVOID from the authority of its images."""
    match = _AUTHORITY.match(products[0].did)
    return f"ivo://{match[1] if match else 'skylane.invalid'}/hips/{name}"
