"""The HiPS of a collection: one for each band, and one in colour where there are three."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hips.build import build
from hips.composite import build_color
from hips.crew import Crew
from hips.part import Share
from hips.publish import band_of, hips_name
from hips.settings import HipsSettings
from hips.summary import BuildSummary, Report
from vodal.errors import DataError, UsageError
from vodal.products import Catalogue, Product, Resolver

__all__ = ["build_collection", "color_bands"]

_AUTHORITY = re.compile(r"ivo://([^/?#]+)")


def color_bands(products: Mapping[str, Sequence[Product]]) -> tuple[str, str, str] | None:
    """Choose three bands for red, green and blue: the reddest, the bluest and one between.

    Parameters
    ----------
    products
        Of each band.

    Returns
    -------
    tuple or None
        None if fewer than three bands have a wavelength. Of more than three, the three with most
        images.
    """
    waves = {band: _wavelength(group) for band, group in products.items() if band}
    known = [band for band, wave in waves.items() if wave > 0.0]
    if len(known) < 3:
        return None
    most = sorted(known, key=lambda band: (-len(products[band]), band))[:3]
    red, green, blue = sorted(most, key=lambda band: -waves[band])
    return red, green, blue


def _wavelength(products: Iterable[Product]) -> float:
    """Give the middle wavelength in metres, 0 if it is not known."""
    for product in products:
        low, high = product.obscore.get("em_min"), product.obscore.get("em_max")
        if isinstance(low, int | float) and isinstance(high, int | float) and low > 0.0:
            return 0.5 * (float(low) + float(high))
    return 0.0


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
    """Make a HiPS for each band of a collection and, of three bands, one in colour.

    They are named ``<collection>-<band>`` and ``<collection>-color``, or ``<collection>`` where
    the images are of one band or of none that is known. The colour HiPS is made in the same call
    after its bands.

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
        As of `hips.build.build`. A part is of the bands; the colour HiPS is made by the call that
        completes them.
    crew
        Who works, instead of ``workers`` new processes.

    Returns
    -------
    list of BuildSummary
        Bands first, by wavelength; colour last. A band with no usable image, and products that
        are masks, weights and the like, are in the first summary's notes.

    Raises
    ------
    UsageError
        If the collection has no products.
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
    ordered = sorted(bands, key=lambda band: (_wavelength(bands[band]), band))
    made: dict[str, BuildSummary] = {}
    notes = [f"{number} files of kind {kind} left out" for kind, number in sorted(others.items())]
    failed: list[str] = []
    with Crew.of(crew, workers) as hands:
        for name, band in _names(collection, ordered):
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
        rgb = color_bands({band: bands[band] for band in made})
        summaries = list(made.values())
        if rgb is not None and part is None:
            name = hips_name(collection, "color")
            summaries.append(
                build_color(
                    {band: made[band].path for band in rgb},
                    output,
                    settings,
                    name=name,
                    title=f"{collection} colour ({', '.join(rgb)})",
                    creator_did=_did(bands[rgb[0]], name),
                    progress=progress,
                    crew=hands,
                    fresh=fresh,
                )
            )
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
