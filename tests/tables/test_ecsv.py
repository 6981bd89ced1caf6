"""ECSV: what astropy writes is read, and nothing that a hostile header asks for is done."""

from __future__ import annotations

import gzip

import numpy as np
import pyarrow as pa
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, QTable, Table

from vodal.errors import SkylaneError, TooLargeError, UsageError
from vodal.tables.readers.limits import ReadLimits
from vodal.tables.readers.read import read_table

LIMITS = ReadLimits(max_rows=1000, max_columns=50, max_cell_bytes=10_000, max_table_bytes=3_000_000)


def upload(folder, data, **hints):
    source, target = folder / "sent", folder / "table.arrow"
    source.write_bytes(data)
    try:
        table = read_table(source, target, "t", LIMITS, **hints)
    except SkylaneError:
        assert [item.name for item in folder.iterdir()] == ["sent"]
        raise
    with pa.ipc.open_file(pa.OSFile(str(target))) as file:
        rows = file.read_all()
    assert rows.schema.types == [column.arrow_type() for column in table.columns]
    return {column.name: column for column in table.columns}, rows.to_pydict()


def written(folder, table, **options):
    path = folder / "written.ecsv"
    table.write(path, format="ascii.ecsv", **options)
    data = path.read_bytes()
    path.unlink()
    return data


def sample():
    table = Table({
        "flag": MaskedColumn([True, False, True], mask=[0, 0, 1]),
        "small": np.array([-128, 0, 127], "i1"),
        "byte": np.array([0, 200, 255], "u1"),
        "word": np.array([0, 1, 65535], "u2"),
        "n": MaskedColumn([1, 2, 3], mask=[0, 1, 0]),
        "ra": MaskedColumn([150.1, np.inf, 3.0], mask=[0, 0, 1], unit="deg"),
        "f": np.array([1.5, -2.25e-3, 3], "f4"),
        "name": ["a b", 'say "é", so', "#3"],
        "pair": np.arange(6).reshape(3, 2),
        "cube": np.arange(18.0).reshape(3, 2, 3),
    })  # fmt: skip
    table["some"] = np.array([np.array(one) for one in ([1.0], [], [1.0, 2.5])], dtype=object)
    table["ra"].description = "Right ascension: ICRS"
    table["ra"].meta["ucd"] = "pos.eq.ra;meta.main"
    table.meta["comments"] = ["of the header", {"deep": [1, 2]}]
    return table


@pytest.mark.parametrize("options", [{}, {"delimiter": ","}])
@pytest.mark.parametrize("is_packed", [False, True])
def test_what_astropy_writes_is_read(tmp_path, options, is_packed):
    table = sample()
    data = written(tmp_path, table, **options)
    columns, values = upload(tmp_path, gzip.compress(data) if is_packed else data)
    assert {name: (one.datatype, one.arraysize) for name, one in columns.items()} == {
        "flag": ("boolean", None), "small": ("short", None), "byte": ("unsignedByte", None),
        "word": ("int", None), "n": ("long", None), "ra": ("double", None), "f": ("float", None),
        "name": ("char", "*"), "pair": ("long", "2"), "cube": ("double", "3x2"),
        "some": ("double", "*"),
    }  # fmt: skip
    ra = columns["ra"]
    assert (ra.unit, ra.ucd) == ("deg", "pos.eq.ra;meta.main")
    assert ra.description == "Right ascension: ICRS"
    (tmp_path / "again.ecsv").write_bytes(data)
    for name, column in Table.read(tmp_path / "again.ecsv", format="ascii.ecsv").columns.items():
        wanted = [
            None if value is np.ma.masked else np.asarray(value, None).ravel().tolist()
            for value in column
        ]
        found = [one if one is None or isinstance(one, list) else [one] for one in values[name]]
        assert found == wanted, name


def test_mixed_in_columns_are_the_plain_ones_that_they_are_written_as(tmp_path):
    table = QTable({
        "place": SkyCoord([10.0, 20.0] * u.deg, [-5.0, 5.0] * u.deg),
        "radius": [3.0, 4.0] * u.arcsec,
    })  # fmt: skip
    columns, values = upload(tmp_path, written(tmp_path, table))
    assert values == {"place.ra": [10, 20], "place.dec": [-5, 5], "radius": [3, 4]}
    assert (columns["place.ra"].unit, columns["radius"].unit) == ("deg", "arcsec")


def ecsv(datatype, rows="", more=""):
    lines = ["%ECSV 1.0", "---", *more.splitlines(), "datatype:", *datatype.splitlines()]
    return ("".join(f"# {line}\n" for line in lines) + rows).encode()


ONE = "- {name: a, datatype: int64}"
BOMB = "meta:\n  a0: &a0 [x, x]\n" + "\n".join(
    f"  a{n}: &a{n} [{f'*a{n - 1}, ' * 10}]" for n in range(1, 30)
)


def test_a_table_without_rows_or_by_hand_is_a_table(tmp_path):
    assert upload(tmp_path, ecsv(ONE, "a\n"))[1] == {"a": []}
    text = ecsv(f"{ONE}\n- {{name: b, datatype: string}}", 'a  b \n\n+1   "x ""y"" z"\n"" u\n')
    assert upload(tmp_path, text)[1] == {"a": [1, None], "b": ['x "y" z', "u"]}


@pytest.mark.parametrize(
    "meta",
    [
        'meta: !!python/object/apply:os.system ["touch PWNED"]',
        'meta: !!python/object/new:subprocess.Popen [["touch", "PWNED"]]',
        "meta: !astropy.table.SerializedColumn {__class__: os.system, a: touch PWNED}",
        "meta: !!omap [{x: !numpy.ndarray {buffer: !!binary aaaa, dtype: object}}]",
        BOMB,
    ],
)
def test_a_header_makes_no_objects(tmp_path, monkeypatch, meta):
    monkeypatch.chdir(tmp_path)
    assert upload(tmp_path, ecsv(ONE, "a\n7\n", meta.replace("PWNED", f"{tmp_path}/PWNED")))[1] == {
        "a": [7]
    }
    assert not (tmp_path / "PWNED").exists()


REFUSED = [
    (b"# %ECSV 2.0\n", "'# %ECSV 2.0' is no version"),
    (b"# %ECSV 1.0\n", "no datatype"),
    (b"# %ECSV 1.0\n# ---\n# - a\na\n", "no datatype"),
    (b"# %ECSV 1.0\n# ---\n# datatype: [a]\na\n", "a list of columns"),
    (b"# %ECSV 1.0\n# ---\n# datatype: [\na\n", "no YAML.* in its line"),
    (ecsv(ONE, "a\n", "meta: " + "[" * 40 + "]" * 40), "more than 30 deep"),
    (ecsv(ONE, "a\n", "meta: " + "{a: " * 100_000), "more than 30 deep"),
    (ecsv(ONE, "a\n", "? [a, b]\n: 1\ndelimiter: ;"), "a blank or a comma, not ';'"),
    (ecsv("- {name: a}"), "lacks its name or datatype"),
    (ecsv("- {name: [a], datatype: int64}"), "lacks its name or datatype"),
    (ecsv("- {name: a, datatype: complex128}", "a\n"), "'a' is of the type complex128"),
    (ecsv("- {name: a, datatype: string, subtype: json}", "a\n"), "of the type string of json"),
    (ecsv("- {name: a, datatype: string, subtype: 'int64[2,null]'}", "a\n"), "of the type string"),
    (ecsv("- {name: a, datatype: string, subtype: 'object[2]'}", "a\n"), "of the type string"),
    (ecsv(ONE), "no line of names"),
    (ecsv(ONE, "b\n1\n"), "differs from the names"),
    (ecsv(ONE, "a\n1 2\n"), "row 1: 2 cells for 1 columns"),
    (ecsv(ONE, "a\n1\nx\n"), "row 2: 'x' in the column 'a' is no int64"),
    (ecsv(ONE, "a\n0x10\n"), "row 1: '0x10'"),
    (ecsv(ONE, "a\n9223372036854775808\n"), "row 1: '9223372036854775808'"),
    (ecsv("- {name: a, datatype: float64}", "a\n1_0\n"), "is no float64"),
    (ecsv("- {name: a, datatype: bool}", "a\nyes\n"), "is no bool"),
    (
        ecsv("- {name: a, datatype: string, subtype: 'int64[2]'}", "a\n[1]\n"),
        "has not the 2 values",
    ),
    (ecsv("- {name: a, datatype: string, subtype: 'int64[2]'}", "a\n[1,x]\n"), "is no int64.2."),
    (ecsv("- {name: a, datatype: string, subtype: 'int64[1,1]'}", "a\n[1]\n"), "is no int64.1,1."),
    (ecsv("- {name: a, datatype: string, subtype: 'int64[null]'}", f"a\n{'[' * 9000}\n"), "is no"),
    (ecsv("- {name: a, datatype: string}", "a\n\0\n"), "NUL|no format"),
    (ecsv("- {name: a, datatype: string}", 'a\n"x\n'), "rows cannot be read"),
    (ecsv("- {name: a, datatype: string}", "a\n") + b"\xff\n", "not UTF-8"),
]


@pytest.mark.parametrize(("data", "sentence"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_wrong_is_refused_by_name(tmp_path, data, sentence):
    with pytest.raises(UsageError, match=sentence) as caught:
        upload(tmp_path, data)
    assert "\n" not in str(caught.value)


COLUMNS = "\n".join(f"- {{name: c{n}, datatype: int8}}" for n in range(51))
OVER = [
    (ecsv(COLUMNS, "a\n"), "max_columns is 50"),
    (ecsv(ONE, "a\n" + "1\n" * 1001), "max_rows is 1000"),
    (ecsv("- {name: a, datatype: string}", f"a\n{'x' * 20_000}\n"), "max_cell_bytes is 10000"),
    (ecsv(ONE, "a\n", "meta: " + "x" * (1 << 20)), "header has more than 1048576 characters"),
    (ecsv(ONE, "a\n", "x\n" * 600_000), "header has more than 1048576 characters"),
    (ecsv(ONE, "a\n" + "1\n" * 1_600_000), "max_table_bytes is 3000000"),
]


@pytest.mark.parametrize(("data", "sentence"), OVER, ids=range(len(OVER)))
def test_each_limit_has_its_own_error(tmp_path, data, sentence):
    with pytest.raises(TooLargeError, match=sentence):
        upload(tmp_path, data)
