"""Attacks on a real server: each must fail, in a moment, with a sentence, and leave it serving."""

from __future__ import annotations

import gzip
import re
import socket
import threading
import time
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, urlsplit

import httpx
import pytest

from datalink.names import encode_segment

pytestmark = pytest.mark.xdist_group("access")


def port_of(archive) -> int:
    port = urlsplit(archive.url).port
    assert port is not None
    return port


def sent(archive, text: bytes) -> bytes:
    """Send bytes as they are, which no client would, and give the whole answer."""
    answer = b""
    with closing(socket.create_connection(("127.0.0.1", port_of(archive)), timeout=30)) as sock:
        sock.sendall(text)
        try:
            while piece := sock.recv(1 << 16):
                answer += piece
        except ConnectionError:
            pass
    return answer


def asked(archive, target: str, method: str = "GET", *headers: str) -> tuple[int, bytes]:
    lines = [f"{method} {target} HTTP/1.1", "Host: site", "Connection: close", *headers, "", ""]
    answer = sent(archive, "\r\n".join(lines).encode("latin-1"))
    return int(answer.split(b" ", 2)[1]), answer


# Paths and methods ----------------------------------------------------------------------------

UP = ["..", "%2e%2e", "..%2f..", "..%5c..", "%252e%252e", "..;", "....//", "%c0%ae%c0%ae", "..%00"]
DOORS = [
    "/portal/{up}/settings.py", "/portal/{up}/{up}/{up}/pyproject.toml", "/hips/open/{up}/{key}",
    "/hips/open/{up}/{up}/{key}", "/hips/{up}/{key}", "/hips/{up}%2f{key}", "/{up}/{key}",
    "/hips/live/{up}/{up}/{key}", "/files/{up}/{key}", "/files/preview/{up}%2f{key}", "/moc/{up}",
    "/tap/async/{up}/{up}/{key}", "/tap/async/{up}/results/result", "/soda/async/{up}/results/x",
    "/hips/open/Norder3/Dir0/{up}/{up}/{up}/{up}/{key}", "/hips//{path}", "/portal//{path}",
    "/files/{path}", "/hips/open/{path}", "/registry/{up}/{key}",
]  # fmt: skip


def test_no_path_leads_out_of_what_is_served(archive):
    secret = (archive.folder / "signing.key").read_bytes().strip()
    whole = quote(str(archive.folder / "signing.key"))
    for door in DOORS:
        for up in UP:
            target = door.format(up=up, key="signing.key", path=whole)
            status, answer = asked(archive, target)
            assert secret not in answer, target
            assert b"[build-system]" not in answer, target
            assert status in {301, 307, 400, 401, 403, 404}, (target, status)
            assert b"Traceback" not in answer


@pytest.mark.parametrize("method", ["TRACE", "PUT", "PATCH", "PROPFIND", "get", "DELETE"])
def test_methods_that_are_not_meant_do_nothing(archive, method):
    for path in ("/", "/files/x", "/tap/sync", "/soda/sync", "/hips/list", "/moc/", "/tap/tables"):
        status, answer = asked(archive, path, method, "X-Secret: s3cret", "Content-Length: 0")
        assert status in {400, 404, 405, 501}, path
        assert b"s3cret" not in answer


def test_a_method_cannot_be_put_into_a_header(archive):
    segment = encode_segment(archive.dids["public"])
    for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        status, _ = asked(archive, f"/files/{segment}", "HEAD", f"{name}: DELETE")
        assert status == 200


def test_urls_cannot_be_moved_by_a_proxys_headers(archive):
    for name in ("X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Prefix"):
        status, _ = asked(archive, "/files/nothing", "GET", f"{name}: /hips/list")
        assert status == 404


# Headers --------------------------------------------------------------------------------------

SPLIT = quote("x\r\nSet-Cookie: a=b\r\n\r\n<script>")


def test_no_parameter_ends_a_header(archive):
    did = quote(archive.dids["public"], safe="")
    circle = "CIRCLE=10+5+0.2"
    for target in (
        f"/moc/{SPLIT}", f"/hips/{SPLIT}", f"/hips/live/{SPLIT}", f"/files/{SPLIT}", f"/{SPLIT}",
        f"/tap/async/{SPLIT}", f"/datalink/links?ID={SPLIT}",
        f"/datalink/links?RESPONSEFORMAT={SPLIT}", f"/tap/sync?LANG=ADQL&QUERY={SPLIT}",
        f"/soda/sync?ID={did}&{circle}&RESPONSEFORMAT={SPLIT}",
        f"/soda/sync?ID={SPLIT}&{circle}", f"/soda/sync?ID={did}&CIRCLE={SPLIT}",
        f"/sia2/query?POS={SPLIT}", f"/auth/sign?URL={SPLIT}", f"/files/x?SIGNATURE={SPLIT}",
        f"/tap/tables?DETAIL={SPLIT}", f"/soda/stitched?COLLECTION={SPLIT}&{circle}",
    ):  # fmt: skip
        _, answer = asked(archive, target)
        head, _, _ = answer.partition(b"\r\n\r\n")
        assert not re.search(rb"(?im)^set-cookie", head), target
        assert b"x-content-type-options: nosniff" in head.lower(), target


@pytest.mark.parametrize(
    ("version", "hosts", "status"),
    [("1.1", [], 400), ("1.1", ["a", "b"], 400), ("1.1", ["a"], 200), ("1.0", [], 200)],
)
def test_a_request_names_one_host(archive, version, hosts, status):
    lines = [f"GET /tap/availability HTTP/{version}", *(f"Host: {one}" for one in hosts)]
    answer = sent(archive, "\r\n".join([*lines, "Connection: close", "", ""]).encode())
    assert int(answer.split(b" ", 2)[1]) == status


@pytest.mark.parametrize(
    "host", ["evil.org/x", "evil.org\\@a", "a b", 'a"><script>', "a@evil.org", "evil.org#", "[::1"]
)
def test_a_host_that_is_none_is_not_repeated(archive, host):
    lines = f"GET /tap/capabilities HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    answer = sent(archive, lines.encode())
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"evil.org" not in answer


def test_what_claims_to_be_forwarded_for_another_host_is_not_believed(archive):
    named = ("X-Forwarded-Host: evil.org", "Forwarded: host=evil.org", "X-Host: evil.org")
    status, answer = asked(archive, "/tap/capabilities", "GET", *named)
    assert status == 200
    assert b"evil.org" not in answer
    assert b"http://site/tap" in answer


def test_documents_carry_policies_and_pages_keep_their_own(archive):
    strict = "default-src 'none'"
    for path, wanted in (
        ("/", "'wasm-unsafe-eval'"), ("/hips/open/", "'wasm-unsafe-eval'"),
        ("/tap/examples", strict), ("/tap/", strict), ("/datalink/links", strict),
        ("/tap/sync?LANG=ADQL&QUERY=SELECT+1+AS+x+FROM+free.stars&RESPONSEFORMAT=html", strict),
    ):  # fmt: skip
        answer = httpx.get(archive.url + path)
        policy = answer.headers["content-security-policy"]
        assert wanted in policy, path
        assert "frame-ancestors" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"


# Pages of other sites -------------------------------------------------------------------------


def test_a_page_of_another_site_cannot_act_for_who_is_logged_in(archive):
    logged_in = {"X-User": "eve", "X-Groups": "staff"}
    query = {"LANG": "ADQL", "QUERY": "SELECT star FROM free.stars"}
    url = f"{archive.url}/tap/async"
    made = httpx.post(url, data=query, headers=logged_in)
    assert made.status_code == 303
    job = made.headers["location"]
    for said in (
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.org"},
        {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.org"}, {"Origin": "null"},
    ):  # fmt: skip
        headers = {**logged_in, **said}
        for method, target, data in (
            ("POST", url, {**query, "PHASE": "RUN"}), ("POST", f"{archive.url}/soda/async", {}),
            ("POST", f"{job}/phase", {"PHASE": "RUN"}), ("POST", job, {"ACTION": "DELETE"}),
            ("DELETE", job, None), ("POST", f"{archive.url}/auth/sign", {"URL": "/tap/async"}),
        ):  # fmt: skip
            answer = httpx.request(method, target, data=data, headers=headers)
            assert answer.status_code == 403, (said, target)
            assert "pages of other sites may not act" in answer.text
        # It is for who cannot help being known: tokens and readers are not meant.
        assert httpx.get(job, headers=headers).status_code == 200
        token = {**archive.headers("member"), **said}
        assert httpx.post(url, data=query, headers=token).status_code == 303
    own = {**logged_in, "Sec-Fetch-Site": "same-origin", "Origin": archive.url}
    assert httpx.delete(job, headers=own).status_code == 303


# Files that are sent --------------------------------------------------------------------------

BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE VOTABLE [<!ENTITY a "ha"><!ENTITY b "'
    + b"&a;" * 10_000
    + b'"><!ENTITY c SYSTEM "file:///etc/passwd">]>'
    b'<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">&b;&c;</VOTABLE>'
)
WIDE = b'<VOTABLE version="1.4" a="' + b"x" * 9_000_000 + b'"/>'
ZEROS = gzip.compress(b"\0" * 100_000_000, 9)


@pytest.mark.parametrize(
    ("name", "content"),
    [("t.xml", BOMB), ("t.xml", WIDE), ("t.xml.gz", ZEROS), ("t.fits.gz", ZEROS), ("t.csv", ZEROS),
     ("../../t.csv", b"star\n\x00\n")],
    ids=["laughs", "wide", "packed xml", "packed fits", "packed csv", "path"],
)  # fmt: skip
def test_tables_that_blow_up_are_refused(archive, name, content):
    query = {"LANG": "ADQL", "QUERY": "SELECT * FROM TAP_UPLOAD.t", "UPLOAD": "t,param:t"}
    answer = archive.post("anonymous", "/tap/sync", data=query, files={"t": (name, content)})
    assert answer.status_code in {400, 413}, answer.text[:300]
    assert "root:" not in answer.text
    cut = {"UPLOAD": "t,param:t", "PHASE": "RUN", "CIRCLE": "10 5 0.1"}
    answer = archive.post("anonymous", "/soda/async", data=cut, files={"t": (name, content)})
    assert answer.status_code in {303, 400, 413}
    if answer.status_code == 303:
        job = answer.headers["location"].removeprefix(archive.url)
        for phase in ("QUEUED", "EXECUTING"):
            archive.get("anonymous", f"{job}?WAIT=60&PHASE={phase}")
        assert archive.get("anonymous", f"{job}/phase").text == "ERROR"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, gzip"])
def test_a_packed_body_is_not_unpacked(archive, coding):
    for path in ("/tap/sync", "/soda/sync", "/datalink/links", "/soda/async"):
        headers = {
            "Content-Encoding": coding, "Content-Type": "application/x-www-form-urlencoded",
        }  # fmt: skip
        answer = httpx.post(archive.url + path, content=ZEROS[:1000], headers=headers)
        assert answer.status_code == 415, path


def test_sizes_have_their_limits(archive):
    assert asked(archive, "/tap/sync?QUERY=" + "x" * 70_000)[0] == 431
    assert asked(archive, "/tap/sync", "GET", "X-Long: " + "x" * 70_000)[0] == 431
    many = "&".join(["a=1"] * 20_001)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (
        httpx.post(f"{archive.url}/datalink/links", content=many, headers=form).status_code == 413
    )

    def endless():
        for _ in range(40):
            yield b"QUERY=" + b"x" * 1_000_000

    try:
        answer = httpx.post(f"{archive.url}/tap/sync", content=endless(), headers=form)
    except httpx.TransportError:
        # The server answered and ended the connection while more was sent.
        pass
    else:
        assert answer.status_code == 413


# Other servers --------------------------------------------------------------------------------


@contextmanager
def trap():
    """Listen inside the network of the server, and note who comes."""
    came: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            came.append(self.path)
            self.send_error(404)

        def do_HEAD(self):
            self.do_GET()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1], came
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_the_server_goes_nowhere_for_anybody(archive):
    with trap() as (port, came):
        for url in (
            f"http://127.0.0.1:{port}/t.csv", f"http://localhost:{port}/t.csv",
            f"http://[::ffff:127.0.0.1]:{port}/t.csv", f"http://2130706433:{port}/t.csv",
            f"http://0x7f.1:{port}/", f"http://0:{port}/", "file:///etc/passwd",
            f"http://a@127.0.0.1:{port}/", f"http://127.0.0.1:{port}#@example.org/",
            f"gopher://127.0.0.1:{port}/x", "http://169.254.169.254/latest/meta-data/",
        ):  # fmt: skip
            query = {
                "LANG": "ADQL", "QUERY": "SELECT * FROM TAP_UPLOAD.t", "UPLOAD": f"t,{url}",
            }  # fmt: skip
            answer = archive.post("anonymous", "/tap/sync", data=query)
            assert answer.status_code in {400, 413}, url
            assert "root:" not in answer.text
            cut = {"UPLOAD": f"t,{url}", "PHASE": "RUN", "CIRCLE": "10 5 0.1"}
            assert archive.post("anonymous", "/soda/async", data=cut).status_code in {303, 400}
            for path in (
                "/datalink/links?ID=", "/soda/sync?CIRCLE=10+5+0.1&ID=", "/auth/sign?URL=",
                "/soda/stitched?CIRCLE=10+5+0.1&ID=",
            ):  # fmt: skip
                answer = archive.get("member", path + quote(url, safe=""))
                assert answer.status_code in {200, 400, 404}, (path, url)
                assert "root:" not in answer.text
            assert archive.get("anonymous", f"/files/{encode_segment(url)}").status_code == 404
        assert came == []


# Clients that take their time -----------------------------------------------------------------


def test_slow_clients_are_ended_and_keep_nobody_waiting(archive):
    begun = time.monotonic()
    with_head = b"POST /tap/sync HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n"
    sockets = []
    try:
        for number in range(80):
            sock = socket.create_connection(("127.0.0.1", port_of(archive)), timeout=60)
            sockets.append(sock)
            sock.sendall(with_head if number % 2 else b"GET / HTTP/1.1\r\n")
        assert httpx.get(f"{archive.url}/hips/list", timeout=30).status_code == 200
        alive = set(sockets)
        while alive:
            assert time.monotonic() - begun < 60, len(alive)
            for sock in list(alive):
                sock.settimeout(0.02)
                try:
                    sock.sendall(b"x")
                    if not sock.recv(1000):
                        alive.discard(sock)
                except TimeoutError:
                    continue
                except ConnectionError:
                    alive.discard(sock)
    finally:
        for sock in sockets:
            sock.close()


# The log --------------------------------------------------------------------------------------


def test_the_log_has_entries_of_the_server_alone_and_no_traceback(archive):
    for target in ("/files/%0d%0a2026-01-01%2000:00:00,000%20ERROR%20root:%20forged%1b[2J",):
        asked(archive, target)
    forged = b"GET / HTTP/1.1\r\nUser-Agent: \x1b[2J\x01 forged\r\n\r\n"
    assert sent(archive, forged).startswith(b"HTTP/1.1 400")
    log = (archive.folder / "server.log").read_text()
    assert "forged" not in log
    assert "\x1b" not in log
    assert "Traceback" not in log
