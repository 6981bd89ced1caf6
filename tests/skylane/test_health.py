"""The page of health, when the queue of jobs is well and when it is not."""

from __future__ import annotations

import time

import anyio
import httpx
import pytest

from skylane import site as composed
from skylane.folder import SiteFolder
from skylane.settings import SiteSettings
from skylane.site import create_app
from vodal.errors import ServiceUnavailable
from vodal.uws.metrics import QueueState


@pytest.fixture
def health(tmp_path, monkeypatch):
    """Give a function that asks for health while the queue answers so."""
    settings = SiteSettings()
    folder = SiteFolder(tmp_path)
    folder.prepare(settings.store)
    app = create_app(folder, settings)

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://site") as client:
            return await client.get("/health")

    def asked(state) -> httpx.Response:
        monkeypatch.setattr(composed, "queue_state", lambda _: state())
        return anyio.run(ask)

    return asked


def test_the_queue_is_told(health):
    told = health(lambda: QueueState(3, 2, 7.5)).json()
    assert (told["jobs_queued"], told["jobs_executing"], told["jobs_oldest_wait_s"]) == (3, 2, 7.5)


def test_a_queue_that_fails_is_no_health(health):
    def failing():
        raise ServiceUnavailable("the queue of jobs is not reachable; try again")

    answer = health(failing)
    assert answer.status_code == 503
    assert answer.json()["healthy"] is False
    assert "not reachable" in answer.json()["jobs"]


def test_a_queue_that_hangs_keeps_nobody_waiting(health, monkeypatch):
    monkeypatch.setattr(composed, "_HEALTH_LIMIT_S", 0.1)
    began = time.monotonic()
    answer = health(lambda: time.sleep(1.0))
    assert answer.status_code == 503
    assert answer.json()["jobs"] == "the queue of jobs does not answer"
    assert time.monotonic() - began < 10
