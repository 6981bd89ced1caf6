"""A colour HiPS from the HiPS of its bands, order by order."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from hips.allsky import ALLSKY_ORDER, write_allsky_color
from hips.color.paint import ColorJob, choose_color, paint_tiles
from hips.color.scale import COLOR_FILE, ColorScale, Mix, kept_scale
from hips.color.settings import ColorSettings
from hips.crew import Crew
from hips.describe import Description, first_made, last_release, next_release, write_description
from hips.formats import Encoding, drop_other_formats
from hips.frames import Frame
from hips.metadata import write_metadata
from hips.properties import Provenance, parse_properties
from hips.publish import staging
from hips.recipe import digest_of
from hips.records import Record, Records, contents
from hips.settings import HipsSettings
from hips.summary import BuildSummary, Progress, Report
from hips.tiles.base import Tiles
from hips.tiles.opening import open_tiles, tiles_in_the_making
from hips.upper import build_above
from vodal.errors import DataError, UsageError

__all__ = ["build_color"]

_SHARED: Final = ("data_ucd", "hips_creator", "bib_reference")
"""Keywords that a colour HiPS has of its bands: what was measured, by whom, told where."""
_RUN_ORDERS: Final = 2
"""A task paints a tile, those below it, and those below them."""


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
    fresh: bool = False,
    colors: ColorSettings | None = None,
) -> BuildSummary:
    """Make a colour HiPS from the FITS tiles of its bands, order by order.

    Parameters
    ----------
    band_hips
        Folders of the bands' HiPS by band. Where `colors` names no bands, three of them, in the
        order red, green, blue.
    output, settings, name, title, creator_did, description, workers, progress, crew, fresh
        As of `build`.
    colors
        The bands' parts of the colours, cuts and stretch; by default all is chosen from the tiles.

    Raises
    ------
    UsageError
        If a band is not there, or has no HiPS.
    """
    started = time.monotonic()
    mix = _mix_of(band_hips, colors)
    folders = tuple(band_hips[band] for band in mix.bands)
    known = [_known(folder) for folder in folders]
    order = min(int(values["hips_order"]) for values in known)
    frame = _frame(known)
    target = output / name
    with (
        Crew.of(crew, workers) as hands,
        staging(target, anew=fresh, keep=settings.keep_versions) as folder,
    ):
        encoding = Encoding.of_color(settings)
        tiles = {k: _present(folders, k) for k in range(order + 1)}
        asked = colors.mark if colors else ""
        kept = None if fresh else kept_scale(folder, mix, asked) or kept_scale(target, mix, asked)
        scale = kept or choose_color(mix, colors, folders, order, tiles[order])
        (folder / COLOR_FILE).write_text(scale.to_json(), "utf-8")
        made_tiles = tiles_in_the_making(folder, settings.storage, max(0, order - _RUN_ORDERS))
        jobs = _Jobs(folders, encoding, made_tiles, target, scale, order)
        runs = list(jobs.runs(tiles))
        counter = Progress(progress, len(runs) + 1)
        made: list[Record] = []
        for _, result in hands.results(paint_tiles, runs):
            if isinstance(result, Exception):
                raise result
            made.append(result)
            counter.step()
        made += build_above(made, hands, paint_tiles, jobs.above)
        drop_other_formats(folder, encoding)
        made_tiles.prune({k: set(found) for k, found in tiles.items()})
        Records(folder).prune({(record.order, record.npix) for record in made})
        if order >= ALLSKY_ORDER:
            write_allsky_color(folder, encoding)
        red, green, blue = mix.words()
        now = datetime.now(UTC)
        same = contents(made) == contents(Records(target).all())
        about = Description(
            creator_did=creator_did,
            title=title,
            text=description or f"Colour composite: red {red}, green {green}, blue {blue}.",
            collection=known[0].get("obs_collection", ""),
            order=order,
            formats=encoding.words,
            provenance=_joined(known),
            made=first_made(target, now),
            released=last_release(target, now) if same else next_release(target, now),
            tiles=sum(len(found) for found in tiles.values()),
            size_bytes=sum(record.size_bytes for record in made),
            extra={
                "dataproduct_subtype": "color",
                "hips_hierarchy": "mean",
                "hips_rgb_red": red,
                "hips_rgb_green": green,
                "hips_rgb_blue": blue,
            },
            frame=frame,
        )
        write_description(folder, sorted(tiles[order]), about, settings)
        write_metadata(folder, {"RED": red, "GREEN": green, "BLUE": blue}, title)
        counter.step()
    return BuildSummary(
        name, target, order, about.tiles, 0, (), (), about.size_bytes, time.monotonic() - started
    )


def _mix_of(band_hips: Mapping[str, Path], colors: ColorSettings | None) -> Mix:
    mix = Mix.of(colors) if colors else None
    if mix is None:
        if len(band_hips) != 3:
            raise UsageError(f"a colour HiPS needs three bands, not {len(band_hips)}")
        return Mix(tuple(band_hips))
    absent = [band for band in mix.bands if band not in band_hips]
    if absent:
        raise UsageError(
            f"a colour HiPS is to be made of {', '.join(absent)}, which is not there;"
            f" there are {', '.join(band_hips)}"
        )
    return mix


class _Jobs:
    """Makes the tasks of painting.

    Parameters
    ----------
    folders
        Of the bands' HiPS.
    encoding
        Of the tiles.
    target, published
        Where the tiles go, and the HiPS as it is served.
    scale
        Of the colours.
    order
        Of the deepest tiles.
    """

    def __init__(
        self, folders: tuple[Path, ...], encoding: Encoding, target: Tiles,
        published: Path, scale: ColorScale, order: int,
    ) -> None:  # fmt: skip
        self._folders, self._encoding = folders, encoding
        self._target, self._published = target, published
        self._scale, self._order = scale, order
        self._top = max(0, order - _RUN_ORDERS)
        self._leaves = [_leaf_inputs(folder, order) for folder in folders]

    def runs(self, tiles: Mapping[int, Mapping[int, int]]) -> Iterator[ColorJob]:
        """Give the tasks of the deepest tiles and those above them up to the order of a run."""
        groups: dict[int, list[tuple[int, int]]] = {}
        for order in range(self._top, self._order + 1):
            for npix in sorted(tiles[order]):
                groups.setdefault(npix >> 2 * (order - self._top), []).append((order, npix))
        for npix, group in groups.items():
            leaves = {n: self._inputs(n) for order, n in group if order == self._order}
            inputs = digest_of(*sorted(leaves.items()))
            yield self._job(self._top, npix, inputs, tuple(group), leaves)

    def above(self, order: int, npix: int, _below: tuple[int, ...], inputs: str) -> ColorJob:
        """Give the task of a tile above the runs."""
        return self._job(order, npix, inputs, ((order, npix),), {})

    def _job(
        self, order: int, npix: int, inputs: str, tiles: tuple[tuple[int, int], ...],
        leaves: Mapping[int, str],
    ) -> ColorJob:  # fmt: skip
        return ColorJob(
            self._folders, self._encoding, self._target, self._published, self._scale, order,
            npix, inputs, tiles, leaves,
        )  # fmt: skip

    def _inputs(self, npix: int) -> str:
        """Tell apart what goes into a tile: of each band, the deepest tiles in and below it."""
        return digest_of(self._scale.to_json(), *(known(npix) for known in self._leaves))


def _known(folder: Path) -> dict[str, str]:
    try:
        values = parse_properties((folder / "properties").read_text("utf-8"))
        int(values["hips_order"])
    except (OSError, KeyError, ValueError, DataError):
        raise UsageError(f"the folder {folder.name} holds no HiPS") from None
    return values


def _frame(known: Sequence[Mapping[str, str]]) -> Frame:
    """Give the frame of the bands' HiPS, one for all."""
    frames = {values.get("hips_frame", "") for values in known}
    if frames == {"equatorial"}:
        return "equatorial"
    if frames == {"galactic"}:
        return "galactic"
    raise UsageError(
        f"the bands' HiPS are of the frames {', '.join(sorted(frames))}; "
        "a colour HiPS needs bands of one frame, equatorial or galactic"
    )


def _present(folders: Iterable[Path], order: int) -> dict[int, int]:
    """Give the tiles of an order that any band has, and in how many bands each is there."""
    return dict(
        Counter(npix for folder in folders for npix in open_tiles(folder).tiles(order, "fits"))
    )


def _leaf_inputs(folder: Path, order: int) -> Callable[[int], str]:
    """Give what tells the inputs of a band's tiles of an order apart, by their number.

    A HiPS without records, of another maker, is told by the time of its release.
    """
    values = _known(folder)
    levels = 2 * (int(values["hips_order"]) - order)
    below: dict[int, list[tuple[int, str]]] = {}
    for leaf, digest in sorted(Records(folder).leaves().items()):
        below.setdefault(leaf >> levels, []).append((leaf, digest))
    release = "" if below else values.get("hips_release_date", "")
    return lambda npix: digest_of(release, *below.get(npix, ()))


def _joined(known: Sequence[Mapping[str, str]]) -> Provenance:
    """Sum up the properties of the bands."""

    def values(key: str) -> list[float]:
        return [float(band[key]) for band in known if key in band]

    em_min, em_max = min(values("em_min"), default=None), max(values("em_max"), default=None)
    progenitors = tuple(dict.fromkeys(band.get("creator_did", "") for band in known))
    return Provenance(
        min(values("t_min"), default=None), max(values("t_max"), default=None), em_min, em_max,
        "", (), (), progenitors, 0, *(_all_of(known, key) for key in _SHARED),
    )  # fmt: skip


def _all_of(known: Sequence[Mapping[str, str]], key: str) -> tuple[str, ...]:
    """Give the values that bands have of a keyword, each once."""
    return tuple(dict.fromkeys(band[key] for band in known if band.get(key)))
