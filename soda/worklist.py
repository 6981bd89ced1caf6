"""The cutouts of a job, in the order in which they are made: all of one file together.

They lie in an Arrow file, so that a hundred thousand of them take no memory and a job that is begun
again, by whichever server process, goes on with the same ones.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Self

import pyarrow as pa

from soda.ordering import RowSorter
from soda.selection import Selection
from vodal.uws.results import disk_errors

__all__ = ["Item", "Worklist", "WorklistWriter", "list_items"]

_PAGE = 2000
_SCHEMA = pa.schema([
    ("number", pa.int64()), ("row", pa.int64()), ("did", pa.string()), ("uri", pa.string()),
    ("region", pa.string()), ("name", pa.string()), ("message", pa.string()),
    ("selection", pa.binary()),
])  # fmt: skip


@dataclass(frozen=True, slots=True)
class Item:
    """One cutout to make."""

    number: int
    """From 1, in the order in which they were asked for."""
    row: int
    """Of the uploaded table, from 1; 0 where there is none."""
    did: str
    uri: str
    """Of the dataset's file; empty where there is none."""
    region: str
    """The selection as text."""
    name: str
    """Of the file that is made; no other item has it."""
    message: str
    """Why it cannot be made, where that is known already."""
    selection: Selection


class WorklistWriter:
    """Takes items in any order; use it as a context.

    Parameters
    ----------
    path
        The file, which is there when `finish` has ended.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with disk_errors():
            path.parent.mkdir(parents=True, exist_ok=True)
        self._sorter = RowSorter(path.with_name(f"{path.name}.unsorted"))
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sorter.__exit__()

    def add(self, item: Item) -> None:
        """Take an item."""
        row = (
            item.number, item.row, item.did, item.uri, item.region, item.name, item.message,
            # Read by this service alone, from its own folder.
            pickle.dumps(item.selection),
        )  # fmt: skip
        self._sorter.add(item.uri, item.number, pickle.dumps(row))
        self.count += 1

    def finish(self) -> None:
        """Put the items in order and the file in place."""
        part = self._path.with_name(f"{self._path.name}.part")
        rows = self._sorter.rows()
        with disk_errors():
            with pa.ipc.new_file(part, _SCHEMA) as writer:
                while page := [pickle.loads(row) for row in islice(rows, _PAGE)]:  # noqa: S301
                    cells = zip(zip(*page, strict=True), _SCHEMA, strict=True)
                    arrays = [pa.array(column, field.type) for column, field in cells]
                    writer.write_batch(pa.record_batch(arrays, schema=_SCHEMA))
            part.rename(self._path)


def list_items(items: Iterable[Item], path: Path) -> None:
    """Write a few items."""
    with WorklistWriter(path) as writer:
        for item in items:
            writer.add(item)
        writer.finish()


class Worklist:
    """The items in their order.

    Parameters
    ----------
    path
        Written by `WorklistWriter`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with disk_errors(), pa.memory_map(str(path)) as source:
            reader = pa.ipc.open_file(source)
            batches = range(reader.num_record_batches)
            self._counts = [reader.get_batch(number).num_rows for number in batches]

    def __len__(self) -> int:
        return sum(self._counts)

    def items(self, start: int = 0) -> Iterator[Item]:
        """Give the items, without the first ones."""
        # Read rather than mapped: what was gone through would stay in memory up to the end.
        with disk_errors(), pa.OSFile(str(self._path)) as source:
            reader = pa.ipc.open_file(source)
            for number, count in enumerate(self._counts):
                if start >= count:
                    start -= count
                    continue
                for row in reader.get_batch(number).slice(start).to_pylist():
                    yield Item(**{**row, "selection": pickle.loads(row["selection"])})  # noqa: S301
                start = 0
