"""Which files a pipeline may name: those below the folders of the collections, also on servers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from obscore.sources.base import Source
from obscore.sources.fits import FolderSource, file_uri, is_image_name
from obscore.sources.servers import ServerSource, canonical_url, is_address
from vodal.errors import UsageError

__all__ = ["NamedFile", "named_file"]

_LONGEST = 4096


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file that was named."""

    source: Source
    uri: str


def named_file(text: str, sources: Sequence[Source]) -> NamedFile:
    """Find what a pipeline has named.

    Whether there is such a file is not looked at, so that nothing is told of files elsewhere.

    Parameters
    ----------
    text
        An absolute path, a ``file:`` URL, or an address of ``s3:``, ``http:`` or ``https:``.
    sources
        The folders; of several that hold the file the deepest counts.

    Raises
    ------
    UsageError
        If it is no file that may be named; says why.
    """
    _check_text(text)
    if is_address(text):
        return _at_server(text, [one for one in sources if isinstance(one, ServerSource)])
    path = _path_of(text)
    parts = path.split("/")
    if ".." in parts or "." in parts:
        raise UsageError(f"'{_shown(text)}' has '.' or '..' among its folders; name it without")
    path = "/" + "/".join(part for part in parts if part)
    folders = [one for one in sources if isinstance(one, FolderSource)]
    fitting = [one for one in folders if Path(path).is_relative_to(one.root)]
    if not fitting:
        raise UsageError(f"'{_shown(text)}' is not below the folder of a collection")
    source = max(fitting, key=lambda one: len(one.root.parts))
    _check_names(text, Path(path).relative_to(source.root).parts)
    # A link in the folder must not lead out of it: others may be let write there.
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(source.root)):
        raise UsageError(f"'{_shown(text)}' is not below the folder of a collection")
    return NamedFile(source, file_uri(path))


def _at_server(text: str, servers: Sequence[ServerSource]) -> NamedFile:
    """Find a file on a server; whether it is there is not asked."""
    is_key = text[:3].lower() == "s3:"
    uri = f"s3:{text[3:]}" if is_key else canonical_url(text)
    fitting = [one for one in servers if uri.startswith(one.root)]
    if not fitting:
        raise UsageError(f"'{_shown(text)}' is not below the place of a collection")
    source = max(fitting, key=lambda one: len(one.root))
    inner = uri[len(source.root) :]
    if not is_key:
        if "?" in text or "#" in text:
            raise UsageError(f"'{_shown(text)}' has a query or fragment; name the file alone")
        inner = unquote(inner)
    parts = inner.split("/")
    if "" in parts or "." in parts or ".." in parts:
        raise UsageError(f"'{_shown(text)}' has empty parts, '.' or '..' in its path")
    _check_names(text, parts)
    return NamedFile(source, uri)


def _check_names(text: str, inner: Sequence[str]) -> None:
    if not inner or not is_image_name(inner[-1]) or any(one.startswith(".") for one in inner):
        raise UsageError(
            f"'{_shown(text)}' is not named as FITS files are (.fits, .fits.fz, .fits.gz ...), or"
            " is hidden"
        )


def _check_text(text: str) -> None:
    if not text.isprintable() or len(text.encode("utf-8", "replace")) > _LONGEST:
        raise UsageError(
            f"'{_shown(text)}' is no path: it has characters that are none, or too many"
        )


def _path_of(text: str) -> str:
    """Give the absolute path that a text names."""
    if text.startswith("/"):
        return text
    path = _path_of_url(text)
    if path is not None:
        return path
    raise UsageError(
        f"'{_shown(text)}' is neither an absolute path nor a URL of file:, s3:, http: or https:;"
        " files below the folders of the collections are taken"
    )


def _path_of_url(text: str) -> str | None:
    """Give the path of a ``file:`` URL (RFC 8089); None if it is none."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    if parts.scheme != "file" or parts.netloc not in {"", "localhost"}:
        return None
    path = os.fsdecode(unquote_to_bytes(parts.path))
    is_plain = path.startswith("/") and "\0" not in path and not parts.query and not parts.fragment
    return path if is_plain else None


def _shown(text: str) -> str:
    shown = "".join(one if one.isprintable() else "?" for one in text[:200])
    return shown if len(text) <= 200 else f"{shown}..."
