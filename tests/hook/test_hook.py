"""The hook of pipelines, by a real server: who may call, what is taken, what is told."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from astropy.io import fits

from obscore.hook.app import create_hook_app
from obscore.settings import ObsCoreSettings
from obscore.store.base import Backend
from vodal.errors import ServiceUnavailable
from vodal.storage import Storage, StorageSettings
from vodal.testing.archive import serve_archive
from vodal.testing.jobs import make_runner
from vodal.testing.server import serve
from vodal.testing.skies import make_wcs

pytestmark = pytest.mark.xdist_group("hook")

TOKEN = "a-token-of-this-test-9f31"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


def settings_of(root: Path) -> ObsCoreSettings:
    return ObsCoreSettings.model_validate(
        {
            "collections": {"deep": {"folder": str(root), "files": [
                {"pattern": "skipped/*", "skip": True}
            ]}},
            "ingest": {"hook_token": TOKEN, "incomplete_seconds": 1.5},
        }
    )  # fmt: skip


@contextmanager
def running(folder: Path, backend: Backend, jobs: Any = None) -> Iterator[str]:
    """Serve the hook; gives its URL."""
    runner = make_runner(folder, jobs, concurrency=2, lease_s=2.0)
    app = create_hook_app(
        backend=backend, settings=settings_of(folder / "deep"), jobs=runner, public_url=None
    )
    with serve(app) as server:
        yield f"{server.url}/ingest"


@pytest.fixture(scope="module")
def image(tmp_path_factory) -> bytes:
    header = make_wcs(40.0, 5.0, 30, 1.0, distorted=False).to_header()
    path = tmp_path_factory.mktemp("image") / "a.fits"
    fits.PrimaryHDU(np.zeros((30, 30), np.int16), header).writeto(path)
    return path.read_bytes()


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def hook(request, tmp_path_factory, make_backend):
    folder = tmp_path_factory.mktemp("hook")
    (folder / "deep").mkdir()
    backend = make_backend(request.param)
    store = backend.writer()
    with running(folder, backend) as url:
        yield SimpleNamespace(url=url, root=folder / "deep", store=store)
    store.close()


def post(hook, files: object, wait: float | None = None, **headers: str) -> httpx.Response:
    params = {} if wait is None else {"wait": str(wait)}
    return httpx.post(
        hook.url, json=files, params=params, headers=HEADERS | headers, timeout=90
    )  # fmt: skip


def put(hook, name: str, content: bytes) -> str:
    path = hook.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return str(path)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
        {"Authorization": "Bearer \u00e9\u00e8".encode("latin-1").decode("latin-1")},
    ],
)
def test_only_who_shows_the_token_is_heard(hook, image, headers, caplog):
    path = put(hook, "unheard.fits", image)
    encoded = {name: value.encode("latin-1") for name, value in headers.items()}
    with caplog.at_level(logging.DEBUG):
        answers = [
            httpx.post(hook.url, json=[path], headers=encoded, timeout=60),
            httpx.get(f"{hook.url}/{'a' * 26}", headers=encoded, timeout=60),
        ]
    for answer in answers:
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert TOKEN not in answer.text
        assert "Authorization: Bearer TOKEN" in answer.json()["error"]
    assert TOKEN not in "".join(
        record.getMessage() for record in caplog.records if not record.name.startswith("http")
    )
    assert hook.store.known_among([Path(path).as_uri()]) == {}


def test_files_are_in_the_catalogue_when_the_answer_says_so(hook, image):
    good, bad = put(hook, "night/a.fits", image), put(hook, "night/page.fits", b"<html>")
    left = put(hook, "skipped/a.fits", image)
    outside = "/etc/passwd.fits"
    answer = post(hook, {"files": [good, bad, left, outside, good]}, wait=60)
    assert answer.status_code == 200
    told = answer.json()
    assert (told["status"], told["accepted"]) == ("done", 4)
    assert told["refused"] == [
        {"file": outside, "message": f"'{outside}' is not below the folder of a collection"}
    ]
    files = {one["file"]: one for one in told["files"]}
    assert files[Path(good).as_uri()] == {
        "file": Path(good).as_uri(),
        "path": "night/a.fits",
        "collection": "deep",
        "status": "added",
        "dids": ["ivo://skylane.example/deep?night/a.fits"],
    }
    assert files[Path(bad).as_uri()]["reason"] == "not-fits"
    assert files[Path(left).as_uri()]["status"] == "skipped"
    assert len(files) == 3
    known = hook.store.known_among([Path(one).as_uri() for one in (good, bad, left)])
    assert set(known) == {Path(good).as_uri()}
    # Once more nothing is done; a file that was replaced is read anew.
    again = post(hook, [good], wait=60).json()
    assert [one["status"] for one in again["files"]] == ["unchanged"]
    put(hook, "night/a.fits", image + bytes(2880))
    again = post(hook, [good], wait=60).json()
    assert [one["status"] for one in again["files"]] == ["updated"]


def test_without_waiting_an_address_tells_what_becomes_of_the_files(hook, image):
    path = put(hook, "later.fits", image)
    answer = post(hook, [path])
    assert answer.status_code == 202
    told = answer.json()
    assert told["status"] in {"waiting", "working"}
    assert told["status_url"].startswith(f"{hook.url}/")
    assert answer.headers["location"] == told["status_url"]
    state = httpx.get(told["status_url"], params={"wait": "60"}, headers=HEADERS, timeout=90).json()
    assert state["status"] == "done"
    assert [one["status"] for one in state["files"]] == ["added"]


def test_half_written_files_are_waited_for(hook, image):
    path = put(hook, "short.fits", image[:4000])
    missing = str(hook.root / "missing.fits")
    url = post(hook, [path, missing]).json()["status_url"]
    time.sleep(0.4)
    assert hook.store.known_among([Path(path).as_uri()]) == {}
    put(hook, "short.fits", image)
    put(hook, "missing.fits", image)
    state = httpx.get(url, params={"wait": "60"}, headers=HEADERS, timeout=90).json()
    assert [one["status"] for one in state["files"]] == ["added", "added"]
    path = put(hook, "shorter.fits", image[:4000])
    none = str(hook.root / "none.fits")
    state = post(hook, [path, none], wait=60).json()
    reasons = {one["file"].rpartition("/")[2]: one["reason"] for one in state["files"]}
    assert reasons == {"shorter.fits": "truncated", "none.fits": "unreadable"}


def test_a_store_that_is_away_for_a_moment_is_waited_for(hook, image, monkeypatch):
    kind, left = type(hook.store), [2]
    write = kind.write

    def flaky(self: object, files: object, **more: object) -> object:
        if left[0]:
            left[0] -= 1
            raise ServiceUnavailable("the database does not answer")
        return write(self, files, **more)

    monkeypatch.setattr(kind, "write", flaky)
    monkeypatch.setattr("obscore.hook.work._PAUSE_S", 0.05)
    told = post(hook, [put(hook, "patient.fits", image)], wait=60).json()
    assert [one["status"] for one in told["files"]] == ["added"]
    assert left == [0]


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"", 400, "the body takes JSON"),
        (b"{", 400, "the body takes JSON"),
        (b"[" * 100_000, 400, "the body takes JSON"),
        (b"[]", 400, "with one or more"),
        (b"{}", 400, "with one or more"),
        (b'{"files": "a"}', 400, "with one or more"),
        (b'{"files": ["/a"], "x": 1}', 400, "with one or more"),
        (b"[1]", 400, "with one or more"),
        (b'"/a.fits"', 400, "with one or more"),
        (json.dumps(["/a.fits"] * 10_001).encode(), 413, "at most 10000 files"),
        (b'["/etc/passwd.fits"]', 400, "none of the files is taken"),
    ],
)
def test_bodies_that_are_none_get_a_sentence(hook, body, status, says):
    answer = httpx.post(hook.url, content=body, headers=HEADERS, timeout=60)
    assert answer.status_code == status
    assert says in answer.json()["error"]


@pytest.mark.parametrize("wait", ["x", "-1", "1e9", "nan"])
def test_a_wait_that_is_none_is_refused(hook, wait):
    answer = httpx.post(f"{hook.url}?wait={wait}", json=["/a"], headers=HEADERS, timeout=60)
    assert answer.status_code == 400
    assert "wait takes seconds" in answer.json()["error"]


def test_unknown_jobs_and_other_methods_are_told(hook):
    answer = httpx.get(f"{hook.url}/{'a' * 26}", headers=HEADERS, timeout=60)
    assert answer.status_code == 404
    assert httpx.get(hook.url, headers=HEADERS, timeout=60).status_code == 405


def test_what_was_accepted_is_done_by_the_next_server(tmp_path, image, make_backend):
    (tmp_path / "deep").mkdir()
    backend = make_backend("sqlite")
    hook = SimpleNamespace(root=tmp_path / "deep")
    paths = [put(hook, f"{number}.fits", image[:4000]) for number in range(3)]
    with running(tmp_path, backend) as url:
        hook.url = url
        address = post(hook, paths).json()["status_url"].rpartition("/")[2]
        time.sleep(0.3)
    for number in range(3):
        put(hook, f"{number}.fits", image)
    with running(tmp_path, backend) as url:
        state = httpx.get(
            f"{url}/{address}", params={"wait": "60"}, headers=HEADERS, timeout=90
        ).json()
        assert [one["status"] for one in state["files"]] == ["added"] * 3
    store = backend.writer()
    assert len(store.known_files()) == 3
    store.close()


def test_files_on_servers_are_named_by_their_addresses(tmp_path, make_backend, image):
    backend = make_backend("sqlite", [])
    (tmp_path / "www" / "deep" / "night 1").mkdir(parents=True)
    (tmp_path / "www" / "deep" / "night 1" / "a.fits").write_bytes(image)
    with serve_archive(tmp_path / "www") as archive:
        storage = Storage(StorageSettings(http_hosts=(archive.host,), attempts=1))
        settings = ObsCoreSettings.model_validate(
            {
                "collections": {"far": {"folder": f"{archive.url}/deep/"}},
                "ingest": {"hook_token": TOKEN, "incomplete_seconds": 1.5},
            }
        )
        app = create_hook_app(
            backend=backend, settings=settings, jobs=make_runner(tmp_path, concurrency=2),
            public_url=None, storage=storage,
        )  # fmt: skip
        there, absent = (f"{archive.url}/deep/night%201/{name}.fits" for name in "ab")
        with serve(app) as server:
            told = httpx.post(
                f"{server.url}/ingest", json=[there, absent, f"{archive.url}/other/a.fits"],
                params={"wait": 60}, headers=HEADERS, timeout=90,
            ).json()  # fmt: skip
        storage.close()
    files = {one["file"]: one for one in told["files"]}
    assert files[there]["dids"] == ["ivo://skylane.example/far?night%201/a.fits"]
    assert files[absent]["reason"] == "unreadable"
    assert [one["file"] for one in told["refused"]] == [f"{archive.url}/other/a.fits"]
    row = backend.resolver().resolve(files[there]["dids"])
    assert [product.uri for product in row.values()] == [there]
