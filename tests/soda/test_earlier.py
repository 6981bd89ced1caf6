"""Cutouts of an earlier output among those that are made anew."""

from __future__ import annotations

import zlib
from hashlib import sha256

import pytest

from soda.earlier import Earlier
from soda.outcomes import Outcome, Status
from soda.selection import Selection
from soda.worklist import Item, Worklist, list_items
from vodal.archives import ARCHIVES
from vodal.errors import ArchiveError

COUNT = 12
GONE, DAMAGED, OTHER = 4, 6, 9
"""A file that is not there any more, one that was changed, one that is not asked for now."""


def status_of(number):
    return {2: Status.ERROR, 3: Status.NO_OVERLAP, 8: Status.ERROR}.get(number, Status.OK)


def body_of(number):
    return bytes([number]) * (700 + number)


@pytest.fixture(params=["folder", "tar", "zip"])
def earlier(request, tmp_path):
    """An output with its log, as an earlier run left it; 4 is gone, 6 damaged."""
    archive = None if request.param == "folder" else ARCHIVES[request.param](1.7e9)
    output = tmp_path / "out"
    if archive is None:
        output.mkdir()
    lines, packed = [], b""
    for number in range(1, COUNT + 1):
        body, status = body_of(number), status_of(number)
        one = Outcome(number, number, f"did {number}", f"POS=CIRCLE 1 2 {number}", status, "why")
        if status is Status.OK:
            name, crc = f"{number}.fits", zlib.crc32(body)
            one = Outcome(
                number, number, one.did, one.region, status, "", name, len(body),
                sha256(body).hexdigest(), crc, len(packed),
            )  # fmt: skip
            written = b"x" + body[1:] if number == DAMAGED else body
            if archive is None:
                (output / name).write_bytes(written)
            else:
                packed += archive.head(name, len(body), crc) + written + archive.tail(len(body))
        lines.append(one.line())
    if archive is None:
        (output / f"{GONE}.fits").unlink()
    else:
        output.write_bytes(packed)
    log = tmp_path / "outcomes.jsonl"
    log.write_bytes(b"".join(lines) + b'{"number": 13, "ro')
    return Earlier(log, output, archive), archive is None


class Maker:
    def __init__(self):
        self.asked = []

    def made(self, items):
        for item in items:
            self.asked.append(item.number)
            yield item, bytearray(b"new")


@pytest.mark.parametrize("start", [0, 5])
def test_only_what_failed_is_gone_or_differs_is_made_anew(earlier, tmp_path, start):
    kept, is_folder = earlier
    items = [
        Item(
            number, number, f"did {number}", "file:///a", f"POS=CIRCLE 1 2 {number}",
            f"new{number}.fits", "", Selection(),
        )
        for number in range(1, COUNT + 1)
    ]  # fmt: skip
    items[OTHER - 1] = Item(
        OTHER, OTHER, f"did {OTHER}", "file:///a", "POS=CIRCLE 1 2 0.5", "b", "", Selection()
    )
    list_items(items, tmp_path / "worklist")
    maker = Maker()
    made = list(kept.with_new(Worklist(tmp_path / "worklist"), start, maker))
    assert [item for item, _ in made] == items[start:]
    anew = {2, 8, OTHER} | ({GONE} if is_folder else set())
    assert maker.asked == sorted(number for number in anew if number > start)
    for item, body in made:
        number = item.number
        if number in anew:
            assert body == b"new"
        elif number == 3:
            assert body is None
        elif number == DAMAGED:
            assert isinstance(body, ArchiveError)
        else:
            assert body == body_of(number)
