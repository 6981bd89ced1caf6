"""An iterator that works ahead gives the same as one that does not."""

from __future__ import annotations

import threading
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vodal.ahead import read_ahead


@given(st.lists(st.integers()), st.integers(1, 3), st.integers(0, 3))
def test_the_items_are_the_same(items, depth, after):
    assert list(read_ahead(iter(items), depth=depth, after=after)) == items


def test_short_iterators_take_no_thread():
    threads = []

    def source():
        threads.append(threading.current_thread())
        yield 1
        threads.append(threading.current_thread())

    assert list(read_ahead(source(), after=2)) == [1]
    assert set(threads) == {threading.current_thread()}


def test_a_failure_comes_after_the_items_before_it():
    def source():
        yield from range(5)
        raise ZeroDivisionError

    ahead = read_ahead(source(), after=1)
    assert list(islice(ahead, 5)) == list(range(5))
    with pytest.raises(ZeroDivisionError):
        next(ahead)


@pytest.mark.parametrize("taken", [0, 1, 2, 3, 7])
def test_closing_stops_the_source_and_the_thread(taken):
    made, closed = [], threading.Event()

    def source():
        try:
            for number in range(1000):
                made.append(number)
                yield number
        finally:
            closed.set()

    ahead = read_ahead(source(), depth=2, after=2)
    assert list(islice(ahead, taken)) == list(range(taken))
    ahead.close()
    assert closed.is_set() == (taken > 0)
    # No further than what may lie ready, and one that is on its way.
    assert len(made) <= taken + 4
    assert not [thread for thread in threading.enumerate() if thread.name == "read-ahead"]
