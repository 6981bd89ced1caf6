"""Pages on which HTTP servers list a folder: Apache, nginx, lighttpd, Python and such."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

from typing_extensions import override

from obscore.sources.fits import is_image_name
from obscore.sources.servers import canonical_url

__all__ = ["Entry", "read_listing"]

_TITLE = re.compile(r"(?i)^\s*(index of|directory listing|listing of|directory:)")
_DATE = re.compile(
    r"\b(\d{4}-(?:\d{2}|[A-Z][a-z]{2})-\d{2}|\d{1,2}-[A-Z][a-z]{2}-\d{4}) +\d{2}:\d{2}(:\d{2})?"
)
_SIZE = re.compile(r"(?<![\d:-])(\d+(\.\d+)? ?[KMGT]?i?B?)(?![\d:-])\s*(?:$|[A-Za-z-])")


@dataclass(frozen=True, slots=True)
class Entry:
    """A link to something below the listed folder."""

    url: str
    """Of a folder it ends in ``/``."""
    mark: str
    """Date and size as they are shown; empty if neither is. What they do not show (seconds, bytes
    of large files) may change without them."""


class _Links(HTMLParser):
    """Links with the text that follows each, up to the next."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, list[str]]] = []
        self.titles: list[str] = []
        self._in_link = self._in_title = False

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            target = dict(attrs).get("href")
            self._in_link = True
            if target:
                self.found.append((target, []))
        elif tag in {"title", "h1", "h2"}:
            self._in_title = True

    @override
    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._in_link = False
        elif tag in {"title", "h1", "h2"}:
            self._in_title = False

    @override
    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.titles.append(data)
        elif self.found and not self._in_link:
            self.found[-1][1].append(data)


def read_listing(text: str, url: str) -> list[Entry] | None:
    """Give the links of a listing that lead below its folder, each once, by their URLs.

    Links for sorting, to folders above and to other hosts are none of them.

    Parameters
    ----------
    text
        HTML.
    url
        Of the folder, ending in ``/``.

    Returns
    -------
    list of Entry or None
        None if the page is no listing: it neither says so in its title nor links to an image.
    """
    parser = _Links()
    parser.feed(text)
    parser.close()
    folder = canonical_url(url)
    entries: dict[str, Entry] = {}
    for target, texts in parser.found:
        try:
            parts = urlsplit(urljoin(url, target.strip()))
        except ValueError:
            continue
        if parts.query or parts.scheme not in {"http", "https"}:
            continue
        found = canonical_url(f"{parts.scheme}://{parts.netloc}{parts.path}")
        if found.startswith(folder) and found != folder:
            entries.setdefault(found, Entry(found, _mark(" ".join(texts))))
    is_listing = any(_TITLE.match(title) for title in parser.titles)
    if not is_listing and not any(is_image_name(found.rpartition("/")[2]) for found in entries):
        return None
    return [entries[found] for found in sorted(entries)]


def _mark(text: str) -> str:
    """Give date and size as they are shown after a link."""
    text = " ".join(text.split())
    date = _DATE.search(text)
    size = _SIZE.search(text if date is None else text[date.end() :])
    return " ".join(found[0].strip() if found is date else found[1]
                    for found in (date, size) if found is not None)  # fmt: skip
