"""Files and products as rows of the tables and back, the same in every database."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    Table,
    Update,
    bindparam,
    func,
    literal_column,
    select,
    update,
)

from obscore.filecolumns import FileColumns
from obscore.observation import CataloguedFile, Observation, Value
from obscore.store.extra import StoredColumn
from obscore.store.schema import STORED_COLUMNS
from obscore.store.values import (
    KINDS,
    LARGEST,
    LONGEST_KEY_BYTES,
    checked_value,
    clean_text,
    is_sound,
)
from vodal.errors import UsageError
from vodal.fits.index import FileIndex
from vodal.regions import region_from_bytes, shape_to_bytes

__all__ = [
    "check_distinct",
    "file_values",
    "files_of",
    "hdus_of",
    "hdus_text",
    "opened_values",
    "row_values",
    "select_files",
    "select_files_after",
    "select_known",
    "select_rows_of",
    "update_file",
    "update_hdus",
]

_ROW_NAMES = tuple(item.name for item in STORED_COLUMNS)
_ROW_COLUMNS = tuple(
    (item.name, KINDS.get(item.column.datatype, int), item.nullable or item.by_store, item)
    for item in STORED_COLUMNS
)
"""With the type of values that need no conversion, and whether there may be none."""
_OWN_NAMES = ("id", "file_id", "hdus", "s_region_shape", *_ROW_NAMES)


def check_distinct(files: Sequence[CataloguedFile]) -> None:
    """Refuse a batch that names a file or an identifier twice.

    Raises
    ------
    UsageError
        If it does, or if the name of a file is too long for an index.
    """
    if isinstance(files, FileColumns) and _are_distinct(files):
        return
    uris: set[str] = set()
    holders: dict[str, str] = {}
    for file in files:
        if file.uri in uris:
            raise UsageError(f"the file {file.uri} is given twice")
        if len(file.uri.encode()) > LONGEST_KEY_BYTES:
            raise UsageError(
                f"the name of {file.uri[:200]}... is longer than {LONGEST_KEY_BYTES} bytes"
            )
        uris.add(file.uri)
        for observation in file.observations:
            holder = holders.setdefault(observation.did, file.uri)
            if holder is not file.uri:
                raise UsageError(f"the identifier {observation.did} is already taken by {holder}")
        if len({observation.did for observation in file.observations}) < len(file.observations):
            raise UsageError(f"two products of {file.uri} have the same identifier")


def _are_distinct(files: FileColumns) -> bool:
    """Tell quickly, for most batches, that `check_distinct` refuses nothing."""
    count, longest = len(files), max(map(len, files.uris), default=0)
    is_short = 4 * longest <= LONGEST_KEY_BYTES
    return is_short and len(set(files.uris)) == len(set(files.dids)) == count


def file_values(file: CataloguedFile, file_id: int) -> dict[str, Any]:
    """Give a file's row of ``files``."""
    return {
        "id": file_id,
        "uri": file.uri,
        "file_name": clean_text(file.file_name),
        "collection": clean_text(file.collection),
        "content_type": file.content_type,
        "size": -1 if file.size_bytes is None else file.size_bytes,
        "version": file.version,
        "modified": file.modified_unix_s,
        "mapping_digest": file.mapping_digest,
        "byte_index": b"" if file.index is None else file.index.to_bytes(),
        "run_id": file.run_id,
    }


def hdus_text(observation: Observation) -> str:
    """Write a product's HDUs, with what the source says of which they are if it does."""
    if not observation.part and not observation.hdus:
        return "[]"
    if not observation.part:
        return json.dumps(observation.hdus)
    return json.dumps({"part": observation.part, "hdus": observation.hdus})


@lru_cache(maxsize=1024)
def hdus_of(text: str) -> tuple[tuple[int, ...], str]:
    """Read what `hdus_text` wrote: numbers of HDUs, and the source's word."""
    told = json.loads(text)
    if isinstance(told, dict):
        return tuple(told["hdus"]), str(told["part"])
    return tuple(told), ""


def row_values(
    observation: Observation,
    file: CataloguedFile,
    row_id: int,
    file_id: int,
    extra: Sequence[StoredColumn] = (),
) -> dict[str, Any]:
    """Give a product's row of ``obscore``; ``last_modified`` only if the product has it, as a copy.

    Parameters
    ----------
    observation, file
        The product and what holds it.
    row_id, file_id
        Their keys.
    extra
        The columns that the site has added.

    Raises
    ------
    UsageError
        If a value that must be there is missing, or is no value of its column.
    """
    given = observation.row.get
    values = [given(name) for name in _ROW_NAMES]
    if not _are_sound(values):
        values = [
            value
            if is_sound(value, kind) or (value is None and optional)
            else checked_value(value, item, file.uri)
            for value, (_, kind, optional, item) in zip(values, _ROW_COLUMNS, strict=True)
        ]
    region = observation.region
    shape = None if region is None else shape_to_bytes(region)
    own = (row_id, file_id, hdus_text(observation), shape)
    row: dict[str, Any] = dict(zip(_OWN_NAMES, (*own, *values), strict=True))
    for one in extra:
        row[one.physical] = checked_value(given(one.name), one.item, file.uri)
    return row


def _are_sound(values: Sequence[Value]) -> bool:
    """Tell quickly, for most rows, that all their values can be written as they are."""
    places = _places(tuple(map(type, values)))
    if places is None:
        return False
    texts, numbers, wholes = ([values[at] for at in some] for some in places)
    text = "".join(texts)  # type: ignore[arg-type]
    total = sum(numbers)  # type: ignore[arg-type]
    return (
        len(text) <= LONGEST_KEY_BYTES
        and text.isascii()
        and "\0" not in text
        and total == total  # noqa: PLR0124 - NaN is none
        and max(map(abs, wholes), default=0) <= LARGEST["int"]  # type: ignore[arg-type]
    )


@lru_cache(maxsize=1024)
def _places(types: tuple[type, ...]) -> tuple[list[int], list[int], list[int]] | None:
    """Tell where texts, numbers and whole numbers are; None if one is not of its column's type."""
    places: dict[type, list[int]] = {str: [], float: [], int: []}
    for at, (kind, (_, wanted, optional, _)) in enumerate(zip(types, _ROW_COLUMNS, strict=True)):
        if kind is wanted:
            places[kind].append(at)
        elif not (optional and kind is type(None)):
            return None
    return places[str], places[float], places[int]


def select_known(files: Table, obscore: Table) -> Select[Any]:
    """Give the statement for what is known of files, as `KnownFile` has it; it lacks a WHERE."""
    return select(
        files.c.uri,
        files.c.collection,
        files.c.version,
        files.c.mapping_digest,
        select(func.count()).where(obscore.c.file_id == files.c.id).scalar_subquery(),
    )


def select_files(files: Table) -> Select[Any]:
    """Give the statement whose rows `files_of` takes; it lacks a WHERE."""
    return select(
        files.c.id,
        files.c.uri,
        files.c.file_name,
        files.c.collection,
        files.c.content_type,
        files.c.modified,
        files.c.byte_index,
        files.c.mapping_digest,
        files.c.run_id,
        files.c.version,
        files.c.size,
    )


def select_files_after(files: Table) -> Select[Any]:
    """Give the statement for the files after a ``uri``, for `files_of`; it still lacks a LIMIT."""
    return select_files(files).where(files.c.uri > bindparam("uri")).order_by(files.c.uri)


def update_file(files: Table) -> Update:
    """Give the statement that writes what `opened_values` gives."""
    return (
        update(files)
        .where(files.c.uri == bindparam("of"), files.c.version == bindparam("before"))
        .values(
            {name: bindparam(f"new_{name}") for name in ("size", "version", "modified",
                                                         "content_type", "byte_index")}
        )
    )  # fmt: skip


def update_hdus(obscore: Table) -> Update:
    """Give the statement that writes the ``hdus`` of the product ``did``."""
    return (
        update(obscore)
        .where(obscore.c.obs_publisher_did == bindparam("did"))
        .values(hdus=bindparam("new_hdus"))
    )


def opened_values(file: CataloguedFile, version: str) -> dict[str, Any]:
    """Give what is known of a file once it was opened, for `update_file`.

    Parameters
    ----------
    file
        With its byte index.
    version
        That is to be replaced.
    """
    values = file_values(file, 0)
    names = ("size", "version", "modified", "content_type", "byte_index")
    return {"of": file.uri, "before": version, **{f"new_{name}": values[name] for name in names}}


def select_rows_of(
    obscore: Table, is_wanted: ColumnElement[bool], extra: Sequence[StoredColumn] = ()
) -> Select[Any]:
    """Give the statement for the products of some files, for `files_of`."""
    return (
        select(
            obscore.c.file_id,
            obscore.c.hdus,
            obscore.c.s_region_shape,
            *(obscore.c[name] for name in _ROW_NAMES),
            *(literal_column(one.physical) for one in extra),
        )
        .where(is_wanted)
        .order_by(obscore.c.id)
    )


def files_of(
    files: Iterable[Sequence[Any]],
    products: Iterable[Sequence[Any]],
    extra: Sequence[StoredColumn] = (),
) -> list[CataloguedFile]:
    """Make files of the rows of `select_files_after` and those of `select_rows_of`."""
    observations: dict[int, list[Observation]] = {}
    names = (*_ROW_NAMES, *(one.name for one in extra))
    for file_id, hdus, shape, *values in products:
        observations.setdefault(file_id, []).append(
            Observation(
                dict(zip(names, values, strict=True)),
                region_from_bytes(shape),
                *hdus_of(hdus),
            )
        )
    return [
        CataloguedFile(
            uri=uri,
            file_name=file_name,
            collection=collection,
            content_type=content_type,
            modified_unix_s=modified,
            index=FileIndex.from_bytes(packed) if packed else None,
            observations=tuple(observations.get(file_id, ())),
            mapping_digest=rest[0],
            run_id=rest[1],
            told_version=rest[2],
            told_size_bytes=None if rest[3] < 0 else rest[3],
        )
        for file_id, uri, file_name, collection, content_type, modified, packed, *rest in files
    ]
