"""Rules that change while the line runs: taken up if they are right, told of in any case."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from obscore.assembly.rulebook import RuleBook

__all__ = ["RuleWatch"]


class RuleWatch:
    """Looks whether rules have changed. For one thread at a time.

    Parameters
    ----------
    book
        Has the rules that the line goes by.
    notice
        Told what an operator should know, of each change once.
    """

    def __init__(self, book: RuleBook, notice: Callable[[str], None]) -> None:
        self._book, self._notice = book, notice
        self._told: dict[str, str] = {}

    def look(self) -> list[str]:
        """Take up what has changed; gives the collections of which other rules hold now."""
        now = self._book.renew()
        self._tell(now)
        return [collection for collection, fault in now.items() if not fault]

    async def run(self, every_s: float, taken_up: Callable[[str], None]) -> None:
        """Look now and then; runs until it is cancelled.

        Parameters
        ----------
        every_s
            Seconds between two looks.
        taken_up
            Told of each collection of which other rules hold.
        """
        while True:
            await asyncio.sleep(every_s)
            now = await asyncio.to_thread(self._book.renew)
            self._tell(now)
            for collection, fault in now.items():
                if not fault:
                    taken_up(collection)

    def _tell(self, now: dict[str, str]) -> None:
        for collection, fault in now.items():
            what = f"the rules of collection '{collection}' have changed"
            if not fault:
                self._notice(f"{what}; its rows are made by the new ones from now on")
            elif self._told.get(collection) != fault:
                self._notice(f"{what}, and those that were read before still hold: {fault}")
        self._told = {name: fault for name, fault in now.items() if fault}
