"""FITS files on an HTTP server that lists its folders."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from typing_extensions import override

from obscore.sources.base import Candidate, Problem
from obscore.sources.fits import is_image_name
from obscore.sources.listings import Entry, read_listing
from obscore.sources.marks import Marks
from obscore.sources.servers import ServerSource, canonical_url
from vodal.errors import DataError, NotFoundError, SkylaneError, UsageError
from vodal.storage import FileStat, Storage

__all__ = ["ListingSource"]

_PAGE_BYTES = 64 << 20
_DEEPEST = 32
_MOST_FOLDERS = 200_000
_AHEAD = 8
"""Folders that are asked for before it is their turn."""
_TOGETHER = 256
_YOUNG_S = 150.0
"""A listing shows minutes: a younger file may have changed again without showing it."""


@dataclass(slots=True)
class _Folder:
    url: str
    above: tuple[str, ...]
    """What the listings of the folders above it hold, in short."""
    page: Future[tuple[list[Entry], str]] | None = None


class ListingSource(ServerSource):
    """The files below a folder of an HTTP server, by the pages on which it lists its folders.

    Links are followed below the folder only. A folder that lists just what one above it does is
    that folder again, by a link of the server's disk, and is not entered. Listings show sizes and
    dates too roughly to tell versions, so that each file is asked for, in a request without its
    content; again only when the listing shows something else of it.
    """

    def __init__(
        self, root: str, storage: Storage, *, collection: str | None = None, start: str = ""
    ) -> None:
        super().__init__(
            canonical_url(root), storage, collection=collection,
            start=canonical_url(start) if start else "",
        )  # fmt: skip
        self._lanes = storage.settings.parallel
        self._marks = Marks()
        self._ahead_s = 0.0
        """By how much the server's clock is ahead of the one here."""

    @override
    def walk(self) -> Iterator[Candidate | Problem]:
        self._passed_over = 0
        if not self.start.endswith("/"):
            found = self.look(self.start)
            if found is None:
                raise UsageError(f"there is no {self.start}")
            yield found
            return
        crew = ThreadPoolExecutor(self._lanes, "listing")
        try:
            yield from self._folders(crew)
        finally:
            crew.shutdown(wait=False, cancel_futures=True)

    @override
    def quiet_s(self, candidate: Candidate) -> float:
        modified = candidate.stat.modified_unix_s
        return max(0.0, self._now() - modified) if modified else 0.0

    def _now(self) -> float:
        return time.time() + self._ahead_s

    def _folders(self, crew: ThreadPoolExecutor) -> Iterator[Candidate | Problem]:
        stack, entered = [_Folder(self.start, ())], 0
        while stack:
            for near in stack[-_AHEAD:]:
                near.page = near.page or crew.submit(self._listing, near.url)
            here = stack.pop()
            assert here.page is not None
            try:
                entries, digest = here.page.result()
            except SkylaneError as error:
                if here.url == self.start:
                    raise UsageError(f"{self.start} cannot be listed: {error.message}") from None
                yield Problem(here.url, "unreadable", error.message)
                continue
            entered += 1
            if digest in here.above:
                yield Problem(here.url, "duplicate", "it lists the same as a folder above it")
                continue
            yield from self._files(entries, crew)
            inner = [one.url for one in entries if self._is_folder(one.url)]
            if inner and (len(here.above) >= _DEEPEST or entered + len(stack) > _MOST_FOLDERS):
                message = (
                    f"the folders in it are left out: {_DEEPEST} deep and {_MOST_FOLDERS} in all"
                    " are followed"
                )
                yield Problem(here.url, "unreadable", message)
                continue
            above = (*here.above, digest) if entries else here.above
            stack += (_Folder(url, above) for url in reversed(inner))

    def _is_folder(self, url: str) -> bool:
        return url.endswith("/") and not self._name(url[:-1]).startswith(".")

    def _listing(self, url: str) -> tuple[list[Entry], str]:
        """Fetch a listing; gives its entries, and what tells equal ones."""
        page = self._storage.page(url, _PAGE_BYTES)
        if page.now_unix_s is not None:
            self._ahead_s = page.now_unix_s - time.time()
        if page.content_type not in {"text/html", "application/xhtml+xml"}:
            raise DataError(f"{url} gives {page.content_type} and no listing in HTML")
        entries = read_listing(page.body.decode("utf-8", "replace"), url)
        if entries is None:
            raise DataError(f"{url} gives a page of HTML that is no listing of a folder")
        told = "\n".join(f"{one.url[len(url) :]} {one.mark}" for one in entries)
        return entries, hashlib.sha256(told.encode()).hexdigest()

    def _files(
        self, entries: Sequence[Entry], crew: ThreadPoolExecutor
    ) -> Iterator[Candidate | Problem]:
        files = [one for one in entries if not one.url.endswith("/")]
        ours = [one for one in files if is_image_name(self._name(one.url))]
        self._passed_over += len(files) - len(ours)
        for start in range(0, len(ours), _TOGETHER):
            part = ours[start : start + _TOGETHER]
            known = self._marks.known([(one.url, one.mark) for one in part])
            unknown = [one for one in part if one.url not in known]
            urls = [one.url for one in unknown]
            told = dict(zip(urls, crew.map(self._ask, urls), strict=True))
            self._marks.keep(
                (one.url, one.mark, stat)
                for one in unknown
                if isinstance(stat := told[one.url], FileStat) and self._is_kept(one, stat)
            )
            for one in part:
                stat = known.get(one.url) or told[one.url]
                if isinstance(stat, Problem):
                    yield stat
                elif stat is not None:
                    yield self._candidate(one.url, stat)

    def _is_kept(self, entry: Entry, stat: FileStat) -> bool:
        """Tell whether the listing would show it if the file changed."""
        return bool(entry.mark) and 0.0 < stat.modified_unix_s < self._now() - _YOUNG_S

    def _ask(self, url: str) -> FileStat | Problem | None:
        try:
            return self._storage.stat(url)
        except NotFoundError:
            return None  # it went since it was listed
        except SkylaneError as error:
            return Problem(url, "unreadable", error.message)
