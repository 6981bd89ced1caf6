"""Which format a request asks for (DALI 1.1 section 3.4.3).

The parameter decides; where there is none the Accept header may say what the client likes better
than anything else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from vodal.errors import UsageError
from vodal.params import Params
from vodal.tables.formats import DEFAULT, FORMATS, Format

__all__ = ["is_browser", "negotiate"]

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


def is_browser(accept: str) -> bool:
    """Tell whether an Accept header is that of a browser that shows a page.

    ``text/html`` alone says nothing: Java sends it by itself for TOPCAT, STILTS and Firefly (seen
    in Java 17). The address bars of all browsers name XHTML too.
    """
    return "text/html" in accept and "application/xhtml+xml" in accept


def _weight(options: Sequence[str]) -> float:
    """Give the weight among the parameters of a part of an Accept header (RFC 9110 12.4.2)."""
    for option in options:
        name, _, value = option.partition("=")
        if name.strip().lower() == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0


def _liked(accept: str, known: Mapping[str, Format]) -> Format | None:
    """Give the format that an Accept header puts over all others; None if there is none.

    What a client takes as gladly as anything else (``*/*``) says nothing: scripts of pages and
    HTTP libraries name types so which they do not mean.
    """
    found: Format | None = None
    best = anything = 0.0
    for part in accept.split(","):
        kind, *options = part.split(";")
        weight = _weight(options)
        if "*" in kind:
            anything = max(anything, weight)
            continue
        normal = _normal(part)
        item = known.get(normal)
        if item is not None and item is not _PAGE and weight > best:
            found, best = _as_asked(item, normal.partition(";")[0]), weight
    return found if best > anything else None


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
        The request's Accept header, looked at if the request has no such parameter: a browser
        gets a page, other clients what they put over all else. What is not there is passed over.
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
        if accept is None or accept == "*/*":
            return default
        return _by_header(accept, tuple(formats)) or default
    known = _KNOWN if formats is FORMATS else _known(formats)
    normal = _normal(asked)
    found = known.get(normal)
    if found is None:
        accepted = ", ".join(item.name for item in formats)
        raise UsageError(
            f"{name} '{asked[:60]}' is not available; take one of {accepted} or their media types"
        )
    return _as_asked(found, normal.partition(";")[0])


@lru_cache(maxsize=256)
def _by_header(accept: str, formats: tuple[Format, ...]) -> Format | None:
    if is_browser(accept):
        return _PAGE if _PAGE in formats else None
    return _liked(accept, _known(formats))


def _as_asked(found: Format, kind: str) -> Format:
    """Give a format under the media type that was asked for, where it has several."""
    own, mark, options = found.media_type.partition(";")
    if "/" not in kind or kind in {own, found.name}:
        return found
    return replace(found, media_type=kind + mark + options)
