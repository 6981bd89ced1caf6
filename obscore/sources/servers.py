"""What sources on servers have in common: a place, and names of files below it."""

from __future__ import annotations

import re
import time
from abc import abstractmethod
from collections.abc import Iterator
from urllib.parse import quote, unquote

from typing_extensions import override

from obscore.sources.base import Candidate, Problem
from obscore.sources.fits import is_image_name
from obscore.sources.trees import TreeSource
from vodal.errors import NotFoundError, SkylaneError, UsageError
from vodal.storage import FileStat, Storage

__all__ = ["ServerSource", "canonical_url", "is_address", "is_there"]


def is_address(text: str) -> bool:
    """Tell whether a text names a place on a server: ``s3:``, ``http:`` or ``https:``."""
    return re.match(r"(?i)(s3|https?)://", text) is not None


def is_there(uri: str, storage: Storage) -> bool:
    """Tell whether a file is there, or may be, where nothing can be learnt of it now."""
    try:
        storage.stat(uri)
    except NotFoundError:
        return False
    except SkylaneError:
        return True  # nobody else takes its place
    return True


class ServerSource(TreeSource):
    """The FITS files below a place on a server.

    Hidden names, and all in folders with hidden names, are left out, as of folders on disks.

    Parameters
    ----------
    root
        URI that ends in ``/``; paths in identifiers start below it.
    storage
        Reads the server, as far as its settings let it.
    collection
        Name; by default the last part of the place.
    start
        A place below ``root`` to which walks are limited.

    Raises
    ------
    UsageError
        If ``start`` is not below ``root``.
    """

    root: str

    def __init__(
        self, root: str, storage: Storage, *, collection: str | None = None, start: str = ""
    ) -> None:
        self.root = root if root.endswith("/") else f"{root}/"
        self.start = start or self.root
        if not self.start.endswith("/") and not is_image_name(self._name(self.start)):
            self.start += "/"
        if not self.start.startswith(self.root):
            raise UsageError(f"{self.start} is not below {self.root}")
        super().__init__(collection or self._name(self.root[:-1]) or "files")
        self._storage = storage

    @property
    @override
    def place(self) -> str:
        return self.start

    @property
    @override
    def is_remote(self) -> bool:
        return True

    @property
    @override
    def under_uri(self) -> str:
        return self.start

    @abstractmethod
    @override
    def walk(self) -> Iterator[Candidate | Problem]: ...

    @override
    def holds(self, uri: str) -> bool:
        return uri.startswith(self.start) if self.start.endswith("/") else uri == self.start

    @override
    def exists(self, uri: str) -> bool:
        return is_there(uri, self._storage)

    @override
    def look(self, uri: str) -> Candidate | Problem | None:
        if not self.holds(uri) or not self._is_ours(uri):
            return None
        try:
            return self._candidate(uri, self._storage.stat(uri))
        except NotFoundError:
            return None
        except SkylaneError as error:
            return Problem(uri, "unreadable", error.message)

    @override
    def quiet_s(self, candidate: Candidate) -> float:
        modified = candidate.stat.modified_unix_s
        return max(0.0, time.time() - modified) if modified else 0.0

    @override
    def why_away(self, known: int) -> str:
        """Say whether the place can be looked into now; its emptiness shows in walks."""
        try:
            first = next(iter(self.walk()), None)
        except UsageError as error:
            return error.message
        return "nothing at all is there" if first is None and known > 1 else ""

    def _is_ours(self, uri: str) -> bool:
        parts = self._relative(uri).split("/")
        return is_image_name(parts[-1]) and not any(part.startswith(".") for part in parts)

    def _candidate(self, uri: str, stat: FileStat) -> Candidate:
        return Candidate(uri, self._relative(uri), self._collection, stat)

    def _relative(self, uri: str) -> str:
        return unquote(uri[len(self.root) :])

    @staticmethod
    def _name(uri: str) -> str:
        return unquote(uri.rpartition("/")[2])


def canonical_url(url: str) -> str:
    """Give a URL with its path percent-encoded in one way, so that a file has one URI."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    coded = "/".join(quote(unquote(part), safe="-_.~+,=:@!$&'()*;") for part in path.split("/"))
    return f"{scheme.lower()}://{host.lower()}{slash}{coded}"
