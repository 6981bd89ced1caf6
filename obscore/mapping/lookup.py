"""Lookup tables of rules that lie in files of their own."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from obscore.columns import COLUMNS_BY_NAME, ObsCoreColumn
from obscore.mapping.rules import ColumnMapping, FileRule, check_rule, rules_of
from obscore.mapping.values import as_number
from vodal.errors import SettingsError

__all__ = ["with_tables", "with_tables_of_files"]

_LARGEST_BYTES = 1_000_000


def with_tables(
    mapping: ColumnMapping,
    place: str,
    folder: Path | None,
    *,
    inside: bool = False,
    columns: Mapping[str, ObsCoreColumn] = COLUMNS_BY_NAME,
) -> ColumnMapping:
    """Put the tables that rules name as files into the rules.

    Parameters
    ----------
    mapping
        Rules; those without ``table_file`` stay as they are.
    place
        What the keys of the rules begin with, for errors.
    folder
        Relative paths start here; None where files cannot be named.
    inside
        Whether files must lie in the folder: whoever may write there shall not read others.
    columns
        All columns that there are, by name.

    Raises
    ------
    SettingsError
        If a file cannot be read or is no such table, or has values that the column cannot take;
        names rule and file. If there is no such column, or it cannot take what the rule gives.
    """
    update = {}
    for name, rule in rules_of(mapping).items():
        key = f"{place}{name}"
        if name not in columns:
            raise SettingsError(f"{key}: unknown key")
        if name not in COLUMNS_BY_NAME:
            try:
                check_rule(columns[name], rule)
            except ValueError as error:
                raise SettingsError(f"{key}: {error}") from None
        if rule.table_file is None:
            continue
        if folder is None:
            raise SettingsError(
                f"{key}: a table_file lies on a disk, as its mapping does; give a table"
            )
        path = folder / rule.table_file
        if inside and not path.resolve().is_relative_to(folder.resolve()):
            raise SettingsError(f"{key}: {path} does not lie beside the mapping")
        values: dict[str, str | float] = dict(_read(path, rule.table_column, key))
        if columns[name].column.datatype not in {"char", "boolean"}:
            numbers = {text: as_number(value) for text, value in values.items()}
            values |= {text: number for text, number in numbers.items() if number is not None}
        full = rule.model_copy(update={"table": values, "table_file": None, "table_column": None})
        try:
            check_rule(columns[name], full)
        except ValueError as error:
            raise SettingsError(f"{key}: {path}: {error}") from None
        update[name] = full
    return mapping.model_copy(update=update) if update else mapping


def with_tables_of_files(
    rules: tuple[FileRule, ...],
    place: str,
    folder: Path | None,
    *,
    inside: bool = False,
    columns: Mapping[str, ObsCoreColumn] = COLUMNS_BY_NAME,
) -> tuple[FileRule, ...]:
    """Do the same for rules for some files; see `with_tables`."""
    return tuple(
        rule.model_copy(
            update={
                "mapping": with_tables(
                    rule.mapping,
                    f"{place}{number}.mapping.",
                    folder,
                    inside=inside,
                    columns=columns,
                )
            }
        )
        for number, rule in enumerate(rules)
    )


def _read(path: Path, column: str | None, key: str) -> dict[str, str]:
    """Read a CSV table: its first column, and that of the values."""
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_BYTES + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise SettingsError(f"{key}: {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{key}: {path} is no text in UTF-8") from None
    if len(data) > _LARGEST_BYTES:
        raise SettingsError(f"{key}: {path} is larger than 1 MB")
    try:
        rows = list(csv.reader(text.splitlines(), strict=True))
    except csv.Error as error:
        raise SettingsError(f"{key}: {path} is no CSV: {error}") from None
    lines = [(n, row) for n, row in enumerate(rows, 1) if row and not row[0].startswith("#")]
    names = [name.strip() for name in lines[0][1]] if lines else []
    if len(names) < 2 or (column is not None and column not in names[1:]):
        wanted = "a second column" if column is None else f"a column '{column}'"
        raise SettingsError(f"{key}: {path} has no header with {wanted}")
    at = 1 if column is None else names.index(column)
    found: dict[str, str] = {}
    for number, row in lines[1:]:
        if len(row) != len(names):
            raise SettingsError(
                f"{key}: {path}: line {number} has {len(row)} values for {len(names)} columns"
            )
        text = row[0].strip()
        if text in found:
            raise SettingsError(f"{key}: {path}: line {number} has '{text}' a second time")
        if row[at].strip():
            found[text] = row[at].strip()
    return found
