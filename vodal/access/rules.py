"""The rules of collections, and the rights that they give to somebody.

Two things are decided for each image: whether somebody may know of it (its row, its links, the
name of its collection) and whether somebody may have it (its file and all that is made of its
pixels). Who may have it may know of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from typing import Literal, Self

from pydantic import model_validator
from typing_extensions import override

from vodal.access.identity import Identity
from vodal.products import Departed, Neighbour, Product
from vodal.settings import Settings

__all__ = ["EVERYTHING", "AccessRule", "AccessRules", "Reach", "Rights", "is_released", "now_text"]


class AccessRule(Settings):
    """Who may have the images of a collection, and who may know of them."""

    data: Literal["public", "released", "groups"] = "public"
    """Who may have the images: ``public`` everybody; ``released`` everybody once their
    ``obs_release_date`` is over (an image without a date is not released), and ``groups`` before
    that; ``groups`` these alone."""
    groups: tuple[str, ...] = ()
    """Groups whose members may have and know of all images."""
    metadata: Literal["public", "hidden"] = "public"
    """Whether others may know of images that they may not have: ``hidden`` leaves them out of
    every answer, as if they were not there."""

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        if self.data == "groups" and not self.groups:
            raise ValueError("data = 'groups' needs the names of groups")
        if self.data == "public" and self.metadata == "hidden":
            raise ValueError("metadata = 'hidden' has no meaning with data = 'public'")
        return self


class Reach(Enum):
    """Which images of a collection."""

    ALL = "all"
    RELEASED = "released"
    NONE = "none"


_Pair = tuple[Reach, Reach]
"""Of which images somebody may know, and which somebody may have."""


def now_text() -> str:
    """Give the present moment as ``obs_release_date`` is written, UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def is_released(date: object, now: str) -> bool:
    """Tell whether a release date is over; one that is no ISO date never is.

    Dates compare as texts, which is what a database does with them too.
    """
    return isinstance(date, str) and date[4:5] == "-" == date[7:8] and date <= now


def _reaches(reach: Reach, release_date: object) -> bool:
    match reach:
        case Reach.ALL:
            return True
        case Reach.RELEASED:
            return is_released(release_date, now_text())
        case Reach.NONE:
            return False


@dataclass(frozen=True)
class Rights:
    """What somebody may see. Equal for all who may see the same."""

    collections: tuple[tuple[str, _Pair], ...] = ()
    """Those with a rule of their own, by name."""
    others: _Pair = (Reach.ALL, Reach.ALL)
    """Of all other collections."""
    closed: tuple[str, ...] = ()
    """Tables that a site publishes itself and that may not be queried: full names in lower case;
    ``schema.*`` stands for all of a schema."""
    _by_name: dict[str, _Pair] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._by_name.update(self.collections)

    @override
    def __hash__(self) -> int:
        return hash((self.collections, self.others, self.closed))

    @property
    def all_known(self) -> bool:
        """Whether nothing is hidden."""
        pairs = [self.others, *self._by_name.values()]
        return all(known is Reach.ALL for known, _ in pairs)

    @property
    def all_had(self) -> bool:
        """Whether all may be had, and so known of."""
        return all(had is Reach.ALL for _, had in [self.others, *self._by_name.values()])

    def known(self, collection: str) -> Reach:
        """Tell of which images of a collection somebody may know."""
        return self._by_name.get(collection, self.others)[0]

    def had(self, collection: str) -> Reach:
        """Tell which images of a collection somebody may have."""
        return self._by_name.get(collection, self.others)[1]

    def may_query(self, table: str) -> bool:
        """Tell whether somebody may query a table.

        Parameters
        ----------
        table
            Its full name, in any case.
        """
        name = table.lower()
        return not self.closed or not {name, _all_of(name)} & set(self.closed)

    def may_know(self, product: Product | Neighbour) -> bool:
        """Tell whether somebody may know of an image."""
        return _reaches(self.known(product.collection), product.obscore.get("obs_release_date"))

    def may_know_gone(self, gone: Departed) -> bool:
        """Tell whether somebody may know of an image that was there."""
        return _reaches(self.known(gone.collection), gone.release_date)

    def may_have(self, product: Product) -> bool:
        """Tell whether somebody may have an image, or what is made of its pixels."""
        return _reaches(self.had(product.collection), product.obscore.get("obs_release_date"))


def _all_of(table: str) -> str:
    return f"{table.rpartition('.')[0]}.*"


EVERYTHING = Rights()
"""The rights of everybody where there are no rules."""


class AccessRules:
    """The rules of a site. Safe to use from several threads.

    Parameters
    ----------
    others
        For collections without a rule of their own.
    collections
        Rules by the collection's name.
    admins
        Groups whose members may have all.
    tables
        Groups whose members may query a table that a site publishes itself, by its full name, or
        by ``schema.*``; the rest is public.
    """

    def __init__(
        self,
        others: AccessRule | None = None,
        collections: Mapping[str, AccessRule] | None = None,
        admins: Collection[str] = (),
        tables: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        self._others = others or AccessRule()
        self._collections = dict(collections or {})
        rules = [self._others, *self._collections.values()]
        self._admins = frozenset(admins)
        self._tables = {name.lower(): frozenset(one) for name, one in (tables or {}).items()}
        named = [frozenset(rule.groups) for rule in rules]
        self._groups = frozenset[str]().union(self._admins, *named, *self._tables.values())
        self._of_groups = lru_cache(maxsize=1024)(self._given)

    @property
    def restrict(self) -> bool:
        """Whether there is anything that is not public."""
        rules = [self._others, *self._collections.values()]
        return bool(self._tables) or any(rule.data != "public" for rule in rules)

    @property
    def names(self) -> frozenset[str]:
        """Collections with a rule of their own."""
        return frozenset(self._collections)

    def has_table(self, name: str) -> bool:
        """Tell whether there is a rule for a table, by its full name."""
        return not {name.lower(), _all_of(name.lower())}.isdisjoint(self._tables)

    def rights(self, identity: Identity) -> Rights:
        """Give what somebody may see."""
        return self._of_groups(identity.groups & self._groups)

    def _given(self, groups: frozenset[str]) -> Rights:
        if not groups.isdisjoint(self._admins):
            return EVERYTHING
        return Rights(
            tuple((name, _pair(rule, groups)) for name, rule in self._collections.items()),
            _pair(self._others, groups),
            tuple(name for name, one in self._tables.items() if groups.isdisjoint(one)),
        )


def _pair(rule: AccessRule, groups: frozenset[str]) -> _Pair:
    if rule.data == "public" or not groups.isdisjoint(rule.groups):
        return Reach.ALL, Reach.ALL
    had = Reach.RELEASED if rule.data == "released" else Reach.NONE
    return (Reach.ALL if rule.metadata == "public" else had), had
