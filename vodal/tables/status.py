"""How a result ended: whole, cut off at the limit of rows, or broken off by a failure.

DALI 1.1 section 4.4.1 has these words for the INFO that a VOTable ends with; the other formats say
the same in the place that they have for it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal
from uuid import uuid4

from vodal.errors import ArchiveError, SkylaneError
from vodal.tables.columns import ResultStream

__all__ = ["Status", "counted", "note_failure", "status_of", "tellable"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Status:
    """How a result ended."""

    value: Literal["OK", "OVERFLOW", "ERROR"]
    """DALI's QUERY_STATUS."""
    message: str = ""
    """One sentence for the user; empty where there is nothing to say."""


def tellable(error: Exception) -> SkylaneError:
    """Give the error itself if it may be told, else one that names the entry in the log."""
    if isinstance(error, SkylaneError):
        return error
    entry = uuid4().hex[:12]
    log.error("a table failed while it was written [%s]", entry, exc_info=error)
    return ArchiveError(
        f"the service failed while it wrote the table; its log tells why under {entry}"
    )


def note_failure(stream: ResultStream, error: Exception) -> None:
    """Keep a failure that the writer tells within the document."""
    stream.failure = tellable(error)


def counted(rows: int) -> str:
    """Say how many rows there are."""
    return f"{rows} row{'' if rows == 1 else 's'}"


def status_of(stream: ResultStream, rows: int) -> Status:
    """Tell how a stream ended, after its last batch.

    Parameters
    ----------
    stream
        The result.
    rows
        How many rows were written.
    """
    if stream.failure is not None:
        return Status("ERROR", str(stream.failure))
    if stream.overflow:
        return Status(
            "OVERFLOW",
            f"the table was cut off after {counted(rows)}, at the limit of this answer;"
            " there are more rows",
        )
    return Status("OK")
