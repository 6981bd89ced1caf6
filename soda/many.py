"""Several cutouts in one answer of ``/sync``: an archive that is streamed, or one FITS file."""

from __future__ import annotations

import asyncio
import zlib
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from itertools import islice
from time import perf_counter, time

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from soda.finding import Finder, Found, states
from soda.groups import MOST_GROUPS, check_groupable, grouped
from soda.metrics import CutoutMetrics
from soda.names import file_name
from soda.outcomes import (
    INDEX_NAME,
    NOTHING,
    Outcome,
    Status,
    failed,
    outcome_stream,
    selection_text,
)
from soda.output import Output
from soda.packing import Packing
from soda.params import CutoutParams
from soda.renewing import cut_as_found
from soda.selection import Selection
from soda.settings import SodaSettings
from soda.worker import CutAnswer, make_cutout
from vodal.access.rules import EVERYTHING, Rights
from vodal.archives import ARCHIVES, Archive, Entry
from vodal.errors import ServiceUnavailable, SkylaneError, TooLargeError, UsageError
from vodal.outcomes import outcome_of
from vodal.pool import WarmPool
from vodal.products import Product
from vodal.tables.csv import write_csv
from vodal.web.presence import send_unless_gone
from vodal.web.responses import no_content

__all__ = ["ManyCutouts"]

_RETRY_S = 10
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class _Made:
    outcome: Outcome
    body: bytearray | None = None
    error: SkylaneError | None = None


class _PiecesResponse(Response):
    """Sends what an iterator gives, and closes it however the sending ends."""

    def __init__(self, pieces: AsyncGenerator[bytes, None], media_type: str, name: str) -> None:
        self.status_code = 200
        self.media_type = media_type
        self.background = None
        self._pieces = pieces
        self.init_headers({"Content-Disposition": f'attachment; filename="{name}"'})

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._pieces):
            start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
            await send(start)
            await send_unless_gone(receive, partial(self._send_all, send))

    async def _send_all(self, send: Send) -> None:
        async for piece in self._pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class ManyCutouts:
    """Answers requests for several cutouts.

    Each is made as bulk work, so that requests for one cutout go before.

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
    """

    def __init__(
        self, finder: Finder, pool: WarmPool, settings: SodaSettings, metrics: CutoutMetrics
    ) -> None:
        self._metrics = metrics
        self._finder = finder
        self._pool = pool
        self._settings = settings
        self._answers = 0

    async def answer(
        self, asked: CutoutParams, packing: Packing, rights: Rights = EVERYTHING
    ) -> Response:
        """Answer a request of who has some rights.

        Raises
        ------
        UsageError
            If the packing is one of jobs.
        TooLargeError
            If there are more combinations or bytes than are made in one answer.
        ServiceUnavailable
            If too many such answers are under way.
        SkylaneError
            If no cutout can be made, the error of the first.
        """
        if asked.output.color:
            raise UsageError("COMBINE=rgb makes one picture of all, so that MULTI does not apply")
        if packing is Packing.FILES:
            raise UsageError("MULTI=files is for jobs (/async); here take mef, tar or zip")
        most = self._settings.max_combinations
        most = min(most, MOST_GROUPS) if packing is Packing.MEF else most
        wanted = list(islice(asked.combinations(), most + 1))
        if len(wanted) > most:
            raise TooLargeError(
                f"ID, POS, CIRCLE, POLYGON, BAND, TIME and PIXELS have more than {most} "
                f"combinations, the most for MULTI={packing}; ask for fewer at once, or upload a "
                "table to /async"
            )
        if self._answers >= self._settings.max_streams:
            raise ServiceUnavailable(
                f"{self._answers} answers with several cutouts are under way, as many as this"
                " service makes at once",
                _RETRY_S,
            )
        finder = self._finder.within(rights)
        if packing is Packing.MEF:
            check_groupable(asked.output)
            return await self._one_file(self._made(finder, wanted, asked.output))
        return await self._stream(
            self._made(finder, wanted, asked.output), ARCHIVES[packing](time())
        )

    # One FITS file

    async def _one_file(self, making: AsyncGenerator[_Made, None]) -> Response:
        limit, total = self._settings.max_output_bytes, 0
        made: list[_Made] = []
        async with aclosing(making) as coming:
            async for one in coming:
                made.append(one)
                total += len(one.body or b"")
                if total > limit:
                    raise TooLargeError(
                        f"the cutouts take more than {limit / 1e6:.3g} MB, the limit of one file;"
                        " ask for fewer or smaller ones, or for MULTI=tar"
                    )
        bodies = {one.outcome.number: one.body for one in made if one.body is not None}
        if not bodies:
            return _nothing(made)
        pieces = grouped([one.outcome for one in made], list(bodies), bodies.__getitem__)
        return _PiecesResponse(_in_loop(pieces), "image/fits", "cutouts.fits")

    # An archive

    async def _stream(self, coming: AsyncGenerator[_Made, None], archive: Archive) -> Response:
        # Nothing is sent before there is something to send.
        before: list[_Made] = []
        async for one in coming:
            before.append(one)
            if one.body is not None:
                return _PiecesResponse(
                    _archived(before, coming, archive),
                    archive.media_type,
                    f"cutouts.{archive.extension}",
                )
        return _nothing(before)

    # Each cutout

    async def _made(
        self, finder: Finder, wanted: list[tuple[str, Selection]], output: Output
    ) -> AsyncGenerator[_Made, None]:
        """Make cutouts, a few at once, and give them in order."""
        tasks: deque[asyncio.Task[_Made]] = deque()
        width = len(str(len(wanted)))
        self._answers += 1
        try:
            for number, (did, selection) in enumerate(wanted, 1):
                cut = partial(self._cut, finder, number, width, did, selection, output)
                tasks.append(asyncio.ensure_future(self._counted(cut)))
                if len(tasks) > self._pool.workers:
                    yield await tasks[0]
                    tasks.popleft()
            while tasks:
                yield await tasks[0]
                tasks.popleft()
        finally:
            self._answers -= 1
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _counted(self, cut: Callable[[], Awaitable[_Made]]) -> _Made:
        try:
            made = await cut()
        except BaseException as error:
            self._metrics.ended(outcome_of(error), "multi")
            raise
        nothing = "empty" if made.error is None else outcome_of(made.error)
        self._metrics.ended(nothing if made.body is None else "ok", "multi")
        return made

    async def _cut(
        self,
        finder: Finder,
        number: int,
        width: int,
        did: str,
        selection: Selection,
        output: Output,
    ) -> _Made:
        began, limit = perf_counter(), self._settings.max_output_bytes
        nothing = Outcome(number, 0, did, selection_text(selection), Status.NO_OVERLAP)

        async def find() -> Found:
            return await run_in_threadpool(finder.look_up, did, selection)

        async def cut(known: Found) -> tuple[Product, CutAnswer | None, float]:
            product, source = known
            since = perf_counter()
            if source is None:
                return product, None, since
            made = await self._pool.run(make_cutout, source, selection, limit, output, bulk=True)
            return product, made, since

        try:
            product, answer, found = await cut_as_found(find, cut, lambda one: states([one]))
        except SkylaneError as error:
            return _Made(replace(nothing, status=Status.ERROR, message=failed(error)), None, error)
        if answer is None:
            return _Made(replace(nothing, message=NOTHING))
        self._finder.changed(answer.changed)
        assert isinstance(answer.body, bytearray)
        body = answer.body
        waited = perf_counter() - found - sum(answer.seconds.values())
        spent = {"find": found - began, "queue": max(0.0, waited), **answer.seconds}
        self._metrics.made(spent, len(body), answer.read_bytes, answer.needed_bytes, "multi")
        digest, crc = await run_in_threadpool(lambda: (sha256(body).hexdigest(), zlib.crc32(body)))
        name = file_name(product, selection.stencil, output.format.suffix)
        outcome = replace(
            nothing,
            status=Status.OK,
            file_name=f"{number:0{width}d}_{name}",
            size_bytes=len(body),
            sha256=digest,
            crc32=crc,
        )
        return _Made(outcome, body)


def _nothing(made: Iterable[_Made]) -> Response:
    """Answer where there is no cutout: with the first error, else with 204."""
    for one in made:
        if one.error is not None:
            raise one.error
    return no_content()


async def _in_loop(pieces: Iterator[bytes]) -> AsyncGenerator[bytes, None]:
    for piece in pieces:
        for start in range(0, len(piece), _CHUNK_BYTES):
            yield piece[start : start + _CHUNK_BYTES]


async def _archived(
    before: list[_Made], coming: AsyncGenerator[_Made, None], archive: Archive
) -> AsyncGenerator[bytes, None]:
    """Write cutouts as an archive, with what became of each at its end."""
    outcomes: list[Outcome] = []
    entries: list[Entry] = []
    offset = 0

    def enter(name: str, body: bytes | bytearray) -> Iterator[bytes]:
        nonlocal offset
        crc = zlib.crc32(body)
        entries.append(Entry(name, len(body), crc, offset))
        head, tail = archive.head(name, len(body), crc), archive.tail(len(body))
        offset += len(head) + len(body) + len(tail)
        view = memoryview(body)
        yield head
        for start in range(0, len(view), _CHUNK_BYTES):
            yield bytes(view[start : start + _CHUNK_BYTES])
        yield tail

    async with aclosing(coming):
        while True:
            one = before.pop(0) if before else await anext(coming, None)
            if one is None:
                break
            outcomes.append(one.outcome)
            if one.body is not None:
                for piece in enter(one.outcome.file_name, one.body):
                    yield piece
    for piece in enter(INDEX_NAME, b"".join(write_csv(outcome_stream(outcomes)))):
        yield piece
    for piece in archive.end(entries, offset):
        yield piece
