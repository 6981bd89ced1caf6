"""One cutout as an answer: found, cut by a worker, sent."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

from starlette.responses import Response

from soda.finding import Finder, Found
from soda.metrics import CutoutMetrics
from soda.names import file_name
from soda.output import Output
from soda.selection import Selection
from soda.sending import FileResponse, Unsent, cut_headers
from soda.settings import SodaSettings
from soda.worker import make_color, make_cutout
from vodal.errors import DataError, NotFoundError
from vodal.outcomes import outcome_of
from vodal.pool import WarmPool
from vodal.pool.memory import SharedPart
from vodal.web.responses import no_content
from vodal.web.threads import in_thread

__all__ = ["OneCutout"]


class OneCutout:
    """Answers with one cutout.

    Parameters
    ----------
    finder
        Finds datasets.
    pool
        Where cutouts are made.
    settings
        Limits.
    metrics
        Counts.
    unsent
        Answers on their way.
    """

    def __init__(
        self,
        finder: Finder,
        pool: WarmPool,
        settings: SodaSettings,
        metrics: CutoutMetrics,
        unsent: Unsent,
    ) -> None:
        self._finder, self._pool, self._settings = finder, pool, settings
        self._metrics, self._unsent = metrics, unsent

    async def answer(self, dids: Sequence[str], selection: Selection, output: Output) -> Response:
        """Cut one dataset, or make one picture of three; gives 204 if nothing is left of one.

        Raises
        ------
        ServiceUnavailable
            If too much is under way.
        SkylaneError
            If there is no such dataset, or it cannot be cut.
        """
        try:
            self._unsent.check()
            response = await self._answer(dids, selection, output)
        except BaseException as error:
            self._metrics.ended(outcome_of(error))
            raise
        self._metrics.ended("ok" if isinstance(response, FileResponse) else "empty")
        return response

    async def _answer(self, dids: Sequence[str], selection: Selection, output: Output) -> Response:
        began = time.perf_counter()
        recent = [self._finder.recent(did, selection) for did in dids]
        known = [one for one in recent if one is not None]
        if len(known) == len(dids):
            try:
                return await self._cut(known, selection, output, began)
            except (DataError, NotFoundError):
                # They may have been replaced or withdrawn since they were found.
                for did in dids:
                    self._finder.forget(did)
        found = [await in_thread(partial(self._finder.look_up, did, selection)) for did in dids]
        return await self._cut(found, selection, output, began)

    async def _cut(
        self, found: Sequence[Found], selection: Selection, output: Output, began: float
    ) -> Response:
        sources = [source for _, source in found if source is not None]
        if len(sources) < len(found):
            return no_content()
        asked = time.perf_counter()
        limit, run = self._settings.max_output_bytes, self._pool.run_shared
        if output.color:
            answer, buffer = await run(make_color, sources, selection, limit, output)
        else:
            answer, buffer = await run(make_cutout, sources[0], selection, limit, output)

        def release() -> None:
            if buffer is not None:
                self._pool.give_back(buffer)

        if answer is None:
            release()
            return no_content()
        self._finder.changed(answer.changed)
        try:
            waited = time.perf_counter() - asked - sum(answer.seconds.values())
            spent = {"find": asked - began, "queue": max(0.0, waited), **answer.seconds}
            body = answer.body
            if isinstance(body, SharedPart) and buffer is not None:
                shared: bytearray | memoryview = buffer.view(body)
            else:
                assert isinstance(body, bytearray)
                shared = body
            self._metrics.made(spent, len(shared), answer.read_bytes, answer.needed_bytes)
            name = file_name(found[0][0], selection.stencil, output.format.suffix)
            # A browser shows pictures.
            place = "inline" if output.format.kind == "picture" else "attachment"
            headers = cut_headers(f'{place}; filename="{name}"', spent)
            return FileResponse(shared, output.format.media_type, headers, self._unsent, release)
        except BaseException:
            release()
            raise
