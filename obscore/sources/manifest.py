"""Files that a list names, wherever they lie."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote

from typing_extensions import override

from obscore.sources.base import Candidate, Problem
from obscore.sources.fits import file_uri
from obscore.sources.manifestlines import Listed, read_lines
from obscore.sources.marks import Marks
from obscore.sources.seen import Seen
from obscore.sources.servers import ServerSource, is_address
from vodal.errors import NotFoundError, SkylaneError, UsageError
from vodal.storage import FileStat, Storage, is_local

__all__ = ["ManifestSource"]

_PAGE_BYTES = 1 << 30
_TOGETHER = 256


class ManifestSource(ServerSource):
    """The files that a manifest names, as `obscore.sources.manifestlines` reads it.

    A file whose size and ETag it tells is not asked for; another is asked in a request without its
    content, again only when the manifest says something else of it. Paths in identifiers start at
    the manifest's folder; of files elsewhere they are those of their URLs.

    Parameters
    ----------
    manifest
        URL of http or https, or path of a local file.
    storage
        Reads it, and the files.
    collection
        Name; by default that of the manifest.
    """

    def __init__(self, manifest: str, storage: Storage, *, collection: str | None = None) -> None:
        here = os.path.abspath(manifest)  # noqa: PTH100 - links in the path are kept
        uri = manifest if is_address(manifest) else file_uri(here)
        stem = unquote(uri.rpartition("/")[2]).partition(".")[0]
        super().__init__(uri.rpartition("/")[0], storage, collection=collection or stem)
        self.start = uri
        self._marks = Marks()
        self._listed = Seen()

    @property
    @override
    def is_scattered(self) -> bool:
        return True

    @property
    @override
    def under_uri(self) -> str:
        return ""

    @override
    def holds(self, uri: str) -> bool:
        return uri in self._listed

    @override
    def quiet_s(self, candidate: Candidate) -> float:
        return float("inf")  # who lists a file has written it

    @override
    def walk(self) -> Iterator[Candidate | Problem]:
        listed = Seen()
        walked = listed.round()
        passed_over = 0
        crew = ThreadPoolExecutor(self._storage.settings.parallel, "manifest")
        lines = read_lines(self._lines(), self.start)
        try:
            while batch := list(itertools.islice(lines, _TOGETHER)):
                yield from (one for one in batch if isinstance(one, Problem))
                named = {one.uri: one for one in batch if isinstance(one, Listed)}
                ours = {uri: one for uri, one in named.items() if "?" in uri or self._is_ours(uri)}
                passed_over += len(named) - len(ours)
                new = walked.news([(uri, "") for uri in ours]) if ours else set()
                yield from self._candidates([ours[uri] for uri in ours if uri in new], crew)
        finally:
            crew.shutdown(wait=False, cancel_futures=True)
        self._passed_over, self._listed = passed_over, listed

    def _candidates(
        self, listed: list[Listed], crew: ThreadPoolExecutor
    ) -> Iterator[Candidate | Problem]:
        known = self._marks.known([(one.uri, one.mark) for one in listed]) if listed else {}
        known |= {one.uri: one.stat for one in listed if one.stat is not None}
        unknown = [one for one in listed if one.uri not in known]
        told = dict(zip([one.uri for one in unknown], crew.map(self._ask, unknown), strict=True))
        self._marks.keep(
            (one.uri, one.mark, stat)
            for one in unknown
            if isinstance(stat := told[one.uri], FileStat) and one.mark and not is_local(one.uri)
        )
        for one in listed:
            stat = known.get(one.uri) or told[one.uri]
            if isinstance(stat, Problem):
                yield stat
            else:
                yield self._candidate(one.uri, stat)

    def _ask(self, listed: Listed) -> FileStat | Problem:
        try:
            return self._storage.stat(listed.uri)
        except NotFoundError:
            message = f"the manifest names it (line {listed.line}), but it is not there"
            return Problem(listed.uri, "unreadable", message)
        except SkylaneError as error:
            return Problem(listed.uri, "unreadable", error.message)

    def _lines(self) -> Iterator[str]:
        try:
            if is_address(self.start):
                page = self._storage.page(self.start, _PAGE_BYTES)
                yield from page.body.decode("utf-8-sig").splitlines()
            else:
                with Path(unquote(self.start.removeprefix("file://"))).open(
                    encoding="utf-8-sig"
                ) as file:
                    yield from file
        except UnicodeDecodeError:
            raise UsageError(f"the manifest {self.start} is no text in UTF-8") from None
        except OSError as error:
            raise UsageError(
                f"the manifest {self.start} cannot be read: {error.strerror}"
            ) from None
        except SkylaneError as error:
            raise UsageError(f"the manifest {self.start} cannot be read: {error.message}") from None

    @override
    def _relative(self, uri: str) -> str:
        if uri.startswith(self.root):
            return super()._relative(uri) if not uri.startswith("s3:") else uri[len(self.root) :]
        path = uri.partition("://")[2].lstrip("/")
        return path if uri.startswith("s3:") else unquote(path)
