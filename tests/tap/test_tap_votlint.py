"""Every kind of VOTable that the service gives, judged by STILTS: no error and no warning."""

from __future__ import annotations

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import httpx
import pyarrow as pa
import pytest

from vodal.errors import QueryError
from vodal.tables.columns import Column, ResultStream, with_ids
from vodal.tables.formats import FORMATS

pytestmark = [
    pytest.mark.stilts,
    pytest.mark.skipif(shutil.which("stilts") is None, reason="no stilts command"),
]

QUICK = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""Java starts sooner so."""

SERIALIZATIONS = ("votable/b2", "votable/b", "votable/td")

EXPRESSIONS = """
    SELECT COUNT(*), AVG(s_ra), MIN(t_min) AS t0, MAX(s_region), s_ra + 1, -s_ra,
      s_ra * 2 AS "2 ra", t_exptime / 60, 'x <&> "y"', 1, 1.5, 3000000000, NULL,
      POINT(s_ra, s_dec) AS p, CIRCLE(s_ra, s_dec, 1), POLYGON(1, 1, 2, 2, 1, 2),
      COALESCE(obs_id, 'z'),
      CAST(s_ra AS VARCHAR), CAST(1 AS BIGINT), CAST(s_ra AS REAL), UPPER(obs_id),
      DISTANCE(POINT(s_ra, s_dec), POINT(1, 1)), CENTROID(CIRCLE(1, 1, 1)), AREA(CIRCLE(1, 1, 1)),
      IN_UNIT(t_exptime, 'min') AS minutes
    FROM ivoa.obscore GROUP BY s_ra, s_dec, obs_id, t_exptime"""

SETS = """
    WITH far AS (SELECT s_ra AS x, t_min, s_region FROM ivoa.obscore WHERE s_dec > 2)
    SELECT x, t_min, s_region FROM far
    UNION ALL SELECT s_dec, t_max, s_region FROM ivoa.obscore"""

JOIN = """
    SELECT TOP 5 a.*, b.* FROM ivoa.obscore AS a JOIN ivoa.obscore AS b
    ON a.obs_publisher_did = b.obs_publisher_did"""

UPLOAD = """<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE><TABLE>
<FIELD name="flag" datatype="boolean"/><FIELD name="bits" datatype="bit" arraysize="8"/>
<FIELD name="byte" datatype="unsignedByte"/><FIELD name="short" datatype="short"/>
<FIELD name="int" datatype="int"/><FIELD name="long" datatype="long"/>
<FIELD name="float" datatype="float"/>
<FIELD name="double" datatype="double" unit="deg" ucd="pos.eq.ra"/>
<FIELD name="text" datatype="char" arraysize="*"/>
<FIELD name="fixed" datatype="char" arraysize="5"/>
<FIELD name="unicode" datatype="unicodeChar" arraysize="*"/>
<FIELD name="complex" datatype="doubleComplex"/>
<FIELD name="many" datatype="double" arraysize="*"/>
<FIELD name="shorts" datatype="short" arraysize="*"/>
<FIELD name="square" datatype="int" arraysize="2x2"/>
<FIELD name="point" datatype="double" arraysize="2" xtype="point"/>
<FIELD name="when" datatype="char" arraysize="*" xtype="timestamp"/>
<DATA><TABLEDATA>
<TR><TD>true</TD><TD>10101010</TD><TD>7</TD><TD>-3</TD><TD>5</TD><TD>123456789012</TD><TD>1.5</TD>
<TD>10.25</TD><TD>abc</TD><TD>hello</TD><TD>\u00e9\u20ac</TD><TD>1 2</TD><TD>1 2 3</TD><TD>4 5</TD>
<TD>1 2 3 4</TD><TD>10 20</TD><TD>2020-01-01T00:00:00</TD></TR>
<TR><TD></TD><TD>00000001</TD><TD></TD><TD></TD><TD></TD><TD></TD><TD></TD>
<TD></TD><TD></TD><TD></TD><TD></TD><TD>0 NaN</TD><TD></TD><TD></TD>
<TD>0 0 0 -1</TD><TD>NaN NaN</TD><TD></TD></TR>
</TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"""


def ask(tap, query: str, name: str, **given: str) -> bytes:
    params = {"LANG": "ADQL", "QUERY": query, "RESPONSEFORMAT": name, **given}
    return httpx.get(f"{tap.url}/sync", params=params, timeout=30).content


def job(tap, query: str, child: str) -> bytes:
    params = {"LANG": "ADQL", "QUERY": query, "PHASE": "RUN", "MAXREC": "7"}
    made = httpx.post(f"{tap.url}/async", data=params).headers["location"]
    httpx.get(f"{made}?WAIT=20", timeout=30)
    answer = httpx.get(f"{made}/{child}")
    assert answer.status_code == 200
    return answer.content


def late_error(name: str) -> bytes:
    """Write what a query gives that fails after some rows."""
    column = Column("n", "int")

    def batches():
        yield pa.RecordBatch.from_arrays([pa.array([1, None], pa.int32())], names=["n"])
        raise QueryError("a value of the column 'n' is <too> large")

    (item,) = (item for item in FORMATS if item.name == name)
    return b"".join(item.write(ResultStream(with_ids([column]), batches())))


def documents(tap) -> dict[str, bytes]:
    """Give every kind of document, by what it is."""
    found = {}
    for name in SERIALIZATIONS:
        found |= {
            f"obscore {name}": ask(tap, "SELECT * FROM ivoa.obscore", name),
            f"empty {name}": ask(tap, "SELECT * FROM ivoa.obscore WHERE s_ra > 400", name),
            f"overflow {name}": ask(tap, "SELECT * FROM ivoa.obscore", name, MAXREC="3"),
            f"expressions {name}": ask(tap, EXPRESSIONS, name, MAXREC="5"),
            f"late error {name}": late_error(name),
            f"upload {name}": httpx.post(
                f"{tap.url}/sync",
                data={"LANG": "ADQL", "QUERY": "SELECT * FROM TAP_UPLOAD.t",
                      "RESPONSEFORMAT": name, "UPLOAD": "t,param:x"},
                files={"x": ("t.vot", UPLOAD.encode(), "application/x-votable+xml")},
                timeout=30,
            ).content,
        }  # fmt: skip
    for table in ("schemas", "tables", "columns", "keys", "key_columns"):
        found[f"tap_schema.{table}"] = ask(tap, f"SELECT * FROM tap_schema.{table}", "votable")
    return found | {
        "no rows wanted": ask(tap, "SELECT * FROM ivoa.obscore", "votable", MAXREC="0"),
        "sets": ask(tap, SETS, "votable"),
        "repeated names": ask(tap, JOIN, "votable"),
        "xml": ask(tap, JOIN, "xml"),
        "error": ask(tap, "SELECT\nnothing FROM <ivoa.obscore", "votable"),
        "unknown format": ask(tap, "SELECT 1", "excel"),
        "nothing there": httpx.get(f"{tap.url}/nowhere").content,
        "result of a job": job(tap, "SELECT * FROM ivoa.obscore", "results/result"),
        "error of a job": job(tap, "SELECT nothing FROM ivoa.obscore", "error"),
    }


def lint(path) -> str:
    done = subprocess.run(
        ["stilts", *QUICK, "votlint", "ucd=true", "unit=true", f"votable={path}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.stdout + done.stderr


def test_votlint_finds_no_fault_in_any_answer(tap, tmp_path):
    paths = {}
    for number, (kind, document) in enumerate(documents(tap).items()):
        paths[kind] = tmp_path / f"{number}.vot"
        paths[kind].write_bytes(document)
    for kind, words in {
        "late error": ("ERROR", "&lt;too&gt;", "</TABLE>\n<INFO"),
        "overflow": ('value="OVERFLOW"', "</TABLE>\n<INFO"),
        "upload": ('arraysize="2x2"', 'xtype="timestamp"', 'unit="deg"'),
        "expressions": ('unit="min"', 'ucd="pos.angDistance"'),
        "sets": ("COOSYS", "TIMESYS", 'ref="frame-icrs"', 'ref="frame-mjd"'),
        "error": ('value="ERROR"', "line 2"),
        "result of a job": ("OVERFLOW", "adhoc:service"),
    }.items():
        for name, path in paths.items():
            if name.startswith(kind) and name != "error of a job":
                text = path.read_text()
                assert all(
                    word.replace(">", "&gt;") in text.replace(">", "&gt;") for word in words
                ), name
    with ThreadPoolExecutor(2) as pool:
        said = dict(zip(paths, pool.map(lint, paths.values()), strict=True))
    assert {kind: text for kind, text in said.items() if text} == {}
