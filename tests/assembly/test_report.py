"""What a run tells of many files at once is what it tells of each."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obscore.assembly.recording import RecordedRun, counted
from obscore.assembly.report import (
    ROWS_WITHDRAWN,
    FileReport,
    Summary,
    WrittenColumns,
    json_lines,
    tell_columns,
)
from obscore.assembly.rulebook import RuleBook
from obscore.settings import ObsCoreSettings
from vodal.storage import LOCAL


@given(st.lists(st.tuples(st.booleans(), st.lists(st.text(max_size=3), max_size=2)), max_size=9))
def test_files_by_column_are_counted_as_each_is(some):
    written = WrittenColumns(
        "deep",
        [f"file:///d/{at}" for at in range(len(some))],
        [str(at) for at in range(len(some))],
        [known for known, _ in some],
        [f"ivo://a/deep?{at}" for at in range(len(some))],
        {at: tuple(notes) for at, (_, notes) in enumerate(some) if notes},
    )
    quick, slow = Summary(), Summary()
    for summary in (quick, slow):
        summary.statuses["refused"] = 1
    quick.add_columns(written)
    for report in written:
        slow.add(report)
    assert quick == slow
    assert 0 not in quick.statuses.values()
    assert [(one.uri, one.path, one.dids, one.notes) for one in written] == [
        (f"file:///d/{at}", str(at), (f"ivo://a/deep?{at}",), tuple(notes))
        for at, (_, notes) in enumerate(some)
    ]
    assert written.to_json() == "".join(f"{one.to_json()}\n" for one in written)


def test_who_takes_many_at_once_is_told_so_and_others_of_each(tmp_path, memory_store):
    uris = ["file:///d/é", "file:///d/b"]
    some = WrittenColumns(
        "deep", uris, ["é", "b"], [False, True], ["ivo://a/deep?é", "ivo://b"], {}
    )
    each = []
    tell_columns(each.append, some)
    assert each == list(some)
    run = RecordedRun(memory_store, RuleBook(ObsCoreSettings(), LOCAL), "ingest", "ingest")
    with json_lines(tmp_path / "report.jsonl") as report:
        tell_columns(counted(report, run), some)
    lines = (tmp_path / "report.jsonl").read_text().splitlines()
    assert [json.loads(line)["status"] for line in lines] == ["added", "updated"]
    assert lines == [one.to_json() for one in some]
    assert run._counts == {"added": 1, "updated": 1}


@pytest.mark.parametrize(("number", "words"), [(1, "1 {}"), (2, "2 {}s")])
def test_a_summary_counts_as_people_do(number, words):
    summary = Summary(passed_over=number, seconds=1.0)
    for at in range(number):
        summary.add(
            FileReport(f"file:///{at}.fits", "", "deep", "added", dids=(f"ivo://a/b?{at}",))
        )
    head, rows, passed_over = summary.lines()
    assert head.startswith(words.format("file") + " in 1.0 s")
    assert rows == f"{words.format('row')} written"
    assert passed_over == f"{words.format('file')} not named as FITS passed over"


def test_a_summary_tells_of_rows_that_went():
    summary, other = Summary(), Summary()
    report = FileReport("file:///a.fits", "", "deep", "refused", "row:order")
    other.add(replace(report, notes=(ROWS_WITHDRAWN,)))
    summary.add(report)
    summary.merge(other)
    assert summary.withdrawn == 1
    assert "rows of 1 file withdrawn: refused now" in summary.lines()
