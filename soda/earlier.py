"""What an earlier output of the same cutouts holds, so that only those that failed are made anew.

A cutout is known by its row, its dataset and the part of it that is wanted; where it lies is told
by the log that was written when it was made (`soda.ledger`).
"""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple, Protocol

from soda.bulk import Made
from soda.ledger import logged
from soda.outcomes import Outcome, Status
from soda.worklist import Item, Worklist
from vodal.archives import Archive
from vodal.errors import ArchiveError
from vodal.uws.results import disk_errors

__all__ = ["Earlier"]


class _Maker(Protocol):
    """Makes cutouts, as `soda.batches.Batches` does."""

    def made(self, items: Iterator[Item]) -> Generator[tuple[Item, Made], None, None]:
        """Give each item with its cutout, in order."""
        ...


class _Place(NamedTuple):
    """Where a cutout lies; of one without overlap nothing does."""

    file_name: str
    size_bytes: int
    crc32: int
    offset_bytes: int


_NOWHERE = _Place("", 0, 0, 0)


def _key(row: int, did: str, region: str) -> bytes:
    """Tell a cutout from others; short, as there may be a hundred thousand of them."""
    return blake2b(f"{row}\n{did}\n{region}".encode(), digest_size=16).digest()


class Earlier:
    """The cutouts that are there, and those known to overlap nothing.

    Parameters
    ----------
    log
        What became of each when the output was made.
    output
        A folder of files, or an archive.
    archive
        Of which form it is; None for a folder.
    """

    def __init__(self, log: Path, output: Path, archive: Archive | None) -> None:
        self._output, self._archive = output, archive
        self._places: dict[bytes, _Place] = {}
        with disk_errors():
            for one in logged(log):
                place = self._place(one)
                if place is not None:
                    self._places[_key(one.row, one.did, one.region)] = place

    def _place(self, one: Outcome) -> _Place | None:
        """Give where a cutout lies; None if it failed, or is not there any more."""
        if one.status is Status.NO_OVERLAP:
            return _NOWHERE
        if one.status is not Status.OK:
            return None
        if self._archive is None:
            with suppress(FileNotFoundError):
                if (self._output / one.file_name).stat().st_size == one.size_bytes:
                    return _Place(one.file_name, one.size_bytes, one.crc32, 0)
            return None
        head = self._archive.head(one.file_name, one.size_bytes, one.crc32)
        return _Place("", one.size_bytes, one.crc32, one.offset_bytes + len(head))

    def with_new(
        self, worklist: Worklist, start: int, maker: _Maker
    ) -> Generator[tuple[Item, Made], None, None]:
        """Give each item with its cutout, in order; only those that are not here are made.

        Parameters
        ----------
        worklist
            What is wanted.
        start
            Items of it that are passed over.
        maker
            Makes the others.
        """
        lacking = (item for item in worklist.items(start) if self._found(item) is None)
        with closing(maker.made(lacking)) as coming:
            for item in worklist.items(start):
                place = self._found(item)
                yield next(coming) if place is None else (item, self._read(place))

    def _found(self, item: Item) -> _Place | None:
        return self._places.get(_key(item.row, item.did, item.region))

    def _read(self, place: _Place) -> Made:
        if place is _NOWHERE:
            return None
        path = self._output / place.file_name if self._archive is None else self._output
        with disk_errors(), path.open("rb") as file:
            file.seek(place.offset_bytes)
            body = bytearray(file.read(place.size_bytes))
        if len(body) != place.size_bytes or zlib.crc32(body) != place.crc32:
            return ArchiveError(f"{path} is not as it was made; try once more")
        return body
