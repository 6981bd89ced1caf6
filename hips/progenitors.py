"""The images of a HiPS and the tiles they reach, kept beside the tiles.

A later build looks only at the headers of images that are new or have changed, and the images
behind a tile can be told without a look at any.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from hips.behind import IMAGES_FILE
from hips.images import ImageFacts, ImageSource
from hips.recipe import digest_of

__all__ = ["Known", "Progenitors", "fingerprint"]

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta (settings TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS image (
    id INTEGER PRIMARY KEY, did TEXT NOT NULL UNIQUE, fingerprint TEXT NOT NULL,
    facts TEXT, lost TEXT, tile_order INTEGER);
CREATE TABLE IF NOT EXISTS tile (
    npix INTEGER NOT NULL, image INTEGER NOT NULL, parts INTEGER NOT NULL,
    PRIMARY KEY (npix, image)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS tile_image ON tile (image);
"""


def fingerprint(source: ImageSource) -> str:
    """Tell apart what an image's file may have held: differs when its bytes may."""
    planes = (source.planes,) if source.planes else ()
    return digest_of(source.did, source.index, source.hdus, *planes)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of an image."""

    facts: ImageFacts | None
    parts: Mapping[int, int] | None
    """Tiles it reaches: number and touched parts; None if not known at the order in question."""
    lost: str
    """Why it cannot be used; empty if it can."""


class Progenitors:
    """The images of a HiPS, in a small database in its folder.

    Parameters
    ----------
    folder
        Of the HiPS; the database is made if there is none.
    settings
        Digest of the settings; what was found with others is forgotten.
    """

    def __init__(self, folder: Path, settings: str) -> None:
        path = self.path_of(folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path)
        self._db.executescript("PRAGMA journal_mode = TRUNCATE; PRAGMA synchronous = NORMAL;")
        self._db.executescript(_SCHEMA)
        known = self._db.execute("SELECT settings FROM meta").fetchone()
        if known != (settings,):
            self._db.executescript("DELETE FROM meta; DELETE FROM image; DELETE FROM tile;")
            self._db.execute("INSERT INTO meta VALUES (?)", (settings,))
        self._db.commit()

    @staticmethod
    def path_of(folder: Path) -> Path:
        """Give where the database of a HiPS is."""
        return folder / IMAGES_FILE

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def known(self, source: ImageSource, mark: str) -> Known | None:
        """Give what is known of an image; None if nothing, or its file has changed.

        Parameters
        ----------
        source, mark
            The image and its `fingerprint`.
        """
        row = self._db.execute(
            "SELECT id, facts, lost, tile_order FROM image WHERE did = ? AND fingerprint = ?",
            (source.did, mark),
        ).fetchone()
        if row is None:
            return None
        number, facts, lost, order = row
        parts = None
        if order is not None:
            found = self._db.execute("SELECT npix, parts FROM tile WHERE image = ?", (number,))
            parts = dict(found.fetchall())
        return Known(_facts(source, facts), parts, lost or "")

    def order_of_parts(self) -> int | None:
        """Give the order at which the tiles are known; None if there are none."""
        row = self._db.execute("SELECT max(tile_order) FROM image").fetchone()
        return None if row[0] is None else int(row[0])

    def forget_tiles(self) -> None:
        """Forget which tiles the images reach: the order has changed."""
        self._db.executescript("DELETE FROM tile; UPDATE image SET tile_order = NULL;")

    def put(self, source: ImageSource, mark: str, facts: ImageFacts | None, lost: str = "") -> None:
        """Note an image: what its headers say, or why it cannot be used."""
        self._forget([source.did])
        packed = facts and json.dumps([facts.shape, facts.scale_arcsec, facts.zero_point_mag,
                                       facts.unit])  # fmt: skip
        self._db.execute(
            "INSERT INTO image (did, fingerprint, facts, lost) VALUES (?, ?, ?, ?)",
            (source.did, mark, packed, lost or None),
        )

    def put_tiles(self, source: ImageSource, order: int, parts: Mapping[int, int]) -> None:
        """Note the tiles that an image reaches."""
        (number,) = self._db.execute("SELECT id FROM image WHERE did = ?", (source.did,)).fetchone()
        self._db.executemany(
            "INSERT INTO tile VALUES (?, ?, ?)",
            ((npix, number, bits) for npix, bits in parts.items()),
        )
        self._db.execute("UPDATE image SET tile_order = ? WHERE id = ?", (order, number))

    def put_lost(self, did: str, reason: str) -> None:
        """Note that an image's pixels cannot be used."""
        self._db.execute("UPDATE image SET lost = ? WHERE did = ?", (reason, did))

    def keep_only(self, dids: Iterable[str]) -> None:
        """Forget the images that are not among these, and make what was noted last."""
        there = {row[0] for row in self._db.execute("SELECT did FROM image")}
        self._forget(there - set(dids))
        self.save()

    def save(self) -> None:
        """Make what was noted last."""
        self._db.commit()

    def _forget(self, dids: Iterable[str]) -> None:
        for did in dids:
            self._db.execute(
                "DELETE FROM tile WHERE image = (SELECT id FROM image WHERE did = ?)", (did,)
            )
            self._db.execute("DELETE FROM image WHERE did = ?", (did,))


def _facts(source: ImageSource, packed: str | None) -> ImageFacts | None:
    if packed is None:
        return None
    shape, scale, zero_point, unit = json.loads(packed)
    return ImageFacts(
        source.number, (shape[0], shape[1]), scale, zero_point, unit, source.exposure_s
    )
