"""Uploaded tables: what is written in any form is read back, with astropy and STILTS as writers."""

from __future__ import annotations

import base64
import gzip
import math
import shutil
import subprocess
import sys
import warnings
from dataclasses import fields, replace
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import pyarrow as pa
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import MaskedColumn, Table
from astropy.time import Time
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from vodal.errors import UsageError
from vodal.tables.binary import pack_rows
from vodal.tables.columns import Column, ResultStream
from vodal.tables.csv import write_csv, write_tsv
from vodal.tables.readers.limits import ReadLimits
from vodal.tables.readers.read import read_table
from vodal.tables.votable import write_votable

LIMITS = ReadLimits()
NUMBERS = {
    "unsignedByte": (0, 255),
    "short": (-(2**15), 2**15 - 1),
    "int": (-(2**31), 2**31 - 1),
    "long": (-(2**63), 2**63 - 1),
}
needs_stilts = pytest.mark.skipif(shutil.which("stilts") is None, reason="no stilts command")


def upload(folder, data, name="t", limits=LIMITS, **hints):
    source, target = folder / "sent", folder / "table.arrow"
    source.write_bytes(data)
    table = read_table(source, target, name, limits, **hints)
    with pa.ipc.open_file(pa.OSFile(str(target))) as file:
        rows = file.read_all()
    assert [
        item.name for item in folder.iterdir() if item.name not in {"sent", "table.arrow"}
    ] == []
    assert table.rows == rows.num_rows
    assert rows.schema.types == [column.arrow_type() for column in table.columns]
    return table.columns, [list(row.values()) for row in rows.to_pylist()]


def votable(fields, data):
    return (
        '<?xml version="1.0"?><VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">'
        f"<RESOURCE><TABLE>{fields}<DATA>{data}</DATA></TABLE></RESOURCE></VOTABLE>"
    ).encode()


# Every type, every serialisation --------------------------------------------------------------

XML_TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=8
)


def _scalars(datatype):
    match datatype:
        case "boolean" | "bit":
            return st.booleans()
        case "float" | "floatComplex":
            return st.floats(width=32)
        case "double" | "doubleComplex":
            return st.floats()
        case _:
            return st.integers(*NUMBERS[datatype])


@st.composite
def tables(draw):
    columns, values = [], []
    rows = draw(st.integers(0, 5))
    kinds = ["boolean", "bit", *NUMBERS, "float", "double", "floatComplex", "doubleComplex"]
    for number in range(draw(st.integers(1, 8))):
        datatype = draw(st.sampled_from([*kinds, "char", "unicodeChar"]))
        meta = {
            name: draw(st.none() | st.sampled_from(["deg", "pos.eq.ra;meta.main", "a:b"]))
            for name in ("unit", "ucd", "utype", "xtype", "description")
        }
        if datatype in {"char", "unicodeChar"}:
            arraysize, cells = "*", XML_TEXT
        else:
            arraysize = draw(st.sampled_from([None, "*", "3", "2x2", "2x*", "6*"]))
            each = 2 if datatype.endswith("Complex") else 1
            low, high = {None: (1, 1), "3": (3, 3), "2x2": (4, 4)}.get(arraysize, (0, 3))
            step = 2 if arraysize == "2x*" else 1
            cells = _scalars(datatype)
            if arraysize is not None or each == 2:
                cells = st.integers(low, high).flatmap(
                    lambda n, s=step * each, c=cells: st.lists(c, min_size=n * s, max_size=n * s)
                )
        columns.append(Column(f"c {number}", datatype, arraysize, **meta))
        values.append(draw(st.lists(st.none() | cells, min_size=rows, max_size=rows)))
    return columns, values


def batch_of(columns, values):
    arrays = [pa.array(v, c.arrow_type()) for c, v in zip(columns, values, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, names=[c.name for c in columns])


def field_of(column):
    names = ("name", "datatype", "arraysize", "unit", "ucd", "utype", "xtype")
    given = {name: getattr(column, name) for name in names if getattr(column, name) is not None}
    attributes = " ".join(f"{name}={quoteattr(value)}" for name, value in given.items())
    about = "" if column.description is None else escape(column.description)
    return f"<FIELD {attributes}><DESCRIPTION>{about}</DESCRIPTION></FIELD>"


def binary(columns, batch):
    """Write BINARY: the rows of BINARY2 without their masks."""
    mask = (len(columns) + 7) // 8
    rows = b"".join(
        bytes(pack_rows(columns, batch.slice(row, 1)))[mask:] for row in range(batch.num_rows)
    )
    stream = f'<STREAM encoding="base64">{base64.b64encode(rows).decode()}</STREAM>'
    return votable("".join(map(field_of, columns)), f"<BINARY>{stream}</BINARY>")


def expected(serialization, column, value):
    """Give what a value comes back as: some forms have no sign for null, others none for empty."""
    if serialization == "BINARY" and value is None:
        if column.arrow_type() == pa.string() or column.arraysize in {"*", "2x*", "6*"}:
            return None
        value = pa.scalar(None, column.arrow_type())
        length = {None: 1, "3": 3, "2x2": 4}[column.arraysize]
        length *= 2 if column.datatype.endswith("Complex") else 1
        filler = {"boolean": None, "bit": False}.get(
            column.datatype, 0 if column.datatype in NUMBERS else math.nan
        )
        value = filler if pa.types.is_list(column.arrow_type()) is False else [filler] * length
    if serialization != "BINARY2" and value in ("", []):
        return None
    if isinstance(value, float) and math.isnan(value):
        return None
    return value


def same(one, two):
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(map(same, one, two))
    if isinstance(one, float) and isinstance(two, float) and math.isnan(one):
        return math.isnan(two)
    return one == two and type(one) is type(two)


@pytest.mark.parametrize("serialization", ["TABLEDATA", "BINARY", "BINARY2"])
@given(table=tables())
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_every_type_comes_back_from_every_serialisation(serialization, table, tmp_path):
    columns, values = table
    batch = batch_of(columns, values)
    if serialization == "BINARY":
        columns = [
            replace(c, datatype="unicodeChar") if c.datatype == "char" else c for c in columns
        ]
        data = binary(columns, batch)
    else:
        stream = ResultStream(tuple(columns), iter([batch]))
        data = b"".join(write_votable(stream, serialization=serialization))
    got, rows = upload(tmp_path, data)
    for one, two in zip(got, columns, strict=True):
        # The writer declares texts beyond ASCII as unicodeChar.
        datatype = one.datatype if two.datatype == "char" else two.datatype
        kept = {"datatype": datatype, "id": None}
        assert one == Column(
            **{**{f.name: getattr(two, f.name) for f in fields(Column) if f.init}, **kept}
        )
    for row, given_row in zip(rows, zip(*values, strict=True), strict=True):
        for column, cell, value in zip(columns, row, given_row, strict=True):
            wanted = expected(serialization, column, value)
            assert same(cell, wanted), (column, cell, wanted)


def sample(*, masked=True, text="bé"):
    table = Table(
        {
            "ra": [1.5, 2.5, np.nan],
            "n": MaskedColumn([1, 2, 3], mask=[False, masked, False]),
            "name": ["a", text, "c"],
            "pair": [[1, 2], [3, 4], [5, 6]],
            "f": np.array([1, 2, 3], "f4"),
            "small": np.array([0, 200, 255], "u1"),
            "z": np.array([1 + 2j, 0, -1j]),
        }
    )
    table["ra"].unit, table["ra"].description = "deg", "Right ascension"
    return table


SAMPLE_ROWS = [
    [1.5, 1, "a", [1, 2], 1.0, 0, [1.0, 2.0]],
    [2.5, None, "bé", [3, 4], 2.0, 200, [0.0, 0.0]],
    [None, 3, "c", [5, 6], 3.0, 255, [-0.0, -1.0]],
]


@pytest.mark.parametrize("form", ["tabledata", "binary", "binary2"])
def test_what_astropy_writes_is_read(form, tmp_path):
    # astropy has no null value for whole numbers in BINARY.
    table = sample(masked=form != "binary")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table.write(tmp_path / "sent", format="votable", tabledata_format=form)
    columns, rows = upload(tmp_path, (tmp_path / "sent").read_bytes())
    assert [(c.datatype, c.arraysize) for c in columns] == [
        ("double", None), ("long", None), ("unicodeChar", "2"), ("long", "2"), ("float", None),
        ("unsignedByte", None), ("doubleComplex", None),
    ]  # fmt: skip
    assert (columns[0].unit, columns[0].description) == ("deg", "Right ascension")
    wanted = [list(row) for row in SAMPLE_ROWS]
    wanted[1][1] = 2 if form == "binary" else None
    assert rows == wanted


@pytest.mark.stilts
@needs_stilts
@pytest.mark.parametrize(
    "form",
    ["votable-tabledata", "votable-binary-inline", "votable-binary2-inline", "votable-fits-inline",
     "fits-plus", "fits-basic", "fits-var"],
)  # fmt: skip
def test_what_stilts_writes_is_read(form, tmp_path):
    path = tmp_path / "in.fits"
    table = sample(text="bx")
    # STILTS has no complex numbers.
    table.remove_column("z")
    table.write(path)
    done = subprocess.run(
        ["stilts", "tcopy", f"in={path}", f"out={tmp_path / 'out'}", f"ofmt={form}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    data = (tmp_path / "out").read_bytes()
    path.unlink()
    (tmp_path / "out").unlink()
    columns, rows = upload(tmp_path, data)
    assert columns[0].unit == "deg"
    wanted = [row[:-1] for row in SAMPLE_ROWS]
    wanted[1][2] = "bx"
    assert rows == wanted
    datatypes = [column.datatype for column in columns]
    assert datatypes[:5] == ["double", "long", "char", "long", "float"]
    assert datatypes[5] in {"unsignedByte", "short"}


# VOTable, by hand -----------------------------------------------------------------------------


def test_numbers_of_tabledata_in_all_their_forms(tmp_path):
    fields = (
        '<FIELD name="i" datatype="int"><VALUES null="-99"/></FIELD>'
        '<FIELD name="x" datatype="double"/><FIELD name="b" datatype="boolean"/>'
        '<FIELD name="bits" datatype="bit" arraysize="*"/>'
        '<FIELD name="u" datatype="unsignedByte"><VALUES null="0xff"/></FIELD>'
    )
    rows = [
        ("0x1F", "+Inf", "T", "10 1", "255"),
        (" -99 ", "-Inf", "?", "101", "254"),
        ("", "", "", "", ""),
        ("+7", "NaN", "FALSE", "1", "0"),
        ("-0x10", " 1e3 ", "1", "0 0", "0x0a"),
    ]
    cells = "".join(f"<TR>{''.join(f'<TD>{c}</TD>' for c in row)}</TR>" for row in rows)
    _, got = upload(tmp_path, votable(fields, f"<TABLEDATA>{cells}</TABLEDATA>"))
    assert got == [
        [31, math.inf, True, [True, False, True], None],
        [None, -math.inf, None, [True, False, True], 254],
        [None, None, None, None, None],
        [7, None, False, [True], 0],
        [-16, 1000.0, True, [False, False], 10],
    ]


def test_prefixed_elements_groups_and_parameters_are_passed_over(tmp_path):
    data = b"""<?xml version='1.0' encoding='ISO-8859-1'?>
<v:VOTABLE xmlns:v="http://www.ivoa.net/xml/VOTable/v1.3"><v:DESCRIPTION>x</v:DESCRIPTION>
<v:RESOURCE type="results"><v:INFO name="a" value="b"/><v:COOSYS ID="s" system="ICRS"/>
<v:TABLE name="empty"><v:PARAM name="p" datatype="int" value="1"/></v:TABLE>
<v:TABLE nrows="99999999999"><v:DESCRIPTION>mine</v:DESCRIPTION>
<v:GROUP><v:FIELDref ref="r"/></v:GROUP><v:PARAM name="p" datatype="int" value="1"/>
<v:FIELD ID="r" name=" ra " datatype="double" unit="deg" ucd="pos.eq.ra" utype="u" xtype="x">
<v:DESCRIPTION>Right
   ascension \xe9</v:DESCRIPTION><v:LINK href="http://nowhere.example/"/></v:FIELD>
<v:FIELD ID="noname" datatype="char" arraysize="3*"/><v:FIELD datatype="char"/>
<v:DATA><v:TABLEDATA><v:TR><v:TD>1</v:TD><v:TD><![CDATA[<a&b>]]></v:TD><v:TD>xy</v:TD></v:TR>
</v:TABLEDATA></v:DATA><v:INFO name="after" value="x"/></v:TABLE>
<v:TABLE><v:FIELD name="other" datatype="int"/></v:TABLE></v:RESOURCE></v:VOTABLE>"""
    columns, rows = upload(tmp_path, data)
    assert columns[0] == Column(
        "ra", "double", None, "deg", "pos.eq.ra", "u", "x", "Right ascension é"
    )
    # Texts longer than declared are kept, and the columns say so.
    assert [(c.name, c.arraysize) for c in columns[1:]] == [("noname", "*"), ("column_3", "*")]
    assert rows == [[1.0, "<a&b>", "xy"]]


def test_a_table_without_rows_or_without_data_is_a_table(tmp_path):
    field = '<FIELD name="n" datatype="int"/>'
    for data in (
        votable(field, "<TABLEDATA/>"),
        votable(field, '<BINARY2><STREAM encoding="base64"/></BINARY2>'),
        votable(field, "").replace(b"<DATA></DATA>", b""),
        b"n,m\n", b"n\tm",
    ):  # fmt: skip
        columns, rows = upload(tmp_path, data)
        assert columns[0].name == "n"
        assert rows == []


def test_names_that_come_twice_get_a_number(tmp_path):
    names = ["ra", "RA", "ra_2", "", "select", "ra"]
    fields = "".join(f'<FIELD name="{name}" datatype="int"/>' for name in names)
    columns, _ = upload(tmp_path, votable(fields, "<TABLEDATA/>"))
    assert [c.name for c in columns] == ["ra", "RA_3", "ra_2", "column_4", "select", "ra_4"]


def test_utf16_documents_are_read(tmp_path):
    field = '<FIELD name="é" datatype="unicodeChar" arraysize="*"/>'
    text = votable(field, "<TABLEDATA><TR><TD>жuk</TD></TR></TABLEDATA>").decode()
    text = text.replace('<?xml version="1.0"?>', '<?xml version="1.0" encoding="UTF-16"?>')
    columns, rows = upload(tmp_path, text.encode("utf-16"))
    assert (columns[0].name, rows) == ("é", [["жuk"]])


# CSV ------------------------------------------------------------------------------------------


def test_types_of_csv_are_found_by_looking(tmp_path):
    data = (
        "﻿i,l,x,flag,when,code,text,nothing,\n"
        '1,9223372036854775807,1,true,2024-01-02,007,"a,""b""\nc",,1\n'
        "-5,2,1e-3,FALSE,2024-01-02T03:04:05.6Z,8,,,2\n"
        '+0,,NaN,,,9,"",,3\n'
    ).encode()
    columns, rows = upload(tmp_path, data)
    assert [(c.name, c.datatype, c.arraysize, c.xtype) for c in columns] == [
        ("i", "int", None, None), ("l", "long", None, None), ("x", "double", None, None),
        ("flag", "boolean", None, None), ("when", "char", "*", "timestamp"),
        ("code", "char", "*", None), ("text", "char", "*", None), ("nothing", "char", "*", None),
        ("column_9", "int", None, None),
    ]  # fmt: skip
    assert rows == [
        [1, 2**63 - 1, 1.0, True, "2024-01-02", "007", 'a,"b"\nc', None, 1],
        [-5, 2, 0.001, False, "2024-01-02T03:04:05.6Z", "8", None, None, 2],
        [0, None, None, None, None, "9", "", None, 3],
    ]


def test_a_type_is_that_of_the_last_row_too(tmp_path):
    rows = 60_000
    data = ("n,m\n" + "".join(f"{i},{i}\n" for i in range(rows)) + "x,1.5\n").encode()
    columns, got = upload(tmp_path, data)
    assert [c.datatype for c in columns] == ["char", "double"]
    assert got[-1] == ["x", 1.5]
    assert got[rows - 1] == [str(rows - 1), float(rows - 1)]


@pytest.mark.parametrize(("write", "hint"), [(write_csv, "a.csv"), (write_tsv, "a.tsv")])
def test_what_the_service_writes_as_text_it_reads(write, hint, tmp_path):
    columns = [Column("n", "long"), Column("x", "double"), Column("s", "char", "*")]
    values = [[1, None, 2**40], [0.1, math.inf, -1e300], ["a,b", None, "é\u2028'"]]
    data = b"".join(write(ResultStream(tuple(columns), iter([batch_of(columns, values)]))))
    got, rows = upload(tmp_path, data, file_name=hint)
    assert [c.datatype for c in got] == ["long", "double", "char"]
    assert rows == [list(row) for row in zip(*values, strict=True)]


@pytest.mark.parametrize("hint", ["", "t.csv", "t.tsv", "t.txt"])
@pytest.mark.parametrize("separator", [",", "\t", ";", "|"])
def test_the_separator_is_found_whatever_the_file_is_called(separator, hint, tmp_path):
    lines = [["name", "ra", "dec"], ["a b", "150.1", "2.2"], ["c", "", "-3"]]
    data = "".join(separator.join(line) + "\r\n" for line in lines).encode()
    columns, rows = upload(tmp_path, data, file_name=hint)
    assert [c.name for c in columns] == lines[0]
    assert rows == [["a b", 150.1, 2.2], ["c", None, -3.0]]


@pytest.mark.parametrize(
    ("data", "names", "first"),
    [
        # Commas of numbers as parts of Europe write them.
        (b"ra;dec\n150,1;2,2\n", ["ra", "dec"], ["150,1", "2,2"]),
        (b"ra;dec;flux (a, b)\n1;2;3\n", ["ra", "dec", "flux (a, b)"], [1, 2, 3]),
        (b'"a;b",c\n"1\n;2",3\n', ["a;b", "c"], ["1\n;2", 3]),
        (b"flux;err\n1\n2\n", ["flux;err"], [1]),
        (b"ID\nivo://a/b?c;d\n", ["ID"], ["ivo://a/b?c;d"]),
        (b"ra dec\n1 2\n", ["ra dec"], ["1 2"]),
        (b"a;b\n", ["a", "b"], None),
    ],
)
def test_what_separates_cells_is_in_all_lines(data, names, first, tmp_path):
    columns, rows = upload(tmp_path, data, file_name="t.csv")
    assert [c.name for c in columns] == names
    assert rows[:1] == ([] if first is None else [first])


def test_one_column_of_text_may_have_empty_lines(tmp_path):
    assert upload(tmp_path, b"s\na\n\nb\n")[1] == [["a"], [None], ["b"]]


# Parquet --------------------------------------------------------------------------------------


def test_a_quotation_mark_within_a_text_is_a_sign_like_others(tmp_path):
    _, rows = upload(tmp_path, b'lens,seen\n3.5" f/4,"a ""b"""\n', file_name="t.csv")
    assert rows == [['3.5" f/4', 'a "b"']]


def test_types_of_parquet(tmp_path):
    table = pa.table(
        {
            "i8": pa.array([1, None], pa.int8()),
            "u16": pa.array([65535, 0], pa.uint16()),
            "u32": pa.array([2**32 - 1, 0], pa.uint32()),
            "f16": pa.array([np.float16(1.5), None], pa.float16()),
            "s": pa.array(["é", None], pa.large_string()),
            "d": pa.array(["x", "x"]).dictionary_encode(),
            "t": pa.array([0, 10**9], pa.timestamp("us", "Europe/Paris")),
            "day": pa.array([0, None], pa.date32()),
            "money": pa.array([1.5, None]).cast(pa.decimal128(5, 2)),
            "l": pa.array([[1.0], None], pa.list_(pa.float32())),
            "p": pa.array([[1, 2], [3, 4]], pa.list_(pa.int64(), 2)),
        }
    )
    parquet.write_table(table, tmp_path / "sent", compression="zstd")
    columns, rows = upload(tmp_path, (tmp_path / "sent").read_bytes())
    assert [(c.datatype, c.arraysize, c.xtype) for c in columns] == [
        ("short", None, None), ("int", None, None), ("long", None, None), ("float", None, None),
        ("char", "*", None), ("char", "*", None), ("char", "*", "timestamp"),
        ("char", "*", "timestamp"), ("double", None, None), ("float", "*", None),
        ("long", "2", None),
    ]  # fmt: skip
    assert rows[0] == [
        1, 65535, 2**32 - 1, 1.5, "é", "x", "1970-01-01T00:00:00.000000", "1970-01-01", 1.5,
        [1.0], [1, 2],
    ]  # fmt: skip
    assert rows[1][6] == "1970-01-01T00:16:40.000000"


def test_voparquet_describes_its_columns(tmp_path):
    fields = (
        '<FIELD name="ra" datatype="double" unit="deg" ucd="pos.eq.ra;meta.main"/>'
        '<FIELD name="s" datatype="unicodeChar" arraysize="*"/>'
        '<FIELD name="m" datatype="double" arraysize="2x2"><DESCRIPTION>A matrix</DESCRIPTION>'
        "</FIELD>"
    )
    meta = votable(fields, "").replace(b"<DATA></DATA>", b"")
    table = pa.table({"ra": [1.0], "s": ["é"], "m": [[1.0, 2.0, 3.0, 4.0]], "own": [1]})
    table = table.replace_schema_metadata(
        {"IVOA.VOTable-Parquet.version": "1.0", "IVOA.VOTable-Parquet.content": meta}
    )
    parquet.write_table(table, tmp_path / "sent")
    columns, rows = upload(tmp_path, (tmp_path / "sent").read_bytes())
    assert columns == (
        Column("ra", "double", None, "deg", "pos.eq.ra;meta.main"),
        Column("s", "unicodeChar", "*"),
        Column("m", "double", "2x2", description="A matrix"),
        Column("own", "long"),
    )
    assert rows == [[1.0, "é", [1.0, 2.0, 3.0, 4.0], 1]]


def test_what_astropy_keeps_of_columns_in_parquet(tmp_path):
    table = Table({"ra": [1.0] * u.deg, "n": [2], "s": ["é"]})
    table["ra"].description = "Right ascension"
    table["n"].meta = {"ucd": "meta.number"}
    table.meta = {"made": Time("2026-01-01"), "by": ["a", 1]}
    table.write(tmp_path / "sent", format="parquet")
    columns, rows = upload(tmp_path, (tmp_path / "sent").read_bytes())
    assert columns == (
        Column("ra", "double", None, "deg", description="Right ascension"),
        Column("n", "long", ucd="meta.number"),
        Column("s", "char", "*"),
    )
    assert rows == [[1.0, 2, "é"]]


@pytest.mark.parametrize("header", ["datatype: 1", "datatype: [1, {name: [n]}, {unit: m}]", "a: b"])
def test_odd_metadata_of_astropy_says_nothing_of_columns(tmp_path, header):
    table = pa.table({"n": [1]}).replace_schema_metadata({"table_meta_yaml": header})
    parquet.write_table(table, tmp_path / "sent")
    columns, _ = upload(tmp_path, (tmp_path / "sent").read_bytes())
    assert columns == (Column("n", "long"),)


@pytest.mark.parametrize("header", ["datatype: [", "[" * 99, "", b"\xff: ["])
def test_metadata_of_astropy_that_is_none_is_told(tmp_path, header):
    table = pa.table({"n": [1]}).replace_schema_metadata({"table_meta_yaml": header})
    parquet.write_table(table, tmp_path / "sent")
    with pytest.raises(UsageError, match="astropy's metadata cannot be read: "):
        upload(tmp_path, (tmp_path / "sent").read_bytes())


# FITS -----------------------------------------------------------------------------------------


def test_forms_of_fits_tables(tmp_path):
    ragged = np.array([np.array([1, 2, 3], "i4"), np.array([], "i4")], dtype=object)
    columns = [
        fits.Column("u2", "I", bzero=32768, array=np.array([0, 65535], "u2")),
        fits.Column("s1", "B", bzero=-128, array=np.array([-128, 127], "i1")),
        fits.Column("scaled", "I", array=np.array([1, 2])),
        fits.Column("n", "J", null=-1, unit="count", array=np.array([-1, 5])),
        fits.Column("flag", "L", array=np.array([True, False])),
        fits.Column("x", "11X", array=np.array([[True] * 11, [False] * 10 + [True]])),
        fits.Column("name", "5A", array=np.array(["ab  ", ""])),
        fits.Column("words", "6A", dim="(3,2)", array=np.array([["a", "bc"], ["def", ""]])),
        fits.Column("m", "4E", dim="(2,2)", array=np.arange(8, dtype="f4").reshape(2, 2, 2)),
        fits.Column("v", "PJ()", array=ragged),
        fits.Column("z", "C", array=np.array([1 + 2j, 0], "c8")),
    ]
    table = fits.BinTableHDU.from_columns(columns)
    table.header["TUCD4"] = "meta.number"
    table.header["TCOMM4"] = "How many"
    # astropy would scale the values itself.
    table.header["XSCAL3"], table.header["XZERO3"] = 0.5, 10.0
    fits.HDUList([fits.PrimaryHDU(np.zeros((5, 5))), fits.ImageHDU(), table]).writeto(
        tmp_path / "sent"
    )
    data = (tmp_path / "sent").read_bytes().replace(b"XSCAL3 ", b"TSCAL3 ")
    got, rows = upload(tmp_path, data.replace(b"XZERO3 ", b"TZERO3 "))
    assert [(c.name, c.datatype, c.arraysize) for c in got] == [
        ("u2", "int", None), ("s1", "short", None), ("scaled", "double", None), ("n", "int", None),
        ("flag", "boolean", None), ("x", "bit", "11"), ("name", "char", "5"),
        ("words", "char", "3x2"), ("m", "float", "2x2"), ("v", "int", "*"),
        ("z", "floatComplex", None),
    ]  # fmt: skip
    assert (got[3].unit, got[3].ucd, got[3].description) == ("count", "meta.number", "How many")
    assert rows == [
        [0, -128, 10.5, None, True, [True] * 11, "ab", "a  bc ", [0.0, 1.0, 2.0, 3.0], [1, 2, 3],
         [1.0, 2.0]],
        [65535, 127, 11.0, 5, False, [False] * 10 + [True], None, "def   ", [4.0, 5.0, 6.0, 7.0],
         [], [0.0, 0.0]],
    ]  # fmt: skip


def test_a_long_fits_table_is_read_in_pieces(tmp_path):
    count = 300_000
    table = Table({"a": np.arange(count), "b": np.arange(count) * 0.5})
    table.write(tmp_path / "sent", format="fits")
    _, rows = upload(tmp_path, (tmp_path / "sent").read_bytes())
    assert len(rows) == count
    assert rows[-1] == [count - 1, (count - 1) * 0.5]


# All of them ----------------------------------------------------------------------------------


@pytest.mark.parametrize("members", [1, 2])
def test_a_gzip_is_read(members, tmp_path):
    data = b"a,b\n" + b"1,2\n" * 10
    cut = len(data) // members
    parts = [data[i * cut : None if i == members - 1 else (i + 1) * cut] for i in range(members)]
    packed = b"".join(map(gzip.compress, parts))
    assert len(upload(tmp_path, packed, file_name="x.csv.gz")[1]) == 10


def test_long_binary_tables_are_read_in_pieces(tmp_path):
    columns = [Column("n", "long"), Column("s", "char", "*"), Column("v", "double", "*")]
    count = 60_000
    values = [
        list(range(count)),
        [f"row {i}" for i in range(count)],
        [[float(i)] * (i % 3) for i in range(count)],
    ]
    data = b"".join(write_votable(ResultStream(tuple(columns), iter([batch_of(columns, values)]))))
    _, rows = upload(tmp_path, data)
    assert rows == [list(row) for row in zip(*values, strict=True)]


def test_readers_load_neither_the_web_nor_a_database():
    code = (
        "import sys, vodal.tables.readers.read\n"
        "bad = {'starlette', 'sqlalchemy', 'uvicorn', 'apsw', 'psycopg'} & set(sys.modules)\n"
        "assert not bad, bad\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
