"""What a writer's turn puts into ``files`` and ``obscore``: by column, the same in every database.

Files that come by column stay so; all others are brought to it row by row, with the same result.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from obscore.columns import ObsCoreColumn
from obscore.filecolumns import FileColumns
from obscore.observation import CataloguedFile, Value
from obscore.store import schema
from obscore.store.extra import StoredColumn
from obscore.store.facets import FACET_NAMES, Combination
from obscore.store.rows import file_values, row_values
from obscore.store.turn import Turn
from obscore.store.values import (
    KINDS,
    LARGEST,
    are_sound_texts,
    checked_value,
    clean_text,
    is_sound,
)

__all__ = ["Put", "put"]

_FILE_NAMES = tuple(column.name for column in schema.files.columns)
_ROW_NAMES = tuple(column.name for column in schema.obscore.columns)


@dataclass(frozen=True, slots=True)
class Put:
    """Rows that are to be inserted, by column; all lists of one table are of one length."""

    files: dict[str, list[Any]]
    rows: dict[str, list[Any]]

    @property
    def dids(self) -> list[str]:
        """Identifiers of the products."""
        return self.rows["obs_publisher_did"]

    @property
    def combinations(self) -> Counter[Combination]:
        """How many rows there are of each kind."""
        return Counter(zip(*(self.rows[name] for name in FACET_NAMES), strict=True))


def put(turn: Turn, first_file: int, first_row: int) -> Put:
    """Give what is to be inserted for the files of a turn.

    Parameters
    ----------
    turn
        Of the writer.
    first_file, first_row
        Keys of the first of either table.

    Raises
    ------
    UsageError
        If a value that must be there is missing, or is no value of its column.
    """
    if isinstance(turn.files, FileColumns):
        made = _of_columns(turn.files, first_file, first_row, turn.extra)
        versions = turn.files.told_versions
    else:
        made = _of_each(turn.files, first_file, first_row, turn.extra)
        versions = [file.version for file in turn.files for _ in file.observations]
    made.rows["last_modified"] = turn.stamped(made.rows, versions)
    return made


def _of_each(
    files: Sequence[CataloguedFile],
    first_file: int,
    first_row: int,
    extra: Sequence[StoredColumn] = (),
) -> Put:
    rows: list[dict[str, Any]] = []
    for file_id, file in enumerate(files, first_file):
        for observation in file.observations:
            rows.append(row_values(observation, file, first_row + len(rows), file_id, extra))
    added = [one.physical for one in extra]
    of_files = [file_values(file, file_id) for file_id, file in enumerate(files, first_file)]
    return Put(
        {name: [one[name] for one in of_files] for name in _FILE_NAMES},
        {name: [one[name] for one in rows] for name in (*_ROW_NAMES, *added)},
    )


def _of_columns(
    files: FileColumns, first_file: int, first_row: int, extra: Sequence[StoredColumn] = ()
) -> Put:
    count = len(files)
    keys = list(range(first_file, first_file + count))
    collection = clean_text(files.collection)
    of_files: dict[str, list[Any]] = {
        "id": keys,
        "uri": files.uris,
        "file_name": (
            files.file_names
            if are_sound_texts(files.file_names)
            else list(map(clean_text, files.file_names))
        ),
        "collection": [collection] * count,
        "content_type": files.content_types,
        "size": [-1 if size is None else size for size in files.told_sizes_bytes],
        "version": files.told_versions,
        "modified": files.modified_unix_s,
        "mapping_digest": files.digests,
        "byte_index": [b""] * count,
        "run_id": [files.run_id] * count,
    }
    parts = [""] * count if files.parts is None else files.parts
    rows: dict[str, list[Any]] = {
        "id": list(range(first_row, first_row + count)),
        "file_id": keys,
        "hdus": [json.dumps({"part": one, "hdus": []}) if one else "[]" for one in parts],
        "s_region_shape": list(files.shapes),
    }
    nothing: list[Value] = [None] * count
    for item in schema.STORED_COLUMNS:
        rows[item.name] = checked_column(item, files.rows.get(item.name, nothing), files)
    for one in extra:
        given = files.rows.get(one.name, nothing)
        rows[one.physical] = [
            checked_value(value, one.item, uri)
            for value, uri in zip(given, files.uris, strict=True)
        ]
    names = (*_ROW_NAMES, *(one.physical for one in extra))
    return Put(
        {name: of_files[name] for name in _FILE_NAMES},
        {name: rows[name] for name in names},
    )


def checked_column(item: ObsCoreColumn, values: Sequence[Value], files: FileColumns) -> list[Value]:
    """Give a column's values as the database takes them: what `row_values` gives of each row.

    Raises
    ------
    UsageError
        As that does, for the first row that is at fault.
    """
    kind = KINDS.get(item.column.datatype, int)
    optional = item.nullable or item.by_store
    if _is_sound_column(kind, values, optional=optional):
        return list(values)
    return [
        value
        if is_sound(value, kind) or (value is None and optional)
        else checked_value(value, item, files.uris[at])
        for at, value in enumerate(values)
    ]


def _is_sound_column(kind: type, values: Sequence[Value], *, optional: bool) -> bool:
    """Tell quickly, for most columns, that all values can be written as they are."""
    types = set(map(type, values))
    if (type(None) in types and not optional) or not types <= {kind, type(None)}:
        return False
    there: Sequence[Any] = values
    if type(None) in types:
        there = [value for value in values if value is not None]
    if kind is str:
        return are_sound_texts(there)
    if kind is float:
        total = sum(there)
        return bool(total == total)  # noqa: PLR0124 - NaN is none
    return max(map(abs, there), default=0) <= LARGEST["int"]
