"""The formats of tables and which of them a request asks for (DALI 1.1 section 3.4.3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from vodal.errors import UsageError
from vodal.links import ServiceDescriptor
from vodal.params import Params
from vodal.tables.columns import ResultStream
from vodal.tables.csv import write_csv, write_tsv
from vodal.tables.votable import write_votable

__all__ = ["DEFAULT", "FORMATS", "Format", "Writer", "negotiate"]


class Writer(Protocol):
    """Writes a result in one format; an extension point."""

    def __call__(
        self,
        stream: ResultStream,
        *,
        resources: Sequence[ServiceDescriptor] = (),
        infos: Sequence[tuple[str, str]] = (),
    ) -> Iterator[bytes]:
        """Give the document piece by piece.

        What the stream raises before its first batch is raised before the first piece.
        """
        ...


@dataclass(frozen=True, slots=True)
class Format:
    """One format of tables."""

    name: str
    """The short form that RESPONSEFORMAT takes."""
    media_type: str
    """Content-Type of the answer."""
    extension: str
    """Of a file, without dot."""
    write: Writer
    aliases: tuple[str, ...] = ()
    """Media types and names that RESPONSEFORMAT takes too, lower case without blanks."""


_VOTABLE = "application/x-votable+xml"
_BINARY = partial(write_votable, serialization="BINARY")
_BINARY2 = partial(write_votable, serialization="BINARY2")
_TABLEDATA = partial(write_votable, serialization="TABLEDATA")

FORMATS: tuple[Format, ...] = (
    Format("votable", _VOTABLE, "vot", _BINARY2),
    Format(
        "votable/b2",
        f"{_VOTABLE};serialization=BINARY2",
        "vot",
        _BINARY2,
        (f"{_VOTABLE};serialization=binary2",),
    ),
    Format(
        "votable/b",
        f"{_VOTABLE};serialization=BINARY",
        "vot",
        _BINARY,
        (f"{_VOTABLE};serialization=binary",),
    ),
    Format(
        "votable/td",
        f"{_VOTABLE};serialization=TABLEDATA",
        "vot",
        _TABLEDATA,
        (f"{_VOTABLE};serialization=tabledata",),
    ),
    Format("xml", "text/xml", "xml", _TABLEDATA, ("application/xml",)),
    Format(
        "csv",
        "text/csv;header=present",
        "csv",
        write_csv,
        ("text/csv", "text/csv;header=present"),
    ),
    Format(
        "csv/bare",
        "text/csv;header=absent",
        "csv",
        partial(write_csv, header=False),
        ("text/csv;header=absent",),
    ),
    Format("tsv", "text/tab-separated-values", "tsv", write_tsv),
)
"""Every format, the default first."""

DEFAULT = FORMATS[0]

_KNOWN = {
    alias: item for item in FORMATS for alias in (item.name, item.media_type.lower(), *item.aliases)
}


def _normal(asked: str) -> str:
    """Write a media type the way the table of formats does.

    Parameters that do not choose a writer are dropped: ``charset`` (always UTF-8) and the
    ``content=datalink`` that clients copy from ``access_format``.
    """
    kind, *options = (part.strip().lower() for part in asked.split(";"))
    kept = [
        option.replace(" ", "").replace('"', "")
        for option in options
        if not option.startswith(("charset", "content", "version"))
    ]
    return ";".join([kind, *kept])


def negotiate(params: Params, default: Format = DEFAULT) -> Format:
    """Give the format that a request asks for by RESPONSEFORMAT, or FORMAT as its old name.

    Parameters
    ----------
    params
        Parameters of the request.
    default
        Taken if the request asks for none.

    Raises
    ------
    UsageError
        If the format is not known; the message names those that are.
    """
    name = "RESPONSEFORMAT" if params.all("RESPONSEFORMAT") else "FORMAT"
    asked = params.one(name)
    if asked is None:
        return default
    found = _KNOWN.get(_normal(asked))
    if found is None:
        accepted = ", ".join(item.name for item in FORMATS)
        raise UsageError(
            f"{name} '{asked[:60]}' is not available; take one of {accepted} or their media types"
        )
    return found
