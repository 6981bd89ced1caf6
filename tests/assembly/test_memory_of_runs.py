"""A run's memory does not grow with the files that it goes through, nor with the catalogue."""

from __future__ import annotations

from pathlib import Path

from vodal.testing.memory import growth_of


def test_memory_does_not_grow_with_the_files_of_a_run():
    grown = growth_of(Path(__file__).with_name("memory_of_runs.py"))
    assert set(grown) == {"survey", "queues", "names"}
    # 90,000 catalogued files more, of each of which 17 bytes are held, and for a moment 16 more.
    # What was held of them all before took 100 MB.
    assert grown["survey"] < 8
    assert grown["queues"] < 4
    assert grown["names"] < 4
