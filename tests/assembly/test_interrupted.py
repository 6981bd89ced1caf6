"""Runs that are killed at any moment, again and again, over what changes meanwhile."""

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
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from obscore.store.tombstones import Why
from obscore.testing import unstamped

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
        file.uri: (file.collection, file.mapping_digest, file.index and file.index.to_bytes(),
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
        self.place, self._images, self._rng = root, images, random.Random(seed)
        self._number = 0
        for _ in range(40):
            self._add()

    def uris(self) -> set[str]:
        return {path.as_uri() for path in self.place.rglob("*.fits")}

    def change(self) -> None:
        for act in self._rng.choices([self._add, self._replace, self._remove, self._rename], k=6):
            act()

    def lose(self) -> None:
        self._remove()

    def _add(self) -> None:
        self._number += 1
        path = self.place / f"night{self._number % 5}" / f"{self._number:03d}.fits"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(self._rng.choice(self._images))

    def _some(self) -> Path:
        return self._rng.choice(sorted(self.place.rglob("*.fits")))

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


class Table:
    """A table whose rows come, change, move to other files and go."""

    def __init__(self, place: Path, seed: str) -> None:
        self.place, self._rng = place, random.Random(seed)
        self._number = 0
        self._rows: dict[int, dict[str, object]] = {}
        for _ in range(300):
            self._add()
        self._write()

    def uris(self) -> set[str]:
        return {f"https://archive.example/d/{row['path']}" for row in self._rows.values()}

    def change(self) -> None:
        acts = [self._add, self._replace, self._remove, self._move]
        for act in self._rng.choices(acts, [9, 9, 9, 1], k=40):
            act()
        self._write()

    def lose(self) -> None:
        self._remove()
        self._write()

    def _write(self) -> None:
        aside = self.place.with_suffix(".aside")
        pq.write_table(pa.Table.from_pylist(list(self._rows.values())), aside)
        aside.rename(self.place)

    def _add(self) -> None:
        self._number += 1
        self._rows[self._number] = {
            "path": f"night{self._number % 5}/{self._number:04d}.fits",
            "obs_publisher_did": f"ivo://archive.example/deep?{self._number}",
            "s_ra": self._number * 0.37 % 360.0,
            "s_dec": self._number * 0.11 % 80.0,
            "t_exptime": 30.0,
            "filter": "gri"[self._number % 3],
        }

    def _some(self) -> int:
        return self._rng.choice(sorted(self._rows))

    def _replace(self) -> None:
        self._rows[self._some()]["t_exptime"] = self._rng.uniform(1.0, 60.0)

    def _remove(self) -> None:
        del self._rows[self._some()]

    def _move(self) -> None:
        self._number += 1
        self._rows[self._some()]["path"] = f"moved/{self._number:04d}.fits"


def place(kind: str, tmp_path: Path, image_writer, seed: str) -> Folder | Table:
    if kind == "table":
        return Table(tmp_path / "table.parquet", seed)
    images = [
        image_writer(tmp_path / f"made{number}.fits", shape=(20, 20 + number))
        .read_bytes()
        for number in range(4)
    ]  # fmt: skip
    root = tmp_path / "deep"
    root.mkdir()
    return Folder(root, images, seed)


def kill_again_and_again(where: str, source: Folder | Table, kills: int) -> None:
    """Have runs killed while what they go through changes; some may end before."""
    rng, killed, ended, longest_s = random.Random(kills), 0, 0, 1.0
    with subprocess.Popen(
        [sys.executable, str(SCRIPT), where, str(source.place)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as runs:  # fmt: skip
        while killed < kills and ended < 3 * kills:
            runs.stdin.write("go\n")
            runs.stdin.flush()
            process = int(runs.stdout.readline())
            time.sleep(rng.uniform(0.0, longest_s))
            source.change()
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
    assert killed == kills


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
@pytest.mark.parametrize(("kind", "kills"), [("folder", 10), ("table", 4)])
def test_a_run_that_is_killed_at_any_moment_loses_nothing_and_doubles_nothing(
    tmp_path, image_writer, request, kind, kills, database
):
    fresh = request.getfixturevalue("fresh_postgres") if database == "postgres" else None
    where = fresh() if fresh else str(tmp_path / "killed.db")
    source = place(kind, tmp_path, image_writer, database)
    open_store(where).close()
    kill_again_and_again(where, source, kills)
    run(where, source.place)
    source.lose()
    run(where, source.place)

    other = fresh() if fresh else str(tmp_path / "fresh.db")
    run(other, source.place)
    made, wanted = everything(where), everything(other)
    assert set(made["files"]) == source.uris()
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
    run(where, source.place)
    left = {row[0] for row in query(where, "SELECT obs_publisher_did FROM obscore")}
    assert left == {row[0] for row in query(other, "SELECT obs_publisher_did FROM obscore")} - {did}
