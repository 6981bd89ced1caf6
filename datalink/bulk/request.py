"""The identifiers that a request asks for: parameters, or a column of tables that come with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pyarrow as pa
from anyio.to_thread import run_sync
from starlette.requests import Request

from vodal.archives import STREAMED
from vodal.errors import TooLargeError, UsageError
from vodal.params import Params
from vodal.tables.columns import Column
from vodal.tables.uploads import UploadedTable
from vodal.uploads.tables import TableUploads, Taken

__all__ = ["asked_dids", "identifier_column", "packing_of"]

_UTYPE = "obscore:curation.publisherdid"
_NAMES = ("obs_publisher_did", "publisher_did", "id", "did")
_UCDS = ("meta.ref.ivoid", "meta.ref.uri;meta.curation", "meta.ref.url;meta.curation")


def packing_of(params: Params) -> str:
    """Give the form of the archive: ``tar`` or ``zip``.

    Raises
    ------
    UsageError
        If MULTI asks for another.
    """
    kind = (params.one("MULTI") or "tar").lower()
    if kind not in STREAMED:
        raise UsageError(f"MULTI takes one of {', '.join(STREAMED)}, not '{kind[:40]}'")
    return kind


def identifier_column(columns: Sequence[Column]) -> Column:
    """Find the column of identifiers: by its utype, its name, or its UCD.

    Raises
    ------
    UsageError
        If there is none.
    """
    found = [one for one in columns if (one.utype or "").lower() == _UTYPE]
    found += [one for name in _NAMES for one in columns if one.name.lower() == name]
    found += [one for one in columns if (one.ucd or "").lower().startswith(_UCDS)]
    if not found:
        raise UsageError(
            "UPLOAD: the table needs a column of identifiers (obs_publisher_did, ID); it has "
            + ", ".join(one.name for one in columns)[:200]
        )
    return found[0]


def _of_table(table: UploadedTable) -> list[str]:
    place = table.columns.index(identifier_column(table.columns))
    with pa.memory_map(str(table.path)) as source:
        reader = pa.ipc.open_file(source)
        found: list[str] = []
        for number in range(reader.num_record_batches):
            values = reader.get_batch(number).column(place).to_pylist()
            found += [str(value).strip() for value in values if value is not None]
    return [did for did in found if did]


def _with_tables(taken: Taken) -> Taken:
    """Take each file of a form for a table where UPLOAD does not say which are."""
    if taken.params.all("UPLOAD") or not taken.files:
        return taken
    named = [
        ("UPLOAD", f"table{number},param:{part.name}") for number, part in enumerate(taken.files, 1)
    ]
    pairs = [(name, value) for name, values in taken.params.items() for value in values]
    return replace(taken, params=Params([*pairs, *named]))


async def asked_dids(
    request: Request, uploads: TableUploads, max_files: int
) -> tuple[list[str], Params]:
    """Read a request: its identifiers, each once and in their order, and its parameters.

    Raises
    ------
    UsageError
        If there are none, or a table cannot be read.
    TooLargeError
        If there are too many.
    ServiceUnavailable
        If a table cannot be read now.
    """
    async with uploads.taking(request) as taken:
        filled = _with_tables(taken)
        dids = list(filled.params.all("ID"))
        for table in await uploads.tables(filled):
            dids += await run_sync(partial(_of_table, table))
    dids = list(dict.fromkeys(dids))
    if not dids:
        raise UsageError(
            "the request names no files: send ID (several times), or a table with a column"
            " obs_publisher_did as a file of a form (multipart/form-data)"
        )
    if len(dids) > max_files:
        raise TooLargeError(
            f"there are {len(dids)} identifiers, more than the {max_files} of one archive"
            " (datalink.bulk.max_files); send them in several lists"
        )
    return dids, filled.params
