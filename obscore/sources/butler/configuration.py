"""LSST's ObsCore configuration: read from its file, checked, and laid under the keys given here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from obscore.columns import COLUMN_NAMES, ObsCoreColumn
from obscore.extra import Datatype, ExtraColumn, check_column_name
from obscore.mapping.rules import RESERVED
from obscore.observation import Value
from obscore.sources.butler.settings import (
    ButlerSettings,
    ExtraColumns,
    ExtraColumnSettings,
    ObsCoreKeys,
)
from obscore.sources.butler.templates import parse_template
from vodal.errors import SettingsError

__all__ = ["Configuration", "column_of", "configuration_of"]

_WITHOUT_EFFECT = {
    "namespace", "version", "table_name", "indices", "parquet_compression", "csv_null_string",
    "use_butler_uri", "spatial_plugins", "origin",
}  # fmt: skip
"""Keys that say how LSST's tools keep or write the table, not what is in it."""
_PLUGINS = {
    "lsst.daf.butler.registry.obscore.default_spatial.DefaultSpatialObsCorePlugin",
    "lsst.daf.butler.registry.obscore.pgsphere.PgSphereObsCorePlugin",
}
"""Spatial plugins whose columns are a database's form of ``s_region``, which every store has."""
_TYPES: dict[str, Datatype] = {
    "bool": "boolean", "int": "long", "float": "double", "string": "char",
}  # fmt: skip
_LSST_NAMES = {"em_filter_name": "filter"}


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a Butler collection is made of."""

    keys: ObsCoreKeys
    notes: tuple[str, ...]
    """What is said in it and has no effect here."""
    columns: Mapping[str, ObsCoreColumn]
    """Those that it adds to ObsCore's, by name."""


def column_of(name: str) -> str | None:
    """Give the column here of one of LSST's; None if there can be none that is set."""
    name = _LSST_NAMES.get(name, name)
    if name in COLUMN_NAMES:
        return None if name in RESERVED else name
    try:
        return check_column_name(name)
    except ValueError:
        return None


def configuration_of(settings: ButlerSettings, key: str) -> Configuration:
    """Read and check what a collection's settings say.

    Parameters
    ----------
    settings
        Of the collection.
    key
        Their path, for messages: ``obscore.collections.dp1.butler``.

    Raises
    ------
    SettingsError
        If the file is not there, or it or the settings say what cannot be done; names the key.
    """
    own = settings.model_dump(exclude_unset=True, exclude={"repository", "config"})
    notes: list[str] = []
    path = key
    if settings.config is not None:
        path = f"{key}.config, {settings.config}"
        given = _read(settings.config, path)
        notes += _set_apart(given, path)
        own = {**given, **own}
    try:
        keys = ObsCoreKeys.model_validate(own)
    except ValidationError as error:
        raise SettingsError("; ".join(_told(fault, path) for fault in error.errors())) from None
    if not keys.dataset_types:
        raise SettingsError(f"{path}: dataset_types names no dataset type")
    if not keys.collections and keys.collection_type != "RUN":
        raise SettingsError(f"{path}: collections names no collection")
    if keys.collection_type == "TAGGED" and len(keys.collections) != 1:
        raise SettingsError(f"{path}: with collection_type TAGGED collections has one name")
    strays = sorted(set(keys.dataset_type_constraints) - set(keys.dataset_types))
    if strays:
        raise SettingsError(
            f"{path}: dataset_type_constraints.{strays[0]} is of no type in dataset_types"
        )
    _check_templates(keys, path)
    return Configuration(keys, (*notes, *_without_column(keys)), _added(keys, path))


def _read(name: str, path: str) -> dict[str, Any]:
    try:
        given = yaml.safe_load(Path(name).read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: the file cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        text = " ".join(str(error).split())
        raise SettingsError(f"{path}: the file is no YAML: {text}") from None
    if not isinstance(given, dict):
        raise SettingsError(f"{path}: the file is no mapping of keys to values")
    if set(given) == {"cls", "config"} and isinstance(given["config"], dict):
        # As the registry's manager of a live table has it.
        given = given["config"]
    # As in LSST's own, a key without a value is one that is not given.
    return {name: value for name, value in given.items() if value is not None}


def _set_apart(given: dict[str, Any], path: str) -> list[str]:
    """Take out the keys without effect; refuse among them what would change rows."""
    if given.get("use_butler_uri"):
        raise SettingsError(
            f"{path}: use_butler_uri cannot be true: access_url is the DataLink document of this"
            " site"
        )
    plugins = given.get("spatial_plugins") or {}
    for name, plugin in plugins.items() if isinstance(plugins, dict) else ():
        cls = plugin.get("cls") if isinstance(plugin, dict) else None
        if cls not in _PLUGINS:
            raise SettingsError(f"{path}: spatial_plugins.{name}: there is no plugin {cls} here")
    idle = [name for name in sorted(_WITHOUT_EFFECT & set(given)) if name != "use_butler_uri"]
    for name in _WITHOUT_EFFECT:
        given.pop(name, None)
    return [f"{', '.join(idle)} of the configuration have no effect"] if idle else []


def _told(fault: Any, path: str) -> str:
    place = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"{path}: {place}: there is no such key"
    return f"{path}: {place}: {fault['msg'].removeprefix('Value error, ')}"


def _check_templates(keys: ObsCoreKeys, path: str) -> None:
    """Refuse templates that cannot be read."""
    texts = {"obs_publisher_did_fmt": keys.obs_publisher_did_fmt}
    texts |= _column_templates(keys.extra_columns, "extra_columns")
    for name, kind in keys.dataset_types.items():
        texts[f"dataset_types.{name}.obs_id_fmt"] = kind.obs_id_fmt
        texts |= _column_templates(kind.extra_columns, f"dataset_types.{name}.extra_columns")
    for place, text in texts.items():
        if text is None:
            continue
        try:
            parse_template(text)
        except ValueError as error:
            raise SettingsError(f"{path}: {place}: {error}") from None


def _column_templates(columns: ExtraColumns | None, place: str) -> dict[str, str | None]:
    return {
        f"{place}.{name}": getattr(value, "template", None)
        for name, value in (columns or {}).items()
    }


def _added(keys: ObsCoreKeys, path: str) -> dict[str, ObsCoreColumn]:
    """Give the columns that the configuration adds to ObsCore's.

    Raises
    ------
    SettingsError
        If one is of two types.
    """
    columns: dict[str, ExtraColumn] = {}
    for given in (keys.extra_columns, *(one.extra_columns for one in keys.dataset_types.values())):
        for key, value in (given or {}).items():
            name = column_of(key)
            if name is None or name in COLUMN_NAMES:
                continue
            datatype, doc = _type_of(value)
            there = columns.get(name)
            if there is not None and there.datatype != datatype:
                if {there.datatype, datatype} != {"long", "double"}:
                    raise SettingsError(
                        f"{path}: extra_columns.{key} is {there.datatype} for one dataset type and"
                        f" {datatype} for another"
                    )
                datatype = "double"
            doc = doc or (there.description if there is not None else "")
            columns[name] = ExtraColumn(datatype=datatype, description=" ".join(doc.split()))
    return {name: one.item(name) for name, one in columns.items()}


def _type_of(value: Value | ExtraColumnSettings) -> tuple[Datatype, str]:
    """Give the type of a column's values, and what it is said to be."""
    match value:
        case ExtraColumnSettings():
            return _TYPES[value.type], value.doc or ""
        case bool():
            return "boolean", ""
        case int():
            return "long", ""
        case float():
            return "double", ""
        case _:
            return "char", ""


def _without_column(keys: ObsCoreKeys) -> list[str]:
    """Name what the configuration gives to columns that ``ivoa.obscore`` does not have here."""
    names = set(keys.extra_columns or ())
    for kind in keys.dataset_types.values():
        names |= set(kind.extra_columns or ())
    strays = sorted(name for name in names if column_of(name) is None)
    notes = []
    if strays:
        notes.append(f"{', '.join(strays)} cannot be set in ivoa.obscore here; left out")
    if any(kind.datalink_url_fmt for kind in keys.dataset_types.values()):
        notes.append("datalink_url_fmt has no effect: access_url is the DataLink of this site")
    return notes
