"""What runs in the pool's processes.

The server's process imports this module too, to name the functions; what they need is imported
when they run, or ahead of that by the pool (`PRELOAD`).
"""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from soda.output import Output
from vodal.errors import ChangedError, DataError, NotFoundError, SkylaneError
from vodal.pool.memory import SharedPart
from vodal.pool.worker import result_memory

if TYPE_CHECKING:
    from soda.cut import Cutout
    from soda.files import Files
    from soda.selection import Interval, Selection
    from soda.source import Source
    from soda.stitch.request import Rules, StitchInput, StitchRequest

__all__ = [
    "PRELOAD",
    "CutAnswer",
    "make_batch",
    "make_color",
    "make_cutout",
    "make_stitched",
    "middle_time",
    "warm_up",
]

PRELOAD = ("soda.files",)
"""Modules that a worker imports before its first request."""

_PLAIN = Output()
_PATIENCE_S = 2.0
"""Seconds that the first request waits for compiled code: as long as it takes to load what was
compiled before. What is compiled for the first time is not waited for, as others do its work."""


@dataclass(frozen=True, slots=True)
class CutAnswer:
    """A cutout on its way to the server."""

    body: pickle.PickleBuffer | bytearray | SharedPart
    """Sent without a copy, and arrives as a bytearray; or in the request's shared memory."""
    seconds: dict[str, float]
    """By step."""
    read_bytes: int = 0
    """Of the file, for pixels."""
    needed_bytes: int = 0
    """Of these, those of the pixels themselves, and of the tiles that hold them."""
    changed: tuple[tuple[str, str], ...] = ()
    """URI and version of files that were not of that version any more."""


class _State:
    """What a worker keeps from request to request."""

    def __init__(self) -> None:
        self.files: Files | None = None


_STATE = _State()


def warm_up() -> None:
    """Load what is loaded only when a first image is cut."""
    from soda.skyimage import compiled  # noqa: PLC0415 - heavy, and for workers only
    from soda.warmup import cut_sample  # noqa: PLC0415
    from vodal.fits.tiled import rice  # noqa: PLC0415
    from vodal.resample.canvas import load  # noqa: PLC0415

    compiled.begin()
    rice.wait(_PATIENCE_S)
    compiled.wait(_PATIENCE_S)
    load()
    # Without a folder for temporary files only the first request is slower.
    with contextlib.suppress(OSError):
        cut_sample()


class _Memory:
    """Where a cutout is written: memory that is shared with the server, as far as it has room."""

    def __init__(self) -> None:
        self._part: SharedPart | None = None

    def allocate(self, length: int) -> memoryview:
        """Give memory for so many bytes."""
        memory, self._part = result_memory(length)
        return memory

    def answer(self, made: Cutout) -> CutAnswer:
        """Make the answer of a cutout that may have been written there."""
        body: pickle.PickleBuffer | SharedPart
        if isinstance(made.body, memoryview) and self._part is not None:
            body = self._part
        else:
            body = pickle.PickleBuffer(made.body)
        return CutAnswer(body, made.seconds, made.read_bytes, made.needed_bytes, made.changed)


def _files() -> Files:
    """Give what this process keeps of files."""
    from soda.files import Files  # noqa: PLC0415
    from soda.skies import SkyCache  # noqa: PLC0415

    if _STATE.files is None:
        _STATE.files = Files(SkyCache())
    return _STATE.files


def make_cutout(
    source: Source, selection: Selection, limit_bytes: int, output: Output = _PLAIN
) -> CutAnswer | None:
    """Cut a part out of a product; see `soda.cut.cutout`.

    Raises
    ------
    DataError
        If the file is damaged, gone or replaced by another image, or has coordinates that cannot
        be cut.
    ServiceUnavailable
        If the file is being written, or its storage does not answer.
    TooLargeError
        If the cutout would be larger than the limit.
    UsageError
        If the output cannot be made of these pixels.
    """
    memory = _Memory()
    try:
        made = _files().cut(source, selection, output, limit_bytes, memory.allocate)
    except NotFoundError:
        # The user named a dataset that exists; that its file is gone is the archive's fault.
        raise DataError("the file of this dataset is not there any more") from None
    return None if made is None else memory.answer(made)


def make_stitched(
    inputs: Sequence[StitchInput], asked: StitchRequest, rules: Rules, limit_bytes: int
) -> CutAnswer | None:
    """Make one image of several; see `soda.stitch.make.stitch`.

    Raises
    ------
    DataError
        If a file is damaged, gone or replaced by another image, or cannot be resampled.
    ServiceUnavailable
        If a file is being written, or its storage does not answer.
    TooLargeError
        If the image would be larger than the limit.
    UsageError
        If the request cannot be followed with these images.
    """
    memory = _Memory()
    try:
        made = _files().stitch(inputs, asked, rules, limit_bytes, memory.allocate)
    except NotFoundError:
        raise DataError("the file of one of these datasets is not there any more") from None
    return None if made is None else memory.answer(made)


def make_color(
    sources: Sequence[Source], selection: Selection, limit_bytes: int, output: Output
) -> CutAnswer | None:
    """Make one picture of three products; see `soda.color.draw_color`.

    Raises
    ------
    DataError, ServiceUnavailable, TooLargeError, UsageError
        As `make_cutout`.
    """
    try:
        made = _files().color(sources, selection, output, limit_bytes)
    except NotFoundError:
        raise DataError("the file of one of these datasets is not there any more") from None
    return None if made is None else _Memory().answer(made)


def make_batch(
    wanted: Sequence[tuple[Source, Selection]],
    limit_bytes: int,
    budget_bytes: int,
    output: Output = _PLAIN,
) -> list[CutAnswer | SkylaneError | None]:
    """Make cutouts of one version of one file, which is opened once.

    Parameters
    ----------
    wanted
        Products of the file, and what to cut out of each.
    limit_bytes
        The largest cutout that is made.
    budget_bytes
        Once there are so many bytes, the rest is left for another call.
    output
        What is made of the pixels of each.

    Returns
    -------
    list
        For each of the first ones, at least one, what `make_cutout` gives or raises.
    """
    from soda.cut import cutout_from  # noqa: PLC0415

    files = _files()
    answers: list[CutAnswer | SkylaneError | None] = []
    total = 0
    with contextlib.ExitStack() as stack:
        reader = None
        # If it changed, each cutout is made by itself.
        with contextlib.suppress(SkylaneError):
            reader = stack.enter_context(files.opened(_together([one for one, _ in wanted])))
        for source, selection in wanted:
            try:
                try:
                    if reader is None:
                        raise ChangedError("the file is to be opened anew")  # noqa: TRY301
                    made = cutout_from(
                        reader, source, selection,
                        output=output, limit_bytes=limit_bytes, skies=files.skies,
                    )  # fmt: skip
                except ChangedError:
                    reader = None
                    made = files.cut(source, selection, output, limit_bytes)
            except NotFoundError:
                answers.append(DataError("the file of this dataset is not there any more"))
                continue
            except SkylaneError as error:
                answers.append(error.with_traceback(None))
                continue
            if made is None:
                answers.append(None)
                continue
            body = pickle.PickleBuffer(made.body)
            answers.append(
                CutAnswer(body, made.seconds, made.read_bytes, made.needed_bytes, made.changed)
            )
            total += len(made.body)
            if total >= budget_bytes:
                break
    return answers


def middle_time(source: Source) -> Interval | None:
    """Give a time in the middle of a product's time axis, MJD in UTC; None if it has no such axis.

    Raises
    ------
    SkylaneError
        If its file or its coordinates cannot be read.
    """
    from soda.plan import image_planes  # noqa: PLC0415

    files = _files()
    plane = image_planes(source.index, source.hdus)[0]
    with files.opened(source) as reader:
        return files.skies.get(source, plane, reader).axes.middle_time()


def _together(sources: Sequence[Source]) -> Source:
    """Give a source that has the HDUs of all products of one file."""
    first = sources[0]
    hdus, numbers = list(first.index.hdus), set(first.hdus)
    for source in sources[1:]:
        for number in source.hdus:
            hdus[number] = source.index.hdus[number]
        numbers.update(source.hdus)
    index = replace(first.index, hdus=tuple(hdus))
    return replace(first, index=index, hdus=tuple(sorted(numbers)))
