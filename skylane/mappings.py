"""What ``skylane mapping`` does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console

from obscore.assembly.extra import declared_columns
from obscore.assembly.rules import Rules, rules_for
from obscore.columns import COLUMNS, ObsCoreColumn
from obscore.mapping.document import BESIDE, preset, preset_names, preset_text, read_document
from obscore.mapping.lookup import with_tables, with_tables_of_files
from obscore.mapping.rules import FileRule, rules_of
from skylane.settings import load_settings
from vodal.errors import UsageError
from vodal.storage import Storage

__all__ = ["check", "list_presets", "show"]


def list_presets(console: Console) -> None:
    """Print name and description of each preset."""
    width = max(len(name) for name in preset_names())
    for name in preset_names():
        line = f"{name:<{width}}  {preset(name).description}"
        console.print(line, soft_wrap=True, markup=False)


def show(name: str) -> str:
    """Give a preset as its file has it."""
    return preset_text(name)


def check(console: Console, site: Path, paths: Sequence[Path]) -> None:
    """Check mapping files, or what holds for each collection of a site, and tell what is set."""
    if paths:
        columns = {item.name: item for item in (*COLUMNS, *_extra(site))}
        for path in paths:
            is_beside = path.name == BESIDE
            document = read_document(path, beside=is_beside)
            place = f"{path}: "
            with_tables(
                document.mapping, f"{place}mapping.", path.parent, inside=is_beside, columns=columns
            )
            with_tables_of_files(
                document.files, f"{place}files.", path.parent, inside=is_beside, columns=columns
            )
            names = set(rules_of(document.mapping)) | _columns(document.files)
            _tell(console, str(path), names, len(document.files), len(document.bands))
        return
    whole = load_settings(site)
    settings, storage = whole.obscore, Storage(whole.storage)
    if not settings.collections:
        raise UsageError("name a file, or give collections in skylane.toml")
    for name in sorted(settings.collections):
        rules = rules_for(settings, name, storage)
        _tell(console, name, _set_by(rules), sum(len(one.files) for one in rules.layers),
              sum(len(one) for one in rules.bands))  # fmt: skip


def _extra(site: Path) -> tuple[ObsCoreColumn, ...]:
    """Give the columns that the site adds, if there is one."""
    return declared_columns(load_settings(site).obscore).columns


def _columns(rules: Iterable[FileRule]) -> set[str]:
    return {column for rule in rules for column in rules_of(rule.mapping)}


def _set_by(rules: Rules) -> set[str]:
    columns = [set(layer.mapping) | _columns(layer.files) for layer in rules.layers]
    return set().union(*columns)


def _tell(console: Console, name: str, columns: set[str], files: int, bands: int) -> None:
    parts = [f"sets {', '.join(sorted(columns))}" if columns else "sets no column"]
    if files:
        parts.append(f"{files} rule{'s' if files > 1 else ''} for some files")
    if bands:
        parts.append(f"{bands} band{'s' if bands > 1 else ''}")
    console.print(f"{name}: {'; '.join(parts)}", soft_wrap=True, markup=False)
