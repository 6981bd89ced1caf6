"""The links of products, asked from every maker, for many products at a time.

What one maker does for some hundred products it does at once, and the other products that their
links lead to are looked up together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from datalink.faults import fault, guarded_links
from datalink.makers.file import completed
from vodal.access.asking import Asking
from vodal.access.seen import known_to
from vodal.errors import NotFoundError, SkylaneError, UsageError
from vodal.links import Asked, BatchLinkMaker, Link, LinkMaker
from vodal.products import Product, Resolver, absent

__all__ = ["collect"]

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")

_RESOLVED_AT_ONCE = 200


def collect(
    dids: Sequence[str],
    resolver: Resolver,
    makers: Sequence[LinkMaker | BatchLinkMaker],
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
        there = tuple(products[did] for did in some if did in products)
        asked = Asked(there, base_url, resolver, asking.rights, asking.public)
        made = _made(makers, asked)
        others = _others(made, products, resolver)
        for did in some:
            product = products.get(did)
            if product is None:
                yield [fault(did, _unknown(did, resolver))]
                continue
            links = _told(made[did], product, others, base_url, asking)
            yield links or [fault(did, NotFoundError("there are no links for this product"))]


def _made(
    makers: Sequence[LinkMaker | BatchLinkMaker], asked: Asked
) -> Mapping[str, Sequence[Link]]:
    made: dict[str, list[Link]] = {one.did: [] for one in asked.products}
    if made:
        for maker in makers:
            for did, links in guarded_links(maker, asked):
                made[did] += links
    return made


def _others(
    made: Mapping[str, Sequence[Link]], known: Mapping[str, Product], resolver: Resolver
) -> Mapping[str, Product]:
    """Give the products that links lead to, as far as who asks may know of them."""
    named = {link.leads_to for links in made.values() for link in links if link.leads_to}
    missing = sorted(named - known.keys())
    return {**known, **resolver.resolve(missing)} if missing else known


def _told(
    links: Iterable[Link],
    product: Product,
    others: Mapping[str, Product],
    base_url: str,
    asking: Asking,
) -> list[Link]:
    """Give the rows of a product as they are told, without those that lead to what is not there.

    Of links that one must be known for it says whether who asks is somebody who may have them
    (DataLink 1.1 sections 3.2.11 and 3.2.12).
    """
    is_open = asking.public.may_have(product)
    told = []
    for link in links:
        if link.error_message is not None:
            told.append(link)
        elif link.leads_to is None:
            free = is_open or link.open_to_all
            told.append(link if free else _closed(link, product, asking))
        elif (target := others.get(link.leads_to)) is not None:
            whole = completed(link, target, base_url)
            free = link.open_to_all or asking.public.may_have(target)
            told.append(whole if free else _closed(whole, target, asking))
    return told


def _closed(link: Link, target: Product, asking: Asking) -> Link:
    has = asking.rights.may_have(target) and link.link_authorized is not False
    return link._replace(link_auth="true", link_authorized=has)


def _unknown(did: str, resolver: Resolver) -> SkylaneError:
    if _URI.fullmatch(did):
        return absent(resolver, did, f"there is no product {did}")
    return UsageError(f"an ID is an obs_publisher_did such as ivo://authority/path, not '{did}'")
