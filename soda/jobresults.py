"""What became of the cutouts of a job, as its results."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from hashlib import sha256

from soda.bulk import Made
from soda.ledger import FILES, Ledger
from soda.outcomes import NOTHING, Outcome, Status, failed
from soda.output import Output
from soda.worklist import Item
from vodal.errors import ArchiveError, ServiceUnavailable, SkylaneError, UsageError
from vodal.uws.tasks import Task

__all__ = ["failure_of", "in_order", "one_each", "outcome_of", "write_result"]


def outcome_of(item: Item, made: Made) -> tuple[Outcome, bytearray | None]:
    """Tell what became of a cutout, and give its bytes if it was made."""
    known = (item.number, item.row, item.did, item.region)
    if isinstance(made, SkylaneError):
        message = item.message or failed(made)
        return Outcome(*known, Status.ERROR, message), None
    if made is None:
        return Outcome(*known, Status.NO_OVERLAP, NOTHING), None
    digest, crc = sha256(made).hexdigest(), zlib.crc32(made)
    return Outcome(*known, Status.OK, "", item.name, len(made), digest, crc), made


def in_order(ledger: Ledger) -> list[Outcome]:
    """Give what became of all cutouts, by their numbers."""
    return sorted(ledger.outcomes(), key=lambda one: one.number)


def failure_of(outcomes: Iterable[Outcome]) -> SkylaneError:
    """Make the error of a job of which every cutout failed."""
    first = next(iter(outcomes), None)
    if first is None:
        return UsageError("there is nothing to cut out")
    label, _, sentence = first.message.partition(": ")
    kinds: dict[str, type[SkylaneError]] = {kind.label: kind for kind in (
        UsageError, ServiceUnavailable, ArchiveError
    )}  # fmt: skip
    return kinds.get(label, ArchiveError)(sentence)


def write_result(
    task: Task, name: str, media_type: str, extension: str, pieces: Iterable[bytes]
) -> None:
    """Make a result of pieces."""
    with task.result(name, media_type, extension) as sink:
        for piece in pieces:
            sink.write(piece)


def one_each(task: Task, outcomes: Iterable[Outcome], output: Output) -> None:
    """Make a result of each cutout; a text where there is none."""
    for one in outcomes:
        if one.status is Status.OK:
            stem = one.file_name.removesuffix(output.format.suffix)
            task.add_result(stem, f"{FILES}/{one.file_name}", output.format.media_type)
        else:
            text = f"{one.message} ({one.did} {one.region})\n"
            write_result(task, f"{one.number}_{one.status.replace(' ', '-')}", "text/plain", "txt",
                   [text.encode()])  # fmt: skip
