"""Files beside an image that a site's rules tell of: masks, weight maps, logs.

Which files there are follows from the rules and the product alone: no part of a request becomes
part of a path. What is filled into a path from headers is one name in it, never a step.
"""

from __future__ import annotations

import glob
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from datalink.makers.rules import LinkRule
from datalink.makers.template import Added, AddedValues, Facts, Template
from vodal.errors import NotFoundError
from vodal.filetypes import media_type_of
from vodal.products import Product, Resolver
from vodal.storage import is_local, local_path

__all__ = ["BesideFile", "BesideFiles"]


@dataclass(frozen=True, slots=True)
class BesideFile:
    """One file beside an image."""

    rule: LinkRule
    path: str
    """From the image's folder, with ``/``."""
    uri: str
    size_bytes: int | None
    """None where it takes a round trip to know."""

    @property
    def name(self) -> str:
        """The file's own name."""
        return posixpath.basename(self.path)

    @property
    def content_type(self) -> str:
        """Media type by the rule, or else by the name."""
        return self.rule.content_type or media_type_of(self.name)


class BesideFiles:
    """Finds the files beside images. Safe to call from several threads.

    Parameters
    ----------
    rules
        Of the site; those with ``file`` count.
    added
        Gives values of columns that the site adds, for `product_of`.
    """

    def __init__(self, rules: Sequence[LinkRule], added: AddedValues | None = None) -> None:
        self._added = added
        self._rules = [(rule, Template.parse(rule.file)) for rule in rules if rule.file is not None]

    def found(self, product: Product, facts: Facts) -> Iterator[BesideFile]:
        """Give those of a product, each once, in the order of the rules and by name.

        On a local disk they are there. Elsewhere that is not looked after, and patterns match
        nothing.
        """
        seen = {product.uri}
        for rule, template in self._rules:
            if not rule.is_of(product):
                continue
            given = 0
            for pattern in template.filled(facts, _name_in_path):
                for one in _matches(rule, product, pattern):
                    if one.uri not in seen and given < rule.limit:
                        seen.add(one.uri)
                        given += 1
                        yield one

    def product_of(self, product: Product, path: str, resolver: Resolver) -> Product:
        """Give a file beside a product as the product's file would be, to be sent.

        Raises
        ------
        NotFoundError
            If no rule tells of such a file, or it is not there.
        """
        names = tuple(name for _, template in self._rules for name in template.columns)
        facts = Facts(product, resolver, Added(self._added, [product.did], names))
        for one in self.found(product, facts):
            if one.path == path:
                return replace(
                    product, uri=one.uri, file_name=one.name, content_type=one.content_type
                )
        raise NotFoundError(f"there is no such file beside {product.did}")


def _name_in_path(value: str) -> str | None:
    """Escape a value for a pattern; None if it is no plain name."""
    if value in {".", ".."} or "/" in value or "\\" in value or "\0" in value:
        return None
    return glob.escape(value)


def _matches(rule: LinkRule, product: Product, pattern: str) -> Iterator[BesideFile]:
    pattern = posixpath.normpath(pattern)
    if not is_local(product.uri):
        # Escaped signs are no patterns.
        path = pattern.replace("[*]", "*").replace("[?]", "?").replace("[[]", "[")
        if not glob.has_magic(pattern) or glob.escape(path) == pattern:
            folder = product.uri.rpartition("/")[0]
            if not path.startswith(".."):
                known = quote(path) if product.uri.startswith("http") else path
                yield BesideFile(rule, path, f"{folder}/{known}", None)
        return
    folder_path = local_path(product.uri).parent
    for path in sorted(glob.iglob(pattern, root_dir=folder_path)):  # noqa: PTH207 - as in a shell
        full = Path(posixpath.normpath(folder_path / path))
        if full.is_file():
            yield BesideFile(rule, path, full.as_uri(), full.stat().st_size)
