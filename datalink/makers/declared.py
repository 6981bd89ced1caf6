"""Rows by a site's rules: addresses, files beside images, other products by name or by pairs."""

from __future__ import annotations

import csv
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from urllib.parse import quote

from typing_extensions import override

from datalink.beside import BesideFile, BesideFiles
from datalink.makers.rules import LinkRule, columns_of
from datalink.makers.template import Added, AddedValues, Facts, Template
from datalink.names import encode_segment
from vodal.errors import ServiceUnavailable
from vodal.filetypes import media_type_of
from vodal.links import Asked, BatchLinkMaker, Link
from vodal.products import Product

__all__ = ["DeclaredLinkMaker", "beside_url"]

_template = lru_cache(maxsize=None)(Template.parse)
"""Those of the rules, each read once."""


class DeclaredLinkMaker(BatchLinkMaker):
    """Makes the rows of rules. Safe to call from several threads.

    Parameters
    ----------
    rules
        Their rows come in this order, those of files last.
    added
        Gives values of columns that the site adds.
    """

    def __init__(self, rules: Sequence[LinkRule], added: AddedValues | None = None) -> None:
        self._added, self._columns = added, columns_of(rules)
        self._rules = [rule for rule in rules if rule.file is None]
        self._beside = BesideFiles(rules)
        self._pairs = {
            rule.pairs: _Pairs(Path(rule.pairs)) for rule in rules if rule.pairs is not None
        }

    @override
    def links_of(self, asked: Asked) -> Mapping[str, Sequence[Link]]:
        added = Added(self._added, [one.did for one in asked.products], self._columns)
        return {
            one.did: list(self._of(one, Facts(one, asked.resolver, added), asked.base_url))
            for one in asked.products
        }

    def _of(self, product: Product, facts: Facts, base_url: str) -> Iterator[Link]:
        for rule in self._rules:
            if rule.is_of(product):
                yield from islice(self._by(rule, product, facts), rule.limit)
        for file in self._beside.found(product, facts):
            link = _link(
                file.rule,
                product,
                facts,
                access_url=beside_url(product, file, base_url),
                description=file.name,
                content_type=file.content_type,
                content_length=file.size_bytes,
            )
            yield link._replace(link_auth="false", link_authorized=True)

    def _by(self, rule: LinkRule, product: Product, facts: Facts) -> Iterator[Link]:
        if rule.url is not None:
            for url in _template(rule.url).filled(facts, lambda value: quote(value, safe="")):
                kind = rule.content_type or media_type_of(url.partition("?")[0], "text/html")
                yield _link(rule, product, facts, access_url=url, content_type=kind)
        elif rule.product is not None:
            for did in _template(rule.product).filled(facts):
                if did != product.did:
                    yield _link(rule, product, facts, leads_to=did)
        elif rule.pairs is not None:
            there, back = self._pairs[rule.pairs].of(product.did)
            for did in there:
                yield _link(rule, product, facts, leads_to=did)
            if rule.inverse is not None:
                for did in back:
                    yield _link(rule, product, facts, rule.inverse, leads_to=did)


def beside_url(product: Product, file: BesideFile, base_url: str) -> str:
    """Give the address of a file beside a product."""
    name = f"{encode_segment(product.did)}/{encode_segment(file.path)}"
    return f"{base_url}/files/beside/{name}"


def _link(
    rule: LinkRule,
    product: Product,
    facts: Facts,
    semantics: str | None = None,
    *,
    access_url: str | None = None,
    leads_to: str | None = None,
    description: str | None = None,
    content_type: str | None = None,
    content_length: int | None = None,
) -> Link:
    told = _template(rule.description).filled(facts)
    return Link(
        did=product.did,
        semantics=semantics or rule.semantics,
        access_url=access_url,
        leads_to=leads_to,
        description=(told[0] if told else "") or description,
        content_type=content_type or rule.content_type,
        content_length=content_length,
        content_qualifier=rule.content_qualifier,
        local_semantics=rule.local_semantics,
        label=rule.label,
        open_to_all=rule.public,
    )


class _Pairs:
    """A file of pairs, read again when it changes. Safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._read: tuple[int, int] | None = None
        self._there: dict[str, list[str]] = {}
        self._back: dict[str, list[str]] = {}

    def of(self, did: str) -> tuple[Sequence[str], Sequence[str]]:
        """Give what stands behind an identifier, and what stands before it.

        Raises
        ------
        ServiceUnavailable
            If the file cannot be read.
        """
        try:
            stat = self._path.stat()
            state = stat.st_mtime_ns, stat.st_size
            with self._lock:
                if state != self._read:
                    self._load()
                    self._read = state
                return self._there.get(did, ()), self._back.get(did, ())
        except (OSError, UnicodeDecodeError, csv.Error):
            raise ServiceUnavailable("the list of pairs of products cannot be read") from None

    def _load(self) -> None:
        there: dict[str, list[str]] = {}
        back: dict[str, list[str]] = {}
        with self._path.open(encoding="utf-8", newline="") as file:
            for row in csv.reader(file):
                if len(row) >= 2:
                    first, second = row[0].strip(), row[1].strip()
                    there.setdefault(first, []).append(second)
                    back.setdefault(second, []).append(first)
        self._there, self._back = there, back
