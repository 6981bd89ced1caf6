"""Where the file of a row lies."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from urllib.parse import quote, unquote, urlsplit

from obscore.sources.fits import PLAIN_PATH, file_uri
from vodal.errors import UsageError

__all__ = ["Base", "Filler", "filler"]

_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
_PLAIN_LINES = re.compile(rf"(?:{PLAIN_PATH.pattern}\n)+")
_NOT_PLAIN = re.compile(r"//|/\.|/\n|\n[/.]")
"""Within such lines what may lead elsewhere than down, or away."""
_SCHEMES = {"file", "http", "https", "s3"}


Filler = Callable[[Sequence[Sequence[object]]], list[str | None]]
"""Gives a text for each row, of the cells of each column; None where one that it takes is empty."""


def filler(text: str, names: Sequence[str], setting: str) -> Filler:
    """Give the function from columns of cells to texts.

    Parameters
    ----------
    text
        The name of a column, or a text with names in braces.
    names
        Of the columns.
    setting
        For the error.

    Raises
    ------
    UsageError
        If there is no such column.
    """
    template = text if "{" in text else f"{{{text}}}"
    wanted = _PLACEHOLDER.findall(template)
    missing = [name for name in wanted if name not in names]
    if missing:
        raise UsageError(
            f"{setting}: the table has no column '{missing[0]}'; its columns are"
            f" {', '.join(names)[:500]}"
        )
    places = [names.index(name) for name in wanted]
    form = _PLACEHOLDER.sub("{}", template)

    def fill(columns: Sequence[Sequence[object]]) -> list[str | None]:
        if not places:
            return [form.strip() or None] * (len(columns[0]) if columns else 0)
        if form == "{}" and set(map(type, columns[places[0]])) == {str}:
            return [str(cell).strip() or None for cell in columns[places[0]]]
        rows = zip(*(columns[place] for place in places), strict=True)
        return [
            None if None in cells or "" in cells else form.format(*cells).strip() or None
            for cells in rows
        ]

    return fill


class Base:
    """Where relative places begin.

    Parameters
    ----------
    text
        A folder, or a URL.

    Raises
    ------
    UsageError
        If it is neither.
    """

    def __init__(self, text: str) -> None:
        scheme = urlsplit(text).scheme
        if scheme and scheme not in _SCHEMES:
            raise UsageError(f"base: '{text[:100]}' is no folder and no URL that is read")
        if scheme == "file":
            text = unquote(urlsplit(text).path)
        self._is_local = scheme in {"", "file"}
        self._root = os.path.abspath(text) if self._is_local else text.rstrip("/")  # noqa: PTH100
        root = file_uri(self._root) if self._is_local else self._root
        self._uri = root.rstrip("/") + "/"

    def locate(self, text: str) -> tuple[str, str]:
        """Give the URI of a file, and its path in identifiers.

        Raises
        ------
        UsageError
            If it lies on the disk outside the folder, or is no place that is read.
        """
        scheme = urlsplit(text).scheme if "://" in text[:12] else ""
        if scheme and scheme not in _SCHEMES:
            raise UsageError(f"'{text[:200]}' is no address that is read: {', '.join(_SCHEMES)}")
        if scheme == "file" or (not scheme and (self._is_local or text.startswith("/"))):
            return self._local(unquote(urlsplit(text).path) if scheme else text)
        if not scheme:
            if PLAIN_PATH.fullmatch(text) and ".." not in text:
                return self._uri + text, text
            if ".." in text.split("/"):
                raise UsageError(f"'{text[:200]}' leads out of {self._uri}")
            return self._uri + quote(text, safe="/-_.~+,=:@"), text
        if text.startswith(self._uri):
            return text, unquote(text.removeprefix(self._uri))
        return text, unquote(text.partition("://")[2])

    def locate_plain(self, texts: Sequence[str | None]) -> list[tuple[str, str]] | None:
        """Give what `locate` gives of each text, all at once; None unless all are plain paths."""
        there = [text for text in texts if text]
        lines = "\n".join([*there, ""])
        is_plain = len(there) == len(texts) == lines.count("\n") and bool(
            _PLAIN_LINES.fullmatch(lines)
        )
        if not is_plain or _NOT_PLAIN.search("\n" + lines):
            return None
        return [(self._uri + text, text) for text in there]

    def _local(self, path: str) -> tuple[str, str]:
        if not self._is_local:
            raise UsageError(f"'{path[:200]}' is a file of a disk, and base is a URL")
        full = os.path.normpath(os.path.join(self._root, path))  # noqa: PTH118
        if not full.startswith(self._root.rstrip("/") + "/"):
            raise UsageError(f"the file {full[:200]} is not below {self._root}")
        return file_uri(full), full[len(self._root.rstrip("/")) + 1 :]
