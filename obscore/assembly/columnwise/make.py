"""Rows of many files, of their source's facts alone."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress

from obscore.assembly.bands import band_table
from obscore.assembly.columnwise.block import Block, blocks
from obscore.assembly.columnwise.given import give
from obscore.assembly.columnwise.outlines import outlines
from obscore.assembly.columnwise.sound import is_doubtful, leave_unsound
from obscore.assembly.columnwise.steps import STEPS
from obscore.assembly.doubts import doubts
from obscore.assembly.garbage import few_looks
from obscore.assembly.outcome import Outcome
from obscore.assembly.rules import Rules
from obscore.assembly.told import make_rows, media_type
from obscore.filecolumns import FileColumns
from obscore.sources.base import UNKNOWN_SIZE, Candidate
from vodal.canonical import REVERSED

__all__ = ["Made", "make_columns", "make_rows_of"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Made:
    """What came of files, by their numbers among those that were asked for."""

    columns: list[tuple[list[int], FileColumns]]
    """Plain ones, many at a time."""
    others: list[tuple[int, Outcome]]


@few_looks()
def make_columns(candidates: Sequence[Candidate], rules: Rules) -> Made:
    """Make the rows of files of one collection: what `make_rows` gives for each, in less time.

    Never raises for what a source tells; a product costs itself alone.

    Parameters
    ----------
    candidates
        The files; some hundreds at a time are quickest.
    rules
        Of their collection.
    """
    columns: list[tuple[list[int], FileColumns]] = []
    for block in blocks(candidates, rules, band_table(*rules.bands)):
        try:
            made = _make(block)
        except Exception:  # noqa: BLE001 - one bad row must never stop a run
            # Each row has its say in the slow twin, and costs itself alone there.
            _log.exception("%s files cannot be made column by column", len(block))
        else:
            columns.append((block.plain(block.numbers), made))
    is_left = [True] * len(candidates)
    for numbers, _ in columns:
        for number in numbers:
            is_left[number] = False
    left = compress(range(len(candidates)), is_left)
    return Made(columns, [(number, make_rows(candidates[number], rules)) for number in left])


def make_rows_of(candidates: Sequence[Candidate], rules: Rules) -> list[Outcome]:
    """Give what `make_columns` makes, file by file."""
    made = make_columns(candidates, rules)
    outcomes = dict(made.others)
    for numbers, files in made.columns:
        outcomes.update(zip(numbers, map(Outcome, files), strict=True))
    return [outcomes[number] for number in range(len(candidates))]


def _make(block: Block) -> FileColumns:
    """Give the files of a block whose rows are plain."""
    give(block)
    found = outlines(block)
    for step in STEPS:
        step(block, found)
    leave_unsound(block)
    odd = block.plain(is_doubtful(block).tolist())
    is_reversed = block.plain(found.is_reversed.tolist())
    rows = {name: block.plain(cells) for name, cells in block.columns.items()}
    names = [one.rsplit("/", maxsplit=1)[-1] for one in block.plain(block.relatives)]
    stats, hdus = block.plain(block.stats), block.plain(block.hdus)
    notes = {
        at: ((f"s_region: {REVERSED}",) if reverse else ())
        + (tuple(doubts({name: cells[at] for name, cells in rows.items()})) if is_odd else ())
        for at, (reverse, is_odd) in enumerate(zip(is_reversed, odd, strict=True))
        if reverse or is_odd
    }
    return FileColumns(
        collection=block.collection,
        uris=block.plain(block.uris),
        file_names=names,
        content_types=[
            "image/fits" if name.endswith((".fits", ".fits.fz")) else media_type(name)
            for name in names
        ],
        modified_unix_s=[one.modified_unix_s for one in stats],
        told_versions=[one.version for one in stats],
        told_sizes_bytes=[
            None if one.size_bytes == UNKNOWN_SIZE else one.size_bytes for one in stats
        ],
        digests=block.plain(block.digests()),
        parts=hdus if any(hdus) else None,
        shapes=block.plain(found.shapes),
        rows=rows,
        notes={at: tuple(dict.fromkeys(some)) for at, some in notes.items() if some},
    )
