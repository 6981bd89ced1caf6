"""The rules by which a site tells what belongs to its products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from datalink.makers.template import Template
from datalink.semantics import is_semantics
from vodal.products import Product
from vodal.settings import Settings

__all__ = ["LinkRule", "RelatedRule", "columns_of"]

_TARGETS = ("url", "file", "product", "pairs")


def _checked_term(term: str) -> str:
    if not is_semantics(term):
        raise ValueError(
            "a term of DataLink's vocabulary such as '#auxiliary', or the URI of another's"
        )
    if "cutout" in term or term == "#this":
        raise ValueError(f"'{term}' has one row for each product, which is there already")
    return term


def _checked_template(text: str) -> str:
    Template.parse(text)
    return text


Semantics = Annotated[str, AfterValidator(_checked_term)]
_Template = Annotated[str, AfterValidator(_checked_template)]


class LinkRule(Settings):
    """What belongs to products: an address, files beside the image, or other products.

    One of ``url``, ``file``, ``product`` and ``pairs`` says what; the first three are templates
    (docs/datalink.md).
    """

    semantics: Semantics
    """How it relates to the product: a term of DataLink's core vocabulary."""
    collections: tuple[str, ...] = ()
    """Whose products have it; by default all."""
    url: _Template | None = None
    """An address of ``http:`` or ``https:``."""
    file: _Template | None = None
    """Path of files beside the image, from its folder; ``*``, ``?`` and ``[...]`` as in a shell."""
    product: _Template | None = None
    """``obs_publisher_did`` of other products; those that are not in the catalogue have no row."""
    pairs: str | None = None
    """CSV file of two columns without a heading: the identifier of a product, and that of one which
    belongs to it. It is read again when it changes."""
    inverse: Semantics | None = None
    """With ``pairs``: how the first of a pair relates to the second."""
    description: _Template = ""
    """What it is, for people; a template. By default the name of the file."""
    label: str | None = None
    """Short name."""
    content_type: str | None = Field(default=None, pattern=r"^[\w.+-]+/[\w.+-]+(;.*)?$")
    """Media type; by default that of the file's name, or of the product."""
    content_qualifier: str | None = None
    """Kind of product: a term of http://www.ivoa.net/rdf/product-type such as ``#image``."""
    local_semantics: str | None = None
    """What the site itself calls this relation."""
    public: bool = False
    """With ``url``: whether everybody may follow it, also where the data are not public."""
    limit: int = Field(default=20, ge=1, le=1000)
    """Most rows of a product."""

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        given = [name for name in _TARGETS if getattr(self, name) is not None]
        if len(given) != 1:
            said = " and ".join(given) or "none"
            raise ValueError(f"a rule has one of {', '.join(_TARGETS)}, not {said}")
        if self.url is not None and not self.url.startswith(("http://", "https://")):
            raise ValueError("url begins with https:// or http://")
        if self.file is not None and self.file.startswith("/"):
            raise ValueError("file is a path from the folder of the image, without a leading '/'")
        if self.inverse is not None and self.pairs is None:
            raise ValueError("inverse goes with pairs")
        if self.public and self.url is None:
            raise ValueError("public goes with url")
        return self

    def is_of(self, product: Product) -> bool:
        """Tell whether a product may have such rows."""
        return not self.collections or product.collection in self.collections

    @property
    def templates(self) -> tuple[str, ...]:
        """All that is filled in from a product."""
        return tuple(text for text in (self.url, self.file, self.product, self.description) if text)


def columns_of(rules: Sequence[LinkRule]) -> tuple[str, ...]:
    """Give the columns that the templates of some rules ask for, each once."""
    texts = (text for rule in rules for text in rule.templates)
    return tuple(dict.fromkeys(name for text in texts for name in Template.parse(text).columns))


class RelatedRule(Settings):
    """Products that lie at the same place as others: what was coadded, what lies on a coadd."""

    semantics: Semantics
    """How the others relate to the product."""
    collections: tuple[str, ...] = ()
    """Whose products have such rows; by default all."""
    to: str | None = None
    """Collection of the others; by default the product's own."""
    inverse: Semantics | None = None
    """With ``collections`` and ``to``: how the product relates to the others,
    which have rows too."""
    overlap: Literal["any", "most"] = "any"
    """``any``: the footprints meet. ``most``: the centres are nearer to each other than about a
    third of the smaller field of view, so that more than half is common."""
    band: Literal["any", "same", "other"] = "any"
    """Which ``filter`` the others have; ``same`` and ``other`` leave out images without."""
    same: tuple[
        Literal["obs_id", "target_name", "instrument_name", "facility_name", "proposal_id"], ...
    ] = ()
    """Columns that are equal, and not empty."""
    within_times: bool = False
    """Whether the others were observed within ``t_min`` to ``t_max`` of the product, as what was
    coadded is."""
    one_per_band: bool = False
    """Of the others of each filter only the one that goes with the product best: of the same
    calibration level, next to it in place and then in time."""
    description: str = ""
    """What they are, for people; the identifier of each is put behind it."""
    limit: int = Field(default=20, ge=1, le=200)
    """Most rows of a product: by time, or by wavelength with ``one_per_band``."""

    @model_validator(mode="after")
    def _both_ends(self) -> Self:
        if self.inverse is not None and not (self.to and self.collections):
            raise ValueError("inverse goes with collections and to")
        return self
