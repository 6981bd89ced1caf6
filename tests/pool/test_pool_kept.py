"""Arguments that workers keep, and results in shared memory."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
import pool_jobs as jobs
from test_warm_pool import run, until

from vodal.errors import ArchiveError
from vodal.pool import frames
from vodal.pool.kept import KeptByWorker
from vodal.pool.memory import SharedPart


def sent(value, server, worker):
    """Bring a value across; gives the bytes on the way and what arrives."""
    data = b"".join(bytes(part) for part in frames.pack(value, server))
    head = int.from_bytes(data[:8], "little")
    at, parts = 8 + 8 * head, []
    for number in range(head):
        length = int.from_bytes(data[8 + 8 * number : 16 + 8 * number], "little")
        parts.append(bytearray(data[at : at + length]))
        at += length
    return len(data), frames.unpack(parts, worker)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(st.integers(0, 90), min_size=1, max_size=3), max_size=300))
def test_what_arrives_is_what_was_sent_whatever_was_sent_before(calls):
    larges = [jobs.Large(str(number), bytes(5000)) for number in range(91)]
    server, worker = KeptByWorker(), KeptByWorker()
    last: list[int] = []
    for call in calls:
        size, arrived = sent((1, [larges[number] for number in call]), server, worker)
        assert arrived == (1, [larges[number] for number in call])
        if set(call) <= set(last):
            assert size < 5000
        last = call


def test_what_could_not_be_sent_is_not_taken_for_known():
    server, worker = KeptByWorker(), KeptByWorker()
    large = jobs.Large("a", bytes(5000))
    with pytest.raises(Exception, match="pickle"):
        frames.pack((large, lambda: None), server)
    size, arrived = sent(large, server, worker)
    assert size > 5000
    assert arrived == large


def test_a_worker_keeps_what_it_was_sent():
    async def scenario(pool):
        one, other = jobs.Large("one", bytes(100)), jobs.Large("other", bytes(100))
        assert (await pool.run(jobs.look, one))[1:] == ("one", False)
        assert (await pool.run(jobs.look, other))[1:] == ("other", False)
        assert (await pool.run(jobs.look, one))[1:] == ("one", True)
        # A worker that takes another's place knows nothing.
        os.kill(pool.pids[0], 9)
        await until(lambda: pool.stats.lost == 1 and pool.stats.workers == 1)
        assert (await pool.run(jobs.look, one))[1:] == ("one", False)

    run(scenario, workers=1)


def test_a_request_that_a_worker_cannot_read_costs_the_worker_alone():
    async def scenario(pool):
        with pytest.raises(ArchiveError, match="failed inside the service"):
            await pool.run(jobs.look, jobs.Unreadable())
        large = jobs.Large("large", bytes(100))
        assert (await pool.run(jobs.look, large))[1] == "large"
        with pytest.raises((TypeError, AttributeError)):
            await pool.run(jobs.add, large, lambda: None)
        assert (await pool.run(jobs.look, large))[1] == "large"

    run(scenario, workers=1)


def test_results_in_shared_memory_are_whole_and_their_buffers_come_back():
    async def scenario(pool):
        held = []
        # One worker and two spare ones have three buffers; a fourth result is sent.
        for value in range(4):
            found, buffer = await pool.run_shared(jobs.write_shared, value, 70_000)
            held.append((value, found, buffer))
        assert [buffer is None for *_, buffer in held] == [False, False, False, True]
        for value, found, buffer in held:
            whole = found if buffer is None else buffer.view(found)
            assert bytes(whole) == bytes([value]) * 70_000
        for *_, buffer in held[:3]:
            pool.give_back(buffer)
        found, buffer = await pool.run_shared(jobs.write_shared, 9, 10)
        assert isinstance(found, SharedPart)
        assert bytes(buffer.view(found)) == b"\x09" * 10
        # What is larger than a buffer is sent.
        found, _ = await pool.run_shared(jobs.write_shared, 5, (1 << 20) + 1)
        assert found == b"\x05" * ((1 << 20) + 1)

    run(scenario, workers=1, shared_bytes=1 << 20)


def test_without_shared_memory_results_are_sent(monkeypatch):
    def refuse(fd, length):
        raise OSError(27, "File too large")

    monkeypatch.setattr(os, "ftruncate", refuse)
    before = {path.name for path in Path("/proc/self/fd").iterdir()}

    async def scenario(pool):
        found, buffer = await pool.run_shared(jobs.write_shared, 7, 1000)
        assert buffer is None
        assert found == b"\x07" * 1000

    run(scenario, workers=1, shared_bytes=1 << 20)
    assert {path.name for path in Path("/proc/self/fd").iterdir()} == before


def test_a_large_result_leaves_no_more_memory_than_is_kept():
    async def scenario(pool):
        found, buffer = await pool.run_shared(jobs.write_shared, 1, 100 << 20)
        assert os.fstat(buffer.fd).st_blocks * 512 >= 100 << 20
        pool.give_back(buffer)
        assert os.fstat(buffer.fd).st_blocks * 512 <= 64 << 20
        assert isinstance(found, SharedPart)

    run(scenario, workers=1, shared_bytes=1 << 28)


def test_a_buffer_is_nobodys_until_the_worker_of_a_cancelled_request_is_done(tmp_path):
    async def scenario(pool):
        go = tmp_path / "go"
        task = asyncio.ensure_future(pool.run_shared(jobs.write_shared, 1, 1000, go))
        await until(lambda: pool.stats.idle == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # Two workers: the other goes on, in other buffers.
        held = [await pool.run_shared(jobs.write_shared, 2, 1000) for _ in range(3)]
        assert all(buffer is not None for _, buffer in held)
        found, none = await pool.run_shared(jobs.write_shared, 3, 1000)
        assert none is None
        assert found == b"\x03" * 1000
        go.touch()
        await until(lambda: pool.stats.idle == 2)
        assert all(bytes(buffer.view(part)) == b"\x02" * 1000 for part, buffer in held)
        _, again = await pool.run_shared(jobs.write_shared, 4, 1000)
        assert again is not None

    run(scenario, workers=2, shared_bytes=1 << 20, grace_s=50.0)


def test_the_buffer_of_a_worker_that_died_comes_back(tmp_path):
    async def scenario(pool):
        for number in range(5):
            value, buffer = await pool.run_shared(jobs.write_and_die, tmp_path / str(number))
            assert value is None
            pool.give_back(buffer)
        assert pool.stats.lost == 5
        await until(lambda: pool.stats.workers == 1)
        held = [await pool.run_shared(jobs.write_shared, 1, 10) for _ in range(3)]
        assert all(buffer is not None for _, buffer in held)

    run(scenario, workers=1, shared_bytes=1 << 20)
