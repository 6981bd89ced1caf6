"""Rules that change while a watch runs: it goes on by those that it began with, and says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from obscore.assembly.rulebook import RuleBook

__all__ = ["tell_changed_rules"]


async def tell_changed_rules(book: RuleBook, notice: Callable[[str], None], every_s: float) -> None:
    """Look at the rules now and then, and tell each change once; runs until it is cancelled.

    Parameters
    ----------
    book
        Has the rules that the watch goes by.
    notice
        Told what an operator should know.
    every_s
        Seconds between two looks.
    """
    told: dict[str, str] = {}
    while True:
        await asyncio.sleep(every_s)
        now = await asyncio.to_thread(book.changed)
        for collection, fault in now.items():
            if told.get(collection) == fault:
                continue
            what = f"they are wrong: {fault}" if fault else "they are heeded when it starts anew"
            notice(
                f"the rules of collection '{collection}' have changed; this watch goes on by those"
                f" that it began with, and {what}"
            )
        told = now
