"""Cutouts of what is there now: a file that is another than was found is found once more.

Between the moment when a dataset is found and that when it is cut its file may be replaced and
catalogued anew. Who asks gets the new one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from vodal.errors import DataError, NotFoundError, UnfinishedError

__all__ = ["cut_as_found"]

_T = TypeVar("_T")
_R = TypeVar("_R")

_SETTLING_S: Final = 2.1
"""Seconds after which a file that was written at one go is not taken for one that is being
written any more; a little more than `soda.files` waits."""


async def cut_as_found(
    find: Callable[[], Awaitable[_T]],
    cut: Callable[[_T], Awaitable[_R]],
    state: Callable[[_T], object],
    *,
    known: _T | None = None,
) -> _R:
    """Cut what is found; if that fails by its files, find and cut once more.

    If nothing else is found, a file that was written a moment ago is waited for once, and any
    other error stands.

    Parameters
    ----------
    find
        Looks datasets up, anew each time.
    cut
        Has them cut.
    state
        Tells which files and which state of them was found, to be compared.
    known
        What was found a moment ago, to begin with.

    Raises
    ------
    SkylaneError
        As these do.
    """
    found = await find() if known is None else known
    try:
        return await cut(found)
    except (DataError, NotFoundError, UnfinishedError) as error:
        now = await find()
        if state(now) != state(found):
            return await cut(now)
        if not isinstance(error, UnfinishedError):
            raise
        await asyncio.sleep(_SETTLING_S)
        try:
            return await cut(await find())
        except DataError:
            # What comes in pieces may yet be whole.
            raise error from None
