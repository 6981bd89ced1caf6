"""Column metadata and the stream of results that every writer takes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from itertools import chain

import pyarrow as pa
from typing_extensions import override

from vodal.errors import SkylaneError
from vodal.tables.frames import Frame

__all__ = ["Column", "ResultStream", "unique_names", "with_ids"]

_PIECE_BYTES = 1 * 1024 * 1024
_PIECE_ROWS = 50_000

_SCALARS: dict[str, pa.DataType] = {
    "boolean": pa.bool_(),
    "bit": pa.bool_(),
    "unsignedByte": pa.uint8(),
    "short": pa.int16(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "char": pa.string(),
    "unicodeChar": pa.string(),
    "floatComplex": pa.float32(),
    "doubleComplex": pa.float64(),
}


@dataclass(frozen=True, slots=True)
class Column:
    """The metadata of one column, as VOTable FIELD and TAP_SCHEMA carry it."""

    name: str
    datatype: str
    """VOTable datatype: boolean, bit, unsignedByte, short, int, long, float, double, char,
    unicodeChar, floatComplex, doubleComplex."""
    arraysize: str | None = None
    """VOTable arraysize; ``*`` for text. The texts of an array of texts (``8x*``) stand one behind
    the other in one text, each filled up with blanks."""
    unit: str | None = None
    ucd: str | None = None
    utype: str | None = None
    xtype: str | None = None
    description: str | None = None
    id: str | None = None
    """XML ID; made unique by who builds the stream where descriptors must point to it."""
    frame: Frame | None = None
    """What its positions or times refer to, where that is known."""
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Once: what is known of columns is looked up several times in each query.
        object.__setattr__(self, "_hash", hash((
            self.name, self.datatype, self.arraysize, self.unit, self.ucd, self.utype, self.xtype,
            self.description, self.id, self.frame,
        )))  # fmt: skip

    @override
    def __hash__(self) -> int:
        return self._hash

    @override
    def __reduce__(self) -> tuple[type[Column], tuple[object, ...]]:
        # The hash of a text differs between processes.
        return Column, tuple(getattr(self, item.name) for item in fields(self) if item.init)

    def called(self, name: str) -> Column:
        """Give the column under this name; itself if it has it already."""
        return self if name == self.name else replace(self, name=name)

    def arrow_type(self) -> pa.DataType:
        """Give the Arrow type that carries this column.

        A complex value is two numbers of a list, its real and its imaginary part.
        """
        scalar = _SCALARS[self.datatype]
        if pa.types.is_string(scalar):
            return scalar
        is_list = self.arraysize is not None or self.datatype.endswith("Complex")
        return pa.list_(scalar) if is_list else scalar


@dataclass(slots=True)
class ResultStream:
    """Columns and the batches of their values, in order.

    ``overflow`` is set by the producer before its last batch is taken, if rows were cut off at
    MAXREC; writers read it after the last batch.

    ``failure`` is set by a writer that tells a late failure within the document instead of raising
    it; whoever asked for the document reads it when the writer has ended.
    """

    columns: tuple[Column, ...]
    batches: Iterator[pa.RecordBatch]
    overflow: bool = field(default=False)
    failure: SkylaneError | None = field(default=None)
    _first: pa.RecordBatch | None = field(default=None, init=False)

    def start(self) -> pa.RecordBatch | None:
        """Take the first batch, which runs the query; None if there is none.

        Writers do so before they write, so that a query that fails at once fails as a normal
        error and not within a document. `pieces` gives the batch again.
        """
        self._first = next(self.batches, None)
        return self._first

    def close(self) -> None:
        """Close the batches, which frees what the query holds."""
        close = getattr(self.batches, "close", None)
        if close is not None:
            close()

    def pieces(self) -> Iterator[pa.RecordBatch]:
        """Give the batches in slices of some 1 MB, which bounds the memory of an answer."""
        first, self._first = self._first, None
        for batch in self.batches if first is None else chain((first,), self.batches):
            if batch.num_rows and batch.get_total_buffer_size() <= _PIECE_BYTES:
                # Known at once, which the exact size is not.
                yield batch
                continue
            fitting = int(batch.num_rows * _PIECE_BYTES / max(batch.nbytes, 1))
            rows = min(max(1, fitting), _PIECE_ROWS)
            for start in range(0, batch.num_rows, rows):
                yield batch.slice(start, rows)


def with_ids(columns: Sequence[Column]) -> tuple[Column, ...]:
    """Give every column an XML ID, so that descriptors can point to its FIELD.

    IDs that are there stay; the others are made from the names and never hold a ``-``, which
    keeps them apart from the IDs of descriptors. The same columns get the same IDs each time: who
    writes the table and who describes services on it need not agree beforehand.

    Parameters
    ----------
    columns
        Columns of one table; their own IDs must be unique.
    """
    return _with_ids(tuple(columns))


@lru_cache(maxsize=256)
def _with_ids(columns: tuple[Column, ...]) -> tuple[Column, ...]:
    taken = {column.id for column in columns if column.id is not None}
    done = []
    for column in columns:
        if column.id is not None:
            done.append(column)
            continue
        stem = re.sub(r"[^A-Za-z0-9_.]", "_", column.name)
        if not re.match(r"[A-Za-z_]", stem):
            stem = f"_{stem}"
        name, number = stem, 2
        while name in taken:
            name = f"{stem}_{number}"
            number += 1
        taken.add(name)
        done.append(replace(column, id=name))
    return tuple(done)


def unique_names(columns: Sequence[Column]) -> list[str]:
    """Give names that differ even without regard to case, for formats that need them so.

    Names that are there stay; a repeated one gets a number, as in ``name_2``.
    """
    taken = {column.name.lower() for column in columns}
    seen: set[str] = set()
    names = []
    for column in columns:
        name, number = column.name, 2
        if name.lower() in seen:
            while name.lower() in taken:
                name = f"{column.name}_{number}"
                number += 1
        taken.add(name.lower())
        seen.add(name.lower())
        names.append(name)
    return names
