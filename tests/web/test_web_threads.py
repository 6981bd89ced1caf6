"""Work in threads, and work for clients that go away."""

from __future__ import annotations

import asyncio
import threading
import time

import anyio
import pytest
from starlette.requests import ClientDisconnect, Request

from vodal.web.presence import unless_gone
from vodal.web.threads import in_thread


def test_a_thread_gives_what_the_function_gives():
    async def run():
        assert await in_thread(threading.current_thread) is not threading.main_thread()
        with pytest.raises(ZeroDivisionError):
            await in_thread(lambda: 1 // 0)

    asyncio.run(run())


@pytest.mark.parametrize("outcome", [lambda: 1, lambda: 1 // 0])
def test_a_cancelled_caller_waits_for_the_threads_end(outcome):
    ended = threading.Event()

    def work():
        time.sleep(0.2)
        ended.set()
        return outcome()

    async def run():
        with anyio.move_on_after(0.05) as scope:
            await in_thread(work)
        assert scope.cancelled_caught
        assert ended.is_set()

    asyncio.run(run())


def test_a_caller_cancelled_again_and_again_waits_too():
    ended = threading.Event()

    def work():
        time.sleep(0.3)
        ended.set()

    async def run():
        task = asyncio.create_task(in_thread(work))
        for _ in range(4):
            await asyncio.sleep(0.03)
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended.is_set()

    asyncio.run(run())


def request(gone_after_s):
    async def receive():
        await asyncio.sleep(gone_after_s)
        return {"type": "http.disconnect"}

    return Request({"type": "http", "method": "GET", "headers": []}, receive)


def test_work_whose_client_stays_is_done():
    async def work():
        await asyncio.sleep(0.1)
        return 7

    async def run():
        cancelled = threading.Event()
        assert await unless_gone(request(60), cancelled, work) == 7
        assert not cancelled.is_set()
        with pytest.raises(ZeroDivisionError):
            await unless_gone(request(60), cancelled, lambda: in_thread(lambda: 1 // 0))

    asyncio.run(run())


def test_work_whose_client_goes_is_told_and_left():
    async def run():
        cancelled = threading.Event()
        began = time.monotonic()
        with pytest.raises(ClientDisconnect):
            # The thread ends by the event, not by its time.
            await unless_gone(
                request(0.05), cancelled, lambda: in_thread(lambda: cancelled.wait(20))
            )
        assert cancelled.is_set()
        assert time.monotonic() - began < 10

    asyncio.run(run())


def test_waiting_without_a_thread_ends_with_the_client():
    async def run():
        with pytest.raises(ClientDisconnect):
            await unless_gone(request(0.05), threading.Event(), lambda: asyncio.sleep(20))

    asyncio.run(run())
