"""Random tables, streams of them, and cells that readers of floating-point text may compare."""

from __future__ import annotations

import math
import shutil
import subprocess

import pyarrow as pa
import pytest
from hypothesis import strategies as st

from vodal.errors import QueryError
from vodal.tables.columns import Column, ResultStream

INT_BITS = {"unsignedByte": (0, 8), "short": (15, 15), "int": (31, 31), "long": (63, 63)}
NUMBERS = [*INT_BITS, "float", "double"]

XML_TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=8
)
ASCII_TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8)


def scalars(datatype):
    match datatype:
        case "boolean":
            return st.booleans()
        case "float":
            return st.floats(width=32)
        case "double":
            return st.floats()
        case _:
            low, high = INT_BITS[datatype]
            return st.integers(-(2**low) if low else 0, 2**high - 1)


@st.composite
def tables(draw, text=XML_TEXT, sizes=("*", "*", "5", "4*", None)):
    """Columns of any type and rows of values, nulls among them."""
    columns, values = [], []
    rows = draw(st.integers(0, 6))
    for number in range(draw(st.integers(1, 10))):
        datatype = draw(st.sampled_from(["boolean", *NUMBERS, "char", "unicodeChar"]))
        if datatype in {"char", "unicodeChar"}:
            arraysize = draw(st.sampled_from(sizes))
            cells = text
        else:
            arraysize = draw(st.sampled_from([None, None, "*", "3", "2x2", "4*"]))
            cells = scalars(datatype)
            if arraysize in {"*", "4*"}:
                cells = st.lists(cells, max_size=4)
            elif arraysize is not None:
                size = {"3": 3, "2x2": 4}[arraysize]
                cells = st.lists(cells, min_size=size, max_size=size)
        columns.append(Column(f"c {number}", datatype, arraysize))
        values.append(draw(st.lists(st.none() | cells, min_size=rows, max_size=rows)))
    return columns, values


def batch_of(columns, values):
    arrays = [pa.array(v, c.arrow_type()) for c, v in zip(columns, values, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, names=[c.name for c in columns])


def stream_of(columns, *batches, overflow=False):
    return ResultStream(tuple(columns), iter(batches), overflow)


def written(write, columns, *batches, overflow=False, **options):
    return b"".join(write(stream_of(columns, *batches, overflow=overflow), **options))


def failing_stream(error=None):
    """Give a stream of two rows that fails then."""
    column = Column("n", "int")

    def batches():
        yield batch_of([column], [[1, 2]])
        raise QueryError("division by zero") if error is None else error

    return ResultStream((column,), batches())


def same(got, value):
    """Compare cells as they are in Python; NaN equals itself."""
    if isinstance(value, list) and isinstance(got, (list, tuple)):
        return len(got) == len(value) and all(map(same, got, value))
    if isinstance(value, float) and math.isnan(value):
        return isinstance(got, float) and math.isnan(got)
    return got == value and (got is None) == (value is None)


def stilts(*words):
    """Run a task of STILTS and give what it said."""
    command = shutil.which("stilts")
    if command is None:
        pytest.skip("the stilts command is not installed")
    done = subprocess.run(
        [command, *map(str, words)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr
