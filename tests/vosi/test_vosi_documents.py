"""The VOSI documents: valid by their XML schemas, true to what was declared."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import pytest
from starlette.applications import Starlette

from obscore.tap.capabilities import tap_capabilities
from obscore.tap.metadata import tableset
from obscore.tap.settings import TapSettings
from vodal.tables.columns import Column
from vodal.testing.asgi import AppClient
from vodal.vosi.availability import Availability, availability_document
from vodal.vosi.capabilities import capabilities_document, capability, vosi_capabilities
from vodal.vosi.routes import vosi_routes
from vodal.vosi.tableset import (
    TableColumn,
    TableDescription,
    TableSchema,
    table_document,
    tableset_document,
)

NASTY = 'a < b & "c" \u00e9\u2192'
TABLE = TableDescription(
    "nasty.table",
    (
        TableColumn(
            Column("select", "char", "*", description=NASTY, xtype="timestamp"), indexed=True
        ),
    ),
    description=NASTY,
)
NASTY_SET = (TableSchema("nasty", (TABLE,), description=NASTY),)

DOCUMENTS = {
    "availability": availability_document(
        Availability(available=False, up_since=datetime(2026, 1, 2, tzinfo=UTC), notes=(NASTY,))
    ),
    "capabilities": capabilities_document(
        (
            capability(
                "ivo://ivoa.net/std/SODA#sync-1.0", "http://x/sync?a=b&c", version="1.0",
                query_types=("GET", "POST"), result_type="image/fits",
            ),
            *vosi_capabilities("http://x", tables=True),
        )
    ),
    "tap-capabilities": capabilities_document(tap_capabilities("http://x/tap", TapSettings(), moc_url="http://x/moc")),
    "tables": tableset_document(tableset()),
    "tables-min": tableset_document(tableset(), "min"),
    "tables-nasty": tableset_document(NASTY_SET),
    "table": table_document(tableset()[0].tables[0]),
}  # fmt: skip


@pytest.mark.stilts
@pytest.mark.skipif(shutil.which("stilts") is None, reason="no stilts command")
def test_documents_are_valid_by_their_schemas(tmp_path):
    running = {}
    for name, document in DOCUMENTS.items():
        path = tmp_path / f"{name}.xml"
        path.write_bytes(document)
        command = ["stilts", "xsdvalidate", "uselocals=true", "verbose=true", f"doc={path}"]
        running[name] = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    for name, process in running.items():
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, (name, output)
        assert "Validation OK" in output, (name, output)


def test_what_tells_of_security_is_open_itself():
    links = capability("ivo://ivoa.net/std/DataLink#links-1.1", "http://a.b/links")
    declared = (links, *vosi_capabilities("http://a.b", tables=True))
    root = ET.fromstring(capabilities_document(declared, ["ivo://ivoa.net/sso#OAuth"]))
    told = {one.get("standardID"): len(one.findall(".//securityMethod")) for one in root}
    assert told == {
        "ivo://ivoa.net/std/DataLink#links-1.1": 2,
        "ivo://ivoa.net/std/VOSI#capabilities": 0,
        "ivo://ivoa.net/std/VOSI#availability": 0,
        "ivo://ivoa.net/std/VOSI#tables-1.1": 2,
    }


def test_nasty_text_comes_back():
    root = ET.fromstring(DOCUMENTS["tables-nasty"])
    assert {element.text for element in root.iter("description")} == {NASTY}
    assert root.findtext("schema/table/column/name") == "select"
    kind = root.find("schema/table/column/dataType")
    assert kind.attrib["arraysize"] == "*"
    assert kind.attrib["extendedType"] == "timestamp"


def test_the_least_detail_leaves_out_columns():
    root = ET.fromstring(DOCUMENTS["tables-min"])
    assert root.find("schema/table/name") is not None
    assert root.find("schema/table/column") is None


def test_routes_give_the_documents():
    state = Availability(available=True)
    app = Starlette(
        routes=vosi_routes(
            lambda request: vosi_capabilities(str(request.base_url)),
            availability=lambda: state,
            tables=lambda _: NASTY_SET,
        )
    )
    client = AppClient(app)
    for path in ("capabilities", "availability", "tables", "tables/NASTY.table"):
        answer = client.get(f"/{path}")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/xml")
        ET.fromstring(answer.content)
    assert b"<column>" in client.get("/tables").content
    assert b"<column>" not in client.get("/tables?DETAIL=MIN").content
    assert b"<column>" not in client.get("/tables/nasty.table?detail=min").content
    assert client.get("/tables?detail=most").status_code == 400
    assert client.get("/tables/absent").status_code == 404
