"""What a writer does in its turn beside putting rows in: when they changed, and what went."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import Select, func, literal_column, select

from obscore.filecolumns import dids_of, uris_of
from obscore.observation import CataloguedFile
from obscore.store import schema
from obscore.store.blocks import note_files
from obscore.store.extra import StoredColumn, read_extra
from obscore.store.session import Session, among
from obscore.store.tombstones import Why, bury_rest, follow, lift, whole_files, withheld

__all__ = ["Turn", "next_stamp", "stamp_text"]

_OBSCORE, _FILES, _TOMBS = schema.obscore, schema.files, schema.tombstones

_THERE = select(_FILES.c.uri).where(among(_FILES.c.uri, "uris"))
_LAST = select(
    select(func.max(_OBSCORE.c.last_modified)).scalar_subquery(),
    select(func.max(_TOMBS.c.deleted)).scalar_subquery(),
)
_CONTENT = tuple(
    [item.name for item in schema.STORED_COLUMNS if item.name != "last_modified"]
    + ["s_region_shape"]
)


@lru_cache(maxsize=16)
def _former(extra: tuple[StoredColumn, ...]) -> Select[Any]:
    """Give the statement for what products of files are, with the columns that the site added."""
    return (
        select(
            _OBSCORE.c.last_modified,
            _FILES.c.version,
            *(_OBSCORE.c[name] for name in _CONTENT),
            *(literal_column(one.physical) for one in extra),
        )
        .join(_FILES, _OBSCORE.c.file_id == _FILES.c.id)
        .where(among(_FILES.c.uri, "uris"))
    )


_DID_AT = _CONTENT.index("obs_publisher_did")
_TICK = timedelta(milliseconds=1)
_REPLACED = Why("withdrawn", "its file does not hold it any more")


def next_stamp(session: Session, now: datetime | None = None) -> str:
    """Give the moment of a writer's turn as a DALI timestamp (DALI 1.1 section 3.3.3), UTC, in ms.

    It is later than all that the store holds, whatever the clock says. As writers take turns, what
    is seen of the store with some stamp is all that will ever have it.

    Parameters
    ----------
    session
        Of the writer.
    now
        By the clock.
    """
    return _stamp_after(session(_LAST)[0], now)


def _stamp_after(moments: Iterable[str | None], now: datetime | None = None) -> str:
    last = max(filter(None, moments), default="")
    stamp = stamp_text(now or datetime.now(UTC))
    if stamp <= last:
        stamp = stamp_text(datetime.fromisoformat(last) + _TICK)
    return stamp


def stamp_text(moment: datetime) -> str:
    """Write a moment of UTC as a DALI timestamp (DALI 1.1 section 3.3.3), in ms."""
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class Turn:
    """A writer's turn, in which files are replaced by others."""

    session: Session
    files: Sequence[CataloguedFile]
    """What is to be written: without what is withheld."""
    withheld: frozenset[str]
    """Identifiers of what is not."""
    replaced: tuple[str, ...]
    """URIs of all files that are to be deleted before; none where none of them is there."""
    extra: tuple[StoredColumn, ...]
    """The columns that the site has added."""
    _stamp: str
    _former: Mapping[str, tuple[str, tuple[Any, ...]]]

    @classmethod
    def begin(
        cls, session: Session, files: Sequence[CataloguedFile], instead_of: Collection[str] = ()
    ) -> Turn:
        """Note what is there, and see to the tombstones of what goes and what comes.

        Parameters
        ----------
        session
            Of a writer who has the turn.
        files
            That are to be written.
        instead_of
            URIs of files that are to go when these come.
        """
        named = tuple(dict.fromkeys(uris_of(files)) | dict.fromkeys(instead_of))
        uris = tuple(row[0] for row in session(_THERE, uris=named))
        extra = read_extra(session)
        former = {}
        if uris:
            former = {
                row[2 + _DID_AT]: (row[0], (row[1], *row[2:]))
                for row in session(_former(extra), uris=uris)
            }
        (moments,) = session(_LAST)
        has_tombstones = moments[1] is not None
        kept, refused = _admitted(session, files) if has_tombstones else (files, frozenset())
        dids = dids_of(kept)
        stamp = _stamp_after(moments)
        if former:
            note_files(session, uris)
            bury_rest(session, uris, dids, stamp, _REPLACED)
        if has_tombstones:
            lift(session, dids)
        return cls(session, kept, refused, uris, extra, stamp, former)

    def stamped(self, rows: Mapping[str, Sequence[Any]], versions: Sequence[str]) -> list[str]:
        """Give the ``last_modified`` of rows: when each changed, or what it brings itself.

        One has not changed if it and the version of its file are as they were; the pixels may be
        others in another version, though the row is the same.

        Parameters
        ----------
        rows
            Those of `obscore`, by column.
        versions
            Of the file of each.
        """
        stamps = [own or self._stamp for own in rows["last_modified"]]
        if self._former:
            names = (*_CONTENT, *(one.physical for one in self.extra))
            for at, did in enumerate(rows["obs_publisher_did"]):
                former = self._former.get(did)
                if former is not None and not rows["last_modified"][at]:
                    content = (versions[at], *(rows[name][at] for name in names))
                    stamps[at] = former[0] if former[1] == content else self._stamp
        return stamps


def _admitted(
    session: Session, files: Sequence[CataloguedFile]
) -> tuple[Sequence[CataloguedFile], frozenset[str]]:
    """Give files without those of their products that were retracted, and those."""
    whole = whole_files(session, uris_of(files))
    refused = withheld(session, dids_of(files))
    if whole:
        refused |= {one.did for file in files if file.uri in whole for one in file.observations}
    if not refused:
        return files, refused
    admitted = []
    for file in files:
        kept = tuple(one for one in file.observations if one.did not in refused)
        if len(kept) < len(file.observations):
            follow(session, [one.did for one in file.observations if one.did in refused], file.uri)
        admitted.append(replace(file, observations=kept))
    return tuple(admitted), refused
