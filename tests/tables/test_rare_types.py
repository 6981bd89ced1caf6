"""Bits, complex numbers and arrays of texts: written, and read back by astropy and STILTS."""

from __future__ import annotations

import io
import shutil
import subprocess
import warnings

import numpy as np
import pyarrow as pa
import pytest
from astropy.io import votable

from vodal.tables.binary import pack_rows
from vodal.tables.cells import text
from vodal.tables.columns import Column, ResultStream
from vodal.tables.votable import write_votable

COLUMNS = (
    Column("flag", "bit"),
    Column("bits", "bit", "11"),
    Column("z", "floatComplex"),
    Column("w", "doubleComplex", "2"),
    Column("v", "doubleComplex", "*"),
)
# What astropy 8 does not read, or reads by other rules than the standard's.
TEXTS = (
    Column("words", "char", "3x2"),
    Column("lines", "unicodeChar", "4x*"),
    Column("many", "bit", "*"),
)
ROWS = [
    (
        True, [True, False] * 5 + [True], [1.5, -2.0], [1.0, 2.0, 3.0, 4.0],
        [0.5, -0.5],
    ),
    (
        False, [False] * 10 + [True], [0.0, 1.0], [0.1, 0.2, 0.3, 0.4],
        [1.0, 2.0, 3.0, 4.0],
    ),
]  # fmt: skip
TEXT_ROWS = [("ab cd ", "abc déf ", [True] * 9), ("abcdef", "x   ", [False, True])]


def document(serialization, columns=COLUMNS, rows=ROWS):
    arrays = [
        pa.array(cells, column.arrow_type())
        for column, cells in zip(columns, zip(*rows, strict=True), strict=True)
    ]
    batch = pa.RecordBatch.from_arrays(arrays, names=[column.name for column in columns])
    stream = ResultStream(columns, iter([batch]))
    return b"".join(write_votable(stream, serialization=serialization))


@pytest.mark.parametrize("serialization", ["BINARY2", "TABLEDATA"])
def test_astropy_reads_them_back(serialization):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = votable.parse(io.BytesIO(document(serialization))).get_first_table()
    assert [(f.datatype, f.arraysize) for f in table.fields] == [
        (column.datatype, column.arraysize) for column in COLUMNS
    ]
    for got, (flag, bits, z, w, v) in zip(table.array, ROWS, strict=True):
        assert bool(got["flag"]) == flag
        assert list(np.asarray(got["bits"], bool)) == bits
        assert got["z"] == complex(*z)
        assert list(got["w"]) == [complex(*w[:2]), complex(*w[2:])]
        assert list(np.ravel(got["v"])) == list(np.array(v).view(complex))


needs_stilts = pytest.mark.skipif(shutil.which("stilts") is None, reason="no stilts command")


CELLS_AS_CSV = [
    "bits,words,lines,many",
    (
        '"(true, false, true, false, true, false, true, false, true, false, true)",'
        '"(ab, cd)","(abc, déf)","(true, true, true, true, true, true, true, true, true)"'
    ),
    (
        '"(false, false, false, false, false, false, false, false, false, false, true)",'
        '"(abc, def)",(x),"(false, true)"'
    ),
]


@pytest.mark.stilts
@needs_stilts
@pytest.mark.parametrize("serialization", ["BINARY2", "TABLEDATA"])
def test_stilts_reads_them_too(serialization, tmp_path):
    def write(*unread):
        """Write what STILTS reads by the rules of the standard."""
        keep = [i for i, column in enumerate(COLUMNS + TEXTS) if column.name not in unread]
        columns = [(COLUMNS + TEXTS)[i] for i in keep]
        rows = [one + two for one, two in zip(ROWS, TEXT_ROWS, strict=True)]
        path.write_bytes(document(serialization, columns, [[row[i] for i in keep] for row in rows]))

    path = tmp_path / "rare.vot"
    # STILTS 3.4 takes single bits for arrays, and counts the numbers of complex arrays, not the
    # values. Its votlint reads a byte for each bit of an array that varies.
    write("flag", "v")
    words = stilts("tpipe", f"in={path}", "cmd=keepcols 'bits words lines many'", "ofmt=csv")
    assert words.splitlines() == CELLS_AS_CSV
    write("flag", "v", "many")
    assert "ERROR" not in stilts("votlint", path)


def stilts(*words):
    done = subprocess.run(["stilts", *map(str, words)], capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


def test_an_unknown_element_of_a_list_of_flags_is_a_question_mark():
    column = Column("flags", "boolean", "*")
    array = pa.array([[True, None, False], None], column.arrow_type())
    assert text(column, array).to_pylist() == ["true ? false", None]


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        (Column("bits", "bit", "3"), [True]),
        (Column("z", "floatComplex", "*"), [1.0, 2.0, 3.0]),
        (Column("w", "doubleComplex", "2"), [1.0, 2.0]),
    ],
)
def test_a_cell_of_another_length_than_declared_fails(column, cell):
    batch = pa.RecordBatch.from_arrays([pa.array([cell], column.arrow_type())], names=["x"])
    with pytest.raises(ValueError, match=f"the column {column.name} takes"):
        pack_rows([column], batch)
