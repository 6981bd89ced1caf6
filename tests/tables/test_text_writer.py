"""Aligned text, read back by astropy's reader of fixed columns."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from astropy.io import ascii as astropy_ascii

sys.path.insert(0, str(Path(__file__).parent))
from table_cases import batch_of, failing_stream, written

from vodal.errors import QueryError
from vodal.tables.columns import Column
from vodal.tables.text import write_text

COLUMNS = [
    Column("name", "char", "*"),
    Column("s_ra", "double", unit="deg"),
    Column("n", "long"),
    Column("note", "char", "*"),
]


def test_columns_are_aligned_and_nulls_blank():
    values = [["a", None, "жuk b"], [1.5, -100.25, None], [1, 2, 3], ["x\ty\nz", "", None]]
    assert written(write_text, COLUMNS, batch_of(COLUMNS, values)).decode().splitlines() == [
        "name     s_ra n note",
        "          deg",
        "----- ------- - -----",
        "a         1.5 1 x y z",
        "      -100.25 2 ",
        "жuk b         3 ",
        "# 3 rows",
    ]


def test_widths_are_those_of_the_whole_table():
    first = batch_of(COLUMNS, [["a"], [1.0], [1], ["x"]])
    late = batch_of(COLUMNS, [["a" * 40], [1.0], [10**15], ["x"]])
    lines = written(write_text, COLUMNS, first, late).decode().splitlines()[2:-1]
    assert len({len(line) for line in lines[1:]}) == 1
    assert lines[0].startswith("-" * 40 + " ")


def test_astropy_reads_it_back():
    values = [
        ["visit 1", "visit 22", None],
        [1.5, None, 3e-20],
        [1, 2, 2**62],
        ["a|b", "c", "d"],
    ]
    data = written(write_text, COLUMNS, batch_of(COLUMNS, values)).decode()
    table = astropy_ascii.read(
        data, format="fixed_width_two_line", position_line=2, data_start=3, comment="#"
    )
    assert list(table["n"]) == [1, 2, 2**62]
    assert list(table["name"].filled("")) == ["visit 1", "visit 22", ""]
    assert table["s_ra"][2] == 3e-20
    assert table["s_ra"].mask[1]


def test_overflow_is_the_last_line():
    data = written(
        write_text, COLUMNS, batch_of(COLUMNS, [["a"], [1.0], [1], ["x"]]), overflow=True
    )
    assert (
        data.decode().splitlines()[-1].startswith("# OVERFLOW: the table was cut off after 1 row")
    )


def test_a_failure_comes_before_anything_is_written():
    with pytest.raises(QueryError):
        next(write_text(failing_stream()))


def test_a_table_without_rows_has_its_header():
    assert written(write_text, [Column("n", "int")]) == b"n\n\n-\n# 0 rows\n"
