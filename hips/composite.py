"""A colour HiPS from the HiPS of three bands, order by order."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from hips.allsky import ALLSKY_ORDER, write_allsky_color
from hips.color import COLOR_FILE, ColorJob, ColorScale, choose_color, paint_tiles
from hips.coverage import tiles_of
from hips.crew import Crew
from hips.describe import Description, first_made, write_description
from hips.properties import Provenance, parse_properties
from hips.publish import staging
from hips.settings import HipsSettings
from hips.summary import BuildSummary, Progress, Report
from vodal.errors import DataError, UsageError

__all__ = ["build_color"]

_COLOR_RUN: Final = 32
"""Tiles painted in one task."""


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
    with Crew.of(crew, workers) as hands, staging(output / name) as folder:
        tiles = {k: _present(folders, k) for k in range(order + 1)}
        scale = _kept_scale(output / name, bands)
        scale = scale or choose_color(bands, folders, order, tiles[order])
        (folder / COLOR_FILE).write_text(scale.to_json(), "utf-8")
        jobs = list(_color_jobs(folders, folder, scale, tiles))
        counter = Progress(progress, len(jobs) + 1)
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
