"""Which files a pipeline may name: those below the folders of the collections."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from obscore.sources.fits import FolderSource, file_uri, is_image_name
from vodal.errors import UsageError

__all__ = ["NamedFile", "named_file"]

_LONGEST = 4096


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file that was named."""

    source: FolderSource
    uri: str


def named_file(text: str, sources: Sequence[FolderSource]) -> NamedFile:
    """Find what a pipeline has named.

    Whether there is such a file is not looked at, so that nothing is told of files elsewhere.

    Parameters
    ----------
    text
        An absolute path, or a ``file:`` URL.
    sources
        The folders; of several that hold the file the deepest counts.

    Raises
    ------
    UsageError
        If it is no file that may be named; says why.
    """
    path = _path_of(text)
    parts = path.split("/")
    if ".." in parts or "." in parts:
        raise UsageError(f"'{_shown(text)}' has '.' or '..' among its folders; name it without")
    path = "/" + "/".join(part for part in parts if part)
    fitting = [one for one in sources if Path(path).is_relative_to(one.root)]
    if not fitting:
        raise UsageError(f"'{_shown(text)}' is not below the folder of a collection")
    source = max(fitting, key=lambda one: len(one.root.parts))
    inner = Path(path).relative_to(source.root).parts
    if not inner or not is_image_name(inner[-1]) or any(one.startswith(".") for one in inner):
        raise UsageError(
            f"'{_shown(text)}' is not named as FITS files are (.fits, .fits.fz, .fits.gz ...), or"
            " is hidden"
        )
    # A link in the folder must not lead out of it: others may be let write there.
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(source.root)):
        raise UsageError(f"'{_shown(text)}' is not below the folder of a collection")
    return NamedFile(source, file_uri(path))


def _path_of(text: str) -> str:
    """Give the absolute path that a text names."""
    if not text.isprintable() or len(text.encode("utf-8", "replace")) > _LONGEST:
        raise UsageError(
            f"'{_shown(text)}' is no path: it has characters that are none, or too many"
        )
    if text.startswith("/"):
        return text
    path = _path_of_url(text)
    if path is not None:
        return path
    raise UsageError(
        f"'{_shown(text)}' is neither an absolute path nor a file: URL; files below the folders of"
        " the collections are taken"
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
