"""Queues of jobs in both databases."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import psycopg
import pytest

from vodal.uws.jobs import Job, Phase, new_id
from vodal.uws.postgres import PostgresJobs
from vodal.uws.sqlite import SqliteJobs
from vodal.uws.store import JobStore


@pytest.fixture(scope="session")
def jobs_database(fresh_postgres) -> str:
    """Give a database for queues: one for all tests, since making one takes a second."""
    return fresh_postgres()


@pytest.fixture(params=["sqlite", "postgres"])
def open_store(request, tmp_path) -> Iterator[Callable[[], JobStore]]:
    """Give a function that opens one more connection to the same queue, as a process would."""
    opened: list[JobStore] = []
    if request.param == "postgres":
        url = request.getfixturevalue("jobs_database")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DROP TABLE IF EXISTS uws_jobs")

    def one_more() -> JobStore:
        store = SqliteJobs(tmp_path / "jobs.db") if request.param == "sqlite" else PostgresJobs(url)
        opened.append(store)
        return store

    yield one_more
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store) -> JobStore:
    return open_store()


@pytest.fixture
def make_job() -> Callable[..., Job]:
    def make(**given) -> Job:
        now = round(time.time(), 3)
        values = {
            "id": new_id(), "service": "test", "phase": Phase.PENDING, "created_unix_s": now,
            "destruction_unix_s": now + 3600, "duration_s": 60, "site_url": "http://site",
            "share": "someone", "owner": "someone",
        }  # fmt: skip
        return Job(**{**values, **given})

    return make
