"""The registry of a whole site: what its services say of themselves, and the command."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from lxml import etree

sys.path.insert(0, str(Path(__file__).parent))
import registry_schemas as schemas

from obscore.declared.tables import DeclaredColumn, DeclaredSchema, DeclaredTable
from obscore.store.settings import StoreSettings
from skylane.cli import main
from skylane.folder import SiteFolder
from skylane.settings import load_settings
from skylane.site import create_app
from vodal.tables.columns import Column
from vodal.testing.asgi import AppClient

TOML = """
[server]
public_url = "https://archive.example.org/sky"

[obscore]
authority = "example.org"

[obscore.collections.secret.access]
data = "groups"
groups = ["g"]
metadata = "hidden"

[access.tables]
"cat.*" = { groups = ["g"], metadata = "hidden" }

[access.oidc]
issuer = "https://login.example.org"
audience = ["skylane"]

[registry]
publisher = "Example"
publisher_id = "ivo://example.net/organisation"
contact_name = "Archive team"
contact_email = "archive@example.org"
description = "Images."
subjects = ["surveys"]
"""

RI = "{http://www.ivoa.net/xml/RegistryInterface/v1.0}Resource"


@pytest.fixture(scope="module")
def folder(tmp_path_factory, files) -> Path:
    path = tmp_path_factory.mktemp("site")
    (path / "skylane.toml").write_text(TOML)
    backend = SiteFolder(path).prepare(StoreSettings())
    store = backend.writer()
    store.write(files)
    store.close()
    table = DeclaredTable("stars", (DeclaredColumn(Column("star", "int")),))
    with closing(backend.tables()) as tables:
        tables.publish(DeclaredSchema("cat", (table,)), {})
        tables.publish(DeclaredSchema("free", (table,)), {})
    return path


@pytest.fixture(scope="module")
def served(folder) -> AppClient:
    # What was never compiled takes longer than a request waits.
    settings = load_settings(folder, {"SKYLANE_OBSCORE__MOC__WAIT_LIMIT_S": "300"})
    return AppClient(create_app(SiteFolder(folder), settings))


def plain(element) -> str:
    return etree.tostring(element, method="c14n", exclusive=True).decode().strip()


def test_records_have_the_capabilities_that_each_service_serves(served):
    answer = served.get("/registry/oai?verb=ListRecords&metadataPrefix=ivo_vor")
    assert answer.headers["access-control-allow-origin"] == "*"
    found = {one.findtext("identifier"): one for one in schemas.check(answer.content).iter(RI)}
    assert "ivo://example.org/synthetic" in found
    assert not any("secret" in name for name in found)
    for name in ("tap", "sia2", "datalink", "soda", "registry"):
        document = etree.fromstring(served.get(f"/{name}/capabilities").content)
        record = found[f"ivo://example.org/site/{name}"]
        assert [plain(one) for one in record.findall("capability")] == [
            plain(one) for one in document
        ], name
    tables = etree.fromstring(served.get("/tap/tables").content)
    told = found["ivo://example.org/site/tap"].find("tableset")
    assert [plain(one) for one in told] == [plain(one) for one in tables]
    names = [one.text for one in told.iter("name")]
    assert "free.stars" in names
    assert "cat.stars" not in names
    assert found["ivo://example.org"].find("managingOrg").get("ivo-id") == (
        "ivo://example.net/organisation"
    )


def test_the_command_writes_the_records_that_are_served(served, folder, tmp_path):
    listed = served.get("/registry/oai?verb=ListRecords&metadataPrefix=ivo_vor").content
    done = CliRunner().invoke(main, ["registry", str(tmp_path / "out"), "--site", str(folder)])
    assert done.exit_code == 0, done.output
    assert "Wrote 10 records" in done.output
    written = [schemas.check(path.read_bytes()) for path in (tmp_path / "out").iterdir()]
    assert {one.findtext("identifier"): " ".join(one.itertext()).split() for one in written} == {
        one.findtext("identifier"): " ".join(one.itertext()).split()
        for one in etree.fromstring(listed).iter(RI)
    }
    assert (tmp_path / "out" / "example.org,site,tap.xml").is_file()


def test_the_command_says_what_is_not_set(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("SKYLANE_SERVER__PUBLIC_URL", "")
    (tmp_path / "skylane.toml").write_text("")
    done = CliRunner().invoke(main, ["registry", str(tmp_path / "out"), "--site", str(tmp_path)])
    assert (done.exit_code, "no section [registry]" in done.output) == (1, True)
    done = CliRunner().invoke(main, ["registry", str(tmp_path / "out"), "--site", str(folder)])
    assert (done.exit_code, "server.public_url is needed" in done.output) == (1, True)
    assert not (tmp_path / "out").exists()
