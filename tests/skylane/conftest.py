"""A whole site: made by the command line, served by a real server."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from access_site import Archive, archive_in

from skylane.settings import SiteSettings
from vodal.testing.skies import Survey, make_survey

SKYLANE = Path(sys.executable).with_name("skylane")
START_S = 300.0
WATCH_S = 120.0


@dataclass
class Site:
    """A running site and what is true of it."""

    url: str
    folder: Path
    survey: Survey
    process: subprocess.Popen[str]
    rows: list[dict[str, str]] = field(default_factory=list)

    def dids_around(self, ra: float, dec: float, radius: float) -> list[str]:
        """Ask the service itself in another way: by distance of the corners, in Python."""
        from vodal.regions import Circle, parse_shape
        from vodal.sphere import intersects

        circle = Circle(ra, dec, radius)
        return [
            row["obs_publisher_did"]
            for row in self.rows
            if intersects(parse_shape(row["s_region"]), circle)
        ]


def run(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command line; it must succeed."""
    done = subprocess.run(
        [str(SKYLANE), *map(str, arguments)],
        cwd=cwd, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def start(folder: Path, *extra: str) -> tuple[subprocess.Popen[str], str]:
    """Start ``skylane serve`` on a free port; gives the process and the site's URL."""
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            [str(SKYLANE), "serve", "--site", str(folder), "--port", "0", *extra],
            stdout=log, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        text = (folder / "server.log").read_text()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", text)
        if found:
            url = f"http://127.0.0.1:{found[1]}"
            try:
                if httpx.get(f"{url}/health", timeout=5).status_code == 200:
                    return process, url
            except httpx.HTTPError:
                pass
        if process.poll() is not None:
            break
        time.sleep(0.1)
    process.kill()
    pytest.fail("the server did not start:\n" + (folder / "server.log").read_text())


def stop(process: subprocess.Popen[str]) -> None:
    """Stop a server as an operator would."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(20)
        pytest.fail("the server did not stop when it was told to")


class Watcher:
    """A watching process, with its lines."""

    def __init__(self, site: Path, *extra: str) -> None:
        self._log = site / f"watch{time.monotonic_ns()}.log"
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [str(SKYLANE), "ingest", "--watch", "--site", str(site), "--workers", "1", *extra],
                stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip

    @property
    def said(self) -> str:
        return self._log.read_text()

    def until(self, true: Callable[[], object], pause_s: float = 0.02) -> None:
        end = time.monotonic() + WATCH_S
        while not true():
            assert self.process.poll() is None, self.said
            assert time.monotonic() < end, self.said
            time.sleep(pause_s)

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


@pytest.fixture(scope="session")
def cli() -> SimpleNamespace:
    """The command line: ``run``, ``start``, ``stop``, ``watcher``, ``report_of``, its ``path``."""
    return SimpleNamespace(
        run=run, start=start, stop=stop, watcher=Watcher, report_of=report_of, path=str(SKYLANE)
    )


@pytest.fixture(scope="session")
def site_settings() -> SiteSettings:
    return SiteSettings()


@pytest.fixture(scope="session")
def site_folder(tmp_path_factory) -> tuple[Path, Survey]:
    """A site with a small survey, ingested, and its HiPS."""
    folder = tmp_path_factory.mktemp("site")
    survey = make_survey(
        folder / "data" / "demo", exposures=12, size=320, scale_arcsec=0.8, seed=11
    )
    run("ingest", folder / "data" / "demo", "--site", folder)
    run("hips", "build", "demo", "--site", folder)
    return folder, survey


@pytest.fixture(scope="session")
def site(site_folder) -> Iterator[Site]:
    folder, survey = site_folder
    process, url = start(folder)
    answer = httpx.post(
        f"{url}/tap/sync",
        data={"LANG": "ADQL", "RESPONSEFORMAT": "csv", "QUERY": "SELECT * FROM ivoa.obscore"},
    )
    answer.raise_for_status()
    import csv

    rows = list(csv.DictReader(answer.text.splitlines()))
    yield Site(url, folder, survey, process, rows)
    stop(process)


@pytest.fixture(scope="session")
def archive(tmp_path_factory, cli) -> Iterator[Archive]:
    """A site with rules, and images of each kind of right."""
    yield from archive_in(tmp_path_factory.mktemp("access"), cli)


def report_of(folder: Path) -> list[dict]:
    """Read the newest report of the assembly line."""
    newest = max((folder / "reports").glob("*.jsonl"), key=os.path.getmtime)
    return [json.loads(line) for line in newest.read_text("utf-8").splitlines()]
