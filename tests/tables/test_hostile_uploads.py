"""Files made to break a reader: each is refused in a moment, with a sentence that says why."""

from __future__ import annotations

import base64
import gzip
import io
import struct
import time
import tracemalloc
import warnings
import zipfile

import numpy as np
import pyarrow as pa
import pytest
from astropy.table import Table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from vodal.errors import SkylaneError, TooLargeError, UsageError
from vodal.tables.readers.limits import ReadLimits
from vodal.tables.readers.read import read_table

LIMITS = ReadLimits(max_rows=1000, max_columns=50, max_cell_bytes=10_000, max_table_bytes=2_000_000)


def upload(folder, data, limits=LIMITS, **hints):
    source, target = folder / "sent", folder / "table.arrow"
    source.write_bytes(data)
    try:
        return read_table(source, target, "t", limits, **hints)
    except SkylaneError:
        # What failed leaves nothing behind.
        assert [item.name for item in folder.iterdir()] == ["sent"]
        raise


def votable(inner, head='<?xml version="1.0"?>'):
    space = 'xmlns="http://www.ivoa.net/xml/VOTable/v1.3"'
    return f'{head}<VOTABLE version="1.4" {space}><RESOURCE>{inner}</RESOURCE></VOTABLE>'.encode()


def table(fields, data):
    return votable(f"<TABLE>{fields}<DATA>{data}</DATA></TABLE>")


def stream(rows, form="BINARY2", attributes='encoding="base64"'):
    text = base64.b64encode(rows).decode() if isinstance(rows, bytes) else rows
    return f"<{form}><STREAM {attributes}>{text}</STREAM></{form}>"


INT = '<FIELD name="n" datatype="int"/>'
TEXT = '<FIELD name="s" datatype="char" arraysize="*"/>'
LAUGHS = (
    "<!DOCTYPE VOTABLE ["
    '<!ENTITY a0 "ha">'
    + "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10))
    + "]>"
)

REFUSED = [
    (votable("<TABLE/>", LAUGHS), "DOCTYPE"),
    (votable("<TABLE/>", '<!DOCTYPE v SYSTEM "file:///etc/passwd">'), "DOCTYPE"),
    (votable("&xxe;", '<!DOCTYPE v [<!ENTITY xxe SYSTEM "file:///etc/passwd">]>'), "DOCTYPE"),
    (votable("&xxe;"), "not well-formed"),
    (table(INT, stream(b"", attributes='href="file:///etc/passwd"')), "another file"),
    (table(INT, stream(b"", attributes='href="http://localhost/x"')), "another file"),
    (table(INT, stream(b"", attributes='encoding="gzip"')), "encoded as gzip"),
    (table(INT, stream("AAAA=AAA")), "not base64"),
    (table(INT, stream("AAA")), "cut in the middle"),
    (table(INT, stream("AAA=\nAAAA")), "base64"),
    (table(INT, stream("%%%%")), "not base64"),
    (table(INT, stream(b"\0" * 12)), "ends in the middle of a row"),
    (table(TEXT, stream(struct.pack(">bi", 0, -1))), "negative length"),
    (table(TEXT, stream(struct.pack(">bi2s", 0, 2, b"\xff\xfe"))), "not UTF-8"),
    (
        table(TEXT.replace("char", "unicodeChar"), stream(struct.pack(">bi2s", 0, 1, b"\xd8\0"))),
        "not UTF-16",
    ),
    (table(INT.replace("int", "boolean"), stream(b"\0X")), "is no boolean"),
    (table(INT, "<TABLEDATA><TR><TD>1</TD><TD>2</TD></TR></TABLEDATA>"), "more than 1 cells"),
    (table(INT + TEXT, "<TABLEDATA><TR><TD>1</TD></TR></TABLEDATA>"), "1 cells for 2 FIELDs"),
    (table(INT, "<TABLEDATA><TR><TD>1</TD></TR><TR><TD>x</TD></TR></TABLEDATA>"), "row 2: 'x'"),
    (table(INT, "<TABLEDATA><TR><TD>3000000000</TD></TR></TABLEDATA>"), "row 1"),
    (table(INT, "<TABLEDATA><TR><TD>1_000</TD></TR></TABLEDATA>"), "row 1"),
    (
        table(
            '<FIELD name="p" datatype="double" arraysize="2"/>',
            "<TABLEDATA><TR><TD>1 2 3</TD></TR></TABLEDATA>",
        ),
        "row 1: 3 values in the column 'p'",
    ),
    (table(INT, '<TABLEDATA><TR><TD encoding="base64">MQ==</TD></TR></TABLEDATA>'), "encoded TD"),
    (table(INT.replace("int", "string"), "<TABLEDATA/>"), "datatype 'string'"),
    (table(INT.replace("/>", ' arraysize="-1"/>'), "<TABLEDATA/>"), "arraysize '-1'"),
    (table(INT.replace("/>", ' arraysize="2x*x3"/>'), "<TABLEDATA/>"), "arraysize"),
    (table(INT.replace("/>", '><VALUES null="none"/></FIELD>'), "<TABLEDATA/>"), "null value"),
    (table("", "<TABLEDATA><TR/></TABLEDATA>"), "no FIELDs"),
    (votable("<TABLE></TABLE>"), "no TABLE with FIELDs"),
    (votable(f"<TABLE>{INT}<DATA><TABLEDATA/></DATA>{INT}</TABLE>"), "FIELD behind its data"),
    (table(INT, "<TABLEDATA/><TABLEDATA/>"), "more than one DATA"),
    (table(INT, "<TABLE/>"), "TABLE within a TABLE"),
    (
        votable(f"<TABLE>{INT}<BINARY><STREAM>AAAA</STREAM></BINARY></TABLE>"),
        "STREAM that is not within DATA",
    ),
    (
        votable(f"<TABLE>{INT}<D><TABLEDATA><TR><TD>1</TD></TR></TABLEDATA></D></TABLE>"),
        "TR that is not within DATA",
    ),
    (
        table('<FIELD name="e" datatype="int" arraysize="0"/>', stream(b"abc", "BINARY")),
        "have no bytes",
    ),
    (b"<VOTABLE>" + b"<GROUP>" * 200, "100 deep"),
    (b"<html><body>Not found</body></html>", "HTML page"),
    (b"<?xml version='1.0'?><svg/>", "begins with <svg>"),
    (b"<?xml version='1.0' encoding='klingon'?><VOTABLE/>", "encoding"),
    (votable(f"<TABLE>{INT}")[:-30], "not well-formed"),
    (votable("<TABLE>\0</TABLE>"), "not well-formed|no format"),
    (votable("<TABLE>x</TABLE>").replace(b"x<", b"\xff<"), "not well-formed"),
    (table(TEXT, "<TABLEDATA><TR><TD>&#0;</TD></TR></TABLEDATA>"), "not well-formed"),
    (table(INT, stream(b"SIMPLE  =", "FITS")), "FITS"),
    (b"", "the file is empty"),
    (b" \n ", "the file is empty"),
    (b"a,b\n1,2\n3\n", "Expected 2 columns, got 1"),
    (b"a,b\n1,2,3\n", "Expected 2 columns, got 3"),
    (b"a,b\n\xff,1\n", "not UTF-8"),
    (b"\xff\xfea,b\n", "not UTF-8|no format"),
    (b"a,b\n1,\x00\n", "no format"),
    (b"a\n" + b"x" * 5000 + b"\n\0\n", "NUL"),
    (b'a,b\n1,"2\n', "ends within quotes; those that open in the row of line 2 are"),
    (b'a,b\n1,2\n3,"4', "row of line 3"),
    (b'a,b\n"1\n1","2"\n3,"4""\n5,6\n7,8', "row of line 4"),
    (b'a,"b\n1,2\n', "row of line 1"),
    (b'a\n"' + b"x" * 200_000, "max_cell_bytes|row of line 2"),
    (b'{"a": 1}', "JSON"),
    (b"\x89HDF\r\n", "HDF5"),
    (b"PAR1" + b"\0" * 100 + b"PAR1", "Parquet"),
    (b"PAR1" + b"\xff" * 100 + struct.pack("<i", 90) + b"PAR1", "Parquet"),
    (b"SIMPLE  =                    T", "no END card"),
    (gzip.compress(gzip.compress(b"a,b\n")), "compressed twice"),
    (gzip.compress(b"a,b\n" * 1000)[:-9], "gzip is damaged"),
    (b"\x1f\x8b" + b"\0" * 50, "gzip is damaged"),
]


@pytest.mark.parametrize(("data", "sentence"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_wrong_is_refused_by_name(data, sentence, tmp_path):
    hints = {"file_name": "x.json"} if data.startswith(b"{") else {}
    with pytest.raises(UsageError, match=sentence) as caught:
        upload(tmp_path, data, **hints)
    assert "/etc" not in str(caught.value)
    assert "\n" not in str(caught.value)


def zipped():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("t.csv", "a,b\n1,2\n")
    return file.getvalue()


def test_archives_are_refused(tmp_path):
    with pytest.raises(UsageError, match="zip archive"):
        upload(tmp_path, zipped())


def parquet_of(data, **options):
    file = io.BytesIO()
    parquet.write_table(data, file, **options)
    return file.getvalue()


def fits_of(data):
    file = io.BytesIO()
    data.write(file, format="fits")
    return file.getvalue()


MANY_FIELDS = "".join(f'<FIELD name="f{i}" datatype="int"/>' for i in range(20_000))
LONG = "x" * 20_000
WIDE = '<FIELD name="v" datatype="double" arraysize="2000000000x2"/>'

OVER = [
    (table(MANY_FIELDS, "<TABLEDATA/>"), "max_columns is 50"),
    (table(INT, "<TABLEDATA>" + "<TR><TD>1</TD></TR>" * 1001 + "</TABLEDATA>"), "max_rows is 1000"),
    (table(INT, stream(b"\0" * 5 * 1001)), "max_rows is 1000"),
    (table(TEXT, f"<TABLEDATA><TR><TD>{LONG}</TD></TR></TABLEDATA>"), "max_cell_bytes is 10000"),
    (table(TEXT, stream(struct.pack(">bi", 0, 2**31 - 1))), "max_cell_bytes is 10000"),
    (table(WIDE, stream(b"\0")), "max_cell_bytes is 10000"),
    (table(TEXT.replace("*", "2000000000"), stream(b"\0")), "max_cell_bytes is 10000"),
    (b"n\n" + b"1\n" * 1001, "max_rows is 1000"),
    (b",".join(b"c%d" % i for i in range(51)) + b"\n", "max_columns is 50"),
    (b"a,b\n1," + b"x" * 3_000_000, "max_table_bytes|max_cell_bytes"),
    (b"a,b\n1," + b"x" * 20_000, "max_cell_bytes is 10000"),
    (b'a,"' + b"x" * 20_000 + b'"\n1,2', "max_cell_bytes is 10000"),
    (gzip.compress(b"a\n" + b"1" * 100_000_000), "max_table_bytes is 2000000"),
    (parquet_of(pa.table({"a": range(1001)})), "max_rows is 1000"),
    (parquet_of(pa.table({f"c{i}": [1] for i in range(51)})), "max_columns is 50"),
    (parquet_of(pa.table({"s": [LONG]})), "max_cell_bytes is 10000"),
    # 100 kB that unfold to 9 MB: the dictionary holds the text once.
    (parquet_of(pa.table({"s": ["x" * 9000] * 1000})), "max_table_bytes is 2000000"),
    (
        parquet_of(pa.table({"v": [[0.0] * 1200] * 900}), compression="zstd"),
        "max_table_bytes is 2000000",
    ),
    (fits_of(Table({"a": np.arange(1001)})), "max_rows is 1000"),
    (fits_of(Table({f"c{i}": [1] for i in range(51)})), "max_columns is 50"),
    (fits_of(Table({"v": np.zeros((2, 2000))})), "max_cell_bytes is 10000"),
    (b"a,b\n" + b"1,2\n" * 600_000, "max_table_bytes is 2000000"),
]


@pytest.mark.parametrize(("data", "sentence"), OVER, ids=range(len(OVER)))
def test_each_limit_has_its_own_error(data, sentence, tmp_path):
    began = time.monotonic()
    with pytest.raises(TooLargeError, match=sentence):
        upload(tmp_path, data)
    assert time.monotonic() - began < 5.0


def test_types_that_no_table_here_has_are_refused_by_name(tmp_path):
    for column in (
        pa.array([{"a": 1}]),
        pa.array([[[1]]]),
        pa.array([b"x"]),
        pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
    ):
        with pytest.raises(UsageError, match="the column 'deep' is of the type"):
            upload(tmp_path, parquet_of(pa.table({"deep": column})))
    with pytest.raises(UsageError, match="Parquet"):
        upload(tmp_path, parquet_of(pa.table({"u": pa.array([2**64 - 1], pa.uint64())})))


def patched(data, keyword, value):
    card = f"{keyword:8}= {value:>20}".ljust(80).encode()
    start = data.index(f"{keyword:8}=".encode(), 2880)
    return data[:start] + card + data[start + 80 :]


FITS = fits_of(Table({"a": [1, 2], "s": ["x", "yz"]}))


@pytest.mark.parametrize(
    ("keyword", "value", "sentence"),
    [
        ("NAXIS2", 900, "ends before the last"),
        ("NAXIS2", 10**25, "ends before the last"),
        ("NAXIS2", -1, "negative"),
        ("NAXIS1", 4, "take 10 bytes and its rows have 4"),
        ("NAXIS1", 0, "rows have 0"),
        ("TFIELDS", 10**9, "max_columns"),
        ("TFIELDS", "'x'", "not a whole number"),
        ("TFORM1", "'1Z'", "which is none"),
        ("TFORM1", "'2PJ'", "which is none"),
        ("TFORM1", "'999999999D'", "max_cell_bytes"),
        ("XTENSION", "'IMAGE   '", "no binary table"),
        ("BITPIX", "x", "not a whole number"),
    ],
)
def test_lies_of_fits_headers_are_seen(keyword, value, sentence, tmp_path):
    with pytest.raises(UsageError, match=sentence):
        upload(tmp_path, patched(FITS, keyword, value))


def test_cells_outside_of_the_heap_are_refused(tmp_path):
    data = patched(FITS, "TFORM1", "'1PJ'")
    with pytest.raises(UsageError, match="lies behind the end of the file"):
        upload(tmp_path, data.replace(b"\0" * 7 + b"\1", struct.pack(">ii", 4, 2**31 - 1)))


def test_a_million_tiny_cells_take_seconds_and_little_memory(tmp_path):
    fields = "".join(f'<FIELD name="f{i}" datatype="short"/>' for i in range(10))
    row = "<TR>" + "<TD>1</TD>" * 10 + "</TR>"
    data = table(fields, f"<TABLEDATA>{row * 100_000}</TABLEDATA>")
    limits = ReadLimits(max_rows=100_000)
    source = tmp_path / "sent"
    source.write_bytes(data)
    began = time.monotonic()
    read = read_table(source, tmp_path / "t.arrow", "t", limits)
    assert read.rows == 100_000
    assert time.monotonic() - began < 30.0
    tracemalloc.start()
    try:
        read_table(source, tmp_path / "t.arrow", "t", limits)
        assert tracemalloc.get_traced_memory()[1] < 60e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "data",
    [
        b"<VOTABLE><RESOURCE><TABLE name='" + b"a" * 1_900_000,
        b"<VOTABLE>" + b"<!-- x -->" * 190_000,
        b"<VOTABLE>" + b"&#65;" * 300_000,
        b"<VOTABLE " + b" ".join(b"a%d='x'" % i for i in range(150_000)),
        b"<" * 1_900_000,
        b"a" + b"," * 1_900_000,
        b'"' * 1_900_000,
        b"a,b\n" + b'"' * 1_900_000,
    ],
    ids=range(8),
)
def test_nothing_takes_time_beyond_its_length(data, tmp_path):
    began = time.monotonic()
    with pytest.raises(UsageError):
        upload(tmp_path, data)
    assert time.monotonic() - began < 5.0


# Any change of a good file --------------------------------------------------------------------


def seeds():
    good = Table(
        {
            "ra": [1.5, 2.5, 3.5], "n": [1, 2, 3], "s": ["a", "bc", "def"],
            "v": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]],
        }
    )  # fmt: skip
    files = [fits_of(good), parquet_of(pa.table({"a": [1, 2, 3], "s": ["x", "y", None]}))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for form in ("tabledata", "binary", "binary2"):
            file = io.BytesIO()
            good.write(file, format="votable", tabledata_format=form)
            files.append(file.getvalue())
    files.append(b'a,b\n1,"x"\n2,\n')
    files.append(gzip.compress(files[-1]))
    return files


SEEDS = seeds()


@given(
    seed=st.sampled_from(range(len(SEEDS))),
    edits=st.lists(
        st.tuples(st.floats(0, 1), st.binary(max_size=4), st.integers(0, 8)), min_size=1, max_size=6
    ),
)
@settings(
    max_examples=250,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_a_damaged_file_is_read_or_refused(seed, edits, tmp_path):
    data = bytearray(SEEDS[seed])
    for where, new, cut in edits:
        place = int(where * len(data))
        data[place : place + cut] = new
    try:
        upload(tmp_path, bytes(data))
    except UsageError:
        return
    (tmp_path / "table.arrow").unlink()
