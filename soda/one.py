"""One cutout as an answer: found, cut by a worker, sent."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

from starlette.responses import Response

from soda.answers import Answers
from soda.finding import Finder, Found, states
from soda.metrics import CutoutMetrics
from soda.names import file_name
from soda.output import Output
from soda.renewing import cut_as_found
from soda.selection import Selection
from soda.sending import Unsent
from soda.settings import SodaSettings
from soda.worker import make_color, make_cutout
from vodal.access.rules import EVERYTHING, Rights
from vodal.pool import WarmPool
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
        self._finder, self._settings = finder, settings
        self._answers = Answers(finder, pool, metrics, unsent)

    async def answer(
        self,
        dids: Sequence[str],
        selection: Selection,
        output: Output,
        rights: Rights = EVERYTHING,
    ) -> Response:
        """Cut one dataset, or make one picture of three; gives 204 if nothing is left of one.

        Raises
        ------
        ServiceUnavailable
            If too much is under way.
        SkylaneError
            If there is no such dataset, it is not for who has these rights, or it cannot be cut.
        """
        finder = self._finder.within(rights)
        return await self._answers.counted(partial(self._answer, finder, dids, selection, output))

    async def _answer(
        self, finder: Finder, dids: Sequence[str], selection: Selection, output: Output
    ) -> Response:
        began = time.perf_counter()
        recent = [finder.recent(did, selection) for did in dids]
        known = [one for one in recent if one is not None]

        async def find() -> list[Found]:
            return [await in_thread(partial(finder.look_up, did, selection)) for did in dids]

        async def cut(found: list[Found]) -> Response:
            return await self._cut(found, selection, output, began)

        before = known if len(known) == len(dids) else None
        return await cut_as_found(find, cut, states, known=before)

    async def _cut(
        self, found: Sequence[Found], selection: Selection, output: Output, began: float
    ) -> Response:
        sources = [source for _, source in found if source is not None]
        if len(sources) < len(found):
            return no_content()
        find_s = time.perf_counter() - began
        limit, form = self._settings.max_output_bytes, output.format
        name = file_name(found[0][0], selection.stencil, form.suffix)
        if output.color:
            return await self._answers.made(
                make_color, sources, selection, limit, output, find_s=find_s, name=name, form=form
            )
        return await self._answers.made(
            make_cutout, sources[0], selection, limit, output, find_s=find_s, name=name, form=form
        )
