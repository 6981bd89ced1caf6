"""What a writer holds does not grow with the table."""

from __future__ import annotations

from pathlib import Path

from vodal.tables.formats import FORMATS
from vodal.testing.memory import growth_of


def test_no_writer_holds_a_long_table():
    grown = growth_of(Path(__file__).with_name("memory_of_writers.py"))
    assert len(grown) > len(FORMATS) - 5
    # The longer table is longer by 300,000 rows of 124 bytes, and by more in most formats.
    assert {name: mb for name, mb in grown.items() if mb > 25} == {}
