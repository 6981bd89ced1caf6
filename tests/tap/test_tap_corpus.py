"""Every right query of the tests of ADQL, through the service and its guarded connections."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from xml.etree import ElementTree as ET

import httpx
import pytest

CORPUS = Path(__file__).parents[1] / "adql" / "data" / "valid.txt"

TARGETS = b"""<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE><TABLE>
<FIELD name="ra" datatype="double" unit="deg"/><FIELD name="dec" datatype="double" unit="deg"/>
<FIELD name="name" datatype="unicodeChar" arraysize="*"/>
<FIELD name="Mixed Case" datatype="short"/>
<FIELD name="shape" datatype="char" arraysize="*" xtype="adql:REGION"/>
<DATA><TABLEDATA>
<TR><TD>10</TD><TD>0.5</TD><TD>near</TD><TD>1</TD><TD>CIRCLE ICRS 10 0.5 2</TD></TR>
<TR><TD>359.9</TD><TD>0</TD><TD>zero</TD><TD>2</TD><TD/></TR>
</TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"""


def queries():
    blocks = CORPUS.read_text(encoding="utf-8").split("\n\n")
    texts = [block.rpartition("\n-> ")[0].strip("\n") for block in blocks]
    return [text for text in texts if "test.numbers" not in text]


def ask(tap, query, **more):
    given = {"LANG": "ADQL", "QUERY": query, "MAXREC": "20", **more}
    if "TAP_UPLOAD" not in query:
        return httpx.post(f"{tap.url}/sync", data=given)
    files = {"file": ("targets.xml", TARGETS, "application/x-votable+xml")}
    return httpx.post(f"{tap.url}/sync", data=given | {"UPLOAD": "targets,param:file"}, files=files)


def test_right_queries_are_answered(tap):
    asked = queries()
    assert len(asked) > 50
    for query in asked:
        answer = ask(tap, query)
        assert answer.status_code == 200, (query, answer.text)
        infos = ET.fromstring(answer.content).findall(".//{*}INFO[@name='QUERY_STATUS']")
        assert infos[-1].get("value") in {"OK", "OVERFLOW"}, query


@pytest.mark.parametrize("count", [499, 500, 501, 5000])
@pytest.mark.parametrize("column", ["obs_id", "s_ra", "calib_level"])
def test_lists_of_any_length_are_answered(tap, count, column):
    values = [item.row[column] for item in tap.observations]
    kept = values[:40]
    text = column == "obs_id"
    rest = [f"no such {i}" if text else -1000 - i for i in range(count - len(kept))]
    words = [f"'{value}'" if text else repr(value) for value in (*rest, *kept)]
    for negated in ("", "NOT "):
        wanted = sum((value in kept) != bool(negated) for value in values)
        query = f"SELECT COUNT(*) AS n FROM ivoa.obscore WHERE {column} {negated}IN ({{}})"
        answer = ask(tap, query.format(", ".join(words)), RESPONSEFORMAT="csv")
        assert answer.status_code == 200, answer.text
        assert list(csv.reader(io.StringIO(answer.text))) == [["n"], [str(wanted)]]
