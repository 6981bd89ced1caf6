"""The settings that hold for one collection, and their digest."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from obscore.settings import BandSettings, ColumnRule, FileRule, ObsCoreSettings, rules_of
from obscore.sources.base import Facts

__all__ = ["Rules", "rules_for"]

_LINE_VERSION = 2
"""Raised when the line makes other rows of the same files, so that they are read anew."""


@dataclass(frozen=True)
class Rules:
    """What holds for the files of one collection; crosses to the reading processes."""

    authority: str
    collection: str
    calib_level: int
    mapping: dict[str, ColumnRule]
    """The collection's own before those of all collections."""
    files: tuple[FileRule, ...]
    bands: dict[str, BandSettings]
    digest: str

    def skips(self, relative: str) -> bool:
        """Tell whether a file is to be left out; the last rule that fits decides."""
        fitting = [rule for rule in self.files if rule.fits(relative)]
        return bool(fitting) and fitting[-1].skip

    def mapping_for(self, relative: str) -> dict[str, ColumnRule]:
        """Give the rules for a file by column."""
        merged = dict(self.mapping)
        for rule in self.files:
            if rule.fits(relative):
                merged |= rules_of(rule.mapping)
        return merged

    def digest_for(self, relative: str, facts: Facts | None = None) -> str:
        """Give the digest of all that makes the rows of a file, its own bytes apart."""
        told = json.dumps(dict(facts), sort_keys=True) if facts else ""
        return hashlib.sha256(f"{self.digest}\n{relative}{told}".encode()).hexdigest()[:20]


def rules_for(settings: ObsCoreSettings, collection: str) -> Rules:
    """Give what holds for a collection, configured or not."""
    own = settings.collections.get(collection)
    mapping = rules_of(settings.mapping) | (rules_of(own.mapping) if own else {})
    file_rules = own.files if own else ()
    calib_level = own.calib_level if own else 2
    bands = {name.strip().lower(): band for name, band in settings.bands.items()}
    told = {
        "version": _LINE_VERSION,
        "bands_table": _bands_digest(),
        "authority": settings.authority,
        "collection": collection,
        "calib_level": calib_level,
        "mapping": {name: rule.model_dump() for name, rule in mapping.items()},
        "files": [rule.model_dump() for rule in file_rules],
        "bands": {name: band.model_dump() for name, band in sorted(bands.items())},
    }
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    return Rules(settings.authority, collection, calib_level, mapping, file_rules, bands, digest)


@lru_cache(maxsize=1)
def _bands_digest() -> str:
    data = files("obscore.assembly").joinpath("bands.toml").read_bytes()
    return hashlib.sha256(data).hexdigest()[:16]
