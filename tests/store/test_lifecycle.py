"""Stores of each kind: when rows changed, what is left of what went, what does not come back."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime

from obscore.store.retraction import undo
from obscore.store.tombstones import Why
from obscore.store.turn import next_stamp
from obscore.testing import make_catalogue, make_file, make_observation
from vodal.regions import Circle

WRONG = Why("retracted", "the flat was wrong", "ann")


def one(name: str, **row):
    return make_observation(f"ivo://x/y?{name}", Circle(10.0, 10.0, 0.1), position=(10, 10), **row)


def stamps(case) -> dict[str, str]:
    return dict(case.rows("SELECT obs_publisher_did, last_modified FROM obscore"))


def graves(case) -> dict[str, tuple]:
    rows = case.rows("SELECT obs_publisher_did, kind, reason, deleted FROM tombstones")
    return {row[0].removeprefix("ivo://x/y?"): tuple(row[1:]) for row in rows}


def consistent(case) -> None:
    """See that counts and boxes are those of the rows, and that no row has a tombstone."""
    (rows,) = case.rows("SELECT count(*) FROM obscore")
    assert case.rows("SELECT coalesce(sum(products), 0) FROM facets") == [rows]
    assert case.counts()[2] == rows[0]
    assert not case.rows(
        "SELECT 1 FROM tombstones JOIN obscore"
        " ON tombstones.obs_publisher_did = obscore.obs_publisher_did"
    )


def test_a_row_keeps_its_time_until_its_content_changes(store, case):
    files = [make_file(f"file:///{n}", one(f"{n}a"), one(f"{n}b")) for n in range(3)]
    store.write(files)
    first = stamps(case)
    assert len(set(first.values())) == 1
    # Other rules that make the same rows, and another run.
    store.write([replace(file, mapping_digest="other", run_id=7) for file in files])
    assert stamps(case) == first
    changed = replace(files[1], observations=(one("1a"), one("1b", obs_title="new")))
    store.write([files[0], changed, files[2]])
    second = stamps(case)
    assert {did for did in first if second[did] != first[did]} == {"ivo://x/y?1b"}
    assert second["ivo://x/y?1b"] > first["ivo://x/y?1b"]
    # The pixels of another version may be others, whatever the header says.
    store.write([make_file("file:///2", one("2a"), one("2b"), version="v2")])
    third = stamps(case)
    assert {did[-2:] for did in third if third[did] != second[did]} == {"2a", "2b"}
    consistent(case)


def test_a_moved_file_keeps_the_time_of_its_rows(store, case):
    store.write([make_file("file:///old/a", one("a"))])
    before = stamps(case)
    store.write([make_file("file:///new/a", one("a"))], instead_of=["file:///old/a"])
    assert stamps(case) == before
    assert list(store.known_files()) == ["file:///new/a"]
    assert graves(case) == {}
    consistent(case)


def test_stamps_rise_whatever_the_clock_says(store, case):
    store.write([make_file("file:///a", one("a"))])
    (last,) = stamps(case).values()
    past, later = (
        datetime(2001, 1, 1, tzinfo=UTC),
        datetime(2099, 1, 1, 0, 0, 0, 999_900, tzinfo=UTC),
    )
    behind = store.turn(lambda session: next_stamp(session, past))
    assert behind > last
    assert datetime.fromisoformat(behind) - datetime.fromisoformat(last) < replace_ms(2)
    assert store.turn(lambda session: next_stamp(session, later)) == "2099-01-01T00:00:00.999"
    store.remove(["file:///a"])
    (gone,) = (grave[2] for grave in graves(case).values())
    assert gone > last
    assert store.turn(lambda session: next_stamp(session, past)) > gone


def replace_ms(count: int):
    return datetime(2001, 1, 1, microsecond=1000 * count) - datetime(2001, 1, 1)  # noqa: DTZ001


def test_who_asks_what_changed_since_loses_nothing(store, case):
    """Several writers, and one that follows by the latest stamp it has seen."""
    others = [case.open() for _ in range(2)]

    def write(writer, part: int) -> None:
        for number in range(12):
            writer.write([make_file(f"file:///{part}/{number}", one(f"{part}/{number}"))])

    threads = [
        threading.Thread(target=write, args=item) for item in zip(others, (1, 2), strict=True)
    ]
    for thread in threads:
        thread.start()
    seen: dict[str, str] = {}
    mark = ""
    while True:
        alive = any(thread.is_alive() for thread in threads)
        rows = case.rows(
            f"SELECT obs_publisher_did, last_modified FROM obscore WHERE last_modified > '{mark}'"
        )
        assert not seen.keys() & {row[0] for row in rows}
        seen |= dict(rows)
        mark = max([mark, *(row[1] for row in rows)])
        if not alive:
            break
    for writer in others:
        writer.close()
    assert seen == stamps(case)
    assert len(seen) == 24


def test_what_goes_leaves_a_tombstone_until_it_comes_back(store, case):
    store.write([make_file("file:///a", one("a"), one("b")), make_file("file:///c", one("c"))])
    store.write([make_file("file:///a", one("a"), version="v2")])
    store.remove(["file:///c", "file:///absent"], Why("vanished", "its file is not there any more"))
    found = graves(case)
    assert {name: grave[:2] for name, grave in found.items()} == {
        "b": ("withdrawn", "its file does not hold it any more"),
        "c": ("vanished", "its file is not there any more"),
    }
    assert max(stamps(case).values()) == found["b"][2] < found["c"][2]
    consistent(case)
    store.write([make_file("file:///d", one("b")), make_file("file:///c", one("c"))])
    assert graves(case) == {}
    assert min(stamps(case)[f"ivo://x/y?{name}"] for name in "bc") > found["c"][2]
    consistent(case)


def test_what_is_retracted_does_not_come_back_until_that_is_undone(store, case):
    files = [make_file("file:///a", one("a"), one("b"), one("c")), make_file("file:///d", one("d"))]
    store.write([*files, *make_catalogue(3)])
    assert store.retract(["ivo://x/y?a", "ivo://x/y?absent"], WRONG) == 1
    assert graves(case)["a"][:2] == ("retracted", "the flat was wrong")
    assert store.known_files()["file:///a"].products == 2
    consistent(case)
    gone = store.write([replace(files[0], mapping_digest="other"), files[1]])
    assert gone == {"ivo://x/y?a"}
    later = make_file("file:///a", one("a"), one("b"), version="v2")
    assert store.renew(later, "v1")
    moved = make_file("file:///moved/a", one("a"), one("b"), version="v2")
    assert store.write([moved], instead_of=["file:///a"]) == {"ivo://x/y?a"}
    assert {did[-1] for did in stamps(case) if did.startswith("ivo://x/")} == set("bd")
    assert case.rows("SELECT who FROM tombstones WHERE kind = 'retracted'") == [("ann",)]
    consistent(case)
    assert store.turn(lambda session: undo(session, ["ivo://x/y?a", "ivo://x/y?b"])) == [
        "file:///moved/a"
    ]
    assert graves(case)["a"][0] == "withdrawn"
    assert store.write([moved]) == frozenset()
    assert set(graves(case)) == {"c"}
    consistent(case)


def test_of_a_file_that_is_retracted_as_a_whole_nothing_comes_back(store, case):
    store.write([make_file("file:///a", one("a"), one("b"))])
    assert store.retract(["ivo://x/y?a", "ivo://x/y?b"], WRONG) == 2
    known = store.known_files()["file:///a"]
    assert (known.products, known.version, known.mapping_digest) == (0, "v1", "digest")
    other = make_file("file:///a", one("new"), version="v2")
    assert store.write([other]) == {"ivo://x/y?new"}
    assert stamps(case) == {}
    uris = store.turn(lambda session: undo(session, ["ivo://x/y?b"]))
    assert uris == ["file:///a"]
    assert store.known_files()["file:///a"].mapping_digest == ""
    assert store.write([make_file("file:///a", one("a"), one("b"), one("new"), version="v2")]) == {
        "ivo://x/y?a"
    }
    assert set(stamps(case)) == {"ivo://x/y?b", "ivo://x/y?new"}
    consistent(case)


def test_what_vanished_can_be_retracted_too(store, case):
    store.write([make_file("file:///a", one("a"))])
    store.remove(["file:///a"], Why("vanished"))
    (before,) = graves(case).values()
    assert store.retract(["ivo://x/y?a"], WRONG) == 0
    (after,) = graves(case).values()
    assert after == ("retracted", "the flat was wrong", before[2])
    assert store.write([make_file("file:///a", one("a"))]) == {"ivo://x/y?a"}
