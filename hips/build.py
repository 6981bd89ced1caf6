"""A HiPS from the images of one band.

`build` goes through `hips.plan` (which tiles, which scale), decodes each image once and renders
shard after shard (`hips.schedule`), and describes the result (`hips.describe`). All of it happens
in a folder out of sight that takes the HiPS's name at the end. An image that cannot be used is
named in the summary and left out.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from hips.allsky import write_allsky
from hips.crew import Crew
from hips.describe import Description, first_made, write_description
from hips.images import ImageSource
from hips.plan import Plan, make_plan
from hips.properties import Provenance, provenance_of
from hips.publish import staging
from hips.schedule import Rendering
from hips.settings import HipsSettings
from hips.stretch import Stretch
from hips.summary import BuildSummary, Progress, Report, Skipped
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
    with Crew.of(crew, workers) as hands, staging(output / name) as folder:
        with _scratch(folder, settings) as scratch:
            counter = Progress(progress, 3 * len(ordered))
            sources, lost = _sources(ordered, open_index)
            counter.done = 3 * len(lost)
            plan = make_plan(sources, settings, hands, counter.step)
            counter.total += len(plan.shards) + 1
            lost.update(plan.skipped)
            render = Rendering(plan, sources, settings, hands, folder, scratch, counter)
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
    why = why or "all pixels are blank, or the whole is smaller than a pixel of a tile"
    return f"no image can go into the HiPS '{name}': {why}"


def _text(origin: Provenance, band: str | None) -> str:
    seen = " and ".join(part for part in (", ".join(origin.facilities),) if part)
    return (
        f"Coadd of {origin.count} {band + ' ' if band else ''}images of "
        f"{', '.join(origin.collections)}{f' from {seen}' if seen else ''}."
    )


def _image_keywords(plan: Plan, stretch: Stretch, settings: HipsSettings) -> dict[str, object]:
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
                number,
                product.did,
                product.uri,
                index,
                product.hdus,
                float(time_s) if usable and isinstance(time_s, int | float) else None,
            )
        )
    return sources, lost
