"""``skylane download``: files of a site, over connections that break off, held to its manifest."""

from __future__ import annotations

import csv
import hashlib
import os
import re
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner
from starlette.applications import Starlette
from starlette.routing import Mount

from datalink.app import create_files_app
from datalink.settings import DatalinkSettings
from skylane.cli import main
from skylane.download.received import LOG
from vodal.products import Product, Resolver
from vodal.testing.server import serve

DID = "ivo://example.org/survey?{}"
CONTENTS = {
    "a.fits": b"a" * 700_001,
    "b é.fits": bytes(range(256)) * 900,
    "empty.fits": b"",
    "c.fits": b"c" * 300_000,
}


def download(*arguments: object):
    return CliRunner().invoke(main, ["download", *map(str, arguments)])


def test_the_rows_of_a_query_and_of_a_table_are_fetched_and_right(site, tmp_path):
    chosen = site.rows[:3]
    names = ", ".join(f"'{row['obs_publisher_did']}'" for row in chosen)
    query = f"SELECT obs_publisher_did FROM ivoa.obscore WHERE obs_publisher_did IN ({names})"
    done = download(site.url, "--query", query, "-o", tmp_path / "query")
    assert done.exit_code == 0, done.output
    assert re.search(r"3 files, [\d.]+ MB, checksums are right", done.output)
    (folder,) = (tmp_path / "query").iterdir()
    assert not (folder / LOG).exists()
    # The tool that people have, and the survey's own files.
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=folder, check=True)
    truth = {one.path.name: one.path.read_bytes() for one in site.survey.exposures}
    found = {path.name: path.read_bytes() for path in folder.rglob("*.fits*")}
    assert len(found) == 3
    assert found == {name: truth[name] for name in found}
    table = tmp_path / "rows.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([["ID"], *([row["obs_publisher_did"]] for row in chosen[:1])])
    done = download(f"{site.url}/", "--table", table, "-o", tmp_path / "table")
    assert done.exit_code == 0, done.output
    assert "1 files" in done.output


@dataclass
class Files(Resolver):
    """Products of the files of a folder."""

    products: dict[str, Product] = field(default_factory=dict)

    def resolve(self, dids):
        return {did: self.products[did] for did in dids if did in self.products}

    def index(self, product):
        raise AssertionError(product)

    def add(self, path: Path) -> None:
        did, size = DID.format(path.name), path.stat().st_size
        self.products[did] = Product(
            did, "survey", path.as_uri(), path.name, "image/fits", size, f"{size}", 1.0, (0,), None,
            {},
        )  # fmt: skip


@dataclass
class Wire:
    """An app that ends connections after so many bytes of an archive; None for whole ones."""

    app: Starlette
    breaks: list[int | None] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)

    async def __call__(self, scope, receive, send):
        headers = dict(scope.get("headers", ()))
        if scope["type"] == "http":
            self.tokens.add(headers.get(b"authorization", b"").decode())
        if scope["type"] != "http" or not scope["path"].endswith(".tar"):
            await self.app(scope, receive, send)
            return
        self.ranges.append(headers.get(b"range", b"").decode())
        left = self.breaks.pop(0) if self.breaks else None

        async def some(message):
            nonlocal left
            if message["type"] == "http.response.body" and left is not None:
                body = bytes(message.get("body", b""))[:left]
                left -= len(body)
                await send({**message, "body": body, "more_body": True})
                if left == 0:
                    raise ConnectionError("the wire is cut")
                return
            await send(message)

        await self.app({**scope, "extensions": {}}, receive, some)


@pytest.fixture
def wire(tmp_path):
    """Serve some files over a wire that can be cut; gives it and the address."""
    files = Files()
    for number, (name, data) in enumerate(CONTENTS.items()):
        path = tmp_path / "data" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (1_700_000_000 + number,) * 2)
        files.add(path)
    app = create_files_app(files, DatalinkSettings(), cache=tmp_path / "cache")
    inner = Starlette(
        routes=[Mount("/files", app)], lifespan=lambda _: app.router.lifespan_context(app)
    )
    made = Wire(inner)
    with serve(made) as running:
        yield made, running.url


def asked(url: str, folder: Path, *more: str):
    return download(url, *map(DID.format, (*CONTENTS, *more)), "-o", folder)


def files_in(folder: Path) -> dict[str, bytes]:
    (top,) = folder.iterdir()
    return {path.name: path.read_bytes() for path in (top / "survey").iterdir()}


def test_a_connection_that_breaks_off_is_gone_on_with_at_the_last_whole_file(wire, tmp_path):
    made, url = wire
    made.breaks = [720_000, None]
    done = asked(url, tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert files_in(tmp_path / "out") == CONTENTS
    # One file had come whole.
    first, second = made.ranges
    assert first == ""
    assert second.startswith("bytes=7")


def test_another_run_goes_on_and_reads_what_was_there_anew(wire, tmp_path, monkeypatch):
    made, url = wire
    monkeypatch.setattr("skylane.downloading._TRIES", 1)
    made.breaks = [720_000]
    done = asked(url, tmp_path / "out")
    assert done.exit_code == 1
    assert "broke off" in done.output
    (top,) = (tmp_path / "out").iterdir()
    assert (top / LOG).exists()
    # A line that was not written to its end, as of a machine that went off.
    with (top / LOG).open("a") as file:
        file.write('{"path": "survey/b')
    done = asked(url, tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "Going on at byte 7" in done.output
    assert files_in(tmp_path / "out") == CONTENTS
    # Once more from the start, since all was there; what was damaged meanwhile is found.
    made.breaks = [720_000]
    assert asked(url, tmp_path / "out").exit_code == 1
    (top / "survey" / "a.fits").write_bytes(b"b" * 700_001)
    done = asked(url, tmp_path / "out")
    assert done.exit_code == 1
    assert "1 files were not what the manifest says, and are removed: survey/a.fits" in done.output
    assert asked(url, tmp_path / "out").exit_code == 0
    assert files_in(tmp_path / "out") == CONTENTS


def test_files_that_changed_meanwhile_are_begun_anew(wire, tmp_path, monkeypatch):
    made, url = wire
    monkeypatch.setattr("skylane.downloading._TRIES", 1)
    made.breaks = [720_000]
    assert asked(url, tmp_path / "out").exit_code == 1
    (tmp_path / "data" / "c.fits").write_bytes(b"another")
    done = asked(url, tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert made.ranges == ["", ""]
    assert files_in(tmp_path / "out") == {**CONTENTS, "c.fits": b"another"}


def test_what_there_is_no_file_of_is_told(wire, tmp_path):
    done = asked(wire[1], tmp_path / "out", "none.fits")
    assert done.exit_code == 3
    assert "survey?none.fits: UsageError: there is no such product" in done.output
    assert files_in(tmp_path / "out") == CONTENTS


def test_a_token_goes_to_the_site_in_each_request(wire, tmp_path):
    made, url = wire
    token = tmp_path / "token"
    token.write_text("abc.def\n")
    did = DID.format("a.fits")
    done = download(url, did, "-o", tmp_path / "out", "--token-file", token)
    assert done.exit_code == 0, done.output
    assert made.tokens == {"Bearer abc.def"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["ftp://example.org", "x"], "it begins with https://"),
        (["http://127.0.0.1:9"], "nothing to fetch"),
        (["{url}", DID.format("none.fits")], "says 404: "),
        (["{url}", "--query", "SELECT 1"], "says 404: "),
    ],
)
def test_what_cannot_be_asked_for_is_a_sentence(wire, tmp_path, arguments, told):
    done = download(*(one.replace("{url}", wire[1]) for one in arguments), "-o", tmp_path / "out")
    assert done.exit_code == 1
    assert told in done.output
    assert "Traceback" not in done.output


def test_a_wrong_query_is_told_as_the_site_tells_it(site, tmp_path):
    done = download(site.url, "--query", "SELECT nothing FROM ivoa.obscore", "-o", tmp_path)
    assert done.exit_code == 1
    assert "unknown column nothing" in done.output


def test_a_server_that_is_not_there_is_told(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    done = download(f"http://127.0.0.1:{port}", "x", "-o", tmp_path)
    assert done.exit_code == 1
    assert "no answer" in done.output


def test_sums_are_of_the_bytes(wire, tmp_path):
    assert asked(wire[1], tmp_path / "out").exit_code == 0
    (top,) = (tmp_path / "out").iterdir()
    lines = dict(line.split("  ")[::-1] for line in (top / "SHA256SUMS").read_text().splitlines())
    assert lines == {
        f"survey/{name}": hashlib.sha256(data).hexdigest() for name, data in CONTENTS.items()
    }
