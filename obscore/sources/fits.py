"""Folders of FITS files on a disk."""

from __future__ import annotations

import os
import re
import stat as mode
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes, urlsplit

from typing_extensions import override

from obscore.sources.base import Candidate, Problem
from obscore.sources.met import FirstNames
from obscore.sources.trees import TreeSource
from vodal.errors import UsageError
from vodal.storage import FileStat, local_path

__all__ = ["FITS_SUFFIXES", "PLAIN_PATH", "FolderSource", "file_uri", "is_image_name"]

PLAIN_PATH = re.compile(r"[A-Za-z0-9/\-._~+=,]+")
"""Paths of which a URI, or an identifier, need encode nothing."""
FITS_SUFFIXES = (".fits", ".fit", ".fts", ".fits.fz", ".fit.fz", ".fts.fz", ".fz", ".fz.gz",
                 ".fits.gz", ".fit.gz", ".fts.gz", ".fits.bz2", ".fit.bz2", ".fits.z")  # fmt: skip
"""Ends of names, in any case, that are taken for FITS. Those that cannot be read are among them,
so that the report names such files instead of passing over them."""


def file_uri(path: str) -> str:
    """Give the URI by which a file or folder of an absolute path is known."""
    return "file://" + quote(os.fsencode(path), safe="/-_.~+,=:@")


def _path(uri: str) -> str:
    # Names that are not UTF-8 stay what they are.
    return os.fsdecode(unquote_to_bytes(urlsplit(uri).path))


def is_image_name(name: str) -> bool:
    """Tell whether a file of this name is taken for an image: FITS, and not hidden.

    Names under which files are written before they are moved into place (``.a.fits.Xq3d``,
    ``a.fits.tmp``, ``a.fits.part``) are none.
    """
    return not name.startswith(".") and name.lower().endswith(FITS_SUFFIXES)


class FolderSource(TreeSource):
    """The FITS files of a folder and of the folders in it.

    Hidden files and folders are left out. Symbolic links are followed, each folder and file once,
    so that loops end. Folders are walked in the order of their names.

    Parameters
    ----------
    root
        Folder of the collection; paths in identifiers start below it.
    collection
        Name; by default that of the folder.
    start
        A folder or a file below ``root`` to which the walk is limited.

    Raises
    ------
    UsageError
        If ``start`` is not below ``root``.
    """

    root: Path

    def __init__(
        self, root: Path, *, collection: str | None = None, start: Path | None = None
    ) -> None:
        self.root = Path(os.path.abspath(root))  # noqa: PTH100 - links in the path are kept
        self.start = Path(os.path.abspath(start or root))  # noqa: PTH100
        if not self.start.is_relative_to(self.root):
            raise UsageError(f"{self.start} is not below {self.root}")
        super().__init__(collection or self.root.name or "files")
        self._linked: dict[tuple[int, int], str] = {}

    @property
    @override
    def place(self) -> str:
        return str(self.start)

    @property
    @override
    def is_remote(self) -> bool:
        return False

    @property
    @override
    def under_uri(self) -> str:
        uri = file_uri(str(self.start))
        return uri if self.start.is_file() else uri.rstrip("/") + "/"

    @override
    def holds(self, uri: str) -> bool:
        under = self.under_uri
        return uri.startswith(under) if under.endswith("/") else uri == under

    @override
    def exists(self, uri: str) -> bool:
        return local_path(uri).exists()

    @override
    def walk(self) -> Iterator[Candidate | Problem]:
        self._passed_over = 0
        if self.start.is_file():
            yield self._file(str(self.start), self.start.name)
            return
        if not self.start.is_dir():
            raise UsageError(f"{self.start} is no folder and no file")
        with closing(FirstNames()) as seen:
            yield from self._folder(str(self.start), seen)

    @override
    def look(self, uri: str) -> Candidate | Problem | None:
        """Look at one file as it is now, whatever a walk has found.

        A symbolic link to a file of the source, and a further hard link to one that was met under
        another name, are problems, as they are in a walk.
        """
        path = _path(uri)
        inner = Path(path).relative_to(self.root).parts
        if not is_image_name(inner[-1]) or any(part.startswith(".") for part in inner):
            return None
        if not os.path.lexists(path) or not self.holds(uri):
            return None
        if os.path.islink(path):  # noqa: PTH114
            real = os.path.realpath(path)
            if Path(real).is_relative_to(os.path.realpath(self.root)):
                return Problem(uri, "duplicate", f"it is the same file as {real}")
        found = self._file(path, inner[-1])
        if isinstance(found, Problem) and not os.path.lexists(path):
            return None
        return found

    @override
    def quiet_s(self, candidate: Candidate) -> float:
        try:
            about = os.stat(_path(candidate.uri))  # noqa: PTH116
        except OSError:
            return 0.0
        # Who copies a file with its time of modification does not set that of the inode's change.
        return max(0.0, time.time() - max(about.st_mtime, about.st_ctime))

    @override
    def why_away(self, known: int) -> str:
        try:
            with os.scandir(self.start) as entries:
                is_empty = next(entries, None) is None
        except NotADirectoryError:
            return ""
        except OSError:
            return "the whole folder is away"
        return "the whole folder is empty (is it mounted?)" if is_empty and known > 1 else ""

    def _folder(self, folder: str, seen: FirstNames) -> Iterator[Candidate | Problem]:
        # A stack instead of recursion: trees may be deeper than Python's stack.
        stack = [folder]
        while stack:
            here = stack.pop()
            try:
                about = os.stat(here)  # noqa: PTH116 - a walk of millions of files stays with str
                if seen.first(about, here) != here:
                    continue
                with os.scandir(here) as entries:
                    found = sorted(entries, key=lambda entry: entry.name)
            except OSError as error:
                reason = f"the folder cannot be read: {error.strerror}"
                yield Problem(file_uri(here).rstrip("/") + "/", "unreadable", reason)
                continue
            inner = []
            for entry in found:
                if entry.name.startswith("."):
                    continue
                if _is_dir(entry):
                    inner.append(entry.path)
                elif is_image_name(entry.name):
                    yield self._file(entry.path, entry.name, seen)
                else:
                    self._passed_over += 1
            stack.extend(reversed(inner))

    def _first_name(self, about: os.stat_result, path: str) -> str:
        """Give the name under which a file of several names was met first, if it is there yet."""
        place = (about.st_dev, about.st_ino)
        first = self._linked.setdefault(place, path)
        if first != path:
            try:
                other = os.stat(first)  # noqa: PTH116
            except OSError:
                other = None
            if other is None or (other.st_dev, other.st_ino) != place:
                self._linked[place] = first = path
        return first

    def _file(self, path: str, name: str, seen: FirstNames | None = None) -> Candidate | Problem:
        """Look at a file; in a walk with the names under which files were seen."""
        uri = file_uri(path)
        try:
            path.encode("utf-8")  # the undecodable bytes of a name fail here
            about = os.stat(path)  # noqa: PTH116
        except UnicodeEncodeError:
            return Problem(uri, "bad-name", "the name is not UTF-8; rename the file")
        except OSError as error:
            return Problem(uri, "unreadable", f"the file cannot be read: {error.strerror}")
        if not mode.S_ISREG(about.st_mode):
            return Problem(uri, "not-a-file", f"{name} is not a regular file")
        first = self._first_name(about, path) if about.st_nlink > 1 else path
        if seen is not None:
            met = seen.first(about, path)
            first = first if met == path else met
        if first != path:
            return Problem(uri, "duplicate", f"it is the same file as {first}")
        return Candidate(
            uri=uri,
            relative=Path(path).relative_to(self.root).as_posix(),
            collection=self._collection,
            stat=FileStat(
                size_bytes=about.st_size,
                version=f"{about.st_size:x}-{about.st_mtime_ns:x}",
                modified_unix_s=about.st_mtime_ns / 1e9,
            ),
        )


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
