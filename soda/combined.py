"""Results of jobs that are made of several datasets each: stitched images, pictures in colour.

The parameter COMBINE asks for them: ``stitch`` takes the parameters of ``/stitched``, ``rgb`` those
of ``/sync``. Each stencil that is given makes one result.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Final

from soda.bulk import BulkWork, Made
from soda.finding import Finder
from soda.names import stitched_name
from soda.outcomes import selection_text
from soda.output import Output
from soda.params import parse_params
from soda.selection import Selection
from soda.settings import SodaSettings
from soda.stitch.choose import choose
from soda.stitch.request import Rules, StitchParams, parse_stitch
from soda.worker import CutAnswer, make_color, make_stitched
from soda.worklist import Item
from vodal.errors import ServiceUnavailable, SkylaneError, TooLargeError, UsageError
from vodal.params import Params
from vodal.products import Catalogue

__all__ = ["Combined", "CombinedCutouts", "check_combined", "read_combined"]

_STENCILS: Final = ("POS", "CIRCLE", "POLYGON")

_Coming = Future[CutAnswer | None] | SkylaneError | None


@dataclass(frozen=True, slots=True)
class _Color:
    """A picture of three datasets."""

    dids: tuple[str, ...]
    selection: Selection


@dataclass(frozen=True, slots=True)
class Combined:
    """What a job makes of several datasets."""

    parts: tuple[StitchParams | _Color, ...]
    """One for each result."""
    output: Output

    def items(self) -> Iterator[Item]:
        """Give what is to be made, in order."""
        width, suffix = len(str(len(self.parts))), self.output.format.suffix
        for number, part in enumerate(self.parts, 1):
            if isinstance(part, _Color):
                selection, stem, words = part.selection, "color", []
            else:
                selection, stem = part.image.selection, part.collection or "stitched"
                words = [f"COLLECTION={part.collection}"] if part.collection else []
                words += [f"FILTER={name}" for name in part.filters]
            name = f"{number:0{width}d}_{stitched_name(stem, selection.stencil, suffix)}"
            region = " ".join([*words, selection_text(selection)]).strip()
            yield Item(number, 0, " ".join(part.dids), "", region, name, "", selection)


def _kind(given: Params) -> str:
    kind = (given.one("COMBINE") or "").lower()
    return kind if kind in {"rgb", "stitch"} else ""


def check_combined(given: Params, *, stitches: bool) -> None:
    """Refuse what no job can make of several datasets, whatever other parameters follow.

    Parameters
    ----------
    given
        Parameters of the job.
    stitches
        Whether images are stitched here.

    Raises
    ------
    UsageError
        If it cannot be made.
    """
    kind = _kind(given)
    if not kind:
        return
    if given.all("UPLOAD"):
        raise UsageError(
            f"COMBINE={kind} takes no UPLOAD, whose rows are cutouts of one dataset each; give POS,"
            " CIRCLE or POLYGON several times"
        )
    if kind == "stitch" and not stitches:
        raise UsageError("COMBINE=stitch: no images are stitched here")


def read_combined(given: Params, settings: SodaSettings) -> Combined | None:
    """Read what a job makes of several datasets; None if it asks for cutouts of one each.

    Raises
    ------
    UsageError
        If a value is missing, malformed or not served.
    TooLargeError
        If there are more results than one job may have.
    """
    kind = _kind(given)
    if not kind:
        return None
    most = settings.max_combinations
    count = sum(len(set(given.all(name))) for name in _STENCILS)
    if count > most:
        raise TooLargeError(
            f"POS, CIRCLE and POLYGON are given {count} times, for one result each; at most {most}"
        )
    if kind == "rgb":
        asked = parse_params(given, max_side=settings.max_picture_side)
        # All three of the same part.
        one = replace(asked, dids=asked.dids[:1])
        parts = [_Color(asked.dids, selection) for _, selection in one.combinations()]
        return Combined(tuple(parts[:most]), asked.output)
    stitched = [parse_stitch(each, max_side=settings.max_picture_side) for each in _each(given)]
    return Combined(tuple(stitched), stitched[0].image.output)


def _each(given: Params) -> Iterator[Params]:
    """Give the parameters of each stencil."""
    common = [
        (name, value)
        for name, values in given.items()
        for value in values
        if name not in {*_STENCILS, "COMBINE"}
    ]
    pairs = dict.fromkeys((name, value) for name in _STENCILS for value in given.all(name))
    for pair in pairs or [None]:
        yield Params(common if pair is None else [*common, pair])


class CombinedCutouts:
    """Has the results of one run made. For the thread of the job.

    Parameters
    ----------
    work
        Where they are made.
    combined
        What to make.
    finder, catalogue
        Find datasets.
    settings
        Limits.
    """

    def __init__(
        self,
        work: BulkWork,
        combined: Combined,
        finder: Finder,
        catalogue: Catalogue | None,
        settings: SodaSettings,
    ) -> None:
        self._work, self._parts, self._output = work, combined.parts, combined.output
        self._finder, self._catalogue, self._settings = finder, catalogue, settings
        self._rules = Rules(settings.mask_names, settings.zero_point_keywords)

    def made(self, items: Iterator[Item]) -> Generator[tuple[Item, Made], None, None]:
        """Give each item with what was made, in order.

        Raises
        ------
        StoppedError
            If the run has to end.
        ServiceUnavailable
            If the catalogue or the pool is not there.
        """
        begun = ((item, self._begun(self._parts[item.number - 1])) for item in items)
        with closing(self._work.in_turn(begun)) as turns:
            for item, coming in turns:
                answer = self._work.wait(coming)
                if isinstance(answer, CutAnswer):
                    self._finder.changed(answer.changed)
                yield item, self._work.counted(answer)

    def _begun(self, part: StitchParams | _Color) -> _Coming:
        """Find the datasets of a result and have it made."""
        limit = self._settings.max_output_bytes
        # Longer than the answer to a request may take, unless the only worker does all.
        most = (self._work.task.duration_s or None) if self._work.workers > 1 else None
        deadline = None if most is None else max(float(most), self._settings.deadline_s)
        try:
            if isinstance(part, _Color):
                found = [self._finder.look_up(did, part.selection)[1] for did in part.dids]
                sources = [source for source in found if source is not None]
                if len(sources) < len(found):
                    return None
                return self._work.begin(
                    make_color, sources, part.selection, limit, self._output, deadline_s=deadline
                )
            if self._catalogue is None:
                return UsageError("COMBINE=stitch: no images are stitched here")
            most_inputs = self._settings.max_stitched
            inputs = choose(part, self._finder, self._catalogue, most_inputs)
            if not inputs:
                return None
            return self._work.begin(
                make_stitched, inputs, part.image, self._rules, limit, deadline_s=deadline
            )
        except ServiceUnavailable:
            raise
        except SkylaneError as error:
            return error
