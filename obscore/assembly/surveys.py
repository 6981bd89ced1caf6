"""Surveys while the line runs: sources are compared with the catalogue, as it is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from obscore.assembly.report import Summary
from obscore.assembly.rulebook import RuleBook
from obscore.assembly.survey import Survey
from obscore.assembly.wholesale import StoppingError, Wholesale
from obscore.sources.base import Candidate, Problem, Source
from obscore.store.base import Store
from vodal.errors import ServiceUnavailable, SettingsError, UsageError

__all__ = ["Surveys"]

_PATIENCE_S = 30.0
"""A store that does not answer is left alone for so long before a survey."""


class Surveys:
    """Compares sources with the catalogue, one after the other. Belongs to one event loop.

    Parameters
    ----------
    store
        The catalogue.
    book
        Has the rules.
    wholesale
        Brings those up to date that are taken as a whole.
    notice
        Told what an operator should know.
    found
        Told of each file that is new, and of each problem.
    vanished
        Told the URI of each file that the walk did not meet.
    brought
        Told of each source that was brought up to date as a whole.
    """

    def __init__(
        self,
        store: Store,
        book: RuleBook,
        wholesale: Wholesale,
        notice: Callable[[str], None],
        *,
        found: Callable[[Source, Candidate | Problem], None],
        vanished: Callable[[Source, str], None],
        brought: Callable[[Summary], None],
    ) -> None:
        self._store, self._book, self._wholesale = store, book, wholesale
        self._notice = notice
        self._found, self._vanished, self._brought = found, vanished, brought
        self._asked: asyncio.Queue[Source | None] = asyncio.Queue()
        self._waiting: set[Source] = set()
        self._away: set[Source] = set()
        self._stopping = False

    def ask(self, source: Source) -> None:
        """Have a source surveyed, once all is that was asked for before."""
        if source not in self._waiting:
            self._waiting.add(source)
            self._asked.put_nowait(source)

    def stop(self) -> None:
        """Have `run` end soon."""
        self._stopping = True
        self._asked.put_nowait(None)

    async def run(self) -> None:
        """Survey what is asked for, until it is stopped.

        Raises
        ------
        ArchiveError
            If the store cannot be written.
        """
        while True:
            source = await self._asked.get()
            if source is None or self._stopping:
                return
            self._waiting.discard(source)
            try:
                await self._survey(source)
            except StoppingError:
                return
            except (UsageError, SettingsError) as error:
                if source not in self._away:
                    self._notice(f"{error.message}; it is looked for again")
                    self._away.add(source)
            except ServiceUnavailable as error:
                self._notice(f"{error.message}; the sources are compared with it later")
                asyncio.get_running_loop().call_later(_PATIENCE_S, self.ask, source)

    async def _survey(self, source: Source) -> None:
        if await asyncio.to_thread(self._wholesale.takes, source):
            told = await asyncio.to_thread(self._wholesale.bring, source, lambda: self._stopping)
            self._away.discard(source)
            self._brought(told)
            return
        found, vanished = await asyncio.to_thread(self._compare, source)
        self._away.discard(source)
        for number, item in enumerate(found):
            self._found(source, item)
            if number % 1000 == 0:
                await asyncio.sleep(0)
        for uri in vanished:
            self._vanished(source, uri)

    def _compare(self, source: Source) -> tuple[list[Candidate | Problem], list[str]]:
        """Walk over a source; in a thread."""
        survey = Survey(source, self._store, self._book.of)
        found: list[Candidate | Problem] = []
        for item, verdict, _ in survey.walk():
            if verdict in {"new", "problem"}:
                found.append(item)
            if self._stopping:
                return [], []
        return found, [file.uri for file in survey.vanished()]
