"""The pool at work for a job: how much is begun ahead, and what becomes of it."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future

import pytest
from prometheus_client import CollectorRegistry

from soda.bulk import BulkWork
from soda.metrics import CutoutMetrics
from vodal.errors import DataError, ServiceUnavailable
from vodal.pool import WarmPool
from vodal.uws.jobs import Job, Phase
from vodal.uws.results import JobFolder, StoppedError
from vodal.uws.tasks import Stop, Task


@pytest.fixture
def work(tmp_path):
    """Give the work of a run, by a pool of three that has not been started."""
    job = Job("job", "soda", Phase.EXECUTING, 0.0, 0.0, 0, "http://127.0.0.1", "me")
    task = Task(job, JobFolder(tmp_path), 1)
    loop = asyncio.new_event_loop()
    yield BulkWork(task, WarmPool(3), loop, CutoutMetrics(CollectorRegistry()))
    loop.close()


def test_as_many_are_begun_as_there_are_workers(work):
    begun = []

    def begin():
        for number in range(7):
            begun.append(number)
            yield number, None

    seen = [(number, len(begun)) for number, _ in work.in_turn(begin())]
    # With each that is looked at, it and the two behind it have been begun.
    assert seen == [(0, 3), (1, 4), (2, 5), (3, 6), (4, 7), (5, 7), (6, 7)]


def test_what_was_begun_in_vain_is_cancelled(work):
    futures = [Future() for _ in range(5)]
    begun = iter(enumerate(futures))
    turns = work.in_turn(begun)
    assert next(turns) == (0, futures[0])
    futures[0].set_result("made")
    assert next(turns) == (1, futures[1])
    turns.close()
    assert [one.cancelled() for one in futures] == [False, True, True, True, False]
    assert next(begun) == (4, futures[4])


def test_a_failure_to_begin_cancels_what_is_before_it(work):
    futures = [Future(), Future()]

    def begin():
        yield from enumerate(futures)
        raise ServiceUnavailable("the catalogue is not there")

    with pytest.raises(ServiceUnavailable, match="catalogue"):
        next(work.in_turn(begin()))
    assert all(one.cancelled() for one in futures)


def test_what_is_known_already_is_not_waited_for(work):
    error = DataError("the file is damaged")
    assert work.wait(None) is None
    assert work.wait(error) is error
    made = Future()
    made.set_result("made")
    assert work.wait(made) == "made"


def test_nobody_waits_for_a_pool_that_is_not_there(work):
    for failure in (DataError("damaged"), TimeoutError("the pool's own")):
        failed = Future()
        failed.set_exception(failure)
        with pytest.raises((DataError, ServiceUnavailable), match=r"damaged|not made in time"):
            work.wait(failed)


def test_a_run_that_has_to_end_waits_no_longer(work):
    coming = Future()
    work.task.cancel(Stop.SHUTDOWN)
    with pytest.raises(StoppedError):
        work.wait(coming)
    assert coming.cancelled()
