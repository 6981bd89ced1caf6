"""Servers of cutouts and of their jobs, as processes that can be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

XLINK = "{http://www.w3.org/1999/xlink}href"


@dataclass
class Server:
    """One server process."""

    url: str
    process: subprocess.Popen

    def submit(self, params, files=None, **more) -> str:
        """Make a job and run it; gives its id."""
        data = {"PHASE": "RUN", **params, **more}
        answer = httpx.post(f"{self.url}/async", data=data, files=files, timeout=60)
        assert answer.status_code == 303, answer.text
        return answer.headers["location"].rpartition("/")[2]

    def get(self, path, **params):
        return httpx.get(f"{self.url}/async/{path}", params=params, timeout=60)

    def job(self, job_id, wait="0") -> dict[str, str | None]:
        answer = self.get(job_id, WAIT=wait)
        assert answer.status_code == 200, answer.text
        root = ET.fromstring(answer.content)
        found = {element.tag.rpartition("}")[2]: element.text for element in root}
        info = root.find("{*}jobInfo")
        return found | ({} if info is None else {child.tag: child.text for child in info})

    def until(self, job_id, *phases, limit_s=60.0):
        end = time.monotonic() + limit_s
        while (job := self.job(job_id, "1"))["phase"] not in phases:
            assert time.monotonic() < end, job
        return job

    def results(self, job_id) -> dict[str, dict[str, str]]:
        """Give the results by their ids: mime-type, size, href."""
        root = ET.fromstring(self.get(f"{job_id}/results").content)
        return {
            one.get("id"): {**one.attrib, "href": one.get(XLINK)}
            for one in root.findall("{*}result")
        }

    def result(self, job_id, name) -> httpx.Response:
        answer = httpx.get(self.results(job_id)[name]["href"], timeout=60)
        assert answer.status_code == 200, answer.text
        return answer

    def error(self, job_id) -> str:
        answer = self.get(f"{job_id}/error")
        assert answer.headers["content-type"].startswith("text/plain")
        return answer.text

    def state(self) -> dict:
        return httpx.get(self.url.removesuffix("/soda") + "/state").json()

    def metric(self, name, **labels) -> float:
        """Give a value of /metrics."""
        text = httpx.get(self.url.removesuffix("/soda") + "/metrics").text
        samples = (s for family in text_string_to_metric_families(text) for s in family.samples)
        return next(s.value for s in samples if s.name == name and s.labels == labels)

    def suspend(self) -> None:
        """Let it do nothing."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Let it end in good order."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


def start_server(stack: ExitStack, folder: Path, files, **settings) -> Server:
    script = Path(__file__).with_name("soda_server.py")
    process = stack.enter_context(
        subprocess.Popen(
            [sys.executable, script, folder, json.dumps(settings), *files],
            stdout=subprocess.PIPE, text=True, env={**os.environ},
        )
    )  # fmt: skip
    stack.callback(process.kill)
    url = process.stdout.readline().strip()
    assert url, "the server did not start"
    return Server(url, process)


@pytest.fixture
def start(tmp_path):
    """Give a function that starts one more server on the same queue and results."""
    with ExitStack() as stack:
        yield lambda files, **settings: start_server(stack, tmp_path / "jobs", files, **settings)


@pytest.fixture(scope="module")
def job_server(survey, tmp_path_factory):
    """A server of the survey that nobody kills."""
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("server")
        files = [exposure.path for exposure in survey.exposures]
        yield start_server(
            stack, folder, files, soda={"max_combinations": 30, "max_output_bytes": 3_000_000}
        )
