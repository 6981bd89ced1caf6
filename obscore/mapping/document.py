"""Mappings in files of their own: presets of instruments, and files beside the data.

Both are TOML with the keys of `MappingDocument`. Presets are data of the package
(``obscore/assembly/presets``), so that a user can print one, and copy what is to be otherwise.
"""

from __future__ import annotations

import tomllib
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from obscore.mapping.band import Bands
from obscore.mapping.rules import ColumnMapping, FileRule
from vodal.errors import NotFoundError, SettingsError
from vodal.settings import Settings
from vodal.storage import Storage

__all__ = [
    "BESIDE",
    "MappingDocument",
    "Presets",
    "fetch_document",
    "parse_document",
    "preset",
    "preset_names",
    "preset_text",
    "read_document",
]

BESIDE = "skylane-mapping.toml"
"""Name of the file in a collection's folder that holds its mapping."""

_LARGEST_BYTES = 1_000_000
_DECIDE_WHO_SEES = ("obs_collection", "obs_release_date")
"""Columns by which rules of access go; whoever can write beside the data cannot set them."""


def _known_preset(name: str) -> str:
    if name not in preset_names():
        raise ValueError(f"there is no preset '{name[:40]}'; there are {', '.join(preset_names())}")
    return name


def _one_or_many(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Presets = Annotated[
    tuple[Annotated[str, AfterValidator(_known_preset)], ...], BeforeValidator(_one_or_many)
]


class MappingDocument(Settings):
    """A mapping in a file of its own."""

    description: str = ""
    """One line: for which data it is."""
    preset: Presets = ()
    """Presets that hold where this file says nothing, the first before the others."""
    calib_level: int | None = Field(None, ge=0, le=4)
    """Calibration level of files that do not tell their own."""
    mapping: ColumnMapping = ColumnMapping()
    """Rules for all files."""
    files: tuple[FileRule, ...] = ()
    """Rules for some files; of several that fit, the later goes before the earlier."""
    bands: Bands = Field(default_factory=dict)
    """Filters; they go before the built-in table."""


def parse_document(text: str, name: str) -> MappingDocument:
    """Read a mapping.

    Parameters
    ----------
    text
        TOML.
    name
        What errors call it.

    Raises
    ------
    SettingsError
        If it is no TOML, or a key is unknown or its value wrong; names the key.
    """
    try:
        return MappingDocument.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{name}: {error}") from None
    except ValidationError as error:
        faults = []
        for fault in error.errors(include_url=False):
            key = ".".join(str(part) for part in fault["loc"])
            reason = "unknown key" if fault["type"] == "extra_forbidden" else fault["msg"]
            reason = reason.removeprefix("Value error, ")
            faults.append(f"{key}: {reason}")
        raise SettingsError(f"{name}: {'; '.join(faults)}") from None


def read_document(path: Path, *, beside: bool = False) -> MappingDocument:
    """Read the mapping in a file.

    Parameters
    ----------
    path
        The file.
    beside
        Whether it lies beside the data, where others than the site's operator may write.

    Raises
    ------
    SettingsError
        If it cannot be read, is larger than 1 MB, or `parse_document` refuses it; or if it lies
        beside the data and sets a column by which rules of access go.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from None
    return _of_bytes(data, str(path), beside=beside)


def fetch_document(folder: str, storage: Storage) -> tuple[str, MappingDocument] | None:
    """Fetch the mapping that lies beside data on a server.

    Parameters
    ----------
    folder
        Address of the data: ``s3:``, ``http:`` or ``https:``.
    storage
        Reads the server.

    Returns
    -------
    tuple or None
        Its address and what it says; None if there is none.

    Raises
    ------
    SettingsError
        As of `read_document`.
    ServiceUnavailable
        If the server does not answer now: rows are not made without a mapping that may be there.
    """
    url = f"{folder.rstrip('/')}/{BESIDE}"
    try:
        with storage.open(url) as reader:
            size = reader.stat().size_bytes
            data = reader.read(0, min(size, _LARGEST_BYTES + 1)) if size else b""
    except NotFoundError:
        return None
    if data.lstrip()[:1] == b"<":
        return None  # a server that answers with a page where there is nothing
    return url, _of_bytes(data, url, beside=True)


def _of_bytes(data: bytes, name: str, *, beside: bool) -> MappingDocument:
    if len(data) > _LARGEST_BYTES:
        raise SettingsError(f"{name} is larger than 1 MB; a mapping is not")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise SettingsError(f"{name} is no text in UTF-8") from None
    document = parse_document(text, name)
    if beside:
        mappings = [("mapping", document.mapping)]
        mappings += [(f"files.{n}.mapping", rule.mapping) for n, rule in enumerate(document.files)]
        for key, mapping in mappings:
            for column in _DECIDE_WHO_SEES:
                if getattr(mapping, column) is not None:
                    raise SettingsError(
                        f"{name}: {key}.{column}: rules of access go by it, so that a file beside"
                        " the data cannot set it; set it in skylane.toml or a mapping_file"
                    )
    return document


@lru_cache(maxsize=1)
def preset_names() -> tuple[str, ...]:
    """Give the names of all presets, in order."""
    entries = files("obscore.assembly").joinpath("presets").iterdir()
    return tuple(
        sorted(one.name.removesuffix(".toml") for one in entries if one.name.endswith(".toml"))
    )


def preset_text(name: str) -> str:
    """Give a preset as its file has it.

    Raises
    ------
    SettingsError
        If there is none of this name.
    """
    try:
        _known_preset(name)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    return files("obscore.assembly").joinpath("presets", f"{name}.toml").read_text("utf-8")


@lru_cache(maxsize=64)
def preset(name: str) -> MappingDocument:
    """Give a preset.

    Raises
    ------
    SettingsError
        If there is none of this name.
    """
    return parse_document(preset_text(name), f"preset {name}")
