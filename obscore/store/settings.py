"""The settings of the store."""

from __future__ import annotations

import re
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from vodal.settings import Settings

__all__ = ["StoreSettings"]

_SCHEMES = {"postgresql", "postgres"}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$ -]{0,62}")


def _check_url(url: str) -> str:
    if url and urlsplit(url).scheme not in _SCHEMES:
        raise ValueError(
            "a store's URL begins with postgresql://; without one the store is SQLite in the"
            " site's folder"
        )
    return url


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("a name of PostgreSQL's has at most 63 letters, digits, '_', '$', '-'")
    return name


StoreUrl = Annotated[str, AfterValidator(_check_url)]
Name = Annotated[str, AfterValidator(_check_name)]


class StoreSettings(Settings):
    """Where the catalogue is kept: SQLite in the site's folder, or PostgreSQL with pg_sphere."""

    url: StoreUrl = Field("", repr=False)
    """``postgresql://user@host:port/database``; by default the embedded SQLite. The user owns the
    store's tables. A password is best left to ``~/.pgpass`` or ``PGPASSWORD``."""
    schema_name: Name = "skylane"
    """PostgreSQL's schema that holds the tables; several sites may share a database."""
    query_role: Name = "skylane_query"
    """Role that users' queries take on, which may read what is published and nothing else. Made
    when the store is, if the user of ``url`` may; its login is that of ``url`` or
    ``replica_url``."""
    query_url: StoreUrl = Field("", repr=False)
    """Where users' queries run, if not there, logged in as a role of its own (which then takes the
    place of ``query_role``)."""
    replica_url: StoreUrl = Field("", repr=False)
    """A read replica, or several (``postgresql://user@host1,host2/database``), for all that only
    reads: users' queries, links, cutouts, HiPS."""

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if not self.url and (self.query_url or self.replica_url):
            raise ValueError("query_url and replica_url go with a url of PostgreSQL")
        return self
