"""Prints by how many MB the peak of memory grows from a job to one of ten times as many cutouts.

Nothing is cut: the ledger of each job is written, then what is made of it. A process for each of
these, forked off one that has loaded all.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from soda.jobs import CutoutJobs
from soda.ledger import WORKLIST, Ledger
from soda.outcomes import Outcome, Status
from soda.output import Output
from soda.packing import Packing
from soda.selection import Selection
from soda.settings import SodaSettings
from soda.worklist import Item, Worklist, list_items
from vodal.regions import Circle
from vodal.testing.memory import print_growth
from vodal.uws.jobs import Job, Phase
from vodal.uws.results import JobFolder
from vodal.uws.tasks import Task

FEW, MANY = 4_000, 40_000
"""Cutouts."""


def task_in(folder: Path) -> Task:
    """Give the run of a job."""
    job = Job("job", "soda", Phase.EXECUTING, 0.0, 0.0, 0, "http://127.0.0.1", "me", claim=1)
    return Task(job, JobFolder(folder), 1 << 40)


def outcome(number: int) -> Outcome:
    """Give what became of a cutout; hardly a text is that of another."""
    did = f"ivo://example.org/survey?night{number % 300}/visit{number}.fits"
    region = f"POS=CIRCLE {number / 777!r} {number / 7777!r} 0.001"
    digest = f"{number * 0x9E3779B97F4A7C15:064x}"[-64:]
    return Outcome(
        number, number, did, region, Status.OK, "", f"target_{number:06d}.fits", 10_080, digest
    )


def index(count: int, folder: Path) -> None:
    """Write the ledger of a job, and its results."""
    task = task_in(folder)
    jobs = CutoutJobs(None, None, SodaSettings(), lambda _: ())  # type: ignore[arg-type]
    with Ledger(task, None) as ledger:
        ledger.begin()
        # As files are gone through, not in the order of the table.
        for number in range(count):
            ledger.add(outcome(number * 7919 % count + 1))
        jobs._finish(task, ledger, Packing.FILES, Output())
    assert task.results[0].name == "index"


def worklist(count: int, folder: Path) -> None:
    """Write a worklist and read it, as a run does."""
    selection = Selection(Circle(150.1, 2.2, 0.001))
    ones = map(outcome, range(1, count + 1))
    list_items(
        (Item(one.number, one.row, one.did, one.did, one.region, one.file_name, "", selection)
         for one in ones),
        folder / WORKLIST,
    )  # fmt: skip
    assert sum(1 for _ in Worklist(folder / WORKLIST).items()) == count


def in_folder(make: Callable[[int, Path], None], count: int) -> None:
    """Make it of so many cutouts."""
    with tempfile.TemporaryDirectory() as folder:
        make(count, Path(folder))


if __name__ == "__main__":
    works = {make.__name__: partial(in_folder, make) for make in (index, worklist)}
    print_growth(works, (FEW, MANY))
