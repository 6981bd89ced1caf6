"""Products taken out of the catalogue for good, until that is undone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    bindparam,
    delete,
    exists,
    func,
    literal_column,
    select,
    update,
)

from obscore.store import schema
from obscore.store.blocks import note_products
from obscore.store.facets import FACET_NAMES, Combination
from obscore.store.session import Session, among, text_value
from obscore.store.tombstones import Why, bury_products
from obscore.store.turn import next_stamp

__all__ = ["products_of", "retract", "retracted_of", "undo"]

_TOMBS, _FILES, _OBSCORE = schema.tombstones, schema.files, schema.obscore
_RETRACTED: ColumnElement[str] = literal_column("'retracted'")
_WITHDRAWN: ColumnElement[str] = literal_column("'withdrawn'")
_YES: ColumnElement[int] = literal_column("1")
_NO: ColumnElement[int] = literal_column("0")
_NAMED = among(_TOMBS.c.obs_publisher_did, "dids")
_OF_FILES = among(_TOMBS.c.uri, "uris")
_PRODUCTS = among(_OBSCORE.c.obs_publisher_did, "dids")

_COUNTED = tuple(_OBSCORE.c[name] for name in FACET_NAMES)
_FACETS_OF = select(*_COUNTED, func.count()).where(_PRODUCTS).group_by(*_COUNTED)
_HOLDERS = (
    select(_FILES.c.uri)
    .join(_OBSCORE, _OBSCORE.c.file_id == _FILES.c.id)
    .where(_PRODUCTS)
    .distinct()
)
_DELETE = delete(_OBSCORE).where(_PRODUCTS)
_ALSO_GONE = (
    update(_TOMBS)
    .where(_NAMED, _TOMBS.c.kind != _RETRACTED)
    .values(kind=_RETRACTED, reason=text_value("reason"), who=text_value("who"))
)
_BURIED = select(_TOMBS.c.uri).where(_NAMED).distinct()
_MARK_WHOLE = (
    update(_TOMBS)
    .where(
        _OF_FILES,
        _TOMBS.c.kind == _RETRACTED,
        ~exists().where(_OBSCORE.c.file_id == _FILES.c.id, _FILES.c.uri == _TOMBS.c.uri),
    )
    .values(whole_file=_YES)
)
_RETRACTED_OF = select(_TOMBS.c.uri).where(_NAMED, _TOMBS.c.kind == _RETRACTED).distinct()
_UNDO = (
    update(_TOMBS)
    .where(_NAMED, _TOMBS.c.kind == _RETRACTED)
    .values(kind=_WITHDRAWN, reason=text_value("reason"))
)
_UNMARK = update(_TOMBS).where(_OF_FILES).values(whole_file=_NO)
_READ_ANEW = (
    update(_FILES).where(among(_FILES.c.uri, "uris")).values(mapping_digest=literal_column("''"))
)
_DID: ColumnElement[str] = bindparam("did")
_URI: ColumnElement[str] = bindparam("uri")
_THERE = (
    select(_OBSCORE.c.obs_publisher_did)
    .join(_FILES, _OBSCORE.c.file_id == _FILES.c.id)
    .where((_OBSCORE.c.obs_publisher_did == _DID) | (_FILES.c.uri == _URI))
    .order_by(_OBSCORE.c.id)
)
_GONE = (
    select(_TOMBS.c.obs_publisher_did)
    .where((_TOMBS.c.obs_publisher_did == _DID) | (_TOMBS.c.uri == _URI))
    .order_by(_TOMBS.c.obs_publisher_did)
)
_GONE_FOR_GOOD = _GONE.where(_TOMBS.c.kind == _RETRACTED)
_UNDONE = "its retraction was undone, and it comes back when its file is ingested"


def products_of(session: Session, name: str, uri: str) -> list[str]:
    """Give the identifiers of a product or a file's products; of gone ones if none is there."""
    found = session(_THERE, did=name, uri=uri) or session(_GONE, did=name, uri=uri)
    return [row[0] for row in found]


def retracted_of(session: Session, name: str, uri: str) -> list[str]:
    """Give the identifiers of a product that was retracted, or of a file's that were."""
    return [row[0] for row in session(_GONE_FOR_GOOD, did=name, uri=uri)]


def retract(session: Session, dids: Sequence[str], why: Why) -> Counter[Combination]:
    """Take products away, and withhold them from now on; those that are gone already too.

    Where nothing is left of a file, all that it may ever hold is withheld.

    Parameters
    ----------
    session
        Of a writer who has the turn.
    dids
        Of the products.
    why
        They go.

    Returns
    -------
    Counter
        How many products of each kind went.
    """
    uris = [row[0] for row in session(_HOLDERS, dids=dids)]
    session(_ALSO_GONE, dids=dids, reason=why.reason, who=why.who)
    bury_products(session, dids, next_stamp(session), why)
    counted = session(_FACETS_OF, dids=dids)
    note_products(session, dids)
    session(_DELETE, dids=dids)
    uris += [row[0] for row in session(_BURIED, dids=dids)]
    session(_MARK_WHOLE, uris=uris)
    return Counter({cast("Combination", tuple(row[:-1])): int(row[-1]) for row in counted})


def undo(session: Session, dids: Sequence[str]) -> list[str]:
    """Withhold products no longer; gives the files that are to be read anew, by URI."""
    uris: list[Any] = [row[0] for row in session(_RETRACTED_OF, dids=dids)]
    session(_UNDO, dids=dids, reason=_UNDONE)
    session(_UNMARK, uris=uris)
    session(_READ_ANEW, uris=uris)
    return uris
