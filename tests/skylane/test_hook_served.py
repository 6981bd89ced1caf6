"""The hook of pipelines in a whole site: queryable when the answer says so, and after a crash."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from astropy.io import fits

from skylane.settings import load_settings
from vodal.errors import SettingsError
from vodal.testing.skies import make_wcs

TOKEN = "token-of-a-site-77c1f0"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
SETTINGS = """
[obscore.collections.deep]
folder = "{folder}"
[obscore.ingest]
hook_token = "{token}"
[soda]
workers = 1
[jobs]
lease_s = 1.0
"""


def image_bytes(folder: Path) -> bytes:
    header = make_wcs(40.0, 5.0, 30, 1.0, distorted=False).to_header()
    fits.PrimaryHDU(np.zeros((30, 30), np.int16), header).writeto(folder / "one.fits")
    return (folder / "one.fits").read_bytes()


def rows(url: str) -> set[str]:
    asked = {
        "LANG": "ADQL", "RESPONSEFORMAT": "csv",
        "QUERY": "SELECT obs_publisher_did FROM ivoa.obscore",
    }  # fmt: skip
    answer = httpx.post(f"{url}/tap/sync", data=asked, timeout=60).raise_for_status()
    return {line.rpartition("?")[2].strip('"') for line in answer.text.split()[1:]}


def test_files_are_served_when_the_answer_says_so_and_a_killed_server_loses_none(tmp_path, cli):
    data = tmp_path / "deep"
    data.mkdir()
    (tmp_path / "skylane.toml").write_text(SETTINGS.format(folder=data, token=TOKEN))
    content = image_bytes(tmp_path)
    process, url = cli.start(tmp_path)
    log = tmp_path / "server.log"
    try:
        (data / "a.fits").write_bytes(content)
        answer = httpx.post(
            f"{url}/ingest", params={"wait": "60"}, json=[str(data / "a.fits")],
            headers=HEADERS, timeout=90,
        )  # fmt: skip
        assert answer.status_code == 200, answer.text
        assert [one["status"] for one in answer.json()["files"]] == ["added"]
        assert rows(url) == {"a.fits"}
        cut = {"ID": "ivo://skylane.example/deep?a.fits", "CIRCLE": "40.0 5.0 0.002"}
        assert httpx.get(f"{url}/soda/sync", params=cut, timeout=60).status_code == 200
        assert httpx.post(f"{url}/ingest", json=["/a"], timeout=60).status_code == 401
        # One that is half written is waited for, and the server is killed.
        (data / "b.fits").write_bytes(content[:4000])
        told = httpx.post(
            f"{url}/ingest", json=[str(data / "b.fits")], headers=HEADERS, timeout=60
        ).json()
        number = told["status_url"].rpartition("/")[2]
        time.sleep(0.3)
        process.send_signal(signal.SIGKILL)
        process.wait(20)
        said = log.read_text()
        (data / "b.fits").write_bytes(content)
        process, url = cli.start(tmp_path)
        state = {}
        until = time.monotonic() + 120
        while state.get("status") != "done":
            assert time.monotonic() < until, state
            state = httpx.get(
                f"{url}/ingest/{number}", params={"wait": "20"}, headers=HEADERS, timeout=60
            ).json()
        assert [one["status"] for one in state["files"]] == ["added"]
        assert rows(url) == {"a.fits", "b.fits"}
    finally:
        cli.stop(process)
    assert TOKEN not in said + log.read_text()


@pytest.mark.parametrize(
    "token", ["short-secret", "with blanks in the secret", "sécret-of-umlauts-x"]
)
def test_a_bad_token_is_refused_without_telling_it(tmp_path, token):
    (tmp_path / "skylane.toml").write_text(SETTINGS.format(folder=tmp_path, token=token))
    with pytest.raises(SettingsError, match=r"hook_token.*16 characters") as caught:
        load_settings(tmp_path)
    assert token not in str(caught.value)


def test_the_token_is_told_by_nothing_that_prints_settings(tmp_path):
    (tmp_path / "skylane.toml").write_text(SETTINGS.format(folder=tmp_path, token=TOKEN))
    settings = load_settings(tmp_path)
    assert settings.obscore.ingest.hook_token is not None
    assert settings.obscore.ingest.hook_token.get_secret_value() == TOKEN
    assert TOKEN not in repr(settings) + str(settings) + str(settings.model_dump())
