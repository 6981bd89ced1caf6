"""FITS tables read back by astropy, judged by fitsverify, read by STILTS."""

from __future__ import annotations

import io
import math
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from astropy.io import fits
from astropy.table import Table
from hypothesis import HealthCheck, assume, given, settings

sys.path.insert(0, str(Path(__file__).parent))
from table_cases import (
    ASCII_TEXT,
    INT_BITS,
    batch_of,
    failing_stream,
    stilts,
    stream_of,
    tables,
    written,
)

from obscore.columns import COLUMNS
from vodal.errors import QueryError, UsageError
from vodal.tables.columns import Column
from vodal.tables.fits import write_fits
from vodal.tables.fitscolumns import Heap


def read(data):
    """Give the table and its header."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with fits.open(io.BytesIO(data)) as hdus:
            hdus.verify("exception")
            return Table.read(hdus[1], astropy_native=False), hdus[1].header


def verify(path):
    """Let fitsverify judge a file."""
    command = shutil.which("fitsverify")
    if command is None:
        pytest.skip("the fitsverify command is not installed")
    done = subprocess.run([command, "-q", path], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("verification OK"), done.stdout + done.stderr


def check_cell(column, cell, masked, value):
    if column.datatype in {"char", "unicodeChar"}:
        expected = "" if value is None else value
        if column.arraysize in {"5", "4*"}:
            expected = expected[: int(column.arraysize.rstrip("*"))]
        # FITS does not keep blanks at the end, and astropy masks empty text.
        assert str("" if masked is True else cell).rstrip() == expected.rstrip()
    elif column.arraysize is None:
        if value is None:
            assert column.datatype == "boolean" or masked or math.isnan(cell)
        elif isinstance(value, float) and math.isnan(value):
            assert masked or math.isnan(cell)
        else:
            assert cell == value
    elif value is not None:
        got = np.ma.getdata(cell).ravel()
        assert np.array_equal(got, np.array(value, got.dtype), equal_nan=got.dtype.kind == "f")


@given(tables(ASCII_TEXT, ("*", "*", "5", "4*")))
@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_every_cell_is_read_back(table):
    columns, values = table
    for column, cells in zip(columns, values, strict=True):
        # Tested by itself: both ends and a null.
        flat = [v for c in cells if c is not None for v in (c if isinstance(c, list) else [c])]
        low, high = INT_BITS.get(column.datatype, (0, 0))
        assume(column.datatype != "long" or not {-(2**low), 2**high - 1} <= set(flat))
    batch = batch_of(columns, values)
    got, header = read(written(write_fits, columns, batch.slice(0, 2), batch.slice(2)))
    assert got.colnames == [column.name for column in columns]
    assert header["QSTATUS"] == "OK"
    assert len(got) == batch.num_rows
    for column, cells in zip(columns, values, strict=True):
        for row, value in enumerate(cells):
            cell = got[column.name][row]
            masked = np.ma.is_masked(cell) and np.all(np.ma.getmaskarray(cell))
            check_cell(column, cell, bool(masked), value)


def full_table():
    """Give every type with nulls, long texts and arrays, and the metadata of ObsCore."""
    columns = [item.column for item in COLUMNS] + [
        Column("flag", "boolean"), Column("byte", "unsignedByte"), Column("half", "short"),
        Column("single", "float"), Column("pair", "double", "2"), Column("grid", "int", "2x2"),
        Column("many", "long", "*"), Column("z", "doubleComplex"),
        Column("zs", "floatComplex", "*"), Column("bits", "bit", "3"),
        Column("bit", "bit"), Column("words", "char", "3x2"),
        Column("abstract", "char", "*"), Column("my_name", "unicodeChar", "*"),
    ]  # fmt: skip
    values = []
    for column in columns:
        match column.arrow_type():
            case _ if column.name == "abstract":
                values.append(["x" * 3000, *["short"] * 7, None, "tab\tnl\né"])
            case _ if column.name == "words":
                values.append(["ab cd ", "abcdef"] * 5)
            case kind if kind == pa.string():
                values.append(["POLYGON ICRS 1 2 3 4 5 6", "a<b>&\"c'", None, ""] * 2 + ["x", "y"])
            case kind if pa.types.is_floating(kind):
                values.append(
                    [1.5, math.nan, None, 1e300 if kind == pa.float64() else 2.0] + [0] * 6
                )
            case kind if kind == pa.bool_():
                values.append([True, False, None] * 3 + [True])
            case kind if pa.types.is_list(kind):
                size = {"pair": 2, "grid": 4, "bits": 3, "z": 2}.get(column.name, 2)
                cell = [True] * size if column.datatype == "bit" else [1] * size
                values.append([cell, None] * 5)
            case _:
                values.append([1, None, 100] + [7] * 7)
    return columns, values


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    columns, values = full_table()
    path = tmp_path_factory.mktemp("fits") / "full.fits"
    infos = [("QUERY", "SELECT *\nFROM ivoa.obscore WHERE name = 'é' AND " + "x" * 90)]
    path.write_bytes(written(write_fits, columns, batch_of(columns, values), infos=infos))
    return path


def test_fitsverify_finds_no_fault(full, tmp_path):
    verify(full)
    empty = tmp_path / "empty.fits"
    columns, _ = full_table()
    empty.write_bytes(written(write_fits, columns))
    verify(empty)
    assert len(read(empty.read_bytes())[0]) == 0


def test_metadata_are_in_the_header(full):
    table, header = read(full.read_bytes())
    number = table.colnames.index("s_ra") + 1
    assert header[f"TUNIT{number}"] == "deg"
    assert header[f"TUCD{number}"] == "pos.eq.ra"
    assert header[f"TUTYP{number}"].endswith("Position2D.Value2.C1")
    assert header[f"TCOMM{number}"].startswith("Right ascension")
    assert header[f"TXTYP{table.colnames.index('s_region') + 1}"] == "adql:REGION"
    assert table["s_ra"].unit == "deg"
    assert (header["RADESYS"], header["TIMESYS"], header["MJDREF"]) == ("ICRS", "UTC", 0.0)
    said = " ".join(header["COMMENT"])
    assert "QUERY: SELECT * FROM ivoa.obscore WHERE name = '?'" in said
    assert "Characters beyond ASCII in abstract became" in said


def test_shapes_long_texts_and_complex_numbers(full):
    table, header = read(full.read_bytes())
    forms = {header[f"TTYPE{n}"]: header[f"TFORM{n}"] for n in range(1, header["TFIELDS"] + 1)}
    assert forms["grid"] == "4J"
    assert table["grid"].shape == (10, 2, 2)
    assert forms["abstract"] == "3000A"
    assert str(table["abstract"][0]) == "x" * 3000
    assert str(table["abstract"][9]) == "tab nl ?"
    assert list(table["words"][1]) == ["abc", "def"]
    assert table["z"][0] == 1 + 1j
    assert list(table["zs"][0]) == [1 + 1j]
    assert forms["bits"] == "3L"


@pytest.mark.stilts
def test_stilts_reads_the_same(full):
    said = stilts(
        "tpipe", f"in={full}", "ifmt=fits", "ofmt=csv",
        "cmd=keepcols 'calib_level s_ra half many abstract flag'", "cmd=head 3",
    )  # fmt: skip
    assert said.splitlines() == [
        "calib_level,s_ra,half,many,abstract,flag",
        f'1,1.5,1,"(1, 1)",{"x" * 3000},true',
        ",,,,short,false",
        '100,,100,"(1, 1)",short,',
    ]
    meta = stilts("tpipe", f"in={full}", "ifmt=fits", "cmd=keepcols s_ra", "omode=meta")
    for word in ("s_ra(Double)/deg", "Right ascension"):
        assert word in meta


@pytest.mark.stilts
def test_a_column_with_few_long_texts_goes_to_the_heap(tmp_path):
    columns = [Column("n", "int"), Column("abstract", "char", "*"), Column("x", "int")]
    rows = 20_000
    texts = [f"text {n}" for n in range(rows)]
    texts[100], texts[200] = "x" * 3000, None
    batch = batch_of(columns, [range(rows), texts, range(rows)])
    data = written(write_fits, columns, batch)
    assert len(data) < rows * 40
    table, header = read(data)
    assert header["TFORM2"] == "1PA(3000)"
    assert list(table["x"]) == list(range(rows))
    # astropy drops the blanks of such texts.
    assert "".join(table["abstract"][150]) == "text150"
    path = tmp_path / "heap.fits"
    path.write_bytes(data)
    verify(path)
    said = stilts(
        "tpipe", f"in={path}", "ifmt=fits", "ofmt=csv",
        "cmd=select '(n == 100 || n == 200 || n == 19999)'",
    )  # fmt: skip
    assert said.splitlines()[1:] == [f"100,{'x' * 3000},100", "200,,200", "19999,text 19999,19999"]


def test_null_takes_a_number_that_no_cell_has():
    columns = [Column("b", "unsignedByte"), Column("h", "short"), Column("n", "short")]
    full_range = [*range(256), None]
    values = [
        full_range,
        [-(2**15), None, *[5] * 255],
        [-(2**15), 2**15 - 1, None, *[5] * 254],
    ]
    table, header = read(written(write_fits, columns, batch_of(columns, values)))
    forms = [header[f"TFORM{n}"] for n in (1, 2, 3)]
    # Wider where all numbers of the type are taken; the other end where the first is taken.
    assert forms == ["1I", "1I", "1J"]
    assert header["TNULL2"] == 2**15 - 1
    for column, cells in zip(columns, values, strict=True):
        assert list(table[column.name].filled(-77)) == [-77 if v is None else v for v in cells]


def test_nulls_that_cannot_be_told_are_refused():
    column = Column("n", "long")
    batch = batch_of([column], [[-(2**63), 2**63 - 1, None]])
    with pytest.raises(UsageError, match="column n holds nulls beside the smallest"):
        written(write_fits, [column], batch)
    got, header = read(written(write_fits, [column], batch.slice(0, 2)))
    assert list(got["n"]) == [-(2**63), 2**63 - 1]
    assert "TNULL1" not in header


def test_names_that_differ_in_case_only_are_told_apart():
    columns = [Column("Ra", "int"), Column("ra", "int"), Column("RA_2", "int")]
    table, _ = read(written(write_fits, columns, batch_of(columns, [[1], [2], [3]])))
    assert table.colnames == ["Ra", "ra_3", "RA_2"]


def test_more_columns_than_fits_has_are_refused():
    columns = [Column(f"c{n}", "int") for n in range(1000)]
    with pytest.raises(UsageError, match="at most 999"):
        next(write_fits(stream_of(columns)))


def test_large_heaps_have_long_descriptors():
    assert Heap(2**31 - 1).code == "P"
    assert Heap(2**31).code == "Q"


def test_overflow_is_a_keyword():
    column = Column("n", "int")
    data = written(write_fits, [column], batch_of([column], [[1, 2]]), overflow=True)
    _, header = read(data)
    assert header["QSTATUS"] == "OVERFLOW"
    assert "cut off after 2 rows" in str(header["COMMENT"])


def test_a_failure_comes_before_anything_is_written():
    with pytest.raises(QueryError):
        next(write_fits(failing_stream()))


def test_the_stream_is_closed_before_the_client_reads():
    column = Column("n", "int")
    closed = []

    def batches():
        try:
            yield batch_of([column], [list(range(1000))])
        finally:
            closed.append(True)

    stream = stream_of([column])
    stream.batches = batches()
    writer = write_fits(stream)
    next(writer)
    assert closed == [True]
    writer.close()
