"""Whatever goes wrong with one product or one maker as a row that says so.

DataLink 1.1 section 3.4; the other rows stay.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from uuid import uuid4

from datalink.semantics import is_semantics
from vodal.errors import (
    AuthorizationError,
    NotFoundError,
    ServiceUnavailable,
    SkylaneError,
    UsageError,
)
from vodal.links import Asked, BatchLinkMaker, Link, LinkMaker

__all__ = ["fault", "guarded_links"]

log = logging.getLogger(__name__)


def fault(did: str, error: SkylaneError, semantics: str = "#this") -> Link:
    """Make the row that tells an error."""
    match error:
        case NotFoundError():
            label = "NotFoundFault"
        case UsageError():
            label = "UsageFault"
        case ServiceUnavailable():
            label = "TransientFault"
        case AuthorizationError():
            label = "DefaultFault"
        case _:
            label = "FatalFault"
    sentence = " ".join(str(error).split())
    return Link(did=did, semantics=semantics, error_message=f"{label}: {sentence}")


def guarded_links(
    maker: LinkMaker | BatchLinkMaker, asked: Asked
) -> Iterator[tuple[str, Sequence[Link]]]:
    """Give the rows that a maker makes of each product, or one that says why there are none.

    Each product's are given wholly or not at all: half of a maker's rows would mislead.
    """
    if isinstance(maker, BatchLinkMaker):
        try:
            made = maker.links_of(asked)
        except Exception as error:  # noqa: BLE001 - told in each row, logged if unexpected
            row = _failed(asked.products[0].did, error)
            yield from ((one.did, [_of(row, one.did)]) for one in asked.products)
            return
        for one in asked.products:
            yield one.did, _checked(maker, one.did, made.get(one.did, ()))
        return
    for one in asked.products:
        try:
            links = list(maker.links(one, asked.base_url))
        except Exception as error:  # noqa: BLE001 - told in the row, logged if unexpected
            yield one.did, [_failed(one.did, error)]
        else:
            yield one.did, _checked(maker, one.did, links)


def _failed(did: str, error: Exception) -> Link:
    if isinstance(error, SkylaneError):
        return fault(did, error)
    entry = uuid4().hex[:12]
    log.error("links of %s failed [%s]", did, entry, exc_info=error)
    return Link(
        did=did,
        semantics="#this",
        error_message=f"FatalFault: some links could not be made; the log has {entry}",
    )


def _of(row: Link, did: str) -> Link:
    return Link(did=did, semantics=row.semantics, error_message=row.error_message)


def _checked(maker: LinkMaker | BatchLinkMaker, did: str, links: Iterable[Link]) -> Sequence[Link]:
    try:
        found = list(links)
        if all(_usable(link, did) for link in found):
            return found
    except Exception as error:  # noqa: BLE001 - told in the row, logged
        return [_failed(did, error)]
    return [_failed(did, ValueError(f"{type(maker).__name__} made a row against the standard"))]


def _usable(link: Link, did: str) -> bool:
    """Tell whether a row keeps to the rules of DataLink 1.1 section 3.2."""
    given = (
        (link.access_url is not None)
        + (link.service is not None)
        + (link.error_message is not None)
    )
    if given == 0 and link.leads_to is not None:
        given = 1
    return given == 1 and link.did == did and is_semantics(link.semantics)
