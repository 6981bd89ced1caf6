"""What became of each of several cutouts: one value, one line of a log, one row of a table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from itertools import islice

import pyarrow as pa

from soda.selection import Selection
from vodal.errors import SkylaneError
from vodal.regions import Region, shape_text
from vodal.tables.columns import Column, ResultStream

__all__ = [
    "COLUMNS",
    "INDEX_NAME",
    "NOTHING",
    "Outcome",
    "Status",
    "failed",
    "outcome_stream",
    "selection_text",
]

_BATCH_ROWS = 2000


class Status(StrEnum):
    """How a cutout ended."""

    PENDING = "pending"
    OK = "ok"
    NO_OVERLAP = "no overlap"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one cutout."""

    number: int
    """Of the combination, or of the cutout among those of an uploaded table; from 1."""
    row: int
    """Of the uploaded table, from 1; 0 where there is none."""
    did: str
    """The dataset; empty where no dataset has been found."""
    region: str
    """The part of it that is wanted, as in a request; empty for the whole."""
    status: Status
    message: str = ""
    """Why there is no cutout, with the label of the error."""
    file_name: str = ""
    """Empty where there is no cutout."""
    size_bytes: int = 0
    sha256: str = ""
    """Of the file, in hexadecimal digits."""
    crc32: int = 0
    offset_bytes: int = 0
    """Where the file's entry begins in the archive."""

    def line(self) -> bytes:
        """Write it as a line of JSON."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> Outcome:
        """Read a line that `line` wrote.

        Raises
        ------
        ValueError, TypeError, KeyError
            If it is none, for instance half of one.
        """
        values = json.loads(line)
        return cls(**{**values, "status": Status(values["status"])})


INDEX_NAME = "cutouts.csv"
"""The last file of an archive: what became of each cutout."""

NOTHING = "UsageError: no pixel of the dataset is in the region"
"""The message where nothing overlaps; begins with a label as SODA 1.0 section 4.3 wants it."""


def failed(error: SkylaneError) -> str:
    """Say in one line why there is no cutout, beginning with a label of SODA 1.0 section 5.3."""
    return f"{error.label}: {' '.join(str(error).split())}"


def _stencil_text(stencil: Region) -> str:
    return "POS=" + shape_text(stencil).replace(" ICRS", "")


def selection_text(selection: Selection) -> str:
    """Write a part of a dataset as the parameters of a request say it."""
    parts = [] if selection.stencil is None else [_stencil_text(selection.stencil)]
    for name, interval in (("BAND", selection.band_m), ("TIME", selection.time_mjd)):
        if interval is not None:
            parts.append(f"{name}={interval.low!r} {interval.high!r}")
    parts += [f"POL={state}" for state in selection.pol]
    if selection.pixels:
        ranges = ("*" if one is None else f"{one.first}:{one.last}" for one in selection.pixels)
        parts.append(f"PIXELS=[{','.join(ranges)}]")
    return " ".join(parts)


COLUMNS = (
    Column("number", "long", ucd="meta.id;meta.main", description="Number of the cutout, from 1"),
    Column("row", "long", description="Row of the uploaded table, from 1"),
    Column("obs_publisher_did", "char", "*", ucd="meta.ref.ivoid", description="The dataset",
           utype="obscore:Curation.publisherDID"),
    Column("region", "char", "*", description="The part that is wanted, in SODA's parameters"),
    Column("status", "char", "*", ucd="meta.code.status",
           description="ok, no overlap, error, or pending while the job runs"),
    Column("message", "char", "*", ucd="meta.code.error", description="Why there is no cutout"),
    Column("file_name", "char", "*", ucd="meta.id;meta.file", description="Name of the file"),
    Column("content_length", "long", unit="byte", ucd="phys.size;meta.file",
           description="Size of the file"),
    Column("sha256", "char", "*", description="SHA-256 of the file, hexadecimal"),
)  # fmt: skip
"""Of the table of outcomes."""

_SCHEMA = pa.schema([(column.name, column.arrow_type()) for column in COLUMNS])


def _cells(one: Outcome) -> tuple[object, ...]:
    ok = one.status is Status.OK
    return (
        one.number,
        one.row or None,
        one.did or None,
        one.region or None,
        str(one.status),
        one.message or None,
        one.file_name or None,
        one.size_bytes if ok else None,
        one.sha256 or None,
    )


def _batches(outcomes: Iterator[Outcome]) -> Iterator[pa.RecordBatch]:
    while rows := [_cells(one) for one in islice(outcomes, _BATCH_ROWS)]:
        cells = zip(zip(*rows, strict=True), _SCHEMA, strict=True)
        yield pa.record_batch([pa.array(c, field.type) for c, field in cells], schema=_SCHEMA)


def outcome_stream(outcomes: Iterable[Outcome]) -> ResultStream:
    """Give outcomes as the rows of a table, for any writer of tables."""
    return ResultStream(COLUMNS, _batches(iter(outcomes)))
