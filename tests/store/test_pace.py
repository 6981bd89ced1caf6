"""Long computations take turns; short ones do not wait for them."""

from __future__ import annotations

import threading
import time

import pytest

from obscore.store.pace import Lane
from vodal.ahead import read_ahead


def test_a_short_computation_never_waits():
    lane = Lane(1, after_s=10.0)
    assert lane.enter(lambda: False)
    with lane.pace().working():
        pass
    lane.leave()


def test_a_long_one_waits_and_can_be_told_to_stop():
    lane = Lane(1, after_s=0.0)
    assert lane.enter(lambda: False)
    pace = lane.pace()
    stopped = threading.Event()

    def compute():
        with pace.working(stopped.is_set):
            time.sleep(0.01)
            pace.breathe(stopped.is_set)

    thread = threading.Thread(target=compute)
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
    stopped.set()
    thread.join(5)
    assert not thread.is_alive()
    assert not lane.crowded
    lane.leave()
    assert lane.enter(lambda: True)


@pytest.mark.parametrize("slots", [1, 2])
def test_long_ones_share_the_slots_fairly_and_no_more_run(slots):
    lane = Lane(slots, after_s=0.0, slice_s=0.005)
    lock = threading.Lock()
    now, most, work = 0, 0, [0] * 4
    until = time.monotonic() + 0.6

    def compute(number):
        nonlocal now, most
        pace = lane.pace()
        with pace.working():
            time.sleep(0.001)
            while time.monotonic() < until:
                pace.breathe()
                with lock:
                    now += 1
                    most = max(most, now)
                time.sleep(0.001)
                with lock:
                    now -= 1
                work[number] += 1

    threads = [threading.Thread(target=compute, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert most == slots
    assert min(work) * 6 > max(work), work
    # All slots are free again.
    assert all(lane.enter(lambda: True) for _ in range(slots))


def test_the_work_of_an_iterator_is_counted_and_the_iterator_closed():
    lane = Lane(1, after_s=0.01)
    closed = []

    def items():
        try:
            for number in range(5):
                time.sleep(0.01)
                yield number
        finally:
            closed.append(True)

    pace = lane.pace()
    paced = pace.over(items())
    assert [next(paced), next(paced), next(paced)] == [0, 1, 2]
    # Between two items it holds no slot.
    assert lane.enter(lambda: True)
    stopped = pace.over(iter(()), lambda: True)
    assert list(stopped) == []
    lane.leave()
    paced.close()
    assert closed == [True]


def test_an_error_within_gives_the_slot_free():
    lane = Lane(1, after_s=0.0)
    pace = lane.pace()

    def fail():
        with pace.working():
            time.sleep(0.001)
            pace.breathe()
            raise KeyError

    for _ in range(2):
        with pytest.raises(KeyError):
            fail()
    assert lane.enter(lambda: True)


@pytest.mark.parametrize("slots", [1, 2])
def test_threads_of_one_computation_share_a_slot_and_never_wait_for_each_other(slots):
    lane = Lane(slots, after_s=0.0, slice_s=0.002)

    def read(pace):
        for number in range(60):
            with pace.working():
                time.sleep(0.001)
                pace.breathe()
                time.sleep(0.001)
                pace.breathe()
            yield number

    answers = {}

    def answer(number):
        pace = lane.pace()
        answers[number] = list(pace.over(read_ahead(read(pace))))

    threads = [threading.Thread(target=answer, args=(number,), daemon=True) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert answers == {number: list(range(60)) for number in range(4)}
    # All slots are free again, and no more than there were.
    assert all(lane.enter(lambda: True) for _ in range(slots))
    assert not lane.enter(lambda: True)


def test_a_second_thread_goes_on_while_the_first_waits_for_their_slot():
    lane = Lane(1, after_s=0.0, slice_s=0.0)
    assert lane.enter(lambda: False)
    pace = lane.pace()
    ready = threading.Event()

    def compute():
        with pace.working():
            time.sleep(0.001)
            ready.set()
            pace.breathe()

    first = threading.Thread(target=compute, daemon=True)
    first.start()
    ready.wait(5)
    while not lane.crowded:
        time.sleep(0.001)
    with pace.working(lambda: pytest.fail("it waited")):
        pace.breathe(lambda: pytest.fail("it waited"))
    lane.leave()
    first.join(5)
    assert not first.is_alive()
    assert lane.enter(lambda: True)
    assert not lane.enter(lambda: True)
