"""A cutout on its way out: made by a worker, counted, and sent from the memory that it is in."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TypeVarTuple

from starlette.responses import Response

from soda.finding import Finder
from soda.formats import Format
from soda.metrics import CutoutMetrics, Mode
from soda.sending import FileResponse, Unsent, cut_headers
from soda.worker import CutAnswer
from vodal.outcomes import outcome_of
from vodal.pool import WarmPool
from vodal.pool.memory import SharedPart
from vodal.web.responses import no_content

__all__ = ["Answers"]

_Ts = TypeVarTuple("_Ts")


class Answers:
    """Gives cutouts, one an answer.

    Parameters
    ----------
    finder
        Is told of files that changed.
    pool
        Where they are made.
    metrics
        Counts.
    unsent
        Answers on their way.
    mode
        Under which they are counted.
    """

    def __init__(
        self,
        finder: Finder,
        pool: WarmPool,
        metrics: CutoutMetrics,
        unsent: Unsent,
        mode: Mode = "sync",
    ) -> None:
        self._finder, self._pool, self._unsent = finder, pool, unsent
        self._metrics, self._mode = metrics, mode

    async def counted(self, work: Callable[[], Awaitable[Response]]) -> Response:
        """Have an answer made, and count how it ends.

        Raises
        ------
        ServiceUnavailable
            If too much is under way.
        """
        try:
            self._unsent.check()
            response = await work()
        except BaseException as error:
            self._metrics.ended(outcome_of(error), self._mode)
            raise
        self._metrics.ended("ok" if isinstance(response, FileResponse) else "empty", self._mode)
        return response

    async def made(
        self,
        function: Callable[[*_Ts], CutAnswer | None],
        *args: *_Ts,
        find_s: float,
        name: str,
        form: Format,
    ) -> Response:
        """Have a cutout made, and send it; gives 204 if nothing is there.

        Parameters
        ----------
        function, *args
            Run by a worker.
        find_s
            What it took to find the datasets.
        name
            Of the file.
        form
            Of the file.

        Raises
        ------
        SkylaneError
            As the function does, and the pool.
        """
        asked = time.perf_counter()
        answer, buffer = await self._pool.run_shared(function, *args)

        def release() -> None:
            if buffer is not None:
                self._pool.give_back(buffer)

        if answer is None:
            release()
            return no_content()
        self._finder.changed(answer.changed)
        try:
            waited = time.perf_counter() - asked - sum(answer.seconds.values())
            spent = {"find": find_s, "queue": max(0.0, waited), **answer.seconds}
            body = answer.body
            if isinstance(body, SharedPart) and buffer is not None:
                shared: bytearray | memoryview = buffer.view(body)
            else:
                assert isinstance(body, bytearray)
                shared = body
            read = answer.read_bytes, answer.needed_bytes
            self._metrics.made(spent, len(shared), *read, self._mode)
            # A browser shows pictures.
            place = "inline" if form.kind == "picture" else "attachment"
            headers = cut_headers(f'{place}; filename="{name}"', spent)
            return FileResponse(shared, form.media_type, headers, self._unsent, release)
        except BaseException:
            release()
            raise
