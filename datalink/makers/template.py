"""Texts with places that are filled in from a product: ``{obs_id}.weight.fits``.

    {obs_id}         a column of ObsCore, or one that the site adds
    {file:name}      the name of the file, {file:stem} without .fits, .gz and the like
    {card:BIASFIL}   a card of the header; {card:IMCMB*} of all cards whose names begin so

Of a card that names a file the name alone counts, without folders and sections in brackets. A
place of which nothing is known leaves out the whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from vodal.errors import SkylaneError
from vodal.filetypes import stem_of
from vodal.fits.values import HeaderValues
from vodal.products import Product, Resolver

__all__ = ["Added", "AddedValues", "Facts", "Template"]

_PLACE: Final = re.compile(r"\{([^{}]*)\}")
_NAME: Final = re.compile(r"[a-z_][a-z0-9_]*|file:(?:name|stem)|card:[A-Z0-9_-]{1,8}\*?")
_FOLDERS: Final = re.compile(r".*[/$\\]")
_MOST: Final = 1000
"""Cards of one name."""


AddedValues = Callable[[Sequence[str], Sequence[str]], Mapping[str, Mapping[str, object]]]
"""Gives values of columns that a site adds to ObsCore: of identifiers and names, by identifier and
name. Names that are none of such columns are left out."""


class Added:
    """Values of added columns of several products, asked for at once when the first is needed.

    Parameters
    ----------
    values
        Gives them; None where no column is added.
    dids
        Of the products.
    names
        Columns that may be asked for.
    """

    def __init__(
        self, values: AddedValues | None, dids: Sequence[str], names: Sequence[str]
    ) -> None:
        self._values, self._dids, self._names = values, dids, names
        self._found: Mapping[str, Mapping[str, object]] | None = None

    def of(self, did: str, name: str) -> object:
        """Give a product's value; None if there is none.

        Raises
        ------
        SkylaneError
            If the catalogue does not answer.
        """
        if self._values is None:
            return None
        if self._found is None:
            self._found = self._values(self._dids, self._names)
        return self._found.get(did, {}).get(name)


class Facts:
    """What is known of one product. Its header is looked into if a template asks for it.

    Parameters
    ----------
    product
        The product.
    resolver
        Gives the index of its file, where its header is; what was not opened yet has none.
    added
        Values of columns that the site adds.
    """

    def __init__(self, product: Product, resolver: Resolver, added: Added | None = None) -> None:
        self._product, self._resolver, self._added = product, resolver, added
        self._headers: tuple[HeaderValues, ...] | None = None

    def values(self, name: str) -> list[str]:
        """Give the texts for a place; none if nothing is known."""
        kind, _, key = name.rpartition(":")
        match kind:
            case "file":
                stored = self._product.file_name
                return [stored if key == "name" else stem_of(stored)]
            case "card":
                return list(dict.fromkeys(self._cards(key)))[:_MOST]
            case _:
                row = self._product.obscore
                value = row.get(key)
                if key not in row and self._added is not None:
                    value = self._added.of(self._product.did, key)
                return [] if value is None or value == "" else [str(value)]

    def _cards(self, key: str) -> Iterator[str]:
        for header in self._read():
            names = (
                [one for one in header.keywords if re.fullmatch(key[:-1] + "[0-9]*", one)]
                if key.endswith("*")
                else [key]
            )
            found = [value for one in names if (value := _file_of(header.get(one)))]
            if found:
                # The image's own header goes before the primary one.
                yield from found
                return

    def _read(self) -> tuple[HeaderValues, ...]:
        if self._headers is None:
            self._headers = ()
            if self._product.hdus:
                try:
                    index = self._resolver.index(self._product)
                except SkylaneError:
                    return ()
                by_number = {hdu.number: hdu for hdu in index.hdus}
                numbers = dict.fromkeys((self._product.hdus[0], 0))
                self._headers = tuple(by_number[n].values for n in numbers if n in by_number)
        return self._headers


def _file_of(value: object) -> str:
    if value is None or isinstance(value, bool):
        return ""
    text = _FOLDERS.sub("", str(value).strip())
    return re.sub(r"\[.*$", "", text).strip()


@dataclass(frozen=True, slots=True)
class Template:
    """A text with places."""

    parts: tuple[str, ...]
    """Literal text and names of places in turn, text first and last."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a template.

        Raises
        ------
        ValueError
            If a place has no name that is known.
        """
        parts = tuple(_PLACE.split(text))
        for name in parts[1::2]:
            if not _NAME.fullmatch(name):
                raise ValueError(
                    f"'{{{name}}}' is none of a column of ObsCore such as {{obs_id}},"
                    " {file:name}, {file:stem}, {card:NAME} and {card:NAME*}"
                )
        if "{" in "".join(parts[::2]) or "}" in "".join(parts[::2]):
            raise ValueError("a '{' or '}' without the other")
        return cls(parts)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it asks for."""
        return tuple(name for name in self.parts[1::2] if ":" not in name)

    def filled(self, facts: Facts, encode: Callable[[str], str | None] = str) -> list[str]:
        """Give the text for a product, once for each value where a place has several.

        Parameters
        ----------
        facts
            Of the product.
        encode
            What becomes of a value; one that becomes None is as one that is not known.
        """
        texts: Sequence[str] = [self.parts[0]]
        for name, after in zip(self.parts[1::2], self.parts[2::2], strict=True):
            values = [one for value in facts.values(name) if (one := encode(value)) is not None]
            texts = [before + value + after for before in texts for value in values][:_MOST]
        return list(texts)
