"""Rows of files as declarations want them."""

from __future__ import annotations

import math
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obscore.declared.rows import matched
from obscore.declared.tables import DeclaredColumn, DeclaredTable
from vodal.errors import UsageError
from vodal.tables.columns import Column
from vodal.tables.uploads import UploadedTable


def read(folder: Path, have: list[Column], want: list[DeclaredColumn], data: list[list]):
    """Write columns as a reader does and give them as a declaration wants them, with notes."""
    path = folder / "rows.arrow"
    schema = pa.schema([pa.field(item.name, item.arrow_type()) for item in have])
    arrays = [pa.array(values, field.type) for values, field in zip(data, schema, strict=True)]
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
        # In pieces, as it comes from a large file.
        for start in range(0, batch.num_rows, 2):
            writer.write_batch(batch.slice(start, 2))
    rows, notes = matched(
        DeclaredTable("t", tuple(want)), UploadedTable("t", tuple(have), path, len(data[0]))
    )
    return [row for batch in rows.batches() for row in batch.to_pylist()], notes


def one(folder: Path, have: Column, want: Column, values: list, *, nullable: bool = True) -> list:
    rows, _ = read(folder, [have], [DeclaredColumn(want, nullable)], [values])
    return [row["c1"] for row in rows]


N = "n"
CASTS = [
    (Column(N, "int"), Column(N, "short"), [1, None, -5], [1, None, -5]),
    (Column(N, "double"), Column(N, "int"), [1.0, None, -5.0], [1, None, -5]),
    (Column(N, "long"), Column(N, "double"), [2**60 + 1, None], [float(2**60), None]),
    (Column(N, "double"), Column(N, "float"), [0.1, None], [pytest.approx(0.1, 1e-6), None]),
    (Column(N, "int"), Column(N, "boolean"), [0, 1, None], [False, True, None]),
    (Column(N, "boolean"), Column(N, "int"), [True, False, None], [1, 0, None]),
    (Column(N, "int"), Column(N, "char", "*"), [7, None], ["7", None]),
    (Column(N, "int", "2"), Column(N, "double", "*"), [[1, 2], None, [3, 4]],
     [[1.0, 2.0], None, [3.0, 4.0]]),
    (Column(N, "long", "*"), Column(N, "short", "*"), [[], None, [3], [4, 5]],
     [[], None, [3], [4, 5]]),
    (Column(N, "double", "2"), Column(N, "doubleComplex"), [[1.0, 2.0], None], [[1.0, 2.0], None]),
    (Column(N, "double"), Column(N, "double"), [math.inf, None], [math.inf, None]),
    (Column(N, "char", "*"), Column(N, "char", "2*"), ["", None, "ab"], ["", None, "ab"]),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(CASTS)))
def test_values_get_the_type_that_is_declared(case, tmp_path):
    have, want, given_values, wanted = CASTS[case]
    assert one(tmp_path, have, want, given_values) == wanted


REFUSED = [
    (Column(N, "int"), Column(N, "short"), [1, None, 40000], "row 3: 40000 does not fit the type"),
    (Column(N, "double"), Column(N, "int"), [1.0, 1.0, 1.0, 2.5], "row 4: 2.5 does not fit"),
    (Column(N, "double"), Column(N, "float"), [1e300], "row 1: 1e\\+300 does not fit the type fl"),
    (Column(N, "int"), Column(N, "boolean"), [1, 2], "row 2: 2 does not fit the type boolean"),
    (Column(N, "int"), Column(N, "unsignedByte"), [-1], "row 1: -1 does not fit"),
    (Column(N, "char", "*"), Column(N, "int"), ["1"], "has texts and the declaration numbers"),
    (Column(N, "int"), Column(N, "int", "*"), [1], "the file has numbers and the declaration arr"),
    (Column(N, "int", "*"), Column(N, "short", "*"), [[1], [70000, 1]], "row 2: \\[70000, 1\\]"),
    (Column(N, "int", "*"), Column(N, "int", "2"), [[1, 2], [1]], "row 2: '\\[1\\]' has the len"),
    (Column(N, "int", "*"), Column(N, "int", "2*"), [[1, 2, 3]], "has the length 3 and the arrays"),
    (Column(N, "int", "*"), Column(N, "int", "2x*"), [[1, 2], [1, 2, 3]], "row 2: .* 2x\\*"),
    (Column(N, "char", "*"), Column(N, "char"), ["a", "bc"], "row 2: 'bc' has the length 2"),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(REFUSED)))
def test_values_that_do_not_fit_are_named(case, tmp_path):
    have, want, values, sentence = REFUSED[case]
    with pytest.raises(UsageError, match=f"column n.*{sentence}"):
        one(tmp_path, have, want, values)


def test_missing_values_are_named_by_their_row(tmp_path):
    with pytest.raises(UsageError, match="column n, row 4: there is no value"):
        one(tmp_path, Column(N, "int"), Column(N, "int"), [1, 2, 3, None, 5], nullable=False)


def test_columns_meet_by_their_names(tmp_path):
    want = [DeclaredColumn(Column(name, "int")) for name in ("B", "a", "none", "C")]
    have = [Column(name, "int") for name in ("A", "b", "C", "more")]
    rows, notes = read(tmp_path, have, want, [[1], [2], [3], [4]])
    assert rows == [{"c1": 2, "c2": 1, "c3": None, "c4": 3}]
    assert [note.partition(": ")[2] for note in notes] == [
        "the file has no column none; it stays NULL",
        "the file's column more is not declared and is left out",
    ]
    with pytest.raises(UsageError, match="the file has none of its columns: B"):
        read(tmp_path, [Column("x", "int")], want[:1], [[1]])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=7),
    st.sampled_from([("unsignedByte", 0, 255), ("short", -(2**15), 2**15 - 1),
                     ("int", -(2**31), 2**31 - 1), ("long", -(2**63), 2**63 - 1)]),
)  # fmt: skip
def test_whole_numbers_come_through_or_are_refused(tmp_path_factory, values, kind):
    datatype, low, high = kind
    folder = tmp_path_factory.mktemp("rows")
    if all(value is None or low <= value <= high for value in values):
        assert one(folder, Column(N, "long"), Column(N, datatype), values) == values
    else:
        with pytest.raises(UsageError, match="does not fit"):
            one(folder, Column(N, "long"), Column(N, datatype), values)
