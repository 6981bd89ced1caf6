"""What a collection says of its table of products."""

from __future__ import annotations

import re
from typing import Any, Self

from pydantic import SecretStr, model_validator

from vodal.settings import Settings

__all__ = ["TableSettings"]


class TableSettings(Settings):
    """A table whose rows tell of files: in a file, or the answer of a database.

    A text instead of a table of settings is ``path``.
    """

    path: str | None = None
    """File with the table: CSV or other separated text, ECSV, VOTable, Parquet or FITS, each also
    in a gzip."""
    url: SecretStr | None = None
    """Database to ask, as SQLAlchemy writes it: ``postgresql://user@host/name``,
    ``sqlite:////data/products.db``. An environment variable keeps a password out of files."""
    query: str | None = None
    """What to ask it: one SELECT. Let ORDER BY keep rows of one file together."""
    uri: str | None = None
    """Where the file of a row lies: the name of a column, or a text with ``{COLUMN}`` in it, such
    as ``raw/{night}/{visit}.fits``. By default the column ``access_url``, ``uri``, ``path`` or
    ``file``."""
    base: str | None = None
    """Folder or URL that relative places begin at; by default the folder of the table's file. No
    file of a disk outside is published. What is behind it is the path in identifiers."""
    hdu: str | None = None
    """Which HDU of its file a row is, where files hold several: the name of a column, or a text as
    for ``uri``, that gives EXTNAME, ``EXTNAME,EXTVER`` or a number. Rows of one file stand one
    behind the other."""
    null: tuple[str, ...] = ()
    """Texts that stand for no value, beside empty ones."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, given: Any) -> Any:
        return {"path": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.path is None) == (self.url is None):
            raise ValueError("give one of path and url")
        if (self.url is None) != (self.query is None):
            raise ValueError("url and query go together")
        for name, text in (("uri", self.uri), ("hdu", self.hdu)):
            if text is not None and re.search(r"[{}]", re.sub(r"\{[^{}]+\}", "", text)):
                raise ValueError(f"the braces of {name} do not pair up")
        return self
