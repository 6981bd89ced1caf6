"""The HiPS that are served: those in the site's folder, their versions, and those elsewhere."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from hips.allowed import Allowed
from hips.properties import MANDATORY, parse_properties
from hips.publish import NAME, VERSIONS
from hips.remote import RemoteHips
from hips.settings import HipsSettings
from hips.tiles.base import Found, Tiles
from hips.tiles.opening import open_tiles
from hips.tiles.tree import found_file
from vodal.access.asking import Asking
from vodal.access.rules import EVERYTHING, Rights
from vodal.errors import DataError, NotFoundError, SkylaneError
from vodal.storage import Storage

__all__ = ["ServedHips", "Shelf", "no_such_hips"]

_VERSIONED: Final = re.compile(r"([^@]+)@(\d{4}-\d\d-\d\dT\d\d:\d\dZ)")


class ServedHips(Protocol):
    """A HiPS as clients see it."""

    @property
    def properties(self) -> dict[str, str]:
        """Its keywords."""
        ...

    def tile(self, order: int, npix: int, extension: str) -> Found | None:
        """Open a tile; None if there is no such tile."""
        ...

    def file(self, path: str) -> Found | None:
        """Open another file than a tile, by its path below the HiPS; None if there is none."""
        ...


@dataclass(frozen=True, slots=True)
class _LocalHips:
    """A HiPS in a folder."""

    folder: Path
    properties: dict[str, str]
    tiles: Tiles

    def tile(self, order: int, npix: int, extension: str) -> Found | None:
        return self.tiles.find(order, npix, extension)

    def file(self, path: str) -> Found | None:
        return found_file(self.folder / path)


def no_such_hips() -> NotFoundError:
    """Give the error for a name that no HiPS has."""
    return NotFoundError("there is no such HiPS here; /hips/list names those there are")


class Shelf:
    """Gives HiPS by name. Safe to use from several threads.

    All that is served of a HiPS goes through `get`, which keeps the rules on who may have it.

    Parameters
    ----------
    root
        Holds one folder a HiPS; looked at anew with each request, so that a new HiPS appears
        without a restart.
    settings
        Name those that lie elsewhere.
    storage
        Reads these.
    allowed
        Tells who may have which.
    """

    def __init__(
        self,
        root: Path,
        settings: HipsSettings,
        storage: Storage,
        allowed: Allowed | None = None,
    ) -> None:
        self._allowed = allowed or Allowed()
        self._root = root
        self._remote = {
            name: RemoteHips(uri, storage)
            for name, uri in settings.remote.items()
            if NAME.fullmatch(name)
        }
        self._lock = threading.Lock()
        self._known: dict[str, tuple[tuple[int, ...], _LocalHips]] = {}

    def get(self, name: str, asking: Asking | None = None) -> tuple[ServedHips, bool]:
        """Give a HiPS by its name, or by name and release: ``NAME@2026-01-31T04:05Z``.

        Parameters
        ----------
        name
            The name.
        asking
            Who asks; by default nobody in particular, where all is public.

        Returns
        -------
        hips
            What is served.
        fixed
            Whether the name has a release, so that its tiles never change.

        Raises
        ------
        NotFoundError
            If there is none of which who asks may know.
        AuthorizationError
            If it is not for who asks.
        """
        version = _VERSIONED.fullmatch(name)
        plain, release = (version[1], version[2]) if version else (name, "")
        if not NAME.fullmatch(plain):
            raise no_such_hips()
        hips = self._current(plain)
        if not release or (hips and hips.properties.get("hips_release_date") == release):
            if hips is None:
                raise no_such_hips()
            self._check(plain, hips, asking)
            return hips, bool(release)
        old = self._local(f"{VERSIONS}/{plain}/{release}")
        if old is None:
            raise no_such_hips()
        self._check(plain, old, asking)
        return old, True

    def _check(self, name: str, hips: ServedHips, asking: Asking | None) -> None:
        if asking is None:
            return
        folder = hips.folder if isinstance(hips, _LocalHips) else None
        if not self._allowed.check(asking, name, hips.properties, folder):
            raise no_such_hips()

    def folder(self, name: str, asking: Asking | None = None) -> Path:
        """Give the folder of a HiPS, by a name as of `get`.

        Raises
        ------
        NotFoundError
            If there is none, or it lies elsewhere.
        AuthorizationError
            If it is not for who asks.
        """
        hips, _ = self.get(name, asking)
        if not isinstance(hips, _LocalHips):
            raise NotFoundError(
                "this HiPS lies elsewhere: its images are not known here, and it is not cut"
            )
        return hips.folder

    def _current(self, name: str) -> ServedHips | None:
        return self._local(name) or self._remote.get(name)

    def _local(self, path: str) -> _LocalHips | None:
        """Give the HiPS of a folder; what is known of it serves while its properties stay."""
        folder = self._root / path
        try:
            stat = os.stat(folder / "properties")  # noqa: PTH116 - a request's first step
        except (OSError, ValueError):
            self._known.pop(path, None)
            return None
        mark = (stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_size)
        known = self._known.get(path)
        if known is not None and known[0] == mark:
            return known[1]
        try:
            values = parse_properties((folder / "properties").read_text("utf-8"))
        except (OSError, UnicodeDecodeError, DataError):
            values = {}
        hips = _LocalHips(folder, values, open_tiles(folder))
        with self._lock:
            self._known[path] = mark, hips
        return hips

    def all(self, rights: Rights = EVERYTHING) -> Iterator[tuple[str, dict[str, str]]]:
        """Give name and keywords of each listed HiPS that somebody may have."""
        names = {path.name for path in (self._root.iterdir() if self._root.is_dir() else ())}
        for name in sorted(names | set(self._remote)):
            try:
                hips, _ = self.get(name, Asking(rights=rights, public=rights))
                values = hips.properties
            except SkylaneError:
                # In the making, out of reach, or not ours: one must not hide the others.
                continue
            if any(key not in values for key in MANDATORY):
                continue
            if "private" not in values["hips_status"].split():
                yield name, values
