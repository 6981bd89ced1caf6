"""Several files at a time, as the reading processes are given them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from obscore.assembly.ahead import Ahead, Scan
from obscore.assembly.outcome import Outcome
from obscore.assembly.read import read_each, read_file
from obscore.assembly.refusal import Refusal
from obscore.assembly.rules import Rules
from obscore.assembly.timelimit import TimeUpError, time_limit
from obscore.sources.base import Candidate
from vodal.storage import LOCAL, Storage

__all__ = ["Portion", "read_some", "timeout"]

Portion = Sequence[tuple[Candidate, Rules]]
"""Files with the rules of their collections."""

_SECONDS = 0.5
"""After so long what has been read is handed over: a slow file makes few others wait."""


def read_some(portion: Portion, seconds: float, storage: Storage = LOCAL) -> list[Outcome]:
    """Read the first of some files, as many as can be read soon, one at least.

    Byte indexes are packed there, as only the store has a use for them.

    Parameters
    ----------
    portion
        What to read.
    seconds
        That a file may take at most.
    storage
        Opens files that lie on servers.
    """
    outcomes: list[Outcome] = []
    opened = [candidate.uri for candidate, rules in portion if rules.headers]
    if not opened:
        return list(read_each(portion, storage))
    with Ahead(opened, storage, seconds) as ahead:
        begin = time.monotonic()
        for candidate, rules in portion:
            outcome = _read(candidate, rules, seconds, storage, ahead.scan)
            outcomes.append(_packed(outcome))
            if time.monotonic() - begin > _SECONDS and not ahead:
                break
    return outcomes


def _read(
    candidate: Candidate, rules: Rules, seconds: float, storage: Storage, scan: Scan
) -> Outcome:
    try:
        with time_limit(seconds):
            return read_file(candidate, rules, storage, scan=scan)
    except TimeUpError:
        return Outcome(refusal=timeout(seconds))


def timeout(seconds: float) -> Refusal:
    """Give the refusal of a file that takes longer."""
    return Refusal("timeout", f"reading the headers took longer than {seconds:g} s")


def _packed(outcome: Outcome) -> Outcome:
    if outcome.file is None or outcome.file.index is None:
        return outcome
    return replace(outcome, file=replace(outcome.file, index=outcome.file.index.packed()))
