"""Prints by how many MB each writer's peak of memory grows from a short table to a long one.

A process for each format, forked off one that has loaded all and computed nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vodal.tables.binary import compiled
from vodal.tables.columns import Column, ResultStream
from vodal.tables.formats import FORMATS, Format
from vodal.testing.memory import print_growth

BATCH_ROWS = 5000
SHORT, LONG = 36, 96
"""Batches; the short table is longer than all that a writer may hold."""

SAME = {"votable/b2", "xml", "csv/bare", "tsv"}
"""Formats whose code is that of another."""

COLUMNS = (
    Column("id", "long"),
    Column("s_ra", "double", unit="deg"),
    Column("flux", "float"),
    Column("title", "char", "*"),
    Column("region", "char", "*"),
    Column("point", "double", "2"),
)


def batches(count: int) -> Iterator[pa.RecordBatch]:
    """Give batches that differ, so that no dictionary holds them all."""
    schema = pa.schema([pa.field(column.name, column.arrow_type()) for column in COLUMNS])
    for number in range(count):
        ids = np.arange(number * BATCH_ROWS, (number + 1) * BATCH_ROWS)
        words = pa.array(ids).cast(pa.string())
        title = pc.binary_join_element_wise("observation", words, " ")
        pairs = pa.array(np.repeat(ids / 3.0, 2))
        offsets = pa.array(np.arange(0, 2 * BATCH_ROWS + 1, 2), pa.int32())
        arrays = [
            pa.array(ids),
            pa.array(ids / 7.0),
            pa.array(ids / 3.0, pa.float32(), mask=ids % 3 > 0),
            title,
            pc.binary_join_element_wise("POLYGON ICRS", title, title, words, words, words, " "),
            pa.ListArray.from_arrays(offsets, pairs),
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def write(item: Format, count: int) -> None:
    """Write a table of so many batches."""
    for _ in item.write(ResultStream(COLUMNS, batches(count))):
        pass


if __name__ == "__main__":
    # Loaded in a thread as soon as there are many rows; its memory is not the table's.
    compiled.wait()
    works = {item.name: partial(write, item) for item in FORMATS if item.name not in SAME}
    print_growth(works, (SHORT, LONG))
