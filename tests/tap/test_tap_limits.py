"""Limits and fairness over the wire: runaway queries, clients that leave, many at once."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from urllib.parse import urlencode

import httpx
import pytest
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.routing import Mount

from obscore.app import create_apps
from obscore.store.sqlite.backend import SqliteBackend
from obscore.tap.settings import TapSettings
from vodal.testing.server import serve

RUNAWAY = (
    "SELECT COUNT(*) AS n FROM ivoa.obscore AS a, ivoa.obscore AS b, ivoa.obscore AS c"
    " WHERE a.s_ra + b.s_ra + c.s_ra < -1"
)
ENDLESS = "SELECT a.* FROM ivoa.obscore AS a, ivoa.obscore AS b, ivoa.obscore AS c"
QUICK = "SELECT TOP 1 obs_id FROM ivoa.obscore"


def given(query, **more):
    return {"LANG": "ADQL", "QUERY": query, **more}


class Counted:
    """A service whose metrics can be asked for."""

    def __init__(self, database, **limits):
        self.registry = CollectorRegistry()
        tap = create_apps(
            backend=SqliteBackend(database) if isinstance(database, Path) else database,
            settings=TapSettings(**limits),
            registry=self.registry,
        ).tap
        self.app = Starlette(
            routes=[Mount("/tap", tap)], lifespan=lambda _: tap.router.lifespan_context(tap)
        )

    def value(self, name, **labels):
        return self.registry.get_sample_value(f"skylane_tap_{name}", labels or None) or 0.0

    def ended(self, outcome):
        return self.value("queries_total", mode="sync", outcome=outcome)

    def wait_for(self, condition, limit_s=5.0):
        until = time.monotonic() + limit_s
        while not condition():
            assert time.monotonic() < until, "it did not happen in time"
            time.sleep(0.01)


def leave_early(port, query, wait_s=0.3, **more):
    """Send a query, wait a little, and go away without reading."""
    target = "/tap/sync?" + urlencode(given(query, **more))
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        time.sleep(wait_s)


def test_a_query_is_counted_by_how_it_ended(tap):
    service = Counted(tap.database, sync_limit_s=2)
    with serve(service.app) as server:
        url = f"{server.url}/tap/sync"
        assert httpx.get(url, params=given(QUICK)).status_code == 200
        httpx.get(url, params=given("SELECT obs_id FROM ivoa.obscore", MAXREC="3"))
        httpx.get(url, params=given("SELECT nothing FROM ivoa.obscore"))
        assert httpx.get(url, params=given(RUNAWAY)).status_code == 503
        service.wait_for(lambda: service.ended("deadline"))
    assert [service.ended(o) for o in ("ok", "overflow", "refused", "deadline")] == [1, 1, 1, 1]
    assert service.value("rows_total", mode="sync") == 4
    assert service.value("query_seconds_count", mode="sync") == 4
    assert service.value("queries_running") == service.value("queries_waiting") == 0


def test_an_answer_says_where_its_time_went(tap):
    answer = httpx.get(f"{tap.url}/sync", params=given(QUICK), headers={"Origin": "http://x"})
    stages = [part.partition(";dur=") for part in answer.headers["server-timing"].split(", ")]
    assert [name for name, _, _ in stages] == ["queue", "translate", "first-rows"]
    assert all(float(milliseconds) >= 0 for _, _, milliseconds in stages)
    assert "Server-Timing" in answer.headers["access-control-expose-headers"]


@pytest.mark.parametrize("query", [RUNAWAY, ENDLESS], ids=["computing", "sending"])
def test_a_client_that_goes_away_stops_its_query(tap, query):
    service = Counted(tap.database, sync_limit_s=60)
    with serve(service.app) as server:
        leave_early(server.port, query, MAXREC="10000000")
        began = time.monotonic()
        service.wait_for(lambda: service.ended("gone") and not service.value("queries_running"))
        assert time.monotonic() - began < 5.0


def test_a_client_that_goes_away_while_it_waits_leaves_the_queue(tap):
    service = Counted(tap.database, sync_limit_s=60, connections=1)
    with serve(service.app) as server:
        gone = threading.Thread(target=leave_early, args=(server.port, RUNAWAY, 1.5))
        gone.start()
        service.wait_for(lambda: service.value("queries_running") == 1)
        leave_early(server.port, QUICK)
        service.wait_for(lambda: service.ended("gone") == 1)
        assert service.value("queries_waiting") == 0
        gone.join()


def test_runaway_queries_stop_at_their_deadline_and_others_keep_their_pace(tap):
    # A processor is left free for short queries wherever there are two.
    service = Counted(tap.database, sync_limit_s=3.0, long_queries=1)
    with serve(service.app) as server, httpx.Client() as client:
        url = f"{server.url}/tap/sync"

        def quick(count):
            times = []
            for _ in range(count):
                began = time.monotonic()
                assert client.get(url, params=given(QUICK)).status_code == 200
                times.append(time.monotonic() - began)
            return median(times)

        quick(5)
        alone = quick(30)
        answers = []

        def run_away():
            # Another user than the one with short queries.
            headers = {"X-Forwarded-For": "192.0.2.1"}
            answers.append(httpx.get(url, params=given(RUNAWAY), headers=headers, timeout=30))

        began = time.monotonic()
        runaways = [threading.Thread(target=run_away) for _ in range(4)]
        for thread in runaways:
            thread.start()
        service.wait_for(lambda: service.value("queries_running") == 4)
        time.sleep(0.5)
        beside = quick(30)
        for thread in runaways:
            thread.join()
        assert time.monotonic() - began < 8.0
        assert [answer.status_code for answer in answers] == [503] * 4
        assert beside < max(0.1, 10 * alone), (alone, beside)


def test_one_user_with_many_queries_does_not_keep_another_waiting(tap):
    service = Counted(tap.database, connections=2, queries_per_user=2, sync_limit_s=0.3)
    with serve(service.app) as server:
        url = f"{server.url}/tap/sync"
        limits = httpx.Limits(max_connections=None)
        with httpx.Client(limits=limits, timeout=60) as greedy, httpx.Client() as modest:

            def ask():
                greedy.get(url, params=given(RUNAWAY), headers={"X-Forwarded-For": "192.0.2.1"})

            threads = [threading.Thread(target=ask) for _ in range(20)]
            for thread in threads:
                thread.start()
            service.wait_for(lambda: service.value("queries_waiting") >= 15)
            began = time.monotonic()
            answer = modest.get(
                url, params=given(QUICK), headers={"X-Forwarded-For": "192.0.2.2"}, timeout=30
            )
            waited_s = time.monotonic() - began
            left = service.value("queries_waiting")
            for thread in threads:
                thread.join()
        assert answer.status_code == 200
        assert waited_s < 1.5
        assert left >= 8


def test_too_many_are_sent_away_with_the_time_to_come_back(tap):
    service = Counted(tap.database, connections=1, waiting=1, sync_limit_s=1.0, wait_limit_s=0.2)
    with serve(service.app) as server:
        url = f"{server.url}/tap/sync"
        thread = threading.Thread(target=httpx.get, args=(url,), kwargs={"params": given(RUNAWAY)})
        thread.start()
        service.wait_for(lambda: service.value("queries_running") == 1)
        late = httpx.get(url, params=given(QUICK))
        thread.join()
        assert late.status_code == 503
        assert int(late.headers["retry-after"]) >= 1
        assert "waited 0.2 s for its turn" in late.text
        assert service.ended("busy") == 1


def test_slow_clients_keep_neither_places_nor_threads(tap):
    service = Counted(
        tap.database, connections=2, queries_per_user=2, slow_clients=2, wait_limit_s=10
    )
    with serve(service.app) as server, ExitStack() as closing:
        target = "/tap/sync?" + urlencode(given(ENDLESS, MAXREC="10000000"))
        clients = [closing.enter_context(socket.socket()) for _ in range(2)]
        for client in clients:
            # Not so small that reading on would take a minute, by a few kB for each answer.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 18)
            client.connect(("127.0.0.1", server.port))
            client.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        service.wait_for(lambda: service.value("queries_running") == 2)
        service.wait_for(lambda: service.value("queries_running") == 0)
        answer = httpx.get(f"{server.url}/tap/sync", params=given(QUICK), timeout=15)
        assert answer.status_code == 200
        # They read on, and their answers go on.
        for client in clients:
            client.settimeout(10)
            read = 0
            while read < 8_000_000:
                piece = client.recv(1 << 20)
                assert piece, f"cut after {read} bytes"
                read += len(piece)
            client.close()
        service.wait_for(lambda: service.ended("gone") == 2)
        assert service.value("queries_running") == 0
