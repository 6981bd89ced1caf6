"""Runs of the assembly line as the store keeps them: what wrote which file, by which settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, bindparam, func, insert, select, update

from obscore.store import schema
from obscore.store.session import Session, text_value

__all__ = [
    "Origin",
    "Run",
    "RunKind",
    "begin_run",
    "find_run",
    "keep_mapping",
    "list_runs",
    "mapping_text",
    "note_run",
    "origin_of",
]

RunKind = Literal["ingest", "watch", "hook", "renewal"]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the assembly line."""

    id: int
    kind: RunKind
    command: str
    """As it was given, or what called for the run."""
    program: str
    """The program's version."""
    begun: str
    """When, UTC, ISO 8601."""
    ended: str | None
    """None while it goes on, and if it was killed."""
    mappings: Mapping[str, str]
    """Digests of the settings in force, by collection, see `mapping_text`."""
    counts: Mapping[str, int]
    """Files by what became of them; of a run that was killed those that were told last."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a product's row comes from."""

    did: str
    uri: str
    file_version: str
    collection: str
    last_modified: str
    run: Run | None
    """That wrote the file's rows last; None if that was before runs were kept."""


_RUNS, _MAPPINGS = schema.runs, schema.mappings
_FILES, _OBSCORE = schema.files, schema.obscore
_ID: ColumnElement[int] = bindparam("key")
_LAST = select(func.max(_RUNS.c.id))
_BEGIN = insert(_RUNS)
_NOTE = (
    update(_RUNS)
    .where(_RUNS.c.id == _ID)
    .values(ended=text_value("end"), mappings=text_value("digests"), counts=text_value("numbers"))
)
_HAS_MAPPING = select(_MAPPINGS.c.digest).where(_MAPPINGS.c.digest == bindparam("digest"))
_ADD_MAPPING = insert(_MAPPINGS)
_TEXT_OF = select(_MAPPINGS.c.text).where(_MAPPINGS.c.digest == bindparam("digest"))
_COLUMNS = (
    _RUNS.c.id,
    _RUNS.c.kind,
    _RUNS.c.command,
    _RUNS.c.program,
    _RUNS.c.begun,
    _RUNS.c.ended,
    _RUNS.c.mappings,
    _RUNS.c.counts,
)
_NEWEST = select(*_COLUMNS).where(_RUNS.c.id > _ID).order_by(_RUNS.c.id.desc())
_ONE = select(*_COLUMNS).where(_RUNS.c.id == _ID)
_ORIGIN = (
    select(
        _OBSCORE.c.obs_publisher_did,
        _FILES.c.uri,
        _FILES.c.version,
        _FILES.c.collection,
        _OBSCORE.c.last_modified,
        _FILES.c.run_id,
    )
    .join(_FILES, _OBSCORE.c.file_id == _FILES.c.id)
    .where(_OBSCORE.c.obs_publisher_did == bindparam("did"))
)


def begin_run(session: Session, kind: RunKind, command: str, program: str, begun: str) -> int:
    """Note that a run begins; gives its number."""
    number = int(session(_LAST)[0][0] or 0) + 1
    session(
        _BEGIN, id=number, kind=kind, command=command, program=program, begun=begun, ended=None,
        mappings="{}", counts="{}",
    )  # fmt: skip
    return number


def note_run(
    session: Session,
    number: int,
    mappings: Mapping[str, str],
    counts: Mapping[str, int],
    ended: str | None,
) -> None:
    """Note how far a run is, and when it has ended."""
    session(
        _NOTE, key=number, end=ended, digests=json.dumps(dict(mappings)),
        numbers=json.dumps(dict(counts)),
    )  # fmt: skip


def keep_mapping(session: Session, digest: str, text: str) -> None:
    """Keep the text of settings, once."""
    if not session(_HAS_MAPPING, digest=digest):
        session(_ADD_MAPPING, digest=digest, text=text)


def mapping_text(session: Session, digest: str) -> str | None:
    """Give the text of settings by their digest."""
    rows = session(_TEXT_OF, digest=digest)
    return str(rows[0][0]) if rows else None


def list_runs(session: Session, most: int) -> list[Run]:
    """Give the latest runs, the last first."""
    last = int(session(_LAST)[0][0] or 0)
    return [_run(row) for row in session(_NEWEST, key=last - most)]


def find_run(session: Session, number: int) -> Run | None:
    """Give a run by its number."""
    rows = session(_ONE, key=number)
    return _run(rows[0]) if rows else None


def origin_of(session: Session, did: str) -> Origin | None:
    """Tell where a product's row comes from; None if there is no such product."""
    rows = session(_ORIGIN, did=did)
    if not rows:
        return None
    did, uri, file_version, collection, last_modified, number = rows[0]
    run = None if number is None else find_run(session, number)
    return Origin(did, uri, file_version, collection, last_modified, run)


def _run(row: tuple[Any, ...]) -> Run:
    number, kind, command, program, begun, ended, mappings, counts = row
    return Run(
        number, kind, command, program, begun, ended, json.loads(mappings), json.loads(counts)
    )
