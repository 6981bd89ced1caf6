"""What is left of products that are gone: when they went, and why.

Each identifier that was ever in ``obscore`` is there or has a tombstone. A product that comes back
lifts its own, unless it was retracted: that is withheld, in whatever version of its file, until the
retraction is undone.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import (
    ColumnElement,
    Insert,
    delete,
    insert,
    literal_column,
    select,
    update,
)

from obscore.store import schema
from obscore.store.session import Session, among, text_value

__all__ = [
    "WITHDRAWN",
    "Kind",
    "Why",
    "bury_products",
    "bury_rest",
    "follow",
    "lift",
    "whole_files",
    "withheld",
]

Kind = Literal["retracted", "vanished", "withdrawn"]
"""``retracted`` by somebody; ``vanished`` with its file; ``withdrawn`` since its file does not hold
it any more, or is left out or refused."""


@dataclass(frozen=True, slots=True)
class Why:
    """Why products go."""

    kind: Kind
    reason: str | None = None
    """For whoever asks for them; a sentence, or a part of one."""
    who: str | None = None
    """Is not published."""


WITHDRAWN = Why("withdrawn")

_TOMBS, _FILES, _OBSCORE = schema.tombstones, schema.files, schema.obscore
_DID, _KIND, _URI, _WHOLE = (
    _TOMBS.c.obs_publisher_did,
    _TOMBS.c.kind,
    _TOMBS.c.uri,
    _TOMBS.c.whole_file,
)
_RETRACTED: ColumnElement[str] = literal_column("'retracted'")
_YES: ColumnElement[int] = literal_column("1")
_NO: ColumnElement[int] = literal_column("0")
_BY_DID = among(_DID, "dids")


def _bury(which: ColumnElement[bool]) -> Insert:
    rows = (
        select(
            _OBSCORE.c.obs_publisher_did,
            _OBSCORE.c.obs_collection,
            _OBSCORE.c.obs_release_date,
            text_value("deleted"),
            text_value("kind"),
            text_value("reason"),
            text_value("who"),
            _FILES.c.uri,
            _NO,
        )
        .join(_FILES, _OBSCORE.c.file_id == _FILES.c.id)
        .where(which)
    )
    return insert(_TOMBS).from_select([column.name for column in _TOMBS.c], rows)


_BURY_PRODUCTS = _bury(among(_OBSCORE.c.obs_publisher_did, "dids"))
_BURY_REST = _bury(
    among(_FILES.c.uri, "uris") & ~among(_OBSCORE.c.obs_publisher_did, "dids").self_group()
)
_FOLLOW = update(_TOMBS).where(_BY_DID).values(uri=text_value("uri"))
_LIFT = delete(_TOMBS).where(_BY_DID)
_WITHHELD = select(_DID).where(_BY_DID, _KIND == _RETRACTED)
_WHOLE_FILES = select(_URI).where(among(_URI, "uris"), _WHOLE == _YES).distinct()


def withheld(session: Session, dids: Collection[str]) -> frozenset[str]:
    """Give those of some identifiers that were retracted."""
    return frozenset(row[0] for row in session(_WITHHELD, dids=list(dids)))


def whole_files(session: Session, uris: Collection[str]) -> frozenset[str]:
    """Give those of some files of which all that they hold was retracted."""
    return frozenset(row[0] for row in session(_WHOLE_FILES, uris=list(uris)))


def follow(session: Session, dids: Collection[str], uri: str) -> None:
    """Note which file would hold retracted products now, as it may have been moved."""
    session(_FOLLOW, dids=list(dids), uri=uri)


def bury_rest(
    session: Session, uris: Collection[str], kept: Collection[str], stamp: str, why: Why
) -> None:
    """Put up tombstones for the products that files hold, before their rows are deleted.

    Parameters
    ----------
    session
        Of the writer.
    uris
        Of the files.
    kept
        Identifiers of products that stay.
    stamp
        Of the writer's turn.
    why
        They go.
    """
    session(
        _BURY_REST, uris=list(uris), dids=list(kept),
        deleted=stamp, kind=why.kind, reason=why.reason, who=why.who,
    )  # fmt: skip


def bury_products(session: Session, dids: Collection[str], stamp: str, why: Why) -> None:
    """Put up tombstones for some products, before their rows are deleted."""
    session(
        _BURY_PRODUCTS, dids=list(dids),
        deleted=stamp, kind=why.kind, reason=why.reason, who=why.who,
    )  # fmt: skip


def lift(session: Session, dids: Collection[str]) -> None:
    """Take away the tombstones of products that are written."""
    session(_LIFT, dids=list(dids))
