"""Runs that are killed at any moment, again and again, over a folder that changes meanwhile."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import apsw
import psycopg
import pytest

from obscore.store.tombstones import Why
from obscore.testing import unstamped

KILLS = 10
SCRIPT = Path(__file__).with_name("killed_runs.py")


def _script():
    spec = importlib.util.spec_from_file_location("killed_runs", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


killed_runs = _script()
open_store, run = killed_runs.open_store, killed_runs.run


def query(where: str, sql: str) -> list[tuple]:
    if "://" not in where:
        connection = apsw.Connection(where)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()
    with psycopg.connect(where, options="-c search_path=skylane,public") as connection:
        return connection.execute(sql).fetchall()


def everything(where: str) -> dict[str, object]:
    """Give all that a catalogue holds, but for internal numbers and moments."""
    store = open_store(where)
    files = {
        file.uri: (file.collection, file.mapping_digest, file.index.to_bytes(),
                   [unstamped(one) for one in file.observations])
        for file in store.files_after("", 100_000)
    }  # fmt: skip
    store.close()
    boxes = (
        "SELECT obs_publisher_did, s_cap::text, s_region_array FROM obscore ORDER BY 1"
        if "://" in where
        else "SELECT obs_publisher_did, xmin, xmax, ymin, ymax, zmin, zmax FROM obscore_rtree AS t"
        " JOIN obscore ON obscore.id = t.id ORDER BY 1"
    )
    return {
        "files": files,
        "boxes": query(where, boxes),
        "facets": query(where, "SELECT * FROM facets ORDER BY 1"),
        "orphans": query(
            where, "SELECT 1 FROM obscore WHERE file_id NOT IN (SELECT id FROM files)"
        ),
    }  # fmt: skip


class Folder:
    """A folder whose files come, change, move and go."""

    def __init__(self, root: Path, images: list[bytes], seed: str) -> None:
        self.root, self._images, self._rng = root, images, random.Random(seed)
        self._number = 0
        for _ in range(40):
            self._add()

    def change(self) -> None:
        for act in self._rng.choices([self._add, self._replace, self._remove, self._rename], k=6):
            act()

    def _add(self) -> None:
        self._number += 1
        path = self.root / f"night{self._number % 5}" / f"{self._number:03d}.fits"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(self._rng.choice(self._images))

    def _some(self) -> Path:
        return self._rng.choice(sorted(self.root.rglob("*.fits")))

    def _replace(self) -> None:
        self._some().write_bytes(self._rng.choice(self._images))

    def _remove(self) -> None:
        self._some().unlink()

    def _rename(self) -> None:
        one, other = self._some(), self._some()
        aside = one.with_suffix(".aside")
        one.rename(aside)
        if one != other:
            other.rename(one)
        aside.rename(other)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_run_that_is_killed_at_any_moment_loses_nothing_and_doubles_nothing(
    tmp_path, image_writer, request, kind
):
    fresh = request.getfixturevalue("fresh_postgres") if kind == "postgres" else None
    where = fresh() if fresh else str(tmp_path / "killed.db")
    images = [
        image_writer(tmp_path / f"made{number}.fits", shape=(20, 20 + number))
        .read_bytes()
        for number in range(4)
    ]  # fmt: skip
    root = tmp_path / "deep"
    root.mkdir()
    folder = Folder(root, images, kind)
    open_store(where).close()
    rng, killed, ended, longest_s = random.Random(kind), 0, 0, 1.0
    with subprocess.Popen(
        [sys.executable, str(SCRIPT), where, str(root)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as runs:  # fmt: skip
        while killed < KILLS and ended < 3 * KILLS:
            runs.stdin.write("go\n")
            runs.stdin.flush()
            process = int(runs.stdout.readline())
            time.sleep(rng.uniform(0.0, longest_s))
            folder.change()
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
            status = int(runs.stdout.readline())
            assert status in {0, -signal.SIGKILL}
            if status:
                killed += 1
            else:
                ended += 1
                longest_s = max(0.05, 0.7 * longest_s)
        runs.stdin.close()
    assert killed == KILLS
    run(where, root)

    other = fresh() if fresh else str(tmp_path / "fresh.db")
    run(other, root)
    made, wanted = everything(where), everything(other)
    assert set(made["files"]) == {path.as_uri() for path in root.rglob("*.fits")}
    assert made == wanted
    assert not made["orphans"]
    # What went on the way is told of, and nothing that is there.
    assert not query(
        where,
        "SELECT 1 FROM tombstones JOIN obscore"
        " ON tombstones.obs_publisher_did = obscore.obs_publisher_did",
    )
    ((gone,),) = query(where, "SELECT count(*) FROM tombstones")
    assert gone > 0

    # A second run finds nothing to do, and what was retracted stays away from it.
    ((did,), *_) = query(where, "SELECT obs_publisher_did FROM obscore ORDER BY 1")
    store = open_store(where)
    store.retract([did], Why("retracted"))
    store.close()
    run(where, root)
    left = {row[0] for row in query(where, "SELECT obs_publisher_did FROM obscore")}
    assert left == {row[0] for row in query(other, "SELECT obs_publisher_did FROM obscore")} - {did}
