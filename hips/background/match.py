"""Corrections for the images of a HiPS that have none yet."""

from __future__ import annotations

import statistics
from collections import OrderedDict
from collections.abc import Collection, Container, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np

from hips.background.fit import Difference, difference, fit
from hips.background.kept import Backgrounds, Plane
from hips.background.pairs import Reach, pairs_of, shared_parts
from hips.background.samples import SampleJob, choose_depth, take_samples
from hips.calibration import Calibration
from hips.crew import Crew
from hips.images import ImageFacts, ImageSource
from hips.settings import HipsSettings

__all__ = ["match"]

_HELD: Final = 256
"""Images whose samples are in memory at a time."""


def match(
    sources: Sequence[ImageSource],
    facts: Mapping[int, ImageFacts],
    calibrations: Mapping[int, Calibration],
    tiles: Reach,
    order: int,
    settings: HipsSettings,
    crew: Crew,
    scratch: Path,
    kept: Backgrounds | None,
) -> tuple[Backgrounds, list[str]]:
    """Choose the corrections of images that have none; those that there are stay.

    Parameters
    ----------
    sources
        The images.
    facts, calibrations
        Of those that can be used, by number.
    tiles, order
        Which of them reach which tile, and the order of the tiles.
    settings
        How the HiPS is made.
    crew
        Who looks at the images.
    scratch
        Folder for what is seen, about 100 kB an image.
    kept
        What was chosen before.

    Returns
    -------
    backgrounds, notes
        Of the images that can be used, and what there is to say. One whose pixels cannot be read
        has none.

    Raises
    ------
    UsageError
        If SciPy is not installed.
    """
    usable = {source.number: source for source in sources if source.number in facts}
    before = kept or Backgrounds()
    planes = {
        number: plane
        for number, source in usable.items()
        if (plane := before.of(source.did, source.version)) is not None
    }
    notes: list[str] = []
    level, new = before.level, [number for number in usable if number not in planes]
    pairs = pairs_of(tiles, planes.keys())
    if new:
        with TemporaryDirectory(prefix=".samples-", dir=scratch) as folder:
            looking = _Samples(Path(folder))
            shared = shared_parts(tiles)
            wanted = {number for pair in pairs for number in pair}
            depth = choose_depth(facts.values())
            jobs = (
                SampleJob(
                    usable[number], facts[number].scale_arcsec, calibrations[number], depth, order,
                    shared[number], looking.path(number),
                )
                for number in sorted(wanted)
            )  # fmt: skip
            levels: dict[int, float] = {}
            lost: dict[int, str] = {}
            for job, seen in crew.results(partial(take_samples, settings=settings), jobs):
                if isinstance(seen, Exception):
                    lost[job.source.number] = str(seen)
                elif seen is not None:
                    levels[job.source.number] = seen
            found = fit(looking.differences(pairs, levels, planes), new, _usual(planes.values()))
        planes.update((number, plane) for number, plane in found.items() if number not in lost)
        if lost:
            first = usable[min(lost)].did
            notes.append(
                f"{len(lost)} of {len(usable)} images could not be compared with others, so their"
                f" background is as it was; {first}: {lost[min(lost)]}"
            )
        if level is None and levels:
            level = statistics.median(
                value - planes[number].offset for number, value in levels.items()
            )
    chosen = {usable[n].did: (usable[n].version, planes[n]) for n in sorted(planes)}
    return Backgrounds(level, chosen), notes


def _usual(planes: Collection[Plane]) -> float | None:
    """Give the root mean square of slopes; None if there are none to go by."""
    slopes = [slope for plane in planes for slope in (plane.slope_x, plane.slope_y)]
    return float(np.sqrt(np.mean(np.square(slopes)))) if slopes else None


class _Samples:
    """What was seen of images, in files, of which some are in memory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: OrderedDict[int, Any] = OrderedDict()

    def path(self, number: int) -> Path:
        return self._folder / f"{number}.npy"

    def differences(
        self, pairs: Sequence[tuple[int, int]], seen: Container[int], known: Mapping[int, Plane]
    ) -> list[Difference]:
        """Compare the images of pairs, as far as they were seen."""
        compared = (
            difference((a, b), (self._get(a), self._get(b)), (known.get(a), known.get(b)))
            for a, b in pairs
            if a in seen and b in seen
        )
        return [one for one in compared if one is not None]

    def _get(self, number: int) -> Any:
        if number not in self._held:
            self._held[number] = np.load(self.path(number))
            if len(self._held) > _HELD:
                self._held.popitem(last=False)
        self._held.move_to_end(number)
        return self._held[number]
