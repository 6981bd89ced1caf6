from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import pool_jobs as jobs

from vodal.errors import (
    ArchiveError,
    DeadlineError,
    MultiValuedParamNotSupported,
    QueryError,
    ServiceUnavailable,
    TooLargeError,
)
from vodal.pool import WarmPool


def run(scenario, workers=2, **options):
    """Run a scenario in a pool; afterwards no process of it may live."""

    async def main():
        pool = WarmPool(workers, **options)
        async with pool:
            await scenario(pool)
            pids = pool.pids
        for pid in pids:
            assert not alive(pid)

    asyncio.run(asyncio.wait_for(main(), 60))


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        await asyncio.sleep(0.02)


def test_work_is_done_in_other_processes_that_were_initialized():
    async def scenario(pool):
        pids = await asyncio.gather(*(pool.run(jobs.nap, 0.05) for _ in range(4)))
        assert set(pids) == set(pool.pids)
        assert os.getpid() not in pids
        assert await pool.run(jobs.add, 2, 3) == 5
        assert await pool.run(jobs.is_warm)
        assert pool.stats.answered == 6

    run(scenario, initializer=jobs.warm_up)


def test_workers_import_nothing_of_the_server():
    async def scenario(pool):
        names = await pool.run(jobs.modules)
        heads = {name.partition(".")[0] for name in names}
        assert "base64" in names
        assert not heads & {"starlette", "sqlalchemy", "uvicorn", "pyarrow"}
        assert "__mp_main__" not in names

    run(scenario, workers=1, preload=["base64"])


def test_errors_cross_intact_and_foreign_ones_are_not_shown():
    async def scenario(pool):
        with pytest.raises(QueryError, match="no such column") as caught:
            await pool.run(jobs.fail, "query")
        assert (caught.value.line, caught.value.column) == (3, 7)
        with pytest.raises(MultiValuedParamNotSupported):
            await pool.run(jobs.fail, "multi")
        with pytest.raises(ServiceUnavailable) as later:
            await pool.run(jobs.fail, "later")
        assert later.value.retry_after_s == 42
        with pytest.raises(ArchiveError) as foreign:
            await pool.run(jobs.fail, "foreign")
        assert "secret" not in str(foreign.value)
        with pytest.raises(ArchiveError):
            await pool.run(jobs.unpicklable)
        assert pool.stats.lost == 0

    run(scenario, workers=1)


def test_large_values_pass_without_stopping_the_loop():
    async def scenario(pool):
        longest = 0.0

        async def watch():
            nonlocal longest
            while True:
                # Of the loop's own thread: others may hold the processor.
                begin = time.thread_time()
                await asyncio.sleep(0.001)
                longest = max(longest, time.thread_time() - begin)

        watcher = asyncio.ensure_future(watch())
        result = await pool.run(jobs.big, 100_000_000)
        watcher.cancel()
        assert isinstance(result, bytearray)
        assert len(result) == 100_000_000
        assert result[-1] == (100_000_000 - 1) % 256
        assert longest < 0.5
        assert await pool.run(jobs.size, np.arange(1e6)) == (8_000_000, 999999.0)

    run(scenario, workers=1)


def test_a_killed_worker_is_replaced_and_its_request_answered(tmp_path):
    async def scenario(pool):
        first = await pool.run(jobs.die_once, tmp_path / "died")
        assert first != int((tmp_path / "died").read_text())
        await until(lambda: pool.stats.workers == 2)
        assert pool.stats.lost == 1

    run(scenario)


def test_kill_9_from_outside_in_the_middle_of_a_request(tmp_path):
    async def scenario(pool):
        task = asyncio.ensure_future(pool.run(jobs.hold, tmp_path / "go", tmp_path / "pid"))
        await until((tmp_path / "pid").exists)
        victim = int((tmp_path / "pid").read_text())
        os.kill(victim, signal.SIGKILL)
        (tmp_path / "go").touch()
        assert await task != victim
        assert not alive(victim) or victim not in pool.pids

    run(scenario)


def test_a_request_that_may_not_run_twice_fails_cleanly(tmp_path):
    async def scenario(pool):
        with pytest.raises(ServiceUnavailable, match="ended"):
            await pool.run(jobs.die_once, tmp_path / "died", retry=False)
        assert await pool.run(jobs.add, 1, 1) == 2

    run(scenario, workers=1)


def test_a_request_that_always_kills_fails_after_two_workers():
    async def scenario(pool):
        with pytest.raises(ServiceUnavailable, match="ended"):
            await pool.run(jobs.segfault)
        assert pool.stats.lost == 2
        assert await pool.run(jobs.add, 1, 1) == 2

    run(scenario, workers=1)


def test_an_idle_worker_that_dies_is_replaced():
    async def scenario(pool):
        old = pool.pids[0]
        os.kill(old, signal.SIGKILL)
        await until(lambda: pool.pids and old not in pool.pids)
        assert await pool.run(jobs.add, 1, 1) == 2

    run(scenario, workers=1)


def test_the_deadline_kills_only_the_worker_that_is_late(tmp_path):
    async def scenario(pool):
        other = asyncio.ensure_future(pool.run(jobs.hold, tmp_path / "go"))
        await until(lambda: pool.stats.idle == 1)
        with pytest.raises(DeadlineError, match=r"0\.3 s"):
            await pool.run(jobs.nap, 3600.0, deadline_s=0.3)
        (tmp_path / "go").touch()
        assert await other in pool.pids
        await until(lambda: pool.stats.workers == 2)
        assert pool.stats.lost == 1

    run(scenario)


def test_the_deadline_counts_the_queue(tmp_path):
    async def scenario(pool):
        busy = asyncio.ensure_future(pool.run(jobs.hold, tmp_path / "go"))
        await until(lambda: not pool.stats.idle)
        with pytest.raises(DeadlineError, match="waited"):
            await pool.run(jobs.add, 1, 1, deadline_s=0.2)
        (tmp_path / "go").touch()
        await busy
        assert pool.stats.lost == 0
        assert await pool.run(jobs.add, 1, 1) == 2

    run(scenario, workers=1)


def test_a_full_queue_refuses_with_a_time_to_come_back(tmp_path):
    async def scenario(pool):
        tasks = [asyncio.ensure_future(pool.run(jobs.hold, tmp_path / "go")) for _ in range(3)]
        await until(lambda: pool.stats.waiting == 2)
        with pytest.raises(ServiceUnavailable) as caught:
            await pool.run(jobs.add, 1, 1)
        assert caught.value.retry_after_s >= 1
        (tmp_path / "go").touch()
        assert len(set(await asyncio.gather(*tasks))) == 1

    run(scenario, workers=1, max_queue=2)


def test_requests_are_served_in_order():
    async def scenario(pool):
        done = []

        async def one(number):
            await pool.run(jobs.nap, 0.01)
            done.append(number)

        await asyncio.gather(*(one(number) for number in range(10)))
        assert done == list(range(10))

    run(scenario, workers=1)


def test_a_cancelled_request_leaves_its_worker_the_time_to_end():
    async def scenario(pool):
        pid = pool.pids
        short = asyncio.ensure_future(pool.run(jobs.nap, 0.3))
        await until(lambda: not pool.stats.idle)
        short.cancel()
        assert await pool.run(jobs.add, 1, 1) == 2
        assert pool.pids == pid

    run(scenario, workers=1, grace_s=50.0)


def test_the_worker_of_a_cancelled_request_that_does_not_end_is_killed():
    async def scenario(pool):
        pid = pool.pids
        long = asyncio.ensure_future(pool.run(jobs.nap, 60.0))
        await until(lambda: not pool.stats.idle)
        long.cancel()
        assert await pool.run(jobs.add, 1, 1) == 2
        assert pool.pids != pid

    run(scenario, workers=1, grace_s=0.5)


def test_a_cancelled_request_leaves_the_queue(tmp_path):
    async def scenario(pool):
        busy = asyncio.ensure_future(pool.run(jobs.hold, tmp_path / "go"))
        waiting = asyncio.ensure_future(pool.run(jobs.nap, 0.0))
        await until(lambda: pool.stats.waiting == 1)
        waiting.cancel()
        await until(lambda: pool.stats.waiting == 0)
        assert not busy.done()
        (tmp_path / "go").touch()
        await busy
        assert await pool.run(jobs.add, 1, 1) == 2

    run(scenario, workers=1, max_queue=1)


def test_memory_over_the_limit_fails_by_name_and_the_worker_is_replaced():
    async def scenario(pool):
        old = pool.pids
        with pytest.raises(TooLargeError, match="500 MB"):
            await pool.run(jobs.hog, 800)
        assert await pool.run(jobs.hog, 10) == 10 << 20
        assert pool.pids != old

    run(scenario, workers=1, memory_limit_bytes=500_000_000, preload=["numpy"])


def test_workers_are_recycled_without_a_gap():
    async def scenario(pool):
        pids = {await pool.run(jobs.pid) for _ in range(5)}
        assert len(pids) == 1
        for _ in range(200):
            pids.add(await pool.run(jobs.nap, 0.01))
            if len(pids) > 1:
                break
        assert len(pids) == 2
        await until(lambda: pool.stats.recycled >= 1)
        assert pool.stats.lost == 0
        await until(lambda: pool.stats.workers == 1)

    run(scenario, workers=1, max_jobs=5)


def test_a_pool_that_cannot_start_says_so():
    async def main(**options):
        with pytest.raises(ArchiveError, match="could not start"):
            await WarmPool(2, **options).start()

    asyncio.run(main(preload=["no_such_module"]))
    asyncio.run(main(initializer=jobs.refuse_to_start))


def test_a_pool_that_does_not_run_refuses():
    async def main():
        pool = WarmPool(1)
        with pytest.raises(ServiceUnavailable):
            await pool.run(jobs.pid)
        await pool.start()
        task = asyncio.ensure_future(pool.run(jobs.nap, 60.0))
        queued = asyncio.ensure_future(pool.run(jobs.pid))
        await until(lambda: pool.stats.waiting == 1)
        pids = pool.pids
        await pool.stop()
        for one in (task, queued):
            with pytest.raises(ServiceUnavailable):
                await one
        assert not any(alive(pid) for pid in pids)

    asyncio.run(main())


def test_no_worker_outlives_a_server_that_is_killed(tmp_path):
    script = f"""
import asyncio, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import pool_jobs
from vodal.pool import WarmPool

async def main():
    async with WarmPool(2) as pool:
        asyncio.ensure_future(pool.run(pool_jobs.nap, 60.0))
        while pool.stats.idle == 2:
            await asyncio.sleep(0.01)
        print(*pool.pids, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as server:
        pids = [int(word) for word in server.stdout.readline().split()]
        assert len(pids) == 2
        server.kill()
    end = time.monotonic() + 5
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_bulk_work_leaves_a_worker_free_and_is_served_last(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"

    async def scenario(pool):
        def begin(name, gate, **options):
            return asyncio.ensure_future(pool.run(jobs.hold, gate, tmp_path / name, **options))

        tasks = [begin(f"bulk{n}", first if n < 2 else second, bulk=True) for n in range(4)]
        await until(lambda: pool.stats.bulk_at_work == 2)
        assert (pool.stats.bulk_waiting, pool.stats.idle) == (2, 1)
        tasks += [begin("now0", first), begin("now1", second), begin("now2", second)]
        await until(lambda: (pool.stats.idle, pool.stats.waiting) == (0, 2))
        # Now three workers get free; of those that wait the bulk work came first.
        first.touch()
        await until(lambda: all((tmp_path / name).exists() for name in ("now1", "now2")))
        assert pool.stats.bulk_at_work <= 1
        second.touch()
        await asyncio.gather(*tasks)
        assert (pool.stats.bulk_at_work, pool.stats.bulk_waiting, pool.stats.idle) == (0, 0, 3)

    run(scenario, workers=3)


def test_bulk_work_waits_beyond_deadline_and_queue_limit(tmp_path):
    deadline_s = 1.5

    async def scenario(pool):
        gate = tmp_path / "go"
        first = asyncio.ensure_future(pool.run(jobs.hold, gate, deadline_s=60.0))
        await until(lambda: not pool.stats.idle)
        later = [asyncio.ensure_future(pool.run(jobs.pid, bulk=True)) for _ in range(6)]
        with pytest.raises(ServiceUnavailable, match="busy"):
            await pool.run(jobs.pid)
        await asyncio.sleep(1.1 * deadline_s)
        gate.touch()
        assert set(await asyncio.gather(first, *later)) == set(pool.pids)
        with pytest.raises(DeadlineError):
            await pool.run(jobs.nap, 3600, bulk=True)
        assert await pool.run(jobs.add, 1, 2, bulk=True) == 3

    # The one worker of a pool does both, what somebody waits for first.
    run(scenario, workers=1, max_queue=0, deadline_s=deadline_s)


def test_bulk_work_that_is_cancelled_or_dies_gives_its_place_back():
    async def scenario(pool):
        running = asyncio.ensure_future(pool.run(jobs.nap, 30, bulk=True))
        await until(lambda: pool.stats.bulk_at_work)
        waiting = asyncio.ensure_future(pool.run(jobs.nap, 30, bulk=True))
        await until(lambda: pool.stats.bulk_waiting)
        for task in (waiting, running):
            task.cancel()
        await asyncio.gather(waiting, running, return_exceptions=True)
        assert await pool.run(jobs.add, 1, 1, bulk=True) == 2
        with pytest.raises(ServiceUnavailable, match="ended"):
            await pool.run(jobs.segfault, bulk=True)
        assert await pool.run(jobs.add, 2, 2, bulk=True) == 4
        assert pool.stats.bulk_at_work == 0

    run(scenario, grace_s=0.1)


def test_bulk_work_that_waits_is_told_of_the_end():
    async def scenario(pool):
        naps = [asyncio.ensure_future(pool.run(jobs.nap, 30, bulk=True)) for _ in range(3)]
        await until(lambda: pool.stats.bulk_at_work)
        await pool.stop()
        outcomes = await asyncio.gather(*naps, return_exceptions=True)
        assert all(isinstance(outcome, ServiceUnavailable) for outcome in outcomes)

    run(scenario)
