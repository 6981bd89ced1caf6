"""Rows put in order on disk, against sorted()."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soda.ordering import RowSorter

keys = st.tuples(
    st.text(st.characters(codec="utf-8"), max_size=6), st.integers(-(2**63), 2**63 - 1)
)


@settings(max_examples=50, deadline=None)
@given(rows=st.dictionaries(keys, st.binary(max_size=20), max_size=60))
def test_rows_come_in_the_order_of_their_keys(rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("order") / "rows"
    with RowSorter(path) as sorter:
        for (text, number), row in rows.items():
            sorter.add(text, number, row)
        for _ in range(2):
            assert list(sorter.rows()) == [row for _, row in sorted(rows.items())]
    assert not path.exists()


def test_what_an_earlier_run_left_is_replaced(tmp_path):
    path = tmp_path / "rows"
    path.write_bytes(b"half of something")
    with RowSorter(path) as sorter:
        sorter.add("", 1, b"one")
        assert list(sorter.rows()) == [b"one"]


_MANY = """
import random, resource, sys
from pathlib import Path
from soda.ordering import RowSorter
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
numbers = list(range(100_000))
random.Random(3).shuffle(numbers)
with RowSorter(Path(sys.argv[1])) as sorter:
    sorter.add("", -1, b"x")
    list(sorter.rows())
    before = peak()
    for number in numbers:
        sorter.add("u%d" % (number % 7), number, b"r" * 1000)
    count = 0
    for row in sorter.rows():
        count += 1
    assert count == 100_001
    print(peak() - before)
"""


@pytest.mark.skipif(not hasattr(resource, "getrusage"), reason="no getrusage")
def test_a_hundred_megabytes_of_rows_take_no_memory(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", _MANY, tmp_path / "rows"], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 40_000  # KiB; the rows have a hundred thousand
