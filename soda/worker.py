"""What runs in the pool's processes.

The server's process imports this module too, to name the functions; what they need is imported
when they run, or ahead of that by the pool (`PRELOAD`).
"""

from __future__ import annotations

import contextlib
import pickle
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from soda.output import Output
from vodal.errors import DataError, NotFoundError, SkylaneError
from vodal.pool.memory import SharedPart
from vodal.pool.worker import result_memory

if TYPE_CHECKING:
    from soda.cut import Cutout, SkyCache
    from soda.selection import Selection
    from soda.source import Source
    from vodal.fits.index import FileIndex
    from vodal.storage import RangeReader

__all__ = ["PRELOAD", "CutAnswer", "make_batch", "make_color", "make_cutout", "warm_up"]

PRELOAD = ("soda.cut",)
"""Modules that a worker imports before its first request."""

_PLAIN = Output()
_SPOOLED = 2
"""Decompressed gzips that a worker keeps, each a temporary file."""


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


class _State:
    """What a worker keeps from request to request."""

    def __init__(self) -> None:
        self.skies: SkyCache | None = None
        self.spooled: OrderedDict[tuple[str, str], RangeReader] = OrderedDict()


_STATE = _State()


def warm_up() -> None:
    """Load what is loaded only when a first image is cut."""
    from soda.skyimage import compiled  # noqa: PLC0415 - heavy, and for workers only
    from soda.warmup import cut_sample  # noqa: PLC0415
    from vodal.fits.tiled import rice  # noqa: PLC0415

    rice.wait()
    compiled.wait()
    # Without a folder for temporary files only the first request is slower.
    with contextlib.suppress(OSError):
        cut_sample()


def make_cutout(
    source: Source, selection: Selection, limit_bytes: int, output: Output = _PLAIN
) -> CutAnswer | None:
    """Cut a part out of a product; see `soda.cut.cutout`.

    Raises
    ------
    DataError
        If the file changed, is damaged or gone, or has coordinates that cannot be cut.
    TooLargeError
        If the cutout would be larger than the limit.
    UsageError
        If the output cannot be made of these pixels.
    """
    from soda.cut import SkyCache, cutout, cutout_from  # noqa: PLC0415

    if _STATE.skies is None:
        _STATE.skies = SkyCache()
    skies = _STATE.skies
    shared: SharedPart | None = None

    def allocate(length: int) -> memoryview:
        nonlocal shared
        memory, shared = result_memory(length)
        return memory

    try:
        if source.index.encoding:
            reader = _spooled(source)
            cut: Callable[..., Cutout | None] = partial(cutout_from, reader)
        else:
            cut = cutout
        made = cut(
            source,
            selection,
            output=output,
            limit_bytes=limit_bytes,
            skies=skies,
            allocate=allocate,
        )
    except NotFoundError:
        # The user named a dataset that exists; that its file is gone is the archive's fault.
        raise DataError("the file of this dataset is not there any more") from None
    if made is None:
        return None
    body: pickle.PickleBuffer | SharedPart
    if isinstance(made.body, memoryview) and shared is not None:
        body = shared
    else:
        body = pickle.PickleBuffer(made.body)
    return CutAnswer(body, made.seconds, made.read_bytes, made.needed_bytes)


def make_color(
    sources: Sequence[Source], selection: Selection, limit_bytes: int, output: Output
) -> CutAnswer | None:
    """Make one picture of three products; see `soda.color.draw_color`.

    Raises
    ------
    DataError, TooLargeError, UsageError
        As `make_cutout`.
    """
    from soda.cut import SkyCache, color_picture  # noqa: PLC0415
    from vodal.fits.opening import open_pixels  # noqa: PLC0415

    if _STATE.skies is None:
        _STATE.skies = SkyCache()
    try:
        with contextlib.ExitStack() as stack:
            readers = [
                stack.enter_context(open_pixels(source.uri, source.index, source.hdus))
                for source in sources
            ]
            made = color_picture(
                readers, sources, selection,
                output=output, limit_bytes=limit_bytes, skies=_STATE.skies,
            )  # fmt: skip
    except NotFoundError:
        raise DataError("the file of one of these datasets is not there any more") from None
    return None if made is None else CutAnswer(pickle.PickleBuffer(made.body), made.seconds)


def _spooled(source: Source) -> RangeReader:
    """Give a reader of a decompressed gzip, kept for the next cutout from the same file."""
    from vodal.fits.opening import open_pixels  # noqa: PLC0415
    from vodal.storage import LOCAL  # noqa: PLC0415

    with LOCAL.open(source.uri) as now:
        version = now.stat().version
    key = (source.uri, version)
    reader = _STATE.spooled.pop(key, None)
    if reader is None or version != source.index.version:
        reader = open_pixels(source.uri, source.index, source.hdus)
    _STATE.spooled[key] = reader
    if len(_STATE.spooled) > _SPOOLED:
        _, oldest = _STATE.spooled.popitem(last=False)
        oldest.__exit__(None, None, None)
    return reader


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
    from soda.cut import SkyCache, cutout_from  # noqa: PLC0415
    from vodal.fits.opening import open_pixels  # noqa: PLC0415

    if _STATE.skies is None:
        _STATE.skies = SkyCache()
    answers: list[CutAnswer | SkylaneError | None] = []
    first, total = wanted[0][0], 0
    with contextlib.ExitStack() as stack:
        try:
            if first.index.encoding:
                reader = _spooled(first)
            else:
                index, hdus = _together([source for source, _ in wanted])
                reader = stack.enter_context(open_pixels(first.uri, index, hdus))
        except NotFoundError:
            return [DataError("the file of this dataset is not there any more")] * len(wanted)
        except SkylaneError as error:
            return [error.with_traceback(None)] * len(wanted)
        for source, selection in wanted:
            try:
                made = cutout_from(
                    reader,
                    source,
                    selection,
                    output=output,
                    limit_bytes=limit_bytes,
                    skies=_STATE.skies,
                )
            except SkylaneError as error:
                answers.append(error.with_traceback(None))
                continue
            if made is None:
                answers.append(None)
                continue
            answers.append(CutAnswer(pickle.PickleBuffer(made.body), made.seconds))
            total += len(made.body)
            if total >= budget_bytes:
                break
    return answers


def _together(sources: Sequence[Source]) -> tuple[FileIndex, tuple[int, ...]]:
    """Give the index that has the HDUs of all products, and their numbers."""
    index = sources[0].index
    hdus, numbers = list(index.hdus), set(sources[0].hdus)
    for source in sources[1:]:
        for number in source.hdus:
            hdus[number] = source.index.hdus[number]
        numbers.update(source.hdus)
    return replace(index, hdus=tuple(hdus)), tuple(sorted(numbers))
