"""The links of products, asked from every `LinkMaker`; the makers of ``#this`` and ``#preview``.

Whatever goes wrong with one product or one maker becomes a row that says so (DataLink 1.1
section 3.4); the other rows stay.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from uuid import uuid4

from typing_extensions import override

from datalink.names import encode_segment
from datalink.semantics import is_semantics
from vodal.access.asking import Asking
from vodal.access.seen import known_to
from vodal.errors import (
    AuthorizationError,
    NotFoundError,
    ServiceUnavailable,
    SkylaneError,
    UsageError,
)
from vodal.links import Link, LinkMaker
from vodal.products import Product, Resolver, absent

__all__ = ["FileLinkMaker", "PreviewLinkMaker", "collect", "fault"]

log = logging.getLogger(__name__)

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")

_RESOLVED_AT_ONCE = 200

_PICTURED = frozenset({"image", "cube"})


class FileLinkMaker(LinkMaker):
    """Makes the ``#this`` row: the file itself, by HTTP."""

    @override
    def links(self, product: Product, base_url: str) -> Iterable[Link]:
        yield Link(
            did=product.did,
            semantics="#this",
            access_url=f"{base_url}/files/{encode_segment(product.did)}",
            description=f"The file as stored: {product.file_name}",
            content_type=product.content_type,
            content_length=product.size_bytes,
            content_qualifier=_content_qualifier(product),
            link_auth="false",
            link_authorized=True,
        )


class PreviewLinkMaker(LinkMaker):
    """Makes the ``#preview`` row of images and cubes."""

    @override
    def links(self, product: Product, base_url: str) -> Iterable[Link]:
        if product.obscore.get("dataproduct_type") not in _PICTURED:
            return
        yield Link(
            did=product.did,
            semantics="#preview",
            access_url=f"{base_url}/files/preview/{encode_segment(product.did)}",
            description="A small picture of the image",
            content_type="image/png",
            link_auth="false",
            link_authorized=True,
        )


def _content_qualifier(product: Product) -> str | None:
    """Give the term of IVOA's vocabulary of product types, which has the same names."""
    kind = product.obscore.get("dataproduct_type")
    return f"#{kind}" if kind in _PICTURED else None


def fault(did: str, error: SkylaneError, semantics: str = "#this") -> Link:
    """Make the row that tells an error (DataLink 1.1 section 3.4)."""
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


def _usable(link: Link) -> bool:
    """Tell whether a row keeps to the rules of DataLink 1.1 section 3.2."""
    targets = (link.access_url, link.service, link.error_message)
    return sum(target is not None for target in targets) == 1 and is_semantics(link.semantics)


def _links_of(product: Product, makers: Sequence[LinkMaker], base_url: str) -> Iterator[Link]:
    for maker in makers:
        try:
            # Wholly, before any is given: half of a maker's rows would mislead.
            links = list(maker.links(product, base_url))
            if not all(_usable(link) for link in links):
                raise ValueError(f"{type(maker).__name__} made a row against the standard")  # noqa: TRY301
        except SkylaneError as error:
            yield fault(product.did, error)
        except Exception as error:
            entry = uuid4().hex[:12]
            log.exception("links of %s failed [%s]", product.did, entry, exc_info=error)
            yield Link(
                did=product.did,
                semantics="#this",
                error_message=f"FatalFault: some links could not be made; the log has {entry}",
            )
        else:
            yield from links


def _unknown(did: str, resolver: Resolver) -> SkylaneError:
    if _URI.fullmatch(did):
        return absent(resolver, did, f"there is no product {did}")
    return UsageError(f"an ID is an obs_publisher_did such as ivo://authority/path, not '{did}'")


def collect(
    dids: Sequence[str],
    resolver: Resolver,
    makers: Sequence[LinkMaker],
    base_url: str,
    asking: Asking | None = None,
) -> Iterator[list[Link]]:
    """Give the rows of each identifier in turn, at least one.

    What the caller may not know of is told as what is not there. Links to what the caller may not
    have are given, and say so.

    Parameters
    ----------
    dids
        Identifiers as the client sent them, each once.
    resolver
        Finds the products.
    makers
        Asked in this order for each product.
    base_url
        Where the client sees the site, without a trailing slash.
    asking
        Who asks; by default nobody in particular, where all is public.
    """
    asking = asking or Asking()
    resolver = known_to(asking.rights, resolver)
    for start in range(0, len(dids), _RESOLVED_AT_ONCE):
        some = dids[start : start + _RESOLVED_AT_ONCE]
        products = resolver.resolve(some)
        for did in some:
            product = products.get(did)
            if product is None:
                yield [fault(did, _unknown(did, resolver))]
                continue
            links = list(_links_of(product, makers, base_url))
            if not asking.public.may_have(product):
                links = _guarded(links, authorized=asking.rights.may_have(product))
            yield links or [fault(did, NotFoundError("there are no links for this product"))]


def _guarded(links: Iterable[Link], *, authorized: bool) -> list[Link]:
    """Say of links that one must be known, and whether who asks is somebody who may have them.

    DataLink 1.1 sections 3.2.11 and 3.2.12.
    """
    return [
        link
        if link.error_message is not None
        else replace(link, link_auth="true", link_authorized=authorized)
        for link in links
    ]
