"""Watching folders by the kernel's own events (inotify(7)), on Linux and local file systems."""

from __future__ import annotations

import errno
import os
import stat as mode
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from inotify_simple import Event, INotify, flags
from typing_extensions import override

from obscore.sources.fits import FolderSource, file_uri, is_image_name
from obscore.sources.watch import Change, ExhaustedError, Watch

__all__ = ["InotifyWatch"]

_MASK = (
    flags.CLOSE_WRITE
    | flags.CREATE
    | flags.DELETE
    | flags.MOVED_FROM
    | flags.MOVED_TO
    | flags.DELETE_SELF
    | flags.MOVE_SELF
    | flags.ONLYDIR
    | flags.EXCL_UNLINK
)
"""Not MODIFY, of which a writer causes thousands: what counts is that it closes the file."""
_AGAIN_S = 2.0
"""How often a folder that went away is looked for."""
_LIMITS = Path("/proc/sys/fs/inotify")


class InotifyWatch(Watch):
    """Has the kernel tell of closed, moved, made and deleted files in folders and those in them.

    Symbolic links to folders are followed, each folder once, as the walk does.

    Parameters
    ----------
    sources
        The folders.
    """

    def __init__(self, sources: Sequence[FolderSource]) -> None:
        self._roots = [str(source.start) for source in sources]
        self._away: dict[str, float] = {}
        """Roots that are not there, and when they are looked for next."""
        self._paths: dict[int, str] = {}
        self._inotify: INotify | None = None

    @override
    def begin(self) -> None:
        try:
            self._inotify = INotify()
        except OSError as error:
            raise _exhausted(error) from None
        for root in self._roots:
            if not self._add_root(root):
                self._away[root] = 0.0

    @override
    def changes(self, wait_s: float) -> list[Change]:
        assert self._inotify is not None
        told = list(self._returned())
        for event in self._inotify.read(timeout=0 if told else int(1000 * wait_s)):
            told += self._translate(event)
        return told

    @override
    def interrupt(self) -> None:
        """Do nothing: it never takes long."""

    @override
    def close(self) -> None:
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None
        self._paths = {}

    def _returned(self) -> Iterator[Change]:
        """Watch roots again that were away and are there now."""
        now = time.monotonic()
        for root, due in list(self._away.items()):
            if now < due:
                continue
            if self._add_root(root):
                del self._away[root]
                yield Change("missed", _folder_uri(root))
            else:
                self._away[root] = now + _AGAIN_S

    def _add_root(self, root: str) -> bool:
        for _ in self._add(root, whole=False):
            pass  # what is there already is for who compares the folder with the catalogue
        return root in self._paths.values()

    def _translate(self, event: Event) -> Iterator[Change]:
        if event.mask & flags.Q_OVERFLOW:
            yield from (Change("missed", _folder_uri(root)) for root in self._roots)
            return
        folder = self._paths.get(event.wd)
        if folder is None:
            return
        if event.mask & (flags.DELETE_SELF | flags.MOVE_SELF | flags.UNMOUNT | flags.IGNORED):
            self._left(event, folder)
        elif event.mask & flags.ISDIR:
            yield from self._folder_changed(event, os.path.join(folder, event.name))  # noqa: PTH118
        elif is_image_name(event.name):
            yield from self._file_changed(event, os.path.join(folder, event.name))  # noqa: PTH118
        elif event.mask & flags.CREATE and not event.name.startswith("."):
            # A symbolic link to a folder is told of as a file.
            path = os.path.join(folder, event.name)  # noqa: PTH118
            if os.path.isdir(path):  # noqa: PTH112
                yield from self._add(path, whole=True)

    def _left(self, event: Event, folder: str) -> None:
        """Forget a folder that is not at its place any more."""
        if event.mask & flags.MOVE_SELF and folder not in self._roots:
            return  # the folder that holds it tells of that
        self._forget(folder)
        if folder in self._roots:
            self._away.setdefault(folder, 0.0)

    def _folder_changed(self, event: Event, path: str) -> Iterator[Change]:
        if event.mask & (flags.MOVED_FROM | flags.DELETE):
            self._forget(path)
            yield Change("gone", _folder_uri(path))
        elif not event.name.startswith("."):
            # What is moved into place is whole; what is made is being filled.
            yield from self._add(path, whole=bool(event.mask & flags.MOVED_TO))

    def _file_changed(self, event: Event, path: str) -> Iterator[Change]:
        if event.mask & (flags.MOVED_FROM | flags.DELETE):
            yield Change("gone", file_uri(path))
        elif event.mask & (flags.CLOSE_WRITE | flags.MOVED_TO):
            yield Change("whole", file_uri(path))
        else:
            try:
                about = os.lstat(path)
            except OSError:
                return
            # Links come into being at once, to files that were written before.
            linked = mode.S_ISLNK(about.st_mode) or about.st_nlink > 1
            if linked and os.path.isdir(path):  # noqa: PTH112
                yield from self._add(path, whole=True)
            else:
                yield Change("whole" if linked else "opened", file_uri(path))

    def _add(self, folder: str, *, whole: bool) -> Iterator[Change]:
        """Watch a folder and those in it; tell of the files that are there by then."""
        assert self._inotify is not None
        stack = [folder]
        while stack:
            here = stack.pop()
            try:
                number = self._inotify.add_watch(here, _MASK)
            except OSError as error:
                if error.errno in {errno.ENOSPC, errno.EMFILE}:
                    raise _exhausted(error) from None
                continue  # it went away meanwhile, or must not be read: the walk tells of that
            before = self._paths.get(number)
            if before not in {None, here} and _is_same(str(before), here):
                continue  # the same folder by another path
            self._paths[number] = here
            try:
                with os.scandir(here) as entries:
                    for entry in sorted(entries, key=lambda entry: entry.name):
                        if entry.name.startswith("."):
                            continue
                        if entry.is_dir():
                            stack.append(entry.path)
                        elif is_image_name(entry.name):
                            yield Change("whole" if whole else "begun", file_uri(entry.path))
            except OSError:
                continue

    def _forget(self, folder: str) -> None:
        """Watch a folder and those in it no longer."""
        assert self._inotify is not None
        below = folder.rstrip("/") + "/"
        for number, path in list(self._paths.items()):
            if path == folder or path.startswith(below):
                del self._paths[number]
                try:
                    self._inotify.rm_watch(number)
                except OSError:
                    continue  # the kernel has done so already


def _folder_uri(path: str) -> str:
    return file_uri(path).rstrip("/") + "/"


def _is_same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)  # noqa: PTH121
    except OSError:
        return False


def _exhausted(error: OSError) -> ExhaustedError:
    """Name the limit that was reached."""
    name = "max_user_watches" if error.errno == errno.ENOSPC else "max_user_instances"
    try:
        value = f" ({(_LIMITS / name).read_text('ascii').strip()})"
    except OSError:
        value = ""
    return ExhaustedError(
        f"the system's limit fs.inotify.{name}{value} is reached; raise it with"
        f" 'sysctl fs.inotify.{name}=N'"
    )
