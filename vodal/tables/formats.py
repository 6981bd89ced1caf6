"""The formats of tables.

A format is one entry of `FORMATS`: its names, its media type and its writer. Negotiation, the
capabilities, `skylane query` and the tests take all there is to know from that table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from vodal.links import ServiceDescriptor
from vodal.tables.arrow import write_arrow
from vodal.tables.columns import ResultStream
from vodal.tables.csv import write_csv, write_tsv
from vodal.tables.fits import write_fits
from vodal.tables.html import write_html
from vodal.tables.json import write_json
from vodal.tables.parquet import write_parquet
from vodal.tables.text import write_text
from vodal.tables.votable import write_votable

__all__ = ["DEFAULT", "FORMATS", "LOOSE_TYPES", "Format", "Writer"]


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

        What the stream raises before its first batch is raised before the first piece. What it
        raises later is raised too, or told in the document and kept in the stream's ``failure``.
        An overflow is told where the format has a place for it. The stream is closed when the
        iterator ends or is closed.
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
    """Other names and media types that RESPONSEFORMAT takes, lower case without blanks. A media
    type that is asked for becomes the answer's, as DALI wants."""
    ivo_id: str | None = None
    """What TAPRegExt 1.0 section 2.4 calls the serialization of a VOTable."""
    is_packed: bool = False
    """Whether the bytes are compressed already, so that doing it again gains nothing."""
    is_shown: bool = False
    """Whether a browser can show it, and need not save it."""

    @property
    def disposition(self) -> str:
        """The answer's Content-Disposition: what a browser does with it, and the file's name."""
        kind = "inline" if self.is_shown else "attachment"
        return f'{kind}; filename="result.{self.extension}"'


_VOTABLE = "application/x-votable+xml"
_OUTPUT = "ivo://ivoa.net/std/TAPRegExt#output-votable-"
_BINARY = partial(write_votable, serialization="BINARY")
_BINARY2 = partial(write_votable, serialization="BINARY2")
_TABLEDATA = partial(write_votable, serialization="TABLEDATA")

FORMATS: tuple[Format, ...] = (
    Format("votable", _VOTABLE, "vot", _BINARY2, ivo_id=f"{_OUTPUT}binary2"),
    Format(
        "votable/b2",
        f"{_VOTABLE};serialization=BINARY2",
        "vot",
        _BINARY2,
        ("votableb2",),
        f"{_OUTPUT}binary2",
    ),
    Format(
        "votable/b",
        f"{_VOTABLE};serialization=BINARY",
        "vot",
        _BINARY,
        ("votableb",),
        f"{_OUTPUT}binary",
    ),
    Format(
        "votable/td",
        f"{_VOTABLE};serialization=TABLEDATA",
        "vot",
        _TABLEDATA,
        ("votabletd",),
        f"{_OUTPUT}td",
    ),
    Format(
        "xml",
        "text/xml",
        "xml",
        _TABLEDATA,
        ("application/xml",),
        f"{_OUTPUT}td",
        is_shown=True,
    ),
    Format("csv", "text/csv;header=present", "csv", write_csv, ("text/csv",)),
    Format("csv/bare", "text/csv;header=absent", "csv", partial(write_csv, header=False)),
    Format(
        "tsv",
        "text/tab-separated-values",
        "tsv",
        write_tsv,
        ("text/tab-separated-values;header=present",),
    ),
    Format("fits", "application/fits", "fits", write_fits, ("image/fits",)),
    Format("json", "application/json", "json", write_json, is_shown=True),
    Format(
        "parquet",
        "application/vnd.apache.parquet",
        "parquet",
        write_parquet,
        ("voparquet", "application/x-parquet"),
        is_packed=True,
    ),
    Format("arrow", "application/vnd.apache.arrow.stream", "arrows", write_arrow, ("arrows",)),
    Format("html", "text/html", "html", write_html, is_shown=True),
    Format("text", "text/plain", "txt", write_text, ("txt",), is_shown=True),
)
"""Every format, the default first."""

DEFAULT = FORMATS[0]

LOOSE_TYPES = frozenset(
    kind.partition(";")[0]
    for item in FORMATS
    if not item.is_packed
    for kind in (item.media_type, *item.aliases)
    if "/" in kind
)
"""Media types of the formats whose bytes are worth compressing on their way."""
