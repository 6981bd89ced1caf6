"""The settings that hold for one collection, and their digest.

They come in layers, of which the first goes before the others: the site's own (``skylane.toml``),
the mapping file of the collection or beside its data, the presets that either names.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib.resources import files
from pathlib import Path

from typing_extensions import override

from obscore.assembly.extra import columns_of
from obscore.columns import COLUMNS_BY_NAME, ObsCoreColumn
from obscore.mapping.band import BandSettings
from obscore.mapping.document import (
    BESIDE,
    MappingDocument,
    fetch_document,
    preset,
    read_document,
)
from obscore.mapping.lookup import with_tables, with_tables_of_files
from obscore.mapping.rules import ColumnMapping, ColumnRule, FileRule, rules_of
from obscore.observation import Value
from obscore.settings import CollectionSettings, ObsCoreSettings
from obscore.sources.base import Candidate, Facts, Part
from obscore.sources.servers import is_address
from vodal.regions import shape_text
from vodal.storage import LOCAL, Storage

__all__ = ["TOLD", "Layer", "PlacedRule", "Rules", "is_told", "rules_for"]

_LINE_VERSION = 4
"""Raised when the line makes other rows of the same files, so that they are read anew."""
TOLD = "told:"
"""Begins the digests of files whose rows are made of what the source tells."""


Columns = Mapping[str, ObsCoreColumn]


@dataclass(frozen=True, slots=True)
class PlacedRule:
    """A rule and where it stands."""

    rule: ColumnRule
    place: str
    """Such as ``obscore.collections.deep.mapping.filter`` or ``preset decam: mapping.filter``."""


@dataclass(frozen=True)
class Layer:
    """What one place says of a collection."""

    mapping: dict[str, PlacedRule] = field(default_factory=dict)
    files: tuple[FileRule, ...] = ()
    files_place: str = ""
    """What keys of the rules for some files begin with."""
    bands: dict[str, BandSettings] = field(default_factory=dict)
    """By the filter's text in lower case."""

    def skips(self, relative: str) -> bool | None:
        """Tell whether a file is to be left out; None if nothing is said of it.

        The last rule that fits decides.
        """
        if not self.files:
            return None
        fitting = [rule for rule in self.files if rule.fits(relative)]
        if not fitting or not any("skip" in rule.model_fields_set for rule in fitting):
            return None
        return fitting[-1].skip

    def fitting(self, relative: str) -> tuple[int, ...]:
        """Give the numbers of the rules for some files that fit a file."""
        if not self.files:
            return ()
        return tuple(number for number, rule in enumerate(self.files) if rule.fits(relative))

    def merged(self, fitting: Sequence[int]) -> dict[str, PlacedRule]:
        """Give the rules by column for a file that so many rules for some files fit."""
        merged = dict(self.mapping)
        for number in fitting:
            place = f"{self.files_place}{number}.mapping."
            merged |= _placed(rules_of(self.files[number].mapping), place)
        return merged


@dataclass(frozen=True)
class Rules:
    """What holds for the files of one collection; crosses to the reading processes."""

    authority: str
    collection: str
    calib_level: int
    layers: tuple[Layer, ...]
    """The first goes before the others."""
    digest: str
    """Of all that holds for every file, the rules of columns apart."""
    headers: bool = True
    """Whether rows are made of the files' headers, not of what the source tells alone."""
    outlines_valid: bool = False
    """Whether footprints outline the pixels that have a value, not the array."""
    no_data: tuple[int | str, ...] = ()
    """Bits of masks whose pixels have none."""
    extra: tuple[ObsCoreColumn, ...] = ()
    """Columns that rows can have beside those of ObsCore."""
    _merged: dict[tuple[tuple[int, ...], ...], tuple[dict[str, PlacedRule], str]] = field(
        default_factory=dict, compare=False, repr=False
    )
    """Rules of columns with their digest, by the rules for some files that fit."""

    @override
    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_merged": {}}

    @cached_property
    def columns(self) -> dict[str, ObsCoreColumn]:
        """All columns that rows can have, by name."""
        return COLUMNS_BY_NAME | {item.name: item for item in self.extra}

    def core(self, row: Mapping[str, Value]) -> Mapping[str, Value]:
        """Give a row without the columns that are not ObsCore's."""
        if not self.extra:
            return row
        return {name: value for name, value in row.items() if name in COLUMNS_BY_NAME}

    @property
    def bands(self) -> tuple[dict[str, BandSettings], ...]:
        """The bands of all layers."""
        return tuple(layer.bands for layer in self.layers)

    @property
    def facts_taken(self) -> frozenset[str]:
        """Names of the facts that rules of columns take, of any file."""
        rules = [placed.rule for layer in self.layers for placed in layer.mapping.values()]
        for layer in self.layers:
            rules += (rule for one in layer.files for rule in rules_of(one.mapping).values())
        return frozenset(name for rule in rules for name in rule.facts_taken)

    def skips(self, relative: str) -> bool:
        """Tell whether a file is to be left out."""
        said = (layer.skips(relative) for layer in self.layers)
        return next((skips for skips in said if skips is not None), False)

    @property
    def is_same_for_all(self) -> bool:
        """Whether no rule is for some of the files alone."""
        return not any(layer.files for layer in self.layers)

    def mapping_for(self, relative: str) -> dict[str, PlacedRule]:
        """Give the rules for a file by column."""
        return self._fitting(relative)[0]

    def digest_for(self, relative: str, facts: Facts | None = None) -> str:
        """Give the digest of all that makes the rows of a file, its own bytes apart."""
        told = json.dumps(dict(facts), sort_keys=True) if facts else ""
        return _digest(f"{self._all(relative)}{told}")

    def digest_of(self, candidate: Candidate) -> str:
        """Give the digest of all that makes the rows of a file, bytes that are read apart.

        Where rows are made of what the source tells, so is what it says of the file's version.
        """
        if self.headers and not candidate.parts and not candidate.units:
            return self.digest_for(candidate.relative, candidate.facts)
        told = [dict(candidate.facts), dict(candidate.units), *map(_told, candidate.parts)]
        if self.headers:
            return _digest(f"{self._all(candidate.relative)}{json.dumps(told)}")
        text = f"{self._all(candidate.relative)}\n{candidate.stat.version}{json.dumps(told)}"
        return TOLD + _digest(text)

    def is_unchanged(self, candidate: Candidate, version: str, digest: str) -> bool:
        """Tell whether a file is as it was catalogued, by its version and digest then."""
        same = not self.headers or version == candidate.stat.version
        return same and digest == self.digest_of(candidate)

    def digest_heads(self, relatives: Sequence[str]) -> list[str]:
        """Give what the digest of each of some files is made of before their paths."""
        if self.is_same_for_all:
            return [self._head("")] * len(relatives)
        return list(map(self._head, relatives))

    def _all(self, relative: str) -> str:
        return f"{self._head(relative)}\n{relative}"

    def _head(self, relative: str) -> str:
        return f"{self.digest}{self._fitting(relative)[1]}"

    def _fitting(self, relative: str) -> tuple[dict[str, PlacedRule], str]:
        fitting = tuple(layer.fitting(relative) for layer in self.layers)
        found = self._merged.get(fitting)
        if found is None:
            merged: dict[str, PlacedRule] = {}
            for layer, numbers in zip(reversed(self.layers), reversed(fitting), strict=True):
                merged |= layer.merged(numbers)
            told = {name: placed.rule.model_dump() for name, placed in merged.items()}
            digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
            found = self._merged.setdefault(fitting, (merged, digest))
        return found


def _told(part: Part) -> list[object]:
    region = None if part.region is None else shape_text(part.region)
    return [dict(part.facts), region, part.hdu]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:20]


def is_told(digest: str) -> bool:
    """Tell by a file's digest whether its rows are made of what its source tells."""
    return digest.startswith(TOLD)


def rules_for(settings: ObsCoreSettings, collection: str, storage: Storage = LOCAL) -> Rules:
    """Give what holds for a collection, configured or not.

    Parameters
    ----------
    settings
        Of the catalogue.
    collection
        Its name.
    storage
        Reads the mapping beside data on a server.

    Raises
    ------
    SettingsError
        If its mapping file cannot be read, or is wrong; names file and key.
    ServiceUnavailable
        If the server with the data does not answer now.
    """
    own = settings.collections.get(collection) or CollectionSettings()
    extra = columns_of(settings, collection)
    columns = COLUMNS_BY_NAME | extra
    layers = [_site_layer(settings, collection, own, columns)]
    levels = [own.calib_level] if "calib_level" in own.model_fields_set else []
    for document, layer in _documents(own, storage, columns):
        layers.append(layer)
        levels += [] if document.calib_level is None else [document.calib_level]
    calib_level = (*levels, own.calib_level)[0]
    layers.append(_declared_layer(settings, columns))
    told = {
        "version": _LINE_VERSION,
        "bands_table": _bands_digest(),
        "authority": settings.authority,
        "collection": collection,
        "calib_level": calib_level,
        "bands": [
            {name: band.model_dump() for name, band in sorted(layer.bands.items())}
            for layer in layers
            if layer.bands
        ],
    }
    outlines_valid = own.footprint == "valid"
    if outlines_valid:
        told["valid"] = own.no_data
    if extra:
        told["columns"] = [
            [name, item.column.datatype, item.column.unit, item.column.xtype]
            for name, item in sorted(extra.items())
        ]
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    return Rules(
        settings.authority, collection, calib_level, tuple(layers), digest, own.reads_headers,
        outlines_valid, own.no_data, tuple(extra.values()),
    )  # fmt: skip


def _site_layer(
    settings: ObsCoreSettings, collection: str, own: CollectionSettings, columns: Columns
) -> Layer:
    key = f"obscore.collections.{collection}."
    everywhere = with_tables(settings.mapping, "obscore.mapping.", Path(), columns=columns)
    mapping = _placed(rules_of(everywhere), "obscore.mapping.")
    its = with_tables(own.mapping, f"{key}mapping.", Path(), columns=columns)
    mapping |= _placed(rules_of(its), f"{key}mapping.")
    place = f"{key}files."
    file_rules = with_tables_of_files(own.files, place, Path(), columns=columns)
    return Layer(mapping, file_rules, place, _lower(settings.bands))


def _declared_layer(settings: ObsCoreSettings, columns: Columns) -> Layer:
    """Give the rules that added columns are declared with; all others go before them."""
    rules = {name: one.rule for name, one in settings.columns.items() if one.rule is not None}
    place = "obscore.columns."
    mapping = with_tables(ColumnMapping(**rules), place, Path(), columns=columns)
    placed = rules_of(mapping).items()
    return Layer({name: PlacedRule(rule, f"{place}{name}.rule") for name, rule in placed})


def _documents(
    own: CollectionSettings, storage: Storage, columns: Columns
) -> Iterator[tuple[MappingDocument, Layer]]:
    """Give the mapping file, then the presets that it or the settings name, each once."""
    names = list(own.preset)
    for document, layer in _mapping_file(own, storage, columns):
        yield document, layer
        names += document.preset
    for name in dict.fromkeys(names):
        yield preset(name), _layer(f"preset {name}", preset(name), columns, None)


def _mapping_file(
    own: CollectionSettings, storage: Storage, columns: Columns
) -> Iterator[tuple[MappingDocument, Layer]]:
    """Give the file that the collection names, or the one beside its data, if there is any."""
    if own.mapping_file is not None:
        path = Path(own.mapping_file)
        document = read_document(path)
        yield document, _layer(str(path), document, columns, path.parent)
    elif own.folder is not None and is_address(own.folder):
        fetched = fetch_document(own.folder, storage)
        if fetched is not None:
            url, document = fetched
            yield document, _layer(url, document, columns, None)
    elif own.folder is not None and Path(own.folder, BESIDE).exists():
        path = Path(own.folder, BESIDE)
        document = read_document(path, beside=True)
        yield document, _layer(str(path), document, columns, path.parent, inside=True)


def _layer(
    place: str,
    document: MappingDocument,
    columns: Columns,
    folder: Path | None,
    *,
    inside: bool = False,
) -> Layer:
    key = f"{place}: mapping."
    mapping = with_tables(document.mapping, key, folder, inside=inside, columns=columns)
    files_key = f"{place}: files."
    file_rules = with_tables_of_files(
        document.files, files_key, folder, inside=inside, columns=columns
    )
    return Layer(_placed(rules_of(mapping), key), file_rules, files_key, _lower(document.bands))


def _placed(rules: dict[str, ColumnRule], prefix: str) -> dict[str, PlacedRule]:
    return {name: PlacedRule(rule, f"{prefix}{name}") for name, rule in rules.items()}


def _lower(bands: dict[str, BandSettings]) -> dict[str, BandSettings]:
    return {name.strip().lower(): band for name, band in bands.items()}


@lru_cache(maxsize=1)
def _bands_digest() -> str:
    data = files("obscore.assembly").joinpath("bands.toml").read_bytes()
    return hashlib.sha256(data).hexdigest()[:16]
