"""The formats of tables and which of them a request asks for (DALI 1.1 section 3.4.3).

A format is one entry of `FORMATS`: its names, its media type and its writer. Negotiation, the
capabilities, `skylane query -o` and the tests take all there is to know from that table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from vodal.errors import UsageError
from vodal.links import ServiceDescriptor
from vodal.params import Params
from vodal.tables.arrow import write_arrow
from vodal.tables.columns import ResultStream
from vodal.tables.csv import write_csv, write_tsv
from vodal.tables.fits import write_fits
from vodal.tables.html import write_html
from vodal.tables.json import write_json
from vodal.tables.parquet import write_parquet
from vodal.tables.text import write_text
from vodal.tables.votable import write_votable

__all__ = ["DEFAULT", "FORMATS", "LOOSE_TYPES", "Format", "Writer", "negotiate"]


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
    Format("tsv", "text/tab-separated-values", "tsv", write_tsv),
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

_PAGE = next(item for item in FORMATS if item.name == "html")

_CHOOSING = ("serialization", "header")
"""Parameters of media types that choose a writer. Others are passed over: ``charset`` is always
UTF-8, and clients copy ``content=datalink`` from ``access_format``."""


def _normal(asked: str) -> str:
    """Write a name or media type in one way, whatever the case, blanks, quotes and order."""
    kind, *options = (part.strip().lower() for part in asked.split(";"))
    # A plus sign that was not percent-encoded in a URL or form arrives as a blank.
    kind = kind.replace("x-votable xml", "x-votable+xml")
    kept = [option.replace(" ", "").replace('"', "") for option in options]
    return ";".join([kind, *sorted(o for o in kept if o.partition("=")[0] in _CHOOSING)])


def _known(formats: Sequence[Format]) -> dict[str, Format]:
    return {
        _normal(alias): item
        for item in formats
        for alias in (item.name, item.media_type, *item.aliases)
    }


_KNOWN = _known(FORMATS)


def _is_browser(accept: str) -> bool:
    """Tell whether an Accept header is that of a browser that shows a page.

    ``text/html`` alone says nothing: Java sends it by itself for TOPCAT, STILTS and Firefly (seen
    in Java 17). The address bars of all browsers name XHTML too.
    """
    return "text/html" in accept and "application/xhtml+xml" in accept


def negotiate(
    params: Params,
    default: Format = DEFAULT,
    *,
    accept: str | None = None,
    formats: Sequence[Format] = FORMATS,
) -> Format:
    """Give the format that a request asks for by RESPONSEFORMAT, or FORMAT as its old name.

    Parameters
    ----------
    params
        Parameters of the request.
    default
        Taken if the request asks for none.
    accept
        The request's Accept header, where a browser that asks for no format gets a page. It
        chooses nothing else: clients that mean it use the parameter.
    formats
        Those that there are.

    Raises
    ------
    UsageError
        If the format is not known; the message names those that are.
    """
    name = "RESPONSEFORMAT" if params.all("RESPONSEFORMAT") else "FORMAT"
    asked = params.one(name)
    if asked is None:
        return _PAGE if accept is not None and _is_browser(accept) else default
    known = _KNOWN if formats is FORMATS else _known(formats)
    found = known.get(_normal(asked))
    if found is None:
        accepted = ", ".join(item.name for item in formats)
        raise UsageError(
            f"{name} '{asked[:60]}' is not available; take one of {accepted} or their media types"
        )
    return _as_asked(found, _normal(asked).partition(";")[0])


def _as_asked(found: Format, kind: str) -> Format:
    """Give a format under the media type that was asked for, where it has several."""
    own, mark, options = found.media_type.partition(";")
    if "/" not in kind or kind in {own, found.name}:
        return found
    return replace(found, media_type=kind + mark + options)
