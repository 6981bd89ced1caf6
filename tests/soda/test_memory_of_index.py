"""What a server holds while it writes what became of a job does not grow with the job."""

from __future__ import annotations

from pathlib import Path

from vodal.testing.memory import growth_of


def test_ten_times_as_many_cutouts_take_hardly_more_memory():
    grown = growth_of(Path(__file__).with_name("memory_of_index.py"))
    assert set(grown) == {"index", "worklist"}
    # The cache of what is sorted fills up; the rows are 10 MB more, and held cost twice as much.
    assert {what: mb for what, mb in grown.items() if mb > 12} == {}
