"""Column metadata and the stream of results that every writer takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa

__all__ = ["Column", "ResultStream"]


@dataclass(frozen=True, slots=True)
class Column:
    """The metadata of one column, as VOTable FIELD and TAP_SCHEMA carry it."""

    name: str
    datatype: str
    """VOTable datatype: boolean, short, int, long, float, double, char, unicodeChar."""
    arraysize: str | None = None
    """VOTable arraysize; ``*`` for text."""
    unit: str | None = None
    ucd: str | None = None
    utype: str | None = None
    xtype: str | None = None
    description: str | None = None
    id: str | None = None
    """XML ID; made unique by who builds the stream where descriptors must point to it."""

    def arrow_type(self) -> pa.DataType:
        """Give the Arrow type that carries this column."""
        if self.arraysize is not None and self.datatype in {"char", "unicodeChar"}:
            return pa.string()
        scalar = {
            "boolean": pa.bool_(),
            "unsignedByte": pa.uint8(),
            "short": pa.int16(),
            "int": pa.int32(),
            "long": pa.int64(),
            "float": pa.float32(),
            "double": pa.float64(),
            "char": pa.string(),
            "unicodeChar": pa.string(),
        }[self.datatype]
        return scalar if self.arraysize is None else pa.list_(scalar)


@dataclass(slots=True)
class ResultStream:
    """Columns and the batches of their values, in order.

    ``overflow`` is set by the producer before its last batch is taken, if rows were cut off at
    MAXREC; writers read it after the last batch.
    """

    columns: tuple[Column, ...]
    batches: Iterator[pa.RecordBatch]
    overflow: bool = field(default=False)
