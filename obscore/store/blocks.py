"""Blocks of rows, and which of them changed: see `footprint_blocks` of `obscore.store.schema`."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, Table, bindparam, delete, func, insert, select

from obscore.store import schema
from obscore.store.schema import BLOCK_ROWS
from obscore.store.session import Session, among

__all__ = [
    "Placed",
    "block_rows",
    "note",
    "note_files",
    "note_products",
    "placed_of",
    "select_blocks",
    "select_placed",
]


_BLOCKS, _OBSCORE, _FILES = schema.footprint_blocks, schema.obscore, schema.files
_LAST = select(func.max(_BLOCKS.c.revision))
_FORGET = delete(_BLOCKS).where(_BLOCKS.c.block == bindparam("block"))
_NOTE = insert(_BLOCKS)
_OF_FILES = (
    select(_OBSCORE.c.id)
    .join(_FILES, _OBSCORE.c.file_id == _FILES.c.id)
    .where(among(_FILES.c.uri, "uris"))
)
_NAMED = select(_OBSCORE.c.id).where(among(_OBSCORE.c.obs_publisher_did, "dids"))


@dataclass(frozen=True, slots=True)
class Placed:
    """A row, as far as what it covers of the sky, of time and of wavelengths."""

    collection: str
    shape: bytes | None
    """As `vodal.regions.shape_from_bytes` takes it; None without a footprint."""
    release_date: str | None
    """``obs_release_date``."""
    time_mjd: tuple[float | None, float | None]
    """``t_min`` and ``t_max``."""
    wavelength_m: tuple[float | None, float | None]
    """``em_min`` and ``em_max``."""
    origin: tuple[str | None, str | None]
    """``facility_name`` and ``instrument_name``."""


def note(session: Session, ids: Iterable[int]) -> None:
    """Note that the blocks of some rows change.

    Parameters
    ----------
    session
        Of a writer who has the turn.
    ids
        Of rows of ``obscore`` that come, or that are about to go.
    """
    blocks = sorted({id_ // BLOCK_ROWS for id_ in ids})
    if not blocks:
        return
    revision = max((session(_LAST)[0][0] or 0) + 1, time.time_ns())
    for block in blocks:
        session(_FORGET, block=block)
        session(_NOTE, block=block, revision=revision)


def note_files(session: Session, uris: Sequence[str]) -> None:
    """Note that the blocks of the rows of some files change, which are about to go."""
    note(session, [row[0] for row in session(_OF_FILES, uris=uris)])


def note_products(session: Session, dids: Sequence[str]) -> None:
    """Note that the blocks of some products change, which are about to go."""
    note(session, [row[0] for row in session(_NAMED, dids=dids)])


def select_blocks(blocks: Table) -> Select[Any]:
    """Give the statement for blocks that changed ``after`` a revision, in the order of numbers."""
    return (
        select(blocks.c.block, blocks.c.revision)
        .where(blocks.c.revision > bindparam("after"))
        .order_by(blocks.c.block)
    )


def select_placed(obscore: Table) -> Select[Any]:
    """Give the statement for the rows from ``low`` to below ``high``."""
    return select(
        obscore.c.obs_collection,
        obscore.c.s_region_shape,
        obscore.c.obs_release_date,
        obscore.c.t_min,
        obscore.c.t_max,
        obscore.c.em_min,
        obscore.c.em_max,
        obscore.c.facility_name,
        obscore.c.instrument_name,
    ).where(obscore.c.id >= bindparam("low"), obscore.c.id < bindparam("high"))


def block_rows(block: int) -> dict[str, int]:
    """Give the parameters of `select_placed` for a block."""
    return {"low": block * BLOCK_ROWS, "high": (block + 1) * BLOCK_ROWS}


def placed_of(rows: Iterable[tuple[Any, ...]]) -> list[Placed]:
    """Make values of the rows of `select_placed`."""
    return [
        Placed(
            str(name),
            None if shape is None else bytes(shape),
            date,
            (t_min, t_max),
            (em_min, em_max),
            (facility, instrument),
        )
        for name, shape, date, t_min, t_max, em_min, em_max, facility, instrument in rows
    ]
