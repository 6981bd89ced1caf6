"""The rules of collections, and the rights that they give to somebody.

Two things are decided for each image: whether somebody may know of it (its row, its links, the
name of its collection) and whether somebody may have it (its file and all that is made of its
pixels). Who may have it may know of it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from typing import Final, Literal, Self

from pydantic import Field, model_validator
from typing_extensions import override

from vodal.access.identity import Identity
from vodal.products import Departed, Neighbour, Product
from vodal.settings import Settings

__all__ = [
    "EVERYTHING",
    "AccessRule",
    "AccessRules",
    "Reach",
    "Rights",
    "TableRule",
    "is_released",
    "now_text",
]


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


class TableRule(Settings):
    """Who may query a table of the site's own, and who may know of it.

    The name is the table's full one (``"cat.stars"``), or ``"cat.*"`` for all of a schema. A list
    of groups alone does too.
    """

    groups: tuple[str, ...] = Field(min_length=1)
    """Groups whose members may query the table."""
    metadata: Literal["public", "hidden"] = "public"
    """Whether others may know that the table is there and what columns it has: ``hidden`` leaves it
    out of TAP_SCHEMA, ``/tap/tables``, examples, pages and records, and a query of it is answered
    as if there were no such table."""

    @model_validator(mode="before")
    @classmethod
    def _groups_alone(cls, value: object) -> object:
        return {"groups": value} if isinstance(value, list | tuple) else value


class Reach(Enum):
    """Which images of a collection."""

    ALL = "all"
    RELEASED = "released"
    NONE = "none"


_Table = tuple[str, str]
"""Schema and name of a table, in lower case, without double quotes."""

_FULL_NAME: Final = re.compile(r'("(?:[^"]|"")*"|[^.]*)\.(.*)', re.DOTALL)
"""Within double quotes a name may have dots."""

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
    closed: tuple[_Table, ...] = ()
    """Tables that a site publishes itself and that may not be queried: schema and table in lower
    case; ``*`` stands for all of a schema."""
    unlisted: tuple[_Table, ...] = ()
    """Those of them of which somebody may not even know."""
    _by_name: dict[str, _Pair] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._by_name.update(self.collections)

    @override
    def __hash__(self) -> int:
        return hash((self.collections, self.others, self.closed, self.unlisted))

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
        return not _names(self.closed, table)

    def may_know_table(self, table: str) -> bool:
        """Tell whether somebody may know of a table.

        Parameters
        ----------
        table
            Its full name, in any case.
        """
        return not _names(self.unlisted, table)

    def may_know(self, product: Product | Neighbour) -> bool:
        """Tell whether somebody may know of an image."""
        return _reaches(self.known(product.collection), product.obscore.get("obs_release_date"))

    def may_know_gone(self, gone: Departed) -> bool:
        """Tell whether somebody may know of an image that was there."""
        return _reaches(self.known(gone.collection), gone.release_date)

    def may_have(self, product: Product) -> bool:
        """Tell whether somebody may have an image, or what is made of its pixels."""
        return _reaches(self.had(product.collection), product.obscore.get("obs_release_date"))


def _split(table: str) -> _Table:
    """Split a full name, in lower case; of names in double quotes what is within."""
    found = _FULL_NAME.fullmatch(table.lower())
    schema, name = found.groups() if found else ("", table.lower())
    return _plain(schema), _plain(name)


def _plain(name: str) -> str:
    quoted = len(name) > 1 and name[0] == name[-1] == '"'
    return name[1:-1].replace('""', '"') if quoted else name


def _names(listed: Collection[_Table], table: str) -> bool:
    """Tell whether rules mean a table, by its own name or as one of all of its schema."""
    if not listed:
        return False
    schema, name = _split(table)
    return (schema, name) in listed or (schema, "*") in listed


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
        Of those that a site publishes itself, by their full names, or by ``schema.*``; the rest is
        public. Where rules are of a table and of its schema, both must allow what is asked.
    """

    def __init__(
        self,
        others: AccessRule | None = None,
        collections: Mapping[str, AccessRule] | None = None,
        admins: Collection[str] = (),
        tables: Mapping[str, TableRule] | None = None,
    ) -> None:
        self._others = others or AccessRule()
        self._collections = dict(collections or {})
        rules = [self._others, *self._collections.values()]
        self._admins = frozenset(admins)
        self._tables = {_split(name): one for name, one in (tables or {}).items()}
        named = [rule.groups for rule in rules] + [rule.groups for rule in self._tables.values()]
        self._groups = self._admins.union(*named)
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
        return _names(self._tables, name)

    def rights(self, identity: Identity) -> Rights:
        """Give what somebody may see."""
        return self._of_groups(identity.groups & self._groups)

    def _given(self, groups: frozenset[str]) -> Rights:
        if not groups.isdisjoint(self._admins):
            return EVERYTHING
        closed = {
            name: rule for name, rule in self._tables.items() if groups.isdisjoint(rule.groups)
        }
        return Rights(
            tuple((name, _pair(rule, groups)) for name, rule in self._collections.items()),
            _pair(self._others, groups),
            tuple(closed),
            tuple(name for name, rule in closed.items() if rule.metadata == "hidden"),
        )


def _pair(rule: AccessRule, groups: frozenset[str]) -> _Pair:
    if rule.data == "public" or not groups.isdisjoint(rule.groups):
        return Reach.ALL, Reach.ALL
    had = Reach.RELEASED if rule.data == "released" else Reach.NONE
    return (Reach.ALL if rule.metadata == "public" else had), had
